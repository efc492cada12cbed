"""The interview, one question at a time, at the terminal or at a page; every answer is written to disk at once.

Enter skips a question, and the plan then says what it assumed. Nothing is asked about protected traits.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tolerate.base.files import write_whole
from tolerate.careers.data.atlas import Atlas, Occupation, OnetTask
from tolerate.careers.data.skills import find_skills, graph
from tolerate.careers.data.titles import find_occupation
from tolerate.careers.person.me import TOLERANCES
from tolerate.errors import OptionError, RunError, TolerateError, hint
from tolerate.messages.both import Both
from tolerate.messages.careers import say

MAX_TASKS = 8  # of the occupation that the interview asks about
GATE_LETTERS = {"l": "licensed", "i": "irreversible", "p": "physical", "s": "personal"}
SECTION_KEYS = {  # section of me.toml: the keys in it that are asked about
    "harm": ("slip", "worst"),
    "work": ("human_error",),
    "wishes": ("pay", "tolerance"),
    "learning": ("known", "hours_a_week"),
}
COMMON_SKILLS = (
    "python",
    "using-llm",
    "prompting",
    "image-prompts",
    "statistics",
    "pytorch",
    "sql",
    "review-craft",
    "video-generation",
    "rag",
)


@dataclass(frozen=True)
class InterviewQuestion:
    """A question: the key of its answer, its text, and a check that refuses a wrong answer with an error."""

    key: str
    text: Both
    check: Callable[[str], object]
    required: bool = False


class Interview:
    """The answers so far, stored beside me.toml, and the next question."""

    def __init__(self, atlas: Atlas, me: Path, lang: str = "en") -> None:
        self.atlas, self.me, self.lang = atlas, me, lang
        self.path = me.with_suffix(".answers.json")
        self.answers: dict[str, str] = self._read()
        if not self.answers and me.exists():
            raise RunError(
                f"{me} already exists and was not made by these questions; give another name with --me"
            )

    def _read(self) -> dict[str, str]:
        if not self.path.exists():
            return {}
        try:
            return {str(key): str(value) for key, value in json.loads(self.path.read_text("utf-8")).items()}
        except (ValueError, AttributeError):
            raise RunError(f"{self.path} is damaged; delete it to begin again") from None

    @property
    def questions(self) -> list[InterviewQuestion]:
        """All questions that the answers so far lead to."""
        return list(all_questions(self.atlas, self.answers))

    @property
    def next(self) -> InterviewQuestion | None:
        """The first question without an answer."""
        return next((question for question in self.questions if question.key not in self.answers), None)

    @property
    def question_text(self) -> str | None:
        """The next question in the person's language."""
        question = self.next
        return None if question is None else question.text.pick(self.lang)

    @property
    def progress(self) -> tuple[int, int]:
        """The number of answers, and of the questions they lead to."""
        return len(self.answers), len(self.questions)

    @property
    def next_command(self) -> str:
        """The command that makes a plan of the answers."""
        return say("ask.next", path=self.me).pick(self.lang)

    def answer(self, text: str) -> None:
        """Store the answer to the next question; an OptionError says what is wrong with it."""
        question = self.next
        if question is None:
            return
        text = text.strip()
        if not text and question.required:
            raise OptionError(say("ask.required").pick(self.lang))
        if text:
            question.check(text)
        self.answers[question.key] = text
        self._save()

    def undo(self) -> None:
        """Remove the last answer."""
        if self.answers:
            self.answers.popitem()
            self._save()

    def _save(self) -> None:
        write_whole(self.path, json.dumps(self.answers, indent=1, ensure_ascii=False).encode())
        if self.answers.get("occupation"):
            write_whole(self.me, to_toml(self.answers, self.lang, self.atlas).encode())


def ask_at_terminal(
    interview: Interview, read_line: Callable[[], str | None], show: Callable[[str], None]
) -> None:
    """Ask until every question is answered or the input ends; `u` undoes the last answer, `q` stops for now."""
    show(say("ask.keys").pick(interview.lang))
    while (question := interview.next) is not None:
        answered, total = interview.progress
        show(f"\n[{answered + 1}/{total}] {question.text.pick(interview.lang)}")
        text = read_line()
        command = "q" if text is None else text.strip().lower()
        if text is None or command == "q":
            show(say("ask.saved", path=interview.path).pick(interview.lang))
            return
        if command == "u":
            interview.undo()
            continue
        try:
            interview.answer(text)
        except TolerateError as error:
            show(f"! {error}")
    show(interview.next_command)


# The questions


def all_questions(atlas: Atlas, answers: Mapping[str, str]) -> Iterator[InterviewQuestion]:
    """The questions in order; later ones depend on the answers to earlier ones."""
    yield InterviewQuestion(
        "occupation", say("ask.occupation"), lambda text: find_occupation(atlas, text), required=True
    )
    if not answers.get("occupation"):
        return
    for task in _interview_tasks(atlas, find_occupation(atlas, answers["occupation"])):
        yield from _task_questions(task, answers)
    yield from _person_questions()


def _person_questions() -> Iterator[InterviewQuestion]:
    yield InterviewQuestion("harm.slip", say("ask.slip"), _parse_positive)
    yield InterviewQuestion("harm.worst", say("ask.worst"), _parse_positive)
    yield InterviewQuestion(
        "work.human_error", say("ask.human_error"), lambda text: _parse_between(text, 0, 100)
    )
    names = [graph()[skill].name.zh for skill in COMMON_SKILLS]
    skills = Both(", ".join(COMMON_SKILLS), "、".join(names))
    yield InterviewQuestion(
        "learning.known",
        say("ask.skills", skills=skills),
        lambda text: find_skills(graph(), _split_list(text)),
    )
    yield InterviewQuestion(
        "learning.hours_a_week", say("ask.hours"), lambda text: _parse_between(text, 0.5, 100)
    )
    yield InterviewQuestion("wishes.pay", say("ask.pay"), _parse_positive)
    yield InterviewQuestion("wishes.tolerance", say("ask.tolerance"), _parse_tolerance_wish)


def _interview_tasks(atlas: Atlas, occupation: Occupation) -> list[OnetTask]:
    return sorted(atlas.tasks.get(occupation.code, ()), key=lambda task: not task.core)[:MAX_TASKS]


def _task_questions(task: OnetTask, answers: Mapping[str, str]) -> Iterator[InterviewQuestion]:
    """How many hours a task takes; if it takes any, its severity, gates and measured errors."""
    key = f"task.{task.id}"
    yield InterviewQuestion(
        f"{key}.share", say("ask.share", task=task.name), lambda text: _parse_between(text, 0, 100)
    )
    if not _does_task(answers.get(f"{key}.share", "")):
        return
    yield InterviewQuestion(f"{key}.severity", say("ask.severity"), lambda text: _parse_between(text, 1, 5))
    yield InterviewQuestion(f"{key}.gates", say("ask.gates"), _parse_gates)
    yield InterviewQuestion(f"{key}.measured", say("ask.measured"), _parse_fraction)


def _does_task(hours: str) -> bool:
    return bool(hours) and float(hours) > 0


def _split_list(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[,,、;]", text) if part.strip()]


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise OptionError(f'"{text}" is not a number; expected one such as 0.5 or 3') from None


def _parse_between(text: str, low: float, high: float) -> float:
    value = _parse_number(text)
    if not low <= value <= high:
        raise OptionError(f"{value:g} is outside {low:g} to {high:g}")
    return value


def _parse_positive(text: str) -> float:
    value = _parse_number(text)
    if value <= 0:
        raise OptionError(f"{value:g} is not above 0")
    return value


def _parse_gates(text: str) -> list[str]:
    letters = re.findall(r"\S", text.lower().replace(",", " "))
    for letter in letters:
        if letter not in GATE_LETTERS:
            raise OptionError(f'"{letter}" is none of l, i, p, s')
    return [GATE_LETTERS[letter] for letter in letters]


def _parse_fraction(text: str) -> tuple[int, int]:
    """Wrong and checked items from a text such as 3/200."""
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if not match or int(match[1]) > int(match[2]) or int(match[2]) == 0:
        raise OptionError(f'"{text}" is not wrong/checked; expected numbers such as 3/200')
    return int(match[1]), int(match[2])


def _parse_tolerance_wish(text: str) -> str:
    if text not in TOLERANCES:
        raise OptionError(f'"{text}" is none of them. {hint(text, TOLERANCES)}')
    return text


# The file


def to_toml(answers: Mapping[str, str], lang: str, atlas: Atlas) -> str:
    """The text of me.toml from the answers."""
    lines = [f"occupation = {json.dumps(answers['occupation'], ensure_ascii=False)}", f'lang = "{lang}"']
    for section, keys in SECTION_KEYS.items():
        values = {key: answers.get(f"{section}.{key}") for key in keys}
        settings = [f"{key} = {_toml_value(key, text)}" for key, text in values.items() if text]
        if settings:
            lines += ["", f"[{section}]", *settings]
    for task in _interview_tasks(atlas, find_occupation(atlas, answers["occupation"])):
        lines += _task_lines(task, answers)
    return "\n".join(lines) + "\n"


def _task_lines(task: OnetTask, answers: Mapping[str, str]) -> list[str]:
    """The [[task]] of me.toml; nothing if the person does not do it."""
    share, severity, gates, measured = (
        answers.get(f"task.{task.id}.{name}", "") for name in ("share", "severity", "gates", "measured")
    )
    if not _does_task(share):
        return []
    lines = ["", "[[task]]", f'id = "{task.id}"  # {task.text[:80]}', f"share = {float(share):g}"]
    if severity:
        lines.append(f"severity = {float(severity):g}")
    lines += [f"{gate} = true" for gate in dict.fromkeys(_parse_gates(gates))]
    if measured:
        wrong, checked = _parse_fraction(measured)
        lines += [f"errors = {wrong}", f"checked = {checked}"]
    return lines


def _toml_value(key: str, text: str) -> str:
    if key == "human_error":
        return f"{float(text) / 100:g}"
    if key == "known":
        return json.dumps(sorted(find_skills(graph(), _split_list(text))))
    return json.dumps(text) if key == "tolerance" else f"{float(text):g}"
