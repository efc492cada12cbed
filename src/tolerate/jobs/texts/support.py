"""Answer a bank customer's question, or hand it over: BANKING77 and CLINC150.

An answer is one of 77 intents. A question out of scope (CLINC150's own, which no intent fits) that is answered is an
error; a question that is handed over is not answered at all: abstention, not error. Casanueva et al. 2020,
arXiv:2003.04807; Larson et al. 2019, arXiv:1909.02027.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tolerate.base.arrays import Contents, Floats, Ints
from tolerate.base.files import slug
from tolerate.base.registry import entry_named
from tolerate.checks import Verdicts
from tolerate.errors import OptionError
from tolerate.jobs.texts.support_data import HAND_OVER, SupportData, read_support_data
from tolerate.llm.model_names import is_pretrained_name
from tolerate.messages.catalogue import joined, message
from tolerate.messages.texts import ASSUMPTIONS, LIMITS, USES
from tolerate.modality import Content, Span
from tolerate.records import Job, Prices
from tolerate.report.preparation import CheckReport, DataPart, DataReport, JudgeReport, PreparationReport
from tolerate.report.results import ModelMetrics, ModelReport
from tolerate.runs.plan import RunPlan
from tolerate.runs.progress import ProgressReporter
from tolerate.runs.workshop import Candidates, Workshop

if TYPE_CHECKING:
    from tolerate.models.writers.ngram_classifier import NGramClassifier
    from tolerate.models.writers.text_classifier import TextClassifier

OUT_OF_SCOPE_SHARE = 0.1  # of requests
SPEED_QUESTIONS = 1000  # on which the speed of a classifier is measured
COST_QUESTIONS = 100  # on which its cost is counted
DATA_NAME = "BANKING77 and CLINC150"

JOB = Job(
    name="support",
    title={"en": "Answer a bank customer's question, or hand it over", "zh": "回答银行客户的问题，或转人工"},
    workshop="tolerate.jobs.texts.support:open_support",
    tolerance=0.02,
    confidence=0.95,
    tolerances=(0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005),
    models=("ngrams", "encoder", "both"),
    refine=("plain",),
    labels=6000,
    proof=4000,
    prices=Prices.per_million(review_seconds=120, dollars_an_hour=18),
    check="published labels",
    judge="verifier",
    example="tolerate run support --data FOLDER",
    modality="texts",
)


@dataclass(frozen=True)
class IntentClassifier:
    """A listed classifier of intents. kind: linear or bag (of n-grams), both, or texts (an encoder)."""

    kind: str
    title: str
    paper: str
    family: str


CLASSIFIERS = {
    "ngrams": IntentClassifier(
        "linear",
        "weighted n-grams, one margin a class",
        "Joachims 1998; Wang and Manning 2012",
        "linear",
    ),
    "encoder": IntentClassifier(
        "bag",
        "mean of n-gram embeddings with a hidden layer",
        "Joulin et al. 2017, arXiv:1607.01759",
        "encoder",
    ),
    "both": IntentClassifier(
        "both",
        "n-grams and encoder together",
        "Casanueva et al. 2020, arXiv:2003.04807 (data)",
        "ensemble",
    ),
    "bert": IntentClassifier(
        "texts",
        "encoder pretrained by masked words and next parts, fine-tuned",
        "Devlin et al. 2019, arXiv:1810.04805",
        "encoder",
    ),
}
PRETRAINED_CLASSIFIER = IntentClassifier(
    "texts",
    "encoder pretrained elsewhere, fine-tuned",
    "Howard and Ruder 2018, arXiv:1801.06146",
    "encoder",
)


def find_classifier(name: str) -> IntentClassifier:
    """The classifier of a name with or without settings; hf:FOLDER for a pretrained encoder."""
    if is_pretrained_name(name):
        return PRETRAINED_CLASSIFIER
    return entry_named(name.partition("#")[0], CLASSIFIERS, "classifier of intents")


def open_support(plan: RunPlan, folder: Path, reporter: ProgressReporter) -> "SupportWorkshop":
    """The workshop of the bank's customer support."""
    return SupportWorkshop(plan, folder, reporter)


class SupportWorkshop(Workshop):
    """Trains classifiers of intents, lets them answer, and compares the answers with the published labels."""

    def __init__(self, plan: RunPlan, folder: Path, reporter: ProgressReporter) -> None:
        super().__init__(plan, folder, reporter)
        for name in plan.models:
            find_classifier(name)
        if plan.refine != ("plain",):
            raise OptionError(f"the job support has one refining, plain; got {', '.join(plan.refine)}")

    @cached_property
    def data(self) -> SupportData:
        """The questions."""
        return read_support_data(self.plan.data)

    # Reports

    def prepare(self) -> PreparationReport:
        """Data, split, check and judge."""
        self.reporter.stage("prepare")
        inside, outside = f"{1 - OUT_OF_SCOPE_SHARE:.0%}", f"{OUT_OF_SCOPE_SHARE:.0%}"
        mix = {
            "en": f"{inside} of requests are questions of BANKING77's test part, {outside} are out of scope "
            "(CLINC150's test part), each question as likely as the others of its kind. "
            "Another mix needs another certificate.",
            "zh": f"请求中 {inside} 取自 BANKING77 测试集，{outside} 为超出范围的问题（CLINC150 测试集），"
            "同类问题机会相同。混合比例改变，须重新认证。",
        }
        return PreparationReport(
            self.data_report(),
            self.check_report(),
            JudgeReport(self.plan.job.judge, len(self.data.training)),
            (*ASSUMPTIONS, mix),
            tuple(LIMITS),
        )

    def data_report(self) -> DataReport:
        """The questions and how many of them serve each purpose."""
        sizes = {"generator": len(self.data.training), "asked": len(self.data.requests)}
        return DataReport(
            DATA_NAME,
            sum(sizes.values()),
            self.data.sha256,
            tuple(sorted(set(self.data.training.intents))),
            tuple(DataPart(name, n, USES[name]) for name, n in sizes.items()),
        )

    def check_report(self) -> CheckReport:
        """The published labels."""
        published = message("check.published", data=DATA_NAME)
        return CheckReport(
            self.plan.job.check,
            by="labels",
            sentence=joined([published, message("check.people_unmeasured")]),
        )

    # Requests

    def requests(self, n: int, seed: int) -> Ints:
        """n questions, drawn independently; a fixed share out of scope."""
        rng = np.random.default_rng(seed)
        outside = rng.random(n) < OUT_OF_SCOPE_SHARE
        inside = rng.integers(0, self.data.in_scope, n)
        return np.where(outside, rng.integers(self.data.in_scope, len(self.data.requests), n), inside)

    def request_text(self, request: int) -> str:
        """The question."""
        return self.data.requests.texts[int(request)]

    # Classifiers

    def train(self, model: str, folder: Path, reporter: ProgressReporter) -> ModelReport:
        """Train one classifier."""
        entry, start = find_classifier(model), time.monotonic()
        classifier = self._fit(model, entry.kind, folder, reporter)
        trained, start = time.monotonic() - start, time.monotonic()
        classifier(self.data.requests.texts[:SPEED_QUESTIONS])
        return ModelReport(
            name=model,
            title=entry.title,
            paper=entry.paper,
            family=entry.family,
            figures={
                "parameters": classifier.size,
                "steps": None,
                "seconds": round(trained, 2),
                "texts_per_second": round(SPEED_QUESTIONS / (time.monotonic() - start)),
            },
        )

    def _fit(
        self, model: str, kind: str, folder: Path, reporter: ProgressReporter
    ) -> "NGramClassifier | TextClassifier":
        """A classifier of n-grams, or an encoder, left in the folder."""
        from tolerate.models.training.plan import TrainingOptions
        from tolerate.models.writers.ngram_classifier import teach_reader
        from tolerate.models.writers.text_classifier import teach_encoder

        training, options = self.data.training, self.plan.options

        def report(share: float) -> None:
            reporter.progress(share, "questions")

        if kind == "texts":
            return teach_encoder(
                training.texts,
                training.intents,
                folder,
                TrainingOptions(
                    steps=options.steps,
                    budget=options.budget,
                    seed=options.seed,
                    device=options.device,
                    board=options.board,
                ),
                name=model,
                raw=self.data.unlabelled,
                on_progress=report,
            )
        classifier = teach_reader(
            kind,
            training.texts,
            training.intents,
            seed=options.seed,
            passes=options.steps or 12,
            abstain=HAND_OVER,
            on_progress=report,
        )
        classifier.save(folder)
        return classifier

    def generate(self, model: str, folder: Path, requests: Ints, candidates: int, seed: int) -> Candidates:
        """The likeliest intent of each question, with the log odds that it is right as its score."""
        from tolerate.models.writers.ngram_classifier import load_reader

        classifier, different = load_reader(folder), np.unique(requests)
        classes, log_odds = classifier.answers([self.request_text(int(request)) for request in different])
        rows = np.searchsorted(different, requests)
        answers = np.array(classifier.classes)[classes[rows]][:, None]
        return Candidates(answers, log_odds[rows][:, None], np.ones(answers.shape))

    def compute_seconds(self, model: str, folder: Path, candidates: int) -> float:
        """Core-seconds to classify one question, counted in operations."""
        from tolerate.models.writers.ngram_classifier import load_reader, reading_cost

        return reading_cost(load_reader(folder), self.data.requests.texts[:COST_QUESTIONS])

    # Choosing and checking

    def choose(self, refine: str, candidates: Candidates) -> tuple[Ints, Floats]:
        """The answer, or none where the classifier would hand over."""
        hand_over = candidates.contents[:, 0] == HAND_OVER
        return np.where(hand_over, -1, 0), np.where(hand_over, np.nan, candidates.scores[:, 0])

    def check(self, contents: Contents, requests: Ints) -> Verdicts:
        """Wrong is another intent than the label's, or any for a question out of scope."""
        pairs = list(zip(contents, requests, strict=True))
        wrong = [self._is_wrong(content, request) for content, request in pairs]
        return Verdicts(
            np.array(wrong, dtype=np.float64),
            [self._reading(content, request) for content, request in pairs],
        )

    def _is_wrong(self, content: Content, request: int) -> bool:
        return str(content) != self.data.requests.intents[int(request)]

    def _reading(self, content: Content, request: int) -> str:
        if self._is_wrong(content, request):
            return message("read.label", label=self.data.requests.intents[int(request)])
        return message("read.as_labelled")

    def open_items(self, paths: Sequence[Path]) -> Contents:
        """Answers from files."""
        return np.array([path.read_text("utf-8").strip() for path in paths])

    def measure(self, model: str, contents: Contents, requests: Ints, verdicts: Verdicts) -> ModelMetrics:
        """Accuracy on all of BANKING77's test questions, and what happens to those out of scope."""
        from tolerate.models.writers.ngram_classifier import load_reader

        classifier = load_reader(self.folder / "models" / slug(model))
        answers = np.array(classifier.classes)[classifier(self.data.requests.texts).argmax(1)]
        right = answers == np.array(self.data.requests.intents)
        inside = np.arange(len(right)) < self.data.in_scope
        return ModelMetrics(
            {
                "accuracy": float(right[inside].mean()),
                "outside_answered": float((answers[~inside] != HAND_OVER).mean()),
                "inside_handed_over": float((answers[inside] == HAND_OVER).mean()),
            }
        )

    # What people see

    def wrong_parts(self, content: Content, request: int) -> Sequence[Span]:
        """The answer as a whole where it is wrong."""
        return ((0, len(str(content))),) if self._is_wrong(content, request) else ()
