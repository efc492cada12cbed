"""Write the next line of a play after the lines before it: tiny Shakespeare, character by character.

A line is wrong if it has a word that is no English by a dictionary, if it is no line (empty, without an end, a
speaker's name alone), or if it is copied, as a whole or over a long stretch, from the lines that the writers learned.
Whether it makes sense is not checked. The split is the published one: nothing of the last tenth is learned from.
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
from tolerate.jobs.texts.task import DividedTask, Pair, SeededText, TextVerdict
from tolerate.jobs.texts.workshop import TextWorkshop
from tolerate.messages.catalogue import joined, message
from tolerate.records import Job, Prices
from tolerate.refine.texts.copied import Copied
from tolerate.runs.plan import RunPlan
from tolerate.runs.progress import ProgressReporter

PART_ENDS = {"generator": 0.85, "judge": 0.9, "asked": 1.0}  # where each part ends, as a share of the text
MAX_CONTEXT_CHARACTERS = 80  # of the lines before
MAX_LINE_CHARACTERS = 75
MIN_COPY_CHARACTERS = (
    25  # characters: a shared stretch of so many counts as copied; one real line in a thousand has one
)
MIN_COPIED_LINE_WORDS = 4  # of a line that counts as copied; "I am content." does not
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
    speakers = speakers_of(lines)
    spoken = sum(is_spoken(line, speakers) for line in lines)
    if spoken < 1000:
        raise DataError(f"{path} holds {spoken} spoken lines; expected at least 1,000 to learn from")
    return text, hashlib.sha256(data).hexdigest()


def speakers_of(lines: Sequence[str]) -> frozenset[str]:
    """The speakers: lines of a name and a colon after an empty line.

    >>> sorted(speakers_of(["All:", "Speak, speak.", "He says:", "", "First Citizen:", "You are all resolved."]))
    ['All:', 'First Citizen:']
    """
    previous_lines = ["", *lines[:-1]]
    pairs = zip(lines, previous_lines, strict=True)
    return frozenset(line for line, previous in pairs if not previous.strip() and SPEAKER.fullmatch(line))


def is_spoken(line: str, speakers: frozenset[str]) -> bool:
    """Whether a line is spoken: not empty, not a speaker's name, and not too long.

    >>> [is_spoken(line, frozenset({"First Citizen:"})) for line in ("First Citizen:", "", "Speak, speak.")]
    [False, False, True]
    """
    return 0 < len(line.strip()) <= MAX_LINE_CHARACTERS and line not in speakers


class Plays(DividedTask):
    """The lines of a play, divided by purpose in their order; a request is the number of a line."""

    name = "tiny Shakespeare"
    limit = MAX_LINE_CHARACTERS + 5
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
        """The SHA-256 of the file."""
        return self._read[1]

    @cached_property
    def lines(self) -> list[str]:
        """All lines of the file."""
        return self._read[0].split("\n")

    @cached_property
    def speakers(self) -> frozenset[str]:
        """The speakers of the play."""
        return speakers_of(self.lines)

    @cached_property
    def parts(self) -> dict[str, Ints]:
        """The numbers of the spoken lines by purpose; the lines before each belong to the same part."""
        ends = np.cumsum([len(line) + 1 for line in self.lines])
        edges = [0, *(int(np.searchsorted(ends, share * ends[-1])) for share in PART_ENDS.values())]
        return {
            name: np.array(
                [index for index in range(start + 4, end) if is_spoken(self.lines[index], self.speakers)],
                dtype=np.int64,
            )
            for name, start, end in zip(PART_ENDS, edges[:-1], edges[1:], strict=True)
        }

    def prompt(self, request: int) -> str:
        """The lines before it: as many as fit, four at most."""
        context: list[str] = []
        for line in reversed(self.lines[max(0, int(request) - 4) : int(request)]):
            if sum(map(len, context)) + len(context) + len(line) > MAX_CONTEXT_CHARACTERS:
                break
            context.insert(0, line)
        return "\n".join(context)

    def pairs(self, n: int, seed: int) -> list[Pair]:
        """The spoken lines of the generator's part, each with the lines before it as prompt."""
        return [Pair(self.prompt(index), self.lines[index]) for index in self.parts["generator"].tolist()]

    def held_out_pairs(self, n: int, seed: int) -> list[Pair]:
        """Lines of the asked part."""
        return [Pair(self.prompt(index), self.lines[index]) for index in self.requests(n, seed).tolist()]

    # The check

    @cached_property
    def learned_lines(self) -> list[str]:
        """The spoken lines that the writers learned."""
        return [self.lines[index] for index in self.parts["generator"].tolist()]

    @cached_property
    def english(self) -> English:
        """The dictionary: words of the learned lines and of the speakers, and modern ones."""
        return English([*self.lines[: int(self.parts["generator"][-1]) + 1], *self.speakers])

    @cached_property
    def copy_search(self) -> Copied:
        """Finds stretches of the learned lines, also over the end of a line."""
        return Copied([flatten(" ".join(self.learned_lines))])

    @cached_property
    def flat_lines(self) -> frozenset[str]:
        """The learned lines in lower case with single blanks."""
        return frozenset(flatten(line) for line in self.learned_lines)

    def check(self, text: str, request: int) -> TextVerdict:
        """Wrong if it is no line, has a word that is no English, or is copied."""
        form_fault = find_form_fault(text, self.speakers)
        if form_fault:
            return TextVerdict(True, form_fault, ((0, len(text)),))
        unknown = self.english.unknown_words(text, self.prompt(request))
        copied = self.find_copy(text)
        words = ", ".join(text[start:end] for start, end in unknown)
        faults = [message("read.not_english", words=words)] if unknown else []
        faults += [message("read.learned", text=text[copied[0] : copied[1]])] if copied else []
        marks = [*unknown, *([copied] if copied else [])]
        return TextVerdict(bool(faults), joined(faults) or message("read.english"), tuple(marks))

    def find_copy(self, text: str) -> tuple[int, int] | None:
        """The span of a line that was copied from the learned ones, if there is one."""
        if flatten(text) in self.flat_lines and len(words_of(text)) >= MIN_COPIED_LINE_WORDS:
            return 0, len(text)
        return self.copy_search.stretch(text.lower(), MIN_COPY_CHARACTERS)

    def passes_rule(self, text: str, request: int) -> bool:
        """Whether it is a line with no word three times in a row and a vowel in every word; no dictionary is used."""
        words = [word.lower() for _, _, word in words_of(text)]
        is_repetitive = any(
            first == second == third
            for first, second, third in zip(words, words[1:], words[2:], strict=False)
        )
        return (
            not find_form_fault(text, self.speakers)
            and not is_repetitive
            and all(re.search("[aeiouy]", word) for word in words)
        )

    def beyond_copies(self, text: str) -> float:
        """0 where the line, or a long stretch of it, is copied from the learned ones; else 1."""
        return 0.0 if self.find_copy(text) else 1.0

    def seeded_texts(self, n: int, seed: int) -> Iterator[SeededText]:
        """Real lines that no writer saw, and lines with one fault: an invented word, or a line copied as a whole.

        The words are spelled by counts of three letters, as those of a weak writer are; words in the check's own lists
        are excluded, since they may be English.
        """
        rng = np.random.default_rng(seed)
        contexts = letter_contexts(self.learned_lines)
        indices = self.parts["asked"]
        long_lines = [line for line in self.learned_lines if len(line) >= MIN_COPY_CHARACTERS]
        for index in rng.choice(indices, min(n, len(indices)), replace=False).tolist():
            line = self.lines[index]
            yield SeededText(line, index, wrong=False)
            is_misspelled = rng.random() < 0.8
            faulty = (
                _misspell(line, self.english, contexts, rng) if is_misspelled else _choose(long_lines, rng)
            )
            yield SeededText(faulty, index, wrong=True)


def flatten(text: str) -> str:
    """A text in lower case with single blanks."""
    return " ".join(text.split()).lower()


def find_form_fault(text: str, speakers: frozenset[str]) -> str:
    """The reason why a text is not a line of a play; empty where it is one.

    >>> [find_form_fault(text, frozenset({"ROMEO:"})) for text in ("ROMEO:", "?", "Now is the winter")]
    ["a speaker's name, no line", 'says nothing', '']
    """
    line = text.strip()
    if not words_of(line):
        return message("read.nothing")
    if len(line) > MAX_LINE_CHARACTERS or "\n" in line:
        return message("read.several_lines")
    is_speaker = line in speakers or re.fullmatch(r"[A-Z][A-Z' ]+:", line)
    return message("read.speaker") if is_speaker else ""


def letter_contexts(texts: Sequence[str]) -> dict[str, list[str]]:
    """The letters that follow two letters in the words of some texts; "^" begins a word, "$" ends it."""
    followers: dict[str, list[str]] = {}
    for text in texts:
        for _, _, word in words_of(text):
            letters = f"^^{word.lower()}$"
            for index in range(2, len(letters)):
                followers.setdefault(letters[index - 2 : index], []).append(letters[index])
    return followers


def invent_word(contexts: dict[str, list[str]], rng: np.random.Generator) -> str:
    """A word of at least three letters, letter by letter."""
    while True:
        word = "^^"
        while not word.endswith("$") and len(word) < 20:
            word += _choose(contexts[word[-2:]], rng)
        if len(word) >= 6 and word.endswith("$"):
            return word[2:-1]


def _choose(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _misspell(line: str, english: English, contexts: dict[str, list[str]], rng: np.random.Generator) -> str:
    """The line with one word made up, such that no list has it."""
    words = words_of(line)
    start, end, _ = words[int(rng.integers(len(words)))] if words else (0, len(line), "")
    while (word := invent_word(contexts, rng)) in english.words:
        continue
    return line[:start] + word + line[end:]
