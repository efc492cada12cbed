"""Write a Chinese quatrain to a title, in the form that is asked for: four lines of five or of seven characters.

Wrong is a poem whose form is broken (lines, length, signs), whose second and fourth line do not rhyme, that uses one
rhyme word twice, or that has a whole line from a poem it learned. Whether it is any good, no check here says.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tolerate.checks.rhyme import rhymes
from tolerate.errors import DataError
from tolerate.jobs.tasks import Checked, OwnError, Pair, TextTask
from tolerate.records import Job, Prices
from tolerate.refine.copied import Copied

Ints = NDArray[np.int64]
FORMS = {5: "五言", 7: "七言"}
PARTS = {"generator": 0.8, "judge": 0.05, "asked": 0.15}
SIGN = r"[\u3400-\u9fff]"

JOB = Job(
    name="poems",
    title={"en": "Write a Chinese quatrain to a title", "zh": "按题写绝句"},
    workshop="tolerate.jobs.texts:poems",
    tolerance=0.2,
    confidence=0.95,
    tolerances=(0.5, 0.3, 0.2, 0.1, 0.05, 0.02),
    models=("transformer", "lstm"),
    refine=("plain", "best-of-8", "best-of-8+no-copies", "best-of-8+rules+no-copies"),
    labels=800,
    proof=500,
    # Dollars for a million poems: a core at 4 cents an hour; an editor who reads one in half a minute at 18 dollars.
    prices=Prices(compute=1e6 * 0.04 / 3600, review=1e6 * 30 * 18 / 3600, unit="$/million"),
    check="form",
    judge="verifier",
    example="tolerate run poems --data FILE",
    steps={"transformer": 1500, "lstm": 800},
    kind="texts",
)


@dataclass(frozen=True)
class Poem:
    """A quatrain: its title, and its lines without signs."""

    title: str
    lines: tuple[str, ...]

    @property
    def length(self) -> int:
        """Characters of a line."""
        return len(self.lines[0])

    def __str__(self) -> str:
        return "，".join(self.lines[:2]) + "。" + "，".join(self.lines[2:]) + "。"


def read_poems(path: Path) -> tuple[tuple[Poem, ...], str]:
    """The quatrains among poems in JSON lines (title, lines), gzipped or not; and the hash of the file.

    path: the file, or a folder with poems.jsonl.gz.
    """
    path = path / "poems.jsonl.gz" if path.is_dir() else path
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
        found = [_quatrain(json.loads(line)) for line in text.splitlines() if line.strip()]
    except (OSError, EOFError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read as poems ({error!r}); expected JSON lines with title and lines"
        ) from None
    poems = tuple(dict.fromkeys(poem for poem in found if poem is not None))
    if len(poems) < 100:
        raise DataError(f"{path} holds {len(poems)} quatrains; expected at least 100 to learn from")
    return poems, hashlib.sha256(data).hexdigest()


def _quatrain(record: dict[str, object]) -> Poem | None:
    """A poem of four lines of five or seven; None for any other."""
    lines = tuple(re.findall(f"{SIGN}+", "".join(map(str, record["lines"]))))  # type: ignore[call-overload]
    title = "".join(re.findall(SIGN, str(record["title"])))[:12]
    fits = len(lines) == 4 and len({len(line) for line in lines}) == 1 and len(lines[0]) in FORMS
    return Poem(title, lines) if fits and title else None


class Poems(TextTask):
    """Quatrains, dealt to purposes by poem."""

    name = "Chinese quatrains"
    limit = 40
    decoding = {"temperature": 0.8, "top_p": 0.95}  # noqa: RUF012
    assumptions = (
        {
            "en": "The population is titles and forms of the poems kept for asking, each as likely as the other.",
            "zh": "总体是留作提问的诗题与体裁，每题机会相同。",
        },
    )

    def __init__(self, path: Path, seed: int = 0) -> None:
        self.path, self.seed = path, seed

    @cached_property
    def _read(self) -> tuple[tuple[Poem, ...], str]:
        return read_poems(self.path)

    @property
    def poems(self) -> tuple[Poem, ...]:
        """All quatrains."""
        return self._read[0]

    @property
    def sha256(self) -> str:
        """Of the file."""
        return self._read[1]

    @cached_property
    def parts(self) -> dict[str, Ints]:
        """Which poems are for what."""
        order = np.random.default_rng(self.seed).permutation(len(self.poems))
        cuts = np.cumsum([round(share * len(order)) for share in list(PARTS.values())[:-1]])
        return dict(zip(PARTS, np.split(order, cuts), strict=True))

    @property
    def sizes(self) -> dict[str, int]:
        """Poems by purpose."""
        return {name: len(part) for name, part in self.parts.items()}

    def requests(self, n: int, seed: int, part: str = "asked") -> Ints:
        """n poems of a part, whose titles and forms are asked for, drawn independently."""
        return np.random.default_rng(seed).choice(self.parts[part], n)

    def prompt(self, request: int) -> str:
        """The form and the title."""
        poem = self.poems[int(request)]
        return f"{FORMS[poem.length]} {poem.title}"

    def pairs(self, n: int, seed: int) -> list[Pair]:
        """The writers' own poems with their titles."""
        return [Pair(self.prompt(at), str(self.poems[at])) for at in self.parts["generator"].tolist()][:n]

    def unseen(self, n: int, seed: int) -> list[Pair]:
        """Poems of the asked part."""
        return [Pair(self.prompt(at), str(self.poems[at])) for at in self.parts["asked"][:n].tolist()]

    @cached_property
    def copied(self) -> Copied:
        """The lines that the writers learned."""
        return Copied(line for at in self.parts["generator"].tolist() for line in self.poems[at].lines)

    def check(self, text: str, request: int) -> Checked:
        """Form, rhyme, and no line that was learned."""
        return judged(text, self.poems[int(request)].length, self.copied)

    def rule(self, text: str, request: int) -> bool:
        """Form and rhyme alone; copying is looked at by `no-copies`."""
        return not judged(text, self.poems[int(request)].length, None).wrong

    def beyond_copies(self, text: str) -> float:
        """0 where a whole line was learned, 1 where none was."""
        return (
            0.0
            if any(self.copied.length(line) >= len(line) for line in re.findall(f"{SIGN}+", text))
            else 1.0
        )

    def own_error(self, n: int, seed: int) -> OwnError:
        """Real poems that the form alone refuses, and such with the last character changed to one that does not rhyme.

        Most refusals are rhymes of the Tang that Mandarin has lost.
        """
        rng = np.random.default_rng(seed)
        asked = rng.choice(self.parts["asked"], min(n, len(self.parts["asked"])), replace=False)
        refused = missed = 0
        for at in asked.tolist():
            poem = self.poems[at]
            refused += judged(str(poem), poem.length, None).wrong
            missed += not judged(next(_spoiled(poem, self.poems, rng)), poem.length, None).wrong
        return OwnError(len(asked), missed, len(asked), refused)


def _spoiled(poem: Poem, others: tuple[Poem, ...], rng: np.random.Generator) -> Iterator[str]:
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


def judged(text: str, length: int, copied: Copied | None) -> Checked:
    """A poem's form: four lines of this length with their signs, the second and fourth rhyming; and no copied line.

    >>> judged("床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。", 5, None).read
    'in form'
    """
    line = f"({SIGN}{{{length}}})"
    found = re.fullmatch(f"{line}，{line}。{line}，{line}。", text.strip())
    if found is None:
        return Checked(True, f"not four lines of {length}", ((0, len(text)),))
    lines, faults, marks = found.groups(), [], []
    if not rhymes(lines[1][-1], lines[3][-1]):
        faults.append(f"{lines[1][-1]} and {lines[3][-1]} do not rhyme")
        marks += [(found.end(2) - 1, found.end(2)), (found.end(4) - 1, found.end(4))]
    for place, each in enumerate(lines, 1):
        if copied is not None and copied.length(each) >= length:
            faults.append(f"line {place} was learned")
            marks.append(found.span(place))
    return Checked(bool(faults), "; ".join(faults) or "in form", tuple(marks))
