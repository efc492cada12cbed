"""Text models trained from scratch, compared after equal CPU seconds of one thread, in one run.

shakespeare   bits per character of unseen tiny Shakespeare (its last tenth). Each token is predicted from the 64 to
              127 tokens before it: ours with characters and with BPE, the LSTM, the T5 type (64 tokens as its prompt,
              the next 64 as its answer), and Kneser-Ney counts of order 7. The tokenizer is
              trained on the training part.
casenotes     notes from patients' records: facts missing, wrong or invented in plain drafts, as in e2e.
e2e           restaurants from their records: slot error rate of plain drafts, share of drafts without any error, bits
              per character of people's texts. Records of the part for requests, which no model was trained on.
support       BANKING77 and CLINC150: accuracy, out-of-scope questions answered, and what may be released at 2%
              (certified at 95% on 6,000 labels, one request in ten out of scope): n-gram classifiers, without a
              limit of seconds, and the BERT type with and without pretraining.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks._mnist import ROOT, say
from tolerate.jobs import job
from tolerate.jobs.texts.casenotes import CaseNotes
from tolerate.jobs.texts.restaurants import Restaurants
from tolerate.jobs.texts.support import SupportWorkshop
from tolerate.jobs.texts.support_data import HAND_OVER
from tolerate.jobs.texts.task import TextTask
from tolerate.models.base import torch_seed
from tolerate.models.texts.decoding import Decoding
from tolerate.models.texts.examples import TokenExamples
from tolerate.models.texts.kneser_ney import fit_kneser_ney
from tolerate.models.texts.language import START, LanguageModel, log_likelihoods
from tolerate.models.texts.lstm import LSTM
from tolerate.models.texts.t5 import T5
from tolerate.models.texts.tokenizers import learn_vocabulary
from tolerate.models.texts.tokens import Tokenizer
from tolerate.models.texts.transformer import Transformer
from tolerate.models.training.loop import train
from tolerate.models.training.plan import TrainingOptions
from tolerate.models.writers.ngram_classifier import teach_reader
from tolerate.models.writers.registry import writer
from tolerate.models.writers.text_classifier import teach_encoder
from tolerate.models.writers.writing import perplexity, teach_writer, write
from tolerate.runs.options import RunOptions
from tolerate.runs.plan import plan_run
from tolerate.runs.progress import SilentReporter
from tolerate.stats.certify.threshold import certify

DATA = Path(os.environ.get("TOLERATE_SHARED", ROOT.parent / "shared" / "data")) / "raw"
HALF = 64  # tokens: a window is two of them, and the second one counts
ORDER = 7  # of the counts


# tiny Shakespeare


def windows(tokens: Tensor, step: int, start: bool) -> Tensor:
    """Rows of two halves (one token more for a decoder's first input); with a start between them for T5."""
    rows = tokens.unfold(0, 2 * HALF, step)
    if not start:
        return rows
    between = torch.full((len(rows), 1), START)
    return torch.cat([rows[:, :HALF], between, rows[:, HALF:]], 1)


def bits(model: LanguageModel, tokens: Tokenizer, text: Tensor, start: bool) -> float:
    """Bits per character of the second halves of the windows, which cover the text."""
    rows = windows(text, HALF, start)
    log_probabilities = log_likelihoods(model, rows, batch=128)[:, -HALF:]
    letters = sum(len(tokens.decode(row)) for row in rows[:, -HALF:].tolist())
    return -float(log_probabilities.double().sum()) / np.log(2) / letters


def shakespeare(seconds: float, only: set[str]) -> None:
    text = (DATA / "tiny_shakespeare" / "input.txt").read_text("utf-8")
    cut = int(0.9 * len(text))
    say(
        f"{'tiny Shakespeare':34} {'bits/char':>9} {'CPU s':>7} {'steps':>6} {'chars read':>11} {'weights':>9}"
    )
    neural = {"width": 128, "layers": 4, "heads": 4, "table_rate": 0.015}
    models: dict[str, tuple[str, type[LanguageModel], dict[str, Any], int]] = {
        "transformer, characters": ("characters", Transformer, neural, 16),
        "transformer, bpe:1000": ("bpe:1000", Transformer, neural, 16),
        "lstm, characters": ("characters", LSTM, {"width": 320, "layers": 1}, 32),
        "t5, characters": ("characters", T5, {"width": 96, "layers": 3, "heads": 4}, 16),
        "t5, bpe:1000": ("bpe:1000", T5, {"width": 96, "layers": 3, "heads": 4}, 16),
    }
    if not only or "counts" in only:
        began = time.process_time()
        tokens = learn_vocabulary("characters", [text[:cut]])
        training, unseen = (torch.tensor(tokens.encode(part)) for part in (text[:cut], text[cut:]))
        counts = fit_kneser_ney(training.numpy(), len(tokens), ORDER)
        nats = -counts.log_likelihoods(unseen.numpy()).mean()
        say(
            f"{'counts of order 7, characters':34} {nats / np.log(2):9.4f} {time.process_time() - began:7.1f}"
        )
    for name, (kind, of, options, batch) in models.items():
        if only and name not in only:
            continue
        began = time.process_time()
        tokens = learn_vocabulary(kind, (line for line in text[:cut].splitlines(keepends=True)))
        training, unseen = (torch.tensor(tokens.encode(part)) for part in (text[:cut], text[cut:]))
        start = of is T5
        rows = windows(training, 8, start).int()
        with torch_seed(0):
            model = of(2 * HALF + start, len(tokens), **options)
        starts = torch.full((len(rows),), HALF + 1 if start else 0)
        remaining = seconds - (time.process_time() - began)
        trained = train(
            model,
            TokenExamples(rows, starts),
            TrainingOptions(budget=remaining, clock="cpu", batch=batch, seed=1),
        )
        spent = time.process_time() - began
        letters = cut / len(training) * trained.examples * HALF * (1 if start else 2)
        size = sum(weight.numel() for weight in model.parameters())
        say(
            f"{name:34} {bits(model, tokens, unseen, start):9.4f} {spent:7.1f} {trained.steps:6} "
            f"{letters / 1e6:9.2f} M {size / 1e6:7.2f} M"
        )


# Restaurants


def e2e(seconds: float, only: set[str]) -> None:
    names = ("transformer", "transformer#tokens=bpe:500", "t5", "lstm", "transformer#tokens=characters")
    records("E2E", Restaurants(DATA / "e2e_nlg", 0), names, seconds, only)


def casenotes(seconds: float, only: set[str]) -> None:
    records("case notes", CaseNotes(0), ("transformer", "t5", "lstm"), seconds, only)


def records(title: str, task: TextTask, names: Sequence[str], seconds: float, only: set[str]) -> None:
    """Train the writers of a job for equal seconds; print facts missing, wrong or invented in their drafts."""
    pairs = [(record.prompt, record.answer) for record in task.pairs(20_000, 0)]
    requests = task.requests(400, 11)
    unseen = [(record.prompt, record.answer) for record in task.held_out_pairs(300, 4)]
    say(f"{title:34} {'slot err':>9} {'right':>7} {'bits/char':>9} {'CPU s':>7} {'steps':>6} {'weights':>9}")
    for name in names:
        if only and name not in only:
            continue
        plan = writer(name)
        began = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            trained = teach_writer(
                plan.entry.path,
                pairs,
                Path(folder),
                TrainingOptions(budget=seconds, clock="cpu", batch=plan.batch),
                tokens=plan.tokens,
                model=plan.options,
            )
            spent = time.process_time() - began
            chosen: dict[str, Any] = task.decoding
            how = Decoding(limit=plan.tokens_per_word * task.limit, **chosen)
            drafts = write(Path(folder), [task.model_input(int(request)) for request in requests], 1, 0, how)
            letters = perplexity(Path(folder), unseen)[1]
        texts = [
            task.shown_text(row[0].text, int(request)) for row, request in zip(drafts, requests, strict=True)
        ]
        verdicts = [task.check(text, int(request)) for text, request in zip(texts, requests, strict=True)]
        errors = sum(record.slot_errors for record in verdicts) / sum(record.slots for record in verdicts)
        right = 1 - sum(record.wrong for record in verdicts) / len(verdicts)
        size = sum(weight.numel() for weight in trained.model.parameters())
        say(
            f"{name:34} {errors:9.4f} {right:7.3f} {letters:9.4f} {spent:7.1f} {trained.steps:6} {size / 1e6:7.2f} M"
        )


# The help desk


def support(seconds: float, only: set[str]) -> None:
    shop = SupportWorkshop(plan_run(job("support"), RunOptions(data=DATA)), Path("."), SilentReporter())
    requests = shop.requests(6000, 1)
    say(f"{'help desk':34} {'accuracy':>9} {'outside':>8} {'at 2%':>7} {'CPU s':>7} {'weights':>9}")
    for name, reader, spent in readers(shop, seconds, only):
        first, trust = reader.answers(shop.data.requests.texts)
        answers = np.array(reader.classes)[first]
        right = answers == np.array(shop.data.requests.intents)
        inside = np.arange(len(right)) < shop.data.in_scope
        over = answers == HAND_OVER
        scores = np.where(over, np.nan, trust)
        released = coverage_at_2_percent(scores[requests], (~right)[requests])
        say(
            f"{name:34} {right[inside].mean():9.4f} {(~over[~inside]).mean():8.3f} {released:7.3f} {spent:7.1f} "
            f"{reader.size / 1e6:7.2f} M"
        )


def coverage_at_2_percent(scores: Any, wrong: Any) -> float:
    """The share of requests that may be released at 2%; requests without a score are handed over."""
    certificate = certify(losses=wrong.astype(float), scores=scores, tolerance=0.02, confidence=0.95)
    return certificate.coverage


def readers(shop: SupportWorkshop, seconds: float, only: set[str]) -> Iterator[tuple[str, Any, float]]:
    """Train each classifier; its name, itself and the CPU seconds."""
    training = shop.data.training
    for kind in ("linear", "bag", "both"):
        if only and kind not in only:
            continue
        began = time.process_time()
        reader = teach_reader(kind, training.texts, training.intents, abstain=HAND_OVER)
        yield f"n-grams, {kind}", reader, time.process_time() - began
    raw = shop.data.unlabelled
    for name in ("bert", "bert#pretraining=0", "bert#layers=2", "bert#layers=2+pretraining=0"):
        if only and name not in only:
            continue
        began = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            encoder = teach_encoder(
                training.texts,
                training.intents,
                Path(folder),
                TrainingOptions(budget=seconds, clock="cpu"),
                name=name,
                raw=raw,
            )
        yield name, encoder, time.process_time() - began


PARTS: dict[str, Callable[[float, set[str]], None]] = {
    "shakespeare": shakespeare,
    "e2e": e2e,
    "casenotes": casenotes,
    "support": support,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=40, help="CPU seconds of each training")
    parser.add_argument("--parts", default="shakespeare,e2e,casenotes,support")
    parser.add_argument("--only", default="", help="names of lines, separated by semicolons")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    only = set(filter(None, chosen.only.split(";")))
    for part in chosen.parts.split(","):
        PARTS[part](chosen.seconds, only)


if __name__ == "__main__":
    main()
