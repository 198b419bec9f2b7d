"""Whether the measurement itself can be trusted: what the generator, the machine and the plan did to the figures.

Two levels, so that noise which only blurs stops nobody, and noise which decides does. What the service does to itself (errors,
slow answers, arrivals blocked behind them) is never a matter of trust: it is what we came to measure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from velro_gate import units
from velro_gate.analysis.verdict.generator_delay import Decided
from velro_gate.analysis.verdict.trust_delay import delay_findings, noise_findings
from velro_gate.analysis.verdict.trust_limits import DEFAULT_LIMITS, TrustLimits, broken, finding, graded
from velro_gate.analysis.verdict.trust_stalls import stall_findings
from velro_gate.model.record import PhaseSummary, RunRecord
from velro_gate.model.scenario import ALL_STEPS, Phase, Requirement
from velro_gate.model.verdict import Trust, TrustFinding


def trust_findings(
    phases: Sequence[Phase], record: RunRecord, limits: TrustLimits = DEFAULT_LIMITS, decided: Decided | None = None
) -> tuple[TrustFinding, ...]:
    """Every reason to doubt the record, phase by phase. Empty when there is none.

    decided: what the run comes to, so that a delay of the generator breaks it only where it could have changed that. None: it
    is not known, or the figures are to be used by others, as those of a baseline are.

    Figures of requirements that are missing are not repeated here: their results are broken already.
    """
    found: list[TrustFinding] = []
    if record.interrupted and all(summary.complete for summary in record.phases):
        found.append(_interrupted("", None, None))
    for phase in phases:
        summary = record.phase(phase.name)
        if summary is None and record.ended_by_service is not None:
            # Told with what the service did.
            continue
        if summary is None:
            found.append(
                broken(
                    "phase-missing",
                    phase.name,
                    sentence=f"the phase {phase.name} was not reached",
                    advice="See what ended the run before it, mend that, and run again.",
                )
            )
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
    yield from _memory(summary, limits)
    yield from _running_out(summary, limits)
    yield from _few_users(phase, summary, limits)
    yield from _few_answers(phase, summary, limits)
    yield from _badly_watched(summary, limits)


def _ended_early(phase: Phase, summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    least = limits.measured_share * phase.duration
    if summary.shards_lost:
        yield broken(
            "shard-lost",
            summary.name,
            len(summary.shards_lost),
            0,
            sentence=f"a part of the generator was lost in {summary.name}: {', '.join(summary.shards_lost)}",
            advice="Look into the log of the system for the cause (out of memory, most often), mend that, and run again.",
        )
    elif summary.ended_by_service is not None:
        # The service's doing, and so no doubt in the measurement.
        return
    elif summary.interrupted:
        yield _interrupted(summary.name, summary.measured_seconds, phase.duration)
    elif summary.measured_seconds < least:
        yield broken(
            "window-short",
            summary.name,
            summary.measured_seconds,
            least,
            sentence=f"only {units.format_duration(summary.measured_seconds)} of the planned "
            f"{units.format_duration(phase.duration)} of {summary.name} were measured",
            advice="Run again and let the phase finish; a longer ramp helps where the users take long to connect.",
        )


def _interrupted(phase: str, figure: float | None, planned: float | None) -> TrustFinding:
    where = f" in {phase}" if phase else ""
    after = "" if figure is None or planned is None else f", {units.format_duration(figure)} into the measured stretch"
    return broken(
        "interrupted",
        phase,
        figure,
        planned,
        sentence=f"the run was interrupted{where}{after}",
        advice="Run again and let it finish; a partial record is never judged as a whole.",
    )


def _books(phase: Phase, summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    everything = summary.step(ALL_STEPS)
    if summary.shards_lost or summary.ended_by_service is not None:
        # What was not sent for that reason is told with the reason.
        return
    if everything is None or everything.counts.sent == 0:
        yield broken(
            "no-samples",
            summary.name,
            0.0,
            1.0,
            sentence=f"not one request of {summary.name} was sent in its measured stretch",
            advice="Check the phase's rate and users with 'velro-gate check', and that the service accepts connections.",
        )
    if everything is not None and everything.counts.missed > limits.missed:
        missed, due = everything.counts.missed, everything.counts.due
        than = "" if phase.offered_rate is None else f" than {units.format_rate(phase.offered_rate)}"
        yield broken(
            "arrivals-missed",
            summary.name,
            missed,
            limits.missed,
            sentence=f"{missed:,} of {due:,} requests of {summary.name} were never sent, by the generator's own fault",
            advice=f"Give the generator a core of its own, or offer less{than} from this machine.",
        )


def _processor(summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    health = summary.health
    yield from graded(
        "generator-cpu",
        summary.name,
        health.cpu_share,
        (limits.cpu_caveat, limits.cpu_broken),
        sentence=f"the generator used {units.format_share(health.cpu_share)} of its core in {summary.name}",
        advice="A generator near its limit measures itself: offer less from this machine, or use a faster one.",
    )
    if health.steal_share is not None:
        yield from graded(
            "steal",
            summary.name,
            health.steal_share,
            (limits.steal_caveat, limits.steal_broken),
            sentence=f"the host took away {units.format_share(health.steal_share)} of this machine's CPU in {summary.name}",
            advice="Other guests of the host slow this one: use a dedicated runner, or run at a quieter hour.",
        )
    if health.throttled_share is not None:
        yield from graded(
            "throttled",
            summary.name,
            health.throttled_share,
            (limits.throttled_caveat, limits.throttled_broken),
            sentence=f"a CPU quota held the generator back for {units.format_share(health.throttled_share)} "
            f"of the time in {summary.name}",
            advice="Raise or remove the quota of the runner's container or service (cpu.max, --cpus, CPUQuota=).",
        )


def _memory(summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    free = summary.health.memory_free
    if free is not None and free < limits.memory_caveat:
        yield finding(
            "memory",
            Trust.CAVEAT,
            summary.name,
            free,
            limits.memory_caveat,
            sentence=f"only {units.format_bytes(free)} of memory were left for the generator in {summary.name}",
            advice="Short of memory a machine swaps, or ends a process: free some, or raise the runner's limit.",
        )


def _running_out(summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    resources = (
        ("descriptors", summary.health.descriptors_free, limits.descriptors_caveat, "file descriptors"),
        ("ports", summary.health.ports_free, limits.ports_caveat, "local ports"),
    )
    advice = {
        "descriptors": "Raise the limit with 'ulimit -n', or use fewer users.",
        "ports": "Widen net.ipv4.ip_local_port_range, use fewer users, or keep connections alive.",
    }
    for code, free, caveat, name in resources:
        if free is not None and free < caveat:
            yield finding(
                code,
                Trust.BROKEN if free <= 0 else Trust.CAVEAT,
                summary.name,
                free,
                caveat,
                sentence=f"the generator {'ran out of' if free <= 0 else f'had only {free} free'} {name} in {summary.name}",
                advice=advice[code],
            )


def _few_users(phase: Phase, summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    """Users so few that response times are for the most part waits behind the same user's earlier request."""
    whole, response, service = summary.step(ALL_STEPS), summary.measurement("p50"), summary.measurement("service_p50")
    if phase.offered_rate is None or whole is None or response is None or service is None or response.value <= 0.0:
        return
    waited = 1.0 - service.value / response.value
    # Little's law: so many users would be waiting for their answers at the offered rate.
    needed = phase.offered_rate * service.value
    if waited <= limits.waited or needed <= limits.waited * phase.users:
        return
    never = f", and {whole.counts.blocked:,} requests were never sent" if whole.counts.blocked else ""
    yield finding(
        "too-few-users",
        Trust.CAVEAT,
        summary.name,
        phase.users,
        needed,
        sentence=f"{phase.users:,} users are too few for {units.format_rate(phase.offered_rate)} in {summary.name}: of the "
        f"median response time of {units.format_seconds(response.value)} the service took "
        f"{units.format_seconds(service.value)}, the rest is waiting behind the same user's earlier request{never}",
        advice=f"Give the phase at least {math.ceil(2.0 * needed):,} users, or a lower rate.",
    )


def _few_answers(phase: Phase, summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    """A caveat for the required quantile with the fewest good answers beyond it, one a phase."""
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
        name = worst.definition.label if worst.step == ALL_STEPS else f"{worst.step} {worst.definition.label}"
        yield finding(
            "few-answers",
            Trust.CAVEAT,
            summary.name,
            beyond,
            limits.beyond,
            sentence=f"{name} of {summary.name} rests on {n:,} answers, {int(beyond)} of them beyond it",
            advice="Measure longer or offer more requests: the fewer answers lie beyond a quantile, the wider its interval.",
        )


def _badly_watched(summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    readings: dict[str, int] = {}
    for resource in summary.resources:
        readings[resource.source] = max(resource.n, readings.get(resource.source, 0))
    most = max(readings.values(), default=0)
    for source, n in readings.items():
        if most >= limits.least_readings and n < limits.reading_share * most:
            yield finding(
                "monitor-gaps",
                Trust.CAVEAT,
                summary.name,
                n,
                limits.reading_share * most,
                sentence=f"the {source} was read only {n} times in {summary.name}, other sources {most} times",
                advice=f"See in the log why the {source} could not be read; its figures cover a part of the phase only.",
            )
