"""A regression, explained: where, how, since when, and with what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.runs import run, summary
from velro_gate.analysis.stored.explanation import QUANTILES, shape_of
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.facts.regression import Explanation, QuantileMove, ShiftShape
from velro_gate.model.record import Estimate, NewLevel, PhaseSummary, ResourceSummary, RunnerSelftest, RunRecord, StepSummary
from velro_gate.report.sentences.explanations import companion_words, explanation_sentence

USUAL = {"p50": 0.010, "p90": 0.020, "p95": 0.030, "p99": 0.060}


def phase(
    factors: Mapping[str, Mapping[str, float]] | None = None,
    *,
    times: float = 1.0,
    failed: int = 0,
    caches: Mapping[str, int] | None = None,
    waiting: float | None = None,
    cpu: float | None = None,
) -> PhaseSummary:
    """A phase of 20,000 requests; factors: step -> quantile -> what it is multiplied by."""
    made = summary(times=1.0, n=20_000, failed=failed)

    def one(step: StepSummary) -> StepSummary:
        own = (factors or {}).get(step.step, {})
        values = {name: value * times * own.get(name, 1.0) for name, value in USUAL.items()}
        kept = {name: found for name, found in step.measurements.items() if name not in values}
        figures = {name: Estimate.exact(value, n=20_000 - failed) for name, value in values.items()}
        if cpu is not None and step.step == "all":
            figures["cpu_per_1000"] = Estimate.exact(cpu, n=20_000)
        return replace(step, measurements={**kept, **figures}, cache=dict(caches or {}))

    resources = (
        ()
        if waiting is None
        else (ResourceSummary(source="service", name="database_pool_in_use", least=0.0, median=waiting, most=waiting, n=30),)
    )
    return replace(made, steps=tuple(map(one, made.steps)), resources=resources)


def wander(count: int = 10, **changed: object) -> list[RunRecord]:
    factors = np.exp(np.random.default_rng(2).normal(0.0, 0.01, count))
    return [run(phase(times=float(f), **changed), number=i) for i, f in enumerate(factors)]  # type: ignore[arg-type]


BEFORE = wander()
SAME_SHARE = dict.fromkeys(QUANTILES, 1.3)
TAIL = {"p95": 1.3, "p99": 1.5}
# 100 ms more for one to five of a hundred requests.
JUMP = {"p95": (0.030 + 0.1) / 0.030, "p99": (0.060 + 0.1) / 0.060}
SAME_TIME = {name: (value + 0.01) / value for name, value in USUAL.items()}


def explained(
    candidate: PhaseSummary, before: Sequence[RunRecord] = BEFORE, repeats: Sequence[RunRecord] | None = None
) -> Explanation:
    (found,) = judge(run(candidate, number=90), before, repeats=repeats).explanations
    return found


def both(step: Mapping[str, float], name: str = "authorize") -> Mapping[str, Mapping[str, float]]:
    return {name: step, "all": step}


@pytest.mark.parametrize(
    ("factors", "shape", "words"),
    [
        (SAME_SHARE, ShiftShape.SAME_SHARE, "all requests by about the same percentage"),
        (TAIL, ShiftShape.TAIL, "only in the tail"),
        (JUMP, ShiftShape.NEW_MODE, "5 to 10 % of its requests by about 100 ms"),
        (SAME_TIME, ShiftShape.SAME_TIME, "every request by about 10 ms"),
        ({"p50": 1.4, "p90": 1.2}, ShiftShape.MIDDLE, "in the middle, not in the tail"),
        ({"p50": 1.1, "p90": 1.3, "p95": 1.6, "p99": 2.0}, ShiftShape.UNEVEN, "by a different percentage at each quantile"),
    ],
)
def test_the_shape_of_a_slowdown_is_reported(factors: Mapping[str, float], shape: ShiftShape, words: str) -> None:
    found = explained(phase(both(factors)))
    assert found.shape is shape
    assert words in explanation_sentence(found)


def test_the_step_that_is_slower_is_named_and_the_others_are_not() -> None:
    found = explained(phase(both(SAME_SHARE)))
    assert found.steps == ("authorize",)
    assert explanation_sentence(found).startswith("in steady, authorize is slower")
    assert "p50 +30 %, p90 +30 %, p95 +30 %, p99 +30 %" in explanation_sentence(found)


def test_all_steps_are_counted_instead_of_listed() -> None:
    found = explained(phase(times=1.3))
    assert set(found.steps) == {"login", "authorize"}
    assert "all 2 steps are slower" in explanation_sentence(found)


def test_what_only_all_of_them_together_show_is_said_to_be_so() -> None:
    found = explained(phase({"all": SAME_SHARE}))
    assert found.steps == ()
    assert "no single step but all requests together are slower" in explanation_sentence(found)


def test_a_calm_run_and_an_improvement_need_no_explanation() -> None:
    assert judge(run(phase(), number=90), BEFORE).explanations == ()
    assert judge(run(phase(times=0.7), number=90), BEFORE).explanations == ()
    assert judge(run(phase(times=3.0), number=90), []).explanations == ()


def test_a_quantile_with_too_few_requests_beyond_it_is_left_out() -> None:
    few = [replace(one, phases=(thin(one.phases[0]),)) for one in BEFORE]
    (found,) = judge(run(thin(phase(times=1.5)), number=90), few).explanations
    assert [move.metric for move in found.quantiles] == ["p50", "p90"]


def thin(made: PhaseSummary) -> PhaseSummary:
    """The phase with 500 successful responses a step: 50 beyond p90, 25 beyond p95."""
    steps = [
        replace(step, measurements={name: replace(found, n=500) for name, found in step.measurements.items()})
        for step in made.steps
    ]
    return replace(made, steps=tuple(steps))


def test_the_figures_are_those_of_all_three_runs_where_it_was_confirmed() -> None:
    again = [run(phase(both(dict.fromkeys(QUANTILES, f))), number=91 + i) for i, f in enumerate((1.2, 1.4))]
    found = explained(phase(both(SAME_SHARE)), repeats=again)
    level = float(np.median([math.log(one.phases[0].measurement("p95").value) for one in BEFORE]))  # type: ignore[union-attr]
    three = math.exp(math.log(0.030) + (math.log(1.3) + math.log(1.2) + math.log(1.4)) / 3.0 - level)
    (p95,) = [move for move in found.quantiles if move.metric == "p95"]
    assert p95.change == pytest.approx(three - 1.0)


def test_what_is_new_with_this_build_says_where_main_was() -> None:
    found = explained(phase(both(SAME_SHARE)))
    assert found.since == ""
    assert "it is new with this build (the last 10 runs of main: p95" in explanation_sentence(found)


def test_a_change_on_main_is_named_as_the_source_of_a_part() -> None:
    before = [*wander(14), *(run(phase(times=1.1), number=20 + i) for i in range(6))]
    found = explained(phase(times=1.5), before)
    assert found.since == "run-20"
    assert "part of it came with the run of 2025-01-01 (0000000) of main (+1" in explanation_sentence(found)


def test_what_was_agreed_to_is_no_source_of_it() -> None:
    names = [(step, metric) for step in ("all", "login", "authorize") for metric in ("p50", "p95")]
    levels = tuple(NewLevel(phase="steady", step=step, metric=metric) for step, metric in names)
    after = [run(phase(times=1.1), number=20 + i) for i in range(6)]
    before = [*wander(14), replace(after[0], new_levels=levels), *after[1:]]
    assert explained(phase(times=1.5), before).since == ""


def test_what_moved_with_it_is_reported() -> None:
    before = wander(caches={"miss": 100, "memory": 15_000, "redis": 4_900}, waiting=4.0, cpu=0.4)
    candidate = phase(both(SAME_SHARE), caches={"miss": 2_000, "memory": 15_000, "redis": 3_000}, waiting=40.0, cpu=0.8)
    found = explained(candidate, before)
    shown = [companion_words(each) for each in found.companions]
    assert "CPU per 1,000 requests +100 %" in shown
    assert "cache misses of authorize 0.50 % -> 10.0 %" in shown
    assert "responses from the redis cache of authorize 24.5 % -> 15.0 %" in shown
    assert "service database pool in use 4 -> 40" in shown
    assert not any("memory" in words for words in shown)
    assert "; also changed: CPU per 1,000 requests" in explanation_sentence(found)


def test_where_nothing_else_moved_nothing_is_said() -> None:
    before = wander(caches={"miss": 100, "memory": 19_900}, waiting=4.0, cpu=0.4)
    found = explained(phase(both(SAME_SHARE), caches={"miss": 110, "memory": 19_890}, waiting=4.0, cpu=0.4), before)
    assert found.companions == ()
    assert "also changed" not in explanation_sentence(found)


def test_two_baselines_show_no_span_to_lie_outside_of() -> None:
    before = wander(2, caches={"miss": 100, "memory": 19_900}, waiting=4.0)
    candidate = run(phase(times=2.0, caches={"miss": 19_900, "memory": 100}, waiting=40.0), number=90)
    # Two baselines fail a run where the runner's selftest tells its noise.
    known = RunnerSelftest(measured_at="2025-01-01T00:00:00Z", p95_noise=0.03, p95_seen=None, blind=False)
    (found,) = judge(replace(candidate, selftest=known), before).explanations
    assert found.companions == ()


def test_more_errors_alone_are_no_slowdown() -> None:
    found = explained(phase(failed=400))
    assert (found.shape, found.quantiles, found.steps) == (ShiftShape.NONE, (), ())
    assert explanation_sentence(found).startswith(
        "in steady, error rate is worse, response times are not; it is new with this build"
    )


# Shapes by hand


def move(metric: str, change: float, seconds: float, moved: bool = True) -> QuantileMove:
    return QuantileMove(metric=metric, change=change, low=change - 0.01, high=change + 0.01, seconds=seconds, moved=moved)


def test_one_quantile_has_no_shape_but_its_own() -> None:
    assert shape_of([move("p50", 0.3, 0.003)], 0.01) is ShiftShape.SAME_SHARE
    assert shape_of([move("p50", 0.01, 0.0001, moved=False)], 0.01) is ShiftShape.UNEVEN
    assert shape_of([], 0.01) is ShiftShape.UNEVEN


def test_a_tail_that_moved_by_less_than_the_median_is_no_new_mode() -> None:
    moves = [move("p50", 0.0, 0.0, moved=False), move("p95", 0.2, 0.006), move("p99", 0.1, 0.006)]
    assert shape_of(moves, 0.010) is ShiftShape.TAIL
    assert shape_of(moves, 0.005) is ShiftShape.NEW_MODE


@given(st.lists(st.floats(0.05, 3.0), min_size=1, max_size=4), st.floats(0.01, 100.0))
def test_scaling_all_times_changes_no_shape(changes: list[float], factor: float) -> None:
    moves = [move(name, change, change * base) for (name, base), change in zip(USUAL.items(), changes, strict=False)]
    scaled = [replace(one, seconds=one.seconds * factor) for one in moves]
    assert shape_of(moves, 0.01) is shape_of(scaled, 0.01 * factor)
