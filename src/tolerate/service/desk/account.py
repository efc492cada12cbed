"""A user's own page: detection of seeded errors, password, language."""

import time

from tolerate.service.desk.app import ReviewDesk
from tolerate.service.desk.pages import PageTable, Response, Visit, redirect_to
from tolerate.service.openai_format import ApiError
from tolerate.store import people, review_data


async def account(desk: ReviewDesk, visit: Visit) -> Response:
    """The user's page, with the seeded errors that they noticed."""
    detection = await desk.reader.query(review_data.detection, visit.user.name)
    return desk.page("me.html", visit, detection=detection)


async def change_language(desk: ReviewDesk, visit: Visit) -> Response:
    """Switch to the other language, and go back to the page."""
    other = "en" if visit.user.lang == "zh" else "zh"
    await desk.writer.do(people.set_language, visit.user.name, other)
    origin = visit.form.get("from", "/desk")
    return redirect_to(origin if origin.startswith("/desk") and "//" not in origin else "/desk")


async def change_password(desk: ReviewDesk, visit: Visit) -> Response:
    """Set a new password; every session of the user ends."""
    old = visit.form.get("old", "")[:1000]
    if await desk.reader.query(people.check_password, visit.user.name, old) is None:
        raise ApiError(403, "the present password is wrong")
    new = visit.form.get("new", "")[:1000]
    await desk.writer.do(people.set_password, visit.user.name, new, time.time())
    return redirect_to("/desk/login")


PAGES: PageTable[ReviewDesk] = {
    ("GET", "me"): ("", account),
    ("POST", "lang"): ("", change_language),
}
PASSWORD_PAGES: PageTable[ReviewDesk] = {  # of a desk whose users have passwords
    ("POST", "password"): ("", change_password),
}
