"""The desk: who may do what, that hostile text stays text, and the whole flow by keyboard in a browser."""

import json
import re
import shutil
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.desk_browser import Browser
from tests.support.service_fakes import Served, Upstream, served, service_of, upstream
from tests.support.sitting import png
from tolerate.errors import OptionError
from tolerate.messages.desk import WORDS
from tolerate.service.config import Grade
from tolerate.service.desk.admin import cell
from tolerate.service.desk.imports import parse
from tolerate.service.desk.render import visible
from tolerate.service.openai_format import ApiError
from tolerate.store import certificates, people, queue
from tolerate.store.ledger import newest

HOSTILE = '<script>alert(1)</script><img src="http://evil.example/x" onerror=alert(1)> \u202eevil\u200b {{7*7}} [x](http://evil.example)'

PNG = png()
B64 = b64encode(PNG).decode()
SOUND = (
    b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x08\0\0\0"
    + bytes(8)
)


@pytest.fixture(scope="module")
def model() -> Iterator[Upstream]:
    with upstream() as fake:
        yield fake


@pytest.fixture
def desk(model: Upstream, url: str, tmp_path: Path) -> Iterator[Served]:
    service = service_of(model.url, url, tmp_path, share=1.0, guide="Be strict.")
    with served(service) as running:
        yield running


def with_role(desk: Served, role: str) -> Browser:
    desk.write(people.add_user, role, f"password of {role}", role, "owner", time.time())
    browser = Browser(desk, role, f"password of {role}")
    browser.get("me")
    return browser


def field(page: str, name: str) -> str:
    return re.search(rf'name="{name}" value="([^"]*)"', page)[1]


# Safety


def test_headers_cookies_and_a_policy_on_every_page(desk: Served) -> None:
    browser = Browser(desk)
    assert {"HttpOnly", "SameSite=Strict"} <= {part.strip() for part in browser.cookie_flags.split(";")}
    for path in ("", "review", "watch/support", "people", "labels", "me", "nothing"):
        _, headers, body = browser.get(path)
        policy = headers["content-security-policy"]
        assert (
            "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        )
        assert headers["x-content-type-options"] == "nosniff" and "Traceback" not in body
        assert (
            not re.search(r'(src|href)="(https?:)?//', body) and "style=" not in body and len(body) < 250_000
        )


def test_nobody_gets_in_without_a_password(desk: Served) -> None:
    assert Browser(desk, password="wrong").status == 401
    for path in ("", "review", "watch/support", "people", "labels.csv?job=support"):
        status, headers, _ = desk.ask("GET", f"/desk/{path}", key=None)
        assert status == 303 and headers["location"] == "/desk/login"


def test_logins_are_limited(desk: Served) -> None:
    statuses = [Browser(desk, "eve", "wrong").status for _ in range(10)]
    assert statuses[0] == 401 and statuses[-1] == 429


def test_forms_need_their_token_their_origin_and_our_name(desk: Served) -> None:
    browser = Browser(desk)
    browser.get("")
    assert browser.post("lang", {"csrf": "guess"})[0] == 403
    assert browser.post("lang", {}, origin="http://evil.example")[0] == 403
    assert browser.post("lang", {}, origin="null")[0] == 403
    assert browser.post("lang", {}, sec_fetch_site="cross-site")[0] == 403
    assert browser.get("", host="evil.example")[0] == 421
    assert browser.post("lang", {})[0] == 303


def test_a_session_ends(desk: Served) -> None:
    browser = Browser(desk)
    browser.get("")
    assert browser.post("logout", {})[0] == 303
    assert browser.get("")[0] == 303


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("reviewer", {"", "review", "me"}),
        ("auditor", {"", "me", "watch/support", "labels", "labels.csv?job=support"}),
        ("engineer", {"", "me", "review", "adjudicate", "watch/support", "labels", "labels.csv?job=support"}),
    ],
)
def test_roles(desk: Served, role: str, allowed: set[str]) -> None:
    browser = with_role(desk, role)
    pages = ("", "me", "review", "adjudicate", "watch/support", "labels", "labels.csv?job=support", "people")
    assert {page for page in pages if browser.get(page)[0] == 200} == allowed
    assert (browser.post("withdraw/support", {"why": "x"})[0] == 303) == (role == "engineer")
    assert browser.post("add-user", {"name": "eve", "role": "owner"})[0] == 403


def test_what_a_model_wrote_is_shown_as_text(desk: Served) -> None:
    desk.chat({"say": HOSTILE, "score": 0.1})
    _, _, page = Browser(desk).get("review")
    assert "<script>alert" not in page and "<img src" not in page and "&lt;script&gt;alert(1)" in page
    assert "\u202e" not in page and "\u200b" not in page and "U+202E" in page and "U+200B" in page
    assert "{{7*7}}" in page


@pytest.mark.parametrize(
    "sign", ["\x00", "\x1b", "\u00a0", "\u200d", "\u2066", "\ufeff", "\U000e0041", "\u2028", "\ue000"]
)
def test_hidden_characters_are_named(sign: str) -> None:
    assert f"U+{ord(sign):04X}" in visible(f"a{sign}b") and sign not in visible(sign)


def test_words_in_both_languages_have_the_same_places() -> None:
    for key, (english, chinese) in WORDS.items():
        assert re.findall(r"{(\w+)", english) == re.findall(r"{(\w+)", chinese) or sorted(
            re.findall(r"{(\w+)", english)
        ) == sorted(re.findall(r"{(\w+)", chinese)), key


# The flow


def judge(browser: Browser, grade: str, **fields: str):
    _, _, page = browser.get("review")
    names = ("slot", "nonce", "back", "only")
    form = {name: field(page, name) for name in names}
    return form, browser.post("verdict", {**form, "grade": grade, **fields})


def test_verdicts_undo_skip_and_drafts(desk: Served) -> None:
    for n in range(4):
        desk.chat({"say": f"answer {n}", "score": 0.1})
    browser = Browser(desk)
    first, (status, headers, _) = judge(browser, "w", note="no")
    assert status == 303 and headers["location"] == "/desk/review"
    assert browser.post("verdict", {**first, "grade": "w"})[0] == 303  # the same press again changes nothing
    assert browser.post("undo", {"back": "review"})[0] == 303
    _, _, page = browser.get("review")
    assert field(page, "slot") == first["slot"]
    assert browser.post("draft", {"slot": first["slot"], "note": "half a <note>"})[2] == {"saved": True}
    assert "half a &lt;note&gt;" in browser.get("review")[2]
    browser.post("skip", {"slot": first["slot"], "back": "review"})
    assert field(browser.get("review")[2], "slot") != first["slot"]
    assert judge(browser, "x")[1][0] == 400
    slots = {judge(browser, "f")[0]["slot"] for _ in range(4)}
    assert len(slots) == 4
    assert "Nothing waits" in browser.get("review")[2]
    desk.thread.do(desk.running.settle())
    assert (
        browser.get("labels.csv?job=support")[2].count("owner: Fine") == 3
    )  # the fourth can still be taken back


def test_a_graded_scale_blind_reviewers_and_adjudication(model: Upstream, url: str, tmp_path: Path) -> None:
    scale = (
        Grade("1", "Fine", "合格", 0.0),
        Grade("2", "Minor", "轻微", 0.3),
        Grade("3", "Severe", "严重", 1.0),
    )
    service = service_of(model.url, url, tmp_path, reviewers=2, scale=scale, accept=0.3)
    with served(service) as desk:
        ticket = desk.chat({"say": "arguable", "score": 0.1})[2]["tolerate"]["ticket"]
        first, second = with_role(desk, "reviewer"), with_role(desk, "engineer")
        judge(first, "1", note="fine with me")
        assert "fine with me" not in second.get("review")[2]
        judge(second, "2")
        desk.write(lambda db: db.run("UPDATE items SET due = 1"))
        desk.thread.do(desk.running.settle())
        owner = Browser(desk)
        _, _, page = owner.get("adjudicate")
        assert "fine with me" in page and "The reviewers disagree" in page
        form = {name: field(page, name) for name in ("slot", "nonce", "back", "only")}
        owner.post("verdict", {**form, "grade": "2"})
        desk.write(lambda db: db.run("UPDATE items SET due = 1 WHERE due IS NOT NULL"))
        desk.thread.do(desk.running.settle())
        assert desk.ask("GET", f"/v1/tickets/{ticket}")[2]["state"] == "released"  # 0.3 is accepted here
        assert "alpha" in owner.get("")[2]


def test_import_seeded_errors_and_export(desk: Served) -> None:
    browser = Browser(desk)
    browser.get("labels")
    table = (
        f'content,prompt,truth,media\n"=cmd()",ask,1,\nplain,ask,,"data:image/png;base64,{B64}"\nlast,ask,,\n'
    )
    _, _, page = browser.post("import", {"job": "support", "reviewers": "1", "table": table})
    assert "3 items came in" in page
    _, _, page = browser.get("review")
    assert (
        "Nobody waits for it" in page and "truth" not in page and "seed" not in page
    )  # a seeded item does not show
    judge(browser, "w")
    _, _, page = browser.get("review")
    place = re.search(r'<img class="media" src="/desk/(media/\d+)"', page)[1]
    assert browser.get(place)[1]["content-type"] == "image/png"
    judge(browser, "f")
    assert browser.get(place)[0] == 404  # only while it is in hand
    judge(browser, "f")
    desk.write(lambda db: db.run("UPDATE items SET due = 1 WHERE due IS NOT NULL"))
    desk.thread.do(desk.running.settle())
    assert "found: 1 of 1" in browser.get("me")[2]
    _, headers, text = browser.get("labels.csv?job=support")
    assert "attachment" in headers["content-disposition"] and "'=cmd()" in text and ",=cmd()" not in text


def test_a_table_with_files_and_files_alone(desk: Served) -> None:
    browser = Browser(desk)
    browser.get("labels")

    def upload(name: str, body: bytes, **headers: str):
        all_headers = {
            "origin": desk.url,
            "cookie": browser.cookie,
            "x_csrf": browser.csrf,
            "x_name": name,
            **headers,
        }
        return desk.ask("POST", "/desk/upload", body, key=None, **all_headers)

    status, _, answer = upload("%E7%8C%AB%20cat.png", PNG)
    assert status == 200 and answer["kept"].endswith("/猫 cat.png")
    wav = upload("..%2F..%2Fa.png", SOUND)[2]["kept"]
    assert wav.endswith("/a.png.wav")  # by its first bytes, whatever its name says
    assert upload("a.svg", b"<svg>")[0] == 400 and upload("a.png", b"<script>")[0] == 400
    assert upload("a.png", PNG, x_csrf="guess")[0] == 403
    assert with_role(desk, "reviewer").post("upload", {})[0] == 403
    files = json.dumps({"猫 cat.png": answer["kept"], "a.wav": wav})
    table = "media,prompt\nfolder/猫 cat.png,a cat\na.wav,a tone\n"
    _, _, page = browser.post("import", {"job": "support", "table": table, "files": files})
    assert "2 items came in" in page
    _, _, page = browser.get("review")
    assert '<img class="media"' in page and "a cat" in page and 'class="text answer"' not in page
    judge(browser, "f")
    _, _, page = browser.get("review")
    assert '<audio class="media"' in page
    judge(browser, "w")
    _, _, page = browser.post("import", {"job": "support", "table": "", "files": files})
    assert "2 items came in" in page
    desk.write(lambda db: db.run("UPDATE items SET due = 1 WHERE due IS NOT NULL"))
    desk.thread.do(desk.running.settle())
    text = browser.get("labels.csv?job=support")[2]
    assert "猫 cat.png" in text and "a.png.wav" in text and text.startswith("\ufeffticket,")
    for wrong in (
        {"table": "media\nmissing.png\n"},
        {"table": "media\nhttp://evil.example/x.png\n"},
        {"table": 'content,media\nx,"data:image/svg+xml,x"\n'},
        {"table": "media\na.wav\n", "files": json.dumps({"a.wav": "kept:" + "0" * 64 + "/a.wav"})},
        {"table": "", "files": '{"a": "file:/etc/passwd"}'},
        {"table": "", "files": "nonsense"},
    ):
        status, _, page = browser.post("import", {"job": "support", **wrong})
        assert status == 400 and "Traceback" not in page, wrong
    later = time.time() + 1e6
    desk.write(queue.erase_texts, later, later)
    assert desk.write(lambda db: db.first("SELECT count(*) FROM media"))[0] == 2  # two items wait for a look
    judge(browser, "f"), judge(browser, "f")
    desk.write(lambda db: db.run("UPDATE items SET due = 1 WHERE due IS NOT NULL"))
    desk.thread.do(desk.running.settle())
    assert desk.write(queue.erase_texts, later, later, "another job") == 0
    assert desk.write(queue.erase_texts, later, later, "support") > 0
    assert desk.write(lambda db: db.first("SELECT count(*) FROM media"))[0] == 0


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "content\na,b\n", 'content\n"', "content,truth\na,maybe\n"]
)
def test_tables_that_cannot_be_used(text: str) -> None:
    with pytest.raises(ApiError):
        parse(text)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text).startswith("'")


def test_what_if_and_the_next_certificate(desk: Served) -> None:
    browser = Browser(desk)
    for n in range(150):
        desk.chat({"say": f"a {n}", "score": 0.9})
    for n in range(150):
        task = desk.write(queue.lease, "bob", time.time())
        desk.write(queue.record_verdict, queue.NewVerdict(task.slot, "bob", 0.0, str(n)), time.time() - 60)
    desk.thread.do(desk.running.settle())
    browser.post("withdraw/support", {"why": "a <b>rumour</b>"}) if browser.get("")[0] == 200 else None
    assert desk.chat({"say": "SECRET", "score": 0.9})[1]["x-tolerate-decision"] == "review"
    _, _, page = browser.get("watch/support?if=1&since=0&tolerance=10%25")
    assert "a &lt;b&gt;rumour&lt;/b&gt;" in page and "150 drawn items" in page
    browser.post("adopt/support", {"id": field(page, "id"), "tier": "main"})
    assert desk.chat({"say": "free again", "score": 0.9})[1]["x-tolerate-decision"] == "release"
    (active,) = desk.write(certificates.active)
    assert active.made_by == "owner" and active.certificate.tolerance == 0.1
    assert browser.get("watch/support?if=1&since=x")[0] == 400
    assert browser.get("watch/support?if=1&since=0&tolerance=7")[0] == 400


def test_people_and_keys(desk: Served) -> None:
    browser = Browser(desk)
    browser.get("people")
    _, _, page = browser.post("add-key", {"name": "app", "scope read": "1", "days": "1", "rate": "5"})
    secret = re.search(r"tol_[\w-]+", page)[0]
    assert desk.ask("GET", "/v1/models", key=secret)[0] == 200 and secret not in browser.get("people")[2]
    ids = re.findall(r'name="id" value="([^"]+)"', browser.get("people")[2])
    for id in ids:
        browser.post("revoke-key", {"id": id})
    assert desk.ask("GET", "/v1/models", key=secret)[0] == 401
    _, _, page = browser.post("add-user", {"name": "ann", "role": "reviewer"})
    password = re.search(r"ann: ([\w-]+)", page)[1]
    ann = Browser(desk, "ann", password)
    ann.get("me")
    assert ann.post("password", {"old": password, "new": "a longer password"})[0] == 303
    assert ann.get("me")[0] == 303 and Browser(desk, "ann", "a longer password").status == 303
    browser.post("disable-user", {"name": "ann"})
    assert Browser(desk, "ann", "a longer password").status == 401
    assert browser.post("disable-user", {"name": "owner"})[0] == 400


def test_a_lost_password(model: Upstream, url: str, tmp_path: Path) -> None:
    """On the machine of the database, while the service stands still: printed once, sessions ended, in the ledger."""
    command = [sys.executable, "-m", "tolerate", "people", "--database", url]

    def people_said(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *words], capture_output=True, text=True)

    service = service_of(model.url, url, tmp_path)
    with served(service) as desk:
        browser = Browser(desk)
        lost = desk.password
        refused = people_said("--new-password", "owner")
        assert (
            refused.returncode == 2
            and "another service writes" in refused.stderr
            and "Traceback" not in refused.stderr
        )
        assert people_said().stdout == "owner  owner\n"
    assert "there is no user" in people_said("--new-password", "owner2").stderr
    printed = people_said("--new-password", "owner")
    assert printed.returncode == 0
    password = printed.stdout.removeprefix("owner: ").split()[0]
    with served(service) as desk:
        browser.desk = desk
        assert browser.get("")[0] == 303  # the session has ended
        assert Browser(desk, password=lost).status == 401
        assert Browser(desk, password=password).status == 303
        assert desk.running.initial_secrets.password is None
        entry = next(row for row in desk.write(newest) if row["kind"] == "user")
        assert (entry["what"], entry["name"], entry["by"]) == ("new password", "owner", "the command line")
        desk.write(people.disable_user, "owner", "ann", time.time())
        with pytest.raises(OptionError, match="is disabled"):
            desk.write(people.reset_password, "owner", "x", time.time())


def test_in_chinese(desk: Served) -> None:
    browser = Browser(desk)
    browser.get("")
    browser.post("lang", {"from": "//evil.example"})
    for path in ("", "review", "watch/support", "people", "labels", "me"):
        page = re.sub(r'<[^>]*>|class="en"[^<]*', " ", browser.get(path)[2])
        assert "标注" in page and "Label guide" not in page


# In a browser


def test_the_whole_flow_by_keyboard(model: Upstream, url: str, tmp_path: Path) -> None:
    sync = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium: apt-get install chromium")
    from axe_playwright_python.sync_playwright import Axe

    service = service_of(model.url, url, tmp_path, share=1.0, guide="Be strict.")
    with served(service) as desk, sync.sync_playwright() as play:
        for n in range(6):
            desk.chat({"say": f"{n} {HOSTILE}", "score": 0.1 if n % 2 else 0.9})
        flags = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        browser = play.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(color_scheme="dark")
        outside, faults = [], []
        page.on(
            "request",
            lambda request: (
                outside.append(request.url) if not request.url.startswith((desk.url, "data:")) else None
            ),
        )
        page.on("console", lambda console: faults.append(console.text) if console.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{desk.url}/desk")
        page.keyboard.type("owner")
        page.keyboard.press("Tab")
        page.keyboard.type(desk.password)
        page.keyboard.press("Enter")
        page.wait_for_url("**/desk")
        page.keyboard.press("Enter")
        page.wait_for_url("**/desk/review")
        page.keyboard.press("n")
        page.keyboard.type("half a thought f")
        page.wait_for_selector("#kept:text('saved')")
        page.reload()
        assert page.input_value("#note") == "half a thought f"
        for key in "fwf":
            slot = page.input_value("[name=slot]")
            page.keyboard.press(key)
            page.wait_for_selector(f'[name=slot]:not([value="{slot}"])', state="attached")
        page.keyboard.press("u")
        page.wait_for_selector(f'[name=slot][value="{slot}"]', state="attached")
        violations_by_path = {}
        for path in ("review", "watch/support", "people", "labels", "me", ""):
            page.goto(f"{desk.url}/desk/{path}")
            result = Axe().run(page)
            violations_by_path[path] = [
                violation["id"]
                for violation in result.response["violations"]
                if violation["impact"] in ("serious", "critical")
            ]
        page.screenshot(path=str(tmp_path / "desk.png"))
        assert (
            violations_by_path == {path: [] for path in violations_by_path} and outside == [] and faults == []
        )
        assert len(desk.write(lambda db: db.all("SELECT 1 FROM verdicts WHERE taken_back IS NULL"))) == 2
        browser.close()
    assert json.dumps(violations_by_path)


RECORD = """async () => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
  const recorder = new MediaRecorder(canvas.captureStream(10), { mimeType: "video/webm" }), parts = [];
  recorder.ondataavailable = part => parts.push(part.data);
  const stopped = new Promise(done => recorder.onstop = done);
  recorder.start();
  for (let n = 0; n < 6; n++) {
    canvas.getContext("2d").fillStyle = `hsl(${n * 60}, 80%, 50%)`;
    canvas.getContext("2d").fillRect(0, 0, 64, 48);
    await new Promise(done => setTimeout(done, 60));
  }
  recorder.stop();
  await stopped;
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  return btoa(String.fromCharCode(...bytes));
}"""
SEEN = """() => new Promise(done => {
  const seen = document.querySelector(".media"), size = () => seen.naturalWidth || seen.videoWidth || seen.duration || 0;
  const look = () => size() ? done([seen.tagName, true]) : setTimeout(look, 50);
  setTimeout(() => done([seen.tagName, false]), 5000);
  look();
})"""


def test_pictures_sounds_and_films_are_imported_and_shown_in_a_browser(
    model: Upstream, tmp_path: Path
) -> None:
    sync = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium: apt-get install chromium")
    from axe_playwright_python.sync_playwright import Axe

    service = service_of(model.url, str(tmp_path / "t.db"), tmp_path)
    with served(service) as desk, sync.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )
        page = browser.new_page()
        film = b64decode(page.evaluate(RECORD))
        table = "media,prompt\ncat.png,a cat\ntone.wav,a tone\nfilm.webm,a film\n"
        faults: list[str] = []
        page.on("console", lambda console: faults.append(console.text) if console.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{desk.url}/desk/login")
        page.fill("#name", "owner")
        page.fill("#password", desk.password)
        page.keyboard.press("Enter")
        page.wait_for_url("**/desk")
        page.goto(f"{desk.url}/desk/labels")
        files = (("t.csv", table.encode()), ("cat.png", PNG), ("tone.wav", SOUND), ("film.webm", film))
        page.set_input_files(
            "#file", [{"name": name, "mimeType": "", "buffer": body} for name, body in files]
        )
        page.wait_for_function("document.getElementById('table').value.includes('film.webm')")
        page.click("#import button")
        page.wait_for_selector("text=3 items came in")
        page.click("main [role=status] a")
        shown, serious = [], []
        for place in range(3):
            page.wait_for_selector(".media")
            shown.append(page.evaluate(SEEN))
            violations = Axe().run(page).response["violations"]
            serious += [
                violation["id"] for violation in violations if violation["impact"] in ("serious", "critical")
            ]
            page.screenshot(path=str(tmp_path / f"{place}.png"))
            if place:
                page.keyboard.press("p")
                page.wait_for_function("(e => !e.paused || e.ended)(document.querySelector('.media'))")
            slot = page.input_value("[name=slot]")
            page.keyboard.press("f")
            page.wait_for_function("slot => document.querySelector('[name=slot]')?.value !== slot", arg=slot)
        assert shown == [["IMG", True], ["AUDIO", True], ["VIDEO", True]] and serious == [] and faults == []
        browser.close()
