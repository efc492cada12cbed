"""Write an advertising text from a restaurant's record: the E2E challenge. Novikova et al. 2017, arXiv:1706.09254.

The check reads a text by patterns for every value of every slot, as the challenge's own slot error rate does (Dušek
et al. 2019, "Semantic noise matters"): a slot that is missing, wrong or invented makes the text wrong, and so does a
word that is hardly ever written by the crowd. The crowd's own texts are often wrong; writers learn only from those that
pass. Names are left open in what they read and write.

The check stands for a person who reads, so nothing that refines may ask it: filter and repair look for a few
telltale words a value (`TELLTALES`), voting knows no record at all. The check's own error: a second reading, by a
language model, of 110 texts of the crowd that pass it found a fault in 3 (a price in euros, facts told of the
neighbour, "around the centre"); of 70 that it refuses 2 were right and 12 more said a rougher word than the record
("highly rated" for 5 out of 5), which counts as wrong. It does not read English: of 100 drafts of a small Transformer,
mended and passed, 2 said nonsense of a fact ("a rating of more than £30") and 9 had a broken sentence.
"""

import csv
import gzip
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from tolerate.base.arrays import Ints
from tolerate.checks.own_error import OwnError
from tolerate.errors import DataError
from tolerate.jobs.texts.options import SCORE_OPTIONS
from tolerate.jobs.texts.task import Pair, TextTask, TextVerdict, span_of
from tolerate.jobs.texts.workshop import TextWorkshop
from tolerate.messages.catalogue import joined, message
from tolerate.records import Job, Prices
from tolerate.runs.plan import RunPlan
from tolerate.runs.progress import ProgressReporter

Slots = dict[str, str]
PARTS = {"generator": 0.62, "judge": 0.1, "asked": 0.28}
NAME, NEAR = "XNAME", "XNEAR"
KNOWN = 3  # texts of the crowd that a word must be in

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


# What says a value of a slot. Names are taken out first, so that "Express by Holiday Inn" says nothing of food.
_RATE = (
    r"(?:customer |customers? |user )?(?:rat(?:ing|ings|ed|e)|reviews?|scor(?:e|es|ed)|feedback|satisfaction)"
)
_KIDS = r"(?:family|families|kids?|child(?:ren)?)(?:'s|s)?"
_FRIENDLY = rf"{_KIDS}[- ]*(?:and [a-z]+[- ]*)?(?:friendly|oriented|welcoming)"
_LOW = r"(?:low|poor|bad|terrible)(?:ly|est)?"
_HIGH = r"(?:high|excellent|great|good|top|outstanding)(?:ly|est)?"
_MIDDLE = r"(?:average|moderate|decent|medium|okay|ok|fair)(?:ly)?"

PATTERNS: dict[str, dict[str, str]] = {
    "eatType": {
        "restaurant": r"\brestaurants?\b",
        "pub": r"\bpubs?\b",
        "coffee shop": r"\bcoffee[- ]?(?:shops?|houses?|bars?|places?)\b|\bcaf[eé]s?\b",
    },
    "food": {
        "English": r"\b(?:english|british)\b(?! pounds?)",
        "Chinese": r"\bchinese\b",
        "French": r"\bfrench\b",
        "Italian": r"\bitalian\b|\bpasta\b",
        "Indian": r"\bindian\b",
        "Japanese": r"\bjapanese\b|\bsushi\b",
        "Fast food": r"\bfast[- ]?foods?\b",
    },
    "priceRange": {
        "less than £20": r"(?:less|lower|cheaper) th[ae]n (?:£ ?)?20|(?:under|below|up to|within) (?:£ ?)?20(?!\d|-)|"
        r"(?:£ ?)20 or (?:less|under)",
        "£20-25": r"(?:£ ?)?20 ?(?:-|–|to|and) ?(?:£ ?)?25",
        "more than £30": r"(?:more|higher|greater) th[ae]n (?:£ ?)?30|(?:over|above) (?:£ ?)?30|"
        r"(?:£ ?)30 (?:and up|or more|plus)",
        "cheap": r"\b(?:cheap(?:ly|er)?|inexpensive|affordabl[ey]|low[- ](?:price[ds]?|cost|priced)|low(?:er)? price|"
        r"low[- ]?(?:end )?(?:in )?pric(?:e|es|ed|ing))\b|price(?:s| range)? (?:is|are|of|that is|that are)? ?low\b",
        "moderate": r"\b(?:moderate(?:ly)?|"
        r"mid|medium|average|reasonabl[ey])[- ]?(?:range )?(?:ly )?pric(?:e|es|ed|ing|ey)\b|"
        r"\bpric(?:e|es|ed|ing)(?:[- ]range| range)?[^.,;]{0,14}\b(?:moderate(?:ly)?|average|"
        r"reasonable|mid[- ]range)\b"
        r"(?![- ](?:customer |user )?rat)|"
        r"\bmoderate(?:ly)? (?:cost|range)|mid[- ]range\b|\bmoderate[- ]price",
        "high": r"\bexpensive\b|\bpricey\b|\bhigh(?:er|ly)?[- ](?:end )?(?:pric(?:e|es|ed|ing|ey)|cost)\b|"
        r"\bpric(?:e|es|ed|ing)(?:[- ]range| range)?[^.,;]{0,14}\bhigh(?:er)?\b(?! (?:customer|rat))|\bhigh range\b",
    },
    "rating": {
        "1 out of 5": r"\b(?:1|one)(?:[- ]|/)?(?:out[- ]of[- ]|of )?(?:5|five)\b(?! ?(?:pound|%))|"
        r"(?<!of )\b(?:1|one)[- ]stars?\b|"
        rf"{_RATE}(?: only)?(?: at| of| as| is| a)? (?:1|one)\b",
        "3 out of 5": r"\b(?:3|three)(?:[- ]|/)?(?:out[- ]of[- ]|of )?(?:5|five)\b|(?<!of )\b(?:3|three)[- ]stars?\b|"
        rf"{_RATE}(?: at| of| as| is| a)? (?:3|three)\b",
        "5 out of 5": r"\b(?:5|five)(?:[- ]|/)?(?:out[- ]of[- ]|of )(?:5|five)\b|(?<!of )(?<!out )\b(?:5|"
        r"five)[- ]stars?\b|"
        rf"{_RATE}(?: at| of| as| is| a)? (?:5|five)\b(?! out of (?!5|five))",
        "low": rf"\b{_LOW}[- ](?:\w+[- ])?{_RATE}|{_RATE}[^.,;]{{0,14}}\b{_LOW}\b(?![- ](?:price|cost))",
        "average": rf"\b{_MIDDLE}[- ](?:\w+[- ])?{_RATE}|{_RATE}[^.,;]{{0,14}}\b{_MIDDLE}\b(?![- ]pric)",
        "high": rf"\b{_HIGH}[- ](?:\w+[- ])?{_RATE}|{_RATE}[^.,;]{{0,14}}\b{_HIGH}\b(?![- ](?:price|"
        rf"cost))|\bwell[- ]rated\b|"
        r"\bhighly (?:recommended|rated|reviewed)\b",
    },
    "area": {
        "riverside": r"\briver ?-?(?:side|front|bank)s?\b|\b(?:the|a|along|by) river\b",
        "city centre": r"\b(?:city|town)[- ]?(?:'s )?cent(?:er|re)\b|\bcent(?:er|re) of (?:the )?(?:city|town)\b|"
        r"\bin the (?:cent(?:er|re)|city)\b|\bdowntown\b|\bheart of the city\b|\bcentral\b",
    },
    "familyFriendly": {
        "no": rf"\b(?:not|isn't|n't|non|never|no longer|hardly)[- ]*(?:be |considered |very |a |an |"
        rf"really |necessarily |"
        rf"particularly |exactly |known to be |known for being )*{_FRIENDLY}|"
        rf"(?:\b(?:not|no|non|none|never)\b|n't\b)[^.;,]{{0,40}}\b{_KIDS}\b|\badults?[- ]only\b|"
        rf"\bonly (?:for )?adults\b|"
        rf"\b(?:un|dis)friendly\b|\b{_KIDS}[- ]free\b|\b{_FRIENDLY}[^.;,]{{0,6}}\b(?:no|not)\b|"
        rf"\bnot (?:for|suitable)\b[^.;,]{{0,20}}{_KIDS}|"
        rf"\b{_KIDS}\b[^.;,]{{0,14}}(?:\bnot\b|n't\b)[^.;,]{{0,20}}\b(?:welcome|allowed|"
        rf"friendly|recommended|permitted|visit)|"
        r"\badult (?:establishment|venue|atmosphere|environment|crowd)\b",
        "yes": rf"\b{_FRIENDLY}|\b(?:for|welcomes?|welcoming|suits?|caters? (?:to|for)|"
        rf"bring(?:ing)?)\b[^.;,]{{0,24}}\b{_KIDS}\b|"
        rf"\b{_KIDS}\b[^.;,]{{0,14}}\b(?:welcome|allowed)\b|\bfamily (?:restaurant|pub|coffee|"
        rf"establishment|venue|place|atmosphere|"
        r"environment)\b|\bfriendly (?:to|for) (?:families|kids|children)\b",
    },
}
_COMPILED = {
    slot: {value: re.compile(form, re.I) for value, form in values.items()}
    for slot, values in PATTERNS.items()
}
_BESIDE = re.compile(  # a place beside the centre is not in it
    r"\b(?:near|close|next|outside|(?:not )?(?:too )?far)(?: (?:to|from|of))?(?: the)? (?:city|town)[- ]?cent(?:er|re)",
    re.I,
)
ADDED: dict[str, str | dict[str, str]] = {  # how a missing fact is said by rule
    "eatType": "It is a {}.",
    "food": "It serves {} food.",
    "priceRange": {
        "less than £20": "Prices are less than £20.",
        "£20-25": "The price range is £20-25.",
        "more than £30": "Prices are more than £30.",
        "cheap": "It is cheap.",
        "moderate": "It is moderately priced.",
        "high": "It is expensive.",
    },
    "rating": "The customer rating is {}.",
    "area": {"riverside": "It is by the riverside.", "city centre": "It is in the city centre."},
    "familyFriendly": {"yes": "It is family friendly.", "no": "It is not family friendly."},
    "near": "It is near {}.",
}


# What rules and repair look for: a few words a value, far less than the check knows.
TELLTALES: dict[str, dict[str, str]] = {
    "eatType": {"restaurant": "restaurant", "pub": "pub", "coffee shop": "coffee shop"},
    "food": {
        **{one: one for one in ("Chinese", "French", "Italian", "Indian", "Japanese", "Fast food")},
        "English": "English|British",
    },
    "priceRange": {
        "less than £20": "(?:less|lower) than £?20|under £?20",
        "£20-25": "20.{1,5}25",
        "more than £30": "(?:more|higher) than £?30|(?:over|above) £?30",
        "cheap": "cheap|low[- ]price|inexpensive|affordable",
        "moderate": "(?:moderate|mid|average|reasonabl).{1,6}(?:pric|range)|price.{1,16}(?:moderate|average)",
        "high": "high.{1,6}pric|price.{1,14}high|expensive|pricey",
    },
    "rating": {
        **{
            f"{digit} out of 5": f"(?:{digit}|{word}).(?:out of|stars?)"
            for digit, word in zip("135", ("one", "three", "five"), strict=True)
        },
        "low": "low.{1,14}rat|poor|rat.{1,14}low|low.{1,10}review",
        "average": "average.{1,14}(?:rat|review)|rat.{1,14}average",
        "high": "high.{1,14}(?:rat|review)|rat.{1,14}high",
    },
    "area": {"riverside": "river", "city centre": "cent(?:re|er)"},
    "familyFriendly": {
        "no": "(?:no|not|non|n't|isn't|un).{1,24}(?:famil|kid|child)|adult",
        "yes": "(?<!non.)(?<!non)(?<!not.)(?<!not.a.)(?<!no.)(?:famil|kid|child)",
    },
}
_TELLTALES = {
    slot: {value: re.compile(form, re.I) for value, form in values.items()}
    for slot, values in TELLTALES.items()
}


@dataclass(frozen=True)
class Records:
    """Records, each once, with the crowd's texts of each."""

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
        for mr, ref in _rows(path, digest):
            texts.setdefault(mr, []).append(ref)
    if len(texts) < 60:
        raise DataError(
            f"{folder} holds {len(texts)} restaurant records; expected at least 60 in csv files with columns mr and "
            "ref, as E2E publishes them"
        )
    slots = tuple(parse_record(mr) for mr in texts)
    return Records(slots, tuple(tuple(each) for each in texts.values()), digest.hexdigest())


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


def opened(text: str, slots: Slots) -> str:
    """A text with the names taken out."""
    for slot, sign in (("near", NEAR), ("name", NAME)):
        if slot in slots:
            name = re.escape(slots[slot]).replace("é", "[ée]")
            the = "" if slots[slot].startswith("The ") else "(?:the )?"
            text = re.sub(rf"\b{the}{name}\b", sign, text, flags=re.I)
            short = slots[slot].removeprefix("The ")
            if short != slots[slot]:
                text = re.sub(rf"\b{re.escape(short)}\b", sign, text)
    return text


def closed(text: str, slots: Slots) -> str:
    """A text with the names put in."""
    return text.replace(NAME, slots["name"]).replace(NEAR, slots.get("near", NEAR))


@lru_cache(maxsize=100_000)
def stated(text: str) -> dict[str, set[str]]:
    """What a text without names states: the values of each slot. The answer is kept: do not change it.

    >>> stated("XNAME is a cheap pub that is not family-friendly.")
    {'eatType': {'pub'}, 'priceRange': {'cheap'}, 'familyFriendly': {'no'}}
    """
    text = re.sub(r"\s+", " ", text)
    found: dict[str, set[str]] = {}
    for slot, values in _COMPILED.items():
        rest = text
        for value, form in values.items():
            if form.search(rest):
                found.setdefault(slot, set()).add(value)
                rest = form.sub(" ", rest) if slot in ("familyFriendly", "priceRange") else rest
    return found


class Restaurants(TextTask):
    """Records and texts, dealt to purposes by record."""

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
        """Of the files."""
        return self.records.sha256

    @cached_property
    def parts(self) -> dict[str, Ints]:
        """Which records are for what."""
        order = np.random.default_rng(self.seed).permutation(len(self.records.slots))
        cuts = np.cumsum([round(share * len(order)) for share in list(PARTS.values())[:-1]])
        return dict(zip(PARTS, np.split(order, cuts), strict=True))

    @property
    def sizes(self) -> dict[str, int]:
        """Records by purpose."""
        return {name: len(part) for name, part in self.parts.items()}

    def requests(self, n: int, seed: int, part: str = "asked") -> Ints:
        """n records of a part, drawn independently."""
        return np.random.default_rng(seed).choice(self.parts[part], n)

    def slots(self, request: int) -> Slots:
        """The record of a request."""
        return self.records.slots[int(request)]

    def prompt(self, request: int) -> str:
        """The record, as people read it."""
        return ", ".join(f"{slot} {value}" for slot, value in self.slots(request).items())

    def model_input(self, request: int) -> str:
        """The record as the writers read it: names left open, slots in one order."""
        slots = self.slots(request)
        said = [f"{slot} {slots[slot]}" for slot in PATTERNS if slot in slots]
        return "; ".join([*said, "near"] if "near" in slots else said)

    def shown_text(self, text: str, request: int) -> str:
        """What a writer wrote, with the names put in."""
        return closed(text, self.slots(request))

    def model_text(self, text: str, request: int) -> str:
        """A text with the names taken out."""
        return opened(text, self.slots(request))

    def pairs(self, n: int, seed: int) -> list[Pair]:
        """The crowd's texts of the writers' records that pass the check."""
        found = [
            Pair(self.model_input(record), opened(text, self.slots(record)))
            for record in self.parts["generator"].tolist()
            for text in self.records.texts[record]
            if not self.check(text, record).wrong
        ]
        return found[:n]

    def references(self, request: int) -> list[str]:
        """The crowd's texts of a record."""
        return list(self.records.texts[int(request)])

    def held_out_pairs(self, n: int, seed: int) -> list[Pair]:
        """Texts of the asked records that pass the check, as the writers would write them."""
        pairs = [
            Pair(self.model_input(request), opened(text, self.slots(request)))
            for request in dict.fromkeys(self.requests(n, seed).tolist())
            for text in self.records.texts[request][:2]
            if not self.check(text, request).wrong
        ]
        return pairs[:n]

    def check(self, text: str, request: int) -> TextVerdict:
        """Wrong if a slot is missing, wrong or invented, or a word is none that the crowd knows."""
        slots = self.slots(request)
        found = compare(slots, text)
        strange = [word for word in _words(opened(text, slots)) if word.lower() not in self.vocabulary]
        if not strange:
            return found
        faults = [found.read] * found.wrong + [message("read.no_word", word=word) for word in strange]
        marks = (*found.marks, *(span for word in strange for span in span_of(text, word)))
        return replace(found, wrong=True, read=joined(faults), marks=marks)

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """The words of all the crowd's texts that come in KNOWN of them or more."""
        return self._known(np.arange(len(self.records.slots)))

    @cached_property
    def spelling(self) -> frozenset[str]:
        """The same of the writers' own part: what the filter goes by."""
        return self._known(self.parts["generator"])

    def _known(self, which: Ints) -> frozenset[str]:
        counts = Counter(
            word
            for record in which.tolist()
            for text in self.records.texts[record]
            for word in {word.lower() for word in _words(opened(text, self.slots(record)))}
        )
        return frozenset(word for word, count in counts.items() if count >= KNOWN)

    def meaning(self, text: str) -> str:
        """What a text states, whatever its words."""
        return "|".join(f"{slot}={'/'.join(sorted(values))}" for slot, values in sorted(stated(text).items()))

    def passes_rule(self, text: str, request: int) -> bool:
        """A cheap filter: it is whole, of known words, names the place and its neighbour, has a telltale word of each
        slot, and none of what is not in the record. It is no check: denials and who is meant, it does not read.
        """
        slots = self.slots(request)
        said = opened(text, slots)
        return (
            text.rstrip().endswith((".", "!"))
            and text.count(NAME) + text.count(NEAR) == 0
            and not _untold(slots, said)
            and not _foreign(slots, said)
            and all(word.lower() in self.spelling for word in _words(said))
        )

    def repair(self, text: str, request: int) -> str:
        """Add one missing fact by a sentence of its own; drop one sentence with a word of what the record lacks.

        It looks for the same telltale words as the filter and never asks the check.
        """
        slots = self.slots(request)
        sentences = re.split(r"(?<=[.!])\s+", text.strip())
        kept = [one for one in sentences if not _foreign(slots, opened(one, slots))]
        if len(sentences) - len(kept) > 1 or not kept:
            return text
        mended = " ".join(kept)
        missing = _untold(slots, opened(mended, slots))
        if len(missing) > 1 or "name" in missing or not (missing or len(kept) < len(sentences)):
            return text
        return " ".join([mended, *(added(slot, slots[slot]) for slot in missing)])

    def own_error(self, n: int, seed: int) -> OwnError:
        """Crowd texts that pass, held against their record with one slot changed or taken away: now they are wrong.

        How often it refuses right texts is not measured: nobody but the check has said which are right.
        """
        rng = np.random.default_rng(seed)
        seen = tried = 0
        for request in self.requests(3 * n, seed).tolist():
            text = str(rng.choice(self.records.texts[request]))
            slots = self.slots(request)
            open_ = [slot for slot in slots if slot in PATTERNS and slot != "eatType"]
            if tried == n or compare(slots, text).wrong or not open_:
                continue
            slot = str(rng.choice(open_))
            others = [value for value in PATTERNS[slot] if value != slots[slot]]
            changed = {key: value for key, value in slots.items() if key != slot}
            if rng.random() < 0.5:
                changed[slot] = str(rng.choice(others))
            tried += 1
            seen += compare(changed, text).wrong
        return OwnError(faulty=tried, missed=tried - seen, right=0, refused=0)


def lacking(slots: Slots, text: str) -> list[str]:
    """The slots of a record that a text does not state.

    >>> lacking({"name": "Aromi", "area": "city centre"}, "Aromi is near the city centre.")
    ['area']
    """
    said = opened(text, slots)
    found = stated(said)
    within = (
        stated(_BESIDE.sub(" ", said)).get("area", set())
        if _BESIDE.search(said)
        else found.get("area", set())
    )
    has = {"name": NAME in said, "near": NEAR in said, "area": slots.get("area") in within}
    return [slot for slot in slots if not has.get(slot, slots[slot] in found.get(slot, ()))]


def _words(said: str) -> list[str]:
    """The words of a text without names."""
    return re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", said)


def _untold(slots: Slots, said: str) -> list[str]:
    """Slots of which a text without names has no telltale word."""
    names = {"name": NAME in said, "near": NEAR in said}
    return [
        slot
        for slot in slots
        if not names.get(slot, slot in names or _TELLTALES[slot][slots[slot]].search(said))
    ]


def _foreign(slots: Slots, said: str) -> bool:
    """Whether a text without names has a telltale word of what is not in the record."""
    return (NEAR in said and "near" not in slots) or any(
        form.search(said)
        for slot, values in _TELLTALES.items()
        for value, form in values.items()
        if value != slots.get(slot) and not _usual(slot, value, slots)
    )


COARSE = {  # what a finer value says too
    ("rating", "5 out of 5"): "high",
    ("rating", "3 out of 5"): "average",
    ("rating", "1 out of 5"): "low",
    ("priceRange", "less than £20"): "cheap",
    ("priceRange", "£20-25"): "moderate",
    ("priceRange", "more than £30"): "high",
}


def _usual(slot: str, value: str, slots: Mapping[str, str]) -> bool:
    """What is no fault beside the record: a coarse word for a fine value, "restaurant" for a place of no given kind."""
    if slot == "eatType":
        return value == "restaurant" and "eatType" not in slots
    return COARSE.get((slot, slots.get(slot, ""))) == value


def compare(slots: Slots, text: str) -> TextVerdict:
    """A text against its record: slots missing, wrong or invented.

    >>> compare({"name": "Aromi", "area": "riverside"}, "Aromi is a cheap place.").read
    'invents priceRange cheap; lacks area riverside'
    """
    said = opened(text, slots)
    found = stated(said)
    faults: list[str] = []
    marks: list[tuple[int, int]] = []
    for slot, values in found.items():
        for value in sorted(values - {slots.get(slot, "")}):
            if not _usual(slot, value, slots):
                key = "read.invents" if slot not in slots else "read.says"
                faults.append(message(key, fact=f"{slot} {value}"))
                match = _COMPILED[slot][value].search(text)
                marks += span_of(text, match.group()) if match else []
    faults += [message("read.lacks", fact=f"{slot} {slots[slot]}") for slot in lacking(slots, text)]
    if NEAR in said and "near" not in slots:
        faults.append(message("read.neighbour"))
    return TextVerdict(
        bool(faults), joined(faults) or message("read.as_record"), tuple(marks), len(faults), len(slots)
    )


def added(slot: str, value: str) -> str:
    """A missing fact as a sentence.

    >>> added("food", "French")
    'It serves French food.'
    """
    said = ADDED[slot]
    return said[value] if isinstance(said, dict) else said.format(value)
