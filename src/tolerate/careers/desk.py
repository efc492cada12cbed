"""The questions at a small page on this machine; it asks nothing of the network and answers this machine alone."""

import json
import secrets
import threading
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tolerate.careers.interview import Interview
from tolerate.errors import TolerateError

LARGEST = 4096  # bytes of a request's body


class Desk:
    """What the page asks of the interview, one request at a time."""

    def __init__(self, talk: Interview) -> None:
        self.talk, self.token, self.lock = talk, secrets.token_urlsafe(16), threading.Lock()
        self.finished = threading.Event()

    def page(self) -> bytes:
        """The page itself."""
        return str(_template().render(lang=self.talk.lang, key=self.token)).encode()

    def state(self, fault: str = "") -> dict[str, Any]:
        """The next question and how far the questions are."""
        question = self.talk.next
        return {
            "done": len(self.talk.answers),
            "total": len(self.talk.questions),
            "question": None if question is None else question.words.pick(self.talk.lang),
            "fault": fault,
            "me": str(self.talk.me),
        }

    def act(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        """Do what the page asks and answer with the next question."""
        with self.lock:
            try:
                if action == "answer":
                    self.talk.answer(str(body.get("text", "")))
                elif action == "undo":
                    self.talk.undo()
                elif action == "finish":
                    self.finished.set()
            except TolerateError as error:
                return self.state(str(error))
            return self.state()


def at_page(talk: Interview, ready: Callable[[str], None] = print, port: int = 0) -> None:
    """Serve the questions until the person finishes. ready: called with the page's address."""
    desk = Desk(talk)
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(desk))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    ready(f"http://127.0.0.1:{server.server_address[1]}/?key={desk.token}")
    try:
        desk.finished.wait()
    finally:
        server.shutdown()
        server.server_close()


@cache
def _template() -> Any:
    from jinja2 import Environment, PackageLoader

    return Environment(loader=PackageLoader("tolerate.careers"), autoescape=True).get_template("ask.html")


def _handler(desk: Desk) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "tolerate"
        sys_version = ""

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path != "/" or not secrets.compare_digest(query, f"key={desk.token}"):
                self._answer(
                    HTTPStatus.FORBIDDEN, b"open the address that the terminal printed", "text/plain"
                )
            else:
                self._answer(HTTPStatus.OK, desk.page(), "text/html; charset=utf-8")

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if not secrets.compare_digest(self.headers.get("X-Key") or "", desk.token) or length > LARGEST:
                self._answer(HTTPStatus.FORBIDDEN, b"", "text/plain")
                return
            try:
                body = json.loads(self.rfile.read(length) or b"{}")
                answer = desk.act(self.path.strip("/"), body)
            except (ValueError, AttributeError) as error:
                self._answer(HTTPStatus.BAD_REQUEST, str(error).encode(), "text/plain")
                return
            self._answer(HTTPStatus.OK, json.dumps(answer).encode(), "application/json")

        def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the terminal belongs to the command."""

    return Handler
