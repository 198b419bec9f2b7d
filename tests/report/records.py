"""Runs as the program leaves them, drawn from a seed: six phases, six steps, charts, resources; no verdict is made here.

``record`` is a run without noise; ``measured`` is one as a runner gives it, and ``accepted`` are many of them on main.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from random import Random

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


def plan(profile: str = "full", *, phases: Sequence[str] | None = None, steps: Sequence[str] = tuple(STEPS)) -> Plan:
    """The plan of all six phases, or of those named."""
    planned = tuple(
        Phase(
            name=shape[0],
            users=shape[1],
            ramp=30.0,
            duration=shape[5],
            arrivals=OpenArrivals(rate=shape[2] * 1.1),
            requirements=requirements_of(shape, scaled=profile != "full"),
        )
        for shape in shapes(profile)
        if phases is None or shape[0] in phases
    )
    return Plan(
        scenario="velro-prd",
        digest="9f2c1b7d4e8a" + "0" * 52,
        profile=profile,
        steps=tuple(steps),
        phases=planned,
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
    gc_pause = GeneratorHealth(
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
    return dataclasses.replace(gc_pause, **changed)  # type: ignore[arg-type]


def phase(
    shape: Shape,
    *,
    load: float = 1.0,
    slower: Mapping[str, float] | None = None,
    error_rate: float = 0.0004,
    lateness: float = 0.0013,
    health_of: GeneratorHealth | None = None,
    named: Sequence[str] = tuple(STEPS),
) -> PhaseSummary:
    """A phase under ``load``, a factor on all response times; slower: further factors by step; named: its steps."""
    name, users, rate, _, _, seconds = shape
    factors = slower or {}
    of = {one: STEPS[one] for one in named}
    share = sum(probability for probability, _, _ in of.values())
    # What all requests show together moves with the steps, each by its share of the time.
    spent = sum(probability * median for probability, median, _ in of.values())
    mixed = sum(probability * median * factors.get(one, 1.0) for one, (probability, median, _) in of.items()) / spent
    offered = rate * 1.1
    total = round(offered * seconds)
    steps = [
        step(one, round(total * probability / share), median * load * factors.get(one, 1.0), hits, error_rate)
        for one, (probability, median, hits) in of.items()
    ]
    whole = step(ALL_STEPS, sum(one.counts.due for one in steps), 0.0094 * load * mixed, 0.957, error_rate)
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
        windows=windows(seconds, achieved, users, 0.0094 * load * mixed, error_rate),
        resources=(
            ResourceSummary(source="runner", name="cpu_share", least=0.18, median=0.27, most=0.44, n=round(seconds)),
            ResourceSummary(
                source="runner",
                name="memory_available",
                least=9.1 * 2**30,
                median=9.3 * 2**30,
                most=9.6 * 2**30,
                n=round(seconds),
            ),
            ResourceSummary(
                source="service",
                name="cpu_seconds",
                least=40.0,
                median=40.0 + 0.26 * seconds,
                most=40.0 + 0.52 * seconds,
                n=round(seconds),
                rate=0.52,
            ),
            ResourceSummary(
                source="service", name="rss", least=398 * 2**20, median=412 * 2**20, most=431 * 2**20, n=round(seconds)
            ),
            ResourceSummary(
                source="redis", name="commands_total", least=1_000_000, median=1_400_000, most=1_840_000, n=round(seconds)
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
    error_rate: float = 0.0004,
    phases: Sequence[str] | None = None,
    steps: Sequence[str] = tuple(STEPS),
    reshape: Callable[[PhaseSummary], PhaseSummary] = lambda one: one,
) -> RunRecord:
    """A whole run; only: stop after so many phases; connections: what the database reported, None: not watched.

    phases, steps: by name, where the plan has not all of them.
    """
    made = [
        phase(shape, load=factor * load, slower=slower, error_rate=error_rate, named=steps)
        for shape, factor in zip(shapes(profile), LOADS, strict=True)
        if phases is None or shape[0] in phases
    ]
    if connections is not None:
        made = [_with(one, "database_connections", Estimate.exact(connections, n=60)) for one in made]
    return RunRecord(
        id="20261123T120000Z-velro-prd-full" if profile == "full" else f"20261123T120000Z-velro-prd-{profile}",
        started_at="2026-11-23T12:00:00Z",
        tool="velro-gate 0.1.0",
        plan=plan(profile, phases=phases, steps=steps),
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


def measured(run: RunRecord, seed: int, *, noise: float = 0.012) -> RunRecord:
    """The run as a runner would have measured it. noise: sd of its response times from run to run, half of it shared by all."""
    draw = Random(seed)
    whole = draw.gauss(0.0, 0.7 * noise)

    def wandered(one: PhaseSummary) -> PhaseSummary:
        return dataclasses.replace(one, steps=tuple(map(step_wandered, one.steps)))

    def step_wandered(one: StepSummary) -> StepSummary:
        moved = {
            "time": math.exp(whole + draw.gauss(0.0, 0.7 * noise)),
            "cpu_per_1000": math.exp(draw.gauss(0.0, 0.01)),
            "rss": math.exp(draw.gauss(0.0, 0.005)),
        }
        return dataclasses.replace(
            one, measurements={name: _scaled(name, found, moved) for name, found in one.measurements.items()}
        )

    return dataclasses.replace(run, phases=tuple(map(wandered, run.phases)))


def _scaled(metric: str, found: Estimate, moved: Mapping[str, float]) -> Estimate:
    of_time = METRICS[metric].quantile is not None and metric != "lateness_p99"
    by = moved["time"] if of_time else moved.get(metric, 1.0)
    return dataclasses.replace(found, value=found.value * by, low=found.low * by, high=found.high * by)


def accepted(
    count: int, run: RunRecord | Callable[[int], RunRecord], *, noise: float = 0.012, first_seed: int = 100
) -> tuple[RunRecord, ...]:
    """Runs of main, one a day, the last of them on the day before ``run``; a function makes each of them by its number."""
    return tuple(
        on_main(measured(run(index) if callable(run) else run, first_seed + index, noise=noise), days_before=count - index)
        for index in range(count)
    )


def on_main(run: RunRecord, *, days_before: int) -> RunRecord:
    """The run as one of main, so many days earlier."""
    began = datetime.fromisoformat(run.started_at) - timedelta(days=days_before)
    sha = sha256(str(days_before).encode()).hexdigest()[:40]
    return dataclasses.replace(
        run,
        id=f"{began:%Y%m%dT%H%M%SZ}-{run.plan.scenario}-{run.plan.profile}",
        started_at=f"{began:%Y-%m-%dT%H:%M:%SZ}",
        revision=Revision(sha=sha, branch="main"),
    )


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
