"""The HTML report: one page that needs nothing else, not even a script; light, dark and on paper."""

from __future__ import annotations

from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Verdict
from velro_gate.report.parts.charts import charts
from velro_gate.report.parts.compliance import compliance_view
from velro_gate.report.parts.view import build
from velro_gate.report.text.templating import template


def html(record: RunRecord, verdict: Verdict) -> str:
    """The whole page."""
    return template("report.html.j2").render(
        view=build(record, verdict), compliance=compliance_view(record, verdict), charts=charts(record)
    )
