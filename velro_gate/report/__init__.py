"""From model values to text: pure functions, no I/O, nothing decided here that the verdict has not decided.

A view (strings, rounded once) is built from the record and the verdict; templates only arrange it. Importing this package is
cheap: each renderer is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from velro_gate.report.formats.comment import comment_marker, markdown, marker_named, marker_of
    from velro_gate.report.formats.console import terminal, terminal_text
    from velro_gate.report.formats.document import verdict_json
    from velro_gate.report.formats.live import LiveView, progress_line, progress_view
    from velro_gate.report.formats.page import html
    from velro_gate.report.formats.schema import verdict_schema
    from velro_gate.report.formats.table import csv
    from velro_gate.report.parts.plan import PlanRow, offered, plan_text, plan_view
    from velro_gate.report.parts.wording import headline
    from velro_gate.report.text.escape import markdown_link, markdown_text

_HOMES = {
    "PlanRow": "parts.plan",
    "comment_marker": "formats.comment",
    "csv": "formats.table",
    "headline": "parts.wording",
    "html": "formats.page",
    "markdown": "formats.comment",
    "markdown_link": "text.escape",
    "markdown_text": "text.escape",
    "marker_named": "formats.comment",
    "marker_of": "formats.comment",
    "offered": "parts.plan",
    "plan_text": "parts.plan",
    "plan_view": "parts.plan",
    "LiveView": "formats.live",
    "progress_line": "formats.live",
    "progress_view": "formats.live",
    "terminal": "formats.console",
    "terminal_text": "formats.console",
    "verdict_json": "formats.document",
    "verdict_schema": "formats.schema",
}

__all__ = [
    "LiveView",
    "PlanRow",
    "comment_marker",
    "csv",
    "headline",
    "html",
    "markdown",
    "markdown_link",
    "markdown_text",
    "marker_named",
    "marker_of",
    "offered",
    "plan_text",
    "plan_view",
    "progress_line",
    "progress_view",
    "terminal",
    "terminal_text",
    "verdict_json",
    "verdict_schema",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
