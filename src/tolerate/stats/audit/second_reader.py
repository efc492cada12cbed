"""Agreement of two people who read the same items of an audit.

Which items are read twice is drawn beside the order of labelling, before any verdict (`draws.draw_second_items`). Of
two verdicts the worse counts, so a second reading can only make a certificate harder to get: what is certified with
it would have been certified on the first person's word alone, and the promise holds for either.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tolerate.messages.catalogue import message
from tolerate.stats.bounds import binomial_upper


@dataclass(frozen=True)
class Agreement:
    """Counts of the verdicts of two people on the same items, neither knowing the other's."""

    fine: int  # both said fine
    missed: int  # the first said fine, the second wrong
    raised: int  # the first said wrong, the second fine
    wrong: int  # both said wrong, to the same degree

    @property
    def items(self) -> int:
        """The number of items read twice."""
        return self.fine + self.missed + self.raised + self.wrong

    @property
    def same(self) -> int:
        """The number of items on which both verdicts are the same."""
        return self.fine + self.wrong

    @property
    def kappa(self) -> float | None:
        """Agreement beyond chance, 1 for perfect; None if one verdict for all makes that meaningless. Cohen (1960).

        >>> round(Agreement(fine=20, missed=5, raised=10, wrong=15).kappa, 3)
        0.4
        """
        n = self.items
        first, second = self.raised + self.wrong, self.missed + self.wrong
        chance = (first * second + (n - first) * (n - second)) / n**2 if n else 1.0
        return None if chance == 1 else (self.same / n - chance) / (1 - chance)

    def missed_at_most(self, confidence: float = 0.95) -> float:
        """Upper bound on the share of the first person's fine items that the second would call wrong; exact.

        >>> round(Agreement(fine=59, missed=0, raised=0, wrong=1).missed_at_most(), 3)
        0.05
        """
        return float(binomial_upper(self.missed, self.fine + self.missed, confidence))

    def sentence(self) -> str:
        """The agreement in one sentence of a certificate."""
        if not self.items:
            return message("second.none")
        if self.kappa is None:
            return message("second.one_verdict", items=self.items, same=self.same)
        return message("second.agreement", items=self.items, same=self.same, kappa=self.kappa)

    def advice(self) -> tuple[str, ...]:
        """Sentences on what the first person missed; no part of the promise."""
        fine = self.fine + self.missed
        if not fine:
            return ()
        return (message("second.missed", fine=fine, missed=self.missed, bound=self.missed_at_most()),)


def agreement(pairs: Iterable[tuple[float, float]]) -> Agreement:
    """Count the losses that a first and a second person gave to the same items.

    >>> agreement([(0, 0), (0, 1), (1, 1)])
    Agreement(fine=1, missed=1, raised=0, wrong=1)
    """
    losses = list(pairs)
    return Agreement(
        fine=sum(first == second == 0 for first, second in losses),
        missed=sum(first < second for first, second in losses),
        raised=sum(first > second for first, second in losses),
        wrong=sum(first == second > 0 for first, second in losses),
    )
