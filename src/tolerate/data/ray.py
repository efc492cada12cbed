"""Runs the counting of parts as Ray tasks: on local workers, or on the cluster named by RAY_ADDRESS."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from tolerate.errors import OptionError

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class RayExecutor:
    """Workers of a Ray cluster; one on this machine is started unless RAY_ADDRESS names another."""

    def __init__(self, workers: int) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing goes over the network unasked
        try:
            import ray
        except ImportError:
            raise OptionError(
                "Ray is not installed; try pip install 'tolerate[ray]', or --workers alone on this machine"
            ) from None
        self._ray = ray
        self._started = not ray.is_initialized()
        if self._started:
            ray.init(**_options(workers), log_to_driver=False, logging_level=logging.ERROR)

    def map_unordered(
        self, function: Callable[[Argument], Result], arguments: Sequence[Argument]
    ) -> Iterator[Result]:
        task = self._ray.remote(function)
        waiting = [task.remote(argument) for argument in arguments]
        while waiting:
            ready, waiting = self._ray.wait(waiting)
            yield self._result_of(ready[0])

    def close(self) -> None:
        """Shut Ray down if it was started here."""
        if self._started:
            self._ray.shutdown()

    def _result_of(self, reference: object) -> Any:
        """The result of a finished task; a worker's error is raised without Ray's wrapper."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from None


def _options(workers: int) -> dict[str, int | bool]:
    if os.environ.get("RAY_ADDRESS"):
        return {}
    return {"num_cpus": workers, "include_dashboard": False}
