"""The trials of a search as a frame: nothing is lost, and what was not measured is NaN."""

from __future__ import annotations

from tests.report.printed.test_capacity import POOL, QUEUE, result, trial
from velro_gate.analysis.capacity.trials import TRIALS, capacity_frame


def test_each_trial_is_one_row_in_the_order_of_the_search() -> None:
    found = result(trials=(trial(1270.0, 0.2, bottleneck=QUEUE), trial(1220.0, -0.1, concurrency=None, p95=None, figure=None)))
    frame = capacity_frame(found)
    missed, met = frame.itertuples()
    assert (missed.trial, missed.load, missed.unit, missed.phase, missed.met) == (1, 1270.0, "rate", "steady", False)
    assert (missed.metric, missed.step, missed.bottleneck) == ("p95", "all", "saturation")
    assert (met.trial, met.met, met.metric, met.step, met.bottleneck) == (2, True, "", "", "")
    assert frame[["concurrency", "p95"]].isna().to_numpy().tolist() == [[False, False], [True, True]]


def test_a_trial_that_fell_behind_has_not_met_its_requirements_whatever_its_score_says() -> None:
    (row,) = capacity_frame(result(trials=(trial(1500.0, -0.1, drowned=True, bottleneck=POOL),))).itertuples()
    assert (row.drowned, row.met) == (True, False)


def test_the_types_of_the_columns_are_those_that_are_documented_also_without_a_trial() -> None:
    for found in (result(), result(trials=())):
        assert dict(capacity_frame(found).dtypes) == dict(TRIALS)
