"""The interview at the terminal and at a page."""

import queue
import threading
from pathlib import Path

from tests.support.sitting import Sitter
from tolerate.careers.data.atlas import Atlas
from tolerate.careers.person import interview, me
from tolerate.careers.planning import plan
from tolerate.service.local.interview import ask_in_browser


def test_answers_are_stored_and_make_a_plan(embedded_atlas: Atlas, tmp_path: Path) -> None:
    first = interview.Interview(embedded_atlas, tmp_path / "me.toml")
    answers = iter(["no such thing", "graphic designer", "10", "7", "2", "i", "3/200", "u", "3/250", "q"])
    lines: list[str] = []
    interview.ask_at_terminal(first, lambda: next(answers), lines.append)
    assert any("no occupation" in line for line in lines) and any("outside 1 to 5" in line for line in lines)
    second = interview.Interview(embedded_atlas, tmp_path / "me.toml")
    assert second.answers == first.answers and len(second.answers) == 5
    interview.ask_at_terminal(second, lambda: "", lines.append)
    assert second.next is None
    person = me.read_person(tmp_path / "me.toml")
    assert person.task[0].irreversible and (person.task[0].errors, person.task[0].checked) == (3, 250)
    assert plan.make_plan(embedded_atlas, person).tasks[0].choice.shut == ("irreversible",)


def test_the_page_of_questions_answers_only_its_own_link(embedded_atlas: Atlas, tmp_path: Path) -> None:
    questions = interview.Interview(embedded_atlas, tmp_path / "me.toml", "zh")
    links: queue.Queue[str] = queue.Queue()
    thread = threading.Thread(target=ask_in_browser, args=(questions, "me", links.put), daemon=True)
    thread.start()
    link = links.get(timeout=20).split()[-1]
    person = Sitter(link)
    person.ask("/desk/talk")
    assert "default-src 'none'" in person.headers["content-security-policy"] and "您的职业" in person.page
    stranger = Sitter(link)
    assert stranger.status == 403 and "新链接" in stranger.page
    stranger.ask("/desk/talk")
    assert stranger.status == 403
    person.ask("/desk/answer", {"text": "x", "csrf": "guess"})
    assert person.status == 403
    person.ask("/desk/talk")
    person.press("answer", text="zzzz<b>")
    assert person.status == 400 and 'role="alert"' in person.page and 'value="zzzz&lt;b&gt;"' in person.page
    person.press("answer", text="翻译")
    assert "每周几小时" in person.page
    person.press("undo")
    assert "您的职业" in person.page
    person.press("answer", text="翻译")
    while 'name="text"' in person.page:
        person.press("answer", text="")
    assert "tolerate career plan --me" in person.page
    person.press("enough")
    thread.join(20)
    assert not thread.is_alive() and me.read_person(tmp_path / "me.toml").occupation == "翻译"
