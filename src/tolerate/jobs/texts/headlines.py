"""Summarise a user's texts, or sort them by sentiment or any other label, with a model of the user's.

With the columns `text` and `label` the model is asked for one of the labels, and people said in the table which is
right. With `text` alone it is asked for a headline, and a person says at the review desk what is wrong (--review);
until then a judge (--judge, another model with a rubric) or a rule chooses among strategies. People correct the judge:
the certificate rests on them, and says how often the judge was wrong.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from tolerate.base.arrays import Contents, Ints
from tolerate.checks.texts.labels import label_in
from tolerate.checks.texts.own_error import own_error_sentence
from tolerate.data import tables
from tolerate.errors import DataError, OptionError, hint
from tolerate.jobs.texts.drafts.scores import at_temperature_zero
from tolerate.jobs.texts.options import SCORE_OPTIONS
from tolerate.jobs.texts.remote_workshop import PromptedWorkshop, TableTask, rows_by_purpose, table_in
from tolerate.jobs.texts.task import SeededText, TextVerdict, normalize
from tolerate.jobs.texts.workshop import SEEDED_TEXTS
from tolerate.llm.endpoint_names import parse_endpoint
from tolerate.messages.catalogue import message
from tolerate.modality import Span
from tolerate.records import Job, Prices
from tolerate.report.preparation import CheckReport
from tolerate.runs.plan import RunPlan
from tolerate.runs.progress import ProgressReporter

MAX_LABELS = 50  # a table with more has probably something else in that column
MAX_WORDS = 30  # of a headline

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
    prices=Prices.per_million(review_seconds=60, dollars_an_hour=40),
    check="people",
    judge="agreement",
    example="tolerate run headlines --data texts.csv --models openai:MODEL@URL",
    modality="texts",
    options=(*SCORE_OPTIONS, "judge"),
)


def open_headlines(plan: RunPlan, folder: Path, reporter: ProgressReporter) -> PromptedWorkshop:
    """The workshop of a table: by its columns one of labels or one of summaries."""
    table, rows, seed = table_in(plan.data), rows_by_purpose(plan), plan.options.seed
    columns = tables.columns_of(table)
    if "text" not in columns:
        raise DataError(f'{table} has no column "text". {hint("text", columns)}')
    if "label" in columns:
        return LabelWorkshop(plan, folder, reporter, lambda: LabelTask(table, rows, seed))
    if not plan.options.review:
        raise OptionError(
            f'{table} has no column "label", so nobody says what is wrong; add --review to judge the headlines at '
            "a page (a judge, --judge openai:MODEL@URL, may help), or a column with the right labels"
        )
    return SummaryWorkshop(plan, folder, reporter, lambda: SummaryTask(table, rows, seed))


class LabelTask(TableTask):
    """Texts with the labels that people gave them."""

    limit = 16

    def __init__(self, table: Path, rows: Mapping[str, int], seed: int) -> None:
        super().__init__(table, ("text", "label"), rows, seed)
        self.keys = [label.strip() for label in self.columns["label"]]
        used = np.concatenate(list(self.parts.values()))
        self.labels = sorted({self.keys[row] for row in used})
        if not 2 <= len(self.labels) <= MAX_LABELS:
            first = ", ".join(self.labels[:3])
            raise DataError(
                f'{table} has {len(self.labels)} different labels in column "label" ({first} ...); expected 2 to '
                f"{MAX_LABELS}"
            )
        self.system = (
            "Choose the label that fits the user's text. Answer with one of these and nothing else: "
            + ", ".join(self.labels)
        )

    def prompt(self, request: int) -> str:
        """The text."""
        return self.columns["text"][request]

    def check(self, text: str, request: int) -> TextVerdict:
        """Wrong if it is not the label that people gave."""
        label, key = label_in(text, self.labels), self.keys[request]
        read = label or message("read.no_label")
        if label == key:
            return TextVerdict(False, read)
        return TextVerdict(True, message("read.label_by_people", label=read, key=key), ((0, len(text)),))

    def meaning(self, text: str) -> str:
        """The label."""
        return label_in(text, self.labels) or ""

    def passes_rule(self, text: str, request: int) -> bool:
        """Whether the answer names exactly one label."""
        return label_in(text, self.labels) is not None

    def seeded_texts(self, n: int, seed: int) -> Iterator[SeededText]:
        """Labels written in many forms, right ones and others."""
        rng = np.random.default_rng(seed)
        forms = ("{}", "{}.", "**{}**", "Label: {}", "The text is {}.", '"{}"', "{}\n")
        for row in rng.choice(self.parts["sample"], n):
            key, form = self.keys[row], forms[rng.integers(len(forms))]
            others = [label for label in self.labels if label != key]
            yield SeededText(form.format(key), int(row), wrong=False)
            yield SeededText(form.format(others[rng.integers(len(others))]), int(row), wrong=True)


class SummaryTask(TableTask):
    """Texts without labels: a headline for each, which a person will judge."""

    limit = 80
    system = (
        "Write a headline of at most 15 words for the user's text, in its language. Say nothing that the text does "
        "not say."
    )

    def __init__(self, table: Path, rows: Mapping[str, int], seed: int) -> None:
        super().__init__(table, ("text",), rows, seed)

    def prompt(self, request: int) -> str:
        """The text."""
        return self.columns["text"][request]

    def check(self, text: str, request: int) -> TextVerdict:
        """The rule: a number or a name that the text does not have counts as invented; an empty headline is wrong."""
        if not text.strip():
            return TextVerdict(True, message("read.nothing"))
        invented = invented_spans(text, self.prompt(request))
        if invented:
            names = ", ".join(text[start:end] for start, end in invented)
            return TextVerdict(True, message("read.not_in_text", names=names), invented)
        if len(text.split()) > MAX_WORDS:
            return TextVerdict(True, message("read.too_long", words=MAX_WORDS))
        return TextVerdict(False, message("read.nothing_strange"))

    def meaning(self, text: str) -> str:
        """The words of a headline, without punctuation."""
        return re.sub(r"\W+", " ", normalize(text)).strip()

    def passes_rule(self, text: str, request: int) -> bool:
        """Whether the rule of the check lets it pass."""
        return not self.check(text, request).wrong


def invented_spans(headline: str, text: str) -> tuple[Span, ...]:
    """Numbers and names in a headline that its text does not have. A first word may be large without being a name.

    >>> headline = "Bank lends 9 million to Berlin"
    >>> [headline[start:end] for start, end in invented_spans(headline, "The bank lends 8 million to a city.")]
    ['9', 'Berlin']
    """
    lower = text.casefold()
    spans = [
        match.span()
        for match in re.finditer(r"\d[\d.,]*\d|\d|[^\W\d_][\w'’-]+", headline)
        if _is_invented(match, headline, text, lower)
    ]
    capitals = [word[0].isupper() for word in headline.split() if word[0].isalpha()]
    if capitals and sum(capitals) > 0.8 * len(capitals):  # in title case, capitals mark no names
        spans = [(start, end) for start, end in spans if headline[start].isdigit()]
    return tuple(spans)


def _is_invented(match: re.Match[str], headline: str, text: str, lower: str) -> bool:
    """Whether a number or a capitalized word of a headline is not in the text."""
    word = match.group()
    if word[0].isdigit():
        return re.search(rf"(?<![\d.,]){re.escape(word)}(?![\d]|[.,]\d)", text) is None
    is_first = not headline[: match.start()].strip(" \"'“‘*#")
    stem = word.casefold().removesuffix("'s").removesuffix("’s")
    return word[0].isupper() and not is_first and stem not in lower


class LabelWorkshop(PromptedWorkshop):
    """Labels, held against those that people gave."""

    def check_report(self) -> CheckReport:
        """The people who gave the labels, and the error of reading the answers."""
        error = self.task.own_error(SEEDED_TEXTS, self.plan.options.seed + 1)
        sentence = message("check.column", error=own_error_sentence(error))
        return replace(super().check_report(), by="people", sentence=sentence)


class SummaryWorkshop(PromptedWorkshop):
    """Headlines that a judge or a rule looks at first; people decide on those that are certified."""

    def check_report(self) -> CheckReport:
        """The judge or the rule that chooses among strategies."""
        report, judge = super().check_report(), self.options.judge
        if not judge:
            return replace(report, name="rule of numbers and names", sentence=message("check.rule_chooses"))
        model = parse_endpoint(judge).model
        sentence = message("check.judge_chooses", model=model)
        return replace(report, name=f"judge {model}", by="judge", sentence=sentence)

    def verdicts(self, contents: Contents, requests: Ints) -> list[TextVerdict]:
        """The judge's verdicts, with the rule's marks; without a judge the rule's."""
        by_rule = super().verdicts(contents, requests)
        if not self.options.judge:
            return by_rule
        questions = [
            JUDGE_QUESTION.format(text=self.task.prompt(int(request)), headline=headline)
            for headline, request in zip(contents, requests, strict=True)
        ]
        model = self.prompted.served_model(at_temperature_zero(self.options.judge))
        answers = [row[0].text for row in model.write(questions, system=JUDGE_SYSTEM)]
        return [
            parse_judgement(answer, verdict.marks) for answer, verdict in zip(answers, by_rule, strict=True)
        ]


JUDGE_SYSTEM = (
    "You check headlines. A headline is WRONG if it says anything that its text does not say, or misses what the text "
    "is about. Give your reason in one sentence, then on a line of its own FINE or WRONG."
)
JUDGE_QUESTION = "Text:\n{text}\n\nHeadline:\n{headline}"


def parse_judgement(answer: str, marks: tuple[Span, ...]) -> TextVerdict:
    """A judge's answer as a verdict; one that cannot be read counts as wrong.

    >>> parse_judgement("It names a city that the text lacks.\\nWRONG", ()).wrong
    True
    >>> parse_judgement("All there.\\nFINE", ()).read
    'judge: All there.'
    """
    decisions = re.findall(r"\b(FINE|WRONG)\b", answer)
    reason = answer.strip().splitlines()[0][:200] if answer.strip() else ""
    if not decisions:
        return TextVerdict(True, message("read.no_verdict", reason=reason), marks)
    wrong = decisions[-1] == "WRONG"
    return TextVerdict(wrong, message("read.judge", reason=reason), marks if wrong else ())
