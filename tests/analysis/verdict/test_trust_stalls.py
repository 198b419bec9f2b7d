"""A stall breaks a run where a result would have been another one without it, and otherwise at most a caveat."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.analysis.phases import phase, record, summary
from velro_gate.analysis.duet.pooled import pool_blocks
from velro_gate.analysis.verdict.generator_delay import Decided
from velro_gate.analysis.verdict.requirements import check_requirements
from velro_gate.analysis.verdict.trust.stalls import stall_findings
from velro_gate.model.record import Estimate, PhaseSummary
from velro_gate.model.run import WorkerRun
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.model.verdict import Change, Comparison, Level, Trust
from velro_gate.report.sentences.findings import words

pytestmark = pytest.mark.hostile("stops of the generator")

P99 = Requirement(metric="p99", comparator=Comparator.BELOW, target=0.5)
RATE = Requirement(metric="throughput", comparator=Comparator.AT_LEAST, target=100.0)


def stalled(best: dict[str, float], **measured: float) -> PhaseSummary:
    made = summary({"all": {name: Estimate.exact(value, n=6000) for name, value in measured.items()}})
    steps = (replace(made.steps[0], undelayed=best), *made.steps[1:])
    return replace(made, steps=steps, stalled=0.5, longest_stall=0.5)


@pytest.mark.parametrize(
    ("measured", "best", "broken"), [(0.584, 0.44, True), (0.584, 0.51, False), (0.45, 0.40, False), (0.584, 0.5, False)]
)
def test_a_missed_limit_that_the_best_value_meets_breaks_the_run(measured: float, best: float, broken: bool) -> None:
    found = stalled({"p99": best}, p99=measured)
    results = check_requirements((phase(P99),), record(found))
    doubts = list(stall_findings(phase(P99), found, decided=Decided(requirements=results)))
    assert any(doubt.trust is Trust.BROKEN for doubt in doubts) is broken
    assert not broken or "without that delay p99 of all requests might not have failed" in words(doubts[0]).sentence


@pytest.mark.parametrize(("busy", "named"), [(0.5, True), (0.26, True), (0.2, False)])
def test_a_stall_is_that_of_the_worker_whose_loop_was_seen_to_be_busy_for_it(busy: float, named: bool) -> None:
    found = stalled({"p95": 0.05}, p95=0.10)
    health = replace(found.health, loop_lag_max=busy)
    workers = (
        WorkerRun(name="worker 1 of 2", health=found.health, late=0.0, uncertainty=0.0, drift=0.0),
        WorkerRun(name="worker 2 of 2", health=health, late=0.0, uncertainty=0.0, drift=0.0),
    )
    (doubt,) = stall_findings(phase(), replace(found, health=health, workers=workers))
    assert (" on worker 2 of 2, for up to 500 ms" in words(doubt).sentence) is named


def test_a_rate_that_a_stall_kept_low_breaks_the_run_too() -> None:
    found = stalled({"throughput": 101.0}, throughput=99.0)
    results = check_requirements((phase(RATE),), record(found))
    (doubt,) = stall_findings(phase(RATE), found, decided=Decided(requirements=results))
    assert doubt.trust is Trust.BROKEN


@pytest.mark.parametrize(("metric", "before", "now", "best", "broken"), [
    ("p95", 0.10, 0.15, 0.105, True),
    ("p95", 0.10, 0.15, 0.12, False),
    ("throughput", 100.0, 80.0, 99.0, True),
    ("throughput", 100.0, 80.0, 85.0, False),
])  # fmt: skip
def test_a_regression_that_the_best_value_is_none_breaks_the_run(
    metric: str, before: float, now: float, best: float, broken: bool
) -> None:
    found = stalled({metric: best}, **{metric: now})
    row = Comparison(
        phase=found.name,
        step="all",
        metric=metric,
        verdict=Change.REGRESSION,
        primary=True,
        level=Level.FAIL,
        baseline=before,
        current=now,
        margin=0.06,
    )
    doubts = stall_findings(phase(), found, decided=Decided(comparisons=(row,)))
    assert any(doubt.trust is Trust.BROKEN for doubt in doubts) is broken


def test_where_no_result_is_known_a_large_part_of_a_figure_is_too_much() -> None:
    assert [d.trust for d in stall_findings(phase(), stalled({"p95": 0.07}, p95=0.10))] == [Trust.BROKEN]
    assert all(d.trust is Trust.CAVEAT for d in stall_findings(phase(), stalled({"p95": 0.095}, p95=0.10)))
    assert not list(stall_findings(phase(), summary({"all": {"p95": Estimate.exact(0.1, n=100)}})))


def test_blocks_put_together_keep_what_their_stalls_may_have_added() -> None:
    one, other = stalled({"p95": 0.05}, p95=0.10), stalled({}, p95=0.10)
    pooled = pool_blocks([one, other])
    assert (pooled.stalled, pooled.longest_stall) == (1.0, 0.5)
    assert pooled.steps[0].undelayed["p95"] == pytest.approx(0.075)
