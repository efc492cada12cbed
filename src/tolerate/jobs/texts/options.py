"""Options of text jobs beside those of every run: scores, a judge, embeddings, near-duplicates."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tolerate.base.json_types import JsonValue
from tolerate.errors import OptionError
from tolerate.llm.endpoint_names import parse_endpoint
from tolerate.llm.judge import rubric_hash
from tolerate.records import Job
from tolerate.refine.texts.refining import scored_by
from tolerate.runs.options import ModalityOptions

SCORE_OPTIONS = ("scores", "rubric", "embed", "dedupe")  # what a job takes whose texts are written and ranked
BY_JUDGE = "by-judge"


@dataclass(frozen=True)
class TextOptions(ModalityOptions):
    """Options of text jobs.

    A job that takes "judge" lets a model judge in place of its check; any other that takes "scores" may use a judge
    as a score only.
    """

    judge: str = ""  # a model behind a server: the score by-judge, or the verdicts where the job takes them
    rubric: Path | None = None  # the criteria of the score by-judge
    scores: tuple[str, ...] = ()  # that texts are ranked by; each makes a further refining
    embed: str = ""  # what the score alike compares by: letters, hf:NAME or openai:MODEL@URL
    dedupe: bool = False  # drop near-duplicates among the texts to learn from

    def resolve(self, job: Job, refine: tuple[str, ...]) -> tuple[str, ...]:
        """The refinings, each with every score; raises OptionError for an option that the job does not take."""
        for name in self.set_names():
            if name not in job.options and (name != "judge" or "scores" not in job.options):
                raise OptionError(f"the job {job.name} takes no --{name}")
        refine = self._with_scores(job, refine)
        if self.judge:
            if "judge" not in job.options and not any(BY_JUDGE in name.split("+") for name in refine):
                raise OptionError(
                    f"the job {job.name} has a check of its own and takes no --judge; it may be a score: add "
                    "--scores own,judge"
                )
            parse_endpoint(self.judge)
        return refine

    def result_keys(self) -> Mapping[str, JsonValue]:
        """The given options that the result depends on; scores are in the refinings already."""
        rubric = rubric_hash(self.rubric) if self.rubric else ""
        keys: dict[str, JsonValue] = {
            "judge": self.judge,
            "embed": self.embed,
            "dedupe": self.dedupe,
            "rubric": rubric,
        }
        return {name: value for name, value in keys.items() if value}

    def _with_scores(self, job: Job, refine: tuple[str, ...]) -> tuple[str, ...]:
        """Each refining with each of the scores; the job's own score goes by its name or `own`.

        >>> from tolerate.jobs import job
        >>> options = TextOptions(scores=("verifier", "votes"))
        >>> options.resolve(job("casenotes"), ("plain", "vote-of-4"))
        ('plain', 'vote-of-4', 'vote-of-4+by-votes')
        """
        if not self.scores:
            return refine
        named = [
            name if score in (job.judge, "own") else scored_by(name, score)
            for name in refine
            for score in self.scores
        ]
        scored = tuple(dict.fromkeys(name for name in named if name is not None))
        if not scored:
            raise OptionError(
                f"no refining here can rank by {', '.join(self.scores)}; try --refine vote-of-4"
            )
        return scored
