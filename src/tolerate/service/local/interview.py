"""Questions that are answered in words, one by one, at a local desk: for `tolerate career ask --page`.

There is no database: the caller stores the answers. Login, checks and look of the pages are the review desk's.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Protocol

from tolerate.errors import TolerateError
from tolerate.messages.terminal import terminal_text
from tolerate.service.config import ServiceSettings
from tolerate.service.desk.app import Desk
from tolerate.service.desk.pages import PageTable, Response, Visit, redirect_to
from tolerate.service.http.requests import Request
from tolerate.service.local.link_login import LinkLogin, cookie_name, sentence_page
from tolerate.service.local.links import LoginLinks
from tolerate.service.local.serving import HOST, address, finish_soon, listening_socket, serve_until
from tolerate.store import people

FIRST_PAGE = "/desk/talk"
USER = "first"


class Questionnaire(Protocol):
    """Questions in the person's language, and what was answered."""

    lang: str

    @property
    def question_text(self) -> str | None:
        """The next question; None when there is none."""
        ...

    @property
    def progress(self) -> tuple[int, int]:
        """Number of answers, and of questions."""
        ...

    @property
    def next_command(self) -> str:
        """The command that uses the answers."""
        ...

    def answer(self, text: str) -> None:
        """Store an answer; raises TolerateError if it is not a valid one."""
        ...

    def undo(self) -> None:
        """Take back the last answer."""
        ...


def ask_in_browser(
    questions: Questionnaire, name: str, announce: Callable[[str], None] = print, port: int = 0
) -> None:
    """Ask until all is answered or the person stops. name: of the questionnaire, for its cookie."""
    asyncio.run(_serve(questions, name, announce, port))


async def _serve(questions: Questionnaire, name: str, announce: Callable[[str], None], port: int) -> None:
    links = LoginLinks(lambda _, link: announce(terminal_text("open", link=link).pick(questions.lang)))
    finished = asyncio.Event()
    with listening_socket(port) as listening:
        links.base = address(listening)
        desk = InterviewDesk(questions, links, cookie_name(name), finished)
        await serve_until(desk, listening, lambda: links.announce(USER), finished)


class InterviewDesk(Desk):
    """A desk with one page, which shows one question. Sessions last as long as the process."""

    def __init__(
        self, questions: Questionnaire, links: LoginLinks, cookie: str, finished: asyncio.Event
    ) -> None:
        super().__init__(ServiceSettings((), host=HOST, lang=questions.lang), cookie)
        self.questions, self.finished = questions, finished
        self._sessions: dict[str, people.Session] = {}
        self._login = LinkLogin(self, links, FIRST_PAGE, self._open_session)
        self.register(PAGES)

    async def login_page(self, name: str, request: Request, form: dict[str, str]) -> Response | None:
        """The response of a login link; None for any other route."""
        return await self._login.page(name, request)

    def refuse(self, request: Request) -> Response:
        """Say that a link is needed."""
        return self._login.refuse()

    async def _open_session(self, name: str) -> str:
        token = secrets.token_urlsafe(32)
        user = people.User(name, "reviewer", self.questions.lang)
        self._sessions[people.digest(token)] = people.Session(user, secrets.token_urlsafe(18), "")
        return token

    async def session(self, request: Request) -> people.Session | None:
        """The session that a request's cookie names."""
        return self._sessions.get(people.digest(request.cookies.get(self.cookie, "")))

    def question_page(self, visit: Visit, fault: str = "", status: int = 200) -> Response:
        """The next question, or that there is none. fault: why the answer in the form was refused."""
        answered, total = self.questions.progress
        return self.page(
            "question.html",
            visit,
            status,
            question=self.questions.question_text,
            answered=answered,
            total=total,
            next_step=self.questions.next_command,
            fault=fault,
            text=visit.form.get("text", "") if fault else "",
        )


async def _next_question(desk: InterviewDesk, visit: Visit) -> Response:
    return desk.question_page(visit)


async def _answer(desk: InterviewDesk, visit: Visit) -> Response:
    try:
        desk.questions.answer(visit.form.get("text", "")[:4000])
    except TolerateError as error:
        return desk.question_page(visit, str(error), 400)
    return redirect_to(FIRST_PAGE)


async def _undo(desk: InterviewDesk, visit: Visit) -> Response:
    desk.questions.undo()
    return redirect_to(FIRST_PAGE)


async def _stop(desk: InterviewDesk, visit: Visit) -> Response:
    finish_soon(desk.finished)
    done = desk.questions.question_text is None
    key, next_step = ("answers done", desk.questions.next_command) if done else ("answers kept", "")
    return sentence_page(key, desk.questions.lang, next_step=next_step, title="about work")


PAGES: PageTable[InterviewDesk] = {
    ("GET", ""): ("", _next_question),
    ("GET", "talk"): ("", _next_question),
    ("POST", "answer"): ("", _answer),
    ("POST", "undo"): ("", _undo),
    ("POST", "enough"): ("", _stop),
}
