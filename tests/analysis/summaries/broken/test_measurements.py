"""Figures of experiments become measurements of their phase and step."""

from __future__ import annotations

import pytest

from velro_gate.analysis.summaries.broken.measurements import experiment_measurements
from velro_gate.model.metrics import METRICS, Direction
from velro_gate.model.record import Estimate, ExpectedFigure, ExperimentSummary
from velro_gate.model.resilience.experiment import Expectation, Expected

NAME = "experiment:down:recovery"


def carried_out(*figures: ExpectedFigure, repeat: int = 1) -> ExperimentSummary:
    return ExperimentSummary(name="down", repeat=repeat, begun=10.0, ended=20.0, fault="", figures=figures)


def recovery(value: float | None, *, step: str = "all", unfinished: bool = False) -> ExpectedFigure:
    estimate = None if value is None else Estimate(value=value, low=max(value - 1.0, 0.0), high=value, n=10)
    wanted = Expectation(kind=Expected.RECOVERY, limit=9.0, step=step)
    return ExpectedFigure(expectation=wanted, estimate=estimate, unfinished=unfinished)


def test_a_figure_is_a_measurement_of_the_step_that_it_is_of() -> None:
    made = (carried_out(recovery(2.0), recovery(3.0, step="login")),)
    assert experiment_measurements(made)[NAME].value == 2.0
    assert experiment_measurements(made, "login")[NAME].value == 3.0
    assert experiment_measurements(made, "authorize") == {}


def test_of_repetitions_the_mean_is_compared() -> None:
    made = [carried_out(recovery(value), repeat=number) for number, value in ((1, 1.0), (2, 4.0))]
    assert experiment_measurements(made)[NAME] == Estimate(value=2.5, low=1.5, high=2.5, n=20)


def test_a_repetition_without_the_figure_leaves_it_out() -> None:
    assert experiment_measurements([carried_out(recovery(1.0)), carried_out(recovery(None), repeat=2)]) == {}


def test_what_had_not_happened_by_the_end_is_a_lower_bound() -> None:
    assert experiment_measurements([carried_out(recovery(8.0, unfinished=True))])[NAME].value == 8.0


@pytest.mark.parametrize("kind", Expected)
def test_every_figure_of_an_experiment_is_a_metric(kind: Expected) -> None:
    metric = METRICS[f"experiment:a:b:{kind.value}"]
    assert "a:b" in metric.label
    assert metric.direction is (Direction.HIGHER if kind.at_least else Direction.LOWER)


@pytest.mark.parametrize("name", ["experiment:down", "experiment::recovery", "experiment:down:speed", "recovery"])
def test_other_names_are_no_metric(name: str) -> None:
    assert name not in METRICS
