"""A model's folder: `model.safetensors` with its weights and `model.json`, from which it is rebuilt. No pickles."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from tolerate.base.files import to_json, write_whole
from tolerate.base.json_types import JsonObject
from tolerate.errors import DataError, RunError
from tolerate.models.base import Trainable
from tolerate.models.registry import build, find, name_of

ModelType = TypeVar("ModelType", bound=Trainable)


def save(model: Trainable, folder: Path, about: JsonObject | None = None) -> None:
    """Write a model as `model.safetensors` with `model.json` beside it, the latter last.

    about: further facts, stored in `model.json`.
    """
    from safetensors.torch import save as to_bytes

    record = {
        "model": name_of(type(model)),
        **model.dimensions(),
        "options": model.options,
        "about": dict(about or {}),
    }
    write_whole(folder / "model.safetensors", to_bytes(detached_copies(model.state_dict())))
    write_whole(folder / "model.json", to_json(record))


def load(folder: Path, kind: type[ModelType], device: torch.device | str = "cpu") -> ModelType:
    """The model that `save` wrote, in evaluation mode; DataError if it is not of this kind."""
    path = folder / "model.json"
    record = _record(path)
    try:
        name, options = str(record["model"]), lists_to_tuples(record["options"])
        if not isinstance(options, dict):
            raise DataError(f"{path} has no object under options; was it written by tolerate?")
        model = build(name, *find(name).stored_dimensions(record), **options)
    except KeyError as error:
        raise DataError(f"{path} lacks {error}; was it written by tolerate?") from None
    if not isinstance(model, kind):
        raise DataError(f"{folder} holds a {type(model).__name__}, expected a {kind.__name__}")
    fill(model, read_tensors(folder / "model.safetensors")[0])
    model.to(device).eval()
    return model


def _record(path: Path) -> JsonObject:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise RunError(
            f"cannot read {path}: {error.strerror}; expected a folder that a training wrote"
        ) from None
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}); train the model again") from None


def fill(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load weights and buffers; a buffer may have grown in `finish`, so its shape follows the file."""
    for name, buffer in list(model.named_buffers()):
        if name in state and state[name].shape != buffer.shape:
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, torch.empty_like(state[name], device=buffer.device))
    try:
        model.load_state_dict(dict(state))
    except RuntimeError as error:
        raise RunError(f"these weights are of another model: {error}") from None


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file and its metadata."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"cannot read {path}: {error}; delete it to train from the beginning, or choose another folder"
        ) from None


def detached_copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU that share no memory, as safetensors requires."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}


def lists_to_tuples(value: object) -> object:
    """The value with all its lists as tuples, which JSON does not keep apart.

    >>> lists_to_tuples({"widths": [32, 64]})
    {'widths': (32, 64)}
    """
    if isinstance(value, dict):
        return {key: lists_to_tuples(item) for key, item in value.items()}
    return tuple(lists_to_tuples(item) for item in value) if isinstance(value, list) else value
