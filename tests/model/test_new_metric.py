"""What a new metric takes: one row of the registry, and where it is computed. Everything else finds it by itself.

In a process of its own, since others have read the registry by now.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import MISSING, fields

from velro_gate.model.metrics import Metric

_ROW = """
from types import MappingProxyType
from velro_gate.model import metrics as m

metrics = dict(m.METRICS)
metrics["queue_depth"] = m.Metric(
    name="queue_depth", label="depth of the queue", kind=m.MetricKind.COUNT, direction=m.Direction.LOWER, scale=m.Scale.LOG,
    resolution=0.0, prior_sd=0.1, quantile=None, times=None, scope=m.Scope.PHASE, party=m.Party.SERVICE, pooling=m.Pooling.MOST,
    role=m.Role.ADVISORY, condition=m.Condition.ALWAYS, decides=m.Decides.VALUE, scaling=m.Scaling.NONE,
    needs=frozenset({m.Needs.READINGS}), readings=(m.ReadingSeries(source="service", name="queue_depth"),),
    advice="Give the queue more workers.",
)
m.METRICS = MappingProxyType(metrics)
"""

_USED = """
import dataclasses
import json
import tempfile
from pathlib import Path

from tests.analysis.phases import run_of
from tests.analysis.runs import planned, run, summary
from tests.scenario.files import load, shop
from velro_gate.report.formats.comment import markdown
from velro_gate.report.formats.document import verdict_json
from velro_gate.report.formats.schema import verdict_schema
from velro_gate.report.formats.table import csv
from velro_gate.analysis.duet.pooled import pool_blocks
from velro_gate.analysis.rows.family import phase_rows
from velro_gate.analysis.summaries.resources import resource_measurements, resource_summaries, series_of
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.run import Reading
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Policy
from velro_gate.scenario.syntax.schema import json_schema

# It is measured.
readings = [Reading(at=at, source="service", name="queue_depth", value=30.0) for at in (20.0, 30.0)]
series, ran = series_of(readings), run_of(Samples.empty())
figure = resource_measurements(series, resource_summaries(series, ran), ran, 6000)["queue_depth"]
assert figure.value == 30.0

# A scenario may ask for it, of a phase and not of a step, and an editor knows it.
with tempfile.TemporaryDirectory() as folder:
    scenario = load({**shop(), "requirements": {"queue_depth": "<= 10"}}, Path(folder))
wanted = scenario.profiles["full"][0].requirements
assert [each.metric for each in wanted] == ["queue_depth"]
assert "depth of the queue" in json.dumps(json_schema())

# It is required with its own advice, compared as its row says, and in the reports.
usual = summary()
whole = dataclasses.replace(usual.steps[0], measurements={**usual.steps[0].measurements, "queue_depth": figure})
phase = dataclasses.replace(usual, steps=(whole, *usual.steps[1:]))
rows = phase_rows([phase], [phase], (), Policy())
assert [(row.primary, row.step) for row in rows if row.metric.name == "queue_depth"] == [(False, "all")]
plan = tuple(dataclasses.replace(each, requirements=wanted) for each in planned("steady"))
record = dataclasses.replace(run(plan=plan), phases=(phase,))
verdict = judge(record, ())
assert "Give the queue more workers." in verdict_json(record, verdict)
assert "queue_depth" in csv(record, verdict)
assert "depth of the queue" in markdown(record, verdict)
assert "queue_depth" in verdict_json(record, verdict)
assert "queue_depth" in json.dumps(verdict_schema())

# Blocks are put together as its row says.
lower = dataclasses.replace(whole, measurements={"queue_depth": dataclasses.replace(figure, value=5.0, low=5.0, high=5.0)})
pooled = pool_blocks([phase, dataclasses.replace(phase, steps=(lower,))])
assert pooled.measurement("queue_depth").value == 30.0
"""


def test_a_metric_of_one_more_row_is_measured_required_compared_pooled_and_reported() -> None:
    done = subprocess.run([sys.executable, "-c", _ROW + _USED], check=False, capture_output=True, text=True, timeout=120)
    assert not done.stderr, done.stderr
    assert done.returncode == 0


def test_no_field_of_a_metric_has_a_default_so_that_none_is_left_unset() -> None:
    unset = [each.name for each in fields(Metric) if each.default is not MISSING or each.default_factory is not MISSING]
    assert unset == []
