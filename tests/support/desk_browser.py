"""Someone at a service's desk, without a browser: cookies, and the token of the last page."""

import re
import urllib.parse
from typing import Any

from tests.support.service_fakes import Served


class Browser:
    """A person who has logged in, or tried to; `status` is that of the login."""

    def __init__(self, desk: Served, name: str = "owner", password: str = "") -> None:
        self.desk, self.cookie, self.csrf = desk, "", ""
        status, headers, _ = self.post("login", {"name": name, "password": password or desk.password})
        self.status = status
        self.cookie = (headers["set-cookie"] or "").split(";")[0]
        self.cookie_flags = headers["set-cookie"] or ""

    def get(self, path: str, **headers: str) -> Any:
        """Status, headers and body of a page; its token is kept for the next form."""
        status, head, body = self.desk.ask("GET", f"/desk/{path}", key=None, cookie=self.cookie, **headers)
        match = re.search(r'name="csrf" value="([^"]+)"', body) if isinstance(body, str) else None
        self.csrf = match[1] if match else self.csrf
        return status, head, body

    def post(self, path: str, form: dict[str, str], **headers: str) -> Any:
        """Status, headers and body of the answer to a form."""
        data = urllib.parse.urlencode({"csrf": self.csrf, **form}).encode()
        all_headers = {"origin": self.desk.url, "cookie": self.cookie, **headers}
        return self.desk.ask("POST", f"/desk/{path}", data, key=None, **all_headers)
