"""The workshop of jobs whose writer is a model behind a server: it is asked, not trained; the rest is as for all texts.

Requests are the rows of the user's table, each used once: a sample for the certificates, other rows for the proof,
others again for a person. The score is the share of candidates that agree (self-consistency, Wang et al. 2023,
arXiv:2203.11171), ties broken by the model's own confidence where the server gives log-probabilities.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.checks import Verdicts
from tolerate.data import tables
from tolerate.errors import DataError, OptionError
from tolerate.jobs.texts.prompted_models import is_asked
from tolerate.jobs.texts.task import Pair, TextTask
from tolerate.jobs.texts.workshop import TYPICAL, Drafts, TextCandidates, TextWorkshop, repetition
from tolerate.llm.endpoint_names import EXPECTED
from tolerate.llm.model_names import EXPECTED as PRETRAINED
from tolerate.messages.remote import ASSUMPTIONS, USES
from tolerate.messages.texts import LIMITS
from tolerate.records import Job
from tolerate.refine.texts.refining import TextPool
from tolerate.runs.pipeline import Options, Say, seed_for

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
FEWEST = 4  # rows of a table from which a run makes sense


class TableTask(TextTask):
    """A task whose requests are the rows of a user's table, each used once."""

    limit = 512
    system = ""  # what the model is told before each request

    def __init__(self, table: Path, columns: Sequence[str], wanted: dict[str, int], seed: int) -> None:
        """columns: those that must be there. wanted: how many rows each purpose asks for."""
        self.table = table
        self.columns = tables.read_texts(table, columns)
        self.name = table.name
        self.parts = parted(self._usable(), wanted, seed)

    def _usable(self) -> Ints:
        """The rows in which no wanted cell is empty."""
        filled = [np.array([bool(cell.strip()) for cell in column]) for column in self.columns.values()]
        usable = np.flatnonzero(np.logical_and.reduce(filled))
        if len(usable) < FEWEST:
            raise DataError(
                f"{self.table} has {len(usable)} rows with something in each of the columns "
                f"{', '.join(self.columns)}; expected at least {FEWEST}, and hundreds to prove anything"
            )
        return usable

    @cached_property
    def sha256(self) -> str:
        """Of the table's bytes."""
        return tables.sha256(self.table)

    @property
    def sizes(self) -> dict[str, int]:
        """Rows by purpose."""
        return {name: len(part) for name, part in self.parts.items() if len(part)}

    def requests(self, n: int, seed: int, part: str = "sample") -> Ints:
        """The first n rows of a part, which is in an order drawn by lot; fewer if it has fewer."""
        return self.parts[part][:n]

    def pairs(self, n: int, seed: int) -> list[Pair]:
        """None: the model is not trained here."""
        return []


def parted(rows: Ints, wanted: dict[str, int], seed: int) -> dict[str, Ints]:
    """Rows shared out by lot, as many to each purpose as it wants, or in proportion where there are too few.

    >>> {name: len(part) for name, part in parted(np.arange(10), {"sample": 30, "fresh": 10}, 0).items()}
    {'sample': 7, 'fresh': 3}
    """
    order = np.random.default_rng(seed).permutation(rows)
    total = sum(wanted.values())
    shrink = min(1.0, len(rows) / total) if total else 0.0
    ends = np.floor(np.cumsum(list(wanted.values())) * shrink + 1e-9).astype(int)
    return dict(zip(wanted, np.split(order, ends)[: len(wanted)], strict=True))


def wanted_rows(job: Job, options: Options) -> dict[str, int]:
    """How many rows each purpose asks for."""
    return {"sample": job.labels, "fresh": job.proof, "review": options.reviews if options.review else 0}


def table_in(path: Path, preferred: Sequence[str] = ()) -> Path:
    """The table that --data names: a file, or the only table of a folder, or a preferred one of several."""
    if not path.exists():
        raise DataError(
            f"{path} does not exist; expected a table ({', '.join(tables.FORMATS)}) or its folder"
        )
    if path.is_file():
        return path
    found = sorted(one for one in path.iterdir() if one.name.lower().endswith(tables.FORMATS))
    chosen = [one for one in found if one.name.split(".")[0] in preferred] or found
    if len(chosen) != 1:
        listed = ", ".join(one.name for one in found[:5]) or "none"
        raise DataError(f"{path} holds {len(found)} tables ({listed}); name one of them as --data")
    return chosen[0]


class ServedWorkshop(TextWorkshop):
    """Asks models behind servers, refines and checks what they answer."""

    task: Any

    def __init__(
        self, job: Job, options: Options, folder: Path, say: Say, task: Callable[[], TableTask]
    ) -> None:
        for name in job.models:
            if not is_asked(name):
                raise OptionError(
                    f"the job {job.name} asks a model behind a server or a pretrained one and trains none, so not "
                    f'"{name}"; expected {EXPECTED}, or {PRETRAINED}'
                )
        super().__init__(job, options, folder, say, task)

    # What the report tells

    def about(self) -> dict[str, Any]:
        """Data, split, check and judge, as the report tells of them."""
        found = super().about()
        judge = {"name": self.job.judge, "trained_on": 0}
        return {
            **found,
            "judge": judge,
            "assumptions": [*ASSUMPTIONS, *self.task.assumptions],
            "limits": LIMITS,
        }

    def about_data(self) -> dict[str, Any]:
        """The table and which of its rows are for what."""
        sizes = self.task.sizes
        split = [{"name": name, "n": n, "use": USES[name]} for name, n in sizes.items()]
        about = {"name": self.task.name, "total": sum(sizes.values()), "classes": []}
        return {**about, "sha256": self.task.sha256, "split": split}

    def requests(self, n: int, seed: int) -> Ints:
        """Rows for the purpose that a seed was made for, so that no row serves two."""
        parts = {seed_for(self.options.seed, name): name for name in ("sample", "fresh", "review")}
        rows: Ints = self.task.requests(n, seed, parts.get(seed, "sample"))
        return rows

    # The writer

    def train(self, model: str, folder: Path, say: Say) -> dict[str, Any]:
        """Nothing is trained: the model is asked once, to see that it is there and what it understands."""
        first = self.task.prompt(int(self.task.requests(1, 0)[0]))
        return self.asked_models.introduce(model, first, self._most, self._candidate_seed, self.task.system)

    @property
    def _candidate_seed(self) -> int:
        """The seed of candidates: one for all requests, so that no answer is paid for twice."""
        return seed_for(self.options.seed, "candidates") % 2**20

    @property
    def _typical(self) -> tuple[list[str], str]:
        """Some prompts and what a model is told before them."""
        rows = self.task.requests(TYPICAL, 0)
        return [self.task.prompt(int(row)) for row in rows], self.task.system

    def _written(self, model: str, folder: Path, requests: Ints, k: int, seed: int) -> Drafts:
        """k drafts for each request, as the model behind the server answers."""
        prompts = [self.task.prompt(int(request)) for request in requests]
        found = self.asked_models.write(model, folder, prompts, k, self._candidate_seed, self.task.system)
        shape = (len(requests), k)
        return Drafts(
            np.array([[one.text for one in row] for row in found], dtype=np.str_).reshape(shape),
            np.array([[one.mean_logprob for one in row] for row in found], dtype=np.float64).reshape(shape),
            np.array([[one.min_logprob for one in row] for row in found], dtype=np.float64).reshape(shape),
        )

    def make(self, model: str, folder: Path, requests: Ints, candidates: int, seed: int) -> TextCandidates:
        """Candidates for each request, mended ones behind the others, with what refining needs to know."""
        drafts = self._written(model, folder, requests, candidates, seed)
        texts = self._forms(drafts.texts, requests)
        blocks = texts.shape[1] // max(candidates, 1)
        sure = np.exp(
            np.nan_to_num(np.tile(drafts.means, blocks), nan=-np.inf)
        )  # 0 where there is no confidence
        rows = np.arange(len(requests))
        pool = TextPool(
            self._meanings(texts),
            sure,
            self._fit(texts, requests),
            self._far_from_copies(texts),
            lambda index, share: share + sure[rows, index] / (2 * candidates),  # less than half a vote
            self.scores.own(texts, np.tile(drafts.means, blocks), np.tile(drafts.least, blocks), requests),
            self.scores.agreeing(texts),
            blocks,
        )
        return TextCandidates(texts, sure, pool.copies, pool)

    # Figures

    def measure(self, model: str, contents: Any, requests: Ints, verdicts: Verdicts) -> dict[str, Any]:
        """Quality of plain texts."""
        texts = [str(text) for text in contents]
        return {"as_requested": float(1 - verdicts.losses.mean()), **repetition(texts)}
