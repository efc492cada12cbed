"""The book of jobs: one file each, listed here."""

from tolerate.errors import OptionError, hint
from tolerate.named import attribute
from tolerate.records import Job

JOBS: dict[str, str] = {
    "digits": "tolerate.jobs.digits:JOB",
    "mnist": "tolerate.jobs.mnist:JOB",
    "pictures": "tolerate.jobs.pictures:JOB",
    "casenotes": "tolerate.jobs.casenotes:JOB",
    "maths": "tolerate.jobs.maths:JOB",
    "headlines": "tolerate.jobs.headlines:JOB",
    "restaurants": "tolerate.jobs.restaurants:JOB",
    "support": "tolerate.jobs.support:JOB",
    "poems": "tolerate.jobs.poems:JOB",
    "plays": "tolerate.jobs.plays:JOB",
}


def job(name: str) -> Job:
    """A job of the book by its name, or any `package.module:attribute` that is a Job.

    >>> job("digits").tolerance
    0.01
    """
    if name not in JOBS and ":" not in name:
        raise OptionError(f'no job is called "{name}". {hint(name, JOBS)}')
    found = attribute(JOBS.get(name, name))
    if not isinstance(found, Job):
        raise OptionError(f"{name} is a {type(found).__name__}, expected a tolerate.records.Job")
    return found
