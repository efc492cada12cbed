"""The promise: bounds, tests and plans on labelled samples. NumPy and SciPy only; reads no file, prints nothing."""

from tolerate.stats.threshold import certify

__all__ = ["certify"]
