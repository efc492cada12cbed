"""The service with everything brought along, to try: a model trained here, its certificate, traffic, and a reviewer.

A small network learns to add two numbers below one hundred and answers "What is 17 + 25?". Its score is its own
probability of the answer. A second network learned sums without carrying; the button puts it in place of
the first, under the same name and as sure of itself: only the reviews of the random share can tell.
"""

import asyncio
import contextlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np

from tolerate.base.arrays import Floats, Ints
from tolerate.base.json_types import JsonObject
from tolerate.records import Certificate
from tolerate.service.config import JobSettings, ServiceSettings, TierSettings
from tolerate.service.http.listen import http_server
from tolerate.service.http.requests import Receive, Request, Scope, Send, respond_json
from tolerate.service.server import InitialSecrets, RunningService, listen
from tolerate.service.watch.evidence import settlement_watcher
from tolerate.store import Database, certificates, people, queue

TOLERANCE, LABELS = 0.02, 2000
HIDDEN_UNITS, STEPS, BATCH_SIZE, LEARNING_RATE = 64, 900, 256, 0.01
REQUESTS_PER_SECOND = 15.0
REVIEW_SHARE = 0.4  # of the released items
SECOND_SHARE = 0.5  # of the drawn items, which a second reviewer reads
OVERLOOKED_SHARE = 0.15  # of the errors that the first reviewer sees
REVIEWERS = ("simulated reviewer", "second simulated reviewer", "simulated third")
MODEL = "adder-1"
GUIDE = "Wrong: the number is not the sum of the two.\n\n错误：所答数字不是两数之和。"


@dataclass(frozen=True)
class Adder:
    """A network of one hidden layer from four digits to the three digits of their sum."""

    hidden_weights: Floats
    output_weights: Floats

    def probabilities(self, digits: Ints) -> Floats:
        """The probability of each digit of the sum: [n, 3, 10]."""
        return _softmax(np.tanh(_one_hot(digits) @ self.hidden_weights) @ self.output_weights)

    def answers(self, a: Ints, b: Ints) -> tuple[Ints, Floats]:
        """The sums that the network answers, and its probability of each."""
        chances = self.probabilities(_digits(a, b))
        sums = chances.argmax(axis=2) @ np.array([100, 10, 1])
        scores: Floats = chances.max(axis=2).prod(axis=1)
        return sums, scores


def train(carry: bool, seed: int, steps: int = STEPS) -> Adder:
    """Learn sums by Adam on the cross-entropy of their digits."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0, 0.3, (41, HIDDEN_UNITS)), rng.normal(0, 0.2, (HIDDEN_UNITS, 30))]
    means, squares = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for step in range(1, steps + 1):
        a, b = rng.integers(0, 100, (2, BATCH_SIZE))
        x, targets = _one_hot(_digits(a, b)), np.eye(10)[_sum_digits(a, b, carry)]
        h = np.tanh(x @ weights[0])
        error = (_softmax(h @ weights[1]) - targets).reshape(BATCH_SIZE, 30) / BATCH_SIZE
        gradients = [x.T @ (error @ weights[1].T * (1 - h * h)), h.T @ error]
        for index, gradient in enumerate(gradients):
            means[index] = 0.9 * means[index] + 0.1 * gradient
            squares[index] = 0.999 * squares[index] + 0.001 * gradient**2
            mean, square = means[index] / (1 - 0.9**step), squares[index] / (1 - 0.999**step)
            weights[index] -= LEARNING_RATE * mean / (np.sqrt(square) + 1e-8)
    return Adder(*weights)


def _softmax(z: Floats) -> Floats:
    z = z.reshape(len(z), 3, 10)
    exp = np.exp(z - z.max(axis=2, keepdims=True))
    chances: Floats = exp / exp.sum(axis=2, keepdims=True)
    return chances


def _digits(a: Ints, b: Ints) -> Ints:
    return np.stack([a // 10, a % 10, b // 10, b % 10], axis=1)


def _sum_digits(a: Ints, b: Ints, carry: bool) -> Ints:
    total = a + b
    if not carry:
        total = (a // 10 + b // 10) * 10 + (a % 10 + b % 10) % 10
    return np.stack([total // 100, total // 10 % 10, total % 10], axis=1)


def _one_hot(digits: Ints) -> Floats:
    inputs = np.zeros((len(digits), 41))
    inputs[:, 40] = 1  # the bias
    for position in range(4):
        inputs[np.arange(len(digits)), 10 * position + digits[:, position]] = 1
    return inputs


def certify_adder(model: Adder, seed: int) -> Certificate:
    """Certify a model's sums on fresh questions with the true answers."""
    from tolerate.stats.certify.threshold import certify
    from tolerate.stats.monitor.drift import with_scores

    a, b = np.random.default_rng(seed).integers(0, 100, (2, LABELS))
    sums, scores = model.answers(a, b)
    certificate = certify(losses=sums != a + b, scores=scores, tolerance=TOLERANCE, losses_by="arithmetic")
    return with_scores(certificate, scores)


class AdderServer:
    """The upstream: an ASGI application that answers as a model's server does."""

    def __init__(self, good: Adder, bad: Adder) -> None:
        self.good, self.bad, self.worse = good, bad, False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one completion, or the list of models."""
        request = Request(scope, receive)
        if request.method == "GET":
            await respond_json(send, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
            return
        body = json.loads(await request.body(2**20, 10.0))
        text, score = self._answer(str(body["messages"][-1]["content"]))
        message = {"role": "assistant", "content": text}
        answer = {
            "id": "sum",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": MODEL,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "score": score}],
            "usage": {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11},
        }
        await respond_json(send, answer)

    def _answer(self, question: str) -> tuple[str, float]:
        """The answer to a question, and its score."""
        match = re.search(r"(\d{1,2}) \+ (\d{1,2})", question)
        if match is None:
            return "I add two numbers below one hundred.", 0.0
        model = self.bad if self.worse else self.good
        sums, scores = model.answers(np.array([int(match[1])]), np.array([int(match[2])]))
        return f"{match[1]} + {match[2]} = {sums[0]}", float(scores[0])


class Demonstration:
    """The switches of the demonstration (`host.DemoControls`), its traffic and its reviewers."""

    def __init__(self, running: RunningService, model: AdderServer) -> None:
        self.running, self.model, self.other_questions = running, model, False

    @property
    def worse(self) -> bool:
        """Whether the bad network answers."""
        return self.model.worse

    async def set_worse(self, worse: bool) -> None:
        """Put the other network in place; the return of the good one is recorded as a repair."""
        self.model.worse = worse
        if not worse:
            await self.running.writer.do(certificates.mark_mended, "sums", "the button", time.time())

    async def set_other_questions(self, other: bool) -> None:
        """Ask for sums of small numbers, or the certified questions."""
        self.other_questions = other

    async def send_traffic(self) -> None:
        """Ask random questions until cancelled."""
        rng = np.random.default_rng()
        headers = {"authorization": f"Bearer {self.running.initial_secrets.key}"}
        url = f"{self.running.engine.base_url}/v1/chat/completions"
        async with aiohttp.ClientSession(headers=headers) as session:
            while True:
                await asyncio.sleep(float(rng.exponential(1 / REQUESTS_PER_SECOND)))
                a, b = rng.integers(0, 10 if self.other_questions else 100, 2)
                body = {"model": "sums", "messages": [{"role": "user", "content": f"What is {a} + {b}?"}]}
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.post(url, json=body) as response:
                        await response.read()

    async def review(self) -> None:
        """Review the drawn items, one after the other; what is held is left for people."""
        while True:
            alarms: list[JsonObject] = []
            items: list[queue.SettledItem] = []
            reviewed = await self.running.writer.do(
                _review_next, alarms, items, self.running.accepted_losses()
            )
            self.running.after_settlement(items, alarms)
            await asyncio.sleep(0.05 if reviewed else 0.5)


def _review_next(
    db: Database, alarms: list[JsonObject], items: list[queue.SettledItem], accepted: queue.AcceptedLosses
) -> bool:
    """Give one verdict of a simulated reviewer, inside the writer; whether an item waited for one.

    The first reviewer of an item overlooks some errors.
    """
    row = db.first(
        "SELECT s.id, s.kind, i.content, (SELECT count(*) FROM slots o WHERE o.ticket = s.ticket AND o.id < s.id) "
        "FROM slots s JOIN items i ON i.ticket = s.ticket "
        "WHERE s.state = 'open' AND i.drawn = 1 ORDER BY s.id LIMIT 1"
    )
    if row is None:
        return False
    slot, kind, content, earlier_slots = row
    reviewer = REVIEWERS[min(int(earlier_slots), 2)]
    now = time.time()
    db.run(
        "UPDATE slots SET state = 'leased', reviewer = ?, until = ? WHERE id = ?", reviewer, now + 60, slot
    )
    watch = settlement_watcher(time.time, alarms)

    def on_settled(db: Database, settled: queue.SettledItem) -> None:
        items.append(settled)
        watch(db, settled)

    numbers = [int(number) for number in re.findall(r"\d+", content)]
    loss = 0.0 if len(numbers) == 3 and numbers[0] + numbers[1] == numbers[2] else 1.0
    overlooked = np.random.default_rng(slot).random() < OVERLOOKED_SHARE
    if reviewer == REVIEWERS[0] and kind == "review" and overlooked:
        loss = 0.0
    label = "Wrong" if loss else "Fine"
    queue.record_verdict(
        db,
        queue.NewVerdict(slot, reviewer, loss, str(slot), label=label),
        now,
        settled=on_settled,
        accept=accepted,
    )
    return True


async def serve_demo(port: int, database: str | None, show: Callable[[str], None] = print) -> None:
    """Train, certify, and serve until a signal stops it; without a database it leaves nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix="tolerate-demo-"))
    try:
        show("training two small networks and certifying one of them ...")
        good, bad = train(True, seed=1), train(False, seed=2)
        certificate = certify_adder(good, seed=3)
        show(str(certificate))
        (folder / "certificate.json").write_text(certificate.dumps(), "utf-8")
        model = AdderServer(good, bad)
        upstream = http_server(model, "127.0.0.1", 0)
        listening = asyncio.Event()
        upstream.on_started = listening.set
        serving = asyncio.ensure_future(upstream.serve())
        await listening.wait()
        service = _service(folder, upstream.port, port, database)
        await _serve(service, model, show)
        upstream.should_exit = True
        await serving
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _service(folder: Path, model_port: int, port: int, database: str | None) -> ServiceSettings:
    """The settings of the demonstration's service."""
    tier = TierSettings(
        "main",
        f"http://127.0.0.1:{model_port}/v1",
        MODEL,
        "given",
        certificate=str(folder / "certificate.json"),
    )
    job = JobSettings("sums", (tier,), share=REVIEW_SHARE, guide=GUIDE, second=SECOND_SHARE)
    return ServiceSettings((job,), database or str(folder / "demo.db"), port=port)


async def _serve(service: ServiceSettings, model: AdderServer, show: Callable[[str], None]) -> None:
    running = RunningService(service)
    demo = running.demo = Demonstration(running, model)
    tasks: list[asyncio.Task[None]] = []

    def show_and_begin(text: str) -> None:
        show(text)
        if not tasks:
            tasks.extend(asyncio.ensure_future(work()) for work in (demo.send_traffic, demo.review))

    try:
        await running.start()
        if running.initial_secrets.key is None:  # the database existed before, and its keys are not known
            key = await running.writer.do(people.add_key, "demo", "setup", time.time())
            running.initial_secrets = InitialSecrets(key)
        await listen(running, show_and_begin)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await running.stop()
