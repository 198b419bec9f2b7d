"""When main reaches a limit, and when nothing can be said of that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.analysis.runs import FIGURES, run, summary
from velro_gate.analysis.stored.outlook import outlook
from velro_gate.model.facts.outlook import Outlook
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import Comparator, Policy, Requirement
from velro_gate.report.sentences.baselines import outlook_sentence

LIMIT = Requirement(metric="p95", comparator=Comparator.BELOW, target=0.018)
RANDOM_RUNS = 25


def history(times: Sequence[float]) -> list[RunRecord]:
    return [run(summary(times=float(each)), number=number) for number, each in enumerate(times)]


def noisy(slope: float, *, sd: float = 0.02, runs: int = RANDOM_RUNS, seed: int = 3) -> list[RunRecord]:
    random = np.random.default_rng(seed)
    return history(np.exp(slope * np.arange(runs) + sd * random.normal(size=runs)).tolist())


def forecast(runs: list[RunRecord], limit: Requirement = LIMIT) -> Outlook | None:
    return outlook(runs, "steady", limit, Policy())


def test_a_figure_that_creeps_reaches_its_limit_in_as_many_merges_as_its_slope_says() -> None:
    found = forecast(noisy(0.01, sd=0.01))
    assert found is not None
    # From 12 ms by 1 % a run: at run 24 it is 15.1 ms, and 18 ms are 17.5 merges further on.
    assert found.change.value == pytest.approx(0.01, abs=0.002)
    assert found.merges.value == pytest.approx(np.log(0.018 / FIGURES["p95"]) / 0.01 - 24, abs=4.0)
    assert found.merges.low < found.merges.value < found.merges.high
    said = outlook_sentence(found)
    assert "p95 of all requests in steady" in said
    assert "its limit of 18.0 ms is reached in about" in said


@pytest.mark.slow
def test_most_histories_without_a_slope_have_no_forecast() -> None:
    shown = sum(forecast(noisy(0.0, seed=seed)) is not None for seed in range(40))
    assert shown <= 3


def test_nearly_every_history_that_creeps_has_a_forecast_though_it_looks_like_a_row_of_steps_too() -> None:
    far = Requirement(metric="p95", comparator=Comparator.BELOW, target=0.024)
    found = [forecast(noisy(0.01, sd=0.02, runs=30, seed=seed), far) for seed in range(20)]
    known = [each for each in found if each is not None]
    assert len(known) >= 19
    truth = np.log(0.024 / FIGURES["p95"]) / 0.01 - 29
    assert sum(each.merges.low <= truth <= each.merges.high for each in known) >= 18


def test_a_slope_after_a_step_counts_from_the_step_on() -> None:
    random = np.random.default_rng(8)
    levels = np.concatenate([np.full(15, 1.0), 1.5 * np.exp(0.01 * np.arange(25))]) * np.exp(0.01 * random.normal(size=40))
    far = Requirement(metric="p95", comparator=Comparator.BELOW, target=0.030)
    found = forecast(history(levels.tolist()), far)
    assert found is not None
    assert found.runs == pytest.approx(25, abs=1)


def test_a_step_is_no_slope() -> None:
    random = np.random.default_rng(4)
    steps = np.where(np.arange(30) < 15, 1.0, 1.2) * np.exp(0.01 * random.normal(size=30))
    assert forecast(history(steps.tolist())) is None


def test_a_figure_that_gets_better_reaches_no_limit() -> None:
    assert forecast(noisy(-0.01, sd=0.01)) is None


def test_a_limit_that_is_reached_already_is_no_forecast() -> None:
    beyond = Requirement(metric="p95", comparator=Comparator.BELOW, target=0.010)
    assert forecast(noisy(0.01, sd=0.01), beyond) is None


def test_few_runs_show_no_slope() -> None:
    assert forecast(noisy(0.05, sd=0.001, runs=6)) is None
    assert forecast([]) is None


def test_a_limit_far_away_is_no_forecast() -> None:
    far = Requirement(metric="p95", comparator=Comparator.BELOW, target=60.0)
    assert forecast(noisy(0.01, sd=0.005), far) is None
