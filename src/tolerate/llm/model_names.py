"""Names of pretrained models: `hf:NAME_OR_FOLDER` with all its settings, `own:FOLDER` for a writer trained here.

    hf:Qwen/Qwen2.5-0.5B-Instruct
    hf:models/gpt2#lora+rank=8
    own:runs/notes/models/transformer#adalora+steps=300

A hub name has the form `name` or `owner/name`; what exists as a folder is a folder. Nothing is loaded here.
"""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tolerate.base.files import read_json
from tolerate.errors import OptionError, hint

PREFIXES = ("hf:", "own:")
PRETRAINED_CLASS = "tolerate.models.pretrained.pretrained:Pretrained"  # as model.json has it
TUNINGS = ("lora", "adalora", "full")
EXPECTED = "hf:NAME or hf:FOLDER, such as hf:models/gpt2 or hf:models/gpt2#lora+rank=8"


@dataclass(frozen=True)
class PretrainedSpec:
    """A pretrained model, how it is tuned if at all, and how it is decoded. A number of 0 stands for the default.

    The names of the fields are those of the settings, and of the options in model.json. tune: lora, adalora or full;
    empty for a model that is used as it is.
    rank, alpha, dropout: of the adapters (Hu et al. 2021, arXiv:2106.09685). rate: of Adam.
    code: let the model's own Python run, which may do anything on this machine.
    """

    kind: str  # hf or own
    place: str  # a hub name or a folder
    tune: str = ""
    rank: int = 8
    alpha: float = 0.0  # 2 * rank
    dropout: float = 0.0
    rate: float = 0.0
    steps: int = 0
    batch: int = 0
    # Decoding; where not given, the job's own.
    tokens: int = 0  # of an answer, at most
    temperature: float = -1.0
    top_k: int = 0
    top_p: float = 0.0
    min_p: float = 0.0
    beams: int = 0
    contrast: float = 0.0
    context: int = 0  # tokens read at once; the model's own
    end: str = ""  # the token that closes an answer; the tokenizer's own
    chat: bool = True  # use the tokenizer's chat template, if it has one
    half: bool = False  # compute in bfloat16
    revision: str = ""  # of a hub model: branch, tag or commit
    code: bool = False

    @property
    def local(self) -> bool:
        """Whether it is a folder of this machine."""
        return self.kind == "own" or is_path(self.place)

    @property
    def decoding(self) -> dict[str, Any]:
        """The decoding that the name asks for, as arguments of `Decoding`."""
        values = {
            "top_k": self.top_k,
            "top_p": self.top_p,
            "min_p": self.min_p,
            "beams": self.beams,
            "contrast": self.contrast,
            "limit": self.tokens,
        }
        options: dict[str, Any] = {name: value for name, value in values.items() if value}
        return options | ({"temperature": self.temperature} if self.temperature >= 0 else {})


_TYPES: dict[str, object] = {item.name: item.type for item in fields(PretrainedSpec)[3:]}  # of the settings
_UPPER_LIMITS = {"dropout": 1.0, "top_p": 1.0, "min_p": 1.0, "contrast": 1.0}


def is_pretrained_folder(folder: Path) -> bool:
    """Whether a folder that a training wrote holds a pretrained model."""
    path = folder / "model.json"
    return path.exists() and read_json(path, "a model's folder").get("model") == PRETRAINED_CLASS


def is_path(place: str) -> bool:
    """Whether a place is, or can only be, a folder and not a name of the hub.

    >>> is_path("./gpt2"), is_path("owner/name")
    (True, False)
    """
    return place.startswith((".", "/", "~")) or place.count("/") > 1 or Path(place).exists()


def is_pretrained_name(name: str) -> bool:
    """Whether a model's name means a pretrained model.

    >>> is_pretrained_name("hf:gpt2"), is_pretrained_name("own:runs/x"), is_pretrained_name("openai:m@http://h/v1")
    (True, True, False)
    """
    return name.startswith(PREFIXES)


def is_tuned_name(name: str) -> bool:
    """Whether a name means a pretrained model that is tuned before it writes.

    >>> is_tuned_name("hf:gpt2#lora+rank=4"), is_tuned_name("hf:gpt2#temperature=0")
    (True, False)
    """
    return is_pretrained_name(name) and bool(parse_pretrained(name).tune)


def parse_pretrained(name: str) -> PretrainedSpec:
    """The pretrained model that a name means, with the settings behind `#`, joined by `+`.

    >>> parse_pretrained("hf:owner/name#lora+rank=4+steps=200").rank
    4
    """
    kind, _, rest = name.strip().partition(":")
    place, _, text = rest.partition("#")
    if f"{kind}:" not in PREFIXES or not place.strip() or re.search(r"[\s,]", place.strip()):
        raise OptionError(f'"{name}" names no pretrained model; expected {EXPECTED}')
    if kind == "hf" and not is_path(place) and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", place):
        raise OptionError(f'"{place}" is neither a folder nor a name of the hub; expected {EXPECTED}')
    settings = _parse_settings(text, name)
    _check_tuning(settings, ("rank", "alpha", "dropout"), ("lora", "adalora"), name)
    _check_tuning(settings, ("rate", "steps", "batch"), TUNINGS, name)
    return PretrainedSpec(kind, place.strip(), **settings)


def _check_tuning(
    settings: dict[str, Any], names: tuple[str, ...], tunings: tuple[str, ...], name: str
) -> None:
    """Refuse settings of a tuning that is not asked for."""
    for setting in names:
        if setting in settings and settings.get("tune") not in tunings:
            raise OptionError(
                f'{setting} in "{name}" belongs to a tuning; write #{tunings[0]}+{setting}={settings[setting]}'
            )


def _parse_settings(text: str, name: str) -> dict[str, Any]:
    """The fields of a spec that its name sets."""
    settings: dict[str, Any] = {}
    for part in filter(None, text.split("+")):
        key, equals, value = part.partition("=")
        if part in TUNINGS:
            if "tune" in settings:
                raise OptionError(f'"{name}" asks for {settings["tune"]} and {part}; expected one of them')
            settings["tune"] = part
        elif key == "tune" or key not in _TYPES or not equals:
            raise OptionError(f'"{part}" in "{name}" is no setting. {hint(key, [*TUNINGS, *_TYPES])}')
        else:
            settings[key] = _parse_value(key, value)
    return settings


def _parse_value(key: str, text: str) -> str | float:
    """A setting's value, of its type and in its range."""
    if _TYPES[key] is bool:
        if text not in ("yes", "no"):
            raise OptionError(f'the setting {key} is "{text}"; expected yes or no')
        return text == "yes"
    if _TYPES[key] is str:
        if not text:
            raise OptionError(f"the setting {key} is empty")
        return text
    return _parse_number(key, text)


def _parse_number(key: str, text: str) -> float:
    kind, least = (float, 0) if _TYPES[key] is float else (int, 1)
    try:
        value = kind(text)
    except ValueError:
        value = -1
    if not least <= value <= _UPPER_LIMITS.get(key, 1e9) or (
        key in ("dropout", "min_p", "contrast") and value == 1
    ):
        raise OptionError(
            f'the setting {key} is "{text}"; expected a number of at least {least}'
            + (f" and at most {_UPPER_LIMITS[key]:g}" if key in _UPPER_LIMITS else "")
        )
    return value


def title_of(name: str) -> str:
    """The title of a pretrained model in a report.

    >>> title_of("hf:owner/name#lora")
    'owner/name'
    """
    spec = parse_pretrained(name)
    return Path(spec.place).name if spec.local else spec.place


def check_pretrained(name: str) -> PretrainedSpec:
    """A name whose settings are valid and, if it is a folder, whose folder exists; nothing is loaded."""
    spec = parse_pretrained(name)
    if spec.local and not Path(spec.place).expanduser().is_dir():
        raise OptionError(f'"{name}" names the folder {spec.place}, which does not exist')
    if spec.kind == "own":
        read_json(Path(spec.place) / "model.json", "a folder that `tolerate train` wrote")
    return spec
