"""A small page on this machine where a person gives the verdicts, one key an item.

Each verdict is on the disk before the page moves on; a killed review continues where it stood.
The page asks nothing of the network and answers this machine alone.
"""

import json
import os
import secrets
import threading
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tolerate.errors import RunError

LARGEST = 4096  # bytes of a request's body


@dataclass(frozen=True)
class Question:
    """One item to judge: a picture (PNG) or a text, and what was asked for."""

    png: bytes
    asked: str
    text: str = ""


class Verdicts:
    """The verdicts so far, in order, on the disk: [item, loss] lines, or [item, null] for one taken back."""

    def __init__(self, path: Path, total: int) -> None:
        self.path = path
        self.total = total
        self.losses: dict[int, float] = {}
        self.order: list[int] = []
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                self._apply(*_line(line, path, total))

    @property
    def next(self) -> int | None:
        """The first item without a verdict."""
        return next((item for item in range(self.total) if item not in self.losses), None)

    def give(self, item: int, loss: float) -> None:
        """Record a verdict; it is on the disk when this returns."""
        if not 0 <= item < self.total or not 0 <= loss <= 1:
            raise ValueError(
                f"verdict {loss} on item {item}: expected a loss in [0, 1] and an item below {self.total}"
            )
        self._write(item, loss)

    def undo(self) -> None:
        """Take the last verdict back."""
        if self.order:
            self._write(self.order[-1], None)

    def _write(self, item: int, loss: float | None) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([item, loss]) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._apply(item, loss)

    def _apply(self, item: int, loss: float | None) -> None:
        if item in self.losses:
            self.order.remove(item)
            del self.losses[item]
        if loss is not None:
            self.losses[item] = loss
            self.order.append(item)


def _line(line: str, path: Path, total: int) -> tuple[int, float | None]:
    try:
        item, loss = json.loads(line)
        if 0 <= item < total and (loss is None or 0 <= loss <= 1):
            return item, loss
    except (ValueError, TypeError):
        pass
    raise RunError(
        f"{path} has a damaged line: {line[:40]!r}; delete that line and run the same command again"
    )


def review(
    questions: Sequence[Question],
    path: Path,
    *,
    lang: str = "en",
    port: int = 0,
    ready: Callable[[str], None] = print,
) -> list[float]:
    """Ask a person about each item and return the losses, 0 or 1, in order.

    path: where the verdicts are kept (JSON lines). ready: called with the page's address.
    """
    verdicts = Verdicts(path, len(questions))
    if verdicts.next is None:
        return [verdicts.losses[item] for item in range(len(questions))]
    serve(_Questions(questions, verdicts, lang), port=port, ready=ready)
    return [verdicts.losses[item] for item in range(len(questions))]


def serve(desk: "Desk", *, port: int = 0, ready: Callable[[str], None] = print) -> None:
    """Answer a desk's page on this machine until the person finishes; `ready` is called with its address."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(desk))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        ready(f"http://127.0.0.1:{server.server_address[1]}/?key={desk.token}")
        desk.finished.wait()
    finally:
        server.shutdown()
        server.server_close()


class Desk:
    """What the page may ask: the next item, and what a person does with it."""

    def __init__(self, lang: str) -> None:
        self.lang, self.token = lang, secrets.token_urlsafe(16)
        self.finished = threading.Event()
        self.lock = threading.Lock()

    def page(self) -> bytes:
        """The page itself."""
        from jinja2 import Environment, PackageLoader

        environment = Environment(loader=PackageLoader("tolerate.review", "."), autoescape=True)
        return environment.get_template("page.html").render(lang=self.lang, key=self.token).encode()

    def state(self) -> dict[str, Any]:
        """The next item and how far it is; `item` is None when all is judged."""
        raise NotImplementedError

    def act(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        """Do what the page asks and answer with the next item."""
        raise NotImplementedError


class _Questions(Desk):
    """A fixed list of pictures, each with what was asked for; the last verdict can be taken back."""

    def __init__(self, questions: Sequence[Question], verdicts: Verdicts, lang: str) -> None:
        super().__init__(lang)
        self.questions, self.verdicts = questions, verdicts

    def state(self) -> dict[str, Any]:
        item = self.verdicts.next
        about = {"done": len(self.verdicts.losses), "total": self.verdicts.total, "item": item}
        if item is None:
            return about
        question = self.questions[item]
        if question.text or not question.png:
            return {**about, "asked": question.asked, "text": question.text}
        png = "data:image/png;base64," + b64encode(question.png).decode()
        return {**about, "asked": question.asked, "png": png}

    def act(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            if action == "verdict":
                self.verdicts.give(int(body["item"]), float(body["loss"]))
            elif action == "undo":
                self.verdicts.undo()
            elif action == "finish" and self.verdicts.next is None:
                self.finished.set()
            return self.state()


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
            key = self.headers.get("X-Key") or ""
            if not secrets.compare_digest(key, desk.token) or length > LARGEST:
                self._answer(HTTPStatus.FORBIDDEN, b"", "text/plain")
                return
            try:
                answer = desk.act(self.path.strip("/"), json.loads(self.rfile.read(length) or b"{}"))
            except (ValueError, KeyError, TypeError) as error:
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
            """Nothing: the terminal belongs to the run."""

    return Handler
