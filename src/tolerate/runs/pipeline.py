"""A job from data to report: prepare, train, draw, refine, check, certify, prove, write it down.

What a strategy may release is certified on one sample of requests; what the promise is worth is
then shown on fresh requests, drawn after every threshold was fixed. Each step leaves a file in
the run's folder, so that a killed run continues where it stood and ends with the same result.
"""

import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tolerate import __version__
from tolerate.base.files import slug, write_whole
from tolerate.base.folder import RunFolder
from tolerate.base.registry import attribute
from tolerate.base.workers import Crew, Task, Tell
from tolerate.checks import Verdicts
from tolerate.checks.against_people import beside
from tolerate.data import tables
from tolerate.errors import OptionError, RunError
from tolerate.llm.endpoint_names import endpoint, is_endpoint
from tolerate.llm.judge import rubric_hash
from tolerate.llm.model_names import checked as pretrained
from tolerate.llm.model_names import is_source
from tolerate.messages.certificates import sentence
from tolerate.records import Certificate, Decision, Job
from tolerate.refine.texts.refining import scored_by
from tolerate.runs.audit_session import People, Question
from tolerate.runs.summary import released, summarise
from tolerate.stats.bounds import binomial_upper
from tolerate.stats.calibration import calibration
from tolerate.stats.certify.threshold import certify

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Contents = NDArray[Any]  # [n, ...] what was made, one row an item
AUTO = 0.995  # coverage from which a job counts as released automatically
TRAINED = 0.7  # share of a model's stage that is its training
SHOWN = 2000  # plain items kept of each model, for metrics and sheets
JUDGED = {"headlines"}  # jobs in which a model may judge
BY_JUDGE = "by-judge"
PEOPLE = "people"  # the strategy that is left when nothing may be released


@dataclass(frozen=True)
class Candidates:
    """What a model made for each request, before anything is refined.

    contents: [requests, k, ...]; scores: [requests, k], the judge's; copies: [requests, k], how near
    each is to a real one it was trained on (0 and below: a copy).
    """

    contents: Contents
    scores: Floats
    copies: Floats


class Workshop(Protocol):
    """What a kind of job (pictures, text, ...) brings: data, models, judge and check."""

    def about(self) -> dict[str, Any]:
        """Data, split, reader, judge and what else the report tells of them."""

    def about_data(self) -> dict[str, Any]:
        """The data alone: name, classes, hash, split."""

    def requests(self, n: int, seed: int) -> Ints:
        """n requests, drawn independently."""

    def asked(self, request: int) -> str:
        """A request in words."""

    def train(self, model: str, folder: Path, say: "Say") -> dict[str, Any]:
        """Train one model into its folder; what the report tells of it."""

    def make(self, model: str, folder: Path, requests: Ints, candidates: int, seed: int) -> Candidates:
        """Several candidates for each request."""

    def check(self, contents: Contents, requests: Ints) -> Verdicts:
        """What counts: is each item what was asked for?"""

    def score(self, contents: Contents, requests: Ints) -> Floats:
        """The judge's opinion of items, higher is better."""

    def open_items(self, paths: Sequence[Path]) -> Contents:
        """Items from files."""

    def measure(self, model: str, contents: Contents, requests: Ints, verdicts: Verdicts) -> dict[str, Any]:
        """Quality metrics of plain items."""

    def compute_seconds(self, model: str, folder: Path, candidates: int) -> float:
        """Core-seconds to answer one request, counted from operations: the same on every machine."""

    def choose(self, refine: str, candidates: Candidates) -> tuple[Ints, Floats]:
        """Refine: which candidate answers each request (-1 for none) and its score (NaN for none)."""

    def candidates(self, refine: str) -> int:
        """How many candidates a refining specification asks for."""

    def picture(self, content: Contents) -> bytes:
        """One item as PNG."""


class Say(Protocol):
    """Where progress goes."""

    def stage(self, name: str) -> None:
        """A new stage begins."""

    def progress(self, share: float, text: str) -> None:
        """How much of the stage is done, 0 to 1."""

    def note(self, text: str) -> None:
        """Something worth reading later."""


class Quiet:
    """Says nothing."""

    def stage(self, name: str) -> None:
        """Nothing."""

    def progress(self, share: float, text: str) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Options:
    """What a user may ask of a run; the defaults come from the job."""

    data: Path | None = None
    models: tuple[str, ...] = ()
    refine: tuple[str, ...] = ()
    tolerance: float | None = None
    confidence: float | None = None
    labels: int | None = None
    proof: int | None = None
    budget: float | None = None  # seconds of training a model
    seed: int = 0
    lang: str = "en"
    steps: int | None = None  # of training a model
    device: str = "auto"
    workers: int | None = None  # processes that train beside the run; by default one a spare core
    board: bool = False  # TensorBoard's logs too
    reviews: int = 300  # items that the person judges under `review`
    review: bool = False  # a person gives the verdicts, in place of the reader
    judge: str = ""  # a model that judges: the score by-judge; in place of the reader, where a job takes one
    rubric: Path | None = None  # what the score by-judge goes by
    scores: tuple[str, ...] = ()  # scores that texts are ranked by; each is a further way to refine
    embed: str = ""  # what tells texts that are alike: letters, hf:NAME or openai:MODEL@URL
    dedupe: bool = False  # near-duplicates among the texts to learn from are dropped


@dataclass(frozen=True)
class Strategy:
    """One way to do the job: a model and how its drawings are refined."""

    model: str
    refine: str

    @property
    def name(self) -> str:
        """How people call it."""
        return self.model if self.refine == "plain" else f"{self.model} {self.refine}"


def run(
    job: Job,
    path: Path,
    options: Options | None = None,
    say: Say | None = None,
    command: str = "",
    people: People | None = None,
) -> dict[str, Any]:
    """Run a job in a folder and return its summary, the one that `report.html` shows.

    people: asks people for their verdicts, where `review` wants them; `tolerate.service.local.ask_at_desk` does so
    at a desk on this machine.

    On a finished folder nothing is done; on an interrupted one the run continues. Raises RunError
    if the folder holds another run, OptionError if an option means nothing.
    """
    options = options or Options()
    job = settle(job, options)
    if options.review and people is None:
        raise OptionError("review=True needs people=, such as tolerate.service.local.ask_at_desk")
    folder = RunFolder(path)
    try:
        finished = folder.open(
            _essence(job, options), {"command": command, "version": __version__, "made": _now()}
        )
        if finished:
            return dict(folder.once("summary.json", _missing))
        workshop: Workshop = attribute(job.workshop)(job, options, path, say or Quiet())
        return _Run(job, options, folder, workshop, say or Quiet(), command, people).whole()
    finally:
        folder.close()


def settle(job: Job, options: Options) -> Job:
    """The job with the user's wishes in place of its defaults.

    >>> from tolerate.jobs import job
    >>> settle(job("digits"), Options(tolerance=0.05, models=("vae",))).models
    ('vae',)
    """
    _between(options.tolerance, "tolerance", "0.02 or 2%")
    _between(options.confidence, "confidence", "0.95 or 95%")
    for name, number in (("labels", options.labels), ("proof", options.proof), ("reviews", options.reviews)):
        if number is not None and number < 1:
            raise OptionError(f"{name} is {number}; expected at least 1")
    if options.budget is not None and not options.budget > 0:
        raise OptionError(f"budget is {options.budget:g} s; expected a positive time such as 60s")
    if job.needs_data and options.data is None:
        raise OptionError(f"the job {job.name} needs --data; try: {job.example}")
    models = tuple(dict.fromkeys(options.models)) or job.models
    if not models:
        raise OptionError(f"the job {job.name} needs --models; try: {job.example}")
    for name in filter(is_endpoint, models):
        endpoint(name)  # refused here, before anything is written
    for name in filter(is_source, models):
        pretrained(name)
    for name in ("judge", "rubric", "embed", "dedupe"):
        if getattr(options, name) and not writes(job):
            raise OptionError(f"the job {job.name} writes no texts and takes no --{name}")
    refine = with_scores(job, tuple(dict.fromkeys(options.refine)) or job.refine, options.scores)
    if options.judge:
        if job.name not in JUDGED and not any(BY_JUDGE in name.split("+") for name in refine):
            score = "; it may be a score: add --scores own,judge" if writes(job) else ""
            raise OptionError(f"the job {job.name} has a check of its own and takes no --judge{score}")
        endpoint(options.judge)
    tolerance = options.tolerance or job.tolerance
    return replace(
        job,
        models=models,
        refine=refine,
        tolerance=tolerance,
        tolerances=tuple(sorted({*job.tolerances, tolerance}, reverse=True)),
        confidence=options.confidence or job.confidence,
        labels=options.labels or job.labels,
        proof=options.proof or job.proof,
    )


def writes(job: Job) -> bool:
    """Whether a job writes texts, which may be ranked by other scores; `support` only chooses among intents."""
    return job.kind == "texts" and job.name != "support"


def with_scores(job: Job, refine: tuple[str, ...], scores: tuple[str, ...]) -> tuple[str, ...]:
    """Each way to refine, ranked by each of these scores; the job's own score goes by its name or `own`.

    >>> from tolerate.jobs import job
    >>> with_scores(job("casenotes"), ("plain", "vote-of-4"), ("verifier", "votes"))
    ('plain', 'vote-of-4', 'vote-of-4+by-votes')
    """
    if not scores:
        return refine
    if not writes(job):
        raise OptionError(f"the job {job.name} writes no texts and takes no --scores")
    named = [
        name if score in (job.judge, "own") else scored_by(name, score) for name in refine for score in scores
    ]
    found = tuple(dict.fromkeys(name for name in named if name is not None))
    if not found:
        raise OptionError(f"no way to refine here can rank by {', '.join(scores)}; try --refine vote-of-4")
    return found


def _between(value: float | None, name: str, example: str) -> None:
    if value is not None and not 0 < value < 1:
        raise OptionError(f"{name} is {value:g}; expected a share between 0 and 1, such as {example}")


def _essence(job: Job, options: Options) -> dict[str, Any]:
    """What the result depends on."""
    data = None if options.data is None else str(options.data.resolve())
    chosen = {
        "data": data,
        "seed": options.seed,
        "budget": options.budget,
        "review": options.review,
        **{
            name: getattr(options, name)
            for name in ("judge", "steps", "embed", "dedupe")
            if getattr(options, name)
        },
        **({"reviews": options.reviews} if options.review else {}),
        **({"rubric": rubric_hash(options.rubric)} if options.rubric else {}),
    }
    keep = ("name", "models", "refine", "tolerance", "confidence", "labels", "proof", "tolerances")
    return {"job": job.name, **chosen, **{key: getattr(job, key) for key in keep if key != "name"}}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _missing() -> Any:
    raise RunError(
        "the folder has DONE but no summary.json; start again with --fresh or choose another --out"
    )


@dataclass(frozen=True)
class _Run:
    """One run at work: each method is a stage that leaves its file."""

    job: Job
    options: Options
    folder: RunFolder
    workshop: Workshop
    say: Say
    command: str
    people: People | None = None

    def whole(self) -> dict[str, Any]:
        """All stages in order."""
        began = time.monotonic()
        about = self.folder.once("prepared.json", self.workshop.about)
        with Crew(self.options.workers) as crew:
            trainings = {name: self._training(crew, name) for name in self.job.models}
            models = [self._model(name, trainings[name]) for name in self.job.models]
        self.say.stage("certify")
        strategies = self.folder.once("strategies.json", self._strategies)
        best = self.folder.once("best.json", lambda: self._best(strategies))
        main = self._main(strategies, best)
        certificate = self._certificate(main)
        self.say.stage("prove")
        fresh = {name: self._fresh(self._named(name)) for name in _released_by(best)}
        proofs = [None if row["zone"] == "none" else _proof(row, fresh[row["strategy"]]) for row in best]
        self._items(main, certificate, fresh[main.name] if main.name in fresh else self._fresh(main))
        self.say.stage("report")
        summary = self.folder.once(
            "summary.json",
            lambda: summarise(
                self.job,
                self.options,
                self.workshop,
                self.folder,
                self.command,
                about,
                models,
                strategies,
                best,
                certificate,
                proofs,
                fresh,
                time.monotonic() - began,
            ),
        )
        self._report(summary)
        self.folder.finish()
        return dict(summary)

    def _training(self, crew: Crew, name: str) -> Task | None:
        """The training of one model under way; None if it was done before."""
        if (self.folder.path / "models" / slug(name) / "about.json").exists():
            return None
        return crew.submit(train_one, self.job, self.options, self.folder.path, name)

    def _model(self, name: str, training: Task | None) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Wait for one model's training, let it answer the sample of requests, measure it."""
        self.say.stage(name)
        folder = self.folder.path / "models" / slug(name)
        about = self.folder.once(
            f"models/{slug(name)}/about.json", lambda: training.result(self._told) if training else _gone()
        )
        self.say.progress(TRAINED, f"{self.job.labels:,} requests")
        drawn = self.folder.once_arrays(f"drawn/{slug(name)}.npz", lambda: self._draw(name, folder))
        metrics = self.folder.once(f"models/{slug(name)}/metrics.json", lambda: self._measure(name, drawn))
        return {**about, "metrics": metrics}, drawn

    def _told(self, share: float, text: str) -> None:
        self.say.progress(share * TRAINED, text)

    def _draw(self, model: str, folder: Path) -> dict[str, NDArray[Any]]:
        """The sample's answers by every refining of one model: losses and scores, a row a request."""
        requests = self.workshop.requests(self.job.labels, self._seed("sample"))
        answers = self._answer(model, folder, requests, self.job.refine, self._seed("sample", model))
        plain = answers[self.job.refine[0]] if "plain" not in answers else answers["plain"]
        kept = {"shown": plain.contents[:SHOWN], "shown_read": np.array(plain.reads[:SHOWN])}
        for refine, answer in answers.items():
            kept |= {f"loss {refine}": answer.losses, f"score {refine}": answer.scores}
        return {**kept, "requests": requests, "loss shown": plain.losses[:SHOWN]}

    def _answer(
        self, model: str, folder: Path, requests: Ints, refines: Sequence[str], seed: int
    ) -> dict[str, "_Answers"]:
        """One answer to each request by each refining; candidates are drawn and checked once for all."""
        count = max(self.workshop.candidates(refine) for refine in refines)
        candidates = self.workshop.make(model, folder, requests, count, seed)
        chosen = {refine: self.workshop.choose(refine, candidates) for refine in refines}
        rows = np.arange(len(requests))
        wanted = np.zeros(candidates.scores.shape, dtype=bool)
        for index, _ in chosen.values():
            wanted[rows[index >= 0], index[index >= 0]] = True
        at, which = np.nonzero(wanted)
        verdicts = self.workshop.check(candidates.contents[at, which], requests[at])
        place = np.full(wanted.shape, -1)
        place[at, which] = np.arange(len(at))
        return {
            refine: _Answers.of(candidates.contents[rows, index], place[rows, index], index, score, verdicts)
            for refine, (index, score) in chosen.items()
        }

    def _measure(self, model: str, drawn: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        verdicts = Verdicts(drawn["loss shown"], [str(read) for read in drawn["shown_read"]])
        return self.workshop.measure(model, drawn["shown"], drawn["requests"][:SHOWN], verdicts)

    def _strategies(self) -> list[dict[str, Any]]:
        """Every strategy with what its sample proves at each tolerance, all of them at once."""
        names = [Strategy(model, refine) for model in self.job.models for refine in self.job.refine]
        return [self._strategy(strategy, len(names)) for strategy in names]

    def _strategy(self, strategy: Strategy, among: int) -> dict[str, Any]:
        losses, scores = self._sample(strategy)
        candidates = self.workshop.candidates(strategy.refine)
        folder = self.folder.path / "models" / slug(strategy.model)
        seconds = self.workshop.compute_seconds(strategy.model, folder, candidates)
        scoring = getattr(self.workshop, "scoring_seconds", None)  # where a score costs more than a glance
        seconds += scoring(strategy.refine) if scoring else 0.0
        certificates = [
            certify(
                losses=losses,
                scores=scores,
                clusters=np.arange(len(losses)),  # requests are drawn one by one: each its own cluster
                tolerance=tolerance,
                confidence=self.job.confidence,
                comparisons=among,
            )
            for tolerance in self.job.tolerances
        ]
        return {
            "id": strategy.name,
            "model": strategy.model,
            "refine": strategy.refine,
            **self._calibration(strategy, losses, scores),
            "candidates": candidates,
            "compute_seconds": seconds,
            "labels": len(losses),
            "risk": float(losses.mean()),
            "points": [self._point(certificate, seconds) for certificate in certificates],
        }

    def _calibration(self, strategy: Strategy, losses: Floats, scores: Floats) -> dict[str, Any]:
        """How a score that claims to be a chance keeps its word; nothing for other scores."""
        claims = getattr(self.workshop, "claims_chance", None)
        given = scores[~np.isnan(scores)]
        if claims is None or not claims(strategy.refine) or not len(given):
            return {}
        if given.min() < 0 or given.max() > 1 + 1e-6:  # a judge of the user's own, on a scale of its own
            return {}
        return {"calibration": calibration(np.minimum(scores, 1.0), losses == 0).to_json()}

    def _point(self, certificate: Certificate, seconds: float) -> dict[str, Any]:
        """One tolerance on a strategy's line of the map."""
        return {
            "tolerance": certificate.tolerance,
            "scope": certificate.scope,
            "threshold": certificate.threshold,
            "coverage": certificate.coverage,
            "cost": self._cost(certificate.coverage, seconds),
        }

    def _cost(self, coverage: float, seconds: float) -> float:
        """Price of an accepted item: the compute of a request, and a person where it is not released."""
        prices = self.job.prices
        if coverage == 0:
            return prices.review
        return prices.compute * seconds + prices.review * (1 - coverage)

    def _sample(self, strategy: Strategy) -> tuple[Floats, Floats]:
        drawn = self.folder.once_arrays(f"drawn/{slug(strategy.model)}.npz", _gone)
        return drawn[f"loss {strategy.refine}"], drawn[f"score {strategy.refine}"]

    def _best(self, strategies: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The cheapest strategy at each tolerance; where none may release anything, people."""
        rows = []
        for place, tolerance in enumerate(self.job.tolerances):
            strategy = min(strategies, key=lambda one: one["points"][place]["cost"])
            point = strategy["points"][place]
            name = strategy["id"] if point["scope"] != "nothing" else PEOPLE
            zone = "none" if name == PEOPLE else "auto" if point["coverage"] >= AUTO else "part"
            rows.append({**point, "tolerance": tolerance, "strategy": name, "zone": zone})
        return rows

    def _main(self, strategies: Sequence[Mapping[str, Any]], best: Sequence[Mapping[str, Any]]) -> Strategy:
        """The strategy that the run's own tolerance gets; if nothing is proven there, the least wrong."""
        row = best[self.job.tolerances.index(self.job.tolerance)]
        if row["strategy"] == PEOPLE:
            found = min(strategies, key=lambda one: one["risk"])
        else:
            found = next(one for one in strategies if one["id"] == row["strategy"])
        return Strategy(found["model"], found["refine"])

    def _certificate(self, main: Strategy) -> Certificate:
        """The run's promise, beside the labels it rests on: `tolerate verify` recomputes it."""
        path = self.folder.path / "certificate.json"
        if not path.exists():
            labels = self.folder.path / "labels.parquet"
            by = self._by_person(main, labels) if self.options.review else self._by_reader(main, labels)
            among = 1 if self.options.review else len(self.job.models) * len(self.job.refine)
            certificate = certify(
                tables.read(labels, loss="loss", score="score", cluster="request"),
                tolerance=self.job.tolerance,
                confidence=self.job.confidence,
                comparisons=among,
            )
            write_whole(path, replace(certificate, losses_by=by, made=_now()).dumps().encode())
        return Certificate.loads(path.read_text("utf-8"))

    def _by_reader(self, main: Strategy, path: Path) -> str:
        """Write the sample of the chosen strategy as the reader labelled it; who gave the losses."""
        drawn = self.folder.once_arrays(f"drawn/{slug(main.model)}.npz", _gone)
        self._labels(path, drawn["requests"], *self._sample(main))
        return str(self.folder.once("prepared.json", _gone)["reader"]["sentence"])

    def _by_person(self, main: Strategy, path: Path) -> str:
        """A person judges fresh answers of the strategy that the reader's map chose.

        The sample is new, so the choice costs nothing: one strategy is tested, at the full confidence.
        """
        answers = self._fresh(main, "review", self.options.reviews)
        questions = [
            self._question(content, self.workshop.asked(int(request)))
            for content, request in zip(answers["contents"], answers["requests"], strict=True)
        ]
        self.say.stage("review")
        assert self.people is not None
        judged = self.people(questions, self.folder.path)
        losses = np.array(judged.losses)
        self._labels(path, answers["requests"], losses, answers["scores"])
        check = self.folder.once("prepared.json", _gone)["reader"]["name"]
        told = beside(check, answers["losses"], losses, self._sample(main)[0])
        return f"{judged.by}; {sentence('unmeasured', more=told)}"

    def _question(self, content: Any, asked: str) -> Question:
        kept = self._kept(content)
        return Question(asked, text=kept) if isinstance(kept, str) else Question(asked, media=kept)

    def _labels(self, path: Path, requests: Ints, losses: Floats, scores: Floats) -> None:
        asked = [self.workshop.asked(int(request)) for request in requests]
        tables.write(
            path, {"request": np.arange(len(losses)), "asked": asked, "score": scores, "loss": losses}
        )

    def _named(self, name: str) -> Strategy:
        strategies = (Strategy(model, refine) for model in self.job.models for refine in self.job.refine)
        return next(strategy for strategy in strategies if strategy.name == name)

    def _fresh(self, strategy: Strategy, purpose: str = "fresh", count: int = 0) -> dict[str, NDArray[Any]]:
        """Fresh requests answered by a strategy, drawn after every threshold was fixed."""
        name = f"{purpose}/{slug(strategy.name)}.npz"
        return self.folder.once_arrays(
            name, lambda: self._draw_fresh(strategy, purpose, count or self.job.proof)
        )

    def _draw_fresh(self, strategy: Strategy, purpose: str, count: int) -> dict[str, NDArray[Any]]:
        self.say.progress(0.5, f"{count} fresh requests for {strategy.name}")
        requests = self.workshop.requests(count, self._seed(purpose))
        folder = self.folder.path / "models" / slug(strategy.model)
        seed = self._seed(purpose, strategy.name)
        answer = self._answer(strategy.model, folder, requests, [strategy.refine], seed)[strategy.refine]
        return {
            "requests": requests,
            "contents": answer.contents,
            "losses": answer.losses,
            "scores": answer.scores,
            "reads": np.array(answer.reads),
        }

    def _items(self, main: Strategy, certificate: Certificate, fresh: Mapping[str, NDArray[Any]]) -> None:
        """The fresh items of the chosen strategy with what was decided of each, pictures included."""
        out = released(certificate.scope, certificate.threshold, fresh["scores"])
        decisions = [Decision.RELEASE if free else Decision.REVIEW for free in out]
        columns: dict[str, Any] = {
            "item": np.arange(len(decisions)),
            "asked": [self.workshop.asked(int(request)) for request in fresh["requests"]],
            "strategy": [main.name] * len(decisions),
            "score": fresh["scores"],
            "decision": [str(decision) for decision in decisions],
            "read": fresh["reads"],
            "loss": fresh["losses"],
            "content": [self._kept(content) for content in fresh["contents"]],
        }
        tables.write(self.folder.path / "items.parquet", columns)

    def _kept(self, content: Any) -> bytes | str:
        """One item as the table keeps it: PNG, or the text itself."""
        return str(content) if self.job.kind == "texts" else self.workshop.picture(content)

    def _report(self, summary: Mapping[str, Any]) -> None:
        from tolerate.report import write_report

        write_report(summary, self.folder.path)

    def _seed(self, *purpose: str) -> int:
        return seed_for(self.options.seed, *purpose)


def seed_for(seed: int, *purpose: str) -> int:
    """A seed of its own for each purpose, so that no randomness depends on the order of work.

    >>> seed_for(0, "sample") == seed_for(0, "fresh")
    False
    """
    words = [seed, *(zlib.crc32(word.encode()) for word in purpose)]
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def train_one(job: Job, options: Options, path: Path, model: str, tell: Tell) -> dict[str, Any]:
    """Train one model of a run; what the report tells of it. Runs in a worker."""
    say = Telling(model, tell)
    workshop: Workshop = attribute(job.workshop)(job, options, path, say)
    return workshop.train(model, path / "models" / slug(model), say)


class Telling(Quiet):
    """Progress of one training, told in a line."""

    def __init__(self, model: str, tell: Tell) -> None:
        self.model, self.tell = model, tell

    def progress(self, share: float, text: str) -> None:
        """Pass it on, with the model's name: others may train at the same time."""
        self.tell(share, f"training {self.model}: {text}")


@dataclass(frozen=True)
class _Answers:
    """One strategy's answer to each request; without one (score NaN) the loss is 1 and it is never released."""

    contents: Contents
    losses: Floats
    scores: Floats
    reads: list[str]

    @classmethod
    def of(
        cls, contents: Contents, place: Ints, index: Ints, scores: Floats, verdicts: Verdicts
    ) -> "_Answers":
        """From the verdicts on all checked candidates, those at `place`; index -1 is no answer."""
        none = index < 0
        losses = np.where(none, 1.0, verdicts.losses[place])
        reads = ["" if missing else verdicts.reads[at] for missing, at in zip(none, place, strict=True)]
        return cls(contents, losses, np.where(none, np.nan, scores), reads)


def _proof(row: Mapping[str, Any], fresh: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Requests, releases and wrong ones among them, with a 95% interval for the risk."""
    out = released(row["scope"], row["threshold"], fresh["scores"])
    losses = fresh["losses"][out]
    wrong, count = int((losses > 0).sum()), len(losses)
    low, high = _interval(wrong, count)
    risk = float(losses.mean()) if count else None
    return {"requests": len(out), "released": count, "wrong": wrong, "risk": risk, "low": low, "high": high}


def _interval(wrong: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson: exact bounds below and above a risk, each missed in half of 1 - confidence.

    >>> [round(bound, 4) for bound in _interval(3, 200)]
    [0.0031, 0.0432]
    """
    if count == 0:
        return 0.0, 1.0
    side = (1 + confidence) / 2
    return 1 - float(binomial_upper(count - wrong, count, side)), float(binomial_upper(wrong, count, side))


def _released_by(best: Sequence[Mapping[str, Any]]) -> list[str]:
    """The strategies that release something at some tolerance, each once."""
    return list(dict.fromkeys(row["strategy"] for row in best if row["zone"] != "none"))


def _gone() -> Any:
    raise RunError("a file of the run is gone; start again with --fresh or choose another --out")
