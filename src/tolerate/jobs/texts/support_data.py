"""BANKING77 and CLINC150, as they are published: questions to a bank with their intents, and questions out of scope."""

import csv
import gzip
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tolerate.errors import DataError

HAND_OVER = "(hand over)"  # the class of questions that no intent fits
BANKING_INTENTS = frozenset(  # of CLINC150, about banks and cards: neither in scope nor clearly out of it
    {
        "transfer",
        "transactions",
        "balance",
        "freeze_account",
        "pay_bill",
        "bill_balance",
        "bill_due",
        "interest_rate",
        "routing",
        "min_payment",
        "order_checks",
        "pin_change",
        "report_fraud",
        "account_blocked",
        "spending_history",
        "credit_score",
        "report_lost_card",
        "credit_limit",
        "rewards_balance",
        "new_card",
        "application_status",
        "apr",
        "card_declined",
        "international_fees",
        "redeem_rewards",
        "credit_limit_change",
        "damaged_card",
        "income",
        "replacement_card_duration",
        "improve_credit_score",
        "expiration_date",
        "exchange_rate",
        "direct_deposit",
        "taxes",
    }
)


@dataclass(frozen=True)
class LabelledQuestions:
    """Questions and their intents; HAND_OVER where none fits."""

    texts: tuple[str, ...]
    intents: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class SupportData:
    """Questions to learn from, and questions that customers ask; of the latter those in scope come first."""

    training: LabelledQuestions
    requests: LabelledQuestions
    in_scope: int  # how many of the asked are in scope
    sha256: str
    unlabelled: tuple[str, ...] = ()  # questions of all kinds without their intents, to pretrain on


@lru_cache(maxsize=1)
def read_support_data(folder: Path) -> SupportData:
    """The published files: banking77/train.csv and test.csv, clinc150/data_full.json(.gz)."""
    digest = hashlib.sha256()
    train, test = (_banking(folder / "banking77" / f"{part}.csv", digest) for part in ("train", "test"))
    clinc = _clinc(folder / "clinc150", digest)
    outside = [text for text, _ in (*clinc["oos_train"], *clinc["oos_val"])]
    foreign = [text for text, intent in clinc["train"] if intent not in BANKING_INTENTS][::6]
    training = LabelledQuestions(
        (*train.texts, *outside, *foreign), (*train.intents, *[HAND_OVER] * (len(outside) + len(foreign)))
    )
    out_of_scope = [text for text, _ in clinc["oos_test"]]
    requests = LabelledQuestions(
        (*test.texts, *out_of_scope), (*test.intents, *[HAND_OVER] * len(out_of_scope))
    )
    unlabelled = tuple(text for text, _ in clinc["train"])
    return SupportData(training, requests, len(test), digest.hexdigest(), unlabelled)


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


def _banking(path: Path, digest: "hashlib._Hash") -> LabelledQuestions:
    try:
        rows = list(csv.DictReader(_bytes(path, digest).decode("utf-8").splitlines()))
        return LabelledQuestions(tuple(row["text"] for row in rows), tuple(row["category"] for row in rows))
    except (UnicodeDecodeError, KeyError) as error:
        raise DataError(
            f"{path} is not as published ({error!r}); expected UTF-8 with columns text and category"
        ) from None


def _clinc(folder: Path, digest: "hashlib._Hash") -> dict[str, list[tuple[str, str]]]:
    compressed = folder / "data_full.json.gz"
    path = compressed if compressed.exists() else folder / "data_full.json"
    try:
        parts: dict[str, list[tuple[str, str]]] = json.loads(_bytes(path, digest))
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}") from None
    missing = {"train", "oos_train", "oos_val", "oos_test"} - set(parts)
    if missing:
        raise DataError(f"{path} lacks {', '.join(sorted(missing))}; expected CLINC150's data_full.json")
    return parts
