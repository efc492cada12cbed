"""Encoders that were pretrained elsewhere, from a folder or a hub, as `transformers` keeps them."""

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from tolerate.errors import DataError, OptionError

VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")


@dataclass(frozen=True)
class Encoder:
    """An encoder and what it reads: configuration and tokenizer as the libraries write them, weights by name."""

    config: str
    weights: dict[str, Tensor] = field(repr=False)
    tokenizer: str
    pad: int  # the token that fills rows up


def load_encoder(name: str) -> Encoder:
    """The encoder of a local folder, or of a hub by its name; safetensors alone, and no code of others is run.

    A folder needs no network. Raises DataError where there is none, or where its tokenizer does not fit.
    """
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError:
        raise OptionError('encoders are read by transformers; try: pip install "tolerate[text]"') from None
    here = Path(name).is_dir()
    if here and not any((Path(name) / file).exists() for file in VOCABULARIES):
        raise DataError(
            f"{name} has no tokenizer; expected one of {', '.join(VOCABULARIES)} beside its config.json"
        )
    try:
        model = AutoModel.from_pretrained(
            name, local_files_only=here, use_safetensors=True, trust_remote_code=False
        )
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=here, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise DataError(
            f'cannot load the encoder "{name}": {error}. Expected a folder with config.json, model.safetensors and '
            "tokenizer.json, or the name of one on a hub that can be reached"
        ) from None
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or tokenizer.pad_token_id is None:
        raise DataError(
            f'the tokenizer of "{name}" has no tokenizer.json or no filling; expected one for an encoder'
        )
    size = model.config.vocab_size
    if len(tokenizer) > size:
        raise DataError(
            f'the tokenizer of "{name}" knows {len(tokenizer)} tokens, its encoder {size}: they do not fit'
        )
    if model.config.is_encoder_decoder or not hasattr(model.config, "hidden_size"):
        raise DataError(f'"{name}" is a {model.config.model_type}, expected an encoder of the BERT type')
    return Encoder(
        model.config.to_json_string(), model.state_dict(), backend.to_str(), int(tokenizer.pad_token_id)
    )
