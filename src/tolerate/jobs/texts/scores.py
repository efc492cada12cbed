"""The scores that a text job's answers may be ranked by, beside the job's own; each is made only where it is asked for.

mean, least    the writer's confidence: log probability of a token on average, and of the least likely one
exact, alike   share of the other candidates that are the same, and how near they lie (embedding match)
round-trip     the record regenerated from the text by a writer that learned to go back: the share recovered
judge          a model behind a server that judges by a rubric

None of them is trusted: a score ranks, and the certificate rests on the check's or people's verdicts.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tolerate.errors import OptionError
from tolerate.jobs.texts.prompted_models import CORE, Asked
from tolerate.jobs.texts.task import TextTask
from tolerate.llm.endpoint_names import endpoint
from tolerate.llm.judge import RubricJudge, read_rubric
from tolerate.refine.texts.refining import Alike, Scorer, TextRefining
from tolerate.runs.pipeline import Options, Say

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Texts = NDArray[np.str_]
BACK = "back"  # the folder of the writer that goes back
BACK_STEPS = 1000
PAIRS = 20_000  # texts that the way back learns from, at most
LEARNED = 3_000  # texts that embeddings by letters learn from
CHANCES = ("judge",)  # scores that claim to be the chance that a text is right


class TextScores:
    """The scores of one workshop."""

    def __init__(
        self,
        options: Options,
        folder: Path,
        say: Say,
        asked: Asked,
        refine: Sequence[TextRefining],
        task: Callable[[], TextTask],
    ) -> None:
        self.options, self.folder, self.say, self.asked_models = options, folder, say, asked
        self._task = task
        self.wanted = {each.by for each in refine}
        if "judge" in self.wanted and not options.judge:
            raise OptionError("the score by-judge needs a model that judges; add --judge openai:MODEL@URL")
        for option, given, score in (("rubric", options.rubric, "judge"), ("embed", options.embed, "alike")):
            if given and score not in self.wanted:
                raise OptionError(f"--{option} is for the score {score}; add --scores own,{score}")
        self.rubric = read_rubric(options.rubric) if options.rubric else ""

    def own(self, texts: Texts, means: Floats, least: Floats, requests: Ints) -> dict[str, Scorer]:
        """Scores of a candidate by itself: texts, means and least are [requests, k]."""
        return {
            "mean": lambda rows, columns: np.exp(means[rows, columns]),
            "least": lambda rows, columns: np.exp(least[rows, columns]),
            "round-trip": lambda rows, columns: self.recovered(texts[rows, columns], requests[rows]),
            "judge": lambda rows, columns: self.judged(texts[rows, columns], requests[rows]),
        }

    def agreeing(self, texts: Texts) -> dict[str, Alike]:
        """How alike two candidates of a request are."""
        return {
            "exact": lambda columns: (texts[:, columns, None] == texts[:, None, columns]).astype(np.float64),
            "alike": lambda columns: self.nearness(texts[:, columns]),
        }

    # Embedding match

    def nearness(self, texts: Texts) -> Floats:
        """Cosines of the candidates' embeddings, below 0 as 0: [requests, k] -> [requests, k, k]."""
        vectors = self._embed([str(text) for text in texts.ravel()]).reshape(*texts.shape, -1)
        return np.asarray(np.clip(np.einsum("nid,njd->nij", vectors, vectors), 0.0, 1.0))

    @cached_property
    def _embed(self) -> Callable[[Sequence[str]], Floats]:
        from tolerate.models.pretrained.embedders import embedder

        learned = [pair.answer for pair in self._task().pairs(LEARNED, self.options.seed)]
        return embedder(self.options.embed, learned)

    # Round trip

    def recovered(self, texts: Texts, requests: Ints) -> Floats:
        """Share of each text's record that the way back recovers; ties by how likely it finds the record."""
        from tolerate.models.writers.writing import Decoding, likelihoods, write

        task, folder = self._task(), self._way_back
        plain = [task.unsaid(str(text), int(r)) for text, r in zip(texts, requests, strict=True)]
        records = [task.reads(int(request)) for request in requests]
        said = write(folder, plain, 1, 0, Decoding(temperature=0, limit=self._longest))
        share = np.array([task.recovered(row[0].text, int(r)) for row, r in zip(said, requests, strict=True)])
        return share + np.exp(likelihoods(folder, list(zip(plain, records, strict=True)))) / 100

    @cached_property
    def _longest(self) -> int:
        return 2 * max(len(pair.prompt) for pair in self._task().pairs(200, self.options.seed))

    @cached_property
    def _way_back(self) -> Path:
        """The folder of a writer that reads a text and writes its record; trained once for all models of a run."""
        from tolerate.models.writers.registry import writer
        from tolerate.models.writers.writing import teach_writer

        task, folder = self._task(), self.folder / BACK
        if not task.has_record:
            raise OptionError(f"{task.name} have no record that a text could be turned back into")
        if not (folder / "about.json").exists():
            self.say.note("a writer learns the way back, from text to record")
            plan, pairs = writer("transformer"), task.pairs(PAIRS, self.options.seed)
            teach_writer(
                plan.entry.path,
                [(pair.answer, pair.prompt) for pair in pairs],
                folder,
                model=plan.options,
                seed=self.options.seed + 7,
                steps=self.options.steps or BACK_STEPS,
                batch=plan.batch,
                on_progress=lambda at: self.say.progress(
                    0.7, f"the way back: {at}".replace("pictures", "texts")
                ),
            )
            (folder / "about.json").write_text("{}", "utf-8")
        return folder

    # A judge

    def judged(self, texts: Texts, requests: Ints) -> Floats:
        """How sure the judge is of each text, NaN where it gave no number."""
        task = self._task()
        judge = RubricJudge(self.asked_models.served(cold(self.options.judge)), self.rubric or task.rubric)
        return judge(
            [task.prompt(int(request)) for request in requests],
            [str(text) for text in texts],
            lambda done, total: self.say.progress(0.9, f"judged {done:,} of {total:,}"),
        )

    # Costs

    def seconds(self, refining: TextRefining, per_text: Callable[[Path, list[str]], float]) -> float:
        """Core-seconds that the score of one request costs. per_text: what a writer's text costs."""
        asked = refining.candidates if refining.picker == "best-of-N" else 1
        if refining.by == "round-trip":
            pairs = self._task().pairs(64, self.options.seed)[:32]
            return asked * 2 * per_text(self._way_back, [pair.answer for pair in pairs])
        if refining.by == "judge":
            served = self.asked_models.served(cold(self.options.judge))
            at, bill = served.endpoint, served.bill
            dollars = (bill.read * at.price_in + bill.written * at.price_out) / 1e6
            return float(asked * dollars / max(bill.asked, 1) / CORE)
        return 0.0


def cold(name: str) -> str:
    """A judge's name with temperature 0, where it says none.

    >>> cold("openai:m@http://127.0.0.1:1/v1#rpm=5")
    'openai:m@http://127.0.0.1:1/v1#rpm=5+temperature=0'
    """
    endpoint(name)
    return name if "temperature=" in name else name + ("+" if "#" in name else "#") + "temperature=0"
