"""An encoder of the BERT type, pretrained from nothing. Devlin et al. 2019, arXiv:1810.04805.

It learns two things from unlabelled texts: which words were masked, and whether the second part of a text belongs to
the first. Questions are short, so a part is a sentence where there are several, else half of one. The layers are those
of the `transformers` library. Tokens are pieces of a byte-level BPE of the same texts; since it needs no unknown token,
that number is the mask.

    row: start, first part, end, second part, end      "label" of a row: where its second part begins
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tolerate.errors import DataError, OptionError
from tolerate.models.base import Losses, Optimizers, Recipe, Trainable
from tolerate.models.registry import build
from tolerate.models.texts.base import TextModel
from tolerate.models.texts.bpe import BPE, learn_bpe
from tolerate.models.texts.examples import TokenExamples
from tolerate.models.texts.language import END, PAD, START
from tolerate.models.texts.tokens import SPECIAL, UNKNOWN, Tokenizer
from tolerate.models.training.loop import ReportProgress, Trained, train
from tolerate.models.training.optimizers import length_buckets, matrix_optimizers, optimizer_step
from tolerate.models.training.plan import TrainingOptions

if TYPE_CHECKING:
    from tokenizers import Tokenizer as LibraryTokenizer

MASK = UNKNOWN
PATH = "tolerate.models.texts.bert:Bert"
VOCABULARY_SIZE = 3000  # of the vocabulary
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=\S)")


class Bert(TextModel):
    """Learns to fill in masked pieces and to tell whether two parts belong together.

    One layer by default: of those tried in trainings of seconds it read questions best (benchmarks/text_models.py).
    masked: share of pieces that are to be guessed; of these 80% are masked, 10% replaced at random, 10% unchanged.
    """

    def __init__(
        self,
        context: int,
        vocabulary: int,
        *,
        width: int = 64,
        layers: int = 1,
        heads: int = 2,
        masked: float = 0.15,
        rate: float = 0.02,
        table_rate: float = 0.003,
    ) -> None:
        options = {"width": width, "layers": layers, "heads": heads, "masked": masked}
        super().__init__(context, vocabulary, rate=rate, table_rate=table_rate, **options)
        if width % heads:
            raise OptionError(f"width {width} does not divide by the number of heads ({heads})")
        self.masked = masked
        self.rates = {"muon": rate, "adam": table_rate}
        self.core = _core(vocabulary, context, width, layers, heads)

    def recipe(self, texts: int) -> Recipe:
        """Five passes over the texts, no average."""
        return Recipe(steps=max(300, 5 * texts // 64), batch=64, ema=0.0)

    def optimizers(self) -> Optimizers:
        """Muon for matrices, AdamW for embeddings and the rest."""
        return matrix_optimizers(self.core, self.rates)

    def step(
        self, rows: Tensor, starts: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        """Take one step; half of the rows get the second part of another one, and some of their pieces a mask."""
        rows, starts, belongs = exchange_second_parts(rows, starts, rng)
        hidden, guessed = mask_pieces(rows, self.masked, self.vocabulary, rng)
        words, parts = self.losses(hidden, rows, starts, belongs, guessed)
        optimizer_step(
            optimizers, self.rates, words + parts, min(1.0, (progress + 0.005) / 0.05, (1 - progress) / 0.7)
        )
        return {"loss": words + parts, "words": words, "parts": parts}

    def losses(
        self, hidden: Tensor, rows: Tensor, starts: Tensor, belongs: Tensor, guessed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Nats of a masked piece given the rest, and of whether the parts belong together."""
        read, pooled, targets = [], [], []
        for bucket in length_buckets(rows, PAD):
            longest = int((rows[bucket] != PAD).sum(1).max())
            bucket_rows = rows[bucket, :longest]
            second = (torch.arange(longest, device=rows.device) >= starts[bucket, None]) & (
                bucket_rows != PAD
            )
            output = self.core.bert(
                input_ids=hidden[bucket, :longest],
                attention_mask=bucket_rows != PAD,
                token_type_ids=second.long(),
            )
            chosen = guessed[bucket, :longest]
            read.append(output.last_hidden_state[chosen])
            targets.append(bucket_rows[chosen])
            pooled.append(self.core.cls.seq_relationship(output.pooler_output))
        words = self.core.cls.predictions(torch.cat(read))
        belonging = belongs[torch.cat(length_buckets(rows, PAD))]
        return F.cross_entropy(words, torch.cat(targets)), F.cross_entropy(
            torch.cat(pooled), (~belonging).long()
        )


def mask_pieces(rows: Tensor, share: float, vocabulary: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows with some pieces masked or replaced, and which are to be guessed, at least one: [n, length] each."""
    chance = torch.rand(rows.shape, generator=rng, device=rows.device)
    real = rows > UNKNOWN
    guessed = (chance < share) & real
    if not bool(guessed.any()):
        guessed = real & (chance == chance.masked_fill(~real, 2.0).min())
    kind = torch.rand(rows.shape, generator=rng, device=rows.device)
    other = torch.randint(len(SPECIAL), vocabulary, rows.shape, generator=rng, device=rows.device)
    hidden = torch.where(guessed & (kind < 0.8), MASK, rows)
    return torch.where(guessed & (kind > 0.9), other, hidden), guessed


def exchange_second_parts(
    rows: Tensor, starts: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of which half got the second part of the next row; where it begins; whether it is their own.

    >>> rows = torch.tensor([[START, 5, END, 6, END], [START, 7, END, 8, END]])
    >>> mixed, _, belongs = exchange_second_parts(rows, torch.tensor([3, 3]), torch.Generator().manual_seed(1))
    >>> mixed[:, 3].tolist(), belongs.tolist()
    ([8, 8], [False, True])
    """
    n, length = rows.shape
    indices = torch.arange(n, device=rows.device)
    belongs = torch.rand(n, generator=rng, device=rows.device) < 0.5
    source = torch.where(belongs, indices, (indices + 1) % n)
    positions = torch.arange(length, device=rows.device).expand(n, -1)
    source_positions = starts[source][:, None] + positions - starts[:, None]
    second = (
        rows[source]
        .gather(1, source_positions.clamp(0, length - 1))
        .masked_fill(source_positions >= length, PAD)
    )
    mixed_rows = torch.where(positions < starts[:, None], rows, second)
    return mixed_rows, starts, belongs | (mixed_rows == rows).all(1)  # both rows may be the same text


def split_in_two(text: str) -> tuple[str, str]:
    """Split a text in two: after a sentence if it has several, else in the middle.

    >>> split_in_two("My card is gone. What now?"), split_in_two("where is my card")
    (('My card is gone.', 'What now?'), ('where is', 'my card'))
    """
    sentences = SENTENCE_END.split(text.strip())
    if len(sentences) > 1:
        half = (len(sentences) + 1) // 2
        return " ".join(sentences[:half]), " ".join(sentences[half:])
    words = text.split()
    half = (len(words) + 1) // 2
    return " ".join(words[:half]), " ".join(words[half:])


def learn_pieces(texts: Sequence[str], size: int = VOCABULARY_SIZE) -> BPE:
    """The vocabulary of texts to pretrain on."""
    return learn_bpe(texts, size=size)


def tokenizer_with_ends(tokens: BPE) -> "LibraryTokenizer":
    """The library's tokenizer, which adds a start before a text and an end after it."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    tokenizer = Tokenizer.from_str(tokens.definition)
    special_tokens = [(SPECIAL[START], START), (SPECIAL[END], END)]
    tokenizer.post_processor = TemplateProcessing(
        single=f"{SPECIAL[START]} $A {SPECIAL[END]}", special_tokens=special_tokens
    )
    return tokenizer


def rows_of(tokens: Tokenizer, texts: Sequence[str], context: int) -> tuple[Tensor, Tensor]:
    """Texts of two parts or more as rows [n, context at most], and where their second parts begin [n]."""
    encoded = []
    for first, second in map(split_in_two, texts):
        if first and second:
            head = [START, *tokens.encode(first)[: context // 2 - 2], END]
            encoded.append(([*head, *tokens.encode(second)[: context - len(head) - 1], END], len(head)))
    if not encoded:
        raise DataError(
            f"none of the {len(texts)} texts has two words; an encoder learns from whole sentences"
        )
    rows = torch.full((len(encoded), max(len(row) for row, _ in encoded)), PAD, dtype=torch.int32)
    for index, (row, _) in enumerate(encoded):
        rows[index, : len(row)] = torch.tensor(row, dtype=torch.int32)
    return rows, torch.tensor([start for _, start in encoded])


def pretrain(
    texts: Sequence[str],
    folder: Path,
    options: TrainingOptions | None = None,
    *,
    tokens: Tokenizer,
    context: int = 64,
    model: Mapping[str, object] | None = None,
    on_progress: ReportProgress | None = None,
) -> Trained[Trainable]:
    """Pretrain an encoder on raw texts; stored in the folder, and continued there if it was interrupted."""
    options = options or TrainingOptions()
    rows, starts = rows_of(tokens, texts, context)
    fresh = build(PATH, context, len(tokens), seed=options.seed, **(model or {}))
    return train(fresh, TokenExamples(rows, starts), options, folder, on_progress)


def _core(vocabulary: int, context: int, width: int, layers: int, heads: int) -> Any:
    """The library's model with initial weights."""
    try:
        from transformers import BertConfig, BertForPreTraining
    except ImportError:
        raise OptionError(
            'BERT\'s layers come with transformers; try: pip install "tolerate[text]"'
        ) from None
    return BertForPreTraining(
        BertConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            max_position_embeddings=context,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            pad_token_id=PAD,
        )
    )
