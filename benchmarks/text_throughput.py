"""Tokens a CPU second of our batched decoding, beside a plain batch loop of transformers at the same size.

All sample 64 tokens after each of 64 prompts of 32 tokens from a Llama of 4 layers and width 128 (0.8 M parameters)
with a cache of keys and values; the plain loop is `LlamaForCausalLM` called token by token, `generate` is transformers'
own. Ours: our Transformer, and `hf:` of the very same Llama, and of one of width 512 (13 M) as its own pair. Log-
probabilities of all tokens are kept in ours alone. Below: four candidates a prompt, which `hf:` reads once; and what
choosing among drafts adds to writing them, for case notes. One thread, CPU seconds, the least of three rounds in turn.
"""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks._mnist import say
from tolerate.models.base import generator, torch_seed
from tolerate.models.texts.decoding import Decoding, decode
from tolerate.models.texts.transformer import Transformer

PROMPTS, LENGTH, NEW, VOCABULARY = 64, 32, 64, 300
ROUNDS = 3


def seconds(*works: Callable[[], object]) -> list[float]:
    """The least CPU seconds of each function over alternating rounds, after a warm-up round."""
    rounds: list[list[float]] = [[] for _ in works]
    for turn in range(ROUNDS + 1):
        for times, work in zip(rounds, works, strict=True):
            began = time.process_time()
            work()
            if turn:
                times.append(time.process_time() - began)
    return [min(times) for times in rounds]


def llama(width: int) -> Any:
    """transformers' Llama of four layers; it never ends a text."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=344 * width // 128,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=128,
        eos_token_id=None,
    )
    with torch_seed(0):
        return LlamaForCausalLM(config).eval()


def some_prompts(copies: int = 1) -> torch.Tensor:
    """Prompts of equal length, each repeated `copies` times."""
    prompts = torch.randint(3, VOCABULARY, (PROMPTS // copies, LENGTH), generator=generator(1))
    return prompts.repeat_interleave(copies, 0)


def plain_loop(model: Any, prompts: torch.Tensor) -> Callable[[], object]:
    """A function that samples token by token with transformers."""

    @torch.no_grad()
    def work() -> object:
        rng = generator(0)
        output = model(prompts, use_cache=True)
        for _ in range(NEW):
            chosen = torch.multinomial(output.logits[:, -1].softmax(-1), 1, generator=rng)
            output = model(chosen, past_key_values=output.past_key_values, use_cache=True)
        return output

    return work


def own_generate(model: Any, prompts: torch.Tensor) -> Callable[[], object]:
    """A function that calls transformers' `generate`."""
    real = torch.ones_like(prompts)
    options = {"max_new_tokens": NEW, "min_new_tokens": NEW, "do_sample": True, "top_k": 0, "pad_token_id": 0}
    return lambda: model.generate(input_ids=prompts, attention_mask=real, **options)


def through_name(model: Any, prompts: torch.Tensor, folder: Path) -> Callable[[], object]:
    """A function that decodes the same network as `hf:FOLDER` with our code."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    from tolerate.llm.model_names import parse_pretrained
    from tolerate.models.pretrained.pretrained import Pretrained

    words = Tokenizer(
        models.WordLevel({f"w{number}": number for number in range(VOCABULARY)}, unk_token="w0")
    )
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w1").save_pretrained(folder)
    pretrained = Pretrained.of(parse_pretrained(f"hf:{folder}"))
    rows = list(prompts)
    return lambda: decode(pretrained, rows, Decoding(limit=NEW, end=-1), generator(0))


def ours() -> Callable[[], object]:
    """A function that decodes with our Transformer; no text ends early, since the end token is never drawn."""
    with torch_seed(0):
        model = Transformer(127, VOCABULARY, width=128, layers=4, heads=4)
    prompts = list(some_prompts())
    return lambda: decode(model, prompts, Decoding(limit=NEW, end=-1), generator(0))


def refining() -> tuple[float, float]:
    """CPU seconds to refine, and to check, four drafts for each of 200 case notes (by the grammar)."""
    from tolerate.jobs.texts.casenotes import CaseNotes, note
    from tolerate.refine.texts.refining import TextPool, parse_text

    task, rng = CaseNotes(), np.random.default_rng(0)
    requests = task.requests(200, 0)
    drafts = [[note(task.record(int(request)), rng) for _ in range(4)] for request in requests]

    def work() -> object:
        mended = [[task.repair(draft, r) for draft in row] for row, r in zip(drafts, requests, strict=True)]
        candidates = [row + repaired for row, repaired in zip(drafts, mended, strict=True)]
        fit = np.array(
            [
                [task.passes_rule(draft, r) for draft in row]
                for row, r in zip(candidates, requests, strict=True)
            ]
        )
        meanings_of = np.array([task.meaning(draft) for row in candidates for draft in row])
        meanings = np.unique(meanings_of, return_inverse=True)[1].reshape(fit.shape)
        pool = TextPool(meanings, rng.random(fit.shape), fit, np.ones(fit.shape), lambda index, share: share)
        return parse_text("vote-of-4+repair+rules").choose(pool)

    refine, check = seconds(
        work, lambda: [task.check(row[0], r) for row, r in zip(drafts, requests, strict=True)]
    )
    return refine / 200, check / 200


def main() -> None:
    torch.set_num_threads(1)
    tokens = PROMPTS * NEW
    with TemporaryDirectory() as folder:
        small, large = llama(128), llama(512)
        prompts, fives = some_prompts(), some_prompts(4)
        plain, generated, mine, named = seconds(
            plain_loop(small, prompts),
            own_generate(small, prompts),
            ours(),
            through_name(small, prompts, Path(folder) / "small"),
        )
        plain_wide, named_wide = seconds(
            plain_loop(large, prompts), through_name(large, prompts, Path(folder) / "large")
        )
        plain_four, named_four = seconds(
            plain_loop(large, fives), through_name(large, fives, Path(folder) / "four")
        )
    rows = [
        ("plain transformers loop", plain, plain),
        ("transformers' generate", generated, plain),
        ("ours, own Transformer", mine, plain),
        ("ours, hf: the same Llama", named, plain),
        ("plain loop, width 512", plain_wide, plain_wide),
        ("ours, hf: width 512", named_wide, plain_wide),
        ("plain loop, four candidates", plain_four, plain_four),
        ("ours, hf: four candidates", named_four, plain_four),
    ]
    for name, spent, beside in rows:
        say(f"{name:28} {tokens / spent:10,.0f} tokens/CPU s   {beside / spent:.2f} times the plain loop")
    refine, check = refining()
    say(f"refining adds {1000 * refine:.2f} ms a note (four drafts), the check {1000 * check:.2f} ms")
    for name, spent in (
        ("our small Transformer", mine),
        ("hf: the same size", named),
        ("hf: width 512", named_wide),
    ):
        say(
            f"that is {refine / (4 * 45 * spent / tokens):.1%} of writing four drafts of 45 tokens with {name}"
        )


if __name__ == "__main__":
    main()
