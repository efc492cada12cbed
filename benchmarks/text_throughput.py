"""Tokens a CPU second of our batched decoding, beside a plain batch loop of transformers at the same size.

Both sample 64 tokens after each of 64 prompts of 32 tokens from a Llama of 4 layers and width 128 (0.8 M parameters)
with a cache of keys and values; the plain loop is `LlamaForCausalLM` called token by token. Below: what choosing among
drafts adds to writing them, for case notes. One thread, CPU seconds.
"""

import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks._mnist import say
from tolerate.models.decoding import Decoding, decode
from tolerate.models.model import generator, seeded
from tolerate.models.transformer import Transformer

PROMPTS, LENGTH, NEW, VOCABULARY = 64, 32, 64, 300
ROUNDS = 3


def seconds(work: Callable[[], object]) -> float:
    """The least CPU seconds of a few rounds, after one to warm up."""
    work()
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def plain_loop() -> Callable[[], object]:
    """transformers' Llama, token by token."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=344,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=128,
    )
    model = LlamaForCausalLM(config).eval()
    prompts = torch.randint(3, VOCABULARY, (PROMPTS, LENGTH))

    @torch.no_grad()
    def work() -> object:
        rng = generator(0)
        said = model(prompts, use_cache=True)
        for _ in range(NEW):
            chosen = torch.multinomial(said.logits[:, -1].softmax(-1), 1, generator=rng)
            said = model(chosen, past_key_values=said.past_key_values, use_cache=True)
        return said

    return work


def ours() -> Callable[[], object]:
    """Our decoding; no text ends early, since the end is never among the tokens here."""
    with seeded(0):
        model = Transformer((1, 1, 127), VOCABULARY, width=128, layers=4, heads=4)
    prompts = list(torch.randint(3, VOCABULARY, (PROMPTS, LENGTH)))
    return lambda: decode(model, prompts, Decoding(limit=NEW, end=-1), generator(0))


def refining() -> tuple[float, float]:
    """CPU seconds to refine, and to check, four drafts for each of 200 case notes (by the grammar)."""
    from tolerate.jobs.casenotes import CaseNotes, note
    from tolerate.refine.texts import TextPool, parse_text

    task, rng = CaseNotes(), np.random.default_rng(0)
    requests = task.requests(200, 0)
    drafts = [[note(task.record(int(request)), rng) for _ in range(4)] for request in requests]

    def work() -> object:
        mended = [[task.repair(one, r) for one in row] for row, r in zip(drafts, requests, strict=True)]
        both = [row + more for row, more in zip(drafts, mended, strict=True)]
        fit = np.array([[task.rule(one, r) for one in row] for row, r in zip(both, requests, strict=True)])
        said = np.array([task.meaning(one) for row in both for one in row])
        meanings = np.unique(said, return_inverse=True)[1].reshape(fit.shape)
        pool = TextPool(meanings, rng.random(fit.shape), fit, np.ones(fit.shape), lambda index, share: share)
        return parse_text("vote-of-4+repair+rules").choose(pool)

    checking = seconds(lambda: [task.check(row[0], r) for row, r in zip(drafts, requests, strict=True)])
    return seconds(work) / 200, checking / 200


def main() -> None:
    torch.set_num_threads(1)
    tokens = PROMPTS * NEW
    theirs, mine = seconds(plain_loop()), seconds(ours())
    say(f"{'plain transformers loop':28} {tokens / theirs:10,.0f} tokens/CPU s")
    say(f"{'ours':28} {tokens / mine:10,.0f} tokens/CPU s   {theirs / mine:.2f} times")
    refine, check = refining()
    say(f"refining adds {1000 * refine:.2f} ms a note (four drafts), the check {1000 * check:.2f} ms")
    say(
        f"that is {refine / (4 * 45 * mine / tokens):.1%} of writing four drafts of 45 tokens with this model"
    )


if __name__ == "__main__":
    main()
