"""The workshop of jobs whose model is prompted, not trained; the rest is as for all texts.

Requests are the rows of the user's table, each used once: a sample for the certificates, other rows for the proof,
others again for a person. The score is the share of candidates that agree (self-consistency, Wang et al. 2023,
arXiv:2203.11171), ties broken by the model's own confidence where the server gives log-probabilities.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tolerate.base.arrays import Contents, Floats, Ints
from tolerate.checks import Verdicts
from tolerate.data import tables
from tolerate.errors import DataError, OptionError
from tolerate.jobs.texts.drafts.drafting import PROMPTED_COST_REQUESTS, Drafts
from tolerate.jobs.texts.drafts.pools import TextCandidates
from tolerate.jobs.texts.drafts.prompted_models import is_prompted
from tolerate.jobs.texts.figures import repetition
from tolerate.jobs.texts.task import Pair, TextTask
from tolerate.jobs.texts.workshop import TextWorkshop
from tolerate.llm.endpoint_names import EXPECTED
from tolerate.llm.model_names import EXPECTED as EXPECTED_PRETRAINED
from tolerate.messages.remote import ASSUMPTIONS, USES
from tolerate.messages.texts import LIMITS
from tolerate.report.preparation import DataPart, DataReport, JudgeReport, PreparationReport
from tolerate.report.results import ModelMetrics, ModelReport
from tolerate.runs.plan import RunPlan, seed_for
from tolerate.runs.progress import ProgressReporter

MIN_ROWS = 4  # of a table from which a run makes sense
PURPOSES = ("sample", "fresh", "review")


class TableTask(TextTask):
    """A task whose requests are the rows of a user's table, each used once."""

    limit = 512

    def __init__(self, table: Path, columns: Sequence[str], rows: Mapping[str, int], seed: int) -> None:
        """columns: those that the table must have. rows: how many each purpose asks for."""
        self.table = table
        self.columns = tables.read_texts(table, columns)
        self.name = table.name
        self.parts = split_rows(self._usable(), rows, seed)

    def _usable(self) -> Ints:
        """The rows in which no cell is empty."""
        filled = [np.array([bool(cell.strip()) for cell in column]) for column in self.columns.values()]
        usable = np.flatnonzero(np.logical_and.reduce(filled))
        if len(usable) < MIN_ROWS:
            raise DataError(
                f"{self.table} has {len(usable)} rows with something in each of the columns "
                f"{', '.join(self.columns)}; expected at least {MIN_ROWS}, and hundreds to prove anything"
            )
        return usable

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the table's bytes."""
        return tables.sha256(self.table)

    @property
    def sizes(self) -> dict[str, int]:
        """The number of rows by purpose."""
        return {name: len(part) for name, part in self.parts.items() if len(part)}

    def requests(self, n: int, seed: int, part: str = "sample") -> Ints:
        """The first n rows of a part, which is in random order; fewer if it has fewer."""
        return self.parts[part][:n]

    def pairs(self, n: int, seed: int) -> list[Pair]:
        """None: the model is not trained here."""
        return []


def split_rows(rows: Ints, sizes: Mapping[str, int], seed: int) -> dict[str, Ints]:
    """Rows divided at random, as many to each purpose as it asks for, or in proportion where there are too few.

    >>> {name: len(part) for name, part in split_rows(np.arange(10), {"sample": 30, "fresh": 10}, 0).items()}
    {'sample': 7, 'fresh': 3}
    """
    order = np.random.default_rng(seed).permutation(rows)
    total = sum(sizes.values())
    shrink = min(1.0, len(rows) / total) if total else 0.0
    ends = np.floor(np.cumsum(list(sizes.values())) * shrink + 1e-9).astype(int)
    return dict(zip(sizes, np.split(order, ends)[: len(sizes)], strict=True))


def rows_by_purpose(plan: RunPlan) -> dict[str, int]:
    """The number of rows for each purpose of a run."""
    reviews = plan.options.reviews if plan.options.review else 0
    return dict(zip(PURPOSES, (plan.labels, plan.proof, reviews), strict=True))


def table_in(path: Path, preferred: Sequence[str] = ()) -> Path:
    """The table that --data names: a file, or the only table of a folder, or a preferred one of several."""
    if not path.exists():
        raise DataError(
            f"{path} does not exist; expected a table ({', '.join(tables.FORMATS)}) or its folder"
        )
    if path.is_file():
        return path
    files = sorted(file for file in path.iterdir() if file.name.lower().endswith(tables.FORMATS))
    candidates = [file for file in files if file.name.split(".")[0] in preferred] or files
    if len(candidates) != 1:
        listed = ", ".join(file.name for file in files[:5]) or "none"
        raise DataError(f"{path} holds {len(files)} tables ({listed}); name one of them as --data")
    return candidates[0]


@dataclass(frozen=True)
class AgreementJudge:
    """Scores drafts by the model's own confidence, or by votes with ties broken by it."""

    candidates: int

    def single_scores(self, means: Floats, least: Floats) -> Floats:
        """The typical probability of a token; 0 where the server gave none."""
        return np.exp(np.nan_to_num(means, nan=-np.inf))

    def vote_scores(self, means: Floats, least: Floats, share: Floats) -> Floats:
        """The share of candidates that agree, plus less than half a vote."""
        return share + self.single_scores(means, least) / (2 * self.candidates)


class PromptedWorkshop(TextWorkshop):
    """Prompts models, refines and checks what they answer."""

    def __init__(
        self,
        plan: RunPlan,
        folder: Path,
        reporter: ProgressReporter,
        open_task: Callable[[], TableTask],
    ) -> None:
        for name in plan.models:
            if not is_prompted(name):
                raise OptionError(
                    f"the job {plan.job.name} asks a model behind a server or a pretrained one and trains none, so "
                    f'not "{name}"; expected {EXPECTED}, or {EXPECTED_PRETRAINED}'
                )
        super().__init__(plan, folder, reporter, open_task)

    # Reports

    def prepare(self) -> PreparationReport:
        """Data, split, check and judge."""
        self.reporter.stage("prepare")
        return PreparationReport(
            self.data_report(),
            self.check_report(),
            JudgeReport(self.plan.job.judge, 0),
            (*ASSUMPTIONS, *self.task.assumptions),
            tuple(LIMITS),
        )

    def data_report(self) -> DataReport:
        """The table and how many of its rows serve each purpose."""
        sizes = self.task.sizes
        split = tuple(DataPart(name, n, USES[name]) for name, n in sizes.items())
        return DataReport(self.task.name, sum(sizes.values()), self.task.sha256, split=split)

    def requests(self, n: int, seed: int) -> Ints:
        """Rows for the purpose that a seed is of, so that no row serves two."""
        purposes = {seed_for(self.plan.options.seed, name): name for name in PURPOSES}
        return self.task.requests(n, seed, purposes.get(seed, "sample"))

    # The model

    def train(self, model: str, folder: Path, reporter: ProgressReporter) -> ModelReport:
        """Prompt the model once to check that it can be reached; nothing is trained."""
        prompt = self.task.prompt(int(self.task.requests(1, 0, "sample")[0]))
        return self.prompted.introduce(
            model, prompt, self.max_candidates, self._candidate_seed, self.task.system
        )

    @property
    def _candidate_seed(self) -> int:
        """The seed of candidates: one for all requests, so that no answer is paid for twice."""
        return seed_for(self.plan.options.seed, "candidates") % 2**20

    def compute_seconds(self, model: str, folder: Path, candidates: int) -> float:
        """The price of one request's candidates, as the seconds of a core that cost as much."""
        rows = self.task.requests(PROMPTED_COST_REQUESTS, 0, "sample")
        prompts = [self.task.prompt(int(row)) for row in rows]
        return self.prompted.seconds(model, folder, candidates, prompts, self.task.system)

    def draft(self, model: str, folder: Path, requests: Ints, k: int, seed: int) -> Drafts:
        """k answers to each request; log-probabilities are NaN where the server gives none."""
        prompts = [self.task.prompt(int(request)) for request in requests]
        rows = self.prompted.write(model, folder, prompts, k, self._candidate_seed, self.task.system)
        shape = (len(requests), k)
        return Drafts(
            np.array([[answer.text for answer in row] for row in rows], dtype=np.str_).reshape(shape),
            np.array([[answer.mean_logprob for answer in row] for row in rows], dtype=np.float64).reshape(
                shape
            ),
            np.array([[answer.min_logprob for answer in row] for row in rows], dtype=np.float64).reshape(
                shape
            ),
        )

    def generate(
        self, model: str, folder: Path, requests: Ints, candidates: int, seed: int
    ) -> TextCandidates:
        """Candidates for each request, repaired ones behind the others, with what the refinings need to know."""
        drafts = self.draft(model, folder, requests, candidates, seed)
        return self.pools.build(drafts, requests, AgreementJudge(candidates))

    # Figures

    def measure(self, model: str, contents: Contents, requests: Ints, verdicts: Verdicts) -> ModelMetrics:
        """Quality of plain texts."""
        texts = [str(text) for text in contents]
        return ModelMetrics({"as_requested": float(1 - verdicts.losses.mean()), **repetition(texts)})
