"""Worker processes: models are trained on other cores while the run goes on with the models that are ready.

A worker ends with the process that started it, however that process ends, so that no training goes on in a
folder that another run may have locked by then.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.queues import Queue
from queue import Empty
from types import TracebackType
from typing import Generic, Self, TypeVar

ProgressCallback = Callable[[float, str], None]  # (share of the work that is done, 0 to 1; what is going on)
ProgressMessage = tuple[float, str]
Result = TypeVar("Result")
MAX_WORKERS = 4  # on a machine of any size
_queue: "Queue[ProgressMessage] | None" = None  # in a worker: where its progress messages go


def is_first_process() -> bool:
    """Whether this process writes the files: the first, or the only one, of those that torchrun started.

    >>> is_first_process()
    True
    """
    return os.environ.get("RANK", "0") == "0"


class WorkerPool:
    """A pool of worker processes; with none, work is done in this process when its result is requested."""

    def __init__(self, workers: int | None = None) -> None:
        count = max(1, min(MAX_WORKERS, (os.cpu_count() or 1) - 1)) if workers is None else workers
        spawn = get_context("spawn")
        self._messages: Queue[ProgressMessage] | None = spawn.Queue() if count else None
        self._pool = (
            ProcessPoolExecutor(count, spawn, initializer=partial(_start_worker, self._messages))
            if count
            else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=error is None, cancel_futures=True)

    def submit(self, function: Callable[..., Result], *arguments: object) -> "WorkerTask[Result]":
        """Start `function(*arguments, tell)` in a worker; function and arguments must be picklable."""
        future = None if self._pool is None else self._pool.submit(function, *arguments, send_progress)
        return WorkerTask(self, function, arguments, future)

    def drain_progress(self) -> list[ProgressMessage]:
        """The progress messages of the workers since the last call."""
        messages: list[ProgressMessage] = []
        while self._messages is not None:
            try:
                messages.append(self._messages.get_nowait())
            except Empty:
                break
        return messages


class WorkerTask(Generic[Result]):
    """Work submitted to the pool."""

    def __init__(
        self,
        crew: WorkerPool,
        function: Callable[..., Result],
        arguments: tuple[object, ...],
        future: Future[Result] | None,
    ) -> None:
        self._crew, self._function, self._arguments, self._future = crew, function, arguments, future

    def result(self, tell: ProgressCallback) -> Result:
        """Wait for the result; progress messages of the workers meanwhile are passed to `tell`."""
        if self._future is None:
            return self._function(*self._arguments, tell)
        while True:
            try:
                return self._future.result(timeout=0.2)
            except FutureTimeoutError:
                for share, text in self._crew.drain_progress()[-1:]:
                    tell(share, text)


def _start_worker(messages: "Queue[ProgressMessage] | None") -> None:
    """In a worker: keep the queue for progress messages, and exit when the parent process ends."""
    global _queue
    _queue = messages
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def send_progress(share: float, text: str) -> None:
    """Send a progress message from a worker to the process that started it."""
    if _queue is not None:
        _queue.put((share, text))
