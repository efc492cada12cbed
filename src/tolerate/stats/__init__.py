"""The promise: bounds, tests and plans on labelled samples. NumPy and SciPy only; reads no file, prints nothing."""

from tolerate.stats.threshold import certify
from tolerate.stats.verify import Verification, verify

__all__ = ["Verification", "certify", "verify"]
