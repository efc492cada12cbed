"""Parts counted as tasks of Ray: on local workers, or on the cluster that RAY_ADDRESS names."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tolerate.errors import OptionError


class OnRay:
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

    def each(self, work: Callable[[Any], Any], given: Sequence[Any]) -> Iterator[Any]:
        task = self._ray.remote(work)
        waiting = [task.remote(one) for one in given]
        while waiting:
            ready, waiting = self._ray.wait(waiting)
            yield self._told(ready[0])

    def close(self) -> None:
        """Stop what was started here."""
        if self._started:
            self._ray.shutdown()

    def _told(self, answer: Any) -> Any:
        """An answer, or the worker's own error in place of Ray's wrapping of it."""
        try:
            return self._ray.get(answer)
        except self._ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from None


def _options(workers: int) -> dict[str, Any]:
    if os.environ.get("RAY_ADDRESS"):
        return {}
    return {"num_cpus": workers, "include_dashboard": False}
