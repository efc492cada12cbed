"""The cost of a computation, counted in operations: the same number on every machine."""

from collections.abc import Callable

OPERATIONS_PER_SECOND = 2e9  # assumed of one core


def core_seconds(work: Callable[[], object]) -> float:
    """Seconds on one core for the matrix products and convolutions of some torch work, at a fixed rate.

    Additions, activations and what runs outside torch are not counted.

    >>> import torch
    >>> product = core_seconds(lambda: torch.ones(100, 200) @ torch.ones(200, 50))
    >>> product == 2 * 100 * 200 * 50 / OPERATIONS_PER_SECOND
    True
    """
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        work()
    return counter.get_total_flops() / OPERATIONS_PER_SECOND
