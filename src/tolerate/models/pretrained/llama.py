"""Convert a Transformer to a Llama of the `transformers` library and back; the logits stay the same.

    to_llama(folder, out)        a model of `teach_writer` as config.json, model.safetensors and tokenizer.json
    from_llama(folder, out)      a Llama with plain positions and as many heads for keys as for queries

The Transformer is a Llama but for two additions, hashed tables of bigrams and trigrams and the pointer; a model with
either is refused. The written tokenizer appends the start token to a prompt, so that a server that completes prompts
sees what the model was trained on. Word tokens have no counterpart in the library; BPE and characters have.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tolerate.base.files import read_json, to_json, write_whole
from tolerate.base.json_types import JsonValue
from tolerate.errors import DataError, OptionError
from tolerate.models.storage import detached_copies, load, read_tensors, save
from tolerate.models.texts.bpe import BPE, SPECIALS
from tolerate.models.texts.language import END, PAD, START, LanguageModel
from tolerate.models.texts.tokenizers import load_vocabulary
from tolerate.models.texts.tokens import SPECIAL, UNKNOWN, Tokenizer, Tokens
from tolerate.models.texts.transformer import EPS, Transformer

if TYPE_CHECKING:
    from tokenizers import Tokenizer as LibraryTokenizer

OUTER = {
    "table.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "head.weight": "lm_head.weight",
}
INNER = {
    "before": "input_layernorm",
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "out": "self_attn.o_proj",
    "between": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
TOKENIZER = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "pad_token": SPECIAL[PAD],
    "eos_token": SPECIAL[END],
    "bos_token": SPECIAL[START],
    "clean_up_tokenization_spaces": False,
    "padding_side": "left",
}


def llama_weight_names(layers: int) -> dict[str, str]:
    """Llama's name of each weight, by tolerate's.

    >>> llama_weight_names(1)["blocks.0.gate.weight"]
    'model.layers.0.mlp.gate_proj.weight'
    """
    inner = {
        f"blocks.{layer}.{name}.weight": f"model.layers.{layer}.{llama_name}.weight"
        for layer in range(layers)
        for name, llama_name in INNER.items()
    }
    return {**OUTER, **inner}


def to_llama(folder: Path, out: Path) -> None:
    """Write the Transformer of a folder as a Llama that `transformers`, and servers built on it, can load."""
    from safetensors.torch import save as to_bytes

    model, tokens = load(folder, LanguageModel), load_vocabulary(folder / "tokens.json")
    if not isinstance(model, Transformer) or type(model) is not Transformer:
        raise OptionError(
            f"{folder} holds a {type(model).__name__}; expected a Transformer, the only model that a Llama can hold"
        )
    if model.hashed or model.pointer is not None:
        extras = " and ".join(
            ["hashed tables"] * bool(model.hashed) + ["a pointer"] * (model.pointer is not None)
        )
        raise OptionError(
            f"the Transformer in {folder} has {extras}, which a Llama has no place for; train one without: "
            "transformer#hashed=0+pointer=false+tokens=bpe:1000"
        )
    tokenizer = library_tokenizer(tokens)
    weights = detached_copies(model.state_dict())
    write_whole(
        out / "model.safetensors",
        to_bytes(
            {llama_name: weights[name] for name, llama_name in llama_weight_names(len(model.blocks)).items()},
            {"format": "pt"},
        ),
    )
    write_whole(out / "tokenizer.json", tokenizer.to_str().encode())
    write_whole(out / "tokenizer_config.json", to_json({**TOKENIZER, "model_max_length": model.context}))
    ends = {"pad_token_id": PAD, "eos_token_id": END, "bos_token_id": START}
    write_whole(out / "generation_config.json", to_json(ends))
    write_whole(out / "config.json", to_json({**llama_config(model), **ends}))


def llama_config(model: Transformer) -> dict[str, JsonValue]:
    """The sizes of a Transformer as a Llama's config.json."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": model.vocabulary,
        "hidden_size": model.width,
        "intermediate_size": model.inner,
        "num_hidden_layers": len(model.blocks),
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.heads,
        "max_position_embeddings": model.context + 1,
        "rms_norm_eps": EPS,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.base},
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "dtype": "float32",
    }


def library_tokenizer(tokens: Tokenizer) -> "LibraryTokenizer":
    """The vocabulary as a tokenizer of the library, which appends the start token to each prompt."""
    from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, processors
    from tokenizers import Tokenizer as Library

    if isinstance(tokens, BPE):
        tokenizer = Library.from_str(tokens.definition)
    elif isinstance(tokens, Tokens) and all(len(piece) == 1 for piece in tokens.pieces[len(SPECIAL) :]):
        tokenizer = Library(models.WordLevel(tokens.numbers, unk_token=SPECIAL[UNKNOWN]))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        tokenizer.decoder = decoders.Fuse()
        tokenizer.add_special_tokens([AddedToken(sign, normalized=False) for sign in SPECIAL[:UNKNOWN]])
    else:
        raise OptionError(
            "tokens that are words have no counterpart in the tokenizers library; train with tokens=bpe:1000 or "
            "tokens=characters"
        )
    template = f"$A {SPECIAL[START]}"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(SPECIAL[START], START)]
    )
    return tokenizer


def from_llama(folder: Path, out: Path) -> Transformer:
    """Convert a Llama of `transformers` to a Transformer and store it, with its tokenizer if tolerate wrote that."""
    about = dict(read_json(folder / "config.json", "a model of the transformers library"))
    base = _rope_base(about, folder)
    model = Transformer(
        int(about["max_position_embeddings"]) - 1,
        int(about["vocab_size"]),
        width=int(about["hidden_size"]),
        layers=int(about["num_hidden_layers"]),
        heads=int(about["num_attention_heads"]),
        inner=int(about["intermediate_size"]),
        base=base,
    )
    weights, _ = read_tensors(folder / "model.safetensors")
    if about.get("tie_word_embeddings"):
        weights.setdefault("lm_head.weight", weights["model.embed_tokens.weight"])
    _copy_weights(model, weights, folder)
    save(model, out)
    tokens = _tokenizer_of(folder / "tokenizer.json")
    if tokens is not None:
        tokens.save(out / "tokens.json")
    return model


def _rope_base(about: dict[str, Any], folder: Path) -> float:
    """The base of the rotary angles; raises DataError if anything else differs from tolerate's Transformer."""
    rope = about.get("rope_parameters") or about.get("rope_scaling") or {}
    heads = about.get("num_attention_heads", 1)
    size = about.get("head_dim") or about.get("hidden_size", 0) // heads
    wrong = {
        f"model_type {about.get('model_type')}": about.get("model_type") != "llama",
        "fewer heads for keys than for queries": about.get("num_key_value_heads", heads) != heads,
        "heads of another size than width / heads": size * heads != about.get("hidden_size", 0),
        f"positions of the kind {rope.get('rope_type')}": rope.get("rope_type", "default") != "default",
        f"norms with eps {about.get('rms_norm_eps')}": about.get("rms_norm_eps", EPS) != EPS,
        "biases": bool(about.get("attention_bias") or about.get("mlp_bias")),
        f"the activation {about.get('hidden_act')}": about.get("hidden_act", "silu") != "silu",
    }
    faults = [fault for fault, is_present in wrong.items() if is_present]
    if faults:
        raise DataError(f"{folder} has {', '.join(faults)}, which tolerate's Transformer does not have")
    return float(rope.get("rope_theta", about.get("rope_theta", 10_000.0)))


def _copy_weights(model: Transformer, weights: dict[str, Tensor], folder: Path) -> None:
    weight_names = llama_weight_names(len(model.blocks))
    missing = sorted(set(weight_names.values()) - set(weights))
    if missing:
        raise DataError(
            f"{folder} lacks the weights {', '.join(missing[:3])}; is it a complete LlamaForCausalLM?"
        )
    with torch.no_grad():
        for name, llama_name in weight_names.items():
            model.get_parameter(name).copy_(weights[llama_name].float())


def _tokenizer_of(path: Path) -> Tokenizer | None:
    """A vocabulary from tokenizer.json if it has tolerate's special tokens (BPE or characters), else None."""
    if not path.exists():
        return None
    stored = dict(read_json(path, "a tokenizer of the tokenizers library"))
    signs = tuple(token["content"] for token in stored.get("added_tokens", []))
    kind = stored.get("model", {})
    if signs == SPECIALS:
        return BPE(path.read_text("utf-8"))
    pieces = tuple(sorted(kind.get("vocab", {}), key=kind.get("vocab", {}).get))
    return Tokens(pieces) if kind.get("type") == "WordLevel" and pieces[: len(SPECIAL)] == SPECIAL else None
