"""Trust: each reason for doubt, at a figure at which it arises and at one at which it does not."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.analysis.phases import counts, health, phase, record, run_of, samples, summary
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.analysis.verdict.judge import judge
from velro_gate.analysis.verdict.trust.checks import trust_findings
from velro_gate.analysis.verdict.trust.limits import DEFAULT_LIMITS, TrustLimits
from velro_gate.engine.shards.merge import merged_health
from velro_gate.model.record import Estimate, GeneratorNoise, PhaseSummary, ResourceSummary
from velro_gate.model.run import WorkerRun
from velro_gate.model.scenario import Comparator, Phase, Requirement
from velro_gate.model.verdict import Level, Trust, TrustFinding
from velro_gate.report.sentences.findings import words

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
    ("p99", "longest", "expected"),
    [
        (0.0075, 0.075, None),
        (0.0076, 0.0076, CAVEAT),
        (0.015, 0.015, CAVEAT),
        (0.0151, 0.0151, BROKEN),
        (0.001, 0.0751, CAVEAT),
        (0.001, 5.0, CAVEAT),
        (0.02, 5.0, BROKEN),
    ],
)
def test_a_loop_that_was_busy_for_long_reads_answers_late(p99: float, longest: float, expected: Trust | None) -> None:
    found = summary(health=health(loop_lag_p99=p99, loop_lag_max=longest))
    assert doubts(found) == ({} if expected is None else {"loop-lag": expected})


def test_one_long_turn_is_reported_with_its_length_and_the_limit() -> None:
    finding = only(summary(health=health(loop_lag_p99=0.001, loop_lag_max=0.2)))
    assert (finding.figure, finding.limit) == (0.2, 0.075)
    assert "once busy for 200 ms in steady, longer than the latency limit of 75.0 ms" in words(finding).sentence


@pytest.mark.parametrize(
    ("share", "expected"), [(None, None), (0.0, None), (0.02, None), (0.021, CAVEAT), (0.10, CAVEAT), (0.11, BROKEN)]
)
def test_time_for_which_a_quota_held_the_generator_back(share: float | None, expected: Trust | None) -> None:
    assert doubts(summary(health=health(throttled_share=share))).get("throttled") is expected


@pytest.mark.parametrize(("mebibytes", "expected"), [(None, None), (256, None), (255, CAVEAT), (0, CAVEAT)])
def test_a_generator_short_of_memory(mebibytes: int | None, expected: Trust | None) -> None:
    free = None if mebibytes is None else mebibytes * 2**20
    assert doubts(summary(health=health(memory_free=free))).get("memory") is expected


def noise(p95: float = 0.001, *, requests: int = 5_000, **changed: float) -> GeneratorNoise:
    figures = {"p50": min(0.0005, p95), "p95": p95, "p99": max(0.002, p95), "lateness_p99": 0.001, "rate": 700.0, **changed}
    return GeneratorNoise(**figures, users=300, seconds=5.0, requests=requests)  # type: ignore[arg-type]


def noisy(alone: GeneratorNoise, *requirements: Requirement) -> Trust | None:
    """What the noise does to a good run with these requirements."""
    made = dataclasses.replace(record(summary()), generator_noise=alone)
    found = [f.trust for f in trust_findings([phase(*requirements or (P95,))], made) if f.code == "generator-noise"]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.parametrize(
    ("milliseconds", "expected"), [(7.4, None), (7.5, None), (7.6, CAVEAT), (15.0, CAVEAT), (15.1, BROKEN), (500.0, BROKEN)]
)
def test_a_limit_that_the_generators_own_noise_eats_is_not_gated(milliseconds: float, expected: Trust | None) -> None:
    assert noisy(noise(milliseconds / 1000.0)) is expected


@pytest.mark.parametrize("metric", ["p50", "p95", "p95_all", "p99"])
def test_each_limit_is_held_against_the_noise_at_its_own_quantile(metric: str) -> None:
    alone = noise(p95=0.004, p50=0.002, p99=0.008)
    of_metric = alone.of(metric)
    assert of_metric is not None
    for factor, expected in ((11.0, None), (9.0, CAVEAT), (4.9, BROKEN)):
        limit = dataclasses.replace(P95, metric=metric, target=of_metric * factor)
        assert noisy(alone, limit) is expected


@pytest.mark.parametrize("metric", ["p90", "p999", "service_p95"])
def test_a_limit_whose_quantile_the_null_run_does_not_show_is_left_alone(metric: str) -> None:
    assert noisy(noise(0.05, p99=0.06), dataclasses.replace(P95, metric=metric)) is None


def test_a_limit_on_one_step_counts_as_well_and_the_worst_one_is_named() -> None:
    made = dataclasses.replace(record(summary()), generator_noise=noise(0.011))
    (finding,) = trust_findings([phase(P95, dataclasses.replace(P95, target=0.05, step="login"))], made)
    assert (finding.trust, finding.figure, finding.limit) == (BROKEN, 0.011, pytest.approx(0.01))
    assert "the generator alone, at 700/s, shows p95 11.0 ms on this runner: 22.0 % of the limit" in words(finding).sentence
    assert "50.0 ms on p95 of login in steady" in words(finding).sentence


def test_an_optional_limit_is_no_reason_to_break_a_run_unless_its_critical_level_is() -> None:
    wish = dataclasses.replace(P95, target=0.01, required=False)
    assert noisy(noise(0.005), wish) is CAVEAT
    assert noisy(noise(0.005), dataclasses.replace(wish, critical=0.02)) is BROKEN
    assert noisy(noise(0.005), dataclasses.replace(wish, critical=0.075)) is None


def test_a_limit_that_breaks_is_reported_before_a_wish_that_is_eaten_even_more() -> None:
    wish = dataclasses.replace(P95, target=0.001, required=False, step="login")
    assert noisy(noise(0.02), P95, wish) is BROKEN


def test_a_quantile_that_few_answers_of_the_null_run_lie_beyond_breaks_nothing() -> None:
    assert noisy(noise(0.05, requests=200)) is BROKEN
    assert noisy(noise(0.05, requests=199)) is CAVEAT


def test_every_phase_is_held_against_the_noise() -> None:
    made = dataclasses.replace(record(summary(), summary(name="second")), generator_noise=noise(0.1))
    findings = trust_findings([STEADY, phase(P95, name="second")], made)
    assert [(f.code, f.phase) for f in findings] == [("generator-noise", "steady"), ("generator-noise", "second")]


def test_a_run_whose_limit_is_eaten_by_noise_is_broken_however_good_its_figures_are() -> None:
    good = dataclasses.replace(record(summary()), generator_noise=noise())
    bad = dataclasses.replace(good, generator_noise=noise(0.05))
    assert judge(good, (), phases=[phase()]).level < Level.BROKEN
    assert not [f for f in judge(good, (), phases=[STEADY]).trust if f.code == "generator-noise"]
    verdict = judge(bad, (), phases=[STEADY])
    assert verdict.level is Level.BROKEN
    assert any("the generator alone" in words(finding).sentence for finding in verdict.findings)


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


def test_users_too_few_for_the_rate_are_named_and_plenty_with_a_slow_service_are_not() -> None:
    waits = {"p50": Estimate.exact(4.0, n=200), "service_p50": Estimate.exact(0.1, n=200)}
    found = summary({"all": waits}, books={"all": counts(ok=200, blocked=800)})
    planned = phase(users=2, rate=100.0)
    finding = next(f for f in trust_findings([planned], record(found)) if f.code == "too-few-users")
    assert (finding.trust, finding.limit) == (CAVEAT, pytest.approx(10.0))
    assert "2 users are too few for 100/s" in words(finding).sentence
    assert "800 requests were never sent" in words(finding).sentence
    assert "too-few-users" not in doubts(found, phase(users=500, rate=100.0))
    quick = summary({"all": waits | {"p50": Estimate.exact(0.11, n=200)}})
    assert "too-few-users" not in doubts(quick, planned)


def test_an_arrival_that_we_missed_breaks_the_run() -> None:
    finding = only(summary(books={"all": counts(ok=5999, missed=1)}))
    assert (finding.code, finding.trust, finding.figure, finding.level) == ("arrivals-missed", BROKEN, 1, Level.BROKEN)
    assert "1 of 6,000" in words(finding).sentence


def test_arrivals_that_the_service_blocked_are_no_matter_of_trust() -> None:
    assert doubts(summary(books={"all": counts(ok=3000, blocked=3000)})) == {}


def test_errors_and_slow_answers_are_no_matter_of_trust() -> None:
    found = summary(
        {"all": {"p95": Estimate(value=9.0, low=8.0, high=10.0, n=5000), "lateness_p99": Estimate.exact(0.0, n=1)}},
        books={"all": counts(ok=10, failed=5990)},
    )
    assert doubts(found) == {}


def test_a_service_that_stopped_is_no_doubt_in_the_measurement() -> None:
    gone = summary(service_gone="connection refused for 5 s", measured_seconds=2.0, books={"all": counts(ok=0)})
    assert doubts(gone) == {}
    later = phase(P95, name="later")
    assert trust_findings([STEADY, later], record(gone)) == (), "what was not reached is told with what the service did"


def test_a_lost_shard_breaks_the_run_says_what_became_of_it_and_is_the_only_reason_given_for_what_it_did_not_send() -> None:
    books = {"all": counts(ok=10, missed=20)}
    for found in (summary(shards_lost=("shard 2 of 2 was killed by SIGKILL",), books=books), summary(shards_lost=("shard 2",))):
        finding = only(found)
        assert (finding.code, finding.trust, finding.figure) == ("shard-lost", BROKEN, 1)
        assert found.shards_lost[0] in words(finding).sentence


def test_an_interrupted_phase_breaks_the_run_and_says_when() -> None:
    finding = only(summary(interrupted=True, measured_seconds=20.0))
    assert (finding.code, finding.trust, finding.figure) == ("interrupted", BROKEN, 20.0)
    assert "20 s into the measured stretch" in words(finding).sentence


def test_a_run_interrupted_between_two_phases_is_broken_too() -> None:
    findings = trust_findings([STEADY, phase(name="later")], record(summary(), interrupted=True))
    assert [(f.code, f.phase) for f in findings] == [("interrupted", ""), ("phase-missing", "later")]


def test_an_interruption_is_reported_once_when_its_phase_reports_it() -> None:
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
    assert "p95 of login in steady rests on 100 responses, 5 of them beyond it" in words(only(found, planned)).sentence


def resource(source: str, n: int, name: str = "rss") -> ResourceSummary:
    return ResourceSummary(source=source, name=name, least=1.0, median=1.0, most=1.0, n=n)


def test_a_source_that_could_not_be_read_for_half_of_the_phase_is_a_caveat() -> None:
    assert doubts(summary(resources=(resource("runner", 30), resource("service", 14)))) == {"monitor-gaps": CAVEAT}
    assert doubts(summary(resources=(resource("runner", 30), resource("service", 15)))) == {}


def test_a_value_that_is_seldom_there_is_no_gap_while_its_source_is_read() -> None:
    found = (resource("service", 30), resource("service", 2, "cache_l2_hits_total"))
    assert doubts(summary(resources=found)) == {}


def test_a_short_phase_has_too_few_readings_to_show_gaps() -> None:
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
            cpu_share=1.0,
            steal_share=0.5,
            throttled_share=0.5,
            loop_lag_p99=0.5,
            loop_lag_max=0.5,
            gc_full_collections=1,
            gc_pause_max=1.0,
            descriptors_free=0,
            ports_free=0,
            memory_free=1,
        ),
        measured_seconds=1.0,
        resources=(resource("runner", 30), resource("service", 1)),
    )
    findings = trust_findings([STEADY], dataclasses.replace(record(bad), generator_noise=noise(0.5)))
    assert len(findings) == len({f.code for f in findings}) == 14
    for finding in findings:
        assert words(finding).sentence[0].islower() or words(finding).sentence[0].isdigit()
        assert words(finding).advice.endswith(".")
        assert finding.figure is not None
        assert finding.limit is not None
        assert finding.phase == "steady"


@pytest.mark.parametrize(
    "changed",
    [{"cpu_caveat": 0.95}, {"lateness_caveat": 0.3}, {"steal_caveat": -0.1}, {"noise_caveat": 0.3}, {"lag_broken": 0.0}],
)
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


# Workers of a cluster


def worker(number: int, *, late: float = 0.0, uncertainty: float = 0.0, drift: float = 0.0, **figures: Any) -> WorkerRun:
    return WorkerRun(name=f"worker {number} of 2", health=health(**figures), late=late, uncertainty=uncertainty, drift=drift)


def by_workers(*workers: WorkerRun) -> PhaseSummary:
    return dataclasses.replace(summary(health=merged_health([each.health for each in workers])), workers=workers)


@pytest.mark.parametrize(
    ("late", "uncertainty", "expected"),
    [
        (0.0249, 0.0, None),
        (0.026, 0.0, CAVEAT),
        (0.020, 0.003, CAVEAT),
        (0.099, 0.0, CAVEAT),
        (0.101, 0.0, BROKEN),
        (0.09, 0.006, BROKEN),
    ],
)
def test_workers_that_did_not_begin_together_are_a_doubt_by_what_their_clocks_leave_open(
    late: float, uncertainty: float, expected: Trust | None
) -> None:
    found = by_workers(worker(1, uncertainty=uncertainty), worker(2, late=late, uncertainty=uncertainty))
    assert doubts(found).get("start-skew") is expected
    if expected is not None:
        assert words(only(found)).sentence.endswith("apart, worker 2 of 2 last")


def test_one_worker_alone_has_no_skew_and_a_run_without_workers_has_neither_doubt() -> None:
    assert doubts(by_workers(worker(1, uncertainty=0.2))) == {}
    assert doubts(summary()) == {}


@pytest.mark.parametrize(("drift", "expected"), [(0.024, None), (0.026, CAVEAT), (0.101, BROKEN)])
def test_a_clock_that_moved_is_a_doubt_and_its_worker_is_named(drift: float, expected: Trust | None) -> None:
    found = by_workers(worker(1), worker(2, drift=drift))
    assert doubts(found).get("clock-drift") is expected
    if expected is not None:
        assert words(only(found)).sentence.startswith("the clock of worker 2 of 2 had moved by")


def test_late_requests_are_reported_with_the_worker_whose_loop_lagged_most() -> None:
    found = by_workers(worker(1), worker(2, loop_lag_p99=0.003))
    measured = dataclasses.replace(late(0.05), health=found.health, workers=found.workers)
    assert words(only(measured)).sentence.endswith("; the loop of worker 2 of 2 lagged most")
    assert "worker" not in words(only(late(0.05))).sentence


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("cpu_share", 0.95),
        ("steal_share", 0.5),
        ("throttled_share", 0.5),
        ("memory_free", 1),
        ("descriptors_free", 0),
        ("ports_free", 0),
        ("loop_lag_p99", 0.06),
        ("loop_lag_max", 5.0),
    ],
)
def test_what_is_wrong_on_one_worker_is_reported_with_its_name(figure: str, value: float) -> None:
    found = by_workers(worker(1), worker(2, **{figure: value}))
    assert "worker 2 of 2" in words(only(found)).sentence
    alone = dataclasses.replace(found, workers=())
    assert "worker" not in words(only(alone)).sentence
