"""Write a short case note from a patient's record: scikit-learn's breast-cancer records, 569 biopsies.

A request names a patient and three of twenty measurements; the note must state each of them with its value
and its level, and the impression, and nothing else. No one wrote notes for these records, so the writers
learn from notes that a small grammar makes; the grammar never sees the patients who are asked about.

The check reads a note whole: which value and which level belong to which name. It stands for the person who would
read it, so nothing that refines may ask it: filter and repair see only that the record's names, numbers and impression
are there, and voting knows no record at all. What they cannot see (two values swapped, a level that is wrong) is what
the certificate is about. Where a check may be run on each note before it goes out, run it, hold what fails, and no
sample is needed: what is left is the check's own error.
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
from tolerate.jobs.texts.task import Pair, SeededText, TextTask, TextVerdict, span_of
from tolerate.jobs.texts.workshop import TextWorkshop
from tolerate.messages.catalogue import joined, message
from tolerate.records import Job, Prices
from tolerate.runs.plan import RunPlan
from tolerate.runs.progress import ProgressReporter

LEVELS = ("low", "normal", "high", "very high")
TYPES = ("benign", "malignant")
ASKED = 3  # findings of a note
SHIFT = 1 << 31  # a request is patient * SHIFT + a seed that picks its findings

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
class Finding:
    """One measurement of a record, as it is written."""

    name: str  # such as "worst area"
    value: str  # such as "20.1"
    level: str


@dataclass(frozen=True)
class Record:
    """What a note is asked to state."""

    findings: tuple[Finding, ...]
    impression: str

    def __str__(self) -> str:
        listed = "; ".join(f"{one.name} {one.value} {one.level}" for one in self.findings)
        return f"{listed}; {self.impression}"


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
    used = [at for at, name in enumerate(data.feature_names) if not name.endswith("error")]
    names = tuple(str(data.feature_names[at]).removeprefix("mean ") for at in used)
    values, malignant = data.data[:, used], 1 - data.target
    benign = values[malignant == 0]
    edges = np.stack([np.quantile(benign, 0.05, 0), np.quantile(benign, 0.95, 0), benign.max(0)])
    levels = (values[None] > edges[:, None]).sum(0)
    digest = hashlib.sha256(np.ascontiguousarray(data.data).tobytes()).hexdigest()
    return Patients(names, values, levels, malignant.astype(np.int64), digest)


def written(value: float) -> str:
    """A value with three significant digits, never as an exponent.

    >>> [written(x) for x in (17.99, 1001.0, 0.1184, 0.0)]
    ['18.0', '1000', '0.118', '0']
    """
    if value == 0:
        return "0"
    places = 2 - int(np.floor(np.log10(abs(value)) + 1e-9))
    return f"{round(value, places):.{max(places, 0)}f}"


class CaseNotes(TextTask):
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
        order = np.random.default_rng(seed).permutation(len(self.data.values))
        self.parts = {"generator": order[:269], "judge": order[269:319], "asked": order[319:]}

    @cached_property
    def data(self) -> Patients:
        """The records."""
        return patients()

    @property
    def sha256(self) -> str:
        """Of all records."""
        return self.data.sha256

    @property
    def sizes(self) -> dict[str, int]:
        """Patients by purpose."""
        return {name: len(part) for name, part in self.parts.items()}

    def requests(self, n: int, seed: int, part: str = "asked") -> Ints:
        """n requests: a patient of this part and findings, drawn independently."""
        rng = np.random.default_rng(seed)
        return rng.choice(self.parts[part], n) * SHIFT + rng.integers(0, SHIFT, n)

    def record(self, request: int) -> Record:
        """What a request asks for."""
        patient, picks = divmod(int(request), SHIFT)
        rng = np.random.default_rng(picks)
        which = rng.permutation(len(self.data.names))[:ASKED]
        findings = [
            Finding(
                self.data.names[at],
                written(self.data.values[patient, at]),
                LEVELS[self.data.levels[patient, at]],
            )
            for at in which
        ]
        return Record(tuple(findings), TYPES[self.data.malignant[patient]])

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
        return compare(self.record(request), text)

    def meaning(self, text: str) -> str:
        """What a note says, whatever the order."""
        found, types, _ = read_note(text)
        return "|".join(sorted(f"{one.name}={one.value},{one.level}" for one in found) + types)

    def passes_rule(self, text: str, request: int) -> bool:
        """A cheap filter: the note has the record's numbers, names and impression, each once; it does not see
        which belongs to which."""
        record = self.record(request)
        names = [name for _, _, name in _names(text)]
        wanted = [one.name for one in record.findings]
        return (
            sorted(re.findall(NUMBER, text)) == sorted(one.value for one in record.findings)
            and sorted(names) == sorted(wanted)
            and re.findall(r"benign|malignant", text) == [record.impression]
        )

    def repair(self, text: str, request: int) -> str:
        """Drop a sentence that names what the record lacks or a number it does not have; add a fact that is missing.

        One of each at most: a note with more faults is left as it is, since what a writer got mostly wrong is
        better held than written anew by rule.
        """
        record = self.record(request)
        known = {one.name for one in record.findings}
        values = {one.value for one in record.findings}
        kept: list[str] = []
        said: set[str] = set()
        types = 0
        for sentence in _sentences(text):
            names = [name for _, _, name in _names(sentence)]
            numbers = re.findall(NUMBER, sentence)
            impression = re.findall(r"benign|malignant", sentence)
            new = not (set(names) & said) and len(set(names)) == len(names)
            whole = len(numbers) == len(names) and (bool(names) != bool(impression))
            if (
                whole
                and new
                and set(names) <= known
                and set(numbers) <= values
                and (not impression or (impression == [record.impression] and not types))
            ):
                kept.append(sentence)
                said |= set(names)
                types += bool(impression)
        missing = [one for one in record.findings if one.name not in said]
        if len(_sentences(text)) - len(kept) > 1 or len(missing) + (not types) > 1:
            return text
        added = [f"{one.name.capitalize()} is {one.level} at {one.value}." for one in missing]
        closing = [] if types else [f"Impression: {record.impression}."]
        return " ".join([*kept, *added, *closing])

    def seeded_texts(self, n: int, seed: int) -> Iterator[SeededText]:
        """Notes with a known verdict: right ones by the grammar, and the same with one fault put in."""
        rng = np.random.default_rng(seed)
        for request in self.requests(n, seed):
            record = self.record(request)
            text = note(record, rng)
            yield SeededText(text, int(request), wrong=False)
            yield SeededText(_spoiled(text, record, rng), int(request), wrong=True)


# The grammar of notes


def note(record: Record, rng: np.random.Generator) -> str:
    """A right note of a record: one of many ways to put it.

    >>> record = Record((Finding("worst area", "990", "high"), Finding("texture", "17.1", "normal")), "benign")
    >>> note(record, np.random.default_rng(1))
    'Worst area of 990 is high. Texture of 17.1 is normal. Findings suggest a benign lesion.'
    """
    findings = list(record.findings)
    sentences = []
    while findings:
        one = findings.pop(0)
        if findings and findings[0].level == one.level and rng.random() < 0.3:
            sentences.append(_both(one, findings.pop(0)))
        else:
            sentences.append(_one(one, rng))
    return " ".join([*sentences, _closing(record.impression, rng)])


def _one(one: Finding, rng: np.random.Generator) -> str:
    forms = (
        f"{one.name} is {one.level} at {one.value}.",
        f"{one.name} of {one.value} is {one.level}.",
        f"{one.name} is {one.value}, {one.level}.",
    )
    return _capital(forms[rng.integers(len(forms))])


def _both(one: Finding, other: Finding) -> str:
    return _capital(f"{one.name} ({one.value}) and {other.name} ({other.value}) are {one.level}.")


def _closing(impression: str, rng: np.random.Generator) -> str:
    forms = (
        f"Impression: {impression}.",
        f"The lesion is {impression}.",
        f"Findings suggest a {impression} lesion.",
    )
    return forms[rng.integers(len(forms))]


def _capital(text: str) -> str:
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
    return [(found.start(), found.end(), found.group().lower()) for found in _name_pattern().finditer(text)]


def _sentences(text: str) -> list[str]:
    """The sentences of a note; a point between digits ends none."""
    return [part for part in re.split(r"(?<=\.)\s+(?=\S)", text.strip()) if part]


def read_note(text: str) -> tuple[list[Finding], list[str], list[str]]:
    """What a note states: findings, impressions, and sentences that say something else.

    >>> read_note("Texture is normal at 17.1. The lesion is benign. All is well.")
    ([Finding(name='texture', value='17.1', level='normal')], ['benign'], ['All is well.'])
    """
    findings: list[Finding] = []
    types: list[str] = []
    strange: list[str] = []
    for sentence in _sentences(text):
        matches = [found for found in (form.fullmatch(sentence) for form in _forms()) if found]
        closing = [found for found in (form.fullmatch(sentence) for form in _CLOSINGS) if found]
        if matches:
            said = matches[0].groupdict()
            findings.append(Finding(said["name"].lower(), said["value"], said["level"].lower()))
            if "name2" in said:
                findings.append(Finding(said["name2"].lower(), said["value2"], said["level"].lower()))
        elif closing:
            types.append(closing[0].group(1))
        else:
            strange.append(sentence)
    return findings, types, strange


def compare(record: Record, text: str) -> TextVerdict:
    """A note against its record: what is invented, missing or unreadable makes it wrong."""
    found, types, strange = read_note(text)
    wanted = list(record.findings)
    invented = [one for one in found if one not in wanted]
    missing = [one for one in wanted if one not in found]
    twice = len(found) != len(set(found))
    faults = [message("read.states", fact=f"{one.name} {one.value} {one.level}") for one in invented]
    faults += [message("read.lacks", fact=f"{one.name} {one.value} {one.level}") for one in missing]
    faults += [message("read.twice")] * twice
    faults += [message("read.sentence", sentence=sentence) for sentence in strange]
    if types != [record.impression]:
        faults.append(_impression_fault(types, record.impression))
    marks = [span for one in invented for span in span_of(text, one.value)]
    marks += [span for sentence in strange for span in span_of(text, sentence)]
    if types and types != [record.impression]:
        marks += [span for kind in types if kind != record.impression for span in span_of(text, kind)]
    slots = len(invented) + len(missing) + (types != [record.impression])
    return TextVerdict(
        bool(faults), joined(faults) or message("read.as_record"), tuple(marks), slots, len(wanted) + 1
    )


def _impression_fault(types: Sequence[str], record: str) -> str:
    """What is wrong with the impressions of a note that is not the record's alone."""
    if not types:
        return message("read.no_impression", record=record)
    impression: str = types[0]
    for kind in types[1:]:
        impression = message("read.both", first=impression, second=kind)
    return message("read.impression", impression=impression, record=record)


def _spoiled(text: str, record: Record, rng: np.random.Generator) -> str:
    """A right note with one fault: a wrong number, level, name or impression, two numbers swapped, or one part gone."""
    one, other = (record.findings[at] for at in rng.permutation(len(record.findings))[:2])
    absent = [name for name in patients().names if name not in {each.name for each in record.findings}]
    wrong = TYPES[1 - TYPES.index(record.impression)]
    sentences = _sentences(text)
    gone = int(rng.integers(len(sentences)))
    options: Sequence[str] = (
        text.replace(one.value, written(float(one.value) * 1.1 + 0.01), 1),
        _swapped(text, one.value, other.value),
        re.sub(rf"\b{one.name}\b", str(rng.choice(absent)), text, count=1, flags=re.I),
        text.replace(record.impression, wrong),
        " ".join(sentences[:gone] + sentences[gone + 1 :]),
        text.replace(one.level, LEVELS[(LEVELS.index(one.level) + 1) % 3], 1),
    )
    spoiled = options[int(rng.integers(len(options)))]
    return spoiled if spoiled != text else f"{text} {_one(Finding(str(absent[0]), '1.00', 'low'), rng)}"


def _swapped(text: str, one: str, other: str) -> str:
    return text.replace(one, "\0").replace(other, one).replace("\0", other)
