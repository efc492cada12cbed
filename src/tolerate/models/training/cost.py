"""What a computation costs, counted in operations: the same number on every machine."""

from collections.abc import Callable

RATE = 2e9  # operations a second that one core is taken to do


def core_seconds(work: Callable[[], object]) -> float:
    """Seconds on one core for the matrix products and convolutions of some torch work, at a fixed rate.

    Additions, activations and what runs outside torch are not counted.

    >>> import torch
    >>> core_seconds(lambda: torch.ones(100, 200) @ torch.ones(200, 50)) == 2 * 100 * 200 * 50 / RATE
    True
    """
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        work()
    return counter.get_total_flops() / RATE
