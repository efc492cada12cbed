"""Texts from a model behind an OpenAI-compatible server: many at once, each paid for once.

The wire format is OpenAI's chat completions (platform.openai.com/docs/api-reference/chat), which vLLM, llama.cpp,
Ollama, LM Studio and most providers speak. What a server does not know (`n`, `seed`, `logprobs`) it may refuse
or ignore: a refused field is left out from then on, and missing candidates are asked for one by one.
"""

import math
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tolerate.errors import RunError
from tolerate.llm.cache import Answers, answers_path, request_key
from tolerate.llm.connections import Line
from tolerate.llm.endpoint_names import Endpoint, endpoint
from tolerate.llm.http import Passing, Refused, post
from tolerate.llm.rate_limit import Gate, persist

CALL = "chat/completions"
MAY_GO = (
    "max_tokens",
    "top_logprobs",
    "logprobs",
    "seed",
    "temperature",
    "n",
    "stream_options",
)  # fields that a server may do without
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
SEEDS = 2**31  # servers take seeds below this
LETTERS = 4  # characters of a token, roughly, where a server does not count
Body = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """One candidate. mean, least: log-probability of a token on average and at worst; NaN where not given.

    read: tokens of its prompt; written: its own; together: how many candidates came for that prompt.
    alternatives: for each token, it first, what might have stood there with its log-probability; where asked for.
    """

    text: str
    mean: float = math.nan
    least: float = math.nan
    ended: bool = True  # False if it was cut at the limit of tokens
    read: float = 0.0
    written: float = 0.0
    together: int = 1
    alternatives: tuple[tuple[tuple[str, float], ...], ...] = ()


@dataclass(frozen=True)
class Bill:
    """What was asked and what it cost; `kept` requests were answered from the disk."""

    asked: int = 0
    kept: int = 0
    tries: int = 0  # failed ones
    read: int = 0  # tokens of the prompts
    written: int = 0  # tokens of the answers
    dollars: float = 0.0
    counted: bool = True  # False if a server did not count tokens, so that they were estimated

    def __str__(self) -> str:
        money = f", ${self.dollars:.4f}" if self.dollars else ""
        about = "" if self.counted else "about "
        return (
            f"{self.asked:,} requests asked, {self.kept:,} known, {self.tries:,} tries failed, "
            f"{about}{self.read:,} tokens read and {self.written:,} written{money}"
        )


class Served:
    """A model behind a server, asked in threads, with everything it ever answered kept on the disk.

    >>> Served("openai:m@http://127.0.0.1:1/v1", answers=None).bill.asked
    0
    """

    def __init__(self, name: str, answers: Path | str | None = "", *, gate: Gate | None = None) -> None:
        """name: `openai:MODEL@URL`. answers: the file they are kept in; by default the user's; None for none."""
        self.endpoint: Endpoint = endpoint(name)
        where = answers_path() if answers == "" else answers
        self.answers = None if where is None else Answers(Path(where))
        self.gate = gate or Gate(self.endpoint.rpm, self.endpoint.tpm)
        self.bill = Bill()
        self.left_out: set[str] = set()  # fields that the server refused
        self.streams = False  # whether the server answers in streams alone
        self.line = Line(direct=self.endpoint.local)
        self._lock = threading.Lock()

    def write(
        self,
        prompts: Sequence[str],
        candidates: int = 1,
        seed: int = 0,
        *,
        system: str = "",
        alternatives: int = 0,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[list[Answer]]:
        """Candidates for each prompt, in the order of the prompts; a prompt that comes twice is asked once.

        alternatives: how many likely tokens to ask for at each place, beside the one that was said.
        Stops at the first failure that does not pass (RunError); what was answered until then is kept.
        """
        different = list(dict.fromkeys(prompts))
        asked = [self._body(prompt, seed, candidates, system, alternatives) for prompt in different]
        found = dict(zip(different, self.ask(asked, on_progress), strict=True))
        # A server that knows no `n` sends one candidate; the others are asked for with seeds of their own.
        missing = [(p, at) for p in different for at in range(len(found[p]), candidates)]
        more = self.ask([self._body(p, seed + at, 1, system, alternatives) for p, at in missing], on_progress)
        for (prompt, _), answers in zip(missing, more, strict=True):
            found[prompt] = [*found[prompt], answers[0]]
        return [found[prompt][:candidates] for prompt in prompts]

    def ask(
        self, bodies: Sequence[Body], on_progress: Callable[[int, int], None] = lambda done, total: None
    ) -> list[list[Answer]]:
        """The candidates that each request brings, in order; known ones come from the disk."""
        keys = [request_key(self.endpoint.address(CALL), body) for body in bodies]
        known = {key: reply for key in dict.fromkeys(keys) if (reply := self._kept(key)) is not None}
        wanted = {key: body for key, body in zip(keys, bodies, strict=True) if key not in known}
        self._note(kept=len(known))
        on_progress(len(known), len(known) + len(wanted))
        new = self._ask_all(wanted, lambda done: on_progress(len(known) + done, len(known) + len(wanted)))
        replies = known | new
        return [
            priced(body, replies[key], self.endpoint.host) for key, body in zip(keys, bodies, strict=True)
        ]

    def _kept(self, key: str) -> Any | None:
        return None if self.answers is None else self.answers.get(key)

    def _ask_all(self, wanted: Mapping[str, Body], done: Callable[[int], None]) -> dict[str, Any]:
        """Ask the first alone, which shows what the server refuses, and the others side by side."""
        self.gate.stopped.clear()
        found: dict[str, Any] = {}
        waiting = list(wanted.items())
        for key, body in waiting[:1]:
            found[key] = self._ask_one(key, body)
        pool = ThreadPoolExecutor(self.endpoint.parallel)
        try:
            futures = {pool.submit(self._ask_one, key, body): key for key, body in waiting[1:]}
            for future in as_completed(futures):
                found[futures[future]] = future.result()
                done(len(found))
        except BaseException:
            self.gate.stopped.set()  # wakes those that wait; a request under way is paid for, so it may end
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return found

    def _ask_one(self, key: str, body: Body) -> Any:
        """One reply, kept before anybody sees it."""
        expected = self._expected(body)
        reply = persist(
            lambda: self._send(body),
            self.gate,
            tries=self.endpoint.tries,
            longest=self.endpoint.patience,
            tokens=expected,
            failed=lambda _: self._note(tries=1),
        )
        if self.answers is not None:
            self.answers.put(key, body, reply)
        self.gate.settle(expected, self._charge(body, reply))
        return reply

    def _send(self, body: Body) -> Any:
        """Ask once; a field that the server refuses is left out, now and from then on."""
        self._stop_when_spent()
        while True:
            sent = self._without_refused(body)
            try:
                reply = post(
                    self.endpoint.address(CALL),
                    sent,
                    key=self.endpoint.secret(),
                    timeout=self.endpoint.timeout,
                    line=self.line,
                )
            except Refused as refusal:
                if not self.streams and wants_stream(refusal):
                    self.streams = True
                    continue
                name = blamed(refusal, sent)
                if name is None:
                    raise
                self.left_out.add(name)
                continue
            candidates_of(reply, self.endpoint.host)  # a reply that cannot be read is a failed try
            return reply

    def _stop_when_spent(self) -> None:
        if self.endpoint.most and self.bill.dollars >= self.endpoint.most:
            raise RunError(
                f"${self.bill.dollars:.4f} are spent, and most={self.endpoint.most:g} allows no more. What is "
                "finished is kept: give a higher limit and run the same command again"
            )

    def _body(self, prompt: str, seed: int, candidates: int, system: str, alternatives: int = 0) -> Body:
        """One request, as the wire has it."""
        messages = [{"role": "system", "content": clean(system)}] if system else []
        body: Body = {
            "model": self.endpoint.model,
            "messages": [*messages, {"role": "user", "content": clean(prompt)}],
            "temperature": self.endpoint.temperature,
            "max_tokens": self.endpoint.tokens,
            "seed": seed % SEEDS,
        }
        body |= {"n": candidates} if candidates > 1 else {}
        if not self.endpoint.logprobs:
            return body
        return {**body, "logprobs": True, **({"top_logprobs": alternatives} if alternatives else {})}

    def _without_refused(self, body: Body) -> Body:
        left_out = self.left_out | ({"top_logprobs"} if "logprobs" in self.left_out else set())
        whole = {**body, **STREAM} if self.streams else body
        sent = {name: value for name, value in whole.items() if name not in left_out}
        return (
            sent
            if "max_tokens" not in self.left_out
            else {**sent, "max_completion_tokens": body["max_tokens"]}
        )

    # What it costs

    def _expected(self, body: Body) -> float:
        """Tokens that a request may cost, for the limit a minute."""
        letters = sum(len(message["content"]) for message in body["messages"])
        return float(letters / LETTERS + body["max_tokens"] * body.get("n", 1))

    def _charge(self, body: Body, reply: Any) -> float:
        """Put a reply on the bill; the tokens it used."""
        read, written, counted = tokens_of(body, reply)
        dollars = (read * self.endpoint.price_in + written * self.endpoint.price_out) / 1e6
        self._note(asked=1, read=read, written=written, dollars=dollars, counted=counted)
        return float(read + written)

    def _note(self, counted: bool = True, **more: float) -> None:
        with self._lock:
            sums: dict[str, Any] = {name: getattr(self.bill, name) + value for name, value in more.items()}
            self.bill = replace(self.bill, **sums, counted=self.bill.counted and counted)


def candidates_of(reply: Any, host: str) -> list[Answer]:
    """The candidates in a reply. Raises Passing if it is not what the wire format says."""
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or not choices:
        said = reply.get("error") if isinstance(reply, dict) else None
        raise Passing(f"{host} answered without choices" + (f": {str(said)[:200]}" if said else ""))
    try:
        ordered = sorted(choices, key=lambda one: one.get("index") or 0)
        return [_answer(choice) for choice in ordered]
    except (AttributeError, KeyError, TypeError) as error:
        raise Passing(f"{host} answered with choices of another shape ({error})") from None


def _answer(choice: Mapping[str, Any]) -> Answer:
    content = choice["message"].get("content")
    if isinstance(content, list):  # in parts
        content = "".join(str(part.get("text") or "") for part in content)
    found = _log_probabilities(choice.get("logprobs"))
    mean, least = (math.fsum(found) / len(found), min(found)) if found else (math.nan, math.nan)
    ended = choice.get("finish_reason") != "length"
    return Answer(
        clean(content or ""), mean, least, ended, alternatives=_alternatives(choice.get("logprobs"))
    )


def _alternatives(given: Any) -> tuple[tuple[tuple[str, float], ...], ...]:
    """What might have stood at each place, the token that was said first; nothing where none were given."""
    listed = given.get("content") if isinstance(given, dict) else None
    places = [place for place in listed or [] if isinstance(place, dict) and place.get("top_logprobs")]
    found = [
        [place, *(other for other in place["top_logprobs"] if isinstance(other, dict))] for place in places
    ]
    return tuple(
        tuple(
            (str(one["token"]), float(one["logprob"]))
            for one in place
            if isinstance(one.get("token"), str) and isinstance(one.get("logprob"), int | float)
        )
        for place in found
    )


def _log_probabilities(given: Any) -> list[float]:
    """The log-probabilities of an answer's tokens; none where they were not given."""
    listed = given.get("content") if isinstance(given, dict) else None
    found = [token.get("logprob") for token in listed or [] if isinstance(token, dict)]
    return [min(float(one), 0.0) for one in found if isinstance(one, int | float) and math.isfinite(one)]


def clean(text: str) -> str:
    """A text that can be written as UTF-8: half a character becomes a question mark.

    >>> clean("half " + chr(0xD83D))
    'half ?'
    """
    return text.encode("utf-8", "replace").decode()


def tokens_of(body: Body, reply: Mapping[str, Any]) -> tuple[int, int, bool]:
    """Tokens read and written, and whether the server counted them itself."""
    usage = reply.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if isinstance(read, int) and isinstance(written, int):
        return read, written, True
    letters = sum(len(message["content"]) for message in body["messages"])
    answered = sum(len(answer.text) for answer in candidates_of(reply, ""))
    return math.ceil(letters / LETTERS), math.ceil(answered / LETTERS), False


def priced(body: Body, reply: Any, host: str) -> list[Answer]:
    """The candidates in a reply, each with its share of the tokens."""
    found = candidates_of(reply, host)
    read, written, _ = tokens_of(body, reply)
    return [replace(one, read=read, written=written / len(found), together=len(found)) for one in found]


def wants_stream(refusal: Refused) -> bool:
    """Whether a server refuses because it answers in streams alone.

    >>> wants_stream(Refused("", 400, {"message": "this model supports streaming only; set stream=true"}))
    True
    """
    said = str(refusal.error.get("message") or refusal).lower()
    about = refusal.error.get("param") == "stream" or re.search(r"\bstream(ing|ed)?\b", said) is not None
    denied = re.search(r"\b(not|cannot|no|un)\w*\s*(support|allow)\w*\s*stream", said) is not None
    return refusal.status in (400, 405, 422) and about and not denied


def blamed(refusal: Refused, sent: Iterable[str]) -> str | None:
    """The field that a server's refusal is about, if we can do without it.

    >>> blamed(Refused("", 400, {"message": "Unsupported parameter: 'seed'"}), ["model", "seed"])
    'seed'
    """
    if refusal.status not in (400, 422):
        return None
    param, message = refusal.error.get("param"), str(refusal.error.get("message") or refusal)
    for name in MAY_GO:
        word = rf"['\"`]{name}['\"`]" if name == "n" else rf"\b{name}\b"
        if name in sent and (param == name or re.search(word, message)):
            return name
    return None
