"""Someone at a desk on this machine, without a browser: links, cookies, and the token of the last page."""

import html
import queue
import re
import struct
import threading
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tolerate.runs.people import PeopleVerdicts, Question
from tolerate.service.local import LocalDeskOptions, ask_at_desk


def png(side: int = 8) -> bytes:
    """A small grey picture."""

    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + bytes(range(0, 16 * side, 16)) for _ in range(side))
    parts = part(b"IHDR", head) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        return None


class Sitter:
    """A person who opened a link; `page` is what they see."""

    def __init__(self, link: str) -> None:
        self.open = urllib.request.build_opener(_Stay, urllib.request.ProxyHandler({})).open
        self.home = link.partition("/desk/")[0]
        self.cookie, self.page, self.status = "", "", 0
        self.ask(link.removeprefix(self.home))

    def ask(self, path: str, form: dict[str, str] | None = None, **headers: str) -> str:
        """One request, and the pages that it leads to; the last page."""
        data = None
        if form is not None:
            data = urllib.parse.urlencode({"csrf": self.field("csrf"), **form}).encode()
        all_headers = {"cookie": self.cookie, "origin": self.home, **headers}
        all_headers = {name.replace("_", "-"): value for name, value in all_headers.items()}
        try:
            with self.open(urllib.request.Request(self.home + path, data, all_headers), timeout=30) as answer:
                self.status, self.headers, self.body = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                self.status, self.headers, self.body = error.code, error.headers, error.read()
        if self.headers["set-cookie"]:
            self.cookie = self.headers["set-cookie"].split(";")[0]
        if self.status == 303:
            return self.ask(self.headers["location"])
        if "text/html" in self.headers["content-type"]:
            self.page = self.body.decode()
        return self.page

    def field(self, name: str) -> str:
        match = re.search(rf'name="{name}" value="([^"]*)"', self.page)
        return match[1] if match else ""

    def next(self) -> "Sitter":
        self.ask("/desk/review")
        return self

    @property
    def request(self) -> str:
        return self._text("text")

    @property
    def text(self) -> str:
        return self._text("text answer")

    @property
    def place(self) -> str:
        match = re.search(r'id="place">([^<]*)<', self.page)
        return match[1] if match else ""

    @property
    def slot(self) -> str:
        return self.field("slot")

    @property
    def done(self) -> bool:
        return 'action="/desk/finish"' in self.page

    def _text(self, kind: str) -> str:
        match = re.search(rf'<pre class="{kind}"[^>]*>(.*?)</pre>', self.page, re.S)
        return html.unescape(re.sub(r"<[^>]*>", "", match[1])) if match else ""

    def give(self, grade: str, **more: str) -> "Sitter":
        """A verdict on the item that is seen; the next page."""
        form = {name: self.field(name) for name in ("slot", "nonce", "back", "only")}
        self.ask("/desk/verdict", {**form, "grade": grade, **more})
        return self

    def press(self, action: str, **form: str) -> "Sitter":
        self.ask(f"/desk/{action}", form)
        return self


class Desk:
    """A desk in a thread, and the links that it prints."""

    def __init__(self, work: Callable[[LocalDeskOptions], Any], **options: Any) -> None:
        self.links: queue.Queue[str] = queue.Queue()
        self.result: Any = None
        self.error: BaseException | None = None
        desk_options = LocalDeskOptions(announce=self.links.put, **options)

        def run() -> None:
            try:
                self.result = work(desk_options)
            except BaseException as error:
                self.error = error
                self.links.put("")

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def link(self) -> str:
        """The next link that is printed."""
        line = self.links.get(timeout=30)
        if self.error is not None:
            raise self.error
        return next(word for word in line.split() if word.startswith("http"))

    def person(self) -> Sitter:
        """The next person who opens their link, at the first item."""
        return Sitter(self.link()).next()

    def end(self) -> Any:
        self.thread.join(30)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.result


class PeopleAtDesk:
    """People for a run: someone opens the desk's link and judges every item by a rule."""

    def __init__(self, wrong: Callable[[Sitter, int], bool]) -> None:
        self.wrong, self.judged_count = wrong, 0

    def __call__(self, questions: Sequence[Question], folder: Path) -> PeopleVerdicts:
        return ask_at_desk(questions, folder, LocalDeskOptions(announce=self._ready))

    def _ready(self, line: str) -> None:
        address = next(word for word in line.split() if word.startswith("http"))
        threading.Thread(target=self._judge, args=(address,), daemon=True).start()

    def _judge(self, address: str) -> None:
        person = Sitter(address).next()
        while person.slot:
            person.give("w" if self.wrong(person, self.judged_count) else "f")
            self.judged_count += 1
        person.press("finish")
