"""Texts from prompts, for those who know nothing of torch: teach a writer, let it write, ask what it costs."""

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
from tolerate.models.texts.decoding import Decoding, Mould, Text, decode
from tolerate.models.texts.examples import TokenExamples
from tolerate.models.texts.language import END, PAD, START, LanguageModel, log_likelihoods
from tolerate.models.texts.tokens import UNKNOWN, Tokenizer, load_tokens, tokens_for
from tolerate.models.training.cost import core_seconds
from tolerate.models.training.distributed import is_main_process
from tolerate.models.training.loop import ReportProgress, Trained, train
from tolerate.models.training.plan import TrainingOptions

ANY_CHARACTER = "\0"  # in a mould
TOKENS = "tokens.json"  # beside the model
SIGNS = 0x110000  # that Unicode has room for
TAIL = 3  # tokens of a prompt that counts see
MAX_CONTEXT = 512  # tokens, where no context is chosen
SPARE = 24  # tokens of context beyond the longest text learned from


def encoded(tokens: Tokenizer, prompt: str, answer: str | None = None) -> tuple[list[int], int]:
    """A row of tokens, and where its answer begins: prompt, start, answer, end."""
    head = [*tokens.encode(prompt), START]
    return (head, len(head)) if answer is None else ([*head, *tokens.encode(answer), END], len(head))


def rows_of(tokens: Tokenizer, pairs: Sequence[tuple[str, str]], longest: int) -> tuple[Tensor, Tensor, int]:
    """Rows [n, length] filled up to the longest, where each answer begins [n], and how many were too long."""
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
        tokens = tokens_for(tokens, (text for pair in pairs for text in pair))
    model_options = dict(model or {})
    context = _context(model_options.pop("context", None))
    longest = (context or MAX_CONTEXT) + 1
    rows, starts, _ = rows_of(tokens, pairs, longest)
    _save_tokens(tokens, folder)
    writer = build(path, context or rows.shape[1] + SPARE, len(tokens), seed=options.seed, **model_options)
    if isinstance(writer, Blend):
        text, positions = answers_in_a_row(tokens, pairs)
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
        from tolerate.models.writers.pretrained import teach

        return teach(spec, pairs, folder, options, on_progress)
    from tolerate.models.pretrained.adapted import Adapted

    tokens = load_tokens(Path(spec.place).expanduser() / TOKENS)
    with torch_seed(options.seed):
        model = Adapted.of(spec)
    rows, starts, _ = rows_of(tokens, pairs, model.context + 1)
    _save_tokens(tokens, folder)
    return train(model, TokenExamples(rows, starts), options, folder, on_progress)


def answers_in_a_row(tokens: Tokenizer, pairs: Sequence[tuple[str, str]]) -> tuple[list[int], list[int]]:
    """What a blend counts: each different answer, after the last tokens of its prompt, from its start to its end.

    Also where each pair's answer stands there. Did nothing vary before the start, counts of how many different
    tokens stood before would say nothing there.
    """
    text: list[int] = []
    positions: dict[tuple[tuple[int, ...], str], int] = {}
    for prompt, answer in pairs:
        tail = tuple(tokens.encode(prompt)[-TAIL:])
        if (tail, answer) not in positions:
            positions[tail, answer] = len(text) + len(tail)
            text += [*tail, START, *tokens.encode(answer), END]
    return text, [positions[tuple(tokens.encode(prompt)[-TAIL:]), answer] for prompt, answer in pairs]


@lru_cache(maxsize=2)
def writer_in(folder: Path) -> tuple[LanguageModel, Tokenizer]:
    """The writer kept in a folder, with its vocabulary."""
    model, tokens = load(folder, LanguageModel), load_tokens(folder / TOKENS)
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
    how: Decoding | None = None,
    moulds: Sequence[str] = (),
) -> list[list[GeneratedText]]:
    """Candidates for each prompt, in order; the same for the same prompts and seed.

    moulds: for each prompt the text that a writer trained here has to follow, ANY standing for any letter or character.
    """
    if is_pretrained_folder(folder):
        from tolerate.models.writers.pretrained import model_in, write_with

        return write_with(model_in(folder), prompts, candidates, seed, how)
    model, tokens = writer_in(folder)
    encoded_prompts = [
        torch.tensor(encoded(tokens, prompt)[0]) for prompt in prompts for _ in range(candidates)
    ]
    how = _within(model, encoded_prompts, how or Decoding())
    if moulds:
        how = replace(how, mould=_mould(tokens, [mould for mould in moulds for _ in range(candidates)]))
    with torch_threads(1):
        decoded = decode(model, encoded_prompts, how, generator(seed))
    texts = [
        GeneratedText(tokens.decode(text.tokens), text.mean, text.least, text.ended, *_sums(text))
        for text in decoded
    ]
    return [texts[first : first + candidates] for first in range(0, len(texts), candidates)]


def _mould(tokens: Tokenizer, moulds: Sequence[str]) -> Mould | None:
    """Texts to follow, sign by sign, then the end; None for a vocabulary that has no token of its own for a sign."""
    signs = list(dict.fromkeys("".join(moulds)))
    spelled = {sign: tokens.encode(sign) for sign in signs if sign != ANY_CHARACTER}
    if any(len(numbers) != 1 for numbers in spelled.values()):
        return None
    single = [tokens.decode([number]) for number in range(len(tokens))]
    letters = torch.tensor([len(piece) == 1 and piece.isalpha() for piece in single])
    allowed = torch.zeros(len(signs) + 1, len(tokens), dtype=torch.bool)
    for kind, sign in enumerate(signs):
        if sign == ANY_CHARACTER:
            allowed[kind] = letters
        else:
            allowed[kind, spelled[sign]] = True
    allowed[-1, END] = True
    kinds = torch.full((len(moulds), max(map(len, moulds)) + 1), len(signs))
    for row, mould in enumerate(moulds):
        kinds[row, : len(mould)] = torch.tensor([signs.index(sign) for sign in mould])
    return Mould(kinds, allowed)


def _sums(text: Text) -> tuple[float, int]:
    return sum(text.logprobs), len(text.logprobs)


def _within(model: LanguageModel, prompts: Sequence[Tensor], how: Decoding) -> Decoding:
    """The decoding with no longer answers than the model can read with the longest prompt."""
    room = model.context - max(len(prompt) for prompt in prompts)
    if room < 1:
        raise DataError(
            f"a prompt has {model.context - room} tokens; this model reads {model.context} at once: shorten the "
            "prompt, or train with a longer context"
        )
    return replace(how, limit=min(how.limit, room))


def writing_cost(folder: Path, prompts: Sequence[str], how: Decoding) -> float:
    """Core-seconds of one text, counted in operations: the same on every machine."""
    return core_seconds(lambda: write(folder, prompts, 1, 0, how)) / len(prompts)


def texts_per_second(folder: Path, prompts: Sequence[str], how: Decoding) -> float:
    """How fast a model writes on this machine, measured once."""
    write(folder, prompts[:8], 1, 0, how)
    began = time.perf_counter()
    write(folder, prompts, 1, 0, how)
    return len(prompts) / (time.perf_counter() - began)


def perplexity(folder: Path, pairs: Sequence[tuple[str, str]]) -> tuple[float, float]:
    """Perplexity of a token of unseen answers given their prompts, and bits per character of those answers.

    A character that the vocabulary lacks costs what it takes to name one of all that Unicode has room for; else
    a tokenizer that knows little would look good.
    """
    if is_pretrained_folder(folder):
        from tolerate.models.writers.pretrained import model_in, perplexity_of

        return perplexity_of(model_in(folder), pairs)
    model, tokens = writer_in(folder)
    rows, starts, _ = rows_of(tokens, pairs, model.context + 1)
    with torch_threads(1):
        log_probabilities = log_likelihoods(model, rows)
    positions = torch.arange(1, rows.shape[1])
    learned = (rows[:, 1:] != PAD) & (positions >= starts[:, None])
    nats, count = -float(log_probabilities[learned].sum()), int(learned.sum())
    strange = int((rows[:, 1:][learned] == UNKNOWN).sum())
    letters = sum(
        len(tokens.decode(row[start:].tolist())) for row, start in zip(rows, starts.tolist(), strict=True)
    )
    bits = (nats + strange * np.log(SIGNS)) / np.log(2)
    return float(np.exp(nats / count)), bits / max(letters, 1)


def likelihoods(folder: Path, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """Mean log probability of a token of each answer given its prompt; very low where both do not fit: [n]."""
    if is_pretrained_folder(folder):
        from tolerate.models.writers.pretrained import likelihoods_of, model_in

        return likelihoods_of(model_in(folder), pairs)
    model, tokens = writer_in(folder)
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


Floats = NDArray[np.float64]
__all__ = [
    "Decoding",
    "GeneratedText",
    "Text",
    "likelihoods",
    "perplexity",
    "teach_writer",
    "texts_per_second",
    "write",
    "writing_cost",
]
