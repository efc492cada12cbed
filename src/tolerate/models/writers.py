"""The writers: language models by name, with how each is best built and trained for short answers to prompts."""

from dataclasses import dataclass, field
from typing import Any

from tolerate.errors import OptionError, hint
from tolerate.models import Entry
from tolerate.models.source import Source, checked, is_source, title_of


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
}


def _pretrained(given: Source, name: str) -> Writer:
    """A pretrained model; its steps and batch are a tuning's."""
    how = {"lora": "tuned by LoRA", "adalora": "tuned by AdaLoRA", "full": "tuned whole", "": "as it is"}[
        given.tune
    ]
    paper = {"lora": "Hu et al. 2021, arXiv:2106.09685", "adalora": "Zhang et al. 2023, arXiv:2303.10512"}
    entry = Entry(name, f"{title_of(name)}, {how}", paper.get(given.tune, ""), "pretrained")
    return Writer(entry, steps=given.steps or 300, batch=given.batch or 8)


def writer(name: str) -> Writer:
    """A writer by its name, or `package.module:attribute` of any LanguageModel.

    >>> writer("lstm").entry.family
    'recurrent'
    """
    if name in WRITERS:
        return WRITERS[name]
    if is_source(name):
        return _pretrained(checked(name), name)
    if ":" not in name:
        raise OptionError(f'no writer is called "{name}". {hint(name, WRITERS)}')
    return Writer(Entry(name, name, "", "own"))
