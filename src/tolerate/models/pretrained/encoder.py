"""Encoders that were pretrained elsewhere, from a folder or a hub, in the format of `transformers`."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from tolerate.errors import DataError
from tolerate.llm.model_names import PretrainedSpec
from tolerate.models.pretrained.hub import locate

VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")


@dataclass(frozen=True)
class Encoder:
    """An encoder and its tokenizer: configuration and tokenizer as JSON of the libraries, weights by name."""

    config: str
    weights: dict[str, Tensor] = field(repr=False)
    tokenizer: str
    pad: int  # the padding token


def load_encoder(spec: PretrainedSpec) -> Encoder:
    """The encoder of a local folder, or of the hub by its name; only safetensors are read, and no code is run.

    A folder needs no network. Raises DataError where it is no encoder, or where its tokenizer does not fit.
    """
    folder, name = locate(spec), spec.place
    if not any((folder / file).exists() for file in VOCABULARIES):
        raise DataError(
            f"{name} has no tokenizer; expected one of {', '.join(VOCABULARIES)} beside its config.json"
        )
    model, tokenizer = _load_with_transformers(str(folder), name)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or tokenizer.pad_token_id is None:
        raise DataError(
            f"the tokenizer of {name} has no tokenizer.json or no padding token; expected an encoder's"
        )
    if model.config.is_encoder_decoder or not hasattr(model.config, "hidden_size"):
        raise DataError(f"{name} is of the type {model.config.model_type}, expected an encoder such as BERT")
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    if len(tokenizer) > vocabulary:
        raise DataError(
            f"the tokenizer of {name} has {len(tokenizer)} tokens, its encoder knows {vocabulary}: they do not fit; "
            "put the tokenizer back that it was trained with"
        )
    return Encoder(
        model.config.to_json_string(), model.state_dict(), backend.to_str(), int(tokenizer.pad_token_id)
    )


def _load_with_transformers(folder: str, name: str) -> tuple[Any, Any]:
    """Network and tokenizer, as the library reads them."""
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        return (
            AutoModel.from_pretrained(folder, use_safetensors=True, trust_remote_code=False),
            AutoTokenizer.from_pretrained(folder, trust_remote_code=False),
        )
    except Exception as error:  # the library raises many kinds
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"the encoder {name} cannot be read: {lines[0][:300]}") from None
    finally:
        logging.enable_progress_bar()
