"""Alpha-wealth: many tests in an order chosen while they run, with one promise for all of them.

The error budget holds delta, the chance of error that may be spent. A test spends a part of it, its level. If the
test passes, the level is recovered; if it fails, the level is forfeited. Then the chance that any false claim passes
is at most delta, in either of two cases:

**Fresh evidence.** Each test uses labels that had no part in choosing it. Look at the claims up to the first false
one that passes. Every false claim tested before it failed, so its level was never recovered, and the levels of
false claims together are at most delta. A false claim passes with probability at most its level, given
everything before it. So the chance that one passes is at most the expected sum of those levels, at most delta.
Order and levels may be chosen while the tests run.

**Shared evidence.** The tests use the same labels, in an order fixed beforehand, and no level is ever larger for
an earlier test having failed. Imagine the true claims all pass and the false ones all fail: this fixes the
levels, and those of false claims sum to at most delta. Up to the first false claim that passes, no level is
above its imagined one; so the chance that one passes is at most their sum, however the tests depend on each other.

Special cases: equal levels are Bonferroni's correction; the whole budget at each test is a fixed sequence (LTT,
arXiv 2110.01052) and, along a Pareto front, Pareto testing (arXiv 2210.07913). Recovering the level is the idea
of the fallback procedure (Wiens 2003) and of its online forms (Tian & Ramdas, arXiv 1910.04900).
"""

from dataclasses import dataclass, replace

from tolerate.errors import OptionError


@dataclass(frozen=True)
class ErrorBudget:
    """The chance of error that may still be spent: `spend`, then `recover` or `forfeit`; each returns a new budget.

    >>> budget = ErrorBudget(0.05).spend(0.025)
    >>> budget.recover().available, budget.forfeit().available
    (0.05, 0.025)
    """

    available: float  # may be spent
    spent: float = 0.0  # on the test that is running

    def spend(self, level: float) -> "ErrorBudget":
        """The budget while a test at this level is running."""
        if not 0 < level <= self.available * (1 + 1e-12) or self.spent:
            raise OptionError(
                f"a level of {level:g} cannot be spent: the error budget holds {self.available:g} and {self.spent:g} "
                "is on a test that is running; expected one test at a time and no more than is available"
            )
        return ErrorBudget(max(0.0, self.available - level), level)

    def recover(self) -> "ErrorBudget":
        """The budget after the test passed: its level is available again."""
        return ErrorBudget(self.available + self.spent)

    def forfeit(self) -> "ErrorBudget":
        """The budget after the test failed: its level is gone."""
        return replace(self, spent=0.0)
