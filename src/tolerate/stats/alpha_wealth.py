"""A purse of error: many tests in an order chosen while they run, with one promise for all of them.

The purse holds delta, the chance of error that may be spent. A test stakes a part of it. If it passes, the
stake comes back; if it fails, the stake is lost. Then the chance that any false claim passes is at most delta,
in either of two cases:

**Fresh evidence.** Each test uses labels that had no part in choosing it. Look at the claims up to the first false
one that passes. Every false claim tested before it failed, so its stake never came back, and the stakes on
false claims together are at most delta. A false claim passes with probability at most its stake, given
everything before it. So the chance that one passes is at most the expected sum of those stakes, at most delta.
Order and stakes may be chosen while the tests run.

**Shared evidence.** The tests use the same labels, in an order fixed beforehand, and no stake is ever larger for
an earlier test having failed. Imagine the true claims all pass and the false ones all fail: this fixes the
stakes, and those on false claims sum to at most delta. Up to the first false claim that passes, no stake is
above its imagined one; so the chance that one passes is at most their sum, however the tests depend on each other.

Special cases: equal stakes are Bonferroni's correction; the whole purse at each test is a fixed sequence (LTT,
arXiv 2110.01052) and, along a Pareto front, Pareto testing (arXiv 2210.07913). The returned stake is the idea
of the fallback procedure (Wiens 2003) and of its online forms (Tian & Ramdas, arXiv 1910.04900).
"""

from dataclasses import dataclass, replace

from tolerate.errors import OptionError


@dataclass(frozen=True)
class Purse:
    """What is left of the chance of error: `stake`, then `won` or `lost`; every step gives a new purse.

    >>> purse = Purse(0.05).stake(0.025)
    >>> purse.won().left, purse.lost().left
    (0.05, 0.025)
    """

    left: float  # may be staked
    staked: float = 0.0  # on the test that is running

    def stake(self, level: float) -> "Purse":
        """Put a part of the purse on the next test."""
        if not 0 < level <= self.left * (1 + 1e-12) or self.staked:
            raise OptionError(
                f"a stake of {level:g} is not possible: the purse holds {self.left:g} and {self.staked:g} "
                "is on a test that is running; expected one test at a time and no more than is left"
            )
        return Purse(max(0.0, self.left - level), level)

    def won(self) -> "Purse":
        """The test passed: its stake comes back."""
        return Purse(self.left + self.staked)

    def lost(self) -> "Purse":
        """The test failed: its stake is gone."""
        return replace(self, staked=0.0)
