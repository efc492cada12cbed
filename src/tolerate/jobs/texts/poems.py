"""Write a Chinese quatrain to a title, in the form that is asked for: four lines of five or of seven characters.

A poem is wrong if its form is broken (lines, length, signs), if its second and fourth line do not rhyme, if it uses one
rhyme word twice, says a line twice, or has a whole line from a poem it learned. Its quality is not checked.

Writers read the title, the form and a random rhyme, so that at the second line they know how the fourth is to end.
They learn from quatrains and from both halves of poems of eight lines, which rhyme in the same way (絕句 means "cut
verse").

Whether a poem has its form can be seen by everyone. So `rules` uses half of the check itself, and a certificate of
`+rules+no-copies` adds little; those without it say what the writer alone can be trusted with.
"""

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tolerate.base.arrays import Ints
from tolerate.checks.own_error import OwnError
from tolerate.checks.texts.rhyme import groups_of, rhymes
from tolerate.errors import DataError
from tolerate.jobs.texts.options import SCORE_OPTIONS
from tolerate.jobs.texts.task import DividedTask, Pair, TextVerdict, split_shares
from tolerate.jobs.texts.workshop import TextWorkshop
from tolerate.messages.catalogue import joined, message
from tolerate.records import Job, Prices
from tolerate.refine.texts.copied import Copied
from tolerate.runs.plan import RunPlan
from tolerate.runs.progress import ProgressReporter

FORMS = {5: "五言", 7: "七言"}
PART_SHARES = {"generator": 0.8, "judge": 0.05, "asked": 0.15}
CHARACTER = r"[\u3400-\u9fff]"
RHYMES = "麻波皆支姑魚開微豪尤寒文唐庚"  # a sign for each group of `checks.rhyme`
MIN_CHARACTER_COUNT = 5
NO_RHYME = "無"  # where a learned poem's ends do not rhyme today

JOB = Job(
    name="poems",
    title={"en": "Write a Chinese quatrain to a title", "zh": "按题写绝句"},
    workshop="tolerate.jobs.texts.poems:open_poems",
    tolerance=0.2,
    confidence=0.95,
    tolerances=(0.5, 0.3, 0.2, 0.1, 0.05, 0.02),
    models=("transformer", "lstm"),
    refine=("plain", "best-of-8", "best-of-8+no-copies", "best-of-8+rules+no-copies"),
    labels=800,
    proof=500,
    prices=Prices.per_million(review_seconds=30, dollars_an_hour=18),
    check="form",
    judge="verifier",
    example="tolerate run poems --data FILE",
    steps={"transformer": 1500, "lstm": 800},
    modality="texts",
    options=SCORE_OPTIONS,
)


def open_poems(plan: RunPlan, folder: Path, reporter: ProgressReporter) -> TextWorkshop:
    """The workshop of quatrains."""
    return TextWorkshop(plan, folder, reporter, lambda: Poems(plan.data, plan.options.seed))


@dataclass(frozen=True)
class Poem:
    """A quatrain: its title, and its lines without signs."""

    title: str
    lines: tuple[str, ...]

    @property
    def length(self) -> int:
        """Characters of a line."""
        return len(self.lines[0])

    @property
    def rhyme(self) -> str:
        """The sign of the rhyme of the second and the fourth line; NO_RHYME if they do not rhyme in Mandarin.

        >>> Poem("", ("床前明月光", "疑是地上霜", "舉頭望明月", "低頭思故鄉")).rhyme
        '唐'
        """
        shared = groups_of(self.lines[1][-1]) & groups_of(self.lines[3][-1])
        return RHYMES[min(shared)] if shared else NO_RHYME

    def __str__(self) -> str:
        return "，".join(self.lines[:2]) + "。" + "，".join(self.lines[2:]) + "。"


@dataclass(frozen=True)
class Anthology:
    """Quatrains, the halves of poems of eight lines, and the hash of the file."""

    poems: tuple[Poem, ...]
    halves: tuple[Poem, ...]
    sha256: str


def read_poems(path: Path) -> Anthology:
    """The poems in JSON lines (title, lines), gzipped or not.

    path: the file, or a folder with poems.jsonl.gz.
    """
    path = path / "poems.jsonl.gz" if path.is_dir() else path
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
        poems_by_record = [_quatrains(json.loads(line)) for line in text.splitlines() if line.strip()]
    except (OSError, EOFError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read as poems ({error!r}); expected JSON lines with title and lines"
        ) from None
    poems, halves = (
        tuple(dict.fromkeys(poem for verses in poems_by_record if len(verses) == lines for poem in verses))
        for lines in (1, 2)
    )
    if len(poems) < 100:
        raise DataError(f"{path} holds {len(poems)} quatrains; expected at least 100 to learn from")
    return Anthology(poems, halves, hashlib.sha256(data).hexdigest())


def _quatrains(record: dict[str, object]) -> list[Poem]:
    """A poem of four lines of five or seven; two halves of one of eight; nothing of any other, nor of songs (詞)."""
    if record.get("kind") == "songci":
        return []
    lines = tuple(re.findall(f"{CHARACTER}+", "".join(map(str, record["lines"]))))  # type: ignore[call-overload]
    title = "".join(re.findall(CHARACTER, str(record["title"])))[:12]
    is_regular = len(lines) in (4, 8) and len({len(line) for line in lines}) == 1 and len(lines[0]) in FORMS
    return (
        [Poem(title, lines[start : start + 4]) for start in range(0, len(lines), 4)]
        if is_regular and title
        else []
    )


class Poems(DividedTask):
    """Quatrains, divided by purpose."""

    name = "Chinese quatrains"
    limit = 40
    decoding = {"temperature": 0.8, "min_p": 0.03}  # noqa: RUF012
    model_options = {  # noqa: RUF012
        "transformer": {"width": 96, "layers": 2, "heads": 3, "hashed": 8192, "table_rate": 0.015},
    }
    assumptions = (
        {
            "en": "The population is titles and forms of the poems kept for asking, each as likely as the other.",
            "zh": "总体是留作提问的诗题与体裁，每题机会相同。",
        },
    )

    def __init__(self, path: Path, seed: int = 0) -> None:
        self.path, self.seed = path, seed

    @cached_property
    def anthology(self) -> Anthology:
        return read_poems(self.path)

    @property
    def poems(self) -> tuple[Poem, ...]:
        """All quatrains."""
        return self.anthology.poems

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file."""
        return self.anthology.sha256

    @cached_property
    def learned_poems(self) -> tuple[Poem, ...]:
        """The poems that writers learn from: the generator's quatrains, and halves that share no line with the others.

        Poems with a character that occurs less than MIN_CHARACTER_COUNT times are excluded: it cannot be learned.
        """
        generator_poems = [self.poems[index] for index in self.parts["generator"].tolist()]
        others = [self.poems[index] for name in ("judge", "asked") for index in self.parts[name].tolist()]
        reserved_lines = {line for poem in others for line in poem.lines}
        halves = [half for half in self.anthology.halves if not reserved_lines & set(half.lines)]
        poems = list(dict.fromkeys([*generator_poems, *halves]))
        counts = Counter(character for poem in poems for character in "".join(poem.lines))
        return tuple(
            poem
            for poem in poems
            if min(counts[character] for character in "".join(poem.lines)) >= MIN_CHARACTER_COUNT
        )

    @cached_property
    def rhymes(self) -> list[str]:
        """The rhymes of the learned poems, as often as they occur."""
        return [poem.rhyme for poem in self.learned_poems if poem.rhyme != NO_RHYME]

    @cached_property
    def parts(self) -> dict[str, Ints]:
        """The indices of the quatrains by purpose."""
        return split_shares(len(self.poems), PART_SHARES, self.seed)

    def prompt(self, request: int) -> str:
        """The form and the title."""
        poem = self.poems[int(request)]
        return f"{FORMS[poem.length]} {poem.title}"

    def model_input(self, request: int) -> str:
        """The form, a random rhyme (always the same for a request), and the title."""
        poem = self.poems[int(request)]
        index = np.random.default_rng(int(request)).integers(len(self.rhymes))
        return _model_prompt(poem, self.rhymes[index])

    def template(self, request: int) -> str:
        """Four lines of the length that is asked for, with their signs."""
        line = self.poems[int(request)].length * "\0"
        return f"{line}，{line}。{line}，{line}。"

    def pairs(self, n: int, seed: int) -> list[Pair]:
        """The learned poems with their titles, forms and rhymes, in random order."""
        order = np.random.default_rng(seed).permutation(len(self.learned_poems))
        return [
            Pair(_model_prompt(poem, poem.rhyme), str(poem))
            for poem in (self.learned_poems[index] for index in order[:n])
        ]

    def held_out_pairs(self, n: int, seed: int) -> list[Pair]:
        """Poems of the asked part, with their own rhymes."""
        poems = [self.poems[index] for index in self.parts["asked"][:n].tolist()]
        return [Pair(_model_prompt(poem, poem.rhyme), str(poem)) for poem in poems]

    @cached_property
    def copy_search(self) -> Copied:
        """Finds lines that the writers learned."""
        return Copied(line for poem in self.learned_poems for line in poem.lines)

    def check(self, text: str, request: int) -> TextVerdict:
        """Form, rhyme, and no line that was learned."""
        return check_form(text, self.poems[int(request)].length, self.copy_search)

    def passes_rule(self, text: str, request: int) -> bool:
        """Whether form and rhyme are right; copies are left to the filter `no-copies`."""
        return not check_form(text, self.poems[int(request)].length, None).wrong

    def beyond_copies(self, text: str) -> float:
        """0 where a whole line was learned, 1 where none was."""
        return (
            0.0
            if any(self.copy_search.length(line) >= len(line) for line in re.findall(f"{CHARACTER}+", text))
            else 1.0
        )

    def own_error(self, n: int, seed: int) -> OwnError:
        """Real poems that the form alone refuses, and such with the last character changed to one that does not rhyme.

        Most refusals are rhymes of the Tang that Mandarin has lost.
        """
        rng = np.random.default_rng(seed)
        indices = rng.choice(self.parts["asked"], min(n, len(self.parts["asked"])), replace=False)
        refused = missed = 0
        for index in indices.tolist():
            poem = self.poems[index]
            refused += check_form(str(poem), poem.length, None).wrong
            missed += not check_form(next(_faulty_versions(poem, self.poems, rng)), poem.length, None).wrong
        return OwnError(len(indices), missed, len(indices), refused)


def _model_prompt(poem: Poem, rhyme: str) -> str:
    return f"{FORMS[poem.length]} {rhyme} {poem.title}"


def _faulty_versions(poem: Poem, others: tuple[Poem, ...], rng: np.random.Generator) -> Iterator[str]:
    """The poem with one fault: a character too many or too few, a line gone, or an end that rhymes with nothing."""
    text = str(poem)
    kind = int(rng.integers(4))
    if kind == 0:
        yield text[:1] + text
    elif kind == 1:
        yield text[1:]
    elif kind == 2:
        yield text[: len(text) // 2]
    while True:
        other = others[int(rng.integers(len(others)))].lines[0][0]
        if not rhymes(other, poem.lines[1][-1]):
            yield text[:-2] + other + "。"


def check_form(text: str, length: int, copied: Copied | None) -> TextVerdict:
    """A poem's form: four lines of this length with their signs, the second and fourth rhyming; and no copied line.

    >>> check_form("床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。", 5, None).read
    'in form'
    """
    line = f"({CHARACTER}{{{length}}})"
    match = re.fullmatch(f"{line}，{line}。{line}，{line}。", text.strip())
    if match is None:
        return TextVerdict(True, message("read.not_four_lines", length=length), ((0, len(text)),))
    lines, faults, marks = match.groups(), [], []
    if not rhymes(lines[1][-1], lines[3][-1]):
        faults.append(message("read.no_rhyme", first=lines[1][-1], second=lines[3][-1]))
        marks += [(match.end(2) - 1, match.end(2)), (match.end(4) - 1, match.end(4))]
    if len(set(lines)) < len(lines):
        faults.append(message("read.line_twice"))
    for number, verse in enumerate(lines, 1):
        if copied is not None and copied.length(verse) >= length:
            faults.append(message("read.line_learned", line=number))
            marks.append(match.span(number))
    return TextVerdict(bool(faults), joined(faults) or message("read.in_form"), tuple(marks))
