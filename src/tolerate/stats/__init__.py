"""The promise: bounds, tests and plans on labelled samples. NumPy and SciPy only; reads no file, prints nothing."""

from tolerate.stats.strategy import Compared, compare
from tolerate.stats.threshold import certify
from tolerate.stats.verify import Verification, verify

__all__ = ["Compared", "Verification", "certify", "compare", "verify"]
