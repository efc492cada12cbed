"""Summarise a user's texts, or sort them by sentiment or any other label, with a model of the user's.

With the columns `text` and `label` the model is asked for one of the labels, and people said in the table which is
right. With `text` alone it is asked for a headline, and a person says at the review desk what is wrong (--review);
until then a judge (--judge, another model with a rubric) or a rule chooses among strategies. People correct the judge:
the certificate rests on them, and says how often the judge was wrong.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.checks.texts.labels import label_in
from tolerate.data import tables
from tolerate.errors import DataError, OptionError, hint
from tolerate.jobs.texts.remote_workshop import ServedWorkshop, TableTask, table_in, wanted_rows
from tolerate.jobs.texts.task import Checked, Seeded, Span, normal
from tolerate.llm.client import ServedModel
from tolerate.llm.endpoint_names import parse_endpoint
from tolerate.messages.catalogue import message
from tolerate.records import Job, Prices
from tolerate.runs.pipeline import Options, Say

Ints = NDArray[np.int64]
MOST = 50  # labels; more of them are probably no labels
LONGEST = 30  # words of a headline

JOB = Job(
    name="headlines",
    title={"en": "Summarise texts, or sort them by label", "zh": "为文本写标题，或按标签分类"},
    workshop="tolerate.jobs.texts.headlines:open_headlines",
    tolerance=0.02,
    confidence=0.95,
    tolerances=(0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005),
    models=(),
    refine=("plain", "vote-of-5+rules"),
    labels=1000,
    proof=500,
    # Dollars for a million texts: a core at 4 cents an hour; a person who reads one in a minute at 40 dollars.
    prices=Prices(compute=1e6 * 0.04 / 3600, review=1e6 * 60 * 40 / 3600, unit="$/million"),
    check="people",
    judge="agreement",
    example="tolerate run headlines --data texts.csv --models openai:MODEL@URL",
    kind="texts",
)


def open_headlines(job: Job, options: Options, folder: Path, say: Say) -> "Headlines":
    """The workshop of a table: by its columns it is one of labels or one of summaries."""
    assert options.data is not None
    table, wanted = table_in(options.data), wanted_rows(job, options)
    known = tables.columns_of(table)
    if "text" not in known:
        raise DataError(f'{table} has no column "text". {hint("text", known)}')
    if "label" in known:
        return Headlines(job, options, folder, say, lambda: Sorted(table, wanted, options.seed))
    if not options.review:
        raise OptionError(
            f'{table} has no column "label", so nobody says what is wrong; add --review to judge the headlines at '
            "a page (a judge, --judge openai:MODEL@URL, may help), or a column with the right labels"
        )
    return Headlines(job, options, folder, say, lambda: Summaries(table, wanted, options.seed))


class Sorted(TableTask):
    """Texts with the labels that people gave them."""

    limit = 16

    def __init__(self, table: Path, wanted: dict[str, int], seed: int) -> None:
        super().__init__(table, ("text", "label"), wanted, seed)
        self.keys = [label.strip() for label in self.columns["label"]]
        used = np.concatenate(list(self.parts.values()))
        self.labels = sorted({self.keys[row] for row in used})
        if not 2 <= len(self.labels) <= MOST:
            some = ", ".join(self.labels[:3])
            raise DataError(
                f'{table} has {len(self.labels)} different labels in column "label" ({some} ...); expected 2 to {MOST}'
            )
        self.system = (
            "Choose the label that fits the user's text. Answer with one of these and nothing else: "
            + ", ".join(self.labels)
        )

    def prompt(self, request: int) -> str:
        """The text."""
        return self.columns["text"][request]

    def check(self, text: str, request: int) -> Checked:
        """Wrong if it is not the label that people gave."""
        found, key = label_in(text, self.labels), self.keys[request]
        read = found or message("read.no_label")
        wrong = found != key
        return Checked(
            wrong,
            message("read.label_by_people", label=read, key=key) if wrong else read,
            ((0, len(text)),) if wrong else (),
        )

    def meaning(self, text: str) -> str:
        """The label."""
        return label_in(text, self.labels) or ""

    def rule(self, text: str, request: int) -> bool:
        """It names one label."""
        return label_in(text, self.labels) is not None

    def seeded(self, n: int, seed: int) -> Iterator[Seeded]:
        """Labels written in many ways, right ones and others."""
        rng = np.random.default_rng(seed)
        ways = ("{}", "{}.", "**{}**", "Label: {}", "The text is {}.", '"{}"', "{}\n")
        for row in rng.choice(self.parts["sample"], n):
            key, way = self.keys[row], ways[rng.integers(len(ways))]
            others = [label for label in self.labels if label != key]
            yield Seeded(way.format(key), int(row), wrong=False)
            yield Seeded(way.format(others[rng.integers(len(others))]), int(row), wrong=True)


class Summaries(TableTask):
    """Texts without labels: a headline for each, which a person will judge."""

    limit = 80
    system = (
        "Write a headline of at most 15 words for the user's text, in its language. Say nothing that the text does "
        "not say."
    )

    def __init__(self, table: Path, wanted: dict[str, int], seed: int) -> None:
        super().__init__(table, ("text",), wanted, seed)

    def prompt(self, request: int) -> str:
        """The text."""
        return self.columns["text"][request]

    def check(self, text: str, request: int) -> Checked:
        """The rule: a number or a name that the text does not have is taken as invented; so is nothing at all."""
        if not text.strip():
            return Checked(True, message("read.nothing"))
        strange = invented(text, self.prompt(request))
        names = ", ".join(text[start:end] for start, end in strange)
        long = len(text.split()) > LONGEST
        if strange:
            read = message("read.not_in_text", names=names)
        else:
            read = message("read.too_long", words=LONGEST) if long else message("read.nothing_strange")
        return Checked(bool(strange) or long, read, strange)

    def meaning(self, text: str) -> str:
        """Its words, without marks."""
        return re.sub(r"\W+", " ", normal(text)).strip()

    def rule(self, text: str, request: int) -> bool:
        """What the rule of the check lets pass."""
        return not self.check(text, request).wrong


def invented(headline: str, text: str) -> tuple[Span, ...]:
    """Numbers and names in a headline that its text does not have. A first word may be large without being a name.

    >>> said = "Bank lends 9 million to Berlin"
    >>> [said[start:end] for start, end in invented(said, "The bank lends 8 million to a city.")]
    ['9', 'Berlin']
    """
    known = text.casefold()
    strange = []
    for found in re.finditer(r"\d[\d.,]*\d|\d|[^\W\d_][\w'’-]+", headline):
        word = found.group()
        first = not headline[: found.start()].strip(" \"'“‘*#")
        if word[0].isdigit():
            bad = re.search(rf"(?<![\d.,]){re.escape(word)}(?![\d]|[.,]\d)", text) is None
        else:
            bad = (
                word[0].isupper()
                and not first
                and word.casefold().removesuffix("'s").removesuffix("’s") not in known
            )
        if bad:
            strange.append(found.span())
    titled = [word[0].isupper() for word in headline.split() if word[0].isalpha()]
    if titled and sum(titled) > 0.8 * len(titled):  # Every Word Is Large: then large letters say nothing
        strange = [(start, end) for start, end in strange if headline[start].isdigit()]
    return tuple(strange)


class Headlines(ServedWorkshop):
    """Labels by people, or headlines that a judge looks at first and a person has the last word on."""

    @property
    def judge(self) -> str:
        """The model that judges headlines; none where people gave labels."""
        return self.options.judge if isinstance(self.task, Summaries) else ""

    def _about_check(self) -> dict[str, Any]:
        """Who says what is wrong."""
        about = super()._about_check()
        if isinstance(self.task, Sorted):
            told = about["sentence"].removeprefix("the check people, by rule. ")
            return {
                **about,
                "by": "people",
                "sentence": f"people, in the table's column label; how answers are read: {told}",
            }
        name = f"judge {parse_endpoint(self.judge).model}" if self.judge else "rule of numbers and names"
        sentence = f"the {name}, which only chooses; a person judges what is certified"
        return {**about, "name": name, "by": "judge" if self.judge else "rule", "sentence": sentence}

    def checked(self, contents: Any, requests: Ints) -> list[Checked]:
        """The judge's verdicts where there is one, with the rule's marks; else the rule's or the labels'."""
        by_rule = super().checked(contents, requests)
        if not self.judge:
            return by_rule
        asked = [
            RUBRIC.format(text=self.task.prompt(int(r)), headline=c)
            for c, r in zip(contents, requests, strict=True)
        ]
        said = [row[0].text for row in self._asker.write(asked, system=JUDGE)]
        return [judged(one, rule.marks) for one, rule in zip(said, by_rule, strict=True)]

    @property
    def _asker(self) -> ServedModel:
        cold = (
            self.judge
            if "temperature=" in self.judge
            else self.judge + ("+" if "#" in self.judge else "#") + "temperature=0"
        )
        return self.asked_models.served(cold)


JUDGE = (
    "You check headlines. A headline is WRONG if it says anything that its text does not say, or misses what the text "
    "is about. Give your reason in one sentence, then on a line of its own FINE or WRONG."
)
RUBRIC = "Text:\n{text}\n\nHeadline:\n{headline}"


def judged(said: str, marks: tuple[Span, ...]) -> Checked:
    """A judge's answer as a verdict; one that cannot be read counts as wrong.

    >>> judged("It names a city that the text lacks.\\nWRONG", ()).wrong, judged("All there.\\nFINE", ()).read
    (True, 'judge: All there.')
    """
    found = re.findall(r"\b(FINE|WRONG)\b", said)
    reason = said.strip().splitlines()[0][:200] if said.strip() else ""
    if not found:
        return Checked(True, message("read.no_verdict", reason=reason), marks)
    wrong = found[-1] == "WRONG"
    return Checked(wrong, message("read.judge", reason=reason), marks if wrong else ())
