"""Decode texts from a language model, many at once.

Decoding(temperature=0)                greedy: always the likeliest
Decoding(temperature=0.8)              sampling from a sharper or flatter distribution
Decoding(top_k=40)                     among the k likeliest (Fan et al. 2018)
Decoding(top_p=0.9)                    among the likeliest that make up p, the nucleus (Holtzman et al. 2020)
Decoding(min_p=0.1)                    those with this share of the best one's probability (Nguyen et al. 2024)
Decoding(beams=4)                      beam search by mean log probability
Decoding(contrast=0.6, top_k=4)        contrastive search: likely, yet unlike the text so far (Su et al. 2022)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from tolerate.errors import OptionError
from tolerate.models.texts.language import END, LanguageModel

BATCH_TEXTS = 256  # texts decoded at once


@dataclass(frozen=True)
class TextTemplate:
    """The tokens that are allowed at each position of each text.

    kinds: [texts, positions], a row of `allowed` for each; allowed: [kinds, vocabulary]. After the last position all
    tokens are allowed.
    """

    kinds: Tensor
    allowed: Tensor

    def rows(self, first: int, last: int) -> "TextTemplate":
        """The template of the texts from `first` to `last`."""
        return TextTemplate(self.kinds[first:last], self.allowed)

    def mask_logits(self, logits: Tensor, rows: Tensor, position: int) -> Tensor:
        """Logits of the texts `rows` at a position, with -inf for tokens that are not allowed."""
        if position >= self.kinds.shape[1]:
            return logits
        return logits.masked_fill(~self.allowed[self.kinds[rows, position]], -torch.inf)


@dataclass(frozen=True)
class Decoding:
    """Options of decoding: how tokens are chosen, and when a text ends."""

    limit: int = 200  # tokens of a text, at most
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    beams: int = 1
    contrast: float = 0.0
    end: int = END
    stop: Callable[[Sequence[int]], bool] | None = None  # of the tokens so far: end the text
    template: TextTemplate | None = None  # only when sampling

    def __post_init__(self) -> None:
        is_invalid = {
            "limit": self.limit < 1,
            "temperature": not self.temperature >= 0,
            "top_k": self.top_k < 0,
            "top_p": not 0 < self.top_p <= 1,
            "min_p": not 0 <= self.min_p < 1,
            "beams": self.beams < 1,
            "contrast": not 0 <= self.contrast < 1,
        }
        for name, invalid in is_invalid.items():
            if invalid:
                raise OptionError(
                    f"{name} is {getattr(self, name)}; see tolerate.models.texts.decoding for the allowed values"
                )


@dataclass(frozen=True)
class DecodedText:
    """Tokens of a text without the end, and the model's log probability of each token, the end included."""

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
    decoding: Decoding,
    rng: torch.Generator,
    batch: int = BATCH_TEXTS,
) -> list[DecodedText]:
    """Write one text for each prompt, in order; the same for the same prompts, decoding and state of rng."""
    training = model.training
    model.eval()
    search = _beam_search if decoding.beams > 1 else _contrastive_search if decoding.contrast else _sample
    texts: list[DecodedText] = []
    for first in range(0, len(prompts), batch):
        last = first + batch
        template = None if decoding.template is None else decoding.template.rows(first, last)
        texts += search(model, prompts[first:last], replace(decoding, template=template), rng)
    model.train(training)
    return texts


def _sample(
    model: LanguageModel, prompts: Sequence[Tensor], decoding: Decoding, rng: torch.Generator
) -> list[DecodedText]:
    """Sample token by token; rows that ended are dropped from the batch."""
    state, logits = model.begin(prompts)
    rows = torch.arange(len(prompts))
    tokens: list[list[int]] = [[] for _ in prompts]
    logprobs: list[list[float]] = [[] for _ in prompts]
    for position in range(decoding.limit):
        masked = logits.float()
        if decoding.template is not None:
            masked = decoding.template.mask_logits(masked, rows, position)
        chosen = _choose(masked, decoding, rng)
        logprob_of_chosen = logits.float().log_softmax(-1).gather(1, chosen[:, None])[:, 0]
        for row, token, logprob in zip(
            rows.tolist(), chosen.tolist(), logprob_of_chosen.tolist(), strict=True
        ):
            tokens[row].append(token)
            logprobs[row].append(logprob)
        ended = chosen == decoding.end
        if decoding.stop is not None:
            ended |= torch.tensor([decoding.stop(tokens[row]) for row in rows.tolist()], device=ended.device)
        continuing = torch.nonzero(~ended)[:, 0]
        if not len(continuing) or position == decoding.limit - 1:
            break
        if len(continuing) < len(rows):
            rows, chosen, state = rows[continuing], chosen[continuing], model.keep(state, continuing)
        state, logits = model.advance(state, chosen)
    return [
        _decoded_text(text_tokens, text_logprobs, decoding)
        for text_tokens, text_logprobs in zip(tokens, logprobs, strict=True)
    ]


def _decoded_text(tokens: list[int], logprobs: list[float], decoding: Decoding) -> DecodedText:
    ended = bool(tokens) and tokens[-1] == decoding.end
    return DecodedText(tuple(tokens[:-1] if ended else tokens), tuple(logprobs), ended)


def _choose(logits: Tensor, decoding: Decoding, rng: torch.Generator) -> Tensor:
    """One token for each row: [n]."""
    if decoding.temperature == 0:
        return logits.argmax(-1)
    allowed = restrict_choices(logits / decoding.temperature, decoding)
    return torch.multinomial(allowed.softmax(-1), 1, generator=rng)[:, 0]


def restrict_choices(logits: Tensor, decoding: Decoding) -> Tensor:
    """Logits with -inf for tokens that may not be chosen; the most likely token always may.

    >>> restrict_choices(torch.tensor([[2.0, 1.0, 0.0]]), Decoding(top_k=2)).tolist()
    [[2.0, 1.0, -inf]]
    """
    if decoding.top_k:
        least = logits.topk(min(decoding.top_k, logits.shape[-1]), -1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if decoding.min_p:
        probabilities = logits.softmax(-1)
        logits = logits.masked_fill(
            probabilities < decoding.min_p * probabilities.amax(-1, keepdim=True), -torch.inf
        )
    if decoding.top_p < 1:
        ordered, order = logits.softmax(-1).sort(-1, descending=True)
        beyond = ordered.cumsum(-1) - ordered >= decoding.top_p  # likelier tokens already sum to p
        logits = logits.masked_fill(torch.zeros_like(beyond).scatter(-1, order, beyond), -torch.inf)
    return logits


def _beam_search(
    model: LanguageModel, prompts: Sequence[Tensor], decoding: Decoding, rng: torch.Generator
) -> list[DecodedText]:
    """For each prompt the text with the best mean log probability, by a search with `beams` texts at each step."""
    n, width = len(prompts), decoding.beams
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
    finished: list[list[DecodedText]] = [[] for _ in range(n)]
    for position in range(1, decoding.limit + 1):
        ended = chosen == decoding.end
        for row in torch.nonzero(ended | (position == decoding.limit))[:, 0].tolist():
            if sums[row] > -torch.inf:
                tokens, scores = [t for t, _ in paths[row]], [s for _, s in paths[row]]
                finished[int(owner[row])].append(_decoded_text(tokens, scores, decoding))
        if position == decoding.limit or bool((ended | (sums == -torch.inf)).all()):
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
    return [max(texts, key=lambda text: text.mean) for texts in finished]


def _contrastive_search(
    model: LanguageModel, prompts: Sequence[Tensor], decoding: Decoding, rng: torch.Generator
) -> list[DecodedText]:
    """Choose among the k likeliest tokens by probability and dissimilarity to all earlier states (equation 5)."""
    k = decoding.top_k or 4
    state, logits = model.begin(prompts)
    n = len(prompts)
    past = F.normalize(state.last, dim=-1)[:, None]
    tokens: list[list[int]] = [[] for _ in prompts]
    logprobs: list[list[float]] = [[] for _ in prompts]
    unfinished = torch.ones(n, dtype=torch.bool)
    for _ in range(decoding.limit):
        logprob = logits.float().log_softmax(-1)
        likely, candidates = logprob.topk(k, -1)
        ahead, ahead_logits = model.advance(
            model.keep(state, torch.arange(n).repeat_interleave(k)), candidates.flatten()
        )
        states = F.normalize(ahead.last, dim=-1).view(n, k, -1)
        similarity = (states @ past.mT).amax(-1)
        best = ((1 - decoding.contrast) * likely.exp() - decoding.contrast * similarity).argmax(-1)
        chosen_rows = torch.arange(n) * k + best
        for row in torch.nonzero(unfinished)[:, 0].tolist():
            tokens[row].append(int(candidates[row, best[row]]))
            logprobs[row].append(float(likely[row, best[row]]))
            unfinished[row] = tokens[row][-1] != decoding.end
        if not bool(unfinished.any()):
            break
        state, logits = model.keep(ahead, chosen_rows), ahead_logits[chosen_rows]
        past = torch.cat([past, states[torch.arange(n), best][:, None]], 1)
    return [
        _decoded_text(text_tokens, text_logprobs, decoding)
        for text_tokens, text_logprobs in zip(tokens, logprobs, strict=True)
    ]
