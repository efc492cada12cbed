"""A pretrained model of `transformers` as one of our language models: it reads, writes and learns as ours do.

Causal models read prompt and answer in one row; sequence-to-sequence models (T5, BART) read the prompt with their
encoder and write the answer with their decoder. Rows of training hold each token's number plus one, so that 0
fills them up whatever number a tokenizer gives its own filler.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tolerate.errors import DataError, OptionError
from tolerate.llm.model_names import PretrainedSpec
from tolerate.models.pretrained.hub import LoadedSource, open_source
from tolerate.models.pretrained.prompt_format import PromptFormat
from tolerate.models.pretrained.tuned import TunedModel, adapters_of, options_of

FILL = 0  # in rows of training; tokens are shifted by one


@dataclass(frozen=True)
class Reading:
    """What was read so far. `past` changes as one reads on, so a state is good for one step alone.

    seen: [n, length] tokens; real: [n, length] where they are no filler; last: the last layer's state [n, width].
    encoded, encoded_real: of sequence-to-sequence models, what the encoder made of the prompts.
    """

    past: Any
    tokens_read: Tensor
    real: Tensor
    last: Tensor
    encoded: Tensor | None = None
    encoded_real: Tensor | None = None


class Pretrained(TunedModel):
    """A causal or sequence-to-sequence model with its tokenizer.

    place and the other options: as in `PretrainedSpec`. opened: the network, where it was opened already.
    """

    def __init__(
        self,
        context: int,
        vocabulary: int,
        /,  # a name may set an option called context
        *,
        place: str,
        weights: str = "",
        loaded_source: LoadedSource | None = None,
        **options: Any,
    ) -> None:
        spec = PretrainedSpec("hf", place, **options)
        loaded = loaded_source or open_source(spec)
        if weights and weights != loaded.fingerprint:
            raise DataError(
                f"{place} holds other weights than those this was made with ({loaded.fingerprint}, then {weights}); "
                "put the model back, or tune again"
            )
        super().__init__(context, vocabulary, **options_of(spec), weights=loaded.fingerprint)
        self.source, self.pairs, self.ends = spec, loaded.pairs, loaded.ends
        self.tongue = PromptFormat(loaded.tokenizer, loaded.pairs, loaded.ends[0], spec.chat, bool(spec.tune))
        self._put(loaded.net, adapters_of(spec), "all-linear")
        self._watch_last()
        self.eval()

    @classmethod
    def of(cls, source: PretrainedSpec) -> "Pretrained":
        """The model that a name means."""
        loaded = open_source(source)
        vocabulary = int(loaded.net.get_input_embeddings().weight.shape[0])
        return cls(loaded.context, vocabulary + 1, loaded_source=loaded, **options_of(source))

    def _watch_last(self) -> None:
        """See what goes into the last layer: the state that contrastive search compares."""
        self._last: Tensor | None = None
        layer = self.net.get_output_embeddings()
        if layer is not None:
            layer.register_forward_pre_hook(self._remember_last)

    def _remember_last(self, _: Any, inputs: tuple[Tensor, ...]) -> None:
        self._last = None if self.training else inputs[0][:, -1].detach()

    # Reading and writing

    @cached_property
    def _forward_kwargs(self) -> set[str]:
        """What the network's call understands."""
        return set(inspect.signature(self.net.forward).parameters)

    @cached_property
    def _forbidden_tokens(self) -> Tensor:
        """What an answer may not hold: numbers beyond the tokenizer's, and further ends, which count as the first."""
        vocabulary = int(self.net.get_input_embeddings().weight.shape[0])
        wrong = torch.ones(vocabulary, dtype=torch.bool)
        wrong[sorted(set(self.tongue.tokenizer.get_vocab().values()))] = False
        wrong[list(self.ends[1:])] = True
        wrong[self.ends[0]] = False
        return wrong

    def _logits(self, whole: Tensor) -> Tensor:
        """Of the last token's: ends that mean the same are one: [n, length, known] -> [n, known]."""
        logits = whole[:, -1].float()
        if len(self.ends) > 1:
            logits = logits.clone()
            logits[:, self.ends[0]] = logits[:, list(self.ends)].logsumexp(-1)
        logits = logits.cpu()  # choices are made there, so that they are the same on every device
        return logits.masked_fill(self._forbidden_tokens[: logits.shape[1]], -torch.inf)

    def begin(self, prompts: Sequence[Tensor]) -> tuple[Reading, Tensor]:
        """Read prompts of any lengths; one that comes several times in a row is read once."""
        different, places = _runs(prompts)
        state, logits = self._begin_pairs(different) if self.pairs else self._begin(different)
        if len(different) < len(prompts):
            state, logits = self.keep(state, places), logits[places]
        return state, logits

    def _begin(self, prompts: Sequence[Tensor]) -> tuple[Reading, Tensor]:
        tokens, real = _filled(prompts, left=True)
        return self._read(Reading(None, tokens[:, :0], real[:, :0], torch.empty(0)), tokens, real)

    def _begin_pairs(self, prompts: Sequence[Tensor]) -> tuple[Reading, Tensor]:
        tokens, real = _filled(prompts, left=False)
        encoder = self.net.get_encoder()
        encoded = encoder(input_ids=tokens.to(self.device), attention_mask=real.to(self.device))[0]
        first = torch.tensor(self._opening).expand(len(prompts), -1).to(self.device)
        start = Reading(None, first[:, :0], first[:, :0], torch.empty(0), encoded, real.to(self.device))
        return self._read(start, first, torch.ones_like(first))

    @cached_property
    def _opening(self) -> list[int]:
        """The tokens that a decoder begins with."""
        settings = getattr(self.net, "generation_config", None)
        first = getattr(settings, "decoder_start_token_id", None)
        first = self.net.config.decoder_start_token_id if first is None else first
        if first is None:
            first = self.net.config.bos_token_id if self.net.config.bos_token_id is not None else self.ends[0]
        forced = getattr(settings, "forced_bos_token_id", None)
        return [int(first), *([int(forced)] if forced is not None else [])]

    def _read(self, state: Reading, tokens: Tensor, real: Tensor) -> tuple[Reading, Tensor]:
        """Read more tokens [n, new] of each row."""
        tokens, real = tokens.to(self.device), real.to(self.device)
        tokens_read = torch.cat([state.tokens_read.to(self.device), tokens], 1)
        whole = torch.cat([state.real.to(self.device), real], 1)
        again = state.past is None  # at first, and at each step of a network that keeps nothing
        arguments: dict[str, Any] = {"use_cache": True} if "use_cache" in self._forward_kwargs else {}
        if "logits_to_keep" in self._forward_kwargs:
            arguments["logits_to_keep"] = 1
        if not again:
            arguments["past_key_values"] = state.past
        shown = tokens_read if again else tokens
        if self.pairs:
            arguments |= {"decoder_input_ids": shown, "attention_mask": state.encoded_real}
            arguments["encoder_outputs"] = (state.encoded,)
        else:
            arguments |= {"input_ids": shown, "attention_mask": whole}
            if "position_ids" in self._forward_kwargs:
                places = (whole.cumsum(1) - 1).clamp_min(0)
                arguments["position_ids"] = places if again else places[:, -shown.shape[1] :]
        output = self.net(**arguments)
        past = getattr(output, "past_key_values", None)
        last = torch.zeros(len(tokens_read), 0) if self._last is None else self._last.cpu()
        return replace(state, past=past, tokens_read=tokens_read, real=whole, last=last), self._logits(
            output.logits
        )

    def advance(self, state: Reading, tokens: Tensor) -> tuple[Reading, Tensor]:
        """Read one more token of each row."""
        return self._read(state, tokens[:, None], torch.ones_like(tokens[:, None]))

    def keep(self, state: Reading, rows: Tensor) -> Reading:
        """The state of some rows, in place of the state of all."""
        last, rows = state.last[rows], rows.to(self.device)
        if state.past is not None:
            state.past.batch_select_indices(rows)
        encoded, encoded_real = state.encoded, state.encoded_real
        return Reading(
            state.past,
            state.tokens_read[rows],
            state.real[rows],
            last,
            None if encoded is None else encoded[rows],
            None if encoded_real is None else encoded_real[rows],
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the token after each one: [n, length] -> [n, length, known]; causal models alone."""
        if self.pairs:
            raise OptionError("a sequence-to-sequence model reads prompts and answers apart; use `answered`")
        return self.net(input_ids=tokens, **self._plain()).logits  # type: ignore[no-any-return]

    def _plain(self) -> dict[str, Any]:
        return {"use_cache": False} if "use_cache" in self._forward_kwargs else {}

    # Learning

    def answered(self, rows: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the answers' tokens and the tokens themselves: [learned, known], [learned].

        rows: [n, length] of tokens plus one, FILL behind them; starts: [n], where answers begin.
        """
        rows, starts = rows[:, : int((rows != FILL).sum(1).max())].to(self.device), starts.to(self.device)
        return self._answered_pairs(rows, starts) if self.pairs else self._answered(rows, starts)

    def _answered(self, rows: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        tokens, real = (rows - 1).clamp_min(0), rows != FILL
        output = self.net(input_ids=tokens[:, :-1], attention_mask=real[:, :-1].long(), **self._plain())
        places = torch.arange(1, rows.shape[1], device=rows.device)
        learned = real[:, 1:] & (places >= starts[:, None])
        return output.logits[learned].float(), tokens[:, 1:][learned]

    def _answered_pairs(self, rows: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        cut = [(row[:start], row[start:]) for row, start in zip(rows, starts.tolist(), strict=True)]
        prompt_tokens, asked_real = _filled([(head[head != FILL] - 1) for head, _ in cut], left=False)
        answer, answer_real = _filled([(tail[tail != FILL] - 1) for _, tail in cut], left=False)
        opening = torch.tensor(self._opening, device=rows.device).expand(len(rows), -1)
        output = self.net(
            input_ids=prompt_tokens,
            attention_mask=asked_real,
            decoder_input_ids=torch.cat([opening, answer[:, :-1]], 1),
            **self._plain(),
        )
        learned = answer_real.bool()
        return output.logits[:, opening.shape[1] - 1 :][learned].float(), answer[learned]

    def loss(self, tokens: Tensor, starts: Tensor) -> Tensor:
        """Mean negative log-likelihood of an answer's token, in nats."""
        logits, targets = self.answered(tokens, starts)
        return self.shared_mean(F.cross_entropy(logits, targets), len(targets))


def _filled(rows: Sequence[Tensor], *, left: bool) -> tuple[Tensor, Tensor]:
    """Rows filled up to the longest, and where they are real: [n, length] twice."""
    longest = max(len(row) for row in rows)

    def around(row: Tensor) -> tuple[int, int]:
        return (longest - len(row), 0) if left else (0, longest - len(row))

    tokens = torch.stack([F.pad(row.long(), around(row)) for row in rows])
    return tokens, torch.stack([F.pad(torch.ones_like(row.long()), around(row)) for row in rows])


def _runs(prompts: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Prompts without those that repeat the one before, and which of them stands at each place."""
    different: list[Tensor] = []
    places = []
    for prompt in prompts:
        if not different or not torch.equal(prompt, different[-1]):
            different.append(prompt)
        places.append(len(different) - 1)
    return different, torch.tensor(places)
