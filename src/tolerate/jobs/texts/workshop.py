"""The workshop of text jobs: writers learn from texts, a verifier scores what they write, the job's check counts.

The check is the job's own (see `tasks`). The verifier is fitted on candidates for requests of its own, with the
check's verdicts; it only ranks. What people see of an item is its text, with the wrong part marked.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.base.files import read_json, slug, to_json, write_whole
from tolerate.base.personal_data import find_personal_data, mask_personal_data
from tolerate.base.workers import leads
from tolerate.checks import Verdicts
from tolerate.checks.texts.metrics import bleu, chrf, distinct
from tolerate.errors import DataError
from tolerate.jobs.pictures.workshop import curves
from tolerate.jobs.texts.prompted_models import Asked, by_example, is_asked
from tolerate.jobs.texts.scores import CHANCES, TextScores
from tolerate.jobs.texts.task import Checked, TextTask
from tolerate.jobs.texts.verifier import Verifier, fit_verifier
from tolerate.llm.model_names import is_pretrained_name
from tolerate.messages.texts import ASSUMPTIONS, LIMITS, USES, both_ways
from tolerate.records import Job
from tolerate.refine.texts.copied import Copied
from tolerate.refine.texts.near_duplicates import groups, kept
from tolerate.refine.texts.refining import TextPool, parse_text
from tolerate.runs.pipeline import Candidates, Options, Say
from tolerate.stats.bounds import binomial_upper

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Texts = NDArray[np.str_]  # [n] or [n, k]
VERIFIER = "verifier.json"
FITTED = 500  # requests that the verifier learns from
FEW = 100  # the same where each costs money, or much time
EXAMPLES = 6  # pairs of prompt and answer that an untrained model is shown
PAIRS = 20_000  # texts to learn from, at most, where a job makes them
TYPICAL = 8  # requests on which the cost of an asked model is counted
FINER = 2  # tokens of a pretrained model for one of ours, at most
SOME = 300  # texts that the dearer figures are taken of
SEEDED = 1000  # texts of each kind that the check's own error is measured on


def casenotes(job: Job, options: Options, folder: Path, say: Say) -> "TextWorkshop":
    """The workshop of case notes."""
    from tolerate.jobs.texts.casenotes import CaseNotes

    return TextWorkshop(job, options, folder, say, lambda: CaseNotes(options.seed))


def restaurants(job: Job, options: Options, folder: Path, say: Say) -> "TextWorkshop":
    """The workshop of texts about restaurants."""
    from tolerate.jobs.texts.restaurants import Restaurants

    assert options.data is not None  # settle() has seen to it
    data = options.data
    return TextWorkshop(job, options, folder, say, lambda: Restaurants(data, options.seed))


def poems(job: Job, options: Options, folder: Path, say: Say) -> "TextWorkshop":
    """The workshop of quatrains."""
    from tolerate.jobs.texts.poems import Poems

    assert options.data is not None  # settle() has seen to it
    data = options.data
    return TextWorkshop(job, options, folder, say, lambda: Poems(data, options.seed))


def plays(job: Job, options: Options, folder: Path, say: Say) -> "TextWorkshop":
    """The workshop of lines of a play."""
    from tolerate.jobs.texts.plays import Plays

    assert options.data is not None  # settle() has seen to it
    data = options.data
    return TextWorkshop(job, options, folder, say, lambda: Plays(data, options.seed))


@dataclass(frozen=True)
class TextCandidates(Candidates):
    """Candidates as texts, the mended ones behind the others, and what refining needs to know of each."""

    pool: TextPool


class TextWorkshop:
    """Opens the data, teaches writers, lets them write, refines and checks."""

    def __init__(
        self, job: Job, options: Options, folder: Path, say: Say, task: Callable[[], TextTask]
    ) -> None:
        from tolerate.models.writers.registry import writer

        self.job, self.options, self.folder, self.say = job, options, folder, say
        self._task = task
        self._refine = {name: parse_text(name) for name in job.refine}
        self.writers = {name: writer(name) for name in job.models if not is_asked(name)}
        self.asked_models = Asked(say, lambda: FINER * self.task.limit)
        self.scores = TextScores(
            options, folder, say, self.asked_models, list(self._refine.values()), lambda: self.task
        )

    @cached_property
    def task(self) -> TextTask:
        """The job's data and check."""
        return self._task()

    # What the report tells

    def about(self) -> dict[str, Any]:
        """Data, split, check and judge, as the report tells of them."""
        self.say.stage("prepare")
        return {
            "data": self.about_data(),
            "reader": self._about_check(),
            "judge": {"name": self.job.judge, "trained_on": FITTED},
            "assumptions": [*ASSUMPTIONS, *self.task.assumptions],
            "limits": LIMITS,
        }

    def about_data(self) -> dict[str, Any]:
        """The data and which of it is for what."""
        sizes = self.task.sizes
        return {
            "name": self.task.name,
            "total": sum(sizes.values()),
            "sha256": self.task.sha256,
            "classes": [],
            "split": [{"name": name, "n": n, "use": USES[name]} for name, n in sizes.items()],
        }

    def _about_check(self) -> dict[str, Any]:
        """The check and its own error on texts whose verdict is known."""
        error = self.task.own_error(SEEDED, self.options.seed + 1)
        n, wrong = error.tested, error.wrong
        known: dict[str, Any] = {}
        if n:
            low, high = 1 - float(binomial_upper(n - wrong, n, 0.975)), float(binomial_upper(wrong, n, 0.975))
            known = {"tested_on": n, "wrong": wrong, "rate": wrong / n, "low": max(low, 0.0), "high": high}
        sentence = f"the check {self.job.check}, by rule; {error.sentence()}"
        return {
            "name": self.job.check,
            "trained_on": 0,
            "rejected": 0,
            "by": "rule",
            "sentence": sentence,
            **known,
        }

    # Requests

    def requests(self, n: int, seed: int) -> Ints:
        """n requests, drawn independently."""
        return self.task.requests(n, seed)

    def asked(self, request: int) -> str:
        """A request in words."""
        return self.task.prompt(request)

    # Writers

    def train(self, model: str, folder: Path, say: Say) -> dict[str, Any]:
        """Teach one writer on its part of the texts, then its verifier on requests of its own."""
        from tolerate.models.writers.writing import teach_writer, texts_per_second

        if is_asked(model):
            return self._introduce(model, folder)
        plan, options = self.writers[model], self.options
        pairs = self._pairs
        steps = options.steps or self._usual_steps(model) or (None if options.budget else plan.steps)
        trained = teach_writer(
            plan.entry.path,
            pairs,
            folder,
            tokens="characters" if self.task.characters and plan.tokens == "words" else plan.tokens,
            model=self.task.designs.get(model, plan.options),
            whole=self.task.whole,
            seed=options.seed,
            steps=steps,
            budget=options.budget,
            batch=plan.batch,
            device=options.device,
            board=options.board,
            on_progress=lambda at: say.progress(0.9 * at.share, str(at)),
        )
        if leads():
            say.progress(0.9, "the verifier learns which of its texts are right")
            self._fit_verifier(model, folder, FEW if is_pretrained_name(model) else FITTED)
        prompts = [self.task.reads(request) for request in self.task.requests(64, 5, "judge")]
        return {
            "name": model,
            "title": plan.entry.title,
            "paper": plan.entry.paper,
            "family": plan.entry.family,
            "parameters": sum(parameter.numel() for parameter in trained.model.parameters()),
            "learning": sum(one.numel() for one in trained.model.parameters() if one.requires_grad),
            "steps": trained.steps,
            "seconds": round(trained.elapsed, 2),
            "texts_per_second": round(texts_per_second(folder, prompts, self._how(model)), 1),
            "curve": curves(trained.history),
            "findings": [{"what": found.saw, "try": found.advice} for found in trained.findings],
        }

    def _usual_steps(self, model: str) -> int | None:
        """The job's own number of steps for a writer, where its name does not say another."""
        plain, _, settings = model.partition("#")
        return None if "steps=" in settings else self.job.steps.get(plain)

    @cached_property
    def _pairs(self) -> list[tuple[str, str]]:
        """Prompts and answers to learn from, without near-duplicates where that is asked for."""
        pairs = [(one.prompt, one.answer) for one in self.task.pairs(PAIRS, self.options.seed)]
        return [pairs[at] for at in kept([answer for _, answer in pairs])] if self.options.dedupe else pairs

    def _introduce(self, model: str, folder: Path) -> dict[str, Any]:
        """A model behind a server is shown examples in place of training; its verifier learns from fewer requests."""
        first = self.task.reads(int(self.task.requests(1, 5, "judge")[0]))
        about = self.asked_models.introduce(model, first, 1, self.options.seed, self._examples)
        self._fit_verifier(model, folder, FEW)
        return about

    @cached_property
    def _examples(self) -> str:
        return by_example(self.task.pairs(EXAMPLES, self.options.seed))

    def _fit_verifier(self, model: str, folder: Path, fitted: int = FITTED) -> None:
        """Candidates for the verifier's own requests, checked; what tells right ones from wrong ones."""
        requests = self.task.requests(fitted, self.options.seed + 2, "judge")
        written = self._written(model, folder, requests, self._most, self.options.seed + 3)
        wrong = np.array(
            [
                [self.task.check(one, request).wrong for one in row]
                for row, request in zip(written.texts, requests, strict=True)
            ]
        )
        meanings = self._meanings(written.texts)
        verifier = fit_verifier(written.means, written.least, meanings, wrong)
        write_whole(folder / VERIFIER, to_json(verifier.to_json()))

    @cached_property
    def _most(self) -> int:
        return max(each.candidates for each in self._refine.values())

    @cached_property
    def _decoding(self) -> Any:
        from tolerate.models.texts.decoding import Decoding

        chosen: dict[str, Any] = self.task.decoding
        return Decoding(limit=self.task.limit, **chosen)

    def _how(self, model: str) -> Any:
        """The job's decoding; where tokens are shorter than the job's own, a text may have more of them."""
        finer = (
            FINER if is_pretrained_name(model) else self.writers[model].finer if model in self.writers else 1
        )
        return replace(self._decoding, limit=finer * self.task.limit)

    def _written(self, model: str, folder: Path, requests: Ints, k: int, seed: int) -> "Drafts":
        """k drafts for each request, as the writer makes them."""
        from tolerate.models.writers.writing import write

        prompts = [self.task.reads(request) for request in requests]
        found: Any  # both kinds of writers give text, mean and least
        if is_asked(model):
            found = self.asked_models.write(model, folder, prompts, k, seed % 2**20, self._examples)
        else:
            moulds = [self.task.mould(request) for request in requests]
            found = write(folder, prompts, k, seed, self._how(model), moulds if all(moulds) else ())
        return Drafts(
            np.array(
                [
                    [self.task.said(one.text, request) for one in row]
                    for row, request in zip(found, requests, strict=True)
                ]
            ).reshape(len(requests), k),
            known([[one.mean_logprob for one in row] for row in found]).reshape(len(requests), k),
            known([[one.min_logprob for one in row] for row in found]).reshape(len(requests), k),
        )

    def _meanings(self, texts: Texts) -> Ints:
        """A number for what each text says."""
        said = np.array([self.task.meaning(str(text)) for text in texts.ravel()])
        return np.unique(said, return_inverse=True)[1].reshape(texts.shape).astype(np.int64)

    # Making, refining, checking

    def make(self, model: str, folder: Path, requests: Ints, candidates: int, seed: int) -> TextCandidates:
        """Candidates for each request, mended ones behind the others, with what refining needs to know."""
        drafts = self._written(model, folder, requests, candidates, seed)
        texts = self._forms(drafts.texts, requests)
        blocks = texts.shape[1] // max(candidates, 1)
        means, least = (np.tile(each, blocks) for each in (drafts.means, drafts.least))
        verifier = Verifier.from_json(read_json(folder / VERIFIER, "the verifier of a trained writer"))
        rows = np.arange(len(requests))
        alone = verifier.alone(means, least)
        pool = TextPool(
            self._meanings(texts),
            alone,
            self._fit(texts, requests),
            self._far_from_copies(texts),
            lambda index, share: verifier.voted(means[rows, index], least[rows, index], share),
            self.scores.own(texts, means, least, requests),
            self.scores.agreeing(texts),
            blocks,
        )
        return TextCandidates(texts, alone, pool.copies, pool)

    def _forms(self, texts: Texts, requests: Ints) -> Texts:
        """Texts as written and mended; where a refining masks, both once more with personal data masked."""
        found = np.concatenate([texts, self._mended(texts, requests)], 1)
        if not any("masked" in each.parts for each in self._refine.values()):
            return found
        return np.concatenate(
            [found, np.array([[mask_personal_data(str(one)) for one in row] for row in found])], 1
        )

    def _mended(self, texts: Texts, requests: Ints) -> Texts:
        if not any("repair" in each.parts for each in self._refine.values()):
            return texts
        return np.array(
            [
                [self.task.repair(str(one), request) for one in row]
                for row, request in zip(texts, requests, strict=True)
            ]
        )

    def _fit(self, texts: Texts, requests: Ints) -> NDArray[np.bool_]:
        return np.array(
            [
                [self.task.rule(str(one), request) for one in row]
                for row, request in zip(texts, requests, strict=True)
            ]
        )

    def _far_from_copies(self, texts: Texts) -> Floats:
        """How far each text is from repeating a training text; looked at only if a refining asks for it."""
        if not any("no-copies" in each.parts for each in self._refine.values()):
            return np.ones(texts.shape)
        return np.array([[self._beyond_copies(str(one)) for one in row] for row in texts])

    def _beyond_copies(self, text: str) -> float:
        found = self.task.beyond_copies(text)
        return 1 - self._learned.length(text) / max(len(text), 1) if found is None else found

    @cached_property
    def _learned(self) -> Copied:
        """The answers that the writers learned from."""
        return Copied(dict.fromkeys(answer for _, answer in self._pairs))

    def choose(self, refine: str, candidates: Candidates) -> tuple[Ints, Floats]:
        """Which candidate answers each request, and its score."""
        assert isinstance(candidates, TextCandidates)
        return self._refine[refine].choose(candidates.pool)

    def candidates(self, refine: str) -> int:
        """How many candidates a refining makes for a request."""
        return self._refine[refine].candidates

    def checked(self, contents: Texts, requests: Ints) -> list[Checked]:
        """The check's words on each text."""
        return [self.task.check(str(text), request) for text, request in zip(contents, requests, strict=True)]

    def check(self, contents: Texts, requests: Ints) -> Verdicts:
        """What counts as wrong, by the job's own check."""
        found = self.checked(contents, requests)
        return Verdicts(np.array([float(one.wrong) for one in found]), [one.read for one in found])

    def score(self, contents: Texts, requests: Ints) -> Floats:
        """The rule's opinion of texts that came from elsewhere: 1 where it lets them pass."""
        return np.array(
            [
                float(self.task.rule(str(text), request))
                for text, request in zip(contents, requests, strict=True)
            ]
        )

    def open_items(self, paths: Sequence[Path]) -> Texts:
        """Texts from files."""
        try:
            return np.array([path.read_text("utf-8") for path in paths])
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"a text cannot be read: {error}; expected UTF-8") from None

    # Figures

    def measure(self, model: str, contents: Texts, requests: Ints, verdicts: Verdicts) -> dict[str, Any]:
        """Quality of plain texts."""
        from tolerate.models.writers.writing import perplexity

        found = self.checked(contents, requests)
        texts = [str(text) for text in contents]
        slots = sum(one.slots for one in found)
        unseen = [(one.prompt, one.answer) for one in self.task.unseen(300, self.options.seed + 4)]
        figures: dict[str, Any] = {"as_requested": float(1 - verdicts.losses.mean())}
        if slots:
            figures["slot_errors"] = sum(one.slot_errors for one in found) / slots
        references = [self.task.references(request) for request in requests]
        if references and all(references):
            figures["bleu"] = bleu(texts, references)
            figures["chrf"] = chrf(texts[:SOME], references[:SOME])
        figures |= repetition(texts)
        if not is_asked(model):
            figures["longest_copy"] = float(self._learned.lengths(texts[:SOME]).mean()) if texts else None
        if unseen and not is_asked(model):
            figures["perplexity"], figures["bits"] = perplexity(self.folder / "models" / slug(model), unseen)
            figures["bits_kn"] = self._kneser_ney_bits(unseen)
        return figures

    def _kneser_ney_bits(self, unseen: Sequence[tuple[str, str]]) -> float:
        """Bits per character of unseen answers by the n-gram model, which reads no prompts."""
        from tolerate.models.texts.kneser_ney import bits_of

        return bits_of(
            [answer for _, answer in self._pairs],
            [answer for _, answer in unseen],
        )

    def compute_seconds(self, model: str, folder: Path, candidates: int) -> float:
        """Core-seconds to write the candidates of one request, counted in operations."""
        from tolerate.models.writers.writing import writing_cost

        if is_asked(model):
            return self.asked_models.seconds(model, folder, candidates, *self._typical)
        prompts = [self.task.reads(request) for request in self.task.requests(32, 5, "judge")]
        return candidates * writing_cost(folder, prompts, self._how(model))

    @property
    def _typical(self) -> tuple[list[str], str]:
        """Some prompts and what a model is told before them, to count what an answer costs."""
        return [
            self.task.reads(request) for request in self.task.requests(TYPICAL, 5, "judge")
        ], self._examples

    def scoring_seconds(self, refine: str) -> float:
        """Core-seconds that the score of a request costs, beside its writing."""
        from tolerate.models.writers.writing import writing_cost

        return self.scores.seconds(
            self._refine[refine], lambda folder, prompts: writing_cost(folder, prompts, self._decoding)
        )

    def claims_chance(self, refine: str) -> bool:
        """Whether the score of this way to refine claims to be the chance that a text is right."""
        by = self._refine[refine].by
        return by in CHANCES or (not by and self.job.judge == "verifier")

    def picture(self, content: Any) -> bytes:
        """One text as bytes."""
        return str(content).encode()

    def text(self, content: Any, request: int) -> list[tuple[str, bool]]:
        """One text in pieces, each with whether it is a wrong part."""
        return marked(str(content), self.task.check(str(content), request).marks)

    def words(self, read: str) -> dict[str, str]:
        """What the check said, in both languages."""
        return both_ways(read)


@dataclass(frozen=True)
class Drafts:
    """What a writer made: texts, mean and least log probability of a token, each [requests, k]."""

    texts: Texts
    means: Floats
    least: Floats


def repetition(texts: Sequence[str]) -> dict[str, float]:
    """How varied texts are: different pairs of words, texts that nearly repeat another, texts with personal data.

    >>> repetition(["the cat sat on the mat", "the cat sat on the mat"])["repeated"]
    0.5
    """
    return {
        "distinct": distinct(texts),
        "repeated": 1 - len(set(groups(texts).tolist())) / max(len(texts), 1),
        "private": sum(bool(find_personal_data(text)) for text in texts) / max(len(texts), 1),
    }


def known(values: Sequence[Sequence[float]]) -> Floats:
    """Log-probabilities with those that a server did not give at a low value, the same for all.

    >>> known([[-0.5, float("nan")]]).tolist()
    [[-0.5, -30.0]]
    """
    return np.nan_to_num(np.asarray(values, dtype=np.float64), nan=-30.0)


def marked(text: str, marks: Sequence[tuple[int, int]]) -> list[tuple[str, bool]]:
    """A text cut into pieces, marked ones told apart.

    >>> marked("a wrong word", [(2, 7)])
    [('a ', False), ('wrong', True), (' word', False)]
    """
    inside = np.zeros(len(text), dtype=bool)
    for start, end in marks:
        inside[start:end] = True
    pieces: list[tuple[str, bool]] = []
    for found in re.finditer("1+|0+", "".join("1" if here else "0" for here in inside)):
        pieces.append((text[found.start() : found.end()], found.group()[0] == "1"))
    return pieces
