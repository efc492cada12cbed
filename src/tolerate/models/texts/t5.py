"""An encoder-decoder of the T5 type, trained from nothing. Raffel et al. 2020, arXiv:1910.10683; Shazeer 2020.

The layers are those of the `transformers` library: relative positions, RMS norms, gated GELU. The encoder reads the
prompt in both directions, once; the decoder writes the answer and reads the prompt through cross-attention. A row is
prompt, start, answer, end, as for every other language model here; the start token separates prompt and answer. It
does not predict the prompt's own tokens: each has the same probability.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tolerate.errors import DataError, OptionError
from tolerate.models.texts.language import END, PAD, START, LanguageModel

Layer = tuple[Tensor, Tensor, Tensor, Tensor]  # keys and values: of the answer so far, of the prompt


@dataclass(frozen=True)
class T5State:
    """The encoded prompt [n, long, width], its tokens, the decoder's keys and values, and the answer so far."""

    prompt: Tensor
    prompt_tokens: Tensor  # [n, long], PAD where a prompt is shorter than others
    layers: tuple[Layer, ...]
    answer_tokens: Tensor  # the start first: [n, length], padded on the left
    last: Tensor  # the decoder's stream at the last token: [n, width]


class T5(LanguageModel):
    """Predicts the next token of an answer from the whole prompt and the answer so far.

    layers: of the encoder, and as many of the decoder. pointer: whether a token may also be copied from the
    prompt (See et al. 2017, equation 9), as the Transformer's may.
    """

    def __init__(
        self,
        context: int,
        vocabulary: int,
        *,
        width: int = 128,
        layers: int = 3,
        heads: int = 4,
        inner: int | None = None,
        pointer: bool = False,
        rate: float = 0.01,
        **options: Any,
    ) -> None:
        options |= {"width": width, "layers": layers, "heads": heads, "inner": inner}
        super().__init__(context, vocabulary, pointer=pointer, rate=rate, **options)
        if width % heads:
            raise OptionError(f"width {width} does not divide by the number of heads ({heads})")
        self.core = _core(vocabulary, width, layers, heads, inner or 8 * ((width * 8 // 3 + 7) // 8))
        self.head = nn.Linear(width, vocabulary, bias=False)
        nn.init.zeros_(self.head.weight)
        self.pointer = CrossPointer(width) if pointer else None

    def _is_inner(self, name: str, weight: Tensor) -> bool:
        tables = ("core.shared", "relative_attention_bias")
        return super()._is_inner(name, weight) and not any(table in name for table in tables)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the token after each one: [n, length] -> [n, length, vocabulary]; 0 before the answer."""
        prompt_tokens, answer_tokens, starts = split_at_start(tokens)
        logits, _ = self._answered(self._encoded(prompt_tokens), prompt_tokens, answer_tokens, None)
        positions = torch.arange(tokens.shape[1], device=tokens.device) - starts[:, None]  # in the answer
        indices = positions.clamp(0, answer_tokens.shape[1] - 1)[:, :, None].expand(-1, -1, logits.shape[2])
        return logits.gather(1, indices).masked_fill((positions < 0)[:, :, None], 0.0)

    def _encoded(self, prompt_tokens: Tensor) -> Tensor:
        """The encoder's last layer: [n, long] -> [n, long, width]."""
        encoded: Tensor = self.core.encoder(
            input_ids=prompt_tokens, attention_mask=prompt_tokens != PAD
        ).last_hidden_state
        return encoded

    def _answered(
        self,
        prompt: Tensor,
        prompt_tokens: Tensor,
        answer_tokens: Tensor,
        layers: tuple[Layer, ...] | None,
        new: int = 0,
    ) -> tuple[Tensor, T5State]:
        """Logits after each of the `new` last tokens of the answer (0 for all), and the next state."""
        from transformers import EncoderDecoderCache

        mask = answer_tokens != PAD
        cache = None if layers is None else EncoderDecoderCache(layers)
        output = self.core.decoder(
            input_ids=answer_tokens[:, -new:],
            attention_mask=None if bool(mask[:, 0].all()) else mask,  # padding on the right is masked anyway
            encoder_hidden_states=prompt,
            encoder_attention_mask=prompt_tokens != PAD,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        stream = output.last_hidden_state
        logits: Tensor = self.head(stream)
        if self.pointer is not None:
            logits = self.pointer(stream, logits, prompt, prompt_tokens)
        return logits, T5State(
            prompt, prompt_tokens, () if cache is None else _layers(cache), answer_tokens, stream[:, -1]
        )

    def begin(self, prompts: Sequence[Tensor]) -> tuple[T5State, Tensor]:
        """Read prompts; each holds a start, and after it the answer as far as it is fixed already."""
        parts = [split_at_start(prompt[None].to(self.device)) for prompt in prompts]
        prompt_tokens = _stacked([row[0] for row, _, _ in parts], left=False)
        answer_tokens = _stacked([row[0] for _, row, _ in parts], left=True)
        logits, state = self._answered(self._encoded(prompt_tokens), prompt_tokens, answer_tokens, ())
        return state, logits[:, -1]

    def advance(self, state: T5State, tokens: Tensor) -> tuple[T5State, Tensor]:
        """Read one more token of each answer."""
        answer_tokens = torch.cat([state.answer_tokens, tokens[:, None]], 1)
        logits, state = self._answered(state.prompt, state.prompt_tokens, answer_tokens, state.layers, 1)
        return state, logits[:, -1]

    def keep(self, state: T5State, rows: Tensor) -> T5State:
        """The state of these rows."""
        layers = tuple((a[rows], b[rows], c[rows], d[rows]) for a, b, c, d in state.layers)
        return T5State(
            state.prompt[rows], state.prompt_tokens[rows], layers, state.answer_tokens[rows], state.last[rows]
        )


class CrossPointer(nn.Module):
    """Mixes the decoder's distribution of the next token with a copy of a prompt token, chosen by attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ask = nn.Linear(width, width, bias=False)
        self.offer = nn.Linear(width, width, bias=False)
        self.share = nn.Linear(width, 1)
        nn.init.zeros_(self.share.weight)

    def forward(self, stream: Tensor, logits: Tensor, prompt: Tensor, prompt_tokens: Tensor) -> Tensor:
        """Log probabilities of the mixture: [n, length, vocabulary]."""
        scores = self.ask(stream) @ self.offer(prompt).mT / stream.shape[-1] ** 0.5
        pointed = scores.float().masked_fill((prompt_tokens == PAD)[:, None], -torch.inf).softmax(-1)
        copied = torch.zeros(logits.shape, device=logits.device)
        copied = copied.scatter_add(2, prompt_tokens[:, None].expand(-1, logits.shape[1], -1), pointed)
        share = torch.sigmoid(self.share(stream).float())
        mixed = (1 - share) * logits.float().softmax(-1) + share * copied
        return mixed.clamp_min(1e-9).log()


def split_at_start(tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split rows: prompts with an end [n, long], answers from their start on [n, length], where these begin [n].

    >>> prompts, answers, starts = split_at_start(torch.tensor([[7, 8, START, 5, END], [9, START, 5, 6, END]]))
    >>> prompts.tolist(), answers.tolist(), starts.tolist()
    ([[7, 8, 1], [9, 1, 0]], [[2, 5, 1, 0], [2, 5, 6, 1]], [2, 1])
    """
    begins = tokens == START
    if not bool(begins.any(1).all()):
        raise DataError(
            "some rows have no start of an answer; an encoder-decoder learns answers to prompts. For running text, let "
            "each row be a stretch of it as the prompt and the next one as its answer"
        )
    starts = begins.int().argmax(1)
    positions = torch.arange(tokens.shape[1], device=tokens.device)
    before = torch.where(positions < starts[:, None], tokens, PAD)
    prompts = torch.where(positions == starts[:, None], END, before)[:, : int(starts.max()) + 1]
    sources = starts[:, None] + positions[: tokens.shape[1] - int(starts.min())]
    inside = sources < tokens.shape[1]
    answers = torch.where(inside, tokens.gather(1, sources.clamp(max=tokens.shape[1] - 1)), PAD)
    return prompts, answers, starts


def _stacked(rows: Sequence[Tensor], left: bool) -> Tensor:
    """Rows of one length, padded on the left or the right."""
    longest = max(len(row) for row in rows)
    return torch.stack([F.pad(row, (longest - len(row), 0)[:: 1 if left else -1], value=PAD) for row in rows])


def _layers(cache: Any) -> tuple[Layer, ...]:
    """The keys and values of a cache of the library."""
    pairs = zip(cache.self_attention_cache.layers, cache.cross_attention_cache.layers, strict=True)
    return tuple((layer.keys, layer.values, cross.keys, cross.values) for layer, cross in pairs)


def _core(vocabulary: int, width: int, layers: int, heads: int, inner: int) -> Any:
    """The layers of the library, fresh.

    T5 leaves its scores unscaled and begins with small queries in return. Steps of one size, as Muon's are, then move
    them too far; so the scale is put back and the queries are made larger: at first it computes the same.
    """
    try:
        from transformers import T5Config, T5Model
        from transformers.models.t5.modeling_t5 import T5Attention
    except ImportError:
        raise OptionError('T5\'s layers come with transformers; try: pip install "tolerate[text]"') from None
    core = T5Model(
        T5Config(
            vocab_size=vocabulary,
            d_model=width,
            d_kv=width // heads,
            d_ff=inner,
            num_layers=layers,
            num_decoder_layers=layers,
            num_heads=heads,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
            pad_token_id=PAD,
            eos_token_id=END,
            decoder_start_token_id=START,
        )
    )
    size = width // heads
    for module in core.modules():
        if isinstance(module, T5Attention):
            module.scaling = size**-0.5
            with torch.no_grad():
                module.q.weight.mul_(size**0.5)
    return core
