"""The questions, one by one: the same ones at the terminal and at a page; every answer is on the disk at once.

Enter leaves a question out, and the plan then says what it assumed. Nothing is asked about protected traits.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tolerate.base.files import write_whole
from tolerate.careers.data.atlas import Atlas, Occupation, Task
from tolerate.careers.data.skills import graph, named
from tolerate.careers.data.titles import find
from tolerate.errors import OptionError, RunError, TolerateError
from tolerate.messages.both import Both

TASKS = 8  # of the occupation that are asked about
GATE_KEYS = {"l": "licensed", "i": "irreversible", "p": "physical", "s": "personal"}


@dataclass(frozen=True)
class Question:
    """One question: its key among the answers, its words, and what an answer must be like."""

    key: str
    words: Both
    check: Callable[[str], object]
    needed: bool = False


class Interview:
    """Answers so far, kept beside me.toml, and the question that comes next."""

    def __init__(self, atlas: Atlas, me: Path, lang: str = "en") -> None:
        self.atlas, self.me, self.lang = atlas, me, lang
        self.path = me.with_suffix(".answers.json")
        self.answers: dict[str, str] = self._read()
        if not self.answers and me.exists():
            raise RunError(
                f"{me} is there already and was not made by these questions; give another name with --me"
            )

    def _read(self) -> dict[str, str]:
        if not self.path.exists():
            return {}
        try:
            return {str(key): str(value) for key, value in json.loads(self.path.read_text("utf-8")).items()}
        except (ValueError, AttributeError):
            raise RunError(f"{self.path} is damaged; delete it to begin again") from None

    @property
    def questions(self) -> list[Question]:
        """All questions that the answers so far lead to."""
        return list(_questions(self.atlas, self.answers))

    @property
    def next(self) -> Question | None:
        """The first question without an answer."""
        return next((each for each in self.questions if each.key not in self.answers), None)

    @property
    def asks(self) -> str | None:
        """The next question in the person's language."""
        question = self.next
        return None if question is None else question.words.pick(self.lang)

    @property
    def place(self) -> tuple[int, int]:
        """How many answers there are, and how many questions they lead to."""
        return len(self.answers), len(self.questions)

    @property
    def following(self) -> str:
        """The command that makes a plan of the answers."""
        return f"{'下一步：' if self.lang == 'zh' else 'next: '}tolerate career plan --me {self.me}"

    def answer(self, text: str) -> None:
        """Take an answer to the next question; OptionError says what is wrong with it."""
        question = self.next
        if question is None:
            return
        text = text.strip()
        if not text and question.needed:
            raise OptionError("this one needs an answer" if self.lang == "en" else "这一项必须回答")
        if text:
            question.check(text)
        self.answers[question.key] = text
        self._keep()

    def undo(self) -> None:
        """Take the last answer back."""
        if self.answers:
            self.answers.popitem()
            self._keep()

    def _keep(self) -> None:
        write_whole(self.path, json.dumps(self.answers, indent=1, ensure_ascii=False).encode())
        if self.answers.get("occupation"):
            write_whole(self.me, to_toml(self.answers, self.lang, self.atlas).encode())


def at_terminal(talk: Interview, line: Callable[[], str | None], tell: Callable[[str], None]) -> None:
    """Ask until nothing is left, or the input ends; `u` takes the last answer back, `q` stops for now."""
    zh = talk.lang == "zh"
    tell(
        "回车跳过，u 改上一个，q 暂停。数据不离开本机。"
        if zh
        else "Enter skips, u changes the last, q stops for now. Nothing leaves this machine."
    )
    while (question := talk.next) is not None:
        tell(f"\n[{len(talk.answers) + 1}/{len(talk.questions)}] {question.words.pick(talk.lang)}")
        text = line()
        if text is None or text.strip().lower() == "q":
            tell(
                f"已保存在 {talk.path}；再次运行同一命令即可继续"
                if zh
                else f"kept in {talk.path}; the same command continues"
            )
            return
        if text.strip().lower() == "u":
            talk.undo()
            continue
        try:
            talk.answer(text)
        except TolerateError as error:
            tell(f"! {error}")
    tell(talk.following)


# The questions


def _questions(atlas: Atlas, answers: dict[str, str]) -> Iterator[Question]:
    yield Question(
        "occupation",
        Both(
            "What is your occupation? Any title, in English or Chinese.", "您的职业是什么？中英文名称均可。"
        ),
        lambda text: find(atlas, text),
        needed=True,
    )
    if not answers.get("occupation"):
        return
    occupation = find(atlas, answers["occupation"])
    for task in _asked(atlas, occupation):
        yield from _of_task(task, answers)
    yield Question(
        "harm.slip",
        Both(
            "A typical slip that nobody catches: how many hours does it cost? (such as 0.5)",
            "一个没人发现的一般差错，代价几小时？（如 0.5）",
        ),
        _positive,
    )
    yield Question(
        "harm.worst",
        Both(
            "The worst error that nobody catches: how many hours does it cost? (such as 200)",
            "最坏的、没人发现的错误，代价几小时？（如 200）",
        ),
        _positive,
    )
    yield Question(
        "work.human_error",
        Both(
            "Of 100 pieces that you do by hand, how many turn out wrong? (such as 2)",
            "您亲手做 100 件，有几件出错？（如 2）",
        ),
        lambda text: _between(text, 0, 100),
    )
    yield Question(
        "learning.known",
        Both(
            "Which of these skills do you have? Names separated by commas: " + ", ".join(_common()),
            "您已掌握哪些技能？用逗号分隔：" + "、".join(graph()[name].name.zh for name in _common()),
        ),
        lambda text: named(graph(), _list(text)),
    )
    yield Question(
        "learning.hours_a_week",
        Both("How many hours a week can you learn?", "每周能学习几小时？"),
        lambda text: _between(text, 0.5, 100),
    )
    yield Question(
        "wishes.pay",
        Both(
            "What should a move pay at least, as a share of today? (such as 0.75; 1 is the same)",
            "转换职业时薪酬至少为目前的几倍？（如 0.75；1 为相同）",
        ),
        _positive,
    )
    yield Question(
        "wishes.tolerance",
        Both(
            "Should a next occupation be similar, stricter, tolerant, or any?",
            "下一份职业应当 similar（相近）、stricter（更严格）、tolerant（更宽松）还是 any（不限）？",
        ),
        _tolerance,
    )


def _asked(atlas: Atlas, occupation: Occupation) -> list[Task]:
    return sorted(atlas.tasks.get(occupation.code, ()), key=lambda task: not task.core)[:TASKS]


def _of_task(task: Task, answers: dict[str, str]) -> Iterator[Question]:
    at, name = f"task.{task.id}", task.name
    yield Question(
        f"{at}.share",
        Both(
            f"{name.en}\nHow many hours a week? (0 or Enter if it is not yours)",
            f"{name.zh}\n每周几小时？（不属于您则填 0 或回车）",
        ),
        lambda text: _between(text, 0, 100),
    )
    if not _mine(answers.get(f"{at}.share", "")):
        return
    yield Question(
        f"{at}.severity",
        Both(
            "How serious is an error of it that nobody catches? "
            "1 not at all, 2 fairly, 3 serious, 4 very, 5 extremely",
            "其中没人发现的错误有多严重？1 不严重，2 较轻，3 严重，4 很严重，5 极严重",
        ),
        lambda text: _between(text, 1, 5),
    )
    yield Question(
        f"{at}.gates",
        Both(
            "Does any of these hold? l a licensed act, i cannot be "
            "undone, p physical, s strongly interpersonal (such as: i s)",
            "是否符合以下任一项？l 需持证，i 不可逆，p 体力或现场，s 高度人际（如：i s）",
        ),
        _gates,
    )
    yield Question(
        f"{at}.measured",
        Both(
            "Has the machine's work been checked? Wrong ones "
            "/ checked ones, such as 3/200; Enter if nobody has",
            "机器所做是否检查过？填 出错数/检查数，如 3/200；未检查则回车",
        ),
        _fraction,
    )


def _common() -> tuple[str, ...]:
    return (
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


def _mine(text: str) -> bool:
    return bool(text) and float(text) > 0


def _list(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[,,、;]", text) if part.strip()]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise OptionError(f'"{text}" is no number; such as 0.5 or 3') from None


def _between(text: str, low: float, high: float) -> float:
    value = _number(text)
    if not low <= value <= high:
        raise OptionError(f"{value:g} is outside {low:g} to {high:g}")
    return value


def _positive(text: str) -> float:
    value = _number(text)
    if value <= 0:
        raise OptionError(f"{value:g} is not above 0")
    return value


def _gates(text: str) -> list[str]:
    keys = re.findall(r"\S", text.lower().replace(",", " "))
    for key in keys:
        if key not in GATE_KEYS:
            raise OptionError(f'"{key}" is none of l, i, p, s')
    return [GATE_KEYS[key] for key in keys]


def _fraction(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if not found or int(found[1]) > int(found[2]) or int(found[2]) == 0:
        raise OptionError(f'"{text}" is not wrong/checked; such as 3/200')
    return int(found[1]), int(found[2])


def _tolerance(text: str) -> str:
    from tolerate.careers.person.me import TOLERANCES
    from tolerate.errors import hint

    if text not in TOLERANCES:
        raise OptionError(f'"{text}" is none of them. {hint(text, TOLERANCES)}')
    return text


# The file


def to_toml(answers: dict[str, str], lang: str, atlas: Atlas) -> str:
    """me.toml from the answers."""
    lines = [f"occupation = {json.dumps(answers['occupation'], ensure_ascii=False)}", f'lang = "{lang}"']
    for part, keys in {
        "harm": ("slip", "worst"),
        "work": ("human_error",),
        "wishes": ("pay", "tolerance"),
        "learning": ("known", "hours_a_week"),
    }.items():
        given = [(key, answers[f"{part}.{key}"]) for key in keys if answers.get(f"{part}.{key}")]
        if given:
            lines += ["", f"[{part}]", *(f"{key} = {_toml(key, text)}" for key, text in given)]
    for task in _asked(atlas, find(atlas, answers["occupation"])):
        at = f"task.{task.id}"
        if not _mine(answers.get(f"{at}.share", "")):
            continue
        lines += [
            "",
            "[[task]]",
            f'id = "{task.id}"  # {task.text[:80]}',
            f"share = {float(answers[f'{at}.share']):g}",
        ]
        if answers.get(f"{at}.severity"):
            lines.append(f"severity = {float(answers[f'{at}.severity']):g}")
        lines += [f"{gate} = true" for gate in dict.fromkeys(_gates(answers.get(f"{at}.gates", "")))]
        if answers.get(f"{at}.measured"):
            wrong, checked = _fraction(answers[f"{at}.measured"])
            lines += [f"errors = {wrong}", f"checked = {checked}"]
    return "\n".join(lines) + "\n"


def _toml(key: str, text: str) -> str:
    if key == "human_error":
        return f"{float(text) / 100:g}"
    if key == "known":
        return json.dumps(sorted(named(graph(), _list(text))))
    return json.dumps(text) if key == "tolerance" else f"{float(text):g}"
