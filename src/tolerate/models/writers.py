"""The writers: language models by name, with how each is best built and trained for short answers to prompts."""

from dataclasses import dataclass, field
from typing import Any

from tolerate.errors import OptionError, hint
from tolerate.models import Entry


@dataclass(frozen=True)
class Writer:
    """A model's entry, its options, and steps of training for a small job."""

    entry: Entry
    options: dict[str, Any] = field(default_factory=dict)
    steps: int = 1000
    batch: int = 16


WRITERS: dict[str, Writer] = {
    "transformer": Writer(
        Entry(
            "tolerate.models.transformer:Transformer",
            "Transformer of the Llama type with a pointer",
            "Touvron et al. 2023, arXiv:2302.13971; See et al. 2017, arXiv:1704.04368",
            "transformer",
        ),
        {"width": 64, "layers": 2, "heads": 2, "hashed": 2048, "pointer": True, "table_rate": 0.015},
    ),
    "lstm": Writer(
        Entry(
            "tolerate.models.lstm:LSTM",
            "long short-term memory",
            "Hochreiter and Schmidhuber 1997; Mikolov et al. 2010",
            "recurrent",
        ),
        {"width": 192},
        steps=600,
    ),
    "blend": Writer(
        Entry(
            "tolerate.models.blend:Blend",
            "a Transformer that begins as counts",
            "Klakow 1998; Kneser and Ney 1995",
            "blend",
        ),
        {"width": 64, "layers": 2, "heads": 2, "hashed": 2048},
        steps=600,
    ),
    "counts": Writer(  # the baseline: a blend that stays as it begins
        Entry(
            "tolerate.models.blend:Blend",
            "Kneser-Ney counts",
            "Kneser and Ney 1995; Chen and Goodman 1999",
            "counts",
        ),
        {"width": 8, "layers": 1, "heads": 1, "rate": 0.0, "table_rate": 0.0},
        steps=1,
    ),
}


def writer(name: str) -> Writer:
    """A writer by its name, or `package.module:attribute` of any LanguageModel.

    >>> writer("lstm").entry.family
    'recurrent'
    """
    if name in WRITERS:
        return WRITERS[name]
    if ":" not in name:
        raise OptionError(f'no writer is called "{name}". {hint(name, WRITERS)}')
    return Writer(Entry(name, name, "", "own"))
