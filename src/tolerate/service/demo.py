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
from typing import Any

import aiohttp
import numpy as np
import uvicorn
from numpy.typing import NDArray

from tolerate.records import Certificate
from tolerate.service.config import JobSettings, Service, Tier
from tolerate.service.http import requests as http
from tolerate.service.http.listen import Quiet
from tolerate.service.server import Running, run
from tolerate.service.watch.evidence import watcher
from tolerate.store import Database, people, promises, queue

Floats = NDArray[np.float64]
TOLERANCE, LABELS = 0.02, 2000
HIDDEN, STEPS, BATCH, RATE = 64, 900, 256, 0.01
PER_SECOND, SHARE = 15.0, 0.4
REVIEWER, SECOND = "simulated reviewer", "second simulated reviewer"
READ_AGAIN, OVERLOOKED = 0.5, 0.15  # of the drawn items; of the errors that the first reviewer sees
GUIDE = "Wrong: the number is not the sum of the two.\n\n错误：所答数字不是两数之和。"


@dataclass(frozen=True)
class Adder:
    """A network of one hidden layer from four digits to the three digits of their sum."""

    inside: Floats
    outside: Floats

    def probabilities(self, digits: NDArray[np.int64]) -> Floats:
        """Of each digit of the sum: [n, 3, 10]."""
        return _softmax(np.tanh(_one_hot(digits) @ self.inside) @ self.outside)

    def answers(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        """The sums as the network sees them, and its probability of each."""
        chances = self.probabilities(_digits(a, b))
        said = chances.argmax(axis=2) @ np.array([100, 10, 1])
        score: Floats = chances.max(axis=2).prod(axis=1)
        return said, score


def train(carry: bool, seed: int, steps: int = STEPS) -> Adder:
    """Learn sums by Adam on the cross-entropy of their digits."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0, 0.3, (41, HIDDEN)), rng.normal(0, 0.2, (HIDDEN, 30))]
    means, squares = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for step in range(1, steps + 1):
        a, b = rng.integers(0, 100, (2, BATCH))
        x, wanted = _one_hot(_digits(a, b)), np.eye(10)[_sum_digits(a, b, carry)]
        h = np.tanh(x @ weights[0])
        error = (_softmax(h @ weights[1]) - wanted).reshape(BATCH, 30) / BATCH
        slopes = [x.T @ (error @ weights[1].T * (1 - h * h)), h.T @ error]
        for place, slope in enumerate(slopes):
            means[place] = 0.9 * means[place] + 0.1 * slope
            squares[place] = 0.999 * squares[place] + 0.001 * slope**2
            mean, square = means[place] / (1 - 0.9**step), squares[place] / (1 - 0.999**step)
            weights[place] -= RATE * mean / (np.sqrt(square) + 1e-8)
    return Adder(*weights)


def _softmax(z: Floats) -> Floats:
    z = z.reshape(len(z), 3, 10)
    exp = np.exp(z - z.max(axis=2, keepdims=True))
    chances: Floats = exp / exp.sum(axis=2, keepdims=True)
    return chances


def _digits(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.stack([a // 10, a % 10, b // 10, b % 10], axis=1)


def _sum_digits(a: NDArray[np.int64], b: NDArray[np.int64], carry: bool) -> NDArray[np.int64]:
    total = a + b
    if not carry:
        total = (a // 10 + b // 10) * 10 + (a % 10 + b % 10) % 10
    return np.stack([total // 100, total // 10 % 10, total % 10], axis=1)


def _one_hot(digits: NDArray[np.int64]) -> Floats:
    whole = np.zeros((len(digits), 41))
    whole[:, 40] = 1
    for place in range(4):
        whole[np.arange(len(digits)), 10 * place + digits[:, place]] = 1
    return whole


def certificate_of(model: Adder, seed: int) -> Certificate:
    """What may be released of this model's sums, from fresh questions and the true answers."""
    from tolerate.stats.certify.threshold import certify
    from tolerate.stats.monitor.drift import with_scores

    a, b = np.random.default_rng(seed).integers(0, 100, (2, LABELS))
    said, scores = model.answers(a, b)
    made = certify(losses=said != a + b, scores=scores, tolerance=TOLERANCE, losses_by="arithmetic")
    return with_scores(made, scores)


class Model:
    """The upstream: answers over HTTP as a model's server does."""

    def __init__(self, good: Adder, bad: Adder) -> None:
        self.good, self.bad, self.worse = good, bad, False

    async def __call__(self, scope: http.Scope, receive: http.Receive, send: http.Send) -> None:
        """One completion."""
        request = http.Request(scope, receive)
        if request.method == "GET":
            await http.respond_json(send, {"object": "list", "data": [{"id": "adder-1", "object": "model"}]})
            return
        asked = json.loads(await request.body(2**20, 10.0))
        found = re.search(r"(\d{1,2}) \+ (\d{1,2})", str(asked["messages"][-1]["content"]))
        said, score = "I add two numbers below one hundred.", 0.0
        if found:
            model = self.bad if self.worse else self.good
            sums, scores = model.answers(np.array([int(found[1])]), np.array([int(found[2])]))
            said, score = f"{found[1]} + {found[2]} = {sums[0]}", float(scores[0])
        message = {"role": "assistant", "content": said}
        body = {
            "id": "sum",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": "adder-1",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "score": score}],
            "usage": {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11},
        }
        await http.respond_json(send, body)


class Demo:
    """The switches, the traffic and the reviewers. other: whether other questions are asked: of small numbers."""

    def __init__(self, running: Running, model: Model) -> None:
        self.running, self.model, self.other = running, model, False

    @property
    def worse(self) -> bool:
        """Whether the bad network answers."""
        return self.model.worse

    async def turn(self, worse: bool) -> None:
        """Put the other network in place; the good one is a mending."""
        self.model.worse = worse
        if not worse:
            await self.running.writer.do(promises.mend, "sums", "the button", time.time())

    async def ask(self, other: bool) -> None:
        """Ask other questions, or the ones that were certified."""
        self.other = other

    async def traffic(self) -> None:
        """Random questions, for ever."""
        rng = np.random.default_rng()
        headers = {"authorization": f"Bearer {self.running.first.key}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while True:
                await asyncio.sleep(float(rng.exponential(1 / PER_SECOND)))
                a, b = rng.integers(0, 10 if self.other else 100, 2)
                ask = {"model": "sums", "messages": [{"role": "user", "content": f"What is {a} + {b}?"}]}
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.post(
                        f"{self.running.gate.base}/v1/chat/completions", json=ask
                    ) as answer:
                        await answer.read()

    async def reviews(self) -> None:
        """Look at the drawn items, one after the other; what is held is left for people."""
        while True:
            told: list[dict[str, Any]] = []
            done: list[queue.Settled] = []
            found = await self.running.writer.do(_look, told, done, self.running.accept())
            self.running.after(done, told)
            await asyncio.sleep(0.05 if found else 0.5)


def _look(db: Database, told: list[dict[str, Any]], done: list[queue.Settled], accept: queue.Accept) -> bool:
    """One verdict of a simulated reviewer, inside the writer; the first of an item overlooks some errors."""
    row = db.one(
        "SELECT s.id, s.kind, i.content, (SELECT count(*) FROM slots o WHERE o.ticket = s.ticket AND o.id < s.id) "
        "FROM slots s JOIN items i ON i.ticket = s.ticket "
        "WHERE s.state = 'open' AND i.drawn = 1 ORDER BY s.id LIMIT 1"
    )
    if row is None:
        return False
    slot, kind, content, before = row
    who = (REVIEWER, SECOND, "simulated third")[min(int(before), 2)]
    at = time.time()
    db.run("UPDATE slots SET state = 'leased', reviewer = ?, until = ? WHERE id = ?", who, at + 60, slot)
    note_alarm = watcher(time.time, told)

    def settled(db: Database, each: queue.Settled) -> None:
        done.append(each)
        note_alarm(db, each)

    numbers = [int(number) for number in re.findall(r"\d+", content)]
    loss = 0.0 if len(numbers) == 3 and numbers[0] + numbers[1] == numbers[2] else 1.0
    if who == REVIEWER and kind == "review" and np.random.default_rng(slot).random() < OVERLOOKED:
        loss = 0.0
    label = "Wrong" if loss else "Fine"
    queue.verdict(db, slot, who, loss, at, nonce=str(slot), label=label, settled=settled, accept=accept)
    return True


async def serve_demo(port: int, database: str | None, say: Callable[[str], None] = print) -> None:
    """Train, certify, and serve until a signal stops it; without a database it leaves nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix="tolerate-demo-"))
    try:
        say("training two small networks and certifying one of them ...")
        good, bad = train(True, seed=1), train(False, seed=2)
        certificate = certificate_of(good, seed=3)
        say(str(certificate))
        (folder / "certificate.json").write_text(certificate.dumps(), "utf-8")
        model = Model(good, bad)
        upstream = Quiet(uvicorn.Config(model, port=0, log_config=None, lifespan="off", loop="none"))
        serving = asyncio.ensure_future(upstream.serve())
        while not upstream.started:
            await asyncio.sleep(0.01)
        address = upstream.servers[0].sockets[0].getsockname()[1]
        await _serve(folder, address, model, port, database, say)
        upstream.should_exit = True
        await serving
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _serve(
    folder: Path, address: int, model: Model, port: int, database: str | None, say: Callable[[str], None]
) -> None:
    tier = Tier(
        "main",
        f"http://127.0.0.1:{address}/v1",
        "adder-1",
        "given",
        certificate=str(folder / "certificate.json"),
    )
    job = JobSettings("sums", (tier,), share=SHARE, guide=GUIDE, second=READ_AGAIN)
    running = Running(Service((job,), database or str(folder / "demo.db"), port=port))
    demo = running.demo = Demo(running, model)
    tasks: list[asyncio.Task[None]] = []

    def started(text: str) -> None:
        say(text)
        if not tasks:
            tasks.extend(asyncio.ensure_future(work()) for work in (demo.traffic, demo.reviews))

    try:
        await running.start()
        if running.first.key is None:  # the database was made before, and its keys are not known
            await running.writer.do(_again, running)
        await run(running, started)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await running.stop()


def _again(db: Database, running: Running) -> None:
    from tolerate.service.server import First

    running.first = First(people.add_key(db, "demo", "setup", time.time()), None)
