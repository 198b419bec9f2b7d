"""Hand-made runs and verdicts, one for every level, rich enough to look at: six phases, seven steps, charts, resources."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from velro_gate.model.explanation import Explanation, QuantileMove
from velro_gate.model.explanation import Shape as HowItMoved
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import (
    Counts,
    Estimate,
    GeneratorNoise,
    PhaseSummary,
    Plan,
    ResourceSummary,
    Revision,
    RunRecord,
    StepSummary,
    Window,
)
from velro_gate.model.run import Environment, GeneratorHealth, Progress
from velro_gate.model.scenario import ALL_STEPS, Comparator, OpenArrivals, Phase, Policy, Requirement
from velro_gate.model.verdict import (
    Change,
    Comparison,
    Confirmation,
    Finding,
    Level,
    RequirementResult,
    Status,
    Trust,
    TrustFinding,
    Verdict,
)

STEPS: dict[str, tuple[float, float, float | None]] = {
    "authentication_check": (1.0, 0.0062, 0.971),
    "authorization_check": (0.95, 0.0081, 0.962),
    "generation_list": (0.85, 0.0124, 0.918),
    "model_access": (0.6, 0.0098, 0.944),
    "generation_create": (0.25, 0.0241, None),
    "media_url_access": (0.4, 0.0077, 0.953),
}
"""Step -> probability, median response time in seconds at little load, cache hit rate."""

SHAPES: tuple[tuple[str, int, float, float, float, float], ...] = (
    ("warm_up_baseline", 500, 100.0, 0.075, 0.85, 120.0),
    ("intermediate_scaling", 2_500, 500.0, 0.075, 0.90, 300.0),
    ("large_scale_validation", 5_000, 800.0, 0.075, 0.93, 450.0),
    ("prd_compliance_validation", 10_000, 1_000.0, 0.075, 0.95, 600.0),
    ("stress_test", 15_000, 1_200.0, 0.100, 0.90, 300.0),
    ("endurance_test", 8_000, 800.0, 0.075, 0.93, 1_800.0),
)
"""(phase, users, required rate, p95 limit, hit-rate limit, measured seconds) of the full plan."""

PRD = "prd_compliance_validation"
ENVIRONMENT = Environment(
    runner="perf-runner-1",
    cpu_model="AMD EPYC 7763",
    cores=4,
    memory=16 * 2**30,
    kernel="6.8.0-45-generic",
    python="3.12.7",
    tool="velro-gate 0.1.0",
)


Shape = tuple[str, int, float, float, float, float]


def shapes(profile: str) -> tuple[Shape, ...]:
    """The full plan, or a tenth of it in users, rate and time."""
    if profile == "full":
        return SHAPES
    return tuple(
        (name, users // 10, rate / 10.0, p95, hits, seconds / 10.0) for name, users, rate, p95, hits, seconds in SHAPES
    )


def requirement(
    metric: str, comparator: Comparator, target: float, critical: float | None = None, **more: object
) -> Requirement:
    """A requirement in one line."""
    return Requirement(metric=metric, comparator=comparator, target=target, critical=critical, **more)  # type: ignore[arg-type]


def requirements_of(shape: Shape, *, scaled: bool = False) -> tuple[Requirement, ...]:
    """A phase's own requirements, and the PRD's in the phase that proves it."""
    name, users, rate, p95, hits, _ = shape
    own = (
        requirement("throughput", Comparator.AT_LEAST, rate, scaled_from=rate * 10.0 if scaled else None),
        requirement("p95", Comparator.BELOW, p95),
        requirement("hit_rate", Comparator.AT_LEAST, hits),
        requirement("error_rate", Comparator.BELOW, 0.01, 0.05),
    )
    if name != PRD:
        return own
    prd = (
        requirement(
            "users_held", Comparator.AT_LEAST, users, users * 0.8, source="PRD", scaled_from=10_000.0 if scaled else None
        ),
        requirement(
            "sustained_throughput", Comparator.AT_LEAST, rate, rate * 0.8, source="PRD", scaled_from=1_000.0 if scaled else None
        ),
        requirement("p95", Comparator.BELOW, 0.075, 0.1, source="PRD"),
        requirement("p95", Comparator.BELOW, 0.05, step="authentication_check", source="PRD"),
        requirement("p95", Comparator.BELOW, 0.075, step="authorization_check", source="PRD"),
        requirement("hit_rate", Comparator.AT_LEAST, 0.95, 0.90, step="authorization_check", source="PRD"),
        requirement("database_connections", Comparator.AT_LEAST, 200, source="PRD"),
    )
    # One requirement a metric: where the PRD states one, it stands for the phase's own.
    stated = {(wanted.metric, wanted.step) for wanted in prd}
    return (*prd, *(wanted for wanted in own if (wanted.metric, wanted.step) not in stated))


def plan(profile: str = "full") -> Plan:
    """The plan of all six phases."""
    phases = tuple(
        Phase(
            name=shape[0],
            users=shape[1],
            ramp=30.0,
            duration=shape[5],
            arrivals=OpenArrivals(rate=shape[2] * 1.1),
            requirements=requirements_of(shape, scaled=profile != "full"),
        )
        for shape in shapes(profile)
    )
    return Plan(
        scenario="velro-prd",
        digest="9f2c1b7d4e8a" + "0" * 52,
        profile=profile,
        steps=tuple(STEPS),
        phases=phases,
        policy=Policy(),
    )


def around(value: float, spread: float, n: int) -> Estimate:
    """An estimate whose interval reaches ``spread`` to either side, relative."""
    return Estimate(value=value, low=value * (1.0 - spread), high=value * (1.0 + spread), n=n)


def latencies(median: float, n: int) -> dict[str, Estimate]:
    """All quantiles of a lognormal-looking step."""
    shape = {
        "p50": 1.0,
        "p90": 1.9,
        "p95": 2.6,
        "p99": 4.7,
        "p999": 9.3,
        "service_p50": 0.98,
        "service_p95": 2.5,
        "service_p99": 4.6,
    }
    return {name: around(median * factor, 0.012 * factor, n) for name, factor in shape.items()}


def books(due: int, error_rate: float) -> Counts:
    """Counts that add up."""
    failed = round(due * error_rate)
    return Counts(due=due, sent=due, ok=due - failed, failed=failed, cancelled=0, blocked=0, missed=0)


def tally(counts: Counts) -> dict[str, dict[object, int]]:
    """Statuses and outcomes that agree with the counts."""
    timeouts = counts.failed // 5
    statuses = {200: counts.ok, 503: counts.failed - timeouts, 0: timeouts}
    outcomes = {"OK": counts.ok, "STATUS": counts.failed - timeouts, "TIMEOUT": timeouts}
    return {
        "statuses": {code: count for code, count in statuses.items() if count},
        "outcomes": {name: count for name, count in outcomes.items() if count},
    }


def layers(due: int, hit_rate: float | None) -> dict[str, int]:
    """Cache counts by layer."""
    if hit_rate is None:
        return {}
    hits = round(due * hit_rate)
    local = round(hits * 0.7)
    return {"miss": due - hits, "memory": local, "redis": hits - local}


def step(name: str, due: int, median: float, hit_rate: float | None, error_rate: float) -> StepSummary:
    """One step's summary."""
    counts = books(due, error_rate)
    found = latencies(median, counts.ok)
    found["error_rate"] = Estimate(value=error_rate, low=error_rate * 0.8, high=error_rate * 1.2, n=due)
    if hit_rate is not None:
        found["hit_rate"] = Estimate(value=hit_rate, low=hit_rate - 0.002, high=hit_rate + 0.002, n=due)
    return StepSummary(
        step=name,
        counts=counts,
        measurements=found,
        cache=layers(due, hit_rate),
        received=due * 412,
        **tally(counts),  # type: ignore[arg-type]
    )


def windows(seconds: float, rate: float, users: int, median: float, error_rate: float) -> tuple[Window, ...]:
    """Ten-second windows that wander a little, with one bump in the middle."""
    count = max(4, round(seconds / 10.0))
    made = []
    for index in range(count):
        wave = 1.0 + 0.05 * math.sin(index * 1.7) + 0.5 * math.exp(-(((index - count * 0.6) / (0.06 * count)) ** 2))
        ok = round(rate * 10.0 * (1.0 + 0.02 * math.sin(index * 2.3)))
        failed = round(ok * error_rate * wave)
        made.append(
            Window(
                start=index * 10.0,
                seconds=10.0,
                sent=ok + failed,
                ok=ok,
                failed=failed,
                connected=users,
                p50=median * wave,
                p95=median * 2.6 * wave,
                p99=median * 4.7 * wave,
                hit_rate=0.95,
                lateness_p99=0.0011,
            )
        )
    return tuple(made)


def health(**changed: float) -> GeneratorHealth:
    """A calm generator."""
    calm = GeneratorHealth(
        cpu_share=0.31,
        steal_share=0.002,
        loop_lag_p99=0.0008,
        loop_lag_max=0.0042,
        gc_full_collections=0,
        gc_pause_max=0.0,
        rss_start=92 * 2**20,
        rss_peak=187 * 2**20,
        descriptors_free=49_210,
        ports_free=17_840,
    )
    return dataclasses.replace(calm, **changed)  # type: ignore[arg-type]


def phase(
    shape: Shape,
    *,
    load: float = 1.0,
    slower: Mapping[str, float] | None = None,
    error_rate: float = 0.0004,
    lateness: float = 0.0013,
    health_of: GeneratorHealth | None = None,
) -> PhaseSummary:
    """A phase under ``load``, a factor on all response times; slower: further factors by step."""
    name, users, rate, _, _, seconds = shape
    factors = slower or {}
    share = sum(probability for probability, _, _ in STEPS.values())
    offered = rate * 1.1
    total = round(offered * seconds)
    steps = [
        step(one, round(total * probability / share), median * load * factors.get(one, 1.0), hits, error_rate)
        for one, (probability, median, hits) in STEPS.items()
    ]
    whole = step(ALL_STEPS, sum(one.counts.due for one in steps), 0.0094 * load, 0.957, error_rate)
    achieved = offered * (1.0 - error_rate) * 0.998
    extra = {
        "throughput": around(achieved, 0.004, round(seconds / 10.0)),
        "achieved_share": around(achieved / offered, 0.004, round(seconds / 10.0)),
        "sustained_throughput": around(achieved * 0.986, 0.0, round(seconds / 10.0)),
        "peak_throughput": around(achieved * 1.031, 0.0, round(seconds / 10.0)),
        "users_held": Estimate.exact(users, n=round(seconds)),
        "lateness_p99": Estimate.exact(lateness, n=total),
        "cpu_per_1000": around(0.41, 0.01, round(seconds)),
        "rss": around(412 * 2**20, 0.002, round(seconds)),
    }
    whole = dataclasses.replace(whole, measurements={**whole.measurements, **extra})
    return PhaseSummary(
        name=name,
        users=users,
        offered_rate=offered,
        ramp=30.0,
        measured_seconds=seconds,
        planned_seconds=seconds,
        steps=(whole, *steps),
        windows=windows(seconds, achieved, users, 0.0094 * load, error_rate),
        resources=(
            ResourceSummary(source="runner", name="cpu_share", least=0.18, median=0.27, most=0.44, n=round(seconds)),
            ResourceSummary(source="service", name="cpu_share", least=0.35, median=0.52, most=0.81, n=round(seconds)),
            ResourceSummary(
                source="service", name="rss", least=398 * 2**20, median=412 * 2**20, most=431 * 2**20, n=round(seconds)
            ),
            ResourceSummary(source="service", name="connections", least=users - 4, median=users, most=users, n=round(seconds)),
        ),
        health=health_of or health(),
        sent_total=total + round(offered * 15.0),
        delivered_total=total + round(offered * 15.0),
        connections_opened=users,
        reconnects=0,
    )


LOADS = (1.0, 1.15, 1.4, 1.9, 2.6, 1.6)
"""How response times grow from phase to phase."""


def record(
    *,
    slower: Mapping[str, float] | None = None,
    load: float = 1.0,
    profile: str = "full",
    connections: float | None = 240.0,
    only: int | None = None,
    reshape: Callable[[PhaseSummary], PhaseSummary] = lambda one: one,
) -> RunRecord:
    """A whole run; only: stop after so many phases; connections: what the database reported, None: not watched."""
    made = [phase(shape, load=factor * load, slower=slower) for shape, factor in zip(shapes(profile), LOADS, strict=True)]
    if connections is not None:
        made = [_with(one, "database_connections", Estimate.exact(connections, n=60)) for one in made]
    return RunRecord(
        id="20261123T120000Z-velro-prd-full" if profile == "full" else f"20261123T120000Z-velro-prd-{profile}",
        started_at="2026-11-23T12:00:00Z",
        tool="velro-gate 0.1.0",
        plan=plan(profile),
        environment=ENVIRONMENT,
        revision=Revision(sha="4c1d9e07a2b85f63d0e1c2b3a4958677deadbeef", branch="faster-lists", label="head"),
        phases=tuple(map(reshape, made[:only])),
        url="http://127.0.0.1:8000",
        interrupted=only is not None,
        generator_noise=GeneratorNoise(
            p50=0.00042,
            p95=0.00118,
            p99=0.0024,
            lateness_p99=0.0011,
            rate=plan(profile).phases[4].offered_rate or 0.0,
            users=12_704,
            seconds=5.0,
            requests=6_588,
        ),
    )


def _with(one: PhaseSummary, metric: str, found: Estimate) -> PhaseSummary:
    whole, *rest = one.steps
    whole = dataclasses.replace(whole, measurements={**whole.measurements, metric: found})
    return dataclasses.replace(one, steps=(whole, *rest))


def result(made: RunRecord, phase_name: str, wanted: Requirement) -> RequirementResult:
    """How one requirement fared, by the plain rule: inside, across, outside, far outside."""
    found = made.phase(phase_name)
    value = found.measurement(wanted.metric, wanted.step) if found and found.complete else None
    subject = wanted.metric if wanted.step == ALL_STEPS else f"{wanted.metric} of {wanted.step}"
    if value is None:
        return RequirementResult(
            phase=phase_name,
            requirement=wanted,
            status=Status.NOT_MEASURED,
            met=False,
            level=Level.BROKEN,
            estimate=None,
            headroom=None,
            sentence=f"{subject} in {phase_name} was not measured, so it cannot pass.",
        )
    holds = wanted.comparator.holds
    met = holds(value.value, wanted.target)
    across = holds(value.low, wanted.target) != holds(value.high, wanted.target)
    beyond = wanted.critical is not None and not met and not holds(value.value, wanted.critical)
    status = Status.CRITICAL if beyond else Status.MARGINAL if across else Status.MET if met else Status.MISSED
    level = Level.WARN if status is Status.MARGINAL and met else Level.PASS if met else Level.FAIL
    room = (wanted.target - value.value) / wanted.target * METRICS[wanted.metric].worse_sign
    return RequirementResult(
        phase=phase_name,
        requirement=wanted,
        status=status,
        met=met,
        level=level,
        estimate=value,
        headroom=room,
        sentence=f"{subject} in {phase_name} is {status.value}.",
    )


def results(made: RunRecord) -> tuple[RequirementResult, ...]:
    """Every requirement of the plan."""
    return tuple(result(made, one.name, wanted) for one in made.plan.phases for wanted in one.requirements)


def comparison(
    phase_name: str,
    step_name: str,
    metric: str,
    change: float,
    *,
    baseline: float = 0.02,
    half: float = 0.03,
    verdict: Change = Change.UNCHANGED,
    level: Level = Level.PASS,
    primary: bool = True,
) -> Comparison:
    """One comparison; half: half the width of its interval."""
    sign = METRICS[metric].worse_sign
    return Comparison(
        phase=phase_name,
        step=step_name,
        metric=metric,
        verdict=verdict,
        primary=primary,
        level=level,
        baseline=baseline,
        current=baseline * (1.0 + change),
        change=change,
        change_low=change - half,
        change_high=change + half,
        worse=math.log1p(change) * sign,
        p=0.0003 if verdict is Change.REGRESSION else 0.31,
        p_adjusted=0.0021 if verdict is Change.REGRESSION else 1.0,
        noise=0.014,
        mde=0.061 if metric == "p50" else 0.094,
        margin=0.05,
        k=10,
    )


def comparisons(changed: tuple[Comparison, ...] = ()) -> tuple[Comparison, ...]:
    """Four rows in each of the six phases, some of them replaced by ``changed``."""
    rows = []
    for index, shape in enumerate(SHAPES):
        wander = 0.004 * (index - 2)
        rows += [
            comparison(shape[0], ALL_STEPS, "p50", wander, baseline=0.0094 * LOADS[index]),
            comparison(shape[0], ALL_STEPS, "p95", wander + 0.006, baseline=0.0244 * LOADS[index]),
            comparison(shape[0], "authorization_check", "p95", wander - 0.002, baseline=0.0211 * LOADS[index]),
            comparison(shape[0], ALL_STEPS, "throughput", -wander / 4.0, baseline=shape[2] * 1.098, half=0.01),
            comparison(shape[0], ALL_STEPS, "hit_rate", 0.0004, baseline=0.957, half=0.002, primary=False),
        ]
    replaced = {(row.phase, row.step, row.metric): row for row in changed}
    kept = [replaced.pop((row.phase, row.step, row.metric), row) for row in rows]
    return (*kept, *replaced.values())


def regression(
    change: float = 0.31, metric: str = "p95", step_name: str = "authorization_check", where: str = PRD
) -> Comparison:
    """A confirmed change for the worse."""
    half = 0.04 if metric != "throughput" else 0.01
    baseline = 0.0401 if metric != "throughput" else 1_098.0
    return comparison(
        where, step_name, metric, change, baseline=baseline, half=half, verdict=Change.REGRESSION, level=Level.FAIL
    )


def findings_of(level: Level, *sentences: tuple[str, str, str]) -> tuple[Finding, ...]:
    """(subject, sentence, advice) at one level."""
    return tuple(Finding(level=level, subject=subject, sentence=words, advice=advice) for subject, words, advice in sentences)


OK_FINDING = Finding(level=Level.PASS, subject="run", sentence="Every requirement is met and nothing got worse.", advice="")
SLOWER = ("authorization_check p95", "p95 of authorization_check rose 31 % against the median of 10 baselines.")


def passing() -> tuple[RunRecord, Verdict]:
    """All well."""
    made = record()
    return made, Verdict(findings=(OK_FINDING,), requirements=results(made), comparisons=comparisons(), baselines_used=10)


def improved() -> tuple[RunRecord, Verdict]:
    """All well, and one step faster."""
    made = record(slower={"generation_list": 0.8})
    better = comparison(PRD, "generation_list", "p95", -0.2, baseline=0.0612, verdict=Change.IMPROVEMENT)
    rows = comparisons((better,))
    return made, Verdict(findings=(OK_FINDING,), requirements=results(made), comparisons=rows, baselines_used=10)


def warning() -> tuple[RunRecord, Verdict]:
    """A marginal requirement, an advisory change and a caveat."""
    made = record(load=1.14)
    caveat = TrustFinding(
        code="generator-cpu",
        trust=Trust.CAVEAT,
        phase="stress_test",
        figure=0.76,
        limit=0.70,
        sentence="The generator used 76 % of its core; above 70 % its own delay may show in the figures.",
        advice="Give the generator a faster core, or two shards.",
    )
    advisory = comparison(
        "stress_test",
        ALL_STEPS,
        "p99",
        0.14,
        baseline=0.114,
        half=0.06,
        level=Level.WARN,
        primary=False,
        verdict=Change.REGRESSION,
    )
    made = dataclasses.replace(
        made,
        phases=tuple(
            dataclasses.replace(p, health=health(cpu_share=0.76)) if p.name == "stress_test" else p for p in made.phases
        ),
    )
    found = results(made)
    tight = around(0.0731, 0.035, 300)
    found = tuple(
        dataclasses.replace(
            one,
            status=Status.MARGINAL,
            level=Level.WARN,
            estimate=tight,
            headroom=(0.075 - tight.value) / 0.075,
            sentence="p95 of all requests in endurance_test is 73.1 ms, met, but its interval crosses the limit of 75 ms.",
        )
        if one.phase == "endurance_test" and one.requirement.metric == "p95"
        else one
        for one in found
    )
    findings = (
        *findings_of(
            Level.WARN,
            (
                "endurance_test p95",
                "p95 of all requests in endurance_test is 73.1 ms, met, but its interval crosses the limit of 75 ms.",
                "Watch it: a longer phase narrows the interval.",
            ),
            (
                "stress_test p99",
                "p99 of all requests in stress_test rose 14 %; p99 is advisory.",
                "Look at the slowest step of stress_test.",
            ),
            ("stress_test generator", caveat.sentence, caveat.advice),
        ),
    )
    return made, Verdict(
        findings=findings, requirements=found, comparisons=comparisons((advisory,)), trust=(caveat,), baselines_used=10
    )


def no_baseline() -> tuple[RunRecord, Verdict]:
    """The first run of its kind, on a scaled profile."""
    made = record(profile="pr")
    rows = tuple(
        Comparison(
            phase=row.phase,
            step=row.step,
            metric=row.metric,
            verdict=Change.NOT_COMPARED,
            primary=row.primary,
            level=Level.NO_BASELINE,
            current=row.current,
            reason="no baseline",
        )
        for row in comparisons()
    )
    finding = Finding(
        level=Level.NO_BASELINE,
        subject="baselines",
        sentence="No baseline of velro-prd/pr was recorded in this environment.",
        advice="Record five on the main branch with 'velro-gate baseline calibrate'.",
    )
    skipped = ("20261101T090000Z-0a1b2c3d4e5f.json: made in another environment (8 cores instead of 4)",)
    return made, Verdict(findings=(finding,), requirements=results(made), comparisons=rows, baselines_skipped=skipped)


def inconclusive() -> tuple[RunRecord, Verdict]:
    """Slower perhaps, but the runner was too noisy to say."""
    made = record()
    row = comparison(
        PRD, ALL_STEPS, "p95", 0.083, baseline=0.0464, half=0.094, verdict=Change.SUSPICIOUS, level=Level.INCONCLUSIVE
    )
    row = dataclasses.replace(row, p=0.06, p_adjusted=0.18, noise=0.048, mde=0.22)
    other = dataclasses.replace(
        comparison(
            "stress_test",
            ALL_STEPS,
            "p50",
            0.041,
            baseline=0.0244,
            half=0.08,
            verdict=Change.INCONCLUSIVE,
            level=Level.INCONCLUSIVE,
        ),
        mde=0.17,
    )
    findings = findings_of(
        Level.INCONCLUSIVE,
        (
            f"{PRD} p95",
            "p95 of all requests may be 8.3 % slower, but this runner's run-to-run noise of 4.8 % does not allow to tell.",
            "Run again; a quieter runner or longer phases lower the smallest change that can be seen.",
        ),
        ("stress_test p50", "p50 of all requests in stress_test could not be shown to be unchanged.", ""),
    )
    return made, Verdict(findings=findings, requirements=results(made), comparisons=comparisons((row, other)), baselines_used=4)


def regressed() -> tuple[RunRecord, Verdict]:
    """One step is slower; every requirement is met."""
    made = record(slower={"authorization_check": 1.31})
    worse = (regression(), regression(0.12, "p95", ALL_STEPS))
    findings = findings_of(
        Level.FAIL,
        (*SLOWER, "Compare the traces of authorization_check with those of the main branch."),
        ("all p95", "p95 of all requests rose 12 % against the median of 10 baselines.", "Mend authorization_check first."),
    )
    return made, Verdict(findings=findings, requirements=results(made), comparisons=comparisons(worse), baselines_used=10)


def missed() -> tuple[RunRecord, Verdict]:
    """Nothing changed, but limits are missed."""
    made = record(load=1.62)
    findings = findings_of(
        Level.FAIL,
        (
            "stress_test p95",
            "p95 of all requests in stress_test is 103 ms, outside its limit of 100 ms.",
            "Look at the service's CPU in the report; it was busiest in this phase.",
        ),
    )
    return made, Verdict(findings=findings, requirements=results(made), comparisons=comparisons(), baselines_used=10)


def regressed_and_missed() -> tuple[RunRecord, Verdict]:
    """A regression, missed limits, and a critical one among them."""
    made = record(load=2.3, slower={"authorization_check": 1.31})
    worse = (regression(0.94), regression(-0.11, "throughput", ALL_STEPS, "stress_test"))
    findings = findings_of(
        Level.FAIL,
        (
            f"{PRD} p95",
            "p95 of all requests is beyond its critical level of 100 ms.",
            "Mend this first: the critical level always fails.",
        ),
        (*SLOWER, "Compare the traces of authorization_check with those of the main branch."),
    )
    return made, Verdict(findings=findings, requirements=results(made), comparisons=comparisons(worse), baselines_used=10)


def broken() -> tuple[RunRecord, Verdict]:
    """A shard was lost in the fourth phase, and the database was not watched."""
    made = record(connections=None, only=4)
    *others, last = made.phases
    last = dataclasses.replace(
        last, shards_lost=("shard 2 of 2 was killed by SIGKILL",), interrupted=True, measured_seconds=212.0
    )
    notes = ("No null run was made.", "The run ended early: a shard was lost.")
    made = dataclasses.replace(made, phases=(*others, last), notes=notes, generator_noise=None)
    gone = TrustFinding(
        code="shard-lost",
        trust=Trust.BROKEN,
        phase=PRD,
        figure=None,
        limit=None,
        sentence="A part of the generator was lost 3 min 32 s into the phase: shard 2 of 2 was killed by SIGKILL.",
        advice="Look at the system's log around 12:19:02 UTC, then run again.",
    )
    late = dataclasses.replace(
        gone,
        code="lateness",
        trust=Trust.BROKEN,
        figure=0.0212,
        limit=0.015,
        sentence="Lateness p99 was 21.2 ms, over 20 % of the tightest limit (75 ms).",
        advice="Use a faster runner or more shards.",
    )
    findings = findings_of(
        Level.BROKEN,
        ("service", gone.sentence, gone.advice),
        ("lateness", late.sentence, late.advice),
        (
            "database connections",
            "database connections in prd_compliance_validation were not measured, so they cannot pass.",
            "Set DATABASE_URL for the monitor.",
        ),
    )
    return made, Verdict(findings=findings, requirements=results(made), trust=(gone, late), baselines_used=0)


def confirmed() -> tuple[RunRecord, Verdict]:
    """A regression that two further runs have confirmed, another suspicion that they have not, and rows that stay open."""
    made = record(slower={"authorization_check": 1.31})
    sure = Confirmation(runs=3, worse=3, confirmed=True)
    reason = "confirmed 3 of 3: so many runs of this build are worse by 5 % or more"
    worse = dataclasses.replace(regression(), runs=3, confirmation=sure, reason=reason)
    odd = dataclasses.replace(
        regression(0.09, "p95", ALL_STEPS, "stress_test"),
        verdict=Change.INCONCLUSIVE,
        level=Level.INCONCLUSIVE,
        runs=3,
        confirmation=Confirmation(runs=3, worse=1, confirmed=False),
        reason="not confirmed: 1 of 3 runs of this build are worse by 5 % or more",
    )
    still_open = comparison(
        PRD, ALL_STEPS, "p99", 0.03, baseline=0.09, half=0.2, primary=False, verdict=Change.INCONCLUSIVE, level=Level.PASS
    )
    moves = tuple(
        QuantileMove(metric=name, change=change, low=change - 0.04, high=change + 0.04, seconds=change * base, moved=True)
        for name, change, base in (("p50", 0.30, 0.0154), ("p90", 0.32, 0.029), ("p95", 0.31, 0.0401), ("p99", 0.29, 0.07))
    )
    words = (
        f"in {PRD} authorization_check is slower, all requests by about the same share (p50 +30 %, p90 +32 %, p95 +31 %, "
        "p99 +29 %); it is new with this build (the last 10 runs of main: p95 39.6 to 40.5 ms); with it moved CPU per 1,000 "
        "requests +12 %"
    )
    explained = Explanation(
        phase=PRD,
        steps=("authorization_check",),
        shape=HowItMoved.SAME_SHARE,
        quantiles=moves,
        since="",
        companions=("CPU per 1,000 requests +12 %",),
        sentence=words,
    )
    findings = findings_of(
        Level.FAIL, (SLOWER[0], f"{SLOWER[1].rstrip('.')}; {reason}", "Look at what this change does in authorization_check.")
    )
    return made, Verdict(
        findings=findings,
        requirements=results(made),
        comparisons=comparisons((worse, odd, still_open)),
        explanations=(explained,),
        baselines_used=10,
    )


def confirmed_beside() -> tuple[RunRecord, Verdict]:
    """A regression that a duet with the base build has confirmed, and a suspicion that it has cleared."""
    made = record(slower={"authorization_check": 1.31})
    reason = "confirmed: 10 of 10 pairs are worse by 5 % or more"
    sure = Confirmation(runs=10, worse=10, confirmed=True, side_by_side=True)
    worse = dataclasses.replace(regression(), pairs=10, p_adjusted=0.001, confirmation=sure, reason=reason)
    cleared = dataclasses.replace(
        regression(0.004, "p95", ALL_STEPS, "stress_test"),
        verdict=Change.UNCHANGED,
        level=Level.PASS,
        pairs=10,
        confirmation=Confirmation(runs=10, worse=0, confirmed=False, side_by_side=True),
        reason="not confirmed: 0 of 10 pairs are worse by 5 % or more: it is unchanged beside the build that it starts from",
    )
    findings = findings_of(
        Level.FAIL, (SLOWER[0], f"{SLOWER[1].rstrip('.')}; {reason}", "Look at what this change does in authorization_check.")
    )
    return made, Verdict(
        findings=findings, requirements=results(made), comparisons=comparisons((worse, cleared)), baselines_used=10
    )


def _duet(**what: Any) -> tuple[RunRecord, Verdict]:
    """Base and head side by side; there lies what is made of the helpers here."""
    from tests.report.duets import judged

    return judged(**what)


EXAMPLES: dict[str, Callable[[], tuple[RunRecord, Verdict]]] = {
    "pass": passing,
    "improved": improved,
    "warn": warning,
    "no-baseline": no_baseline,
    "inconclusive": inconclusive,
    "fail-regression": regressed,
    "fail-confirmed": confirmed,
    "fail-confirmed-beside": confirmed_beside,
    "fail-missed": missed,
    "fail-both": regressed_and_missed,
    "broken": broken,
    "duet-pass": _duet,
    "duet-fail": lambda: _duet(slower={"authorization_check": 1.2}),
    "duet-inconclusive": lambda: _duet(sd=0.09, head=1.05, pairs=16),
    "duet-broken": lambda: _duet(control=1.12, head=1.11),
}
"""Every situation a reader meets, by the name of its golden files."""


def progress(**changed: object) -> Progress:
    """A phase in full swing."""
    usual = Progress(
        phase="intermediate_scaling",
        phase_number=2,
        phase_count=6,
        stage="measure",
        users=2_500,
        connected=2_500,
        rate=551.2,
        offered_rate=550.0,
        p50=0.0081,
        p95=0.0192,
        p99=0.0412,
        errors=3,
        error_rate=0.00004,
        hit_rate=0.9312,
        lateness_p99=0.0009,
        elapsed=130.0,
        remaining=200.0,
    )
    return dataclasses.replace(usual, **changed)  # type: ignore[arg-type]
