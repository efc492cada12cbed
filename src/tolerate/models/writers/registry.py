"""The writers: language models by name, with how each is best built and trained for short answers to prompts.

What follows `#` are settings, as in the name of a served model: `transformer#tokens=bpe:1000+width=96`. tokens, steps
and batch are settings of the training, all others options of the model; names that differ in settings are models of
their own and stand beside each other in one report.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from tolerate.errors import OptionError, hint
from tolerate.llm.model_names import Source, checked, is_source, title_of
from tolerate.models import Entry


@dataclass(frozen=True)
class Writer:
    """A model's entry, its options, and steps of training for a small job."""

    entry: Entry
    options: dict[str, Any] = field(default_factory=dict)
    steps: int = 1000
    batch: int = 16
    tokens: str = "words"  # words, characters, or bpe:1000

    @property
    def finer(self) -> int:
        """Tokens of these for one that is a word, at most."""
        return {"words": 1, "characters": 5}.get(self.tokens, 2)


WRITERS: dict[str, Writer] = {
    "transformer": Writer(
        Entry(
            "tolerate.models.texts.transformer:Transformer",
            "Transformer of the Llama type with a pointer",
            "Touvron et al. 2023, arXiv:2302.13971; See et al. 2017, arXiv:1704.04368",
            "transformer",
        ),
        {"width": 64, "layers": 2, "heads": 2, "hashed": 2048, "pointer": True, "table_rate": 0.015},
    ),
    "lstm": Writer(
        Entry(
            "tolerate.models.texts.lstm:LSTM",
            "long short-term memory",
            "Hochreiter and Schmidhuber 1997; Mikolov et al. 2010",
            "recurrent",
        ),
        {"width": 192},
        steps=600,
    ),
    "t5": Writer(
        Entry(
            "tolerate.models.texts.t5:T5",
            "encoder-decoder of the T5 type with a pointer",
            "Raffel et al. 2020, arXiv:1910.10683; See et al. 2017, arXiv:1704.04368",
            "encoder-decoder",
        ),
        {"width": 64, "layers": 2, "heads": 2, "pointer": True, "table_rate": 0.015},
    ),
    "blend": Writer(
        Entry(
            "tolerate.models.texts.blend:Blend",
            "a Transformer that begins as counts",
            "Klakow 1998; Kneser and Ney 1995",
            "blend",
        ),
        {"width": 64, "layers": 2, "heads": 2, "hashed": 2048, "running": False},
        steps=600,
    ),
    "counts": Writer(  # the baseline: a blend that stays as it begins
        Entry(
            "tolerate.models.texts.blend:Blend",
            "Kneser-Ney counts",
            "Kneser and Ney 1995; Chen and Goodman 1999",
            "counts",
        ),
        {"width": 8, "layers": 1, "heads": 1, "rate": 0.0, "table_rate": 0.0, "running": False},
        steps=1,
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
    """A writer by its name, or `package.module:attribute` of any LanguageModel, with its settings.

    >>> writer("lstm").entry.family
    'recurrent'
    >>> writer("lstm#tokens=bpe:500+width=96").options["width"]
    96
    """
    if is_source(name):
        return _pretrained(checked(name), name)
    plain, _, settings = name.partition("#")
    if plain in WRITERS:
        found = WRITERS[plain]
    elif ":" in plain:
        found = Writer(Entry(plain, plain, "", "own"))
    else:
        raise OptionError(f'no writer is called "{plain}". {hint(plain, WRITERS)}')
    return _with(found, parsed(settings)) if settings else found


def _with(plan: Writer, chosen: dict[str, Any]) -> Writer:
    """A writer with other settings."""
    own = {key: chosen[key] for key in ("tokens", "steps", "batch") if key in chosen}
    options = {key: value for key, value in chosen.items() if key not in own}
    title = f"{plan.entry.title} ({', '.join(f'{key} {value}' for key, value in chosen.items())})"
    return replace(plan, entry=replace(plan.entry, title=title), options={**plan.options, **options}, **own)


def parsed(settings: str) -> dict[str, Any]:
    """Settings as written in a name.

    >>> parsed("tokens=bpe:500+width=96+pointer=false")
    {'tokens': 'bpe:500', 'width': 96, 'pointer': False}
    """
    found: dict[str, Any] = {}
    for part in settings.split("+"):
        key, equals, text = part.partition("=")
        if not (key.isidentifier() and equals and text):
            raise OptionError(f'"{part}" is no setting; write NAME#width=96+tokens=bpe:1000')
        found[key] = _value(text)
    return found


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
