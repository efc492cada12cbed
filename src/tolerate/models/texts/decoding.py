"""How texts are decoded from a language model: one choice of a token after the other, many texts at once.

Decoding(temperature=0)                greedy: always the likeliest
Decoding(temperature=0.8)              sampling from a sharper or flatter distribution
Decoding(top_k=40)                     among the k likeliest (Fan et al. 2018)
Decoding(top_p=0.9)                    among the likeliest that make up p, the nucleus (Holtzman et al. 2020)
Decoding(min_p=0.1)                    those at least so likely as the best (Nguyen et al. 2024)
Decoding(beams=4)                      beam search by mean log probability
Decoding(contrast=0.6, top_k=4)        contrastive search: likely, yet unlike what was said (Su et al. 2022)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from tolerate.errors import OptionError
from tolerate.models.texts.language import END, LanguageModel

TOGETHER = 256  # texts decoded at once


@dataclass(frozen=True)
class Mould:
    """What each place of each text may be: kinds [texts, places]; allowed: tokens of each kind [kinds, vocabulary].

    Behind its last place a text may go on as it likes.
    """

    kinds: Tensor
    allowed: Tensor

    def part(self, first: int, last: int) -> "Mould":
        """The mould of some of the texts."""
        return Mould(self.kinds[first:last], self.allowed)

    def pressed(self, logits: Tensor, rows: Tensor, place: int) -> Tensor:
        """Logits of the texts `rows` at a place, with -inf for what may not stand there."""
        if place >= self.kinds.shape[1]:
            return logits
        return logits.masked_fill(~self.allowed[self.kinds[rows, place]], -torch.inf)


@dataclass(frozen=True)
class Decoding:
    """What to choose, and when to stop."""

    limit: int = 200  # tokens of a text, at most
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    beams: int = 1
    contrast: float = 0.0
    end: int = END
    stop: Callable[[Sequence[int]], bool] | None = None  # whether a text needs no further token, end or not
    mould: Mould | None = None  # what may stand where; only when sampling

    def __post_init__(self) -> None:
        wrong = {
            "limit": self.limit < 1,
            "temperature": not self.temperature >= 0,
            "top_k": self.top_k < 0,
            "top_p": not 0 < self.top_p <= 1,
            "min_p": not 0 <= self.min_p < 1,
            "beams": self.beams < 1,
            "contrast": not 0 <= self.contrast < 1,
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise OptionError(
                    f"{name} is {getattr(self, name)}; see tolerate.models.texts.decoding for what it may be"
                )


@dataclass(frozen=True)
class Text:
    """One text: its tokens without the end, and the model's log probability of each choice, the end included."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    ended: bool  # False where the limit cut it off

    @property
    def mean(self) -> float:
        """Mean log probability of a token: the length-normalised likelihood."""
        return sum(self.logprobs) / max(len(self.logprobs), 1)

    @property
    def least(self) -> float:
        """Log probability of the least likely token."""
        return min(self.logprobs, default=0.0)


@torch.no_grad()
def decode(
    model: LanguageModel,
    prompts: Sequence[Tensor],
    how: Decoding,
    rng: torch.Generator,
    together: int = TOGETHER,
) -> list[Text]:
    """One text for each prompt, in order; the same for the same prompts, choices and randomness."""
    training = model.training
    model.eval()
    kind = _beam_search if how.beams > 1 else _contrastive_search if how.contrast else _sample
    texts: list[Text] = []
    for first in range(0, len(prompts), together):
        last = first + together
        part_decoding = how if how.mould is None else replace(how, mould=how.mould.part(first, last))
        texts += kind(model, prompts[first:last], part_decoding, rng)
    model.train(training)
    return texts


def _sample(
    model: LanguageModel, prompts: Sequence[Tensor], how: Decoding, rng: torch.Generator
) -> list[Text]:
    """Token by token; rows that ended are dropped from the batch."""
    state, logits = model.begin(prompts)
    rows = torch.arange(len(prompts))
    tokens: list[list[int]] = [[] for _ in prompts]
    logprobs: list[list[float]] = [[] for _ in prompts]
    for place in range(how.limit):
        free = logits.float()
        chosen = _choose(free if how.mould is None else how.mould.pressed(free, rows, place), how, rng)
        logprob_of_chosen = logits.float().log_softmax(-1).gather(1, chosen[:, None])[:, 0]
        for row, token, logprob in zip(
            rows.tolist(), chosen.tolist(), logprob_of_chosen.tolist(), strict=True
        ):
            tokens[row].append(token)
            logprobs[row].append(logprob)
        over = chosen == how.end
        if how.stop is not None:
            over |= torch.tensor([how.stop(tokens[row]) for row in rows.tolist()], device=over.device)
        going = torch.nonzero(~over)[:, 0]
        if not len(going) or place == how.limit - 1:
            break
        if len(going) < len(rows):
            rows, chosen, state = rows[going], chosen[going], model.keep(state, going)
        state, logits = model.advance(state, chosen)
    return [
        _text(own, logprob_of_chosen, how) for own, logprob_of_chosen in zip(tokens, logprobs, strict=True)
    ]


def _text(tokens: list[int], logprobs: list[float], how: Decoding) -> Text:
    ended = bool(tokens) and tokens[-1] == how.end
    return Text(tuple(tokens[:-1] if ended else tokens), tuple(logprobs), ended)


def _choose(logits: Tensor, how: Decoding, rng: torch.Generator) -> Tensor:
    """One token a row: [n]."""
    if how.temperature == 0:
        return logits.argmax(-1)
    allowed = restrict_choices(logits / how.temperature, how)
    return torch.multinomial(allowed.softmax(-1), 1, generator=rng)[:, 0]


def restrict_choices(logits: Tensor, how: Decoding) -> Tensor:
    """Logits with those left out that the choice of a token may not fall on (-inf); the best one always stays.

    >>> restrict_choices(torch.tensor([[2.0, 1.0, 0.0]]), Decoding(top_k=2)).tolist()
    [[2.0, 1.0, -inf]]
    """
    if how.top_k:
        least = logits.topk(min(how.top_k, logits.shape[-1]), -1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if how.min_p:
        probabilities = logits.softmax(-1)
        logits = logits.masked_fill(
            probabilities < how.min_p * probabilities.amax(-1, keepdim=True), -torch.inf
        )
    if how.top_p < 1:
        ordered, places = logits.softmax(-1).sort(-1, descending=True)
        beyond = ordered.cumsum(-1) - ordered >= how.top_p  # what stands before it makes up p already
        logits = logits.masked_fill(torch.zeros_like(beyond).scatter(-1, places, beyond), -torch.inf)
    return logits


def _beam_search(
    model: LanguageModel, prompts: Sequence[Tensor], how: Decoding, rng: torch.Generator
) -> list[Text]:
    """The best by mean log probability of `beams` texts kept at each step, for each prompt."""
    n, width = len(prompts), how.beams
    state, logits = model.begin(prompts)
    logprob = logits.float().log_softmax(-1)
    vocabulary = logprob.shape[1]
    totals, first = logprob.topk(min(width, vocabulary), -1)  # [n, width]
    width = totals.shape[1]
    owner = torch.arange(n).repeat_interleave(width)
    state = model.keep(state, owner)
    paths = [
        [(int(token), float(total))] for token, total in zip(first.flatten(), totals.flatten(), strict=True)
    ]
    sums, chosen = totals.flatten(), first.flatten()
    done: list[list[Text]] = [[] for _ in range(n)]
    for place in range(1, how.limit + 1):
        ended = chosen == how.end
        for row in torch.nonzero(ended | (place == how.limit))[:, 0].tolist():
            if sums[row] > -torch.inf:
                tokens, scores = [t for t, _ in paths[row]], [s for _, s in paths[row]]
                done[int(owner[row])].append(_text(tokens, scores, how))
        if place == how.limit or bool((ended | (sums == -torch.inf)).all()):
            break
        sums = sums.masked_fill(ended, -torch.inf)
        state, logits = model.advance(state, chosen)
        logprob = logits.float().log_softmax(-1)
        grown = (sums[:, None] + logprob).view(n, width * vocabulary)
        totals, flat = grown.topk(width, -1)
        parent = (flat // vocabulary + torch.arange(n)[:, None] * width).flatten()
        chosen, sums = (flat % vocabulary).flatten(), totals.flatten()
        paths = [
            [*paths[p], (t, float(logprob[p, t]))]
            for p, t in zip(parent.tolist(), chosen.tolist(), strict=True)
        ]
        state = model.keep(state, parent)
    return [max(texts, key=lambda text: text.mean) for texts in done]


def _contrastive_search(
    model: LanguageModel, prompts: Sequence[Tensor], how: Decoding, rng: torch.Generator
) -> list[Text]:
    """Of the k likeliest the one that is likely and whose state is least like any before (equation 5)."""
    k = how.top_k or 4
    state, logits = model.begin(prompts)
    n = len(prompts)
    past = F.normalize(state.last, dim=-1)[:, None]
    tokens: list[list[int]] = [[] for _ in prompts]
    logprobs: list[list[float]] = [[] for _ in prompts]
    open_ = torch.ones(n, dtype=torch.bool)
    for _ in range(how.limit):
        logprob = logits.float().log_softmax(-1)
        likely, candidates = logprob.topk(k, -1)
        ahead, ahead_logits = model.advance(
            model.keep(state, torch.arange(n).repeat_interleave(k)), candidates.flatten()
        )
        states = F.normalize(ahead.last, dim=-1).view(n, k, -1)
        similarity = (states @ past.mT).amax(-1)
        best = ((1 - how.contrast) * likely.exp() - how.contrast * similarity).argmax(-1)
        chosen_rows = torch.arange(n) * k + best
        for row in torch.nonzero(open_)[:, 0].tolist():
            tokens[row].append(int(candidates[row, best[row]]))
            logprobs[row].append(float(likely[row, best[row]]))
            open_[row] = tokens[row][-1] != how.end
        if not bool(open_.any()):
            break
        state, logits = model.keep(ahead, chosen_rows), ahead_logits[chosen_rows]
        past = torch.cat([past, states[torch.arange(n), best][:, None]], 1)
    return [_text(own, logprob, how) for own, logprob in zip(tokens, logprobs, strict=True)]
