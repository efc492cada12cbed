"""The book of jobs: one file each, listed here."""

from tolerate.base.registry import attribute, entry_named
from tolerate.errors import OptionError
from tolerate.records import Job

JOBS: dict[str, str] = {
    "digits": "tolerate.jobs.pictures.digits:JOB",
    "mnist": "tolerate.jobs.pictures.mnist:JOB",
    "pictures": "tolerate.jobs.pictures.folder:JOB",
    "casenotes": "tolerate.jobs.texts.casenotes:JOB",
    "maths": "tolerate.jobs.texts.maths:JOB",
    "headlines": "tolerate.jobs.texts.headlines:JOB",
    "restaurants": "tolerate.jobs.texts.restaurants:JOB",
    "support": "tolerate.jobs.texts.support:JOB",
    "poems": "tolerate.jobs.texts.poems:JOB",
    "plays": "tolerate.jobs.texts.plays:JOB",
}


def job(name: str) -> Job:
    """A job of the book by its name, or any `package.module:attribute` that is a Job.

    >>> job("digits").tolerance
    0.01
    """
    value = attribute(name if ":" in name else entry_named(name, JOBS, "job"))
    if not isinstance(value, Job):
        raise OptionError(f"{name} is a {type(value).__name__}, expected a tolerate.records.Job")
    return value
