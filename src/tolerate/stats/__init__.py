"""The promise: bounds, tests and plans on labelled samples. NumPy and SciPy only; reads no file, prints nothing."""

from tolerate.stats.cascade import Cascade
from tolerate.stats.compared import Compared
from tolerate.stats.race import Race
from tolerate.stats.strategy import compare
from tolerate.stats.threshold import certify
from tolerate.stats.verify import Verification, verify

__all__ = ["Cascade", "Compared", "Race", "Verification", "certify", "compare", "verify"]
