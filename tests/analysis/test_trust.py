"""Trust: each reason for doubt, at a figure at which it arises and at one at which it does not."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.analysis.phases import counts, health, phase, record, run_of, samples, summary
from velro_gate.analysis.summary import summarise
from velro_gate.analysis.trust import DEFAULT_LIMITS, TrustLimits, trust_findings
from velro_gate.model.record import Estimate, PhaseSummary, ResourceSummary
from velro_gate.model.scenario import Comparator, Phase, Requirement
from velro_gate.model.verdict import Level, Trust, TrustFinding

P95 = Requirement(metric="p95", comparator=Comparator.BELOW, target=0.075)
STEADY = phase(P95)
CAVEAT, BROKEN = Trust.CAVEAT, Trust.BROKEN


def doubts(found: PhaseSummary, planned: Phase = STEADY, limits: TrustLimits = DEFAULT_LIMITS) -> dict[str, Trust]:
    return {finding.code: finding.trust for finding in trust_findings([planned], record(found), limits)}


def only(found: PhaseSummary, planned: Phase = STEADY) -> TrustFinding:
    (finding,) = trust_findings([planned], record(found))
    return finding


def late(seconds: float) -> PhaseSummary:
    return summary({"all": {"lateness_p99": Estimate.exact(seconds, n=6000)}})


def test_a_good_run_leaves_no_doubt() -> None:
    assert doubts(summary()) == {}


@pytest.mark.parametrize(
    ("milliseconds", "expected"), [(7.4, None), (7.5, None), (7.6, CAVEAT), (15.0, CAVEAT), (15.1, BROKEN), (500.0, BROKEN)]
)
def test_lateness_is_held_against_the_tightest_latency_limit_of_75_ms(milliseconds: float, expected: Trust | None) -> None:
    assert doubts(late(milliseconds / 1000.0)).get("lateness") is expected


def test_a_step_with_a_tighter_limit_tightens_the_lateness_allowed() -> None:
    tight = phase(P95, dataclasses.replace(P95, target=0.05, step="login"))
    assert doubts(late(0.006), tight) == {"lateness": CAVEAT}
    assert doubts(late(0.006)) == {}


def test_without_a_latency_limit_lateness_is_held_against_a_default() -> None:
    assert doubts(late(0.009), phase()) == {}
    assert doubts(late(0.011), phase()) == {"lateness": CAVEAT}
    assert doubts(late(0.021), phase()) == {"lateness": BROKEN}


@pytest.mark.parametrize(("share", "expected"), [(0.70, None), (0.71, CAVEAT), (0.90, CAVEAT), (0.91, BROKEN)])
def test_a_generator_near_the_limit_of_its_core(share: float, expected: Trust | None) -> None:
    assert doubts(summary(health=health(cpu_share=share))).get("generator-cpu") is expected


@pytest.mark.parametrize(
    ("share", "expected"), [(None, None), (0.0, None), (0.02, None), (0.021, CAVEAT), (0.10, CAVEAT), (0.11, BROKEN)]
)
def test_cpu_that_the_host_took_away(share: float | None, expected: Trust | None) -> None:
    assert doubts(summary(health=health(steal_share=share))).get("steal") is expected


@pytest.mark.parametrize(
    ("collections", "pause", "expected"),
    [(0, 0.0, None), (0, 0.2, None), (1, 0.03, CAVEAT), (1, 0.075, CAVEAT), (2, 0.08, BROKEN)],
)
def test_a_full_collection_is_a_caveat_and_broken_when_longer_than_the_tightest_limit(
    collections: int, pause: float, expected: Trust | None
) -> None:
    found = doubts(summary(health=health(gc_full_collections=collections, gc_pause_max=pause)))
    assert found.get("gc-pause") is expected


@pytest.mark.parametrize(("free", "expected"), [(None, None), (16, None), (15, CAVEAT), (1, CAVEAT), (0, BROKEN), (-1, BROKEN)])
def test_running_out_of_descriptors(free: int | None, expected: Trust | None) -> None:
    assert doubts(summary(health=health(descriptors_free=free))).get("descriptors") is expected


@pytest.mark.parametrize(("free", "expected"), [(None, None), (64, None), (63, CAVEAT), (0, BROKEN)])
def test_running_out_of_ports(free: int | None, expected: Trust | None) -> None:
    assert doubts(summary(health=health(ports_free=free))).get("ports") is expected


def test_an_arrival_that_we_missed_breaks_the_run() -> None:
    finding = only(summary(books={"all": counts(ok=5999, missed=1)}))
    assert (finding.code, finding.trust, finding.figure, finding.level) == ("arrivals-missed", BROKEN, 1, Level.BROKEN)
    assert "1 of 6,000" in finding.sentence


def test_arrivals_that_the_service_blocked_are_no_matter_of_trust() -> None:
    assert doubts(summary(books={"all": counts(ok=3000, blocked=3000)})) == {}


def test_errors_and_slow_answers_are_no_matter_of_trust() -> None:
    found = summary(
        {"all": {"p95": Estimate(value=9.0, low=8.0, high=10.0, n=5000), "lateness_p99": Estimate.exact(0.0, n=1)}},
        books={"all": counts(ok=10, failed=5990)},
    )
    assert doubts(found) == {}


def test_a_service_that_went_away_breaks_the_run_and_says_why() -> None:
    finding = only(summary(service_gone="connection refused for 5 s", measured_seconds=20.0))
    assert (finding.code, finding.trust) == ("service-gone", BROKEN)
    assert "connection refused for 5 s" in finding.sentence


def test_a_lost_shard_breaks_the_run_says_what_became_of_it_and_is_the_only_reason_given_for_what_it_did_not_send() -> None:
    books = {"all": counts(ok=10, missed=20)}
    for found in (summary(shards_lost=("shard 2 of 2 was killed by SIGKILL",), books=books), summary(shards_lost=("shard 2",))):
        finding = only(found)
        assert (finding.code, finding.trust, finding.figure) == ("shard-lost", BROKEN, 1)
        assert found.shards_lost[0] in finding.sentence


def test_an_interrupted_phase_breaks_the_run_and_says_when() -> None:
    finding = only(summary(interrupted=True, measured_seconds=20.0))
    assert (finding.code, finding.trust, finding.figure) == ("interrupted", BROKEN, 20.0)
    assert "20 s into the measured stretch" in finding.sentence


def test_a_run_interrupted_between_two_phases_is_broken_too() -> None:
    findings = trust_findings([STEADY, phase(name="later")], record(summary(), interrupted=True))
    assert [(f.code, f.phase) for f in findings] == [("interrupted", ""), ("phase-missing", "later")]


def test_an_interruption_is_reported_once_when_its_phase_tells_of_it() -> None:
    findings = trust_findings([STEADY], record(summary(interrupted=True), interrupted=True))
    assert [f.code for f in findings] == ["interrupted"]


@pytest.mark.parametrize(("seconds", "expected"), [(60.0, None), (48.0, None), (47.9, BROKEN), (0.0, BROKEN)])
def test_a_stretch_shorter_than_four_fifths_of_the_plan_is_too_short(seconds: float, expected: Trust | None) -> None:
    assert doubts(summary(measured_seconds=seconds)).get("window-short") is expected


def test_a_planned_phase_that_is_not_in_the_record_breaks_the_run() -> None:
    findings = trust_findings([phase(name="absent")], record(summary()))
    assert [(f.code, f.trust, f.phase) for f in findings] == [("phase-missing", BROKEN, "absent")]


def test_a_phase_without_any_sample_breaks_the_run() -> None:
    assert doubts(summary(books={"all": counts(ok=0)})) == {"no-samples": BROKEN}
    assert doubts(summary(books={"all": counts(ok=1)})) == {}


def answers(n: int, rank: str = "p95") -> PhaseSummary:
    return summary({"all": {rank: Estimate(value=0.02, low=0.01, high=0.03, n=n)}})


@pytest.mark.parametrize(("metric", "enough"), [("p50", 40), ("p95", 400), ("p99", 2000)])
def test_fewer_than_20_answers_beyond_a_required_quantile_are_a_caveat(metric: str, enough: int) -> None:
    planned = phase(dataclasses.replace(P95, metric=metric))
    assert doubts(answers(enough, metric), planned) == {}
    assert doubts(answers(enough - 1, metric), planned) == {"few-answers": CAVEAT}


def test_an_advisory_quantile_may_rest_on_few_answers() -> None:
    assert doubts(answers(10), phase(dataclasses.replace(P95, required=False))) == {}


def test_of_several_scarce_quantiles_the_scarcest_is_named() -> None:
    planned = phase(P95, dataclasses.replace(P95, step="login"))
    scarce = {"p95": Estimate(value=0.02, low=0.01, high=0.03, n=100)}
    found = summary({"all": {"p95": Estimate(value=0.02, low=0.01, high=0.03, n=300)}, "login": scarce})
    assert "login p95 of steady rests on 100 answers, 5 of them beyond it" in only(found, planned).sentence


def resource(source: str, n: int, name: str = "rss") -> ResourceSummary:
    return ResourceSummary(source=source, name=name, least=1.0, median=1.0, most=1.0, n=n)


def test_a_source_that_could_not_be_read_for_half_of_the_phase_is_a_caveat() -> None:
    assert doubts(summary(resources=(resource("runner", 30), resource("service", 14)))) == {"monitor-gaps": CAVEAT}
    assert doubts(summary(resources=(resource("runner", 30), resource("service", 15)))) == {}


def test_a_value_that_is_seldom_there_is_no_gap_while_its_source_is_read() -> None:
    found = (resource("service", 30), resource("service", 2, "cache_l2_hits_total"))
    assert doubts(summary(resources=found)) == {}


def test_a_short_phase_has_too_few_readings_to_tell_of_gaps() -> None:
    assert doubts(summary(resources=(resource("runner", 5), resource("service", 1)))) == {}


def test_every_phase_is_looked_at() -> None:
    second = summary(name="second", health=health(cpu_share=0.95))
    findings = trust_findings([STEADY, phase(P95, name="second")], record(summary(), second))
    assert [(f.phase, f.code) for f in findings] == [("second", "generator-cpu")]


def test_every_finding_says_what_to_do_and_carries_figure_and_limit() -> None:
    bad = summary(
        {"all": {"lateness_p99": Estimate.exact(0.5, n=6000), "p95": Estimate.exact(0.02, n=10)}},
        books={"all": counts(ok=10, missed=5)},
        health=health(
            cpu_share=1.0, steal_share=0.5, gc_full_collections=1, gc_pause_max=1.0, descriptors_free=0, ports_free=0
        ),
        measured_seconds=1.0,
        resources=(resource("runner", 30), resource("service", 1)),
    )
    findings = trust_findings([STEADY], record(bad))
    assert len(findings) == len({f.code for f in findings}) == 10
    for finding in findings:
        assert finding.sentence[0].islower() or finding.sentence[0].isdigit()
        assert finding.advice.endswith(".")
        assert finding.figure is not None
        assert finding.limit is not None
        assert finding.phase == "steady"


@pytest.mark.parametrize("changed", [{"cpu_caveat": 0.95}, {"lateness_caveat": 0.3}, {"steal_caveat": -0.1}])
def test_a_caveat_must_begin_before_the_broken_level(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="before the broken level"):
        TrustLimits(**changed)


def test_limits_can_be_moved() -> None:
    assert doubts(summary(), limits=TrustLimits(cpu_caveat=0.1)) == {"generator-cpu": CAVEAT}


@pytest.mark.parametrize("seed", range(5))
def test_a_quick_phase_of_8_s_with_a_few_hundred_requests_is_trusted(seed: int) -> None:
    random = np.random.default_rng(seed)
    due = np.sort(random.uniform(8.0, 18.0, 55 * 10))
    late_by = random.exponential(0.0008, len(due))
    measured = samples(due, 0.01 + late_by, sent=due + late_by)
    run = run_of(measured, seconds=8.0)
    planned = phase(P95, duration=8.0, ramp=2.0, rate=55.0)
    found = summarise(planned, ("login", "list"), run, measured, (), ())
    assert doubts(found, planned) == {}
