"""Language models of characters on tiny Shakespeare after equal CPU seconds of one thread, in one run.

nanoGPT's CPU configuration (4 layers of width 128, context 64, batch 12, AdamW at 1e-3, no dropout), written
plainly here with its rate decreasing over its seconds; a Kneser-Ney model of order 7; ours: neural alone (two
layers, tables of hashed bigrams and trigrams, as many parameters in all); and the blend of counts and network.
Validation: the last tenth of the text, nats a character, windows of 64 whose last 32 count, for every network.

The blend's seconds include everything from the text to the trained model, also the counting; its weights
come from training text alone. `--long` adds the blend for twice as long, its tables at half the rate.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks._mnist import ROOT, say
from tolerate.models.base import Losses, Optimizers, Recipe, torch_seed
from tolerate.models.texts.blend import Blend
from tolerate.models.texts.contexts import Script, script_of
from tolerate.models.texts.examples import TokenExamples
from tolerate.models.texts.kneser_ney import fit_kneser_ney
from tolerate.models.texts.language import LanguageModel
from tolerate.models.texts.transformer import Transformer
from tolerate.models.training.loop import train
from tolerate.models.training.plan import TrainingOptions

DATA = Path(os.environ.get("TOLERATE_SHARED", ROOT.parent / "shared" / "data")) / "raw" / "tiny_shakespeare"
CONTEXT = 64
SPECIAL = 3  # numbers kept for filling up, end and start


class Plain(LanguageModel):
    """nanoGPT's block: layer norm, learned positions, GELU, one AdamW. Karpathy 2022, github.com/karpathy/nanoGPT."""

    def __init__(self, context: int, vocabulary: int, width: int = 128, layers: int = 4) -> None:
        super().__init__(context, vocabulary)
        self.table, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(_PlainBlock(width) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width, bias=False), nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.table.weight
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(
                    weight, std=0.02 / (2 * layers) ** 0.5 if name.endswith("out.weight") else 0.02
                )

    def recipe(self, texts: int) -> Recipe:
        return Recipe(steps=2000, batch=12, ema=0.0)

    def forward(self, tokens: Tensor) -> Tensor:
        stream = self.table(tokens) + self.places.weight[: tokens.shape[1]]
        for block in self.blocks:
            stream = block(stream)
        return self.head(self.norm(stream))

    def optimizers(self) -> Optimizers:
        flat = [weight for weight in self.parameters() if weight.ndim < 2]
        deep = [weight for weight in self.parameters() if weight.ndim >= 2]
        groups = [{"params": deep, "weight_decay": 0.1}, {"params": flat, "weight_decay": 0.0}]
        return {"adam": torch.optim.AdamW(groups, 1e-3, betas=(0.9, 0.99), fused=True)}

    def step(
        self, images: Tensor, labels: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        rate = (
            1e-3 * min(1.0, (progress + 1e-3) / 0.05)
            if progress < 0.05
            else 1e-4 + 4.5e-4 * (1 + np.cos(np.pi * progress))
        )
        (adam,) = optimizers.values()
        for group in adam.param_groups:
            group["lr"] = rate
        adam.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self(images[:, :-1]).flatten(0, 1), images[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        adam.step()
        return {"loss": loss}

    def begin(self, prompts):
        raise NotImplementedError

    def advance(self, state, tokens):
        raise NotImplementedError

    def keep(self, state, rows):
        raise NotImplementedError


class _PlainBlock(nn.Module):
    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.mix, self.mix_out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down_out = (
            nn.Linear(width, 4 * width, bias=False),
            nn.Linear(4 * width, width, bias=False),
        )

    def forward(self, stream: Tensor) -> Tensor:
        n, length, width = stream.shape
        parts = self.mix(self.first(stream)).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*parts, is_causal=True)
        stream = stream + self.mix_out(mixed.transpose(1, 2).reshape(n, length, width))
        return stream + self.down_out(F.gelu(self.up(self.second(stream))))


def corpus(path: Path) -> tuple[Tensor, Tensor, int, Script]:
    """Training and validation text as numbers, the size of the vocabulary, and which numbers are letters."""
    text = path.read_text("utf-8")
    signs = {sign: number for number, sign in enumerate(sorted(set(text)), SPECIAL)}
    numbers = torch.tensor([signs[sign] for sign in text])
    cut = int(0.9 * len(numbers))
    size = len(signs) + SPECIAL
    return numbers[:cut], numbers[cut:], size, script_of(signs, size)


@torch.no_grad()
def validation(model: LanguageModel, text: Tensor, before: Tensor, step: int = CONTEXT // 2) -> float:
    """Nats a character over windows of which at least the first half is context."""
    model.eval()
    characters = torch.cat([before[-(CONTEXT // 2) :], text])
    firsts = [*range(0, len(characters) - CONTEXT, step)]
    total = count = 0.0
    for start in range(0, len(firsts), 128):
        rows = torch.stack([characters[first : first + CONTEXT + 1] for first in firsts[start : start + 128]])
        log_probabilities = model(rows[:, :-1]).log_softmax(-1).gather(2, rows[:, 1:, None])[:, -step:, 0]
        total, count = total - float(log_probabilities.sum()), count + log_probabilities.numel()
    return total / count


def train_model(model: LanguageModel, rows: Tensor, starts: Tensor, seconds: float, batch: int) -> int:
    """Train for some CPU seconds and return the number of steps."""
    options = TrainingOptions(budget=seconds, clock="cpu", batch=batch, seed=1)
    return train(model, TokenExamples(rows, starts), options).steps


def size(model: nn.Module) -> str:
    tables = sum(p.numel() for name, p in model.named_parameters() if name.startswith("hashed"))
    rest = sum(p.numel() for p in model.parameters()) - tables
    return f"{rest / 1e6:.2f} M" + (f" + {tables / 1e6:.1f} M in tables" if tables else "")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA / "input.txt")
    parser.add_argument("--seconds", type=float, default=100, help="CPU seconds of each training")
    parser.add_argument(
        "--long", action="store_true", help="the blend for twice as long too, its tables at half the rate"
    )
    parser.add_argument("--only", default="", help="names, separated by commas")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    text, unseen, vocabulary, script = corpus(chosen.data)
    rows = text.int().unfold(0, CONTEXT + 1, 8)
    starts = torch.zeros(len(rows), dtype=torch.long)
    only = set(filter(None, chosen.only.split(",")))
    results: dict[str, float] = {}

    def line(name: str, nats: float, spent: float, about: str) -> None:
        results[name] = nats
        say(f"{name:28} {nats:8.4f} {spent:8.1f}   {about}")

    say(f"{'model':28} {'nats':>8} {'CPU s':>8}   about")
    if not only or "counts" in only:
        began = time.process_time()
        counted = fit_kneser_ney(text.numpy(), vocabulary, 7)
        spent = time.process_time() - began
        line("Kneser-Ney, order 7", -counted.log_likelihoods(unseen.numpy()).mean(), spent, "counts")
    neural = {"width": 128, "layers": 2, "heads": 4}
    for name in ("nanoGPT", "transformer"):
        if only and name not in only:
            continue
        with torch_seed(0):
            model = (
                Plain(CONTEXT, vocabulary)
                if name == "nanoGPT"
                else Transformer(
                    CONTEXT, vocabulary, hashed=6144, hashed_width=32, table_rate=0.015, rate=0.01, **neural
                )
            )
        began = time.process_time()
        steps = train_model(model, rows, starts, chosen.seconds, 12 if name == "nanoGPT" else 16)
        spent = time.process_time() - began
        line(name, validation(model, unseen, text), spent, f"{steps} steps, {size(model)}")
    for times, rate in ((1.08, 0.006), (2, 0.003)) if chosen.long else ((1.08, 0.006),):
        if only and "blend" not in only:
            continue
        began = time.process_time()
        with torch_seed(0):
            blend = Blend(CONTEXT, vocabulary, script=script, hashed=16384, table_rate=rate, **neural)
        blend.count(text)
        budget = chosen.seconds * times
        steps = train_model(blend, *blend.lessons(), budget - (time.process_time() - began), 16)
        spent = time.process_time() - began
        about = f"{steps} steps, {size(blend)}"
        line(f"blend, {spent:.0f} s", validation(blend, unseen, text), spent, about)
    if "nanoGPT" in results:
        for name, nats in results.items():
            say(f"{name:28} {nats - results['nanoGPT']:+.3f} nats against nanoGPT's configuration")


if __name__ == "__main__":
    main()
