"""Which pretrained model: `hf:NAME_OR_FOLDER` with all its settings, and `own:FOLDER` for a writer trained here.

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
PRETRAINED = "tolerate.models.pretrained.pretrained:Pretrained"  # as model.json has it
TUNINGS = ("lora", "adalora", "full")
EXPECTED = "hf:NAME or hf:FOLDER, such as hf:models/gpt2 or hf:models/gpt2#lora+rank=8"


@dataclass(frozen=True)
class Source:
    """A pretrained model, how it is tuned if at all, and how it is decoded. Numbers written as 0 mean: by default.

    tune: lora, adalora or full; nothing for a model that is used as it is.
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
        """The decoding that the name asks for, as `Decoding` takes it."""
        found = {name: getattr(self, name) for name in ("top_k", "top_p", "min_p", "beams", "contrast")}
        chosen: dict[str, Any] = {name: value for name, value in found.items() if value}
        chosen |= {"temperature": self.temperature} if self.temperature >= 0 else {}
        return chosen | ({"limit": self.tokens} if self.tokens else {})


_FORMS: dict[str, Any] = {one.name: one.type for one in fields(Source)[3:]}  # settings: name -> type
_BELOW = {"dropout": 1.0, "top_p": 1.0, "min_p": 1.0, "contrast": 1.0}


def is_pretrained(folder: Path) -> bool:
    """Whether a model's folder, as a training left it, stands for a pretrained model."""
    path = folder / "model.json"
    return path.exists() and read_json(path, "a model's folder").get("model") == PRETRAINED


def is_path(place: str) -> bool:
    """Whether a place can only be, or is, a folder and no hub name.

    >>> is_path("./gpt2"), is_path("owner/name")
    (True, False)
    """
    return place.startswith((".", "/", "~")) or place.count("/") > 1 or Path(place).exists()


def is_source(name: str) -> bool:
    """Whether a model's name means a pretrained one.

    >>> is_source("hf:gpt2"), is_source("own:runs/x"), is_source("openai:m@http://h/v1")
    (True, True, False)
    """
    return name.startswith(PREFIXES)


def is_tuned(name: str) -> bool:
    """Whether a name means a pretrained model that is to be tuned before it writes.

    >>> is_tuned("hf:gpt2#lora+rank=4"), is_tuned("hf:gpt2#temperature=0")
    (True, False)
    """
    return is_source(name) and bool(source(name).tune)


def source(name: str) -> Source:
    """The pretrained model that a name means, with the settings behind `#`, joined by `+`.

    >>> source("hf:owner/name#lora+rank=4+steps=200").rank
    4
    """
    kind, _, rest = name.strip().partition(":")
    place, _, text = rest.partition("#")
    if f"{kind}:" not in PREFIXES or not place.strip() or re.search(r"[\s,]", place.strip()):
        raise OptionError(f'"{name}" names no pretrained model; expected {EXPECTED}')
    if kind == "hf" and not is_path(place) and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", place):
        raise OptionError(f'"{place}" is neither a folder nor a name of the hub; expected {EXPECTED}')
    found = _settings(text, name)
    _belongs(found, ("rank", "alpha", "dropout"), ("lora", "adalora"), name)
    _belongs(found, ("rate", "steps", "batch"), TUNINGS, name)
    return Source(kind, place.strip(), **found)


def _belongs(found: dict[str, Any], settings: tuple[str, ...], tunings: tuple[str, ...], name: str) -> None:
    """Refuse settings of a tuning that is not asked for."""
    for one in settings:
        if one in found and found.get("tune") not in tunings:
            raise OptionError(
                f'{one} in "{name}" belongs to a tuning; write #{tunings[0]}+{one}={found[one]}'
            )


def _settings(text: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in filter(None, text.split("+")):
        key, equals, value = part.partition("=")
        if part in TUNINGS:
            if "tune" in found:
                raise OptionError(f'"{name}" asks for {found["tune"]} and {part}; expected one of them')
            found["tune"] = part
        elif key == "tune" or key not in _FORMS or not equals:
            raise OptionError(f'"{part}" in "{name}" is no setting. {hint(key, [*TUNINGS, *_FORMS])}')
        else:
            found[key] = _value(key, value, _FORMS[key])
    return found


def _value(key: str, text: str, kind: type) -> Any:
    """A setting's value, of its kind and in its range."""
    if kind is bool:
        if text not in ("yes", "no"):
            raise OptionError(f'the setting {key} is "{text}"; expected yes or no')
        return text == "yes"
    if kind is str:
        if not text:
            raise OptionError(f"the setting {key} is empty")
        return text
    try:
        value = kind(text)
    except ValueError:
        value = -1
    least = 0 if kind is float else 1
    most = _BELOW.get(key, 1e9)
    if not least <= value <= most or (key in ("dropout", "min_p", "contrast") and value == 1):
        raise OptionError(
            f'the setting {key} is "{text}"; expected a number of at least {least}'
            + (f" and at most {most:g}" if key in _BELOW else "")
        )
    return value


def title_of(name: str) -> str:
    """How a report calls a pretrained model.

    >>> title_of("hf:owner/name#lora")
    'owner/name'
    """
    given = source(name)
    return Path(given.place).name if given.local else given.place


def checked(name: str) -> Source:
    """A name whose settings make sense and, if it is a folder, whose folder is there; nothing is loaded."""
    given = source(name)
    if given.local and not Path(given.place).expanduser().is_dir():
        raise OptionError(f'"{name}" names the folder {given.place}, which is not there')
    if given.kind == "own":
        read_json(Path(given.place) / "model.json", "a folder that `tolerate train` wrote")
    return given
