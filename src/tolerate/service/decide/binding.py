"""What a certificate holds for, by hash: model, prompt template, judge, label guide, data. A mismatch makes it VOID."""

import hashlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path

from tolerate.base.registry import attribute
from tolerate.errors import DataError
from tolerate.records import Certificate
from tolerate.service.config import JobSettings, Tier
from tolerate.service.decide.scores import JUDGES

NAMES = ("model", "prompt", "judge", "guide", "data")


def sha(text: str | bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def bound_now(job: JobSettings, tier: Tier, certificate: Certificate) -> dict[str, str]:
    """The hashes of what is configured today; what is not configured is absent."""
    found = {
        "model": sha(json.dumps([tier.model, tier.strategy])),
        "judge": sha(judge_source(tier.judge)),
    }
    if tier.prompt is not None:
        found["prompt"] = sha(tier.prompt)
    if job.guide:
        found["guide"] = sha(job.guide)
    data = _data(tier, certificate)
    if data is not None:
        found["data"] = data
    return found


def _data(tier: Tier, certificate: Certificate) -> str | None:
    """The hash of the table beside the certificate; without a table, what the certificate itself says."""
    if tier.table is None:
        return certificate.data_sha256
    try:
        return sha(Path(tier.table).read_bytes())
    except OSError as error:
        raise DataError(f"{tier.table} cannot be read: {error.strerror}") from None


def judge_source(name: str) -> str:
    """A judge's name and source text, so that a changed judge is another judge."""
    function = JUDGES[name] if name in JUDGES else attribute(name)
    try:
        return f"{name}\n{inspect.getsource(function)}"
    except (OSError, TypeError):
        return name


def promised(certificate: Certificate) -> dict[str, str]:
    """What the certificate itself says it is bound to."""
    given = certificate.options.get("bound", {})
    bound = {str(name): str(value) for name, value in given.items()} if isinstance(given, Mapping) else {}
    if certificate.data_sha256 is not None:
        bound.setdefault("data", certificate.data_sha256)
    return bound


def mismatches(bound: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What is another one than the certificate holds for.

    >>> mismatches({"model": "a", "guide": "b"}, {"model": "c", "guide": "b", "judge": "d"})
    ['model']
    """
    return [name for name in NAMES if name in bound and bound[name] != now.get(name)]
