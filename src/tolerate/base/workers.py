"""Work on several cores: trainings in processes of their own, while the run goes on with what is ready.

A worker dies with the run that started it, however that ends, so that no training goes on unseen in
a folder that somebody else may have taken.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, TimeoutError
from multiprocessing import get_context, parent_process
from queue import Empty
from types import TracebackType
from typing import Any, Self

Tell = Callable[[float, str], None]
MOST = 4  # workers, however many cores there are
_queue: Any = None


def leads() -> bool:
    """Whether this is the first, or the only one, of the processes that torchrun started: the one that writes files.

    >>> leads()
    True
    """
    return os.environ.get("RANK", "0") == "0"


class Crew:
    """Workers beside the run; without any, work is done when it is asked for."""

    def __init__(self, workers: int | None = None) -> None:
        count = max(1, min(MOST, (os.cpu_count() or 1) - 1)) if workers is None else workers
        spawn = get_context("spawn")
        self._words = spawn.Queue() if count else None
        self._pool = (
            ProcessPoolExecutor(count, spawn, initializer=_begin, initargs=(self._words,)) if count else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=error is None, cancel_futures=True)

    def submit(self, work: Callable[..., Any], *given: Any) -> "Task":
        """Have some work done; `work` and what it is given must be picklable."""
        return Task(self, work, given, None if self._pool is None else self._pool.submit(work, *given, tell))

    def words(self) -> list[tuple[float, str]]:
        """What the workers have said since last asked."""
        said: list[tuple[float, str]] = []
        while self._words is not None:
            try:
                said.append(self._words.get_nowait())
            except Empty:
                break
        return said


class Task:
    """Some work under way."""

    def __init__(
        self, crew: Crew, work: Callable[..., Any], given: tuple[Any, ...], future: "Future[Any] | None"
    ) -> None:
        self._crew, self._work, self._given, self._future = crew, work, given, future

    def result(self, tell: Tell) -> Any:
        """Wait for the result; what the workers say meanwhile goes to `tell`."""
        if self._future is None:
            return self._work(*self._given, tell)
        while True:
            try:
                return self._future.result(timeout=0.2)
            except TimeoutError:
                for share, text in self._crew.words()[-1:]:
                    tell(share, text)


def _begin(words: Any) -> None:
    """In a worker: keep the way to talk, and die when the run dies."""
    global _queue
    _queue = words
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def tell(share: float, text: str) -> None:
    """In a worker: say how far the work is."""
    if _queue is not None:
        _queue.put((share, text))
