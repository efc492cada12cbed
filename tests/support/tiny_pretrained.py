"""Tiny models of transformers, made on the spot: a tokenizer trained on a few words, weights from a seed."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.intents import TOPICS
from tolerate.models.base import torch_seed

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

WORDS = ("the cat sat on the mat. a dog ran to the red house. Input: Output: 0 1 2 3 4 5 6 7 8 9",) * 3
CHAT = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@cache
def tokenizer(size: int = 300, end: str | None = "</s>", texts: tuple[str, ...] = WORDS) -> Any:
    """Bytes and their commonest pairs; 0 fills up, 1 ends, 2 begins."""
    learned = tokenizers.Tokenizer(tokenizers.models.BPE())
    learned.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    learned.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<pad>", "</s>", "<s>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learned.train_from_iterator(texts, trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=learned, eos_token=end, pad_token="<pad>")


def config(kind: str, vocabulary: int, **options: Any) -> Any:
    """A small configuration of a kind of model."""
    base = {"vocab_size": vocabulary, "eos_token_id": 1, "pad_token_id": 0, "bos_token_id": 2}
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
    }
    bart = {
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 128,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": None,
        "init_std": 0.4,
    }
    grouped = {"num_key_value_heads": 1}
    t5 = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}
    gpt2 = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "gpt2": ("GPT2Config", gpt2),
        "llama": ("LlamaConfig", {**sizes, **grouped}),
        "mistral": ("MistralConfig", {**sizes, **grouped, "sliding_window": 8}),
        "gemma": ("Gemma3TextConfig", {**sizes, **grouped, "head_dim": 16, "sliding_window": 8}),
        "bloom": ("BloomConfig", {"hidden_size": 32, "n_layer": 2, "n_head": 2}),
        "opt": ("OPTConfig", {**sizes, "ffn_dim": 64, "word_embed_proj_dim": 32}),
        "mamba": ("MambaConfig", {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
        "t5": ("T5Config", t5),
        "bart": ("BartConfig", bart),
        "bert": ("BertConfig", sizes),
    }
    name, kind_options = kinds[kind]
    return getattr(transformers, name)(**{**base, **kind_options, **options})


CLASSES = {
    "gpt2": "GPT2LMHeadModel",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "gemma": "Gemma3ForCausalLM",
    "bloom": "BloomForCausalLM",
    "opt": "OPTForCausalLM",
    "mamba": "MambaForCausalLM",
    "t5": "T5ForConditionalGeneration",
    "bart": "BartForConditionalGeneration",
    "bert": "BertForMaskedLM",
}


def network(kind: str, vocabulary: int, *, scale: float = 1.0, **options: Any) -> Any:
    """A model of a kind; loud: weights are so many times as large, so that it has opinions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = getattr(transformers, CLASSES[kind])(config(kind, vocabulary, **options)).eval()
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(scale)
    return net


def save_model(
    folder: Path, kind: str = "llama", *, scale: float = 1.0, chat: bool = False, **options: Any
) -> Path:
    """A model with its tokenizer in a folder, as save_pretrained writes it."""
    tokens = tokenizer()
    network(kind, len(tokens), scale=scale, **options).save_pretrained(folder)
    tokens.save_pretrained(folder)
    if chat:
        (folder / "chat_template.jinja").write_text(CHAT)
    return folder


def save_tuned_model(
    folder: Path, pairs: Sequence[tuple[str, str]], steps: int = 300, **options: Any
) -> Path:
    """A tiny Llama that learned some answers, as a folder of transformers."""
    from tolerate.llm.model_names import parse_pretrained
    from tolerate.models.training.plan import TrainingOptions
    from tolerate.models.writers.pretrained import tune

    base = save_model(folder / "base", **options)
    trained = tune(
        parse_pretrained(f"hf:{base}#full+rate=0.003"),
        pairs,
        folder / "run",
        TrainingOptions(steps=steps, batch=16),
    )
    trained.model.net.save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    return folder / "model"


def save_encoder(folder: Path, vocabulary: int = 40) -> Path:
    """Save a tiny encoder of the BERT type with random weights and a tokenizer of the words of `TOPICS`.

    vocabulary: tokens that the encoder has embeddings for.
    """
    words = sorted({word for text in TOPICS.values() for word in text.split()})
    numbers = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    learned = tokenizers.Tokenizer(tokenizers.models.WordLevel(numbers, "[UNK]"))
    learned.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    learned.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=learned, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    with torch_seed(2):
        config = transformers.BertConfig(
            vocab_size=vocabulary,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
        )
        transformers.BertModel(config).save_pretrained(folder)
    return folder
