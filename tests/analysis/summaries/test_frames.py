"""Runs as frames: nothing is lost, nothing is rounded."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.runs import run
from velro_gate.analysis.summaries.frames import (
    FIGURES,
    READINGS,
    RESOURCES,
    RunCells,
    figures_frame,
    readings_frame,
    resources_frame,
)
from velro_gate.model.readings import unit_of
from velro_gate.model.record import ResourceSummary
from velro_gate.model.run import Reading
from velro_gate.report.text.csv_text import frame_csv


def test_each_figure_of_each_run_is_one_row_with_its_interval() -> None:
    runs = [run(), replace(run(), id="another")]
    frame = figures_frame(runs)
    assert tuple(frame.columns) == tuple(FIGURES)
    expected = sum(len(step.measurements) for each in runs for phase in each.phases for step in phase.steps)
    assert len(frame) == expected > 0
    phase = runs[0].phases[0]
    metric, found = next(iter(phase.steps[0].measurements.items()))
    (row,) = frame[
        (frame["run"] == runs[0].id) & (frame["phase"] == phase.name) & (frame["step"] == "all") & (frame["metric"] == metric)
    ].itertuples()
    assert (row.value, row.low, row.high, row.n) == (found.value, found.low, found.high, found.n)


def test_what_was_watched_is_one_row_a_series() -> None:
    one = run()
    cpu = ResourceSummary(source="service", name="cpu", least=0.1, median=0.4, most=0.9, n=60)
    watched = replace(one, phases=tuple(replace(phase, resources=(cpu,)) for phase in one.phases))
    frame = resources_frame([watched])
    assert tuple(frame.columns) == tuple(RESOURCES)
    assert frame["median"].tolist() == [0.4] * len(one.phases)


def test_the_types_of_the_columns_are_those_that_are_documented_also_without_a_row() -> None:
    assert tuple(FIGURES)[: len(RunCells._fields)] == RunCells._fields
    some = [Reading(at=1.0, source="service", name="rss", value=3e8)]
    for frame, columns in (
        (figures_frame([]), FIGURES),
        (figures_frame([run()]), FIGURES),
        (resources_frame([]), RESOURCES),
        (readings_frame([]), READINGS),
        (readings_frame(some), READINGS),
    ):
        assert dict(frame.dtypes) == dict(columns)


READ = st.builds(
    Reading,
    at=st.floats(0.0, 1e6),
    source=st.sampled_from(["service", "runner", "own"]),
    name=st.sampled_from(["rss", "cpu_share", "checkout_time"]),
    value=st.floats(allow_nan=False, allow_infinity=False),
)


@given(st.lists(READ, max_size=20))
def test_each_value_that_was_read_is_one_row_with_its_unit(readings: list[Reading]) -> None:
    rows = list(readings_frame(readings).itertuples(index=False, name=None))
    assert rows == [(one.at, one.source, one.name, one.value, unit_of(one.source, one.name).value) for one in readings]


@pytest.mark.parametrize("said", ["2026-11-24T12:00:00Z", "2026-11-24", "2026-W48-2", "2026-11-24T13:00:00+01:00"])
def test_a_time_that_a_record_may_hold_is_one_of_the_table(said: str) -> None:
    one, other = replace(run(), started_at=said), run()
    assert str(figures_frame([one, other])["started_at"].iloc[0]).startswith("2026-11-24")
    assert ",2026-11-24T" in frame_csv(figures_frame([one])).splitlines()[1]


def test_nothing_imports_pandas_before_a_table_is_asked_for() -> None:
    code = (
        "import sys, velro_gate.decision, velro_gate.gate.local.run, velro_gate.gate.judge.verdict;"
        "import velro_gate.cli.commands.history, velro_gate.report.printed.trend_page; print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
