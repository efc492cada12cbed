"""How a pretrained model is spoken to: prompts and answers as its tokens, in the form it knows.

A model with a chat template is asked in it. One without is shown `Input: ... Output:` when it is told what to do or
was tuned so, and goes on with the bare text otherwise. A sequence-to-sequence model reads the text itself.
"""

from collections.abc import Sequence
from typing import Any

from tolerate.errors import DataError

NEXT = "\nInput:"  # where a model that was shown examples goes on with an example of its own

PROBE_TOKENS = 10  # tokens that surely hold it


class PromptFormat:
    """A tokenizer and the form of a prompt."""

    def __init__(self, tokenizer: Any, pairs: bool, end: int, chat: bool, tuned: bool) -> None:
        """pairs: sequence to sequence. end: the token that closes an answer. tuned: it learned the form."""
        self.tokenizer, self.pairs, self.end, self.tuned = tokenizer, pairs, end, tuned
        self.chats = chat and not pairs and bool(getattr(tokenizer, "chat_template", None))

    def head(self, prompt: str, system: str = "") -> list[int]:
        """What is read before an answer is written; never empty."""
        return self.heads([prompt], system)[0]

    def heads(self, prompts: Sequence[str], system: str = "") -> list[list[int]]:
        """The same for many prompts."""
        form = self._chat if self.chats else self._form
        numbers = self._numbers([form(prompt, system) for prompt in prompts], special=not self.chats)
        if not (self.pairs or self.chats):
            for row in numbers:
                while row and row[-1] == self.end:  # some tokenizers close every text
                    row.pop()
        return [row or [self._opening] for row in numbers]

    def rows(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[list[int], int]]:
        """Prompt, answer and end as one row each, and where the answers begin."""
        heads = self.heads([prompt for prompt, _ in pairs])
        before = "" if self.pairs or self.chats else " "
        answers = self._numbers([before + answer for _, answer in pairs], special=False, answer=True)
        return [([*head, *answer, self.end], len(head)) for head, answer in zip(heads, answers, strict=True)]

    def text(self, numbers: Sequence[int]) -> str:
        """The answer that some tokens say, without blanks around it."""
        return self._shown(numbers).encode("utf-8", "replace").decode().strip()

    def goes_on(self, system: str) -> bool:
        """Whether a model may go on with an example of its own: it was shown some, in no form that ends answers."""
        return bool(system) and not (self.chats or self.pairs or self.tuned)

    def said_enough(self, numbers: Sequence[int]) -> bool:
        """Whether the last tokens begin another example."""
        return NEXT in self._shown(numbers[-PROBE_TOKENS:])

    def cut(self, numbers: Sequence[int], system: str) -> int:
        """How many tokens belong to the answer."""
        if not self.goes_on(system):
            return len(numbers)
        where = self._shown(numbers).find(NEXT)
        if where < 0:
            return len(numbers)
        low, high = 0, len(numbers)
        while low < high:  # the most tokens that say nothing of it yet
            middle = (low + high + 1) // 2
            if len(self._shown(numbers[:middle])) > where:
                high = middle - 1
            else:
                low = middle
        return low

    def _shown(self, numbers: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(list(numbers), skip_special_tokens=True)
        return text

    @property
    def _opening(self) -> int:
        token = self.tokenizer.bos_token_id
        return self.end if token is None else int(token)

    def _numbers(self, texts: Sequence[str], *, special: bool, answer: bool = False) -> list[list[int]]:
        """Texts as numbers; a translator's tokenizer may have other numbers for answers."""
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        argument = {"text_target" if answer and self.pairs else "text": clean}
        numbers: list[list[int]] = self.tokenizer(**argument, add_special_tokens=special)["input_ids"]
        return numbers

    def _form(self, prompt: str, system: str) -> str:
        preamble = f"{system}\n\n" if system else ""
        if self.pairs or not (system or self.tuned):
            return preamble + prompt
        return f"{preamble}Input: {prompt}\nOutput:"

    def _chat(self, prompt: str, system: str) -> str:
        user_messages = [{"role": "user", "content": prompt}]
        system_messages = [{"role": "system", "content": system}] if system else []
        try:
            return self._templated([*system_messages, *user_messages])
        except Exception as error:
            if not system:
                raise DataError(f"the chat template cannot be used: {error}; add #chat=no") from None
            whole = f"{system}\n\n{prompt}"  # some templates know no system
            return self._templated([{"role": "user", "content": whole}])

    def _templated(self, messages: list[dict[str, str]]) -> str:
        text: str = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return text
