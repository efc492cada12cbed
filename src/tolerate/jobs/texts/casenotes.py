"""Write a short case note from a patient's record: scikit-learn's breast-cancer records, 569 biopsies.

A request names a patient and three of twenty measurements; the note must state each of them with its value and its
level, and the impression, and nothing else. Nobody wrote notes for these records, so the writers learn from notes that
a small grammar makes; the grammar never sees the patients who are asked about.

The check reads the whole note: which value and which level belong to which name. It stands for the person who would
read it, so no refining may use it: filter and repair see only that the record's names, numbers and impression are
present, and voting does not see the record. What they cannot see (two values swapped, a level that is wrong) is what
the certificate is about. Where a check may be run on each note before it is released, run it and hold what fails;
then no sample is needed, and what remains is the check's own error.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tolerate.base.arrays import Ints
from tolerate.errors import OptionError
from tolerate.jobs.texts.options import SCORE_OPTIONS
from tolerate.jobs.texts.task import DividedTask, Pair, SeededText, TextVerdict, span_of
from tolerate.jobs.texts.workshop import TextWorkshop
from tolerate.messages.catalogue import joined, message
from tolerate.records import Job, Prices
from tolerate.runs.plan import RunPlan
from tolerate.runs.progress import ProgressReporter

LEVELS = ("low", "normal", "high", "very high")
IMPRESSIONS = ("benign", "malignant")
MEASUREMENTS_PER_NOTE = 3
REQUESTS_PER_PATIENT = 1 << 31  # a request is patient * this + a seed that picks its measurements

JOB = Job(
    name="casenotes",
    title={"en": "Write a case note from a record", "zh": "根据病历数据写病情记录"},
    workshop="tolerate.jobs.texts.casenotes:open_casenotes",
    tolerance=0.005,
    confidence=0.95,
    tolerances=(0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001),
    models=("transformer",),
    refine=("plain", "best-of-4", "vote-of-4+rules", "vote-of-4+repair+rules"),
    labels=4000,  # the check labels for nothing; .5% of four strategies takes at least 900 without a fault
    proof=2000,
    prices=Prices.per_million(review_seconds=60, dollars_an_hour=40),
    check="facts",
    judge="verifier",
    needs_data=False,
    steps={"transformer": 1500, "lstm": 600},
    example="tolerate run casenotes",
    modality="texts",
    options=SCORE_OPTIONS,
)


def open_casenotes(plan: RunPlan, folder: Path, reporter: ProgressReporter) -> TextWorkshop:
    """The workshop of case notes."""
    return TextWorkshop(plan, folder, reporter, lambda: CaseNotes(plan.options.seed))


@dataclass(frozen=True)
class Measurement:
    """One measurement of a record, as a note states it."""

    name: str  # such as "worst area"
    value: str  # such as "20.1"
    level: str

    def __str__(self) -> str:
        return f"{self.name} {self.value} {self.level}"


@dataclass(frozen=True)
class PatientRecord:
    """A patient's record: the measurements and the impression that a note must state."""

    measurements: tuple[Measurement, ...]
    impression: str

    def __str__(self) -> str:
        parts = "; ".join(map(str, self.measurements))
        return f"{parts}; {self.impression}"


# The records


@dataclass(frozen=True)
class Patients:
    """All records: values [patients, measures], as levels too, and which tumours are malignant [patients]."""

    names: tuple[str, ...]
    values: NDArray[np.float64]
    levels: Ints
    malignant: Ints
    sha256: str


@lru_cache(maxsize=1)
def patients() -> Patients:
    """The records with the means and the worst values of the ten measures.

    A value's level is relative to the benign tumours of the set: below their 5th percentile low, above the
    95th high, above the largest of them very high.
    """
    try:
        from sklearn.datasets import load_breast_cancer
    except ModuleNotFoundError:
        raise OptionError('the records come with scikit-learn; try: pip install "tolerate[models]"') from None
    data = load_breast_cancer()
    columns = [index for index, name in enumerate(data.feature_names) if not name.endswith("error")]
    names = tuple(str(data.feature_names[index]).removeprefix("mean ") for index in columns)
    values, malignant = data.data[:, columns], 1 - data.target
    benign = values[malignant == 0]
    edges = np.stack([np.quantile(benign, 0.05, 0), np.quantile(benign, 0.95, 0), benign.max(0)])
    levels = (values[None] > edges[:, None]).sum(0)
    digest = hashlib.sha256(np.ascontiguousarray(data.data).tobytes()).hexdigest()
    return Patients(names, values, levels, malignant.astype(np.int64), digest)


def format_value(value: float) -> str:
    """A value with three significant digits, never as an exponent.

    >>> [format_value(x) for x in (17.99, 1001.0, 0.1184, 0.0)]
    ['18.0', '1000', '0.118', '0']
    """
    if value == 0:
        return "0"
    places = 2 - int(np.floor(np.log10(abs(value)) + 1e-9))
    return f"{round(value, places):.{max(places, 0)}f}"


class CaseNotes(DividedTask):
    """Records, notes to learn from, and the check of a note against its record."""

    name = "scikit-learn breast cancer records"
    limit = 90
    has_record = True
    rubric = "The note states each finding with its value and level, and the impression, and nothing else."
    decoding = {"temperature": 0.4}  # noqa: RUF012
    assumptions = (
        {
            "en": "The population is requests about the 250 patients kept for asking, each as likely as the other, "
            "with findings drawn by lot. About patients of another clinic nothing is proven.",
            "zh": "总体是关于留作提问的 250 名病人的请求，每人机会相同，所问指标随机抽取。"
            "对其他医院的病人不作任何保证。",
        },
        {
            "en": "Filter and repair see names, numbers and the impression, not what belongs to what; they never ask "
            "the check.",
            "zh": "过滤和修补只看名称、数值和结论是否出现，不看彼此是否对应，也从不询问检验。",
        },
    )

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @cached_property
    def parts(self) -> dict[str, Ints]:
        """The indices of the patients by purpose."""
        order = np.random.default_rng(self.seed).permutation(len(self.data.values))
        return {"generator": order[:269], "judge": order[269:319], "asked": order[319:]}

    @cached_property
    def data(self) -> Patients:
        """The records."""
        return patients()

    @property
    def sha256(self) -> str:
        """The SHA-256 of all records."""
        return self.data.sha256

    def requests(self, n: int, seed: int, part: str = "asked") -> Ints:
        """n requests: a patient of this part and findings, drawn independently."""
        rng = np.random.default_rng(seed)
        return rng.choice(self.parts[part], n) * REQUESTS_PER_PATIENT + rng.integers(
            0, REQUESTS_PER_PATIENT, n
        )

    def record(self, request: int) -> PatientRecord:
        """The record that a request asks for."""
        patient, columns_seed = divmod(int(request), REQUESTS_PER_PATIENT)
        rng = np.random.default_rng(columns_seed)
        columns = rng.permutation(len(self.data.names))[:MEASUREMENTS_PER_NOTE]
        measurements = [
            Measurement(
                self.data.names[column],
                format_value(self.data.values[patient, column]),
                LEVELS[self.data.levels[patient, column]],
            )
            for column in columns
        ]
        return PatientRecord(tuple(measurements), IMPRESSIONS[self.data.malignant[patient]])

    def prompt(self, request: int) -> str:
        """The record as the writers read it."""
        return str(self.record(request))

    def pairs(self, n: int, seed: int) -> list[Pair]:
        """Records of the writers' own patients with notes by the grammar."""
        rng = np.random.default_rng(seed)
        records = [self.record(request) for request in self.requests(n, seed, "generator")]
        return [Pair(str(record), note(record, rng)) for record in records]

    def references(self, request: int) -> list[str]:
        """Notes that the grammar writes of a request, for BLEU."""
        rng = np.random.default_rng(int(request) % 2**32)
        return [note(self.record(request), rng) for _ in range(4)]

    def check(self, text: str, request: int) -> TextVerdict:
        """Wrong if a stated finding is not in the record, or one of the record is not stated."""
        return compare_note(self.record(request), text)

    def meaning(self, text: str) -> str:
        """The statements of a note, in any order."""
        measurements, impressions, _ = read_note(text)
        return "|".join(
            sorted(
                f"{measurement.name}={measurement.value},{measurement.level}" for measurement in measurements
            )
            + impressions
        )

    def passes_rule(self, text: str, request: int) -> bool:
        """A cheap filter: the note has the record's numbers, names and impression, each once; it does not see
        which belongs to which."""
        record = self.record(request)
        names = [name for _, _, name in _names(text)]
        expected = [measurement.name for measurement in record.measurements]
        return (
            sorted(re.findall(NUMBER, text))
            == sorted(measurement.value for measurement in record.measurements)
            and sorted(names) == sorted(expected)
            and re.findall(r"benign|malignant", text) == [record.impression]
        )

    def repair(self, text: str, request: int) -> str:
        """Repair one fault: drop a sentence whose measurement or number is not in the record, or add a missing fact.

        One of each at most: a note with more faults is left as it is, since what a writer got mostly wrong is
        better held than written anew by rule.
        """
        record = self.record(request)
        record_names = {measurement.name for measurement in record.measurements}
        record_values = {measurement.value for measurement in record.measurements}
        sentences: list[str] = []
        stated_names: set[str] = set()
        impressions = 0
        for sentence in _sentences(text):
            names = [name for _, _, name in _names(sentence)]
            numbers = re.findall(NUMBER, sentence)
            impression = re.findall(r"benign|malignant", sentence)
            is_new = not (set(names) & stated_names) and len(set(names)) == len(names)
            is_complete = len(numbers) == len(names) and (bool(names) != bool(impression))
            if (
                is_complete
                and is_new
                and set(names) <= record_names
                and set(numbers) <= record_values
                and (not impression or (impression == [record.impression] and not impressions))
            ):
                sentences.append(sentence)
                stated_names |= set(names)
                impressions += bool(impression)
        missing = [measurement for measurement in record.measurements if measurement.name not in stated_names]
        if len(_sentences(text)) - len(sentences) > 1 or len(missing) + (not impressions) > 1:
            return text
        additions = [
            f"{measurement.name.capitalize()} is {measurement.level} at {measurement.value}."
            for measurement in missing
        ]
        closing = [] if impressions else [f"Impression: {record.impression}."]
        return " ".join([*sentences, *additions, *closing])

    def seeded_texts(self, n: int, seed: int) -> Iterator[SeededText]:
        """Notes with a known verdict: right ones by the grammar, and the same with one fault put in."""
        rng = np.random.default_rng(seed)
        for request in self.requests(n, seed):
            record = self.record(request)
            text = note(record, rng)
            yield SeededText(text, int(request), wrong=False)
            yield SeededText(_add_fault(text, record, rng), int(request), wrong=True)


# The grammar of notes


def note(record: PatientRecord, rng: np.random.Generator) -> str:
    """A right note of a record: one of many ways to put it.

    >>> measurements = Measurement("worst area", "990", "high"), Measurement("texture", "17.1", "normal")
    >>> record = PatientRecord(measurements, "benign")
    >>> note(record, np.random.default_rng(1))
    'Worst area of 990 is high. Texture of 17.1 is normal. Findings suggest a benign lesion.'
    """
    measurements = list(record.measurements)
    sentences = []
    while measurements:
        first = measurements.pop(0)
        if measurements and measurements[0].level == first.level and rng.random() < 0.3:
            sentences.append(_sentence_of_both(first, measurements.pop(0)))
        else:
            sentences.append(_sentence_of(first, rng))
    return " ".join([*sentences, _closing(record.impression, rng)])


def _sentence_of(measurement: Measurement, rng: np.random.Generator) -> str:
    forms = (
        f"{measurement.name} is {measurement.level} at {measurement.value}.",
        f"{measurement.name} of {measurement.value} is {measurement.level}.",
        f"{measurement.name} is {measurement.value}, {measurement.level}.",
    )
    return _capitalize(forms[rng.integers(len(forms))])


def _sentence_of_both(first: Measurement, second: Measurement) -> str:
    return _capitalize(f"{first.name} ({first.value}) and {second.name} ({second.value}) are {first.level}.")


def _closing(impression: str, rng: np.random.Generator) -> str:
    forms = (
        f"Impression: {impression}.",
        f"The lesion is {impression}.",
        f"Findings suggest a {impression} lesion.",
    )
    return forms[rng.integers(len(forms))]


def _capitalize(text: str) -> str:
    return text[0].upper() + text[1:]


# Reading a note


NUMBER = r"\d+(?:\.\d+)?"
_LEVEL = r"(?P<level>very high|high|low|normal)"


@lru_cache(maxsize=1)
def _name_pattern() -> re.Pattern[str]:
    names = sorted(patients().names, key=len, reverse=True)
    return re.compile(r"\b(?:" + "|".join(map(re.escape, names)) + r")\b", re.I)


@lru_cache(maxsize=1)
def _forms() -> tuple[re.Pattern[str], ...]:
    name = _name_pattern().pattern
    number, other = rf"(?P<value>{NUMBER})", rf"(?P<value2>{NUMBER})"
    first, second = rf"(?P<name>{name})", rf"(?P<name2>{name})"
    forms = (
        rf"{first} is {_LEVEL} at {number}\.",
        rf"{first} of {number} is {_LEVEL}\.",
        rf"{first} is {number}, {_LEVEL}\.",
        rf"{first} \({number}\) and {second} \({other}\) are {_LEVEL}\.",
    )
    return tuple(re.compile(form, re.I) for form in forms)


_CLOSINGS = tuple(
    re.compile(form)
    for form in (
        r"Impression: (benign|malignant)\.",
        r"The lesion is (benign|malignant)\.",
        r"Findings suggest a (benign|malignant) lesion\.",
    )
)


def _names(text: str) -> list[tuple[int, int, str]]:
    """The measures that a text names, where and which."""
    return [(match.start(), match.end(), match.group().lower()) for match in _name_pattern().finditer(text)]


def _sentences(text: str) -> list[str]:
    """The sentences of a note; a point between digits ends none."""
    return [part for part in re.split(r"(?<=\.)\s+(?=\S)", text.strip()) if part]


def read_note(text: str) -> tuple[list[Measurement], list[str], list[str]]:
    """Read a note: its measurements, its impressions, and the sentences that say something else.

    >>> read_note("Texture is normal at 17.1. The lesion is benign. All is well.")
    ([Measurement(name='texture', value='17.1', level='normal')], ['benign'], ['All is well.'])
    """
    measurements: list[Measurement] = []
    impressions: list[str] = []
    others: list[str] = []
    for sentence in _sentences(text):
        matches = [match for match in (form.fullmatch(sentence) for form in _forms()) if match]
        closings = [match for match in (form.fullmatch(sentence) for form in _CLOSINGS) if match]
        if matches:
            groups = matches[0].groupdict()
            measurements.append(Measurement(groups["name"].lower(), groups["value"], groups["level"].lower()))
            if "name2" in groups:
                measurements.append(
                    Measurement(groups["name2"].lower(), groups["value2"], groups["level"].lower())
                )
        elif closings:
            impressions.append(closings[0].group(1))
        else:
            others.append(sentence)
    return measurements, impressions, others


def compare_note(record: PatientRecord, text: str) -> TextVerdict:
    """A note against its record: what is invented, missing or unreadable makes it wrong."""
    measurements, impressions, others = read_note(text)
    expected = list(record.measurements)
    invented = [measurement for measurement in measurements if measurement not in expected]
    missing = [measurement for measurement in expected if measurement not in measurements]
    is_repeated = len(measurements) != len(set(measurements))
    faults: list[str] = [message("read.states", fact=str(measurement)) for measurement in invented]
    faults += [message("read.lacks", fact=str(measurement)) for measurement in missing]
    faults += [message("read.twice")] * is_repeated
    faults += [message("read.sentence", sentence=sentence) for sentence in others]
    if impressions != [record.impression]:
        faults.append(_impression_fault(impressions, record.impression))
    marks = [span for measurement in invented for span in span_of(text, measurement.value)]
    marks += [span for sentence in others for span in span_of(text, sentence)]
    if impressions and impressions != [record.impression]:
        marks += [
            span
            for impression in impressions
            if impression != record.impression
            for span in span_of(text, impression)
        ]
    slots = len(invented) + len(missing) + (impressions != [record.impression])
    return TextVerdict(
        bool(faults), joined(faults) or message("read.as_record"), tuple(marks), slots, len(expected) + 1
    )


def _impression_fault(impressions: Sequence[str], record: str) -> str:
    """What is wrong with the impressions of a note that is not the record's alone."""
    if not impressions:
        return message("read.no_impression", record=record)
    impression: str = impressions[0]
    for further in impressions[1:]:
        impression = message("read.both", first=impression, second=further)
    return message("read.impression", impression=impression, record=record)


def _add_fault(text: str, record: PatientRecord, rng: np.random.Generator) -> str:
    """A right note with one fault: a wrong number, level, name or impression, two numbers swapped, or one part gone."""
    first, second = (record.measurements[index] for index in rng.permutation(len(record.measurements))[:2])
    absent = [
        name
        for name in patients().names
        if name not in {measurement.name for measurement in record.measurements}
    ]
    other_impression = IMPRESSIONS[1 - IMPRESSIONS.index(record.impression)]
    sentences = _sentences(text)
    omitted = int(rng.integers(len(sentences)))
    variants: Sequence[str] = (
        text.replace(first.value, format_value(float(first.value) * 1.1 + 0.01), 1),
        _swap(text, first.value, second.value),
        re.sub(rf"\b{first.name}\b", str(rng.choice(absent)), text, count=1, flags=re.I),
        text.replace(record.impression, other_impression),
        " ".join(sentences[:omitted] + sentences[omitted + 1 :]),
        text.replace(first.level, LEVELS[(LEVELS.index(first.level) + 1) % 3], 1),
    )
    faulty = variants[int(rng.integers(len(variants)))]
    return (
        faulty
        if faulty != text
        else f"{text} {_sentence_of(Measurement(str(absent[0]), '1.00', 'low'), rng)}"
    )


def _swap(text: str, first: str, second: str) -> str:
    return text.replace(first, "\0").replace(second, first).replace("\0", second)
