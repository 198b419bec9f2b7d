"""The formats of a report: one table from name to renderer. What writes, prints or lists reports reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from velro_gate.errors import UsageError

if TYPE_CHECKING:
    from velro_gate.model.charts.timeline import ChartData
    from velro_gate.model.record import RunRecord
    from velro_gate.model.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFormat:
    """One format."""

    name: str
    """What ``--as`` takes."""
    file: str
    """Its name in a run's folder."""
    module: str
    """The module that makes its text."""
    renderer: str
    """The function of that module."""
    charts: bool = False
    """Whether it has charts, for which more is needed than the record."""

    def render(self, record: RunRecord, verdict: Verdict, data: ChartData | None = None) -> str:
        """The report as text. Its module is imported only here, so that what is not asked for costs nothing.

        data: for its charts.
        """
        make: Callable[..., str] = getattr(import_module(f"velro_gate.report.formats.{self.module}"), self.renderer)
        return make(record, verdict, data) if self.charts else make(record, verdict)


# In the order in which they are written: the verdict itself first, so that it is never lost.
_ALL = (
    ReportFormat(name="json", file="verdict.json", module="document", renderer="verdict_json"),
    ReportFormat(name="markdown", file="verdict.md", module="comment", renderer="markdown"),
    ReportFormat(name="text", file="verdict.txt", module="console", renderer="terminal_text"),
    ReportFormat(name="csv", file="report.csv", module="table", renderer="csv"),
    ReportFormat(name="junit", file="junit.xml", module="junit", renderer="junit"),
    ReportFormat(name="html", file="report.html", module="page", renderer="html", charts=True),
    ReportFormat(name="openmetrics", file="openmetrics.txt", module="openmetrics", renderer="openmetrics"),
    ReportFormat(name="executive", file="executive_summary.html", module="executive", renderer="executive_html"),
    ReportFormat(name="executive-json", file="executive_summary.json", module="executive", renderer="executive_json"),
)

FORMATS: Mapping[str, ReportFormat] = MappingProxyType({each.name: each for each in _ALL})
"""Every format by its name."""


def known_format(name: str) -> ReportFormat:
    """The format of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no report {name!r}", hint=f"Choose one of: {', '.join(FORMATS)}.")
    return FORMATS[name]
