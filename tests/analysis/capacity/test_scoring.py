"""A measured stretch as a trial, and when a service drowns."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.analysis.phases import STEPS, phase, run_of, samples
from velro_gate.analysis.capacity.scoring import DROWNS_AFTER, Drowning, load_requirements, points_of, trial_of
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.model.capacity import Trial
from velro_gate.model.run import Progress, Stage, Tick
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import Comparator, Phase, Requirement

P95 = Requirement(metric="p95", comparator=Comparator.BELOW, target=0.075)
ERRORS = Requirement(metric="error_rate", comparator=Comparator.BELOW, target=0.01)
HITS = Requirement(metric="hit_rate", comparator=Comparator.AT_LEAST, target=0.95)
RATE = Requirement(metric="throughput", comparator=Comparator.AT_LEAST, target=90.0)


def tried(wanted: Phase, response: float, *, failed: int = 0, interrupted: bool = False) -> Trial:
    due = np.linspace(0.0, 70.0, 7_000, endpoint=False)
    outcome = np.where(np.arange(len(due)) < 1_000 + failed, Outcome.STATUS, Outcome.OK)
    outcome[:1_000] = Outcome.OK
    measured = samples(due, response, outcome=outcome)
    ran = run_of(measured, interrupted=interrupted)
    return trial_of(100.0, load_requirements(wanted), summarise(wanted, STEPS, ran, measured, (), ()), ran)


def test_only_requirements_that_load_can_miss_are_used() -> None:
    assert load_requirements(phase(P95, ERRORS, HITS, RATE)) == (P95, ERRORS, HITS)


def test_the_score_is_how_far_the_worst_requirement_is_from_its_limit() -> None:
    near = tried(phase(P95, ERRORS), 0.060)
    assert near.score == pytest.approx(math.log(0.060 / 0.075), abs=1e-6)
    assert near.figure is not None
    assert near.figure.metric == "p95"
    assert not near.drowned
    assert tried(phase(P95, ERRORS), 0.090).score > 0.0


def test_errors_above_their_limit_decide_where_times_are_good() -> None:
    found = tried(phase(P95, ERRORS), 0.010, failed=120)
    assert found.figure is not None
    assert found.figure.metric == "error_rate"
    assert found.score == pytest.approx(math.log(0.02 / 0.01), abs=0.01)


def test_an_open_phase_has_to_keep_up_without_being_asked() -> None:
    found = tried(phase(P95), 0.010, failed=600)
    assert found.figure is not None
    assert found.figure.metric == "achieved_share"
    assert found.score > 0.0


def test_a_stretch_that_was_ended_early_has_missed() -> None:
    found = tried(phase(P95), 0.010, interrupted=True)
    assert found.drowned
    assert found.score > 0.0


def progress(**changed: object) -> Progress:
    figures = Progress(
        phase="steady",
        phase_number=1,
        phase_count=1,
        stage=Stage.MEASURE,
        users=10,
        connected=10,
        rate=100.0,
        offered_rate=100.0,
        p50=0.01,
        p95=0.02,
        p99=0.03,
        errors=0,
        error_rate=0.0,
        hit_rate=None,
        lateness_p99=0.001,
        elapsed=5.0,
        remaining=5.0,
    )
    return replace(figures, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad", [{"p50": 0.3}, {"errors": 100, "error_rate": 0.9}, {"p50": None}], ids=["slow", "failing", "silent"]
)
def test_a_service_that_falls_far_behind_twice_in_a_row_is_drowning(bad: dict[str, object]) -> None:
    drowning = Drowning(0.075)
    assert not drowning.seen(progress(**bad))
    assert not drowning.seen(progress())
    assert [drowning.seen(progress(**bad)) for _ in range(DROWNS_AFTER)] == [False, True]


def test_a_service_near_its_limit_is_not_drowning() -> None:
    drowning = Drowning(0.075)
    assert not any(drowning.seen(progress(p50=0.07, p95=0.2, errors=3, error_rate=0.02)) for _ in range(10))


def test_a_run_gives_a_point_of_the_law_for_each_phase_that_lasted() -> None:
    ticks = tuple(Tick(at=float(at), connected=10, in_flight=4, sent=50 * at, ok=50 * at - 4, failed=0) for at in range(10, 40))
    measured = samples(np.linspace(10.0, 40.0, 100, endpoint=False))
    ran = run_of(measured, seconds=30.0, ticks=ticks)
    assert points_of([ran, replace(ran, ticks=())]) == [(4.0, pytest.approx(50.0))]
