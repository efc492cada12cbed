"""Write an advertising text from a restaurant's record: the E2E challenge. Novikova et al. 2017, arXiv:1706.09254.

The check reads a text by patterns for every value of every slot (see `restaurant_slots`), as the challenge's own slot
error rate does (Dušek et al. 2019, "Semantic noise matters"): a slot that is missing, wrong or invented makes the text
wrong, and so does a word that the crowd hardly ever writes. The crowd's own texts are often wrong; writers learn only
from those that pass, with placeholders for the names.

The check stands for a person who reads, so no refining may use it: filter and repair look for a few telltale words a
value, and voting does not see the record. The check's own error: a second reading, by a
language model, of 110 texts of the crowd that pass it found a fault in 3 (a price in euros, facts of the
neighbour, "around the centre"); of 70 that it refuses 2 were right and 12 more said a rougher word than the record
("highly rated" for 5 out of 5), which counts as wrong. It does not read English: of 100 drafts of a small Transformer,
repaired and passed, 2 said nonsense of a fact ("a rating of more than £30") and 9 had a broken sentence.
"""

import csv
import gzip
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from tolerate.base.arrays import Ints
from tolerate.checks.own_error import OwnError
from tolerate.errors import DataError
from tolerate.jobs.texts.options import SCORE_OPTIONS
from tolerate.jobs.texts.restaurant_slots import (
    NAME,
    NEAR,
    PATTERNS,
    Slots,
    compare_text,
    fact_sentence,
    has_foreign_telltale,
    replace_names,
    restore_names,
    slots_without_telltale,
    stated_values,
    words_of,
)
from tolerate.jobs.texts.task import DividedTask, Pair, TextVerdict, span_of, split_shares
from tolerate.jobs.texts.workshop import TextWorkshop
from tolerate.messages.catalogue import joined, message
from tolerate.records import Job, Prices
from tolerate.runs.plan import RunPlan
from tolerate.runs.progress import ProgressReporter

PART_SHARES = {"generator": 0.62, "judge": 0.1, "asked": 0.28}
MIN_TEXTS_PER_WORD = 3  # texts of the crowd that a word must be in

JOB = Job(
    name="restaurants",
    title={"en": "Write about a restaurant from its record", "zh": "根据餐馆资料写推荐文字"},
    workshop="tolerate.jobs.texts.restaurants:open_restaurants",
    tolerance=0.05,
    confidence=0.95,
    tolerances=(0.2, 0.1, 0.05, 0.02, 0.01, 0.005),
    models=("transformer", "lstm"),
    refine=("plain", "best-of-4", "vote-of-4+rules", "vote-of-4+repair+rules"),
    labels=2000,
    proof=1500,
    prices=Prices.per_million(review_seconds=30, dollars_an_hour=18),
    check="slots",
    judge="verifier",
    steps={"transformer": 1500, "lstm": 1000},
    example="tolerate run restaurants --data FOLDER",
    modality="texts",
    options=SCORE_OPTIONS,
)


def open_restaurants(plan: RunPlan, folder: Path, reporter: ProgressReporter) -> TextWorkshop:
    """The workshop of texts about restaurants."""
    return TextWorkshop(plan, folder, reporter, lambda: Restaurants(plan.data, plan.options.seed))


@dataclass(frozen=True)
class Records:
    """Records without repeats, with the crowd's texts of each."""

    slots: tuple[Slots, ...]
    texts: tuple[tuple[str, ...], ...]
    sha256: str


def read_records(folder: Path) -> Records:
    """The records of E2E's csv files (columns mr, ref), gzipped or not.

    folder: the files, or one file.
    """
    paths = sorted([*folder.glob("*.csv"), *folder.glob("*.csv.gz")]) if folder.is_dir() else [folder]
    texts: dict[str, list[str]] = {}
    digest = hashlib.sha256()
    for path in paths:
        for record, ref in _rows(path, digest):
            texts.setdefault(record, []).append(ref)
    if len(texts) < 60:
        raise DataError(
            f"{folder} holds {len(texts)} restaurant records; expected at least 60 in csv files with columns mr and "
            "ref, as E2E publishes them"
        )
    slots = tuple(parse_record(record) for record in texts)
    return Records(slots, tuple(tuple(record_texts) for record_texts in texts.values()), digest.hexdigest())


def _rows(path: Path, digest: "hashlib._Hash") -> Iterator[tuple[str, str]]:
    try:
        data = path.read_bytes()
        digest.update(data)
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}; expected UTF-8 text, gzipped or not") from None
    rows = csv.DictReader(text.splitlines())
    if not {"mr", "ref"} <= set(rows.fieldnames or ()):
        raise DataError(f"{path} has columns {', '.join(rows.fieldnames or ())}; expected mr and ref")
    for row in rows:
        if row["mr"] and row["ref"] and "name[" in row["mr"]:
            yield row["mr"], row["ref"]


def parse_record(mr: str) -> Slots:
    """The slots of a record as E2E writes them.

    >>> parse_record("name[Blue Spice], customer rating[5 out of 5]")
    {'name': 'Blue Spice', 'rating': '5 out of 5'}
    """
    return {key.rpartition(" ")[2]: value for key, value in re.findall(r"([\w ]+)\[([^\]]*)\]", mr)}


class Restaurants(DividedTask):
    """Records and texts, divided by purpose."""

    name = "E2E restaurant records"
    limit = 70
    has_record = True
    rubric = "The text says each fact that is asked for, none of them wrongly, and no fact that is not."
    decoding = {"temperature": 0.7, "min_p": 0.05}  # noqa: RUF012
    assumptions = (
        {
            "en": "The population is requests for the records kept for asking, each as likely as the other. Writers "
            "and verifier saw none of them.",
            "zh": "总体是对留作提问的资料的请求，每条机会相同；写作模型和校验器都没有见过这些资料。",
        },
        {
            "en": "Filter and repair look for a few telltale words and never ask the check. A second reading, by a "
            "language model, of 110 texts of the crowd that pass the check found a fault in 3.",
            "zh": "过滤和修补只找少数标志性词语，从不询问检验。"
            "用语言模型复读 110 篇通过检验的众包文本，发现 3 篇有错。",
        },
    )

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder, self.seed = folder, seed

    @cached_property
    def records(self) -> Records:
        """All records."""
        return read_records(self.folder)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the files."""
        return self.records.sha256

    @cached_property
    def parts(self) -> dict[str, Ints]:
        """The indices of the records by purpose."""
        return split_shares(len(self.records.slots), PART_SHARES, self.seed)

    def slots(self, request: int) -> Slots:
        """The record of a request."""
        return self.records.slots[int(request)]

    def prompt(self, request: int) -> str:
        """The record, as people read it."""
        return ", ".join(f"{slot} {value}" for slot, value in self.slots(request).items())

    def model_input(self, request: int) -> str:
        """The record as the writers read it: without names, the slots in one order."""
        slots = self.slots(request)
        parts = [f"{slot} {slots[slot]}" for slot in PATTERNS if slot in slots]
        return "; ".join([*parts, "near"] if "near" in slots else parts)

    def shown_text(self, text: str, request: int) -> str:
        """A writer's text with the names inserted."""
        return restore_names(text, self.slots(request))

    def model_text(self, text: str, request: int) -> str:
        """A text with placeholders for the names."""
        return replace_names(text, self.slots(request))

    def pairs(self, n: int, seed: int) -> list[Pair]:
        """The crowd's texts of the writers' records that pass the check."""
        pairs = [
            Pair(self.model_input(record), replace_names(text, self.slots(record)))
            for record in self.parts["generator"].tolist()
            for text in self.records.texts[record]
            if not self.check(text, record).wrong
        ]
        return pairs[:n]

    def references(self, request: int) -> list[str]:
        """The crowd's texts of a record."""
        return list(self.records.texts[int(request)])

    def held_out_pairs(self, n: int, seed: int) -> list[Pair]:
        """Texts of the asked records that pass the check, as the writers would write them."""
        pairs = [
            Pair(self.model_input(request), replace_names(text, self.slots(request)))
            for request in dict.fromkeys(self.requests(n, seed).tolist())
            for text in self.records.texts[request][:2]
            if not self.check(text, request).wrong
        ]
        return pairs[:n]

    def check(self, text: str, request: int) -> TextVerdict:
        """Wrong if a slot is missing, wrong or invented, or a word is unknown to the crowd."""
        slots = self.slots(request)
        verdict = compare_text(slots, text)
        unknown_words = [
            word for word in words_of(replace_names(text, slots)) if word.lower() not in self.vocabulary
        ]
        if not unknown_words:
            return verdict
        faults = [verdict.read] * verdict.wrong + [
            message("read.no_word", word=word) for word in unknown_words
        ]
        marks = (*verdict.marks, *(span for word in unknown_words for span in span_of(text, word)))
        return replace(verdict, wrong=True, read=joined(faults), marks=marks)

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """The words that occur in at least MIN_TEXTS_PER_WORD of all the crowd's texts."""
        return self._common_words(np.arange(len(self.records.slots)))

    @cached_property
    def generator_vocabulary(self) -> frozenset[str]:
        """The same for the generator's part: the filter's vocabulary."""
        return self._common_words(self.parts["generator"])

    def _common_words(self, records: Ints) -> frozenset[str]:
        counts = Counter(
            word
            for record in records.tolist()
            for text in self.records.texts[record]
            for word in {word.lower() for word in words_of(replace_names(text, self.slots(record)))}
        )
        return frozenset(word for word, count in counts.items() if count >= MIN_TEXTS_PER_WORD)

    def meaning(self, text: str) -> str:
        """The values that a text states, in any words."""
        return "|".join(
            f"{slot}={'/'.join(sorted(values))}" for slot, values in sorted(stated_values(text).items())
        )

    def passes_rule(self, text: str, request: int) -> bool:
        """Whether it is complete, of known words, names the place and its neighbour, has a telltale word of each slot,
        and none of a value that is not in the record. Denials, and which place a fact is about, are not read.
        """
        slots = self.slots(request)
        text_without_names = replace_names(text, slots)
        return (
            text.rstrip().endswith((".", "!"))
            and text.count(NAME) + text.count(NEAR) == 0
            and not slots_without_telltale(slots, text_without_names)
            and not has_foreign_telltale(slots, text_without_names)
            and all(word.lower() in self.generator_vocabulary for word in words_of(text_without_names))
        )

    def repair(self, text: str, request: int) -> str:
        """Add one missing fact by a sentence of its own; drop one sentence with a word of what the record lacks.

        It looks for the same telltale words as the filter and never asks the check.
        """
        slots = self.slots(request)
        sentences = re.split(r"(?<=[.!])\s+", text.strip())
        remaining = [
            sentence
            for sentence in sentences
            if not has_foreign_telltale(slots, replace_names(sentence, slots))
        ]
        if len(sentences) - len(remaining) > 1 or not remaining:
            return text
        repaired = " ".join(remaining)
        missing = slots_without_telltale(slots, replace_names(repaired, slots))
        if len(missing) > 1 or "name" in missing or not (missing or len(remaining) < len(sentences)):
            return text
        return " ".join([repaired, *(fact_sentence(slot, slots[slot]) for slot in missing)])

    def own_error(self, n: int, seed: int) -> OwnError:
        """Crowd texts that pass, checked against their record with one slot changed or removed: now they are wrong.

        How often it refuses right texts is not measured: nobody but the check has said which are right.
        """
        rng = np.random.default_rng(seed)
        detected = tried = 0
        for request in self.requests(3 * n, seed).tolist():
            text = str(rng.choice(self.records.texts[request]))
            slots = self.slots(request)
            changeable = [slot for slot in slots if slot in PATTERNS and slot != "eatType"]
            if tried == n or compare_text(slots, text).wrong or not changeable:
                continue
            slot = str(rng.choice(changeable))
            others = [value for value in PATTERNS[slot] if value != slots[slot]]
            changed = {key: value for key, value in slots.items() if key != slot}
            if rng.random() < 0.5:
                changed[slot] = str(rng.choice(others))
            tried += 1
            detected += compare_text(changed, text).wrong
        return OwnError(faulty=tried, missed=tried - detected, right=0, refused=0)
