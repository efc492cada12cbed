"""A pretrained model of `transformers` behind the interface of `LanguageModel`.

Causal models read prompt and answer in one row; sequence-to-sequence models (T5, BART) read the prompt with their
encoder and write the answer with their decoder. Rows of training hold each token's number plus one, so that 0
pads them whatever padding token a tokenizer has.
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

FILL = 0  # pads rows of training, in which tokens are shifted by one


@dataclass(frozen=True)
class ReadingState:
    """What was read so far. `advance` changes `past` in place, so a state can be used for one step only.

    tokens_read: [n, length]; real: [n, length], 0 for padding; last: the last layer's state [n, width].
    encoded, encoded_real: of sequence-to-sequence models, the encoder's output for the prompts.
    """

    past: Any  # transformers' cache; None where nothing was read, or the network has none
    tokens_read: Tensor
    real: Tensor
    last: Tensor
    encoded: Tensor | None = None
    encoded_real: Tensor | None = None


class Pretrained(TunedModel):
    """A causal or sequence-to-sequence model with its tokenizer.

    place and the other options: as in `PretrainedSpec`. weights: fingerprint that the weights must have.
    loaded_source: the network and tokenizer, if they are loaded already.
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
        self.source, self.is_seq2seq, self.ends = spec, loaded.is_seq2seq, loaded.ends
        self.prompt_format = PromptFormat(
            loaded.tokenizer, loaded.is_seq2seq, loaded.ends[0], spec.chat, bool(spec.tune)
        )
        self._set_network(loaded.net, adapters_of(spec), "all-linear")
        self._record_last_state()
        self.eval()

    @classmethod
    def of(cls, source: PretrainedSpec) -> "Pretrained":
        """The model of a name such as `hf:gpt2#lora`."""
        loaded = open_source(source)
        vocabulary = int(loaded.net.get_input_embeddings().weight.shape[0])
        return cls(loaded.context, vocabulary + 1, loaded_source=loaded, **options_of(source))

    def _record_last_state(self) -> None:
        """Record the input of the last layer, which contrastive search compares."""
        self._last: Tensor | None = None
        layer = self.net.get_output_embeddings()
        if layer is not None:
            layer.register_forward_pre_hook(self._store_last_state)

    def _store_last_state(self, _: Any, inputs: tuple[Tensor, ...]) -> None:
        self._last = None if self.training else inputs[0][:, -1].detach()

    # Reading and writing

    @cached_property
    def _forward_kwargs(self) -> set[str]:
        """Names of the arguments of the network's `forward`."""
        return set(inspect.signature(self.net.forward).parameters)

    @cached_property
    def _forbidden_tokens(self) -> Tensor:
        """Tokens that an answer may not hold: those that the tokenizer lacks, and all end tokens but the first."""
        vocabulary = int(self.net.get_input_embeddings().weight.shape[0])
        forbidden = torch.ones(vocabulary, dtype=torch.bool)
        forbidden[sorted(set(self.prompt_format.tokenizer.get_vocab().values()))] = False
        forbidden[list(self.ends[1:])] = True
        forbidden[self.ends[0]] = False
        return forbidden

    def _next_token_logits(self, all_logits: Tensor) -> Tensor:
        """Next-token logits, with all end tokens merged into the first: [n, length, vocabulary] -> [n, vocabulary]."""
        logits = all_logits[:, -1].float()
        if len(self.ends) > 1:
            logits = logits.clone()
            logits[:, self.ends[0]] = logits[:, list(self.ends)].logsumexp(-1)
        logits = logits.cpu()  # tokens are drawn on the CPU, so that they are the same on every device
        return logits.masked_fill(self._forbidden_tokens[: logits.shape[1]], -torch.inf)

    def begin(self, prompts: Sequence[Tensor]) -> tuple[ReadingState, Tensor]:
        """Read prompts of any lengths; equal prompts in a row are read once."""
        different, indices = _distinct_runs(prompts)
        state, logits = self._begin_seq2seq(different) if self.is_seq2seq else self._begin(different)
        if len(different) < len(prompts):
            state, logits = self.keep(state, indices), logits[indices]
        return state, logits

    def _begin(self, prompts: Sequence[Tensor]) -> tuple[ReadingState, Tensor]:
        tokens, real = _padded(prompts, left=True)
        return self._read(ReadingState(None, tokens[:, :0], real[:, :0], torch.empty(0)), tokens, real)

    def _begin_seq2seq(self, prompts: Sequence[Tensor]) -> tuple[ReadingState, Tensor]:
        tokens, real = _padded(prompts, left=False)
        encoder = self.net.get_encoder()
        encoded = encoder(input_ids=tokens.to(self.device), attention_mask=real.to(self.device))[0]
        first = torch.tensor(self._opening).expand(len(prompts), -1).to(self.device)
        start = ReadingState(None, first[:, :0], first[:, :0], torch.empty(0), encoded, real.to(self.device))
        return self._read(start, first, torch.ones_like(first))

    @cached_property
    def _opening(self) -> list[int]:
        """The tokens that the decoder begins with."""
        settings = getattr(self.net, "generation_config", None)
        first = getattr(settings, "decoder_start_token_id", None)
        first = self.net.config.decoder_start_token_id if first is None else first
        if first is None:
            first = self.net.config.bos_token_id if self.net.config.bos_token_id is not None else self.ends[0]
        forced = getattr(settings, "forced_bos_token_id", None)
        return [int(first), *([int(forced)] if forced is not None else [])]

    def _read(self, state: ReadingState, tokens: Tensor, real: Tensor) -> tuple[ReadingState, Tensor]:
        """Read more tokens [n, new] of each row."""
        tokens, real = tokens.to(self.device), real.to(self.device)
        tokens_read = torch.cat([state.tokens_read.to(self.device), tokens], 1)
        all_real = torch.cat([state.real.to(self.device), real], 1)
        without_past = state.past is None  # at first, and at each step of a network without a cache
        arguments: dict[str, Any] = {"use_cache": True} if "use_cache" in self._forward_kwargs else {}
        if "logits_to_keep" in self._forward_kwargs:
            arguments["logits_to_keep"] = 1
        if not without_past:
            arguments["past_key_values"] = state.past
        inputs = tokens_read if without_past else tokens
        if self.is_seq2seq:
            arguments |= {"decoder_input_ids": inputs, "attention_mask": state.encoded_real}
            arguments["encoder_outputs"] = (state.encoded,)
        else:
            arguments |= {"input_ids": inputs, "attention_mask": all_real}
            if "position_ids" in self._forward_kwargs:
                positions = (all_real.cumsum(1) - 1).clamp_min(0)
                arguments["position_ids"] = positions[:, -inputs.shape[1] :]
        output = self.net(**arguments)
        past = getattr(output, "past_key_values", None)
        last = torch.zeros(len(tokens_read), 0) if self._last is None else self._last.cpu()
        next_state = replace(state, past=past, tokens_read=tokens_read, real=all_real, last=last)
        return next_state, self._next_token_logits(output.logits)

    def advance(self, state: ReadingState, tokens: Tensor) -> tuple[ReadingState, Tensor]:
        """Read one more token of each row."""
        return self._read(state, tokens[:, None], torch.ones_like(tokens[:, None]))

    def keep(self, state: ReadingState, rows: Tensor) -> ReadingState:
        """The state of these rows; the state of all rows cannot be used any more."""
        last, rows = state.last[rows], rows.to(self.device)
        if state.past is not None:
            state.past.batch_select_indices(rows)
        encoded, encoded_real = state.encoded, state.encoded_real
        return ReadingState(
            state.past,
            state.tokens_read[rows],
            state.real[rows],
            last,
            None if encoded is None else encoded[rows],
            None if encoded_real is None else encoded_real[rows],
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the token after each one: [n, length] -> [n, length, vocabulary]; causal models only."""
        if self.is_seq2seq:
            raise OptionError(
                "a sequence-to-sequence model reads prompts and answers separately; use `answer_logits`"
            )
        return self.net(input_ids=tokens, **self._no_cache()).logits  # type: ignore[no-any-return]

    def _no_cache(self) -> dict[str, bool]:
        return {"use_cache": False} if "use_cache" in self._forward_kwargs else {}

    # Learning

    def answer_logits(self, rows: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the answers' tokens and the tokens themselves: [tokens, vocabulary], [tokens].

        rows: [n, length] of tokens plus one, padded with FILL; starts: [n], where answers begin.
        """
        rows, starts = rows[:, : int((rows != FILL).sum(1).max())].to(self.device), starts.to(self.device)
        return (
            self._seq2seq_answer_logits(rows, starts)
            if self.is_seq2seq
            else self._causal_answer_logits(rows, starts)
        )

    def _causal_answer_logits(self, rows: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        tokens, real = (rows - 1).clamp_min(0), rows != FILL
        output = self.net(input_ids=tokens[:, :-1], attention_mask=real[:, :-1].long(), **self._no_cache())
        positions = torch.arange(1, rows.shape[1], device=rows.device)
        learned = real[:, 1:] & (positions >= starts[:, None])
        return output.logits[learned].float(), tokens[:, 1:][learned]

    def _seq2seq_answer_logits(self, rows: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        parts = [(row[:start], row[start:]) for row, start in zip(rows, starts.tolist(), strict=True)]
        prompt_tokens, prompt_real = _padded(
            [(prompt[prompt != FILL] - 1) for prompt, _ in parts], left=False
        )
        answer, answer_real = _padded([(answer[answer != FILL] - 1) for _, answer in parts], left=False)
        opening = torch.tensor(self._opening, device=rows.device).expand(len(rows), -1)
        output = self.net(
            input_ids=prompt_tokens,
            attention_mask=prompt_real,
            decoder_input_ids=torch.cat([opening, answer[:, :-1]], 1),
            **self._no_cache(),
        )
        learned = answer_real.bool()
        return output.logits[:, opening.shape[1] - 1 :][learned].float(), answer[learned]

    def loss(self, tokens: Tensor, starts: Tensor) -> Tensor:
        """Mean negative log-likelihood of an answer's token, in nats."""
        logits, targets = self.answer_logits(tokens, starts)
        return self.shared_mean(F.cross_entropy(logits, targets), len(targets))


def _padded(rows: Sequence[Tensor], *, left: bool) -> tuple[Tensor, Tensor]:
    """Rows padded to the longest, and 1 where they are no padding: [n, length] twice."""
    longest = max(len(row) for row in rows)

    def padding(row: Tensor) -> tuple[int, int]:
        return (longest - len(row), 0) if left else (0, longest - len(row))

    tokens = torch.stack([F.pad(row.long(), padding(row)) for row in rows])
    return tokens, torch.stack([F.pad(torch.ones_like(row.long()), padding(row)) for row in rows])


def _distinct_runs(prompts: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Prompts without those that equal the one before, and the index into them of every prompt."""
    different: list[Tensor] = []
    indices = []
    for prompt in prompts:
        if not different or not torch.equal(prompt, different[-1]):
            different.append(prompt)
        indices.append(len(different) - 1)
    return different, torch.tensor(indices)
