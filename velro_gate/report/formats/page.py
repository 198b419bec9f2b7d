"""The HTML report: one page that needs nothing else; light, dark and on paper.

Its charts are drawn by BokehJS, which the page contains. Where scripts are off, on paper, and where the library is not
installed, pictures of the same series stand in their place.
"""

from __future__ import annotations

from markupsafe import Markup

from velro_gate.model.charts.timeline import ChartData
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Verdict
from velro_gate.report.charts import library
from velro_gate.report.charts.shapes import ChartSet
from velro_gate.report.charts.together import chart_set, encoded
from velro_gate.report.parts.charts import charts
from velro_gate.report.parts.compliance import compliance_view
from velro_gate.report.parts.view import build
from velro_gate.report.text.templating import rendered


def html(record: RunRecord, verdict: Verdict, data: ChartData | None = None) -> str:
    """The whole page. data: what charts show in addition to the record; None: nothing else is there."""
    script = library.library()
    drawn = ChartSet(charts=()) if script is None else chart_set(record, verdict, data or ChartData())
    # These three are scripts and data for them, made safe for the inside of a script element.
    scripts = {"encoded": encoded(drawn), "library": script or "", "program": library.program()}
    values = {
        "view": build(record, verdict),
        "compliance": compliance_view(record, verdict),
        "charts": charts(record),
        "drawn": drawn,
        "policy": library.policy() if drawn.charts else "",
        **{name: Markup(text) for name, text in scripts.items()},  # noqa: S704
    }
    return rendered("report.html.j2", values)
