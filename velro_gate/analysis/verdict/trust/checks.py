"""Whether the measurement itself can be trusted: what the generator, the machine and the plan did to the figures.

Two levels, so that noise which only blurs stops nobody, and noise which decides does. What the service does to itself (errors,
slow responses, arrivals blocked behind them) is never a matter of trust: it is what we want to measure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from velro_gate.analysis.verdict.generator_delay import Decided
from velro_gate.analysis.verdict.trust.delay import delay_findings, noise_findings, worst_worker
from velro_gate.analysis.verdict.trust.limits import DEFAULT_LIMITS, TrustLimits, broken, doubtful, graded
from velro_gate.analysis.verdict.trust.stalls import stall_findings
from velro_gate.model.facts.doubts import (
    ArrivalsMissed,
    ClockDrifted,
    CountersFell,
    DescriptorsLow,
    FewResponses,
    FigureName,
    GeneratorCpu,
    Interrupted,
    MemoryLow,
    MonitorGaps,
    NoSamples,
    PhaseMissing,
    PortsLow,
    ShardLost,
    StartSkew,
    Steal,
    Throttled,
    TooFewUsers,
    WindowShort,
)
from velro_gate.model.metric.own import OWN
from velro_gate.model.metrics import MEDIAN
from velro_gate.model.record import PhaseSummary, RunRecord
from velro_gate.model.run import seconds_apart
from velro_gate.model.scenario import ALL_STEPS, Phase, Requirement
from velro_gate.model.verdict import TrustFinding


def trust_findings(
    phases: Sequence[Phase], record: RunRecord, limits: TrustLimits = DEFAULT_LIMITS, decided: Decided | None = None
) -> tuple[TrustFinding, ...]:
    """Every reason to doubt the record, phase by phase. Empty when there is none.

    decided: the results of the run, so that a delay of the generator breaks it only where it could have changed that. None: it
    is not known, or the figures are to be used by others, as those of a baseline are.

    Figures of requirements that are missing are not repeated here: their results are broken already.
    """
    found: list[TrustFinding] = []
    if record.interrupted and all(summary.complete for summary in record.phases):
        found.append(broken(Interrupted()))
    for phase in phases:
        summary = record.phase(phase.name)
        if summary is None and record.ended_by_service:
            # Reported with what the service did.
            continue
        if summary is None:
            found.append(broken(PhaseMissing(phase=phase.name)))
        else:
            found.extend(phase_findings(phase, summary, limits, decided))
            if record.generator_noise is not None:
                found.extend(noise_findings(phase, record.generator_noise, limits, summary, decided))
    return tuple(found)


def phase_findings(
    phase: Phase, summary: PhaseSummary, limits: TrustLimits = DEFAULT_LIMITS, decided: Decided | None = None
) -> Iterator[TrustFinding]:
    """Every reason to doubt one phase that lies in what was measured in it."""
    yield from _ended_early(phase, summary, limits)
    yield from _books(phase, summary, limits)
    yield from delay_findings(phase, summary, limits, decided)
    yield from stall_findings(phase, summary, limits, decided)
    yield from _processor(summary, limits)
    yield from _running_out(summary, limits)
    yield from _apart(summary, limits)
    yield from _few_users(phase, summary, limits)
    yield from _few_answers(phase, summary, limits)
    yield from _badly_watched(summary, limits)
    yield from _several_behind_one(summary)


def _ended_early(phase: Phase, summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    least = limits.measured_share * phase.duration
    if summary.shards_lost:
        yield broken(ShardLost(phase=summary.name, how=summary.shards_lost), len(summary.shards_lost), 0)
    elif summary.ended_by_service:
        # Caused by the service, so the measurement is not in doubt.
        return
    elif summary.interrupted:
        facts = Interrupted(phase=summary.name, seconds=summary.measured_seconds)
        yield broken(facts, summary.measured_seconds, phase.duration)
    elif summary.measured_seconds < least:
        facts_short = WindowShort(phase=summary.name, seconds=summary.measured_seconds, planned=phase.duration)
        yield broken(facts_short, summary.measured_seconds, least)


def _books(phase: Phase, summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    everything = summary.step(ALL_STEPS)
    if summary.shards_lost or summary.ended_by_service:
        # What was not sent for that reason is reported with the reason.
        return
    if everything is None or everything.counts.sent == 0:
        yield broken(NoSamples(phase=summary.name), 0.0, 1.0)
    if everything is not None and everything.counts.missed > limits.missed:
        missed, due = everything.counts.missed, everything.counts.due
        facts = ArrivalsMissed(phase=summary.name, missed=missed, due=due, offered=phase.offered_rate)
        yield broken(facts, missed, limits.missed)


def _processor(summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    health, phase = summary.health, summary.name
    cpu, steal, throttled = health.cpu_share, health.steal_share, health.throttled_share
    facts_cpu = GeneratorCpu(phase=phase, share=cpu, worker=worst_worker(summary, "cpu_share"))
    yield from graded(facts_cpu, cpu, (limits.cpu_caveat, limits.cpu_broken))
    if steal is not None:
        facts_steal = Steal(phase=phase, share=steal, worker=worst_worker(summary, "steal_share"))
        yield from graded(facts_steal, steal, (limits.steal_caveat, limits.steal_broken))
    if throttled is not None:
        facts = Throttled(phase=phase, share=throttled, worker=worst_worker(summary, "throttled_share"))
        yield from graded(facts, throttled, (limits.throttled_caveat, limits.throttled_broken))


def _running_out(summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    memory, descriptors, ports = (
        summary.health.memory_free,
        summary.health.descriptors_free,
        summary.health.ports_free,
    )
    if memory is not None and memory < limits.memory_caveat:
        facts_memory = MemoryLow(phase=summary.name, free=memory, worker=worst_worker(summary, "memory_free"))
        yield doubtful(facts_memory, memory, limits.memory_caveat)
    if descriptors is not None and descriptors < limits.descriptors_caveat:
        where = worst_worker(summary, "descriptors_free")
        facts = DescriptorsLow(phase=summary.name, free=descriptors, worker=where)
        # Not one left: connections have failed for want of it, which is no fault of the service.
        yield (broken if descriptors <= 0 else doubtful)(facts, descriptors, limits.descriptors_caveat)
    if ports is not None and ports < limits.ports_caveat:
        few = PortsLow(phase=summary.name, free=ports, worker=worst_worker(summary, "ports_free"))
        yield (broken if ports <= 0 else doubtful)(few, ports, limits.ports_caveat)


def _apart(summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    """Workers of a cluster that did not begin together, or whose clocks moved."""
    if not summary.workers:
        return
    skew, last = seconds_apart(summary.workers), max(summary.workers, key=lambda each: each.late + each.uncertainty)
    facts = StartSkew(phase=summary.name, skew=skew, worker=last.name)
    yield from graded(facts, skew, (limits.skew_caveat, limits.skew_broken))
    moved = max(summary.workers, key=lambda each: each.drift)
    facts_drift = ClockDrifted(phase=summary.name, drift=moved.drift, worker=moved.name)
    yield from graded(facts_drift, moved.drift, (limits.skew_caveat, limits.skew_broken))


def _few_users(phase: Phase, summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    """Users so few that response times are for the most part waits behind the same user's earlier request."""
    whole, response, service = summary.step(ALL_STEPS), summary.measurement(MEDIAN), summary.measurement("service_p50")
    if phase.offered_rate is None or whole is None or response is None or service is None or response.value <= 0.0:
        return
    waited = 1.0 - service.value / response.value
    # Little's law: the number of users that would be waiting for their responses at the offered rate.
    needed = phase.offered_rate * service.value
    if waited <= limits.waited or needed <= limits.waited * phase.users:
        return
    facts = TooFewUsers(
        phase=summary.name,
        users=phase.users,
        needed=needed,
        offered=phase.offered_rate,
        response=response.value,
        service=service.value,
        blocked=whole.counts.blocked,
    )
    yield doubtful(facts, phase.users, needed)


def _few_answers(phase: Phase, summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    """A caveat for the required quantile with the fewest successful responses beyond it, one a phase."""
    scarce: list[tuple[float, int, Requirement]] = []
    for requirement in phase.requirements:
        rank = requirement.definition.quantile
        estimate = summary.measurement(requirement.metric, requirement.step)
        if requirement.required and rank is not None and estimate is not None:
            # Rounded: 1 - 0.99 is not a hundredth in binary, and 20 of 2,000 are 20.
            beyond = round(estimate.n * (1.0 - rank), 6)
            if beyond < limits.beyond:
                scarce.append((beyond, estimate.n, requirement))
    if scarce:
        beyond, n, worst = min(scarce, key=lambda item: item[0])
        name = FigureName(step=worst.step, metric=worst.metric)
        yield doubtful(FewResponses(phase=summary.name, figure=name, answers=n, beyond=beyond), beyond, limits.beyond)


def _badly_watched(summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    readings: dict[str, int] = {}
    for resource in (each for each in summary.resources if each.source != OWN):
        readings[resource.source] = max(resource.n, readings.get(resource.source, 0))
    most = max(readings.values(), default=0)
    for source, n in readings.items():
        if most >= limits.least_readings and n < limits.reading_share * most:
            facts = MonitorGaps(phase=summary.name, source=source, readings=n, most=most)
            yield doubtful(facts, n, limits.reading_share * most)


def _several_behind_one(summary: PhaseSummary) -> Iterator[TrustFinding]:
    """One fall is a restart. More are processes that answer in turn, each with counters of its own."""
    fallen: dict[str, tuple[int, str]] = {}
    for resource in summary.resources:
        fallen[resource.source] = max(fallen.get(resource.source, (0, "")), (resource.falls, resource.name))
    for source, (falls, name) in fallen.items():
        if falls > _RESTARTS:
            facts = CountersFell(phase=summary.name, source=source, series=name, falls=falls)
            yield doubtful(facts, falls, _RESTARTS)


# Falls of a counter that a restart of the service explains.
_RESTARTS = 1
