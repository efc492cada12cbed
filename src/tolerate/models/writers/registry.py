"""The writers: language models by name, with options and steps that suit short answers to prompts.

What follows `#` are settings, as in the name of a served model: `transformer#tokens=bpe:1000+width=96`. tokens, steps
and batch are settings of the training, all others options of the model; names with different settings are different
models, and one report can compare them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tolerate.base.registry import entry_named
from tolerate.errors import OptionError
from tolerate.llm.model_names import PretrainedSpec, check_pretrained, is_pretrained_name, title_of
from tolerate.models.registry import TEXT_MODELS, ModelEntry

TRAINING_SETTINGS = ("tokens", "steps", "batch")  # the only settings that are no options of the model
Setting = bool | int | float | str  # as written in a name


@dataclass(frozen=True)
class Writer:
    """A model's entry, its options, and steps of training for a small job."""

    entry: ModelEntry
    options: Mapping[str, object] = field(default_factory=dict)
    steps: int = 1000
    batch: int = 16
    tokens: str = "words"  # words, characters, or bpe:1000

    @property
    def tokens_per_word(self) -> int:
        """The most tokens of this tokenizer that stand for one word."""
        return {"words": 1, "characters": 5}.get(self.tokens, 2)


WRITERS: dict[str, Writer] = {
    "transformer": Writer(
        TEXT_MODELS["transformer"],
        {"width": 64, "layers": 2, "heads": 2, "hashed": 2048, "pointer": True, "table_rate": 0.015},
    ),
    "lstm": Writer(
        TEXT_MODELS["lstm"],
        {"width": 192},
        steps=600,
    ),
    "t5": Writer(
        TEXT_MODELS["t5"],
        {"width": 64, "layers": 2, "heads": 2, "pointer": True, "table_rate": 0.015},
    ),
    "blend": Writer(
        TEXT_MODELS["blend"],
        {"width": 64, "layers": 2, "heads": 2, "hashed": 2048, "running": False},
        steps=600,
    ),
    "counts": Writer(  # the baseline: a blend that stays as it begins
        ModelEntry(
            TEXT_MODELS["blend"].path,
            "Kneser-Ney counts",
            "Kneser and Ney 1995; Chen and Goodman 1999",
            "counts",
        ),
        {"width": 8, "layers": 1, "heads": 1, "rate": 0.0, "table_rate": 0.0, "running": False},
        steps=1,
    ),
}


def _pretrained(spec: PretrainedSpec, name: str) -> Writer:
    """A pretrained model; steps and batch are those of its tuning."""
    tuning = {"lora": "tuned by LoRA", "adalora": "tuned by AdaLoRA", "full": "tuned whole", "": "as it is"}[
        spec.tune
    ]
    paper = {"lora": "Hu et al. 2021, arXiv:2106.09685", "adalora": "Zhang et al. 2023, arXiv:2303.10512"}
    entry = ModelEntry(name, f"{title_of(name)}, {tuning}", paper.get(spec.tune, ""), "pretrained")
    return Writer(entry, steps=spec.steps or 300, batch=spec.batch or 8)


def writer(name: str) -> Writer:
    """A writer by its name, or `package.module:attribute` of any LanguageModel, with its settings.

    >>> writer("lstm").entry.family
    'recurrent'
    >>> writer("lstm#tokens=bpe:500+width=96").options["width"]
    96
    """
    if is_pretrained_name(name):
        return _pretrained(check_pretrained(name), name)
    plain, _, settings = name.partition("#")
    own = Writer(ModelEntry(plain, plain, "", "own"))
    chosen = own if ":" in plain else entry_named(plain, WRITERS, "writer")
    return _with_settings(chosen, parse_settings(settings)) if settings else chosen


def _with_settings(plan: Writer, settings: dict[str, Setting]) -> Writer:
    """A writer with other settings: of its training (`TRAINING_SETTINGS`), and options of its model."""
    training: dict[str, Any] = {key: settings[key] for key in TRAINING_SETTINGS if key in settings}
    options = {key: value for key, value in settings.items() if key not in training}
    title = f"{plan.entry.title} ({', '.join(f'{key} {value}' for key, value in settings.items())})"
    return replace(
        plan, entry=replace(plan.entry, title=title), options={**plan.options, **options}, **training
    )


def parse_settings(settings: str) -> dict[str, Setting]:
    """Settings as written in a name.

    >>> parse_settings("tokens=bpe:500+width=96+pointer=false")
    {'tokens': 'bpe:500', 'width': 96, 'pointer': False}
    """
    options: dict[str, Setting] = {}
    for part in settings.split("+"):
        key, equals, text = part.partition("=")
        if not (key.isidentifier() and equals and text):
            raise OptionError(f'"{part}" is no setting; write NAME#width=96+tokens=bpe:1000')
        options[key] = _value(text)
    return options


def _value(text: str) -> Setting:
    if text in ("true", "false"):
        return text == "true"
    for parse in (int, float):
        try:
            return parse(text)
        except ValueError:
            continue
    return text
