"""The catalogue of stored sentences, and how any text of the catalogues is filled in.

A template is a pair, English and Chinese, with the same fields. A field may carry a format of `numbers`, such as
`{tolerance:at_most}`, or one of Python's, such as `{labels:,}`. A field may itself be a `Message`, a `Both`, or a list
of them, which is joined with each language's semicolon.

`message` makes what certificates, audits, runs and the ledger store: an English sentence that keeps its key and its
parameters. `render` says it in another language. Keys and the names of their fields are stored: they do not change.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tolerate.base.json_types import JsonValue
from tolerate.messages import numbers
from tolerate.messages.both import Both, both, checked_lang
from tolerate.messages.sentences import SENTENCES
from tolerate.records import Message, Parameter

FORMATS: dict[str, Callable[[object], str]] = {
    "percent": numbers.percent,
    "at_most": numbers.at_most,
    "at_least": numbers.at_least,
    "threshold": numbers.threshold,
}
SEPARATORS = {"en": "; ", "zh": "；"}
FIXED = {english: key for key, (english, _) in SENTENCES.items() if "{" not in english}


def message(key: str, /, **params: Parameter) -> Message:
    """The sentence of that key, filled in: in English, with what it takes to say it in Chinese.

    >>> sentence = message("audit.at_best", labels=1200)
    >>> str(sentence), sentence.key, sentence.params
    ('proven after 1,200 more labels if none of them is wrong', 'audit.at_best', {'labels': 1200})
    """
    params = {
        name: value.item() if isinstance(value, np.generic) else value for name, value in params.items()
    }
    return Message(fill(SENTENCES[key][0], "en", params), key, params)


def joined(parts: Sequence[str]) -> str:
    """Several sentences as one, joined with semicolons; empty parts are left out.

    >>> joined(["Ann", ""]), joined(["Ann", message("second.none")]).key
    ('Ann', 'list')
    """
    filled = [part for part in parts if part]
    if len(filled) < 2:
        return filled[0] if filled else ""
    return message("list", parts=filled)


def render(sentence: str, lang: str = "en") -> str:
    """A stored sentence in English or Chinese.

    One without a key, of an older version or of the user's own, stays as it is, unless it is word for word a
    sentence of the catalogue that has no fields.

    >>> render(message("advice.tolerance", tolerance=0.05, share=0.4), "zh")
    '现有标注可以证明：容错率为 5% 时可放行 40%'
    >>> render("the losses are right as given", "zh"), render("as the lawyer wrote", "zh")
    ('所给的损失判定无误', 'as the lawyer wrote')
    """
    if checked_lang(lang) == "en":
        return str(sentence)
    key = sentence.key if isinstance(sentence, Message) else FIXED.get(sentence)
    if key is None or key not in SENTENCES:
        return str(sentence)
    try:
        return fill(SENTENCES[key][1], "zh", sentence.params if isinstance(sentence, Message) else {})
    except (KeyError, ValueError, TypeError):  # parameters of another version
        return str(sentence)


def in_both(sentence: str) -> Both:
    """A stored sentence in both languages."""
    return Both(str(sentence), render(sentence, "zh"))


def stored(sentence: str) -> JsonValue:
    """Key and parameters of a sentence as JSON values, for the field beside its English text; None if it has none."""
    return sentence.to_json() if isinstance(sentence, Message) else None


def fill_both(template: tuple[str, str], params: Mapping[str, object]) -> Both:
    """A text of a catalogue in both languages."""
    return Both(fill(template[0], "en", params), fill(template[1], "zh", params))


def fill(template: str, lang: str, params: Mapping[str, object]) -> str:
    """A template with its fields filled in, numbers formatted and texts in that language.

    >>> fill("{share:percent} of {labels:,}", "en", {"share": 0.25, "labels": 1200})
    '25% of 1,200'
    """
    return template.format_map({name: _Field(value, lang) for name, value in params.items()})


class _Field:
    """A parameter as a template sees it."""

    __slots__ = ("lang", "value")

    def __init__(self, value: object, lang: str) -> None:
        self.value, self.lang = value, lang

    def __format__(self, spec: str) -> str:
        if spec in FORMATS:
            return FORMATS[spec](self.value)
        value = _text(self.value, self.lang)
        return format(value, spec if value is self.value else "")


def _text(value: object, lang: str) -> object:
    """A parameter in a language: texts and lists are rendered, numbers stay."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return render(value, lang) if isinstance(value, Message) else value
    if isinstance(value, Both | Mapping):
        return both(value).pick(lang)
    if isinstance(value, list | tuple):
        return SEPARATORS[lang].join(str(_text(part, lang)) for part in value)
    return value
