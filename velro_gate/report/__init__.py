"""From model values to text: pure functions, no I/O, nothing decided here that the verdict has not decided.

A view (strings, rounded once) is built from the record and the verdict; templates only arrange it. Importing this package is
cheap: each renderer is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from velro_gate.report.comment import comment_marker, markdown, marker_named, marker_of
    from velro_gate.report.console import terminal, terminal_text
    from velro_gate.report.curves import curves_svg
    from velro_gate.report.document import verdict_json
    from velro_gate.report.escape import markdown_link, markdown_text
    from velro_gate.report.live import progress_line, progress_view
    from velro_gate.report.page import html
    from velro_gate.report.plan import PlanRow, offered, plan_text, plan_view
    from velro_gate.report.schema import verdict_schema
    from velro_gate.report.table import csv
    from velro_gate.report.wording import headline

_HOMES = {
    "PlanRow": "plan",
    "comment_marker": "comment",
    "csv": "table",
    "curves_svg": "curves",
    "headline": "wording",
    "html": "page",
    "markdown": "comment",
    "markdown_link": "escape",
    "markdown_text": "escape",
    "marker_named": "comment",
    "marker_of": "comment",
    "offered": "plan",
    "plan_text": "plan",
    "plan_view": "plan",
    "progress_line": "live",
    "progress_view": "live",
    "terminal": "console",
    "terminal_text": "console",
    "verdict_json": "document",
    "verdict_schema": "schema",
}

__all__ = [
    "PlanRow",
    "comment_marker",
    "csv",
    "curves_svg",
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
