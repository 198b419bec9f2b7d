"""Runs as frames: nothing is lost, nothing is rounded."""

from __future__ import annotations

from dataclasses import replace

from tests.analysis.runs import run
from velro_gate.analysis.summaries.frames import FIGURES, RESOURCES, figures_frame, resources_frame
from velro_gate.model.record import ResourceSummary


def test_each_figure_of_each_run_is_one_row_with_its_interval() -> None:
    runs = [run(), replace(run(), id="another")]
    frame = figures_frame(runs)
    assert tuple(frame.columns) == FIGURES
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
    assert tuple(frame.columns) == RESOURCES
    assert frame["median"].tolist() == [0.4] * len(one.phases)


def test_no_run_is_a_frame_without_rows() -> None:
    assert (len(figures_frame([])), len(resources_frame([]))) == (0, 0)
