"""A small decoder-only Transformer of the Llama type. Touvron et al. 2023, arXiv:2302.13971.

Rotary positions (Su et al. 2021), RMS norms before each layer (Zhang and Sennrich 2019), gated SiLU
in the feed-forward layers (Shazeer 2020). Optional: embeddings of the last two and three tokens, hashed
into fixed tables (as fastText's, Bojanowski et al. 2017), which spare the layers the counting.
Without them it computes what `transformers`' LlamaForCausalLM does; a test holds the two together.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tolerate.errors import OptionError
from tolerate.models.texts.language import PAD, LanguageModel

EPS = 1e-6
PRIMES = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)  # of the hashes


@dataclass(frozen=True)
class Cache:
    """The keys and values of the tokens read so far, of each layer: [n, heads, length, size]."""

    layers: tuple[tuple[Tensor, Tensor], ...]
    tokens_read: Tensor  # [n, length], PAD where a row is shorter than others
    last: Tensor  # the stream at the last token: [n, width]


@dataclass(frozen=True)
class TransformerSize:
    """Sizes of a Transformer and its additions.

    width: of the stream; it must divide by 2 * heads. inner: of the feed-forward layers, by default
    8/3 of the width. hashed: entries of each hashed table, 0 for none; hashed_width: of an entry, by default the
    width itself; a narrower one is spread over it by a matrix. base: of the rotary angles. pointer: whether a token
    may also be copied from those before it, as in pointer-generator networks (See et al. 2017, equation 9): what a
    writer of records needs, and learns from far fewer examples than layers that must do without.
    """

    width: int = 128
    layers: int = 4
    heads: int = 4
    inner: int | None = None
    hashed: int = 0
    hashed_width: int | None = None
    base: float = 10_000.0
    pointer: bool = False


class Transformer(LanguageModel):
    """Predicts the next token from those before it. Options are the fields of `TransformerSize`, and both rates."""

    def __init__(
        self,
        context: int,
        vocabulary: int,
        *,
        rate: float = 0.02,
        table_rate: float = 0.006,
        **options: Any,
    ) -> None:
        size = TransformerSize(**options)
        super().__init__(context, vocabulary, rate=rate, table_rate=table_rate, **asdict(size))
        width, heads, hashed = size.width, size.heads, size.hashed
        if width % (2 * heads):
            raise OptionError(f"width {width} does not divide by twice the number of heads ({heads})")
        self.width, self.heads, self.hashed, self.base = width, heads, hashed, float(size.base)
        self.table = nn.Embedding(vocabulary, width)
        tables, entry = 2 if hashed else 0, size.hashed_width or width
        self.hashed_tables = nn.ModuleList(nn.Embedding(hashed, entry) for _ in range(tables))
        has_spread = bool(size.hashed_width and hashed)
        self.hashed_spread = nn.Linear(tables * entry, width, bias=False) if has_spread else None
        self.inner = size.inner or 8 * ((width * 8 // 3 + 7) // 8)
        self.blocks = nn.ModuleList(Block(width, heads, self.inner) for _ in range(size.layers))
        self.norm = nn.RMSNorm(width, eps=EPS)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.pointer = Pointer(width) if size.pointer else None
        angles = _angles(self.context + 1, width // heads, size.base)
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)
        self.cosine: Tensor
        self.sine: Tensor
        self._first_weights()

    def _first_weights(self) -> None:
        """Embeddings of unit size, layers that begin as nothing, logits that begin at 0."""
        nn.init.normal_(self.table.weight, std=0.5)
        for table in self.hashed_tables:
            nn.init.normal_(table.weight, std=0.1 if self.hashed_spread is None else 0.3)  # type: ignore[arg-type]
        for block in self.blocks:
            nn.init.zeros_(block.out.weight)  # type: ignore[union-attr, arg-type]
            nn.init.zeros_(block.down.weight)  # type: ignore[union-attr, arg-type]
        nn.init.zeros_(self.head.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the token after each one: [n, length] -> [n, length, vocabulary]."""
        return self._read(tokens, None)[0]

    def _read(self, tokens: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Read tokens after those of the cache: logits after each, and the next cache.

        Rows that differ in length are padded on the left.
        """
        normed, tokens_read, layers, mask = self._stream(tokens, cache)
        first = tokens_read.shape[1] - tokens.shape[1]
        logits = self._logits_after(normed, tokens_read, first)
        if self.pointer is not None:
            logits, pointer_keys = self.pointer(
                normed, logits, tokens_read, None if cache is None else cache.layers[-1], mask
            )
            layers.append(pointer_keys)
        return logits, Cache(tuple(layers), tokens_read, normed[:, -1])

    def _stream(
        self, tokens: Tensor, cache: Cache | None = None
    ) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]], Tensor | None]:
        """The normed stream after each token, all tokens read, keys and values of each layer, the attention mask."""
        before = tokens[:, :0] if cache is None else cache.tokens_read
        tokens_read = torch.cat([before, tokens], 1)
        first = before.shape[1]
        stream = self._embedded(tokens_read, first)
        mask = _mask(tokens_read, first)
        turn = (self.cosine[first : tokens_read.shape[1]], self.sine[first : tokens_read.shape[1]])
        layers = []
        for index, block in enumerate(self.blocks):
            stream, block_keys = block(stream, turn, None if cache is None else cache.layers[index], mask)
            layers.append(block_keys)
        return self.norm(stream), tokens_read, layers, mask

    def _logits_after(self, normed: Tensor, tokens_read: Tensor, first: int) -> Tensor:
        """Logits after each token from `first` on: [n, new, vocabulary]."""
        logits: Tensor = self.head(normed)
        return logits

    def _embedded(self, tokens_read: Tensor, first: int) -> Tensor:
        """Embeddings of the tokens from `first` on, those of the last two and three tokens added."""
        stream: Tensor = self.table(tokens_read[:, first:])
        embeddings = [
            table(_hash(tokens_read, back, self.hashed)[:, first:])
            for back, table in enumerate(self.hashed_tables, 2)
        ]
        if self.hashed_spread is not None:
            embeddings = [self.hashed_spread(torch.cat(embeddings, -1))]
        for embedding in embeddings:
            stream = stream + embedding
        return stream

    def begin(self, prompts: Sequence[Tensor]) -> tuple[Cache, Tensor]:
        """Read prompts; short ones are padded on the left, since only distances matter to rotary positions."""
        longest = max(len(prompt) for prompt in prompts)
        rows = torch.stack(
            [F.pad(prompt.long(), (longest - len(prompt), 0), value=PAD) for prompt in prompts]
        )
        logits, cache = self._read(rows.to(self.device), None)
        return cache, logits[:, -1]

    def advance(self, state: Cache, tokens: Tensor) -> tuple[Cache, Tensor]:
        """Read one more token of each row."""
        if state.tokens_read.shape[1] >= len(self.cosine):
            raise OptionError(f"the text is longer than the {self.context} tokens this model reads at once")
        logits, cache = self._read(tokens[:, None], state)
        return cache, logits[:, -1]

    def keep(self, state: Cache, rows: Tensor) -> Cache:
        """The state of some rows."""
        return Cache(
            tuple((key[rows], value[rows]) for key, value in state.layers),
            state.tokens_read[rows],
            state.last[rows],
        )


class Block(nn.Module):
    """Attention, then a gated feed-forward layer, each added to the stream."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.RMSNorm(width, eps=EPS)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.between = nn.RMSNorm(width, eps=EPS)
        self.gate = nn.Linear(width, inner, bias=False)
        self.up = nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(
        self,
        stream: Tensor,
        turn: tuple[Tensor, Tensor],
        past: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The stream after this block, and its keys and values for later tokens."""
        normed = self.before(stream)
        query = _turned(self._split(self.query(normed)), turn)
        key, value = _turned(self._split(self.key(normed)), turn), self._split(self.value(normed))
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=mask is None and past is None
        )
        stream = stream + self.out(mixed.transpose(1, 2).flatten(2))
        normed = self.between(stream)
        return stream + self.down(F.silu(self.gate(normed)) * self.up(normed)), (key, value)

    def _split(self, rows: Tensor) -> Tensor:
        """[n, length, width] -> [n, heads, length, size]."""
        n, length, width = rows.shape
        return rows.view(n, length, self.heads, width // self.heads).transpose(1, 2)


class Pointer(nn.Module):
    """Mixes the layers' distribution of the next token with a copy of an earlier token, chosen by attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ask = nn.Linear(width, width, bias=False)
        self.offer = nn.Linear(width, width, bias=False)
        self.share = nn.Linear(width, 1)
        nn.init.zeros_(self.share.weight)

    def forward(
        self,
        stream: Tensor,
        logits: Tensor,
        tokens_read: Tensor,
        past: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Log probabilities of the mixture [n, new, vocabulary], and the keys of all tokens so far, twice."""
        offered = self.offer(stream) if past is None else torch.cat([past[0], self.offer(stream)], 1)
        scores = self.ask(stream) @ offered.mT / stream.shape[-1] ** 0.5
        new, length = scores.shape[1:]
        visible = (
            mask[:, 0] if mask is not None else torch.ones(new, length, dtype=torch.bool).tril(length - new)
        )
        pointed = scores.float().masked_fill(~visible, -torch.inf).softmax(-1)
        copied = torch.zeros(logits.shape, device=logits.device)
        copied = copied.scatter_add(2, tokens_read[:, None, :].expand(-1, new, -1), pointed)
        share = torch.sigmoid(self.share(stream).float())
        mixed = (1 - share) * logits.float().softmax(-1) + share * copied
        return mixed.clamp_min(1e-9).log(), (offered, offered)


def _angles(length: int, size: int, base: float) -> Tensor:
    """Rotary angles [length, size / 2]."""
    speeds = base ** (-torch.arange(0, size, 2).float() / size)
    return torch.arange(length).float()[:, None] * speeds


def _turned(rows: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Queries or keys [n, heads, length, size], rotated by the angles of their positions."""
    first, second = rows.chunk(2, -1)
    cosine, sine = turn
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)


def _mask(tokens_read: Tensor, first: int) -> Tensor | None:
    """Which tokens each token from `first` on may attend to: [n, 1, new, length]; None where the causal mask does."""
    real = tokens_read != PAD
    new, length = tokens_read.shape[1] - first, tokens_read.shape[1]
    if new == 1:
        return None if bool(real.all()) else real[:, None, None, :]
    if first == 0 and bool(real[:, 0].all()):
        return None  # padded on the right, if at all: later tokens are masked anyway
    triangle = torch.ones(new, length, dtype=torch.bool, device=tokens_read.device).tril(first)
    # Padding attends to itself: a row that attends to nothing would be NaN.
    diagonal = torch.eye(length, dtype=torch.bool, device=tokens_read.device)[first:]
    return (real[:, None, :] & triangle | diagonal)[:, None]


def _hash(tokens: Tensor, back: int, size: int) -> Tensor:
    """The table index of each token with the `back - 1` before it: [n, length]."""
    mixed = torch.zeros_like(tokens)
    for step in range(back):
        shifted = F.pad(tokens[:, : tokens.shape[1] - step], (step, 0), value=PAD)
        mixed = (mixed ^ (shifted + 1)) * PRIMES[step] & 0x7FFFFFFF
    return (mixed >> 8) % size
