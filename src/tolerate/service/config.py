"""Configuration of a service: its jobs, each with tiers from cheap to dear, and the limits of the whole.

Given as options of `tolerate serve` for one job with one tier, or as a TOML file (`--config`):

    database = "tolerate.db"

    [jobs.support]
    share = 0.05                      # of what is released goes to review
    guide = "guide.md"                # what counts as wrong, shown to reviewers

    [[jobs.support.tiers]]
    upstream = "http://localhost:8000/v1"
    model = "small"
    judge = "logprobs"
    certificate = "small.json"
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tolerate.errors import DataError, OptionError, hint

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
PLAIN_TYPES = (float, int, str, bool)
STRATEGY = re.compile(r"plain|(best-of|agreement)-([2-9]|1[0-6])")


@dataclass(frozen=True)
class Grade:
    """One verdict that a reviewer can give: its key, its words in both languages, its loss."""

    key: str
    en: str
    zh: str
    loss: float


FINE_OR_WRONG = (Grade("f", "Fine", "合格", 0.0), Grade("w", "Wrong", "错误", 1.0))


@dataclass(frozen=True)
class TierSettings:
    """Settings of one tier: a model behind an address, and how its answers are scored.

    model: requested of the upstream; None passes on what the application names. prompt: text of the system prompt, if
    the gateway sets it. strategy: plain, best-of-N or agreement-N. prices: of a million tokens.
    """

    name: str
    upstream: str
    model: str | None = None
    judge: str = "none"
    prompt: str | None = None
    strategy: str = "plain"
    key: str | None = field(default=None, repr=False)  # of the upstream
    certificate: str | None = None  # a file
    table: str | None = None  # the labelled table that it rests on
    fallback: tuple[str, ...] = ()
    price_in: float = 0.0
    price_out: float = 0.0
    timeout: float = 60.0
    retries: int = 2

    @property
    def candidates(self) -> int:
        """The number of candidates that are requested for one answer."""
        return 1 if self.strategy == "plain" else int(self.strategy.rpartition("-")[2])


@dataclass(frozen=True)
class JobSettings:
    """Settings of one job of the service.

    share: of what is released (and of what is held) that is drawn for the watch. wait: seconds that a held answer
    waits for a person before the ticket is given out. stream: "held" until the verdict, or "not certified": passed on
    as it comes, marked so in every chunk. cache: seconds for which an answer is reused. accept: the largest final loss
    at which a held item is released. on_slice_alarm: what an alarm of a named slice does that the certificate does not
    promise: "tell" people, or "hold" that slice (the alarm of a promised slice withdraws). drift: the smallest change
    of the scores' distribution that makes the certificate DEGRADED, 0 to 1; 1 turns it off. degraded_share: drawn for
    the watch while it is, at least. second: of the drawn items that one person reviews, the share that a second one
    reads too.
    """

    name: str
    tiers: tuple[TierSettings, ...]
    share: float = 0.05
    reviewers: int = 1
    wait: float = 0.0
    stream: str = "held"
    cache: float = 0.0
    mask: bool = False
    keep_days: float = 30.0
    accept: float = 0.0
    guide: str = ""
    scale: tuple[Grade, ...] = FINE_OR_WRONG
    slices: tuple[str, ...] = ()
    review_price: float = 0.0
    on_slice_alarm: str = "tell"
    drift: float = 0.1
    degraded_share: float = 0.25
    second: float = 0.0
    policy: tuple[str, ...] = ()  # patterns; a request that matches goes to a person


@dataclass(frozen=True)
class ServiceSettings:
    """A service with its jobs and limits.

    origins: addresses under which browsers reach the desk, beside the one it listens on. private: whether upstreams
    and webhooks may stand on private addresses. rate: requests a second that one key may make, 0 for no limit.
    webhook_secret: what notices are signed with; without one it is generated at the first start and shown once.
    """

    jobs: tuple[JobSettings, ...]
    database: str = "tolerate.db"
    host: str = "127.0.0.1"
    port: int = 7411
    webhooks: tuple[str, ...] = ()
    webhook_secret: str | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()
    private: bool = True
    rate: float = 0.0
    body: int = 4 * 2**20
    depth: int = 64
    concurrency: int = 2000
    receive: float = 30.0  # seconds for a request to arrive
    drain: float = 30.0  # seconds for a stop to finish what it took
    access_log: bool = False
    lang: str = "en"

    def job(self, name: str) -> JobSettings | None:
        """The job of that name; None if there is none."""
        return next((job for job in self.jobs if job.name == name), None)


def load(path: Path) -> ServiceSettings:
    """The settings in a TOML file; paths in it start from its folder."""
    try:
        table: dict[str, object] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path} is not TOML: {error}") from None
    jobs = table.pop("jobs", {})
    if not isinstance(jobs, dict) or not jobs:
        raise DataError(f"{path} names no job; expected a table such as [jobs.support]")
    settings = tuple(_job(name, job, path.parent) for name, job in jobs.items())
    if "webhook_secret_env" in table:
        table["webhook_secret"] = _from_environment(table.pop("webhook_secret_env"))
    return validate_settings(_record(ServiceSettings, {**table, "jobs": settings}, str(path)))


def _job(name: str, table: object, folder: Path) -> JobSettings:
    where = f"jobs.{name}"
    if not isinstance(table, dict):
        raise DataError(f"{where} is {table!r}; expected a table")
    tiers = table.get("tiers")
    if not isinstance(tiers, list) or not tiers:
        raise DataError(f"{where} has no tiers; expected at least one [[{where}.tiers]]")
    settings = tuple(_tier(tier, number, where, folder) for number, tier in enumerate(tiers, start=1))
    scale = tuple(_record(Grade, grade, f"{where}.scale") for grade in table.get("scale", ()))
    values = {**table, "name": name, "tiers": settings, "scale": scale or FINE_OR_WRONG}
    if "guide" in values:
        values["guide"] = text_of(folder / values["guide"])
    return _record(JobSettings, values, where)


def _tier(table: object, number: int, where: str, folder: Path) -> TierSettings:
    if not isinstance(table, dict):
        raise DataError(f"{where}.tiers holds {table!r}; expected tables")
    values = {"name": f"tier{number}", **table}
    for name in ("certificate", "table"):
        if name in values:
            values[name] = str(folder / values[name])
    if "prompt" in values:
        values["prompt"] = text_of(folder / values["prompt"])
    if "key_env" in values:
        values["key"] = _from_environment(values.pop("key_env"))
    return _record(TierSettings, values, f"{where}.tiers")


def _from_environment(name: object) -> str | None:
    return os.environ.get(str(name))


def text_of(path: Path) -> str:
    """A file's text."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _record(kind: type[T], values: Mapping[str, object], where: str) -> T:
    """A frozen record from a table; an unknown setting is an error that suggests a known one."""
    settings = {item.name: item for item in fields(kind)}
    for name in values:
        if name not in settings:
            raise DataError(f'{where} has no setting "{name}". {hint(name, settings)}')
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        record = kind(**arguments)
    except TypeError as error:
        raise DataError(f"{where} is incomplete: {error}") from None
    return _with_floats(record)


def _with_floats(record: T) -> T:
    """A record in which whole numbers are floats where floats are meant; a value of another type is an error."""
    changes: dict[str, float] = {}
    for item in fields(record):
        value = getattr(record, item.name)
        if item.type is float and isinstance(value, int) and not isinstance(value, bool):
            changes[item.name] = float(value)
        elif item.type in PLAIN_TYPES and isinstance(item.type, type) and not isinstance(value, item.type):
            raise DataError(f"{item.name} is {value!r}; expected {item.type.__name__}")
    return replace(record, **changes)


def validate_settings(service: ServiceSettings) -> ServiceSettings:
    """The settings, if they are valid together; else raises OptionError."""
    for job in service.jobs:
        if not JOB_NAME.fullmatch(job.name):
            raise OptionError(
                f'"{job.name}" is not a valid name of a job; use letters, digits, ".", "_" and "-"'
            )
        if not 0 <= job.share <= 1:
            raise OptionError(f"share of {job.name} is {job.share}; expected a share such as 0.05")
        if job.stream not in ("held", "not certified"):
            raise OptionError(f'stream of {job.name} is "{job.stream}"; expected "held" or "not certified"')
        if job.on_slice_alarm not in ("tell", "hold"):
            raise OptionError(
                f'on_slice_alarm of {job.name} is "{job.on_slice_alarm}"; expected "tell" or "hold"'
            )
        _check_shares(job)
        _check_tiers(job)
        _check_scale(job)
    return service


def _check_shares(job: JobSettings) -> None:
    for name, share in (("drift", job.drift), ("degraded_share", job.degraded_share), ("second", job.second)):
        if not 0 <= share <= 1:
            raise OptionError(f"{name} of {job.name} is {share}; expected a share from 0 to 1")
    if job.second and job.reviewers != 1:
        raise OptionError(
            f"{job.name} asks {job.reviewers} reviewers an item and a second reading; "
            "leave out second, or set reviewers = 1"
        )
    if len(set(job.slices)) < len(job.slices) or "" in job.slices:
        raise OptionError(f"the slices of {job.name} must be different, non-empty names")


def _check_tiers(job: JobSettings) -> None:
    names = [tier.name for tier in job.tiers]
    if len(set(names)) < len(names):
        raise OptionError(f"the tiers of {job.name} must have different names; got {', '.join(names)}")
    for tier in job.tiers:
        if not STRATEGY.fullmatch(tier.strategy):
            raise OptionError(
                f'strategy "{tier.strategy}" is unknown; expected plain, best-of-N or agreement-N, N from 2 to 16'
            )


def _check_scale(job: JobSettings) -> None:
    keys = [grade.key for grade in job.scale]
    if len(set(keys)) < len(keys) or any(len(key) != 1 or key in "usjn?" for key in keys):
        raise OptionError(
            f"the scale of {job.name} needs one different key a grade; u, s, j, n and ? are taken"
        )
    if not all(0 <= grade.loss <= 1 for grade in job.scale):
        raise OptionError(f"the losses of {job.name}'s scale must lie in [0, 1]")
