"""The report of a run or a certificate: a page that needs no network, and lines in the terminal.

summary.py        records of what a run's report shows (with preparation.py, results.py and json_reading.py)
page.py           writes the page of a run, and the page of a single certificate
sections.py       the sections of the page in order: overview.py, calibration.py, item_sheets.py, model_tables.py,
                  small_print.py
tolerance_map.py  the tolerance map
charts.py         the other pictures
svg.py            axes, lines, points and labels as text
terminal.py       the closing lines of a run

The words of the page, in English and Chinese, are in `tolerate.messages.report`.

The functions are loaded when first used: a service that only draws a chart needs no SciPy in memory.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tolerate.report.page import write_certificate_report as write_certificate_report
    from tolerate.report.page import write_report as write_report
    from tolerate.report.terminal import closing_line as closing_line
    from tolerate.report.terminal import print_map as print_map

_MODULES = {
    "closing_line": "tolerate.report.terminal",
    "print_map": "tolerate.report.terminal",
    "write_certificate_report": "tolerate.report.page",
    "write_report": "tolerate.report.page",
}

__all__ = ["closing_line", "print_map", "write_certificate_report", "write_report"]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module tolerate.report has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
