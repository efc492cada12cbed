"""Binding of a certificate by hashes of model, prompt, judge, label guide and data. A mismatch makes it VOID."""

import hashlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path

from tolerate.base.registry import attribute
from tolerate.errors import DataError
from tolerate.records import Certificate
from tolerate.service.config import JobSettings, TierSettings
from tolerate.service.decide.scores import JUDGES

NAMES = ("model", "prompt", "judge", "guide", "data")


def sha256(text: str | bytes) -> str:
    """The SHA-256 of a text in hexadecimal."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def current_binding(job: JobSettings, tier: TierSettings, certificate: Certificate) -> dict[str, str]:
    """The hashes of what is configured now; what is not configured is absent."""
    hashes = {
        "model": sha256(json.dumps([tier.model, tier.strategy])),
        "judge": sha256(judge_source(tier.judge)),
    }
    if tier.prompt is not None:
        hashes["prompt"] = sha256(tier.prompt)
    if job.guide:
        hashes["guide"] = sha256(job.guide)
    data = _data(tier, certificate)
    if data is not None:
        hashes["data"] = data
    return hashes


def _data(tier: TierSettings, certificate: Certificate) -> str | None:
    """The hash of the configured table; without a table, the hash in the certificate."""
    if tier.table is None:
        return certificate.data_sha256
    try:
        return sha256(Path(tier.table).read_bytes())
    except OSError as error:
        raise DataError(f"{tier.table} cannot be read: {error.strerror}") from None


def judge_source(name: str) -> str:
    """A judge's name and source text, so that a changed judge counts as another judge."""
    function = JUDGES[name] if name in JUDGES else attribute(name)
    try:
        return f"{name}\n{inspect.getsource(function)}"
    except (OSError, TypeError):
        return name


def certified_binding(certificate: Certificate) -> dict[str, str]:
    """The hashes in the certificate itself."""
    hashes = certificate.options.get("bound", {})
    bound = {str(name): str(value) for name, value in hashes.items()} if isinstance(hashes, Mapping) else {}
    if certificate.data_sha256 is not None:
        bound.setdefault("data", certificate.data_sha256)
    return bound


def mismatches(bound: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The parts that differ from what the certificate is bound to.

    >>> mismatches({"model": "a", "guide": "b"}, {"model": "c", "guide": "b", "judge": "d"})
    ['model']
    """
    return [name for name in NAMES if name in bound and bound[name] != now.get(name)]
