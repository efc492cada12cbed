"""Decide, with a guarantee, what AI-generated content may be released.

    table = tolerate.read("answers.csv", loss="wrong", score="confidence", cluster="question")
    certificate = tolerate.certify(table, tolerance=0.02, confidence=0.95)
    certificate.decide(0.93)

Names are loaded when first used, so that `import tolerate` and the command line start at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from tolerate.base.moved import redirect_imports
from tolerate.version import __version__ as __version__

if TYPE_CHECKING:
    from tolerate.data.partition import parts as parts
    from tolerate.data.tables import read as read
    from tolerate.errors import DataError as DataError
    from tolerate.errors import OptionError as OptionError
    from tolerate.errors import RunError as RunError
    from tolerate.errors import TolerateError as TolerateError
    from tolerate.records import Certificate as Certificate
    from tolerate.records import Decision as Decision
    from tolerate.records import Table as Table
    from tolerate.stats.audit.audit import Audit as Audit
    from tolerate.stats.certify.threshold import certify as certify
    from tolerate.stats.compare.cascade import Cascade as Cascade
    from tolerate.stats.compare.race import Race as Race
    from tolerate.stats.compare.strategies import compare as compare
    from tolerate.stats.monitor.watch import Watch as Watch
    from tolerate.stats.verification import verify as verify

_WHERE = {
    "Audit": "tolerate.stats.audit.audit",
    "Cascade": "tolerate.stats.compare.cascade",
    "Certificate": "tolerate.records",
    "DataError": "tolerate.errors",
    "Decision": "tolerate.records",
    "OptionError": "tolerate.errors",
    "Race": "tolerate.stats.compare.race",
    "RunError": "tolerate.errors",
    "Table": "tolerate.records",
    "TolerateError": "tolerate.errors",
    "Watch": "tolerate.stats.monitor.watch",
    "certify": "tolerate.stats.certify.threshold",
    "compare": "tolerate.stats.compare.strategies",
    "parts": "tolerate.data.partition",
    "read": "tolerate.data.tables",
    "verify": "tolerate.stats.verification",
}

__all__ = [*_WHERE]

redirect_imports()


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module tolerate has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
