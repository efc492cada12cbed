"""Reading of restaurant texts: the values of every slot by patterns, and by a few telltale words.

The patterns are the check's. Filter and repair know the telltale words alone, far less than the check knows.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from tolerate.jobs.texts.task import TextVerdict, span_of
from tolerate.messages.catalogue import joined, message

Slots = dict[str, str]
NAME, NEAR = "XNAME", "XNEAR"

# Patterns of a slot's values. Names are replaced first, so that "Express by Holiday Inn" says nothing of food.
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
_BESIDE_CENTRE = re.compile(  # a place beside the centre is not in it
    r"\b(?:near|close|next|outside|(?:not )?(?:too )?far)(?: (?:to|from|of))?(?: the)? (?:city|town)[- ]?cent(?:er|re)",
    re.I,
)
FACT_SENTENCES: dict[str, str | dict[str, str]] = {  # how a missing fact is said by rule
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


# What filter and repair look for: a few words a value.
TELLTALES: dict[str, dict[str, str]] = {
    "eatType": {"restaurant": "restaurant", "pub": "pub", "coffee shop": "coffee shop"},
    "food": {
        **{
            cuisine: cuisine
            for cuisine in ("Chinese", "French", "Italian", "Indian", "Japanese", "Fast food")
        },
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


def replace_names(text: str, slots: Slots) -> str:
    """A text with placeholders for the names."""
    for slot, placeholder in (("near", NEAR), ("name", NAME)):
        if slot in slots:
            name = re.escape(slots[slot]).replace("é", "[ée]")
            article = "" if slots[slot].startswith("The ") else "(?:the )?"
            text = re.sub(rf"\b{article}{name}\b", placeholder, text, flags=re.I)
            short = slots[slot].removeprefix("The ")
            if short != slots[slot]:
                text = re.sub(rf"\b{re.escape(short)}\b", placeholder, text)
    return text


def restore_names(text: str, slots: Slots) -> str:
    """A text with the names inserted."""
    return text.replace(NAME, slots["name"]).replace(NEAR, slots.get("near", NEAR))


@lru_cache(maxsize=100_000)
def stated_values(text: str) -> dict[str, set[str]]:
    """The values of each slot that a text without names states. The result is cached: do not change it.

    >>> stated_values("XNAME is a cheap pub that is not family-friendly.")
    {'eatType': {'pub'}, 'priceRange': {'cheap'}, 'familyFriendly': {'no'}}
    """
    text = re.sub(r"\s+", " ", text)
    values_by_slot: dict[str, set[str]] = {}
    for slot, values in _COMPILED.items():
        rest = text
        for value, pattern in values.items():
            if pattern.search(rest):
                values_by_slot.setdefault(slot, set()).add(value)
                rest = pattern.sub(" ", rest) if slot in ("familyFriendly", "priceRange") else rest
    return values_by_slot


def missing_slots(slots: Slots, text: str) -> list[str]:
    """The slots of a record that a text does not state.

    >>> missing_slots({"name": "Aromi", "area": "city centre"}, "Aromi is near the city centre.")
    ['area']
    """
    text_without_names = replace_names(text, slots)
    values_by_slot = stated_values(text_without_names)
    areas = (
        stated_values(_BESIDE_CENTRE.sub(" ", text_without_names)).get("area", set())
        if _BESIDE_CENTRE.search(text_without_names)
        else values_by_slot.get("area", set())
    )
    is_stated = {
        "name": NAME in text_without_names,
        "near": NEAR in text_without_names,
        "area": slots.get("area") in areas,
    }
    return [slot for slot in slots if not is_stated.get(slot, slots[slot] in values_by_slot.get(slot, ()))]


def words_of(text: str) -> list[str]:
    """The words of a text without names."""
    return re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", text)


def slots_without_telltale(slots: Slots, text: str) -> list[str]:
    """Slots of which a text without names has no telltale word."""
    has_name = {"name": NAME in text, "near": NEAR in text}
    return [
        slot
        for slot in slots
        if not has_name.get(slot, slot in has_name or _TELLTALES[slot][slots[slot]].search(text))
    ]


def has_foreign_telltale(slots: Slots, text: str) -> bool:
    """Whether a text without names has a telltale word of what is not in the record."""
    return (NEAR in text and "near" not in slots) or any(
        pattern.search(text)
        for slot, values in _TELLTALES.items()
        for value, pattern in values.items()
        if value != slots.get(slot) and not _is_acceptable(slot, value, slots)
    )


COARSER_VALUES = {  # what a finer value says too
    ("rating", "5 out of 5"): "high",
    ("rating", "3 out of 5"): "average",
    ("rating", "1 out of 5"): "low",
    ("priceRange", "less than £20"): "cheap",
    ("priceRange", "£20-25"): "moderate",
    ("priceRange", "more than £30"): "high",
}


def _is_acceptable(slot: str, value: str, slots: Mapping[str, str]) -> bool:
    """Whether a value is no fault: a coarser word for the record's, or "restaurant" where the record has no kind."""
    if slot == "eatType":
        return value == "restaurant" and "eatType" not in slots
    return COARSER_VALUES.get((slot, slots.get(slot, ""))) == value


def compare_text(slots: Slots, text: str) -> TextVerdict:
    """The verdict on a text by its record: slots missing, wrong or invented.

    >>> compare_text({"name": "Aromi", "area": "riverside"}, "Aromi is a cheap place.").read
    'invents priceRange cheap; lacks area riverside'
    """
    text_without_names = replace_names(text, slots)
    values_by_slot = stated_values(text_without_names)
    faults: list[str] = []
    marks: list[tuple[int, int]] = []
    for slot, values in values_by_slot.items():
        for value in sorted(values - {slots.get(slot, "")}):
            if not _is_acceptable(slot, value, slots):
                key = "read.invents" if slot not in slots else "read.says"
                faults.append(message(key, fact=f"{slot} {value}"))
                match = _COMPILED[slot][value].search(text)
                marks += span_of(text, match.group()) if match else []
    faults += [message("read.lacks", fact=f"{slot} {slots[slot]}") for slot in missing_slots(slots, text)]
    if NEAR in text_without_names and "near" not in slots:
        faults.append(message("read.neighbour"))
    return TextVerdict(
        bool(faults), joined(faults) or message("read.as_record"), tuple(marks), len(faults), len(slots)
    )


def fact_sentence(slot: str, value: str) -> str:
    """A missing fact as a sentence.

    >>> fact_sentence("food", "French")
    'It serves French food.'
    """
    sentence = FACT_SENTENCES[slot]
    return sentence[value] if isinstance(sentence, dict) else sentence.format(value)
