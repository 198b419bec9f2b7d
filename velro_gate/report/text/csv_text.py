"""Text as CSV: the only place that writes it. What a spreadsheet would run as a formula stays text, and numbers stay numbers.

Names of scenarios, steps and branches, reasons and addresses come from outside. Only cells of text are changed: a negative
number begins with a minus, and stays a number.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from velro_gate.analysis.summaries.frames import PandasFrame
from velro_gate.report.text.escape import visible

_FORMULA = re.compile(r"(^|;)( ?)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""Where a spreadsheet would see the beginning of a formula (OWASP, CSV Injection): at that of a cell, and behind a semicolon,
which separates cells where the comma is the decimal sign. The last four are the wide forms that Japanese keyboards type."""


def csv_cell(value: str | int | float | None) -> str:
    """A cell that no spreadsheet takes for a formula, in one line; numbers with every digit."""
    if not isinstance(value, str):
        return "" if value is None else repr(value)
    return _FORMULA.sub(r"\1\2'", visible(value))


def table_csv(columns: Sequence[str], rows: Iterable[Sequence[str | int | float | None]]) -> str:
    """Rows as RFC 4180 text with a header line."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows([csv_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


def frame_csv(frame: PandasFrame) -> str:
    """A frame the same way: times in ISO 8601, figures unrounded, NaN as an empty cell."""
    # By what is no text, so that a column of a type that nobody thought of is guarded as well.
    texts = frame.select_dtypes(exclude=["number", "bool", "datetimetz"]).columns
    safe = frame.assign(**{name: frame[name].map(csv_cell, na_action="ignore") for name in texts})
    return safe.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%SZ", lineterminator="\n")
