"""Tune pretrained models, generate texts with them, and measure likelihoods, without any torch in the interface."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tolerate.errors import DataError
from tolerate.llm.generated_text import GeneratedText
from tolerate.llm.model_names import PretrainedSpec, is_pretrained_folder
from tolerate.models.base import Recipe, generator, torch_seed, torch_threads
from tolerate.models.pretrained.hub import quiet_transformers
from tolerate.models.pretrained.pretrained import FILL, Pretrained
from tolerate.models.storage import load, save
from tolerate.models.texts.decoding import DecodedText, Decoding, decode
from tolerate.models.texts.examples import TokenExamples
from tolerate.models.training.loop import ReportProgress, Trained, train
from tolerate.models.training.plan import TrainingOptions

MAX_BATCH_TOKENS = 2**15  # tokens of prompts and answers that are decoded at once
MAX_BATCH_TEXTS = 64  # texts of them


def save_source(source: PretrainedSpec, folder: Path, seed: int) -> Pretrained:
    """Store a reference to a pretrained model in a folder, for use without training."""
    with torch_seed(seed):
        model = Pretrained.of(source)
    save(model, folder)
    return model


def tune(
    source: PretrainedSpec,
    pairs: Sequence[tuple[str, str]],
    folder: Path,
    options: TrainingOptions | None = None,
    on_progress: ReportProgress | None = None,
) -> Trained[Pretrained]:
    """Tune a pretrained model to answer prompts; the weights that were trained are stored in the folder."""
    if not pairs:
        raise DataError("there are no texts to learn from; expected at least one pair of prompt and answer")
    options = options or TrainingOptions()
    with torch_seed(options.seed):
        model = Pretrained.of(source)
    rows, starts, _ = rows_of(model, _sample_pairs(pairs, options))
    return train(model, TokenExamples(rows, starts), options, folder, on_progress)


def _sample_pairs(pairs: Sequence[tuple[str, str]], options: TrainingOptions) -> Sequence[tuple[str, str]]:
    """The pairs that a short tuning looks at, a random sample: encoding all of them would take longer than training."""
    if not options.steps:
        return pairs
    count = options.steps * (options.batch or Recipe(0).batch)
    if count >= len(pairs):
        return pairs
    return [pairs[index] for index in np.random.default_rng(options.seed).permutation(len(pairs))[:count]]


def rows_of(model: Pretrained, pairs: Sequence[tuple[str, str]]) -> tuple[Tensor, Tensor, int]:
    """Rows [n, length] of tokens plus one, where each answer begins [n], and how many were too long."""
    encoded = model.prompt_format.encode_pairs(pairs)
    fitting = [(row, start) for row, start in encoded if _fits(model, len(row), start)]
    if not fitting:
        raise DataError(
            f"none of the {len(pairs)} texts fits into the {model.context} tokens that {model.source.place} reads"
        )
    rows = torch.full((len(fitting), max(len(row) for row, _ in fitting)), FILL, dtype=torch.int32)
    for index, (row, _) in enumerate(fitting):
        rows[index, : len(row)] = torch.tensor(row, dtype=torch.int32) + 1
    return rows, torch.tensor([start for _, start in fitting]), len(encoded) - len(fitting)


def _fits(model: Pretrained, length: int, start: int) -> bool:
    """Whether a row fits into the context: prompt and answer together, or each alone for encoder and decoder."""
    return max(start, length - start) <= model.context if model.is_seq2seq else length <= model.context


def open_model(source: PretrainedSpec) -> Pretrained:
    """A pretrained model ready to write: of the hub, of a folder of transformers, or tuned by `tolerate train`."""
    folder = Path(source.place).expanduser()
    return load_model(folder) if is_pretrained_folder(folder) else Pretrained.of(source).to(_device())


@lru_cache(maxsize=2)
def load_model(folder: Path) -> Pretrained:
    """The pretrained model stored in a folder, with its adapters merged."""
    model = load(folder, Pretrained)
    model.merge()
    return model.to(_device())


def export_merged(folder: Path, out: Path) -> None:
    """Write a tuned model with merged adapters and its tokenizer, for any server or as a base for further tuning."""
    model = load_model(folder)
    with quiet_transformers():
        model.net.save_pretrained(out)
        model.prompt_format.tokenizer.save_pretrained(out)


def _device() -> str:
    """A GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def write_with(
    model: Pretrained,
    prompts: Sequence[str],
    candidates: int,
    seed: int,
    decoding: Decoding | None = None,
    system: str = "",
    use_model_decoding: bool = True,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[list[GeneratedText]]:
    """Candidates for each prompt, in order. system: the system prompt before each of them.

    use_model_decoding: settings of decoding in the model's name override `decoding`.
    """
    heads = [torch.tensor(head) for head in model.prompt_format.encode_prompts(prompts, system)]
    encoded_prompts = [head for head in heads for _ in range(candidates)]
    chosen = _fit_limit(
        model,
        encoded_prompts,
        replace(decoding or Decoding(), **(model.source.decoding if use_model_decoding else {})),
    )
    if model.prompt_format.may_continue_examples(system):
        chosen = replace(chosen, stop=model.prompt_format.begins_new_example)
    if chosen.contrast and model.net.get_output_embeddings() is None:
        raise DataError(f"{model.source.place} has no output embeddings, which contrastive search needs")
    batch = max(
        1,
        min(MAX_BATCH_TEXTS, MAX_BATCH_TOKENS // (max(map(len, encoded_prompts), default=0) + chosen.limit)),
    )
    rng, decoded = generator(seed), list[DecodedText]()
    with torch_threads(torch.get_num_threads() if model.device.type == "cuda" else 1):
        for first in range(0, len(encoded_prompts), batch):
            decoded += decode(model, encoded_prompts[first : first + batch], chosen, rng, batch)
            on_progress(len(decoded), len(encoded_prompts))
    written = [
        _generated_text(model, text, system, len(head))
        for text, head in zip(decoded, encoded_prompts, strict=True)
    ]
    return [written[start : start + candidates] for start in range(0, len(written), candidates)]


def _generated_text(model: Pretrained, text: DecodedText, system: str, prompt_tokens: int) -> GeneratedText:
    """A text and its log-probabilities, without further examples that the model wrote after its answer."""
    length = model.prompt_format.answer_length(text.tokens, system)
    is_complete = length == len(text.tokens)
    answer = text if is_complete else DecodedText(text.tokens[:length], text.logprobs[:length], True)
    written = model.prompt_format.decode(answer.tokens)
    return GeneratedText(
        written,
        answer.mean,
        answer.least,
        answer.ended,
        sum(answer.logprobs),
        len(answer.logprobs),
        prompt_tokens,
    )


def _fit_limit(model: Pretrained, prompts: Sequence[Tensor], decoding: Decoding) -> Decoding:
    """The decoding with a limit such that the longest prompt and its answer fit into the context."""
    longest = max((len(prompt) for prompt in prompts), default=0)
    room = model.context - (0 if model.is_seq2seq else longest)
    if longest > model.context or room < 1:
        raise DataError(
            f"a prompt has {longest} tokens; {model.source.place} reads {model.context} at once: shorten the prompt, "
            "or take a model with a longer context"
        )
    return replace(decoding, limit=min(decoding.limit, room), end=model.ends[0])


def perplexity_of(
    model: Pretrained, pairs: Sequence[tuple[str, str]], batch: int = 32
) -> tuple[float, float]:
    """Perplexity of a token of unseen answers given their prompts, and bits per character of those answers."""
    rows, starts, _ = rows_of(model, pairs)
    nats, count, character_count = 0.0, 0, 0
    with torch_threads(1), torch.no_grad():
        for part, begin in zip(torch.split(rows, batch), torch.split(starts, batch), strict=True):
            logits, targets = model.answer_logits(part.long(), begin)
            nats += float(F.cross_entropy(logits, targets, reduction="sum"))
            count += len(targets)
    for row, start in zip(rows, starts.tolist(), strict=True):
        character_count += len(model.prompt_format.decode((row[start:][row[start:] != FILL] - 1).tolist()))
    return math.exp(nats / count), nats / math.log(2) / max(character_count, 1)


def likelihoods_of(
    model: Pretrained, pairs: Sequence[tuple[str, str]], batch: int = 32
) -> NDArray[np.float64]:
    """Mean log probability of a token of each answer given its prompt; very low where both do not fit: [n]."""
    means = np.full(len(pairs), -30.0)
    rows = model.prompt_format.encode_pairs(pairs)
    fitting = [index for index, (row, start) in enumerate(rows) if _fits(model, len(row), start)]
    with torch_threads(1), torch.no_grad():
        for first in range(0, len(fitting), batch):
            chosen = fitting[first : first + batch]
            filled, starts, _ = rows_of(model, [pairs[index] for index in chosen])
            logits, targets = model.answer_logits(filled.long(), starts)
            nats = F.cross_entropy(logits, targets, reduction="none").cpu()
            lengths = [len(rows[index][0]) - rows[index][1] for index in chosen]
            means[chosen] = [-float(part.mean()) for part in torch.split(nats, lengths)]
    return means
