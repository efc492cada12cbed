"""Train writers, generate texts with them, and measure cost and likelihoods, without any torch in the interface."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tolerate.errors import DataError, OptionError
from tolerate.llm.generated_text import GeneratedText
from tolerate.llm.model_names import (
    PretrainedSpec,
    is_pretrained_folder,
    is_pretrained_name,
    parse_pretrained,
)
from tolerate.models.base import Trainable, generator, torch_seed, torch_threads
from tolerate.models.pretrained.tuned import TunedModel
from tolerate.models.registry import build
from tolerate.models.storage import load
from tolerate.models.texts.blend import Blend
from tolerate.models.texts.decoding import DecodedText, Decoding, TextTemplate, decode
from tolerate.models.texts.examples import TokenExamples
from tolerate.models.texts.language import END, PAD, START, LanguageModel, log_likelihoods
from tolerate.models.texts.tokenizers import learn_vocabulary, load_vocabulary
from tolerate.models.texts.tokens import UNKNOWN, Tokenizer
from tolerate.models.training.cost import core_seconds
from tolerate.models.training.distributed import is_main_process
from tolerate.models.training.loop import ReportProgress, Trained, train
from tolerate.models.training.plan import TrainingOptions

ANY_CHARACTER = "\0"  # in a template
TOKENS = "tokens.json"  # beside the model
UNICODE_CODE_POINTS = 0x110000
PROMPT_TAIL_TOKENS = 3  # of a prompt, that a blend counts
MAX_CONTEXT = 512  # tokens, where no context is chosen
SPARE_TOKENS = 24  # tokens of context beyond the longest text learned from


def encoded(tokens: Tokenizer, prompt: str, answer: str | None = None) -> tuple[list[int], int]:
    """A row of tokens (prompt, start, answer, end), and where its answer begins."""
    head = [*tokens.encode(prompt), START]
    return (head, len(head)) if answer is None else ([*head, *tokens.encode(answer), END], len(head))


def rows_of(tokens: Tokenizer, pairs: Sequence[tuple[str, str]], longest: int) -> tuple[Tensor, Tensor, int]:
    """Rows [n, length] padded to the longest, where each answer begins [n], and how many rows were too long."""
    encoded_pairs = [encoded(tokens, prompt, answer) for prompt, answer in pairs]
    fitting = [(row, start) for row, start in encoded_pairs if len(row) <= longest]
    if not fitting:
        raise DataError(f"none of the {len(pairs)} texts fits into {longest} tokens; choose a longer context")
    rows = torch.full((len(fitting), max(len(row) for row, _ in fitting)), PAD, dtype=torch.int32)
    for index, (row, _) in enumerate(fitting):
        rows[index, : len(row)] = torch.tensor(row, dtype=torch.int32)
    return rows, torch.tensor([start for _, start in fitting]), len(encoded_pairs) - len(fitting)


def teach_writer(
    path: str,
    pairs: Sequence[tuple[str, str]],
    folder: Path,
    options: TrainingOptions | None = None,
    *,
    tokens: Tokenizer | str = "words",
    model: Mapping[str, object] | None = None,
    learn_prompts: bool = False,
    on_progress: ReportProgress | None = None,
) -> Trained[Trainable]:
    """Train a language model, named by its `package.module:attribute`, to answer prompts; stored in the folder.

    options: of the training. tokens: a vocabulary, or the kind of one to learn from these texts (words, characters,
    bpe:1000). model: options of the model; `context` among them is how many tokens it reads at once, by default as
    many as the longest text has and some more. learn_prompts: learn to write the prompts too.
    """
    if not pairs:
        raise DataError("there are no texts to learn from; expected at least one pair of prompt and answer")
    options = options or TrainingOptions()
    if is_pretrained_name(path):
        return _tune(parse_pretrained(path), pairs, folder, options, on_progress)
    if isinstance(tokens, str):
        tokens = learn_vocabulary(tokens, (text for pair in pairs for text in pair))
    model_options = dict(model or {})
    context = _context(model_options.pop("context", None))
    longest = (context or MAX_CONTEXT) + 1
    rows, starts, _ = rows_of(tokens, pairs, longest)
    _save_tokens(tokens, folder)
    writer = build(
        path, context or rows.shape[1] + SPARE_TOKENS, len(tokens), seed=options.seed, **model_options
    )
    if isinstance(writer, Blend):
        text, positions = text_for_counts(tokens, pairs)
        writer.count(text)
        fits = [len(encoded(tokens, *pair)[0]) <= longest for pair in pairs]
        starts = torch.tensor(positions)[torch.tensor(fits)]
    elif learn_prompts:
        starts = torch.zeros_like(starts)
    return train(writer, TokenExamples(rows, starts), options, folder, on_progress)


def _context(context: object) -> int | None:
    if context is None or (isinstance(context, int) and context > 0):
        return context
    raise OptionError(f"context is {context!r}; expected a number of tokens above 0")


def _save_tokens(tokens: Tokenizer, folder: Path) -> None:
    if is_main_process():
        tokens.save(folder / TOKENS)


def _tune(
    spec: PretrainedSpec,
    pairs: Sequence[tuple[str, str]],
    folder: Path,
    options: TrainingOptions,
    on_progress: ReportProgress | None,
) -> Trained[Trainable]:
    """Tune a pretrained model, or a writer that was trained by tolerate, with its own vocabulary."""
    if spec.kind == "hf":
        from tolerate.models.writers.pretrained import tune

        return tune(spec, pairs, folder, options, on_progress)
    from tolerate.models.pretrained.adapted import Adapted

    tokens = load_vocabulary(Path(spec.place).expanduser() / TOKENS)
    with torch_seed(options.seed):
        model = Adapted.of(spec)
    rows, starts, _ = rows_of(tokens, pairs, model.context + 1)
    _save_tokens(tokens, folder)
    return train(model, TokenExamples(rows, starts), options, folder, on_progress)


def text_for_counts(tokens: Tokenizer, pairs: Sequence[tuple[str, str]]) -> tuple[list[int], list[int]]:
    """The text that a blend counts, and the position of each pair's answer in it.

    It is each different answer from its start to its end, after the last tokens of its prompt: continuation counts
    (how many different tokens precede) need some variation before the start token.
    """
    text: list[int] = []
    positions: dict[tuple[tuple[int, ...], str], int] = {}
    for prompt, answer in pairs:
        tail = tuple(tokens.encode(prompt)[-PROMPT_TAIL_TOKENS:])
        if (tail, answer) not in positions:
            positions[tail, answer] = len(text) + len(tail)
            text += [*tail, START, *tokens.encode(answer), END]
    return text, [
        positions[tuple(tokens.encode(prompt)[-PROMPT_TAIL_TOKENS:]), answer] for prompt, answer in pairs
    ]


@lru_cache(maxsize=2)
def load_writer(folder: Path) -> tuple[LanguageModel, Tokenizer]:
    """The writer stored in a folder, with its vocabulary."""
    model, tokens = load(folder, LanguageModel), load_vocabulary(folder / TOKENS)
    if isinstance(model, TunedModel):
        model.merge()
    if model.vocabulary != len(tokens):
        raise DataError(
            f"the model in {folder} knows {model.vocabulary} tokens, its tokenizer {len(tokens)}: they do not fit; "
            "train again, or put the tokenizer back that it was trained with"
        )
    return model, tokens


def write(
    folder: Path,
    prompts: Sequence[str],
    candidates: int,
    seed: int,
    decoding: Decoding | None = None,
    templates: Sequence[str] = (),
) -> list[list[GeneratedText]]:
    """Candidates for each prompt, in order; the same for the same prompts and seed.

    templates: for each prompt the text that a trained writer has to follow; ANY_CHARACTER stands for any letter.
    Pretrained models ignore them.
    """
    if is_pretrained_folder(folder):
        from tolerate.models.writers.pretrained import load_model, write_with

        return write_with(load_model(folder), prompts, candidates, seed, decoding)
    model, tokens = load_writer(folder)
    encoded_prompts = [
        torch.tensor(encoded(tokens, prompt)[0]) for prompt in prompts for _ in range(candidates)
    ]
    decoding = _fit_limit(model, encoded_prompts, decoding or Decoding())
    if templates:
        decoding = replace(
            decoding,
            template=_text_template(tokens, [mould for mould in templates for _ in range(candidates)]),
        )
    with torch_threads(1):
        decoded = decode(model, encoded_prompts, decoding, generator(seed))
    texts = [
        GeneratedText(tokens.decode(text.tokens), text.mean, text.least, text.ended, *_sums(text))
        for text in decoded
    ]
    return [texts[first : first + candidates] for first in range(0, len(texts), candidates)]


def _text_template(tokens: Tokenizer, templates: Sequence[str]) -> TextTemplate | None:
    """The template of some texts, token by token; None if the vocabulary has no single token for a character."""
    characters = list(dict.fromkeys("".join(templates)))
    spelled = {character: tokens.encode(character) for character in characters if character != ANY_CHARACTER}
    if any(len(numbers) != 1 for numbers in spelled.values()):
        return None
    single = [tokens.decode([number]) for number in range(len(tokens))]
    letters = torch.tensor([len(piece) == 1 and piece.isalpha() for piece in single])
    allowed = torch.zeros(len(characters) + 1, len(tokens), dtype=torch.bool)
    for kind, character in enumerate(characters):
        if character == ANY_CHARACTER:
            allowed[kind] = letters
        else:
            allowed[kind, spelled[character]] = True
    allowed[-1, END] = True
    kinds = torch.full((len(templates), max(map(len, templates)) + 1), len(characters))
    for row, template in enumerate(templates):
        kinds[row, : len(template)] = torch.tensor([characters.index(character) for character in template])
    return TextTemplate(kinds, allowed)


def _sums(text: DecodedText) -> tuple[float, int]:
    return sum(text.logprobs), len(text.logprobs)


def _fit_limit(model: LanguageModel, prompts: Sequence[Tensor], decoding: Decoding) -> Decoding:
    """The decoding with a limit such that the longest prompt and its answer fit into the context."""
    room = model.context - max(len(prompt) for prompt in prompts)
    if room < 1:
        raise DataError(
            f"a prompt has {model.context - room} tokens; this model reads {model.context} at once: shorten the "
            "prompt, or train with a longer context"
        )
    return replace(decoding, limit=min(decoding.limit, room))


def writing_cost(folder: Path, prompts: Sequence[str], decoding: Decoding) -> float:
    """Core-seconds of one text, counted in operations: the same on every machine."""
    return core_seconds(lambda: write(folder, prompts, 1, 0, decoding)) / len(prompts)


def texts_per_second(folder: Path, prompts: Sequence[str], decoding: Decoding) -> float:
    """Texts that a model writes in a second on this machine, measured once."""
    write(folder, prompts[:8], 1, 0, decoding)
    began = time.perf_counter()
    write(folder, prompts, 1, 0, decoding)
    return len(prompts) / (time.perf_counter() - began)


def perplexity(folder: Path, pairs: Sequence[tuple[str, str]]) -> tuple[float, float]:
    """Perplexity of a token of unseen answers given their prompts, and bits per character of those answers.

    A character that the vocabulary lacks costs as much as naming one of all Unicode code points; otherwise a
    tokenizer with a small vocabulary would have an advantage.
    """
    if is_pretrained_folder(folder):
        from tolerate.models.writers.pretrained import load_model, perplexity_of

        return perplexity_of(load_model(folder), pairs)
    model, tokens = load_writer(folder)
    rows, starts, _ = rows_of(tokens, pairs, model.context + 1)
    with torch_threads(1):
        log_probabilities = log_likelihoods(model, rows)
    positions = torch.arange(1, rows.shape[1])
    learned = (rows[:, 1:] != PAD) & (positions >= starts[:, None])
    nats, count = -float(log_probabilities[learned].sum()), int(learned.sum())
    unknown_count = int((rows[:, 1:][learned] == UNKNOWN).sum())
    character_count = sum(
        len(tokens.decode(row[start:].tolist())) for row, start in zip(rows, starts.tolist(), strict=True)
    )
    bits = (nats + unknown_count * np.log(UNICODE_CODE_POINTS)) / np.log(2)
    return float(np.exp(nats / count)), bits / max(character_count, 1)


def likelihoods(folder: Path, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """Mean log probability of a token of each answer given its prompt; very low where both do not fit: [n]."""
    if is_pretrained_folder(folder):
        from tolerate.models.writers.pretrained import likelihoods_of, load_model

        return likelihoods_of(load_model(folder), pairs)
    model, tokens = load_writer(folder)
    rows = [encoded(tokens, prompt, answer) for prompt, answer in pairs]
    means = np.full(len(rows), -30.0)
    fitting = [index for index, (row, _) in enumerate(rows) if len(row) <= model.context + 1]
    for first in range(0, len(fitting), 256):
        batch = fitting[first : first + 256]
        filled, starts, _ = rows_of(tokens, [pairs[index] for index in batch], model.context + 1)
        with torch_threads(1):
            log_probabilities = log_likelihoods(model, filled)
        learned = (filled[:, 1:] != PAD) & (torch.arange(1, filled.shape[1]) >= starts[:, None])
        means[batch] = ((log_probabilities * learned).sum(1) / learned.sum(1)).double().numpy()
    return means


__all__ = [
    "DecodedText",
    "Decoding",
    "GeneratedText",
    "likelihoods",
    "perplexity",
    "teach_writer",
    "texts_per_second",
    "write",
    "writing_cost",
]
