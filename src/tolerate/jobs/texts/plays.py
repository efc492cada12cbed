"""Write the next line of a play after the lines before it: tiny Shakespeare, character by character.

Wrong is a line with a word that is no English by a dictionary check, one that is no line (empty, without an end, a
speaker's name alone), or one that is copied: whole, or over a long stretch, from what the writers learned. Whether it
makes sense, no check here says. The split is the published one: nothing of the last tenth is learned from.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from tolerate.base.arrays import Ints
from tolerate.checks.texts.english import English, words_of
from tolerate.errors import DataError
from tolerate.jobs.texts.options import SCORE_OPTIONS
from tolerate.jobs.texts.task import Pair, SeededText, TextTask, TextVerdict
from tolerate.jobs.texts.workshop import TextWorkshop
from tolerate.messages.catalogue import joined, message
from tolerate.records import Job, Prices
from tolerate.refine.texts.copied import Copied
from tolerate.runs.plan import RunPlan
from tolerate.runs.progress import ProgressReporter

CUTS = {"generator": 0.85, "judge": 0.9, "asked": 1.0}  # where each part ends, as a share of the text
GIVEN = 80  # characters of the lines before, at most
LONGEST = 75  # characters of a line, at most
COPY = 25  # characters: a shared stretch of so many counts as copied; one real line in a thousand has one
WHOLE = 4  # words: a whole line of so many counts as copied; "I am content." does not
SPEAKER = re.compile(r"[A-Z][\w' ]*:")

JOB = Job(
    name="plays",
    title={"en": "Write the next line of a play", "zh": "续写剧本的下一行"},
    workshop="tolerate.jobs.texts.plays:open_plays",
    tolerance=0.3,
    confidence=0.95,
    tolerances=(0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02),
    models=("counts", "transformer", "blend"),
    refine=("plain", "best-of-8", "best-of-8+no-copies", "best-of-8+rules+no-copies"),
    labels=1000,
    proof=600,
    prices=Prices.per_million(review_seconds=10, dollars_an_hour=18),
    check="dictionary",
    judge="verifier",
    example="tolerate run plays --data FOLDER",
    steps={"transformer": 1200, "lstm": 1000, "blend": 600},
    modality="texts",
    options=SCORE_OPTIONS,
)


def open_plays(plan: RunPlan, folder: Path, reporter: ProgressReporter) -> TextWorkshop:
    """The workshop of lines of a play."""
    return TextWorkshop(plan, folder, reporter, lambda: Plays(plan.data, plan.options.seed))


def read_play(path: Path) -> tuple[str, str]:
    """The text of a play and the hash of its file.

    path: a text file, or a folder with input.txt.
    """
    path = path / "input.txt" if path.is_dir() else path
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a play: {error}; expected UTF-8 text") from None
    lines = text.split("\n")
    cast = cast_of(lines)
    spoken = sum(is_spoken(line, cast) for line in lines)
    if spoken < 1000:
        raise DataError(f"{path} holds {spoken} spoken lines; expected at least 1,000 to learn from")
    return text, hashlib.sha256(data).hexdigest()


def cast_of(lines: Sequence[str]) -> frozenset[str]:
    """Who speaks: the lines of a name and a colon that nothing stands before.

    >>> sorted(cast_of(["All:", "Speak, speak.", "He says:", "", "First Citizen:", "You are all resolved."]))
    ['All:', 'First Citizen:']
    """
    before = ["", *lines[:-1]]
    return frozenset(
        line for line, last in zip(lines, before, strict=True) if not last.strip() and SPEAKER.fullmatch(line)
    )


def is_spoken(line: str, cast: frozenset[str]) -> bool:
    """Whether a line is spoken: not empty, not a speaker's name, and no longer than a line is.

    >>> [is_spoken(line, frozenset({"First Citizen:"})) for line in ("First Citizen:", "", "Speak, speak.")]
    [False, False, True]
    """
    return 0 < len(line.strip()) <= LONGEST and line not in cast


class Plays(TextTask):
    """Places in a play, dealt to purposes by where they stand; a request is the number of a line."""

    name = "tiny Shakespeare"
    limit = LONGEST + 5
    decoding = {"temperature": 0.8, "top_p": 0.95}  # noqa: RUF012
    reads_characters = True
    learns_prompts = True
    rubric = "The line is good English of Shakespeare's time, follows from the lines before it, and is no quotation."
    model_options = {  # noqa: RUF012
        "transformer": {"width": 64, "layers": 2, "heads": 2, "hashed": 2048, "table_rate": 0.015},
    }
    assumptions = (
        {
            "en": "The population is the spoken lines of the play's last tenth, each as likely as the other, asked for "
            "after the lines that stand before it there.",
            "zh": "总体是剧本最后十分之一中的台词行，每行机会相同；给出其前文，要求续写该行。",
        },
    )

    def __init__(self, path: Path, seed: int = 0) -> None:
        self.path, self.seed = path, seed

    @cached_property
    def _read(self) -> tuple[str, str]:
        return read_play(self.path)

    @property
    def sha256(self) -> str:
        """Of the file."""
        return self._read[1]

    @cached_property
    def lines(self) -> list[str]:
        """All lines, as they stand."""
        return self._read[0].split("\n")

    @cached_property
    def cast(self) -> frozenset[str]:
        """Who speaks in the play."""
        return cast_of(self.lines)

    @cached_property
    def parts(self) -> dict[str, Ints]:
        """Which spoken lines are for what; the lines before each are of its own part."""
        ends = np.cumsum([len(line) + 1 for line in self.lines])
        edges = [0, *(int(np.searchsorted(ends, share * ends[-1])) for share in CUTS.values())]
        return {
            name: np.array(
                [at for at in range(first + 4, last) if is_spoken(self.lines[at], self.cast)], dtype=np.int64
            )
            for name, first, last in zip(CUTS, edges[:-1], edges[1:], strict=True)
        }

    @property
    def sizes(self) -> dict[str, int]:
        """Spoken lines by purpose."""
        return {name: len(part) for name, part in self.parts.items()}

    def requests(self, n: int, seed: int, part: str = "asked") -> Ints:
        """n places of a part, drawn independently."""
        return np.random.default_rng(seed).choice(self.parts[part], n)

    def prompt(self, request: int) -> str:
        """The lines before: as many as fit, four at most."""
        given: list[str] = []
        for line in reversed(self.lines[max(0, int(request) - 4) : int(request)]):
            if sum(map(len, given)) + len(given) + len(line) > GIVEN:
                break
            given.insert(0, line)
        return "\n".join(given)

    def pairs(self, n: int, seed: int) -> list[Pair]:
        """Every spoken line of the writers' part, after those before it."""
        return [Pair(self.prompt(at), self.lines[at]) for at in self.parts["generator"].tolist()]

    def held_out_pairs(self, n: int, seed: int) -> list[Pair]:
        """Lines of the asked part."""
        return [Pair(self.prompt(at), self.lines[at]) for at in self.requests(n, seed).tolist()]

    # The check

    @cached_property
    def learned(self) -> list[str]:
        """The spoken lines that the writers learned."""
        return [self.lines[at] for at in self.parts["generator"].tolist()]

    @cached_property
    def english(self) -> English:
        """Words of what was learned and of the cast, and modern ones."""
        return English([*self.lines[: int(self.parts["generator"][-1]) + 1], *self.cast])

    @cached_property
    def copied(self) -> Copied:
        """What was learned as one text, so that a stretch over the end of a line counts too."""
        return Copied([flat(" ".join(self.learned))])

    @cached_property
    def whole_lines(self) -> frozenset[str]:
        """The lines that were learned, without what does not matter."""
        return frozenset(flat(line) for line in self.learned)

    def check(self, text: str, request: int) -> TextVerdict:
        """English words, a whole line, and not copied."""
        broken = broken_form(text, self.cast)
        if broken:
            return TextVerdict(True, broken, ((0, len(text)),))
        strange = self.english.unknown_words(text, self.prompt(request))
        copied = self.copy_in(text)
        words = ", ".join(text[start:end] for start, end in strange)
        faults = [message("read.not_english", words=words)] if strange else []
        faults += [message("read.learned", text=text[copied[0] : copied[1]])] if copied else []
        marks = [*strange, *([copied] if copied else [])]
        return TextVerdict(bool(faults), joined(faults) or message("read.english"), tuple(marks))

    def copy_in(self, text: str) -> tuple[int, int] | None:
        """The part of a line that was learned by heart, if there is one."""
        if flat(text) in self.whole_lines and len(words_of(text)) >= WHOLE:
            return 0, len(text)
        return self.copied.stretch(text.lower(), COPY)

    def passes_rule(self, text: str, request: int) -> bool:
        """It is a line, says no word three times in a row, and has a vowel in every word; no dictionary is asked."""
        words = [word.lower() for _, _, word in words_of(text)]
        again = any(one == two == three for one, two, three in zip(words, words[1:], words[2:], strict=False))
        return (
            not broken_form(text, self.cast)
            and not again
            and all(re.search("[aeiouy]", word) for word in words)
        )

    def beyond_copies(self, text: str) -> float:
        """0 where the line, or a long stretch of it, was learned by heart; 1 else."""
        return 0.0 if self.copy_in(text) else 1.0

    def seeded_texts(self, n: int, seed: int) -> Iterator[SeededText]:
        """Real lines that no writer saw, and lines with one fault: a made-up word put in, or one learned by heart.

        The words are spelled by counts of three letters, as a weak writer's are; those of the check's own lists are
        left out, since they may be English.
        """
        rng = np.random.default_rng(seed)
        spelling = spell(self.learned)
        asked, lines = self.parts["asked"], [line for line in self.learned if len(line) >= COPY]
        for at in rng.choice(asked, min(n, len(asked)), replace=False).tolist():
            yield SeededText(self.lines[at], at, wrong=False)
            strange = rng.random() < 0.8
            made = _spoiled(self.lines[at], self.english, spelling, rng) if strange else _one_of(lines, rng)
            yield SeededText(made, at, wrong=True)


def flat(text: str) -> str:
    """A text in lower case with single blanks."""
    return " ".join(text.split()).lower()


def broken_form(text: str, cast: frozenset[str]) -> str:
    """Why a text is no line; empty where it is one.

    >>> [broken_form(text, frozenset({"ROMEO:"})) for text in ("ROMEO:", "?", "Now is the winter")]
    ["a speaker's name, no line", 'says nothing', '']
    """
    line = text.strip()
    if not words_of(line):
        return message("read.nothing")
    if len(line) > LONGEST or "\n" in line:
        return message("read.several_lines")
    named = line in cast or re.fullmatch(r"[A-Z][A-Z' ]+:", line)
    return message("read.speaker") if named else ""


def spell(texts: Sequence[str]) -> dict[str, list[str]]:
    """What follows two letters inside the words of some texts; "^" begins a word, "$" ends it."""
    found: dict[str, list[str]] = {}
    for text in texts:
        for _, _, word in words_of(text):
            signs = f"^^{word.lower()}$"
            for at in range(2, len(signs)):
                found.setdefault(signs[at - 2 : at], []).append(signs[at])
    return found


def made_up(spelling: dict[str, list[str]], rng: np.random.Generator) -> str:
    """A word of at least three letters, letter by letter."""
    while True:
        word = "^^"
        while not word.endswith("$") and len(word) < 20:
            word += _one_of(spelling[word[-2:]], rng)
        if len(word) >= 6 and word.endswith("$"):
            return word[2:-1]


def _one_of(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _spoiled(line: str, english: English, spelling: dict[str, list[str]], rng: np.random.Generator) -> str:
    """The line with one word made up, such that no list has it."""
    words = words_of(line)
    start, end, _ = words[int(rng.integers(len(words)))] if words else (0, len(line), "")
    while (word := made_up(spelling, rng)) in english.words:
        continue
    return line[:start] + word + line[end:]
