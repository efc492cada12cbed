"""Load a pretrained model with its tokenizer from the hub or a folder, or raise an error that says what is wrong.

Any causal or sequence-to-sequence model of `transformers` whose weights are safetensors is accepted. Pickled weights
are never read, and a model's own code runs only if the user allows it (`#code=yes`).
"""

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tolerate.errors import DataError, OptionError, RunError
from tolerate.llm.model_names import PretrainedSpec
from tolerate.models.pretrained.transformers_types import ModelConfig, PretrainedTokenizer

CONTEXT = 1024  # tokens, where neither model nor tokenizer says
HUB_TIMEOUT_SECONDS = 20.0  # for a model's description
BLOCKS, BLOCK_BYTES = 64, 4096  # of each file, for its fingerprint
PICKLES = (
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.pt",
    "tf_model.h5",
    "flax_model.msgpack",
)


@dataclass(frozen=True)
class LoadedSource:
    """A network with its tokenizer, ready to read and write."""

    net: Any  # transformers' PreTrainedModel
    tokenizer: PretrainedTokenizer
    is_seq2seq: bool
    ends: tuple[int, ...]  # tokens that close an answer; the first one is what it learns to write
    context: int
    fingerprint: str  # of the weights


def open_source(source: PretrainedSpec) -> LoadedSource:
    """Load a pretrained model. Raises DataError for one that cannot be used, RunError if it cannot be fetched."""
    _require_transformers()
    folder = locate(source)
    config = _config(folder, source)
    is_seq2seq = _is_seq2seq(config, source)
    tokenizer = _tokenizer(folder, source)
    net = _network(folder, source, is_seq2seq)
    vocabulary = int(net.get_input_embeddings().weight.shape[0])
    _check_tokenizer_fits(tokenizer, vocabulary, source)
    return LoadedSource(
        net,
        tokenizer,
        is_seq2seq,
        _end_tokens(net, tokenizer, vocabulary, source),
        _context(config, tokenizer, source),
        fingerprint(folder),
    )


def _require_transformers() -> None:
    """Raise OptionError if transformers is not installed."""
    try:
        import transformers  # noqa: F401
    except ImportError:
        raise OptionError('pretrained models need transformers; try: pip install "tolerate[text]"') from None


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' progress bars and warnings inside the context: tolerate reports progress and errors."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()


# The files of a model


def locate(source: PretrainedSpec) -> Path:
    """The folder of a model, downloaded from the hub if it has not been yet."""
    if not source.local:
        return _download(source)
    folder = Path(source.place).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"{folder} is no folder; expected one that save_pretrained wrote, or a name of the hub"
        )
    if not (folder / "config.json").exists():
        listing = ", ".join(sorted(file.name for file in folder.iterdir())[:5]) or "nothing"
        raise DataError(
            f"{folder} has no config.json, so it is no model of transformers (it holds {listing}); expected a folder "
            "that save_pretrained wrote"
        )
    _has_safetensors(folder, [file.name for file in folder.iterdir()])
    return folder


def _has_safetensors(place: object, names: list[str]) -> None:
    if any(name.endswith(".safetensors") for name in names):
        return
    pickled = [name for name in names if name in PICKLES or name.endswith((".bin", ".pt", ".pth"))]
    if pickled:
        raise DataError(
            f"{place} has its weights as {pickled[0]} only, which may run code when it is read; expected "
            "safetensors: load it once where you trust it and call save_pretrained, which writes them"
        )
    raise DataError(f"{place} has no weights: no file ends in .safetensors")


def _download(source: PretrainedSpec) -> Path:
    """A hub model in the hub's own cache on this disk."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    revision = source.revision or None
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        if not _offline():
            about = HfApi().model_info(source.place, revision=revision, timeout=HUB_TIMEOUT_SECONDS)
            _has_safetensors(source.place, [sibling.rfilename for sibling in about.siblings or []])
        return Path(snapshot_download(source.place, revision=revision, allow_patterns=_file_patterns(source)))
    except DataError:
        raise
    except HFValidationError as error:
        raise OptionError(f'"{source.place}" is no name of the hub: {error}') from None
    except LocalEntryNotFoundError:
        raise _unreachable(source, "it is not among the models kept on this disk") from None
    except Exception as error:
        cached = _cached_snapshot(source)
        if cached is not None and not _is_refusal(error):
            return cached
        raise _hub_error(source, error) from None
    finally:
        enable_progress_bars()


def _file_patterns(source: PretrainedSpec) -> list[str]:
    """The files of a model that are fetched: no pickles, and its code only on request."""
    code = ["*.py"] if source.code else []
    return ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", *code]


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _cached_snapshot(source: PretrainedSpec) -> Path | None:
    """The model in the hub's cache on this disk; None if it is not there."""
    from huggingface_hub import snapshot_download

    try:
        snapshot = snapshot_download(
            source.place,
            revision=source.revision or None,
            allow_patterns=_file_patterns(source),
            local_files_only=True,
        )
    except Exception:
        return None
    return Path(snapshot)


def _is_refusal(error: Exception) -> bool:
    """Whether the hub answered with a refusal, which a cached model must not hide."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    return 400 <= int(status or 0) < 500 and status not in (408, 429)


def _hub_error(source: PretrainedSpec, error: Exception) -> Exception:
    """The error of the hub's library as one of tolerate's."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return RunError(
            f'"{source.place}" is open only to those who accepted its terms on the hub; accept them there and set '
            "HF_TOKEN"
        )
    if isinstance(error, RevisionNotFoundError):
        return OptionError(f'"{source.place}" has no revision "{source.revision}" on the hub')
    if isinstance(error, RepositoryNotFoundError):
        return OptionError(
            f'the hub knows no model "{source.place}" (or it is private, and HF_TOKEN is not set); a folder is '
            "written hf:./FOLDER"
        )
    return _unreachable(
        source, f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
    )


def _unreachable(source: PretrainedSpec, reason: str) -> RunError:
    offline = " HF_HUB_OFFLINE is set, so the hub was not asked." if _offline() else ""
    return RunError(
        f'the model "{source.place}" cannot be fetched from the hub ({reason}).{offline} Without a network, name a '
        f"local folder, hf:./FOLDER, or fetch it once where there is one (hf download {source.place}); with "
        "HF_HUB_OFFLINE=1 only what is on the disk is used"
    )


# Loading a model


def _config(folder: Path, source: PretrainedSpec) -> ModelConfig:
    from transformers import AutoConfig

    try:
        with quiet_transformers():
            config: ModelConfig = AutoConfig.from_pretrained(folder, trust_remote_code=source.code)
            return config
    except Exception as error:
        raise DataError(
            f"the config.json of {source.place} cannot be used: {_first_line(error)}{_code_hint(error, source)}"
        ) from None


def _code_hint(error: Exception, source: PretrainedSpec) -> str:
    if "trust_remote_code" in str(error) and not source.code:
        return ". It brings code of its own; if you trust it, add #code=yes"
    return ""


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _is_seq2seq(config: ModelConfig, source: PretrainedSpec) -> bool:
    """Whether it is a sequence-to-sequence model; raises DataError for a model that writes no texts."""
    from transformers.models.auto import modeling_auto as auto

    causal = set(_class_names(auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))
    seq2seq = set(_class_names(auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES))
    names = list(getattr(config, "architectures", None) or [])
    runs_own_code = source.code and bool(getattr(config, "auto_map", None))
    if names and not runs_own_code and not any(name in causal | seq2seq for name in names):
        raise DataError(
            f"{source.place} holds a {names[0]}, which writes no texts; expected a causal model (such as "
            "LlamaForCausalLM, GPT2LMHeadModel) or a sequence-to-sequence one (such as T5ForConditionalGeneration)"
        )
    if not names and config.model_type not in {*auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES} | {
        *auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    }:
        raise DataError(f"{source.place} is of the type {config.model_type}, which writes no texts")
    is_encoder = config.model_type in ENCODERS and not getattr(config, "is_decoder", False)
    if is_encoder and any(name in causal for name in names):
        raise DataError(
            f"{source.place} holds an encoder ({names[0]} with is_decoder false), which attends to the tokens it is to "
            "write; expected a causal model"
        )
    return bool(config.is_encoder_decoder)


def _class_names(names: Mapping[str, str | Sequence[str]]) -> Iterator[str]:
    """Names of classes in a mapping of transformers: one or several for each type of model."""
    for value in names.values():
        yield from ([value] if isinstance(value, str) else value)


ENCODERS = {  # types that are causal models only with `is_decoder`
    "bert",
    "roberta",
    "electra",
    "camembert",
    "xlm-roberta",
    "bert-generation",
    "megatron-bert",
    "rembert",
}


def _tokenizer(folder: Path, source: PretrainedSpec) -> PretrainedTokenizer:
    from transformers import AutoTokenizer

    try:
        with quiet_transformers():
            tokenizer: PretrainedTokenizer = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=source.code
            )
            return tokenizer
    except Exception as error:
        raise DataError(
            f"the tokenizer of {source.place} cannot be read: {_first_line(error)}{_code_hint(error, source)}; "
            "expected tokenizer.json or the tokenizer's files beside the model"
        ) from None


def _network(folder: Path, source: PretrainedSpec, is_seq2seq: bool) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    kind = AutoModelForSeq2SeqLM if is_seq2seq else AutoModelForCausalLM
    try:
        with quiet_transformers():
            net, loading = kind.from_pretrained(
                folder,
                dtype=torch.bfloat16 if source.half else torch.float32,
                use_safetensors=True,
                trust_remote_code=source.code,
                output_loading_info=True,
            )
    except Exception as error:
        raise DataError(
            f"the weights of {source.place} cannot be used: {_first_line(error)}{_code_hint(error, source)}"
        ) from None
    missing = sorted(loading["missing_keys"])
    if missing:
        raise DataError(
            f"{source.place} lacks {len(missing)} of the weights of a {type(net).__name__} ({missing[0]}, ...), which "
            "would be random; expected the whole model with its last layer"
        )
    return net.eval()


def _check_tokenizer_fits(tokenizer: PretrainedTokenizer, vocabulary: int, source: PretrainedSpec) -> None:
    """Raise DataError if the model has no embedding for a token of the tokenizer."""
    token_numbers = tokenizer.get_vocab()
    largest = max(token_numbers.values(), default=-1)
    if largest >= vocabulary:
        raise DataError(
            f"the tokenizer of {source.place} has {largest + 1} tokens, the model knows {vocabulary}: they do not fit. "
            "Put the tokenizer back that it was trained with, or call resize_token_embeddings and train the new ones"
        )
    if largest < 1:
        raise DataError(f"the tokenizer of {source.place} knows {largest + 1} tokens; expected a vocabulary")


def _end_tokens(
    net: Any, tokenizer: PretrainedTokenizer, vocabulary: int, source: PretrainedSpec
) -> tuple[int, ...]:
    """The tokens that close an answer: the tokenizer's first, then those of the model's own settings."""
    if source.end:
        number = tokenizer.convert_tokens_to_ids(source.end)
        if number is None or (number == tokenizer.unk_token_id and source.end != tokenizer.unk_token):
            raise OptionError(f'the tokenizer of {source.place} knows no token "{source.end}" to end with')
        return (int(number),)
    candidates: list[int | None] = [tokenizer.eos_token_id]
    for settings in (getattr(net, "generation_config", None), net.config):
        listed = getattr(settings, "eos_token_id", None)
        candidates += listed if isinstance(listed, list | tuple) else [listed]
    ends = tuple(
        dict.fromkeys(
            int(number) for number in candidates if number is not None and 0 <= int(number) < vocabulary
        )
    )
    if not ends:
        raise DataError(
            f"neither the tokenizer nor the model of {source.place} says which token ends a text, so it would never "
            "stop; name one: #end=TOKEN"
        )
    return ends


def _context(config: ModelConfig, tokenizer: PretrainedTokenizer, source: PretrainedSpec) -> int:
    """How many tokens the model reads at once."""
    names = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length")
    declared = [getattr(config, name, None) for name in names]
    if getattr(config, "relative_attention_num_buckets", None):
        declared = []  # T5's positions are relative
    by_config = [int(length) for length in declared if isinstance(length, int) and length > 0][:1]
    limit = tokenizer.model_max_length  # a huge number where the tokenizer does not say
    by_tokenizer = [int(limit)] if limit and limit < 10**7 else []
    if source.context and by_config and source.context > by_config[0]:
        raise OptionError(
            f"context={source.context} is more than the {by_config[0]} tokens {source.place} can read at once"
        )
    return source.context or min([*by_config, *by_tokenizer], default=CONTEXT)


def fingerprint(folder: Path) -> str:
    """A hash of a model's weights: of the sizes and of some blocks of its files, so that large files take milliseconds.

    Two models of one shape differ almost everywhere, so a few blocks distinguish them.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            for block in range(BLOCKS):
                file.seek(size * block // BLOCKS, os.SEEK_SET)
                digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()[:16]
