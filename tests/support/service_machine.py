"""The state machine of the whole service against a model of a few lines: no release without a certificate that stands.

The machine asks, brings scores, withdraws (also while an answer is on its way), installs, changes what certificates
are bound to (model, prompt, judge, guide, the name the model answers under), lets reviewers lease, decide, undo, skip
and come late, moves the clock, and restarts. It narrows the certificate (DEGRADED) and lets go of that again. The model knows what must come out of each request: released exactly where
the certificate in force says so, everything else held; each item is decided once, each key press counts once.
"""

import asyncio
import shutil
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.inside import call, chat, service_of, started
from tests.support.service_fakes import certificate, database
from tests.support.waiting import DEADLINE_SECONDS
from tolerate.service.watch.evidence import settlement_watcher
from tolerate.store import certificates, connect, queue, restrictions
from tolerate.store.verify import verify

SCORES = st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])
PEOPLE = st.sampled_from(["ann", "bob"])
FILE = 0.5  # threshold of the certificate that the command line names
CHANGES = [(what, value) for what in ("model", "prompt", "guide") for value in ("a", "b")] + [
    ("judge", "none")
]


@dataclass
class Kept:
    """A certificate in the model: what became of it, and what it is bound to."""

    status: str
    bound: dict[str, str]
    served: str | None = None


class Machine(RuleBasedStateMachine):
    """What may happen to a service, and what must follow."""

    kind = "sqlite"

    @initialize()
    def open(self) -> None:
        """A service with one job and a certificate from 0.5 on; every item is drawn."""
        self.folder = Path(tempfile.mkdtemp(prefix="tolerate-machine-"))
        self.loop = asyncio.new_event_loop()
        self._databases = database(self.kind, self.folder)
        self.url, self.key = next(self._databases), ""
        self.now, self.presses = 1000.0, 0
        self.bound = {"model": "tiny", "prompt": "be kind", "judge": "given", "guide": "a guide"}
        self.kept = {FILE: Kept("active", dict(self.bound))}
        self.standing: float | None = FILE
        self.narrow: restrictions.Restriction | None = None
        self.served = "tiny"
        self.done: dict[str, list[float]] = {}
        self._start()

    def _start(self) -> None:
        tier = {name: self.bound[name] for name in ("model", "prompt", "judge")}
        service = service_of(self.url, self.folder, tier=tier, guide=self.bound["guide"], share=1.0)
        self.running, self.models = self.do(started(service))
        self.do(self.running.stop_tasks())  # the machine owns the clock
        self.key = self.running.initial_secrets.key or self.key
        self.models.model.model = self.served

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def write(self, work: Any) -> Any:
        return self.running.writer.submit(work).result(DEADLINE_SECONDS)

    def post(self, path: str, body: Any) -> Any:
        return self.do(call(self.running.app, "POST", path, body, self.key))

    # Applications

    @rule(score=SCORES, stream=st.booleans(), prompt=st.sampled_from([None, None, "be kind", "be rude"]))
    def ask(self, score: float, stream: bool, prompt: str | None) -> None:
        """A chat: released exactly if a certificate stands, everything is what it is bound to, and the score does."""
        body = chat({"say": "SECRET", "score": score}, stream=stream)
        if prompt is not None:
            body["messages"].insert(0, {"role": "system", "content": prompt})
        heard = self.post("/v1/chat/completions", body)
        self._meet_name()
        good = self._good(score) and prompt in (None, self.bound["prompt"])
        assert heard.status == 200
        assert (b"SECRET" in heard.body) == (good and self.bound["judge"] == "given"), heard.body

    def _good(self, score: float) -> bool:
        """Whether the certificate in force releases a score, and nothing narrows it there."""
        narrow = self.narrow is not None and self.narrow.holds("", score)
        return self.standing is not None and score >= self.standing and not narrow

    def _meet_name(self) -> None:
        """The first name that the model answers under is bound; another one makes the certificate void."""
        if self.standing is None:
            return
        record = self.kept[self.standing]
        record.served = record.served or self.served
        if record.served != self.served:
            self._end("void")

    @rule(score=st.one_of(SCORES, st.none()))
    def decide(self, score: float | None) -> None:
        """The rule alone."""
        heard = self.post("/v1/decide", {"job": "support", "content": "x", "score": score})
        good = score is not None and self._good(score)
        assert heard.json["decision"] == ("release" if good else "review")

    # Promises

    @rule(threshold=st.sampled_from([0.3, FILE, 0.8]))
    def install(self, threshold: float) -> None:
        """Somebody puts a certificate in force for what is configured now."""
        new_certificate = certificate(threshold=threshold)
        self.write(lambda db: certificates.propose(db, "support", "main", new_certificate, {}, "ann", 1.0))
        job = self.running.service.jobs[0]
        self.do(
            self.running.install_certificate(
                job, job.tiers[0], certificates.certificate_id(new_certificate), "ann"
            )
        )
        self._end("replaced")
        self.kept[threshold], self.standing = Kept("active", dict(self.bound)), threshold

    @rule(when=st.sampled_from(["now", "while the model answers", "after the rule was asked"]))
    def withdraw(self, when: str) -> None:
        """Somebody withdraws; what is on its way then must be held too."""
        enough = lambda db: certificates.withdraw(db, "support", None, "ann", "enough", 1.0)  # noqa: E731
        if when == "now":
            self.write(enough)
        else:
            writer, record = self.running.writer, self.running.writer.record
            if when == "while the model answers":
                self.models.between = lambda instructions: writer.do(enough)
            else:
                writer.record = lambda *arguments: (writer.submit(enough), record(*arguments))[1]
            heard = self.post("/v1/chat/completions", chat({"say": "SECRET"}))
            self.models.between, writer.record = None, record
            assert heard.status == 200 and b"SECRET" not in heard.body
            if when == "after the rule was asked":
                self._meet_name()
        self._end("withdrawn")

    @rule(band=st.sampled_from([(None, 0.5), (0.6, 0.8), (None, None)]))
    def degrade(self, band: tuple[float | None, float | None]) -> None:
        """Scores are others: a band of them is held too, from the next answer on."""
        if self.standing is None:
            return
        self.narrow = restrictions.Restriction("", (band,), share=1.0)
        id = self.running.writer.standing["support", "main"]
        self.write(lambda db: restrictions.restrict(db, id, "support", "main", self.narrow, "watch", 1.0))

    @rule()
    def ease(self) -> None:
        """Somebody says that the others are fine."""
        self.do(self.running.end_restriction(self.running.service.jobs[0], "main", "", "ann", "fine"))
        self.narrow = None

    def _end(self, status: str) -> None:
        self.narrow = None
        if self.standing is not None:
            self.kept[self.standing].status, self.standing = status, None

    @rule(change=st.sampled_from([*CHANGES, None]))
    def restart(self, change: tuple[str, str] | None) -> None:
        """Start again with something else configured, or with all as it was at first.

        A void certificate of the command line comes back where nothing else stands and everything fits again; one
        that was withdrawn or replaced never does.
        """
        self.do(self.running.stop())
        if change is None:
            self.bound |= {"model": "tiny", "prompt": "be kind", "judge": "given", "guide": "a guide"}
        else:
            self.bound[change[0]] = change[1]
        self._start()
        if self.standing is None and self.kept[FILE].status == "void":
            self.standing, self.kept[FILE].status = FILE, "active"
        if self.standing is not None and self.kept[self.standing].bound != self.bound:
            self._end("void")

    @rule(name=st.sampled_from(["tiny", "other"]))
    def model_changes(self, name: str) -> None:
        """The upstream begins to answer under another name."""
        self.served = self.models.model.model = name

    # People

    @rule(who=PEOPLE, loss=st.sampled_from([0.0, 1.0]), again=st.booleans(), late=st.booleans())
    def review(self, who: str, loss: float, again: bool, late: bool) -> None:
        """A look and a verdict; the same key press twice is one verdict; a lease that ended takes none."""
        self.now += 1
        task = self.write(lambda db: queue.lease(db, who, self.now))
        if task is None:
            return
        if late:
            self.now += queue.LEASE_SECONDS + 1
            other = self.write(lambda db: queue.lease(db, "eve", self.now))
            self.write(lambda db: queue.skip(db, other.slot, "eve"))
            return
        self.presses += 1
        nonce, alarms = str(self.presses), []

        def press(db: Any) -> bool:
            return queue.record_verdict(
                db,
                queue.NewVerdict(task.slot, who, loss, nonce),
                self.now,
                settled=self._note(settlement_watcher(lambda: self.now, alarms)),
            )

        assert self.write(press)
        assert not (again and self.write(press))
        self._alarmed(alarms)

    def _note(self, then: Any) -> Any:
        def settled(db: Any, done: queue.SettledItem) -> None:
            self.done.setdefault(done.item.ticket, []).append(done.loss)
            then(db, done)

        return settled

    def _alarmed(self, alarms: list[Any]) -> None:
        """The watch withdrew."""
        if alarms:
            self._end("withdrawn")

    @rule(who=PEOPLE)
    def undo(self, who: str) -> None:
        """The last verdict is taken back, if it is not final."""
        self.write(lambda db: queue.undo(db, who, self.now))

    @rule()
    def time_passes(self) -> None:
        """What can no longer be taken back is settled."""
        self.now += queue.UNDO_SECONDS + 1
        alarms: list[Any] = []
        note = self._note(settlement_watcher(lambda: self.now, alarms))
        self.write(lambda db: queue.settle_due(db, self.now, note))
        self._alarmed(alarms)

    # Always

    @invariant()
    def what_stands_is_what_the_model_says(self) -> None:
        """The writer, the table and the model agree, and nothing is decided twice."""
        if not hasattr(self, "running"):
            return
        expected = (
            None
            if self.standing is None
            else certificates.certificate_id(certificate(threshold=self.standing))
        )
        assert self.running.writer.standing.get(("support", "main")) == expected, self.standing
        assert all(len(losses) == 1 for losses in self.done.values()), self.done

    def teardown(self) -> None:
        """The ledger holds, and what the tables call settled was settled before our eyes."""
        if not hasattr(self, "running"):
            return
        self.do(self.running.stop())
        with closing(connect(self.url, read_only=True)) as db:
            result = verify(db)
            tickets = [row[0] for row in db.all("SELECT ticket FROM items WHERE settled IS NOT NULL")]
        self.loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        next(self._databases, None)  # it is dropped
        assert result.holds, result.faults
        assert sorted(tickets) == sorted(self.done)


class OnPostgres(Machine):
    """The same on the other database."""

    kind = "postgres"
