"""Answer a bank customer's question, or hand it over: BANKING77 and CLINC150.

An answer is one of 77 intents. A question out of scope (CLINC150's own, which no intent fits) that is answered is an
error; a question that is handed over is not answered at all: abstention, not error. Casanueva et al. 2020,
arXiv:2003.04807; Larson et al. 2019, arXiv:1909.02027.
"""

import csv
import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.checks import Verdicts
from tolerate.errors import DataError, OptionError, hint
from tolerate.llm.model_names import is_pretrained_name
from tolerate.messages.catalogue import joined, message
from tolerate.messages.texts import ASSUMPTIONS, LIMITS, USES
from tolerate.records import Job, Prices
from tolerate.runs.pipeline import Candidates, Options, Say

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Texts = NDArray[np.str_]
OTHER = "(hand over)"  # the class of questions that no intent fits
OUTSIDE = 0.1  # share of requests that are out of scope
BANKING = {  # CLINC150's intents of banks and cards: neither inside nor clearly outside
    *(
        "transfer",
        "transactions",
        "balance",
        "freeze_account",
        "pay_bill",
        "bill_balance",
        "bill_due",
        "interest_rate",
    ),
    *(
        "routing",
        "min_payment",
        "order_checks",
        "pin_change",
        "report_fraud",
        "account_blocked",
        "spending_history",
    ),
    *(
        "credit_score",
        "report_lost_card",
        "credit_limit",
        "rewards_balance",
        "new_card",
        "application_status",
        "apr",
    ),
    *(
        "card_declined",
        "international_fees",
        "redeem_rewards",
        "credit_limit_change",
        "damaged_card",
        "income",
    ),
    *(
        "replacement_card_duration",
        "improve_credit_score",
        "expiration_date",
        "exchange_rate",
        "direct_deposit",
        "taxes",
    ),
}
READERS = {
    "ngrams": (
        "linear",
        "weighted n-grams, one margin a class",
        "Joachims 1998; Wang and Manning 2012",
        "linear",
    ),
    "encoder": (
        "bag",
        "mean of n-gram embeddings with a hidden layer",
        "Joulin et al. 2017, arXiv:1607.01759",
        "encoder",
    ),
    "both": (
        "both",
        "n-grams and encoder together",
        "Casanueva et al. 2020, arXiv:2003.04807 (data)",
        "ensemble",
    ),
    "bert": (
        "texts",
        "encoder pretrained by masked words and next parts, fine-tuned",
        "Devlin et al. 2019, arXiv:1810.04805",
        "encoder",
    ),
}
GIVEN = (
    "texts",
    "encoder pretrained elsewhere, fine-tuned",
    "Howard and Ruder 2018, arXiv:1801.06146",
    "encoder",
)
DEFAULT = ("ngrams", "encoder", "both")

JOB = Job(
    name="support",
    title={"en": "Answer a bank customer's question, or hand it over", "zh": "回答银行客户的问题，或转人工"},
    workshop="tolerate.jobs.texts.support:support",
    tolerance=0.02,
    confidence=0.95,
    tolerances=(0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005),
    models=DEFAULT,
    refine=("plain",),
    labels=6000,
    proof=4000,
    # Dollars for a million answers: a core at 4 cents an hour; an agent who answers in two minutes at 18 dollars.
    prices=Prices(compute=1e6 * 0.04 / 3600, review=1e6 * 120 * 18 / 3600, unit="$/million"),
    check="published labels",
    judge="verifier",
    example="tolerate run support --data FOLDER",
    kind="texts",
)


@dataclass(frozen=True)
class Questions:
    """Questions and their intents; OTHER where none fits."""

    texts: tuple[str, ...]
    intents: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Desk:
    """The data: questions to learn from, and questions that customers ask; those in scope come first."""

    taught: Questions
    asked: Questions
    inside: int  # how many of the asked are in scope
    sha256: str
    raw: tuple[str, ...] = ()  # questions of all kinds without their intents, to pretrain on


@lru_cache(maxsize=1)
def read_desk(folder: Path) -> Desk:
    """The published files: banking77/train.csv and test.csv, clinc150/data_full.json(.gz)."""
    digest = hashlib.sha256()
    train, test = (_banking(folder / "banking77" / f"{part}.csv", digest) for part in ("train", "test"))
    clinc = _clinc(folder / "clinc150", digest)
    outside = [text for text, _ in (*clinc["oos_train"], *clinc["oos_val"])]
    foreign = [text for text, intent in clinc["train"] if intent not in BANKING][::6]
    taught = Questions(
        (*train.texts, *outside, *foreign), (*train.intents, *[OTHER] * (len(outside) + len(foreign)))
    )
    strange = [text for text, _ in clinc["oos_test"]]
    asked = Questions((*test.texts, *strange), (*test.intents, *[OTHER] * len(strange)))
    raw = tuple(text for text, _ in clinc["train"])
    return Desk(taught, asked, len(test), digest.hexdigest(), raw)


def about_reader(name: str) -> tuple[str, str, str, str]:
    """Kind, title, paper and family of a reader by its name, settings and all; hf:FOLDER for a pretrained encoder."""
    plain = name.partition("#")[0]
    if is_pretrained_name(name):
        return GIVEN
    if plain not in READERS:
        raise OptionError(f'no reader of intents is called "{plain}". {hint(plain, READERS)}')
    return READERS[plain]


def _bytes(path: Path, digest: "hashlib._Hash") -> bytes:
    try:
        data = path.read_bytes()
        digest.update(data)
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError) as error:
        raise DataError(
            f"cannot read {path}: {error}; expected a folder with banking77/train.csv, banking77/test.csv and "
            "clinc150/data_full.json, as they are published"
        ) from None


def _banking(path: Path, digest: "hashlib._Hash") -> Questions:
    try:
        rows = list(csv.DictReader(_bytes(path, digest).decode("utf-8").splitlines()))
        return Questions(tuple(row["text"] for row in rows), tuple(row["category"] for row in rows))
    except (UnicodeDecodeError, KeyError) as error:
        raise DataError(
            f"{path} is not as published ({error!r}); expected UTF-8 with columns text and category"
        ) from None


def _clinc(folder: Path, digest: "hashlib._Hash") -> dict[str, list[tuple[str, str]]]:
    packed = folder / "data_full.json.gz"
    path = packed if packed.exists() else folder / "data_full.json"
    try:
        found: dict[str, list[tuple[str, str]]] = json.loads(_bytes(path, digest))
        missing = {"train", "oos_train", "oos_val", "oos_test"} - set(found)
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}") from None
    if missing:
        raise DataError(f"{path} lacks {', '.join(sorted(missing))}; expected CLINC150's data_full.json")
    return found


def support(job: Job, options: Options, folder: Path, say: Say) -> "SupportWorkshop":
    """The workshop of the bank's help desk."""
    return SupportWorkshop(job, options, folder, say)


class SupportWorkshop:
    """Teaches readers of intents, lets them answer, and holds the answers against the published labels."""

    def __init__(self, job: Job, options: Options, folder: Path, say: Say) -> None:
        self.job, self.options, self.folder, self.say = job, options, folder, say
        for name in job.models:
            about_reader(name)
        if tuple(job.refine) != ("plain",):
            raise OptionError(f"support knows one way to refine, plain; got {', '.join(job.refine)}")

    @cached_property
    def desk(self) -> Desk:
        """The data."""
        assert self.options.data is not None  # settle() has seen to it
        return read_desk(self.options.data)

    def about(self) -> dict[str, Any]:
        """Data, split, check and judge, as the report tells of them."""
        self.say.stage("prepare")
        inside, outside = f"{1 - OUTSIDE:.0%}", f"{OUTSIDE:.0%}"
        mix = {
            "en": f"{inside} of requests are questions of BANKING77's test part, {outside} are out of scope "
            "(CLINC150's test part), each question as likely as the others of its kind. "
            "Another mix needs another certificate.",
            "zh": f"请求中 {inside} 取自 BANKING77 测试集，{outside} 为超出范围的问题（CLINC150 测试集），"
            "同类问题机会相同。混合比例改变，须重新认证。",
        }
        sentence = joined(
            [
                message("check.published", data="BANKING77 and CLINC150"),
                message("check.people_unmeasured"),
            ]
        )
        return {
            "data": self.about_data(),
            "reader": {
                "name": self.job.check,
                "trained_on": 0,
                "rejected": 0,
                "by": "labels",
                "sentence": sentence,
            },
            "judge": {"name": self.job.judge, "trained_on": len(self.desk.taught)},
            "assumptions": [*ASSUMPTIONS, mix],
            "limits": LIMITS,
        }

    def about_data(self) -> dict[str, Any]:
        """The questions and which of them are for what."""
        sizes = {"generator": len(self.desk.taught), "asked": len(self.desk.asked)}
        return {
            "name": "BANKING77 and CLINC150",
            "total": sum(sizes.values()),
            "sha256": self.desk.sha256,
            "classes": sorted(set(self.desk.taught.intents)),
            "split": [{"name": name, "n": n, "use": USES[name]} for name, n in sizes.items()],
        }

    def requests(self, n: int, seed: int) -> Ints:
        """n questions, drawn independently; a fixed share out of scope."""
        rng = np.random.default_rng(seed)
        outside = rng.random(n) < OUTSIDE
        inside = rng.integers(0, self.desk.inside, n)
        return np.where(outside, rng.integers(self.desk.inside, len(self.desk.asked), n), inside)

    def asked(self, request: int) -> str:
        """The question."""
        return self.desk.asked.texts[int(request)]

    def train(self, model: str, folder: Path, say: Say) -> dict[str, Any]:
        """Teach one reader."""
        import time

        kind, title, paper, family = about_reader(model)
        began = time.monotonic()
        reader = self._taught(model, kind, folder, say)
        spent = time.monotonic() - began
        began = time.monotonic()
        reader(self.desk.asked.texts[:1000])
        return {
            "name": model,
            "title": title,
            "paper": paper,
            "family": family,
            "parameters": reader.size,
            "steps": None,
            "seconds": round(spent, 2),
            "texts_per_second": round(1000 / (time.monotonic() - began)),
            "curve": {},
            "findings": [],
        }

    def _taught(self, model: str, kind: str, folder: Path, say: Say) -> Any:
        """A reader of n-grams, or an encoder."""
        from tolerate.models.writers.ngram_classifier import teach_reader
        from tolerate.models.writers.text_classifier import teach_encoder

        taught, options = self.desk.taught, self.options

        def told(share: float) -> None:
            say.progress(share, "questions")

        if kind == "texts":
            return teach_encoder(
                taught.texts,
                taught.intents,
                folder,
                name=model,
                raw=self.desk.raw,
                budget=options.budget,
                steps=options.steps,
                seed=options.seed,
                device=options.device,
                board=options.board,
                on_progress=told,
            )
        reader = teach_reader(
            kind,
            taught.texts,
            taught.intents,
            seed=options.seed,
            passes=options.steps or 12,
            abstain=OTHER,
            on_progress=told,
        )
        reader.save(folder)
        return reader

    def make(self, model: str, folder: Path, requests: Ints, candidates: int, seed: int) -> Candidates:
        """The likeliest intent of each question, with the log odds that it is right as its score."""
        from tolerate.models.writers.ngram_classifier import load_reader

        reader = load_reader(folder)
        several = np.unique(requests)
        first, trust = reader.answers([self.asked(int(request)) for request in several])
        place = np.searchsorted(several, requests)
        answers = np.array(reader.classes)[first[place]][:, None]
        return Candidates(answers, trust[place][:, None], np.ones(answers.shape))

    def choose(self, refine: str, candidates: Candidates) -> tuple[Ints, Floats]:
        """The answer, or none where the reader would hand over."""
        over = candidates.contents[:, 0] == OTHER
        return np.where(over, -1, 0), np.where(over, np.nan, candidates.scores[:, 0])

    def candidates(self, refine: str) -> int:
        """One."""
        return 1

    def check(self, contents: Texts, requests: Ints) -> Verdicts:
        """Wrong is another intent than the label's, or any for a question out of scope."""
        truth = [self.desk.asked.intents[int(request)] for request in requests]
        wrong = [str(said) != true for said, true in zip(contents, truth, strict=True)]
        reads = [
            message("read.label", label=true) if bad else message("read.as_labelled")
            for bad, true in zip(wrong, truth, strict=True)
        ]
        return Verdicts(np.array(wrong, dtype=np.float64), reads)

    def score(self, contents: Texts, requests: Ints) -> Floats:
        """Nothing is known of answers from elsewhere."""
        return np.full(len(contents), np.nan)

    def open_items(self, paths: Sequence[Path]) -> Texts:
        """Answers from files."""
        return np.array([path.read_text("utf-8").strip() for path in paths])

    def measure(self, model: str, contents: Texts, requests: Ints, verdicts: Verdicts) -> dict[str, Any]:
        """Accuracy on all of BANKING77's test questions, and what happens to those out of scope."""
        from tolerate.base.files import slug
        from tolerate.models.writers.ngram_classifier import load_reader

        reader = load_reader(self.folder / "models" / slug(model))
        said = np.array(reader.classes)[reader(self.desk.asked.texts).argmax(1)]
        right = said == np.array(self.desk.asked.intents)
        inside = np.arange(len(right)) < self.desk.inside
        return {
            "accuracy": float(right[inside].mean()),
            "outside_answered": float((said[~inside] != OTHER).mean()),
            "inside_handed_over": float((said[inside] == OTHER).mean()),
        }

    def compute_seconds(self, model: str, folder: Path, candidates: int) -> float:
        """Core-seconds to read one question, counted in operations."""
        from tolerate.models.writers.ngram_classifier import load_reader, reading_cost

        return reading_cost(load_reader(folder), self.desk.asked.texts[:100])

    def picture(self, content: Any) -> bytes:
        """One answer as bytes."""
        return str(content).encode()

    def text(self, content: Any, request: int) -> list[tuple[str, bool]]:
        """One answer, marked whole where it is wrong."""
        return [(str(content), str(content) != self.desk.asked.intents[int(request)])]
