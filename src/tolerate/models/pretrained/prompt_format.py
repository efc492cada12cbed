"""Prompts and answers as tokens of a pretrained model, in the format it was trained on.

A model with a chat template gets prompts in it. One without gets `Input: ... Output:` where there is a system prompt or
it was tuned in that format, and continues the bare text otherwise. A sequence-to-sequence model reads the bare text.
"""

from collections.abc import Sequence

from tolerate.errors import DataError
from tolerate.models.pretrained.transformers_types import PretrainedTokenizer

NEXT_EXAMPLE = "\nInput:"  # after its answer, a model that was shown examples writes another one
PROBE_TOKENS = 10  # at the end of a text, enough to hold NEXT_EXAMPLE


class PromptFormat:
    """A tokenizer and the format of prompts."""

    def __init__(
        self, tokenizer: PretrainedTokenizer, is_seq2seq: bool, end: int, chat: bool, tuned: bool
    ) -> None:
        """end: the token that closes an answer. chat: use a chat template if there is one. tuned: on this format."""
        self.tokenizer, self.is_seq2seq, self.end, self.tuned = tokenizer, is_seq2seq, end, tuned
        self.uses_chat_template = chat and not is_seq2seq and bool(tokenizer.chat_template)

    def encode_prompt(self, prompt: str, system: str = "") -> list[int]:
        """The tokens before an answer; never empty."""
        return self.encode_prompts([prompt], system)[0]

    def encode_prompts(self, prompts: Sequence[str], system: str = "") -> list[list[int]]:
        """The tokens before the answers to many prompts."""
        form = self._chat_prompt if self.uses_chat_template else self._plain_prompt
        numbers = self._encode(
            [form(prompt, system) for prompt in prompts], special=not self.uses_chat_template
        )
        if not (self.is_seq2seq or self.uses_chat_template):
            for row in numbers:
                while row and row[-1] == self.end:  # some tokenizers add the end token to every text
                    row.pop()
        return [row or [self._opening] for row in numbers]

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[list[int], int]]:
        """Prompt, answer and end token as one row for each pair, and where its answer begins."""
        heads = self.encode_prompts([prompt for prompt, _ in pairs])
        before = "" if self.is_seq2seq or self.uses_chat_template else " "
        answers = self._encode([before + answer for _, answer in pairs], special=False, answer=True)
        return [([*head, *answer, self.end], len(head)) for head, answer in zip(heads, answers, strict=True)]

    def decode(self, numbers: Sequence[int]) -> str:
        """The text of an answer's tokens, stripped of white space."""
        return self._decoded(numbers).encode("utf-8", "replace").decode().strip()

    def may_continue_examples(self, system: str) -> bool:
        """Whether a model may write further examples after its answer: it was shown some in a format without an end."""
        return bool(system) and not (self.uses_chat_template or self.is_seq2seq or self.tuned)

    def begins_new_example(self, numbers: Sequence[int]) -> bool:
        """Whether the last tokens begin a further example."""
        return NEXT_EXAMPLE in self._decoded(numbers[-PROBE_TOKENS:])

    def answer_length(self, numbers: Sequence[int], system: str) -> int:
        """The number of tokens that belong to the answer, before a further example begins."""
        if not self.may_continue_examples(system):
            return len(numbers)
        position = self._decoded(numbers).find(NEXT_EXAMPLE)
        if position < 0:
            return len(numbers)
        low, high = 0, len(numbers)
        while low < high:  # the largest number of tokens whose text ends before it
            middle = (low + high + 1) // 2
            if len(self._decoded(numbers[:middle])) > position:
                high = middle - 1
            else:
                low = middle
        return low

    def _decoded(self, numbers: Sequence[int]) -> str:
        return self.tokenizer.decode(list(numbers), skip_special_tokens=True)

    @property
    def _opening(self) -> int:
        token = self.tokenizer.bos_token_id
        return self.end if token is None else int(token)

    def _encode(self, texts: Sequence[str], *, special: bool, answer: bool = False) -> list[list[int]]:
        """Texts as numbers; some sequence-to-sequence tokenizers encode answers differently (`text_target`)."""
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        if answer and self.is_seq2seq:
            return self.tokenizer(text_target=clean, add_special_tokens=special)["input_ids"]
        return self.tokenizer(clean, add_special_tokens=special)["input_ids"]

    def _plain_prompt(self, prompt: str, system: str) -> str:
        preamble = f"{system}\n\n" if system else ""
        if self.is_seq2seq or not (system or self.tuned):
            return preamble + prompt
        return f"{preamble}Input: {prompt}\nOutput:"

    def _chat_prompt(self, prompt: str, system: str) -> str:
        user_messages = [{"role": "user", "content": prompt}]
        system_messages = [{"role": "system", "content": system}] if system else []
        try:
            return self._apply_template([*system_messages, *user_messages])
        except Exception as error:
            if not system:
                raise DataError(f"the chat template cannot be used: {error}; add #chat=no") from None
            content = f"{system}\n\n{prompt}"  # some templates have no system role
            return self._apply_template([{"role": "user", "content": content}])

    def _apply_template(self, messages: list[dict[str, str]]) -> str:
        return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
