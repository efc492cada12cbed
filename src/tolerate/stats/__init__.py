"""The promise: bounds, tests and plans on labelled samples. NumPy and SciPy only; reads no file, prints nothing.

Names are loaded when first used: a service that only watches needs no SciPy in memory.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tolerate.stats.cascade import Cascade as Cascade
    from tolerate.stats.compared import Compared as Compared
    from tolerate.stats.race import Race as Race
    from tolerate.stats.strategy import compare as compare
    from tolerate.stats.threshold import certify as certify
    from tolerate.stats.verification import Verification as Verification
    from tolerate.stats.verification import verify as verify
    from tolerate.stats.verification import verify_audit as verify_audit
    from tolerate.stats.verification import verify_watch as verify_watch

_WHERE = {
    "Cascade": "tolerate.stats.cascade",
    "Compared": "tolerate.stats.compared",
    "Race": "tolerate.stats.race",
    "Verification": "tolerate.stats.verification",
    "certify": "tolerate.stats.threshold",
    "compare": "tolerate.stats.strategy",
    "verify": "tolerate.stats.verification",
    "verify_audit": "tolerate.stats.verification",
    "verify_watch": "tolerate.stats.verification",
}

__all__ = [
    "Cascade",
    "Compared",
    "Race",
    "Verification",
    "certify",
    "compare",
    "verify",
    "verify_audit",
    "verify_watch",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module tolerate.stats has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
