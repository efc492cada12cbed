"""The sections of a report in the page's order: one function each, from the run's summary to what the template shows.

A section whose data is missing is None, and the page leaves it out.
"""

from collections.abc import Callable

from tolerate.report import calibration, item_sheets, model_tables, overview, small_print
from tolerate.report.section import Section
from tolerate.report.summary import RunSummary

SECTIONS: dict[str, Callable[[RunSummary], Section | None]] = {
    "glance": overview.glance_section,
    "map": overview.map_section,
    "scores": calibration.scores_section,
    "certificate": overview.certificate_section,
    "proof": overview.proof_section,
    "sheets": item_sheets.sheets_section,
    "metrics": model_tables.metrics_section,
    "calibration": calibration.calibration_section,
    "curves": model_tables.curves_section,
    "findings": model_tables.findings_section,
    "split": small_print.split_section,
    "reader": small_print.check_section,
    "assumptions": small_print.assumptions_section,
    "limits": small_print.limits_section,
    "appendix": small_print.appendix_section,
}


def sections_of(summary: RunSummary) -> dict[str, Section]:
    """The sections for which there is data, in the page's order."""
    sections = {name: build(summary) for name, build in SECTIONS.items()}
    return {name: section for name, section in sections.items() if section}
