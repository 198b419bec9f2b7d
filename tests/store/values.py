"""Hypothesis strategies for records, facts and samples: any value that the model allows, not only likely ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from velro_gate.model.metric.definition import FigureOrigin
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
from velro_gate.model.run import Environment, GeneratorHealth, PhaseRun, Reading, RunFacts, Tick
from velro_gate.model.samples import COLUMNS, Samples
from velro_gate.model.scenario import ClosedArrivals, Comparator, OpenArrivals, Phase, Policy, Requirement

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(1e-9, 1e9)
COUNT = st.integers(0, 10**9)
NAME = st.text(max_size=12)
ORIGIN = st.none() | st.sampled_from(FigureOrigin)
PLAIN = st.from_regex(r"[a-z][a-z_]{0,10}", fullmatch=True)


def estimates() -> st.SearchStrategy[Estimate]:
    def build(bounds: list[float], n: int, detail: str, origin: FigureOrigin | None) -> Estimate:
        low, value, high = sorted(bounds)
        return Estimate(value=value, low=low, high=high, n=n, detail=detail, origin=origin)

    exact = st.builds(Estimate.exact, NUMBER, n=COUNT)
    return exact | st.builds(build, st.lists(NUMBER, min_size=3, max_size=3), COUNT, NAME, ORIGIN)


def counts() -> st.SearchStrategy[Counts]:
    def build(ok: int, failed: int, cancelled: int, blocked: int, missed: int) -> Counts:
        sent = ok + failed + cancelled
        due = sent + blocked + missed
        return Counts(due=due, sent=sent, ok=ok, failed=failed, cancelled=cancelled, blocked=blocked, missed=missed)

    return st.builds(build, COUNT, COUNT, COUNT, COUNT, COUNT)


def requirements() -> st.SearchStrategy[Requirement]:
    limit = st.builds(
        Requirement,
        metric=st.just("p95"),
        comparator=st.sampled_from([Comparator.BELOW, Comparator.AT_MOST]),
        target=POSITIVE,
        critical=st.none() | st.just(1e10),
        required=st.booleans(),
        scaled_from=st.none() | POSITIVE,
    )
    share = st.builds(
        Requirement,
        metric=st.just("hit_rate"),
        comparator=st.sampled_from([Comparator.ABOVE, Comparator.AT_LEAST]),
        target=st.floats(0.0, 1.0),
        step=NAME,
        source=NAME,
    )
    return limit | share


def phases() -> st.SearchStrategy[Phase]:
    arrivals = st.builds(OpenArrivals, rate=POSITIVE, spacing=st.sampled_from(["poisson", "even"])) | st.builds(
        ClosedArrivals, think_time=POSITIVE, constant=st.booleans()
    )
    return st.builds(
        Phase,
        name=NAME,
        users=st.integers(1, 20_000),
        ramp=POSITIVE,
        duration=POSITIVE,
        arrivals=arrivals,
        requirements=st.lists(requirements(), max_size=2).map(tuple),
    )


def policies() -> st.SearchStrategy[Policy]:
    named = st.lists(st.tuples(PLAIN, st.sampled_from(sorted(METRICS))), min_size=1, max_size=2).map(tuple)
    return st.builds(
        Policy,
        margin=st.floats(0.01, 0.1),
        max_baselines=st.integers(1, 20),
        block_inconclusive=st.booleans() | st.just("suspicious"),
        primary=st.none() | named,
    )


def healths() -> st.SearchStrategy[GeneratorHealth]:
    return st.builds(
        GeneratorHealth,
        cpu_share=NUMBER,
        steal_share=st.none() | NUMBER,
        loop_lag_p99=NUMBER,
        loop_lag_max=NUMBER,
        gc_full_collections=COUNT,
        gc_pause_max=NUMBER,
        rss_start=COUNT,
        rss_peak=COUNT,
        descriptors_free=st.none() | COUNT,
        ports_free=st.none() | COUNT,
        memory_free=st.none() | COUNT,
        throttled_share=st.none() | NUMBER,
    )


def noises() -> st.SearchStrategy[GeneratorNoise]:
    def build(quantiles: list[float], **more: Any) -> GeneratorNoise:
        p50, p95, p99 = sorted(quantiles)
        return GeneratorNoise(p50=p50, p95=p95, p99=p99, **more)

    return st.builds(
        build,
        st.lists(st.floats(0.0, 1e9), min_size=3, max_size=3),
        lateness_p99=st.floats(0.0, 1e9),
        rate=POSITIVE,
        users=st.integers(1, 10**6),
        seconds=POSITIVE,
        requests=st.integers(1, 10**9),
    )


def step_summaries() -> st.SearchStrategy[StepSummary]:
    return st.builds(
        StepSummary,
        step=NAME,
        counts=counts(),
        measurements=st.dictionaries(st.sampled_from(sorted(METRICS)), estimates(), max_size=3),
        statuses=st.dictionaries(st.integers(100, 599), COUNT, max_size=2),
        outcomes=st.dictionaries(NAME, COUNT, max_size=2),
        cache=st.dictionaries(NAME, COUNT, max_size=2),
        received=COUNT,
    )


def windows() -> st.SearchStrategy[Window]:
    maybe = st.none() | NUMBER
    return st.builds(
        Window,
        start=NUMBER,
        seconds=POSITIVE,
        sent=COUNT,
        ok=COUNT,
        failed=COUNT,
        connected=COUNT,
        p50=maybe,
        p95=maybe,
        p99=maybe,
        hit_rate=maybe,
        lateness_p99=maybe,
    )


def phase_summaries(name: st.SearchStrategy[str] = NAME) -> st.SearchStrategy[PhaseSummary]:
    resource = st.builds(ResourceSummary, source=NAME, name=NAME, least=NUMBER, median=NUMBER, most=NUMBER, n=COUNT)
    return st.builds(
        PhaseSummary,
        name=name,
        users=COUNT,
        offered_rate=st.none() | POSITIVE,
        ramp=NUMBER,
        measured_seconds=NUMBER,
        planned_seconds=NUMBER,
        steps=st.lists(step_summaries(), max_size=2).map(tuple),
        windows=st.lists(windows(), max_size=2).map(tuple),
        resources=st.lists(resource, max_size=2).map(tuple),
        health=healths(),
        sent_total=COUNT,
        delivered_total=COUNT,
        connections_opened=COUNT,
        reconnects=COUNT,
        interrupted=st.booleans(),
        service_gone=st.none() | NAME,
        shards_lost=st.lists(NAME, max_size=2).map(tuple),
    )


def environments() -> st.SearchStrategy[Environment]:
    return st.builds(
        Environment,
        runner=NAME,
        cpu_model=NAME,
        cores=COUNT,
        memory=COUNT,
        kernel=NAME,
        python=NAME,
        tool=NAME,
        extra=st.dictionaries(NAME, NAME, max_size=2),
    )


def records() -> st.SearchStrategy[RunRecord]:
    plan = st.builds(
        Plan,
        scenario=NAME,
        digest=NAME,
        profile=NAME,
        steps=st.lists(NAME, max_size=3).map(tuple),
        phases=st.lists(phases(), max_size=2).map(tuple),
        policy=policies(),
    )
    return st.builds(
        RunRecord,
        id=NAME,
        started_at=st.datetimes().map(lambda moment: f"{moment.isoformat(timespec='seconds')}Z"),
        tool=NAME,
        plan=plan,
        environment=environments(),
        revision=st.builds(Revision, sha=NAME, branch=NAME, label=NAME),
        phases=st.lists(phase_summaries(), max_size=2).map(tuple),
        url=NAME,
        interrupted=st.booleans(),
        notes=st.lists(NAME, max_size=2).map(tuple),
        shards=COUNT,
        generator_noise=st.none() | noises(),
    )


def facts() -> st.SearchStrategy[RunFacts]:
    books = st.dictionaries(NAME, COUNT, max_size=2)
    tick = st.builds(Tick, at=NUMBER, connected=COUNT, in_flight=COUNT, sent=COUNT, ok=COUNT, failed=COUNT)

    def build(times: list[float], **more: Any) -> PhaseRun:
        started, begin, until, ended = sorted(times)
        return PhaseRun(started=started, measured_from=begin, measured_until=until, ended=ended, **more)

    phase = st.builds(
        build,
        st.lists(NUMBER, min_size=4, max_size=4),
        name=NAME,
        users=COUNT,
        due=books,
        blocked=books,
        missed=books,
        sent_total=COUNT,
        delivered_total=COUNT,
        connections_opened=COUNT,
        reconnects=COUNT,
        retries=COUNT,
        ticks=st.lists(tick, max_size=3).map(tuple),
        health=healths(),
        interrupted=st.booleans(),
        service_gone=st.none() | NAME,
        shards_lost=st.lists(NAME, max_size=2).map(tuple),
    )
    reading = st.builds(Reading, at=NUMBER, source=NAME, name=NAME, value=NUMBER)
    return st.builds(
        RunFacts,
        phases=st.lists(phase, max_size=2).map(tuple),
        readings=st.lists(reading, max_size=6).map(tuple),
        layers=st.lists(NAME, max_size=3).map(tuple),
    )


def some_samples(rows: int, seed: int = 0) -> Samples:
    """Samples with every column filled with different figures, not-a-number where the model allows it."""
    random = np.random.default_rng(seed)
    due = np.sort(random.uniform(0.0, 60.0, rows))
    sent = due + random.exponential(0.001, rows)
    filled: dict[str, Any] = {"due": due, "sent": sent, "done": sent + random.exponential(0.02, rows)}
    for name, dtype in COLUMNS.items():
        if name not in filled:
            filled[name] = random.integers(0, 9, rows).astype(dtype)
    filled["connect"] = np.full(rows, np.nan, np.float32)
    return Samples(**filled)


def equal(one: Samples, other: Samples) -> bool:
    """Whether all columns are equal, type included; two not-a-numbers are."""
    return all(
        getattr(one, name).dtype == getattr(other, name).dtype
        and np.array_equal(getattr(one, name), getattr(other, name), equal_nan=np.issubdtype(dtype, np.floating))
        for name, dtype in COLUMNS.items()
    )
