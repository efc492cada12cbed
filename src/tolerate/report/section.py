"""The type of a section: what a template shows of one part of a report."""

from collections.abc import Mapping
from typing import TypeAlias

Section: TypeAlias = Mapping[str, object]
