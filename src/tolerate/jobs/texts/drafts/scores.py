"""The scores that a text job's answers may be ranked by, beside the job's own; each is computed only if it is used.

mean, least    the writer's confidence: log-probability of a token on average, and of the least likely one
exact, alike   share of the other candidates that are the same, and how near they lie (embedding match)
round-trip     the record regenerated from the text by a writer that learned the reverse: the share recovered
judge          a model behind a server that judges by a rubric

None of them is trusted: a score ranks, and the certificate rests on the check's or people's verdicts.
"""

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from tolerate.base.arrays import Floats, Ints
from tolerate.errors import OptionError
from tolerate.jobs.texts.drafts.drafting import Drafter, Strings
from tolerate.jobs.texts.drafts.prompted_models import DOLLARS_A_CORE_SECOND
from tolerate.jobs.texts.drafts.training_texts import MAX_PAIRS
from tolerate.jobs.texts.options import TextOptions
from tolerate.jobs.texts.task import TextTask
from tolerate.llm.endpoint_names import parse_endpoint
from tolerate.llm.judge import RubricJudge, read_rubric
from tolerate.refine.texts.refining import Alike, Scorer, TextRefining
from tolerate.runs.plan import RunPlan
from tolerate.runs.progress import ProgressReporter

REVERSE_FOLDER = "back"  # of the writer that turns a text into its record
REVERSE_STEPS = 1000
MAX_EMBEDDING_TEXTS = 3_000  # that embeddings by letters are fitted to
PROBABILITIES = ("judge",)  # scores that claim to be the probability that a text is right


class TextScores:
    """The scores of one workshop."""

    def __init__(
        self,
        plan: RunPlan,
        folder: Path,
        reporter: ProgressReporter,
        drafter: Drafter,
        refinings: Collection[TextRefining],
        task: Callable[[], TextTask],
    ) -> None:
        self.plan, self.folder, self.reporter, self.drafter = plan, folder, reporter, drafter
        self._task = task
        self.options = plan.options.modality_options(TextOptions)
        self._check_options({refining.by for refining in refinings})
        self.rubric = read_rubric(self.options.rubric) if self.options.rubric else ""

    def _check_options(self, scores: set[str]) -> None:
        options = self.options
        if "judge" in scores and not options.judge:
            raise OptionError("the score by-judge needs a model that judges; add --judge openai:MODEL@URL")
        for option, value, score in (("rubric", options.rubric, "judge"), ("embed", options.embed, "alike")):
            if value and score not in scores:
                raise OptionError(f"--{option} is for the score {score}; add --scores own,{score}")

    def own_scorers(self, texts: Strings, means: Floats, least: Floats, requests: Ints) -> dict[str, Scorer]:
        """Scores of a candidate by itself: texts, means and least are [requests, k]."""
        return {
            "mean": lambda rows, columns: np.exp(means[rows, columns]),
            "least": lambda rows, columns: np.exp(least[rows, columns]),
            "round-trip": lambda rows, columns: self.recovered_share(texts[rows, columns], requests[rows]),
            "judge": lambda rows, columns: self.judge_scores(texts[rows, columns], requests[rows]),
        }

    def agreement_scorers(self, texts: Strings) -> dict[str, Alike]:
        """Functions that measure the similarity of two candidates of a request, by name of the score."""
        return {
            "exact": lambda columns: (texts[:, columns, None] == texts[:, None, columns]).astype(np.float64),
            "alike": lambda columns: self.similarity(texts[:, columns]),
        }

    # Embedding match

    def similarity(self, texts: Strings) -> Floats:
        """Cosines of the candidates' embeddings, below 0 as 0: [requests, k] -> [requests, k, k]."""
        vectors = self._embed([str(text) for text in texts.ravel()]).reshape(*texts.shape, -1)
        return np.asarray(np.clip(np.einsum("nid,njd->nij", vectors, vectors), 0.0, 1.0))

    @cached_property
    def _embed(self) -> Callable[[Sequence[str]], Floats]:
        from tolerate.models.pretrained.embedders import embedder

        pairs = self._task().pairs(MAX_EMBEDDING_TEXTS, self.plan.options.seed)
        return embedder(self.options.embed, [pair.answer for pair in pairs])

    # Round trip

    def recovered_share(self, texts: Strings, requests: Ints) -> Floats:
        """Share of each text's record that the reverse writer recovers; ties by how likely it finds the record."""
        from tolerate.models.texts.decoding import Decoding
        from tolerate.models.writers.writing import likelihoods, write

        task, folder = self._task(), self._reverse_folder
        inputs = [
            task.model_text(str(text), int(request)) for text, request in zip(texts, requests, strict=True)
        ]
        records = [task.model_input(int(request)) for request in requests]
        rows = write(folder, inputs, 1, 0, Decoding(temperature=0, limit=self._record_limit))
        share = np.array(
            [
                task.record_overlap(row[0].text, int(request))
                for row, request in zip(rows, requests, strict=True)
            ]
        )
        return share + np.exp(likelihoods(folder, list(zip(inputs, records, strict=True)))) / 100

    @cached_property
    def _record_limit(self) -> int:
        pairs = self._task().pairs(200, self.plan.options.seed)
        return 2 * max(len(pair.prompt) for pair in pairs)

    @cached_property
    def _reverse_folder(self) -> Path:
        """The folder of a writer that reads a text and writes its record; trained once for all models of a run."""
        from tolerate.models.training.plan import TrainingOptions
        from tolerate.models.writers.registry import writer
        from tolerate.models.writers.writing import teach_writer

        task, folder, options = self._task(), self.folder / REVERSE_FOLDER, self.plan.options
        if not task.has_record:
            raise OptionError(f"{task.name} have no record that a text could be turned back into")
        if not (folder / "about.json").exists():
            self.reporter.note("a writer learns the way back, from text to record")
            plan, pairs = writer("transformer"), task.pairs(MAX_PAIRS, options.seed)
            teach_writer(
                plan.entry.path,
                [(pair.answer, pair.prompt) for pair in pairs],
                folder,
                TrainingOptions(
                    steps=options.steps or REVERSE_STEPS, batch=plan.batch, seed=options.seed + 7
                ),
                model=plan.options,
                on_progress=lambda progress: self.reporter.progress(0.7, f"the way back: {progress}"),
            )
            (folder / "about.json").write_text("{}", "utf-8")
        return folder

    # A judge

    def judge_scores(self, texts: Strings, requests: Ints) -> Floats:
        """The judge's score of each text, NaN where it gave no number."""
        task = self._task()
        model = self.drafter.prompted.served_model(at_temperature_zero(self.options.judge))
        judge = RubricJudge(model, self.rubric or task.rubric)
        scores = judge(
            [task.prompt(int(request)) for request in requests],
            [str(text) for text in texts],
            lambda done, total: self.reporter.progress(0.9, f"judged {done:,} of {total:,}"),
        )
        return np.array(scores)

    # Costs

    def seconds(self, refining: TextRefining) -> float:
        """Core-seconds that the score of one request costs."""
        scored = refining.candidates if refining.picker == "best-of-N" else 1
        if refining.by == "round-trip":
            return scored * 2 * self._reverse_seconds()
        if refining.by == "judge":
            return self._judge_seconds(scored)
        return 0.0

    def _reverse_seconds(self) -> float:
        """Core-seconds of one text by the reverse writer."""
        from tolerate.models.writers.writing import writing_cost

        pairs = self._task().pairs(64, self.plan.options.seed)[:32]
        return writing_cost(self._reverse_folder, [pair.answer for pair in pairs], self.drafter.decoding)

    def _judge_seconds(self, texts: int) -> float:
        """The judge's price of some texts, as the seconds of a core that cost as much."""
        model = self.drafter.prompted.served_model(at_temperature_zero(self.options.judge))
        endpoint, usage = model.endpoint, model.usage
        dollars = (
            usage.prompt_tokens * endpoint.price_in + usage.completion_tokens * endpoint.price_out
        ) / 1e6
        return float(texts * dollars / max(usage.requests, 1) / DOLLARS_A_CORE_SECOND)


def at_temperature_zero(name: str) -> str:
    """A judge's name with temperature 0, where it gives none.

    >>> at_temperature_zero("openai:m@http://127.0.0.1:1/v1#rpm=5")
    'openai:m@http://127.0.0.1:1/v1#rpm=5+temperature=0'
    """
    parse_endpoint(name)
    return name if "temperature=" in name else name + ("+" if "#" in name else "#") + "temperature=0"
