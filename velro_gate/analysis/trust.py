"""Whether the measurement itself can be trusted: what the generator, the machine and the plan did to the figures.

Two levels, so that noise which only blurs stops nobody, and noise which decides does. What the service does to itself (errors,
slow answers, arrivals blocked behind them) is never a matter of trust: it is what we came to measure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from velro_gate import units
from velro_gate.model.record import GeneratorNoise, PhaseSummary, RunRecord
from velro_gate.model.scenario import ALL_STEPS, Phase, Requirement
from velro_gate.model.verdict import Trust, TrustFinding


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustLimits:
    """Where doubt begins; a figure must lie beyond a limit to be reported. Defaults: docs/decision.md, section 6.

    Invariant: every caveat lies before its broken level.
    """

    lateness_caveat: float = 0.10
    """Lateness p99, as a share of the phase's tightest latency limit."""
    lateness_broken: float = 0.20
    latency_limit: float = 0.100
    """Seconds; stands in for the tightest latency limit of a phase that has none."""
    lag_caveat: float = 0.10
    lag_broken: float = 0.20
    """Loop lag p99, as a share of the tightest latency limit. One turn longer than that limit is a caveat as well."""
    noise_caveat: float = 0.10
    noise_broken: float = 0.20
    """What the generator alone shows, as a share of the latency limit on the same quantile."""
    noise_beyond: int = 10
    """The least number of answers of the null run beyond a quantile that may break a run."""
    cpu_caveat: float = 0.70
    cpu_broken: float = 0.90
    steal_caveat: float = 0.02
    steal_broken: float = 0.10
    throttled_caveat: float = 0.02
    throttled_broken: float = 0.10
    memory_caveat: int = 256 * 2**20
    """Bytes free at the tightest moment: by so much the generator may grow before it collects garbage."""
    descriptors_caveat: int = 16
    """Free descriptors and ports at the tightest moment: fewer is a caveat, none is broken."""
    ports_caveat: int = 64
    missed: int = 0
    measured_share: float = 0.80
    """The least share of the planned stretch that must have been measured."""
    beyond: int = 20
    """The least number of good answers beyond a required quantile."""
    reading_share: float = 0.5
    """The least share of the readings of the best-watched source that every other source must have."""
    least_readings: int = 10
    """Below this many readings no source is called badly watched."""

    def __post_init__(self) -> None:
        pairs = (
            (self.lateness_caveat, self.lateness_broken),
            (self.lag_caveat, self.lag_broken),
            (self.noise_caveat, self.noise_broken),
            (self.cpu_caveat, self.cpu_broken),
            (self.steal_caveat, self.steal_broken),
            (self.throttled_caveat, self.throttled_broken),
        )
        if any(not 0.0 <= caveat <= broken for caveat, broken in pairs):
            raise ValueError("a caveat must begin before the broken level, and neither below 0")


DEFAULT_LIMITS = TrustLimits()


def trust_findings(
    phases: Sequence[Phase], record: RunRecord, limits: TrustLimits = DEFAULT_LIMITS
) -> tuple[TrustFinding, ...]:
    """Every reason to doubt the record, phase by phase. Empty when there is none.

    Figures of requirements that are missing are not repeated here: their results are broken already.
    """
    found: list[TrustFinding] = []
    if record.interrupted and all(summary.complete for summary in record.phases):
        found.append(_interrupted("", None, None))
    for phase in phases:
        summary = record.phase(phase.name)
        if summary is None:
            found.append(
                _broken(
                    "phase-missing",
                    phase.name,
                    sentence=f"the phase {phase.name} was not reached",
                    advice="See what ended the run before it, mend that, and run again.",
                )
            )
        else:
            found.extend(phase_findings(phase, summary, limits))
            if record.generator_noise is not None:
                found.extend(noise_findings(phase, record.generator_noise, limits))
    return tuple(found)


def phase_findings(phase: Phase, summary: PhaseSummary, limits: TrustLimits = DEFAULT_LIMITS) -> Iterator[TrustFinding]:
    """Every reason to doubt one phase that lies in what was measured in it."""
    yield from _ended_early(phase, summary, limits)
    yield from _books(phase, summary, limits)
    yield from _lateness(phase, summary, limits)
    yield from _loop_lag(phase, summary, limits)
    yield from _processor(summary, limits)
    yield from _collections(phase, summary, limits)
    yield from _memory(summary, limits)
    yield from _running_out(summary, limits)
    yield from _few_answers(phase, summary, limits)
    yield from _badly_watched(summary, limits)


def noise_findings(phase: Phase, noise: GeneratorNoise, limits: TrustLimits = DEFAULT_LIMITS) -> Iterator[TrustFinding]:
    """A finding for the latency limit of a phase of which the generator alone eats most, when that is too much.

    A limit that cannot fail a run, and a quantile that too few answers lie beyond, give a caveat at most.
    """
    worst = max(_eaten(phase, noise, limits), key=lambda one: (one.breaks, one.share), default=None)
    if worst is None or worst.share <= limits.noise_caveat:
        return
    wanted = worst.requirement
    name = wanted.definition.label if wanted.step == ALL_STEPS else f"{wanted.step} {wanted.definition.label}"
    yield _finding(
        "generator-noise",
        Trust.BROKEN if worst.breaks else Trust.CAVEAT,
        phase.name,
        worst.own,
        (limits.noise_broken if worst.breaks else limits.noise_caveat) * worst.limit,
        sentence=f"the generator alone, at {units.format_rate(noise.rate)}, shows {wanted.definition.label} "
        f"{units.format_seconds(worst.own)} on this runner: {units.format_share(worst.share)} of the limit of "
        f"{units.format_seconds(worst.limit)} on {name} of {phase.name}",
        advice="A limit so near to the generator's own noise cannot be checked from here: use a faster or quieter runner, "
        "more shards or a lower rate.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Eaten:
    """How much of a latency limit the generator's own figure takes. breaks: too much to hold a run against this limit."""

    requirement: Requirement
    limit: float
    own: float
    breaks: bool

    @property
    def share(self) -> float:
        return self.own / self.limit


def _eaten(phase: Phase, noise: GeneratorNoise, limits: TrustLimits) -> Iterator[_Eaten]:
    for requirement in phase.requirements:
        own, rank = noise.of(requirement.metric), requirement.definition.quantile
        # Beyond its critical level even an optional requirement fails; its target is but a wish.
        limit = requirement.target if requirement.required or requirement.critical is None else requirement.critical
        if own is not None and rank is not None and limit > 0.0:
            fails = requirement.required or requirement.critical is not None
            # Rounded, as for few answers.
            enough = round(noise.requests * (1.0 - rank), 6) >= limits.noise_beyond
            breaks = fails and enough and own > limits.noise_broken * limit
            yield _Eaten(requirement=requirement, limit=limit, own=own, breaks=breaks)


def _ended_early(phase: Phase, summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    least = limits.measured_share * phase.duration
    if summary.shards_lost:
        yield _broken(
            "shard-lost",
            summary.name,
            len(summary.shards_lost),
            0,
            sentence=f"a part of the generator was lost in {summary.name}: {', '.join(summary.shards_lost)}",
            advice="Look into the log of the system for the cause (out of memory, most often), mend that, and run again.",
        )
    elif summary.service_gone is not None:
        yield _broken(
            "service-gone",
            summary.name,
            sentence=f"the service went away in {summary.name}: {summary.service_gone}",
            advice="Look into the service's own log for the moment of its end; start it again and run again.",
        )
    elif summary.interrupted:
        yield _interrupted(summary.name, summary.measured_seconds, phase.duration)
    elif summary.measured_seconds < least:
        yield _broken(
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
    return _broken(
        "interrupted",
        phase,
        figure,
        planned,
        sentence=f"the run was interrupted{where}{after}",
        advice="Run again and let it finish; a partial record is never judged as a whole.",
    )


def _books(phase: Phase, summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    everything = summary.step(ALL_STEPS)
    if summary.shards_lost:
        # What was not sent for that reason is told with the reason.
        return
    if everything is None or everything.counts.sent == 0:
        yield _broken(
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
        yield _broken(
            "arrivals-missed",
            summary.name,
            missed,
            limits.missed,
            sentence=f"{missed:,} of {due:,} requests of {summary.name} were never sent, by the generator's own fault",
            advice=f"Give the generator a core of its own, or offer less{than} from this machine.",
        )


def _lateness(phase: Phase, summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    late = summary.measurement("lateness_p99")
    if late is None:
        return
    tightest = phase.tightest_latency_limit or limits.latency_limit
    yield from _graded(
        "lateness",
        summary.name,
        late.value,
        (limits.lateness_caveat * tightest, limits.lateness_broken * tightest),
        sentence=f"1 % of the requests of {summary.name} left {units.format_seconds(late.value)} late or later, "
        f"{units.format_share(late.value / tightest)} of the latency limit of {units.format_seconds(tightest)}",
        advice="Give the generator a core that nothing else uses, or a quieter machine: these times blame the service.",
    )


def _loop_lag(phase: Phase, summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    """How long the generator's loop was busy at a stretch: an answer that came meanwhile was read, and timed, too late."""
    usual, longest = summary.health.loop_lag_p99, summary.health.loop_lag_max
    tightest = phase.tightest_latency_limit or limits.latency_limit
    of_limit = f"the latency limit of {units.format_seconds(tightest)}"
    advice = "Answers are read late while the loop is busy: give the generator a core of its own, a lower rate or more shards."
    if usual > limits.lag_caveat * tightest:
        yield from _graded(
            "loop-lag",
            summary.name,
            usual,
            (limits.lag_caveat * tightest, limits.lag_broken * tightest),
            sentence=f"the generator's loop was busy for {units.format_seconds(usual)} at a stretch in {summary.name} (p99), "
            f"{units.format_share(usual / tightest)} of {of_limit}",
            advice=advice,
        )
    elif longest > tightest:
        yield _finding(
            "loop-lag",
            Trust.CAVEAT,
            summary.name,
            longest,
            tightest,
            sentence=f"the generator's loop was once busy for {units.format_seconds(longest)} in {summary.name}, "
            f"longer than {of_limit}",
            advice=advice,
        )


def _processor(summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    health = summary.health
    yield from _graded(
        "generator-cpu",
        summary.name,
        health.cpu_share,
        (limits.cpu_caveat, limits.cpu_broken),
        sentence=f"the generator used {units.format_share(health.cpu_share)} of its core in {summary.name}",
        advice="A generator near its limit measures itself: offer less from this machine, or use a faster one.",
    )
    if health.steal_share is not None:
        yield from _graded(
            "steal",
            summary.name,
            health.steal_share,
            (limits.steal_caveat, limits.steal_broken),
            sentence=f"the host took away {units.format_share(health.steal_share)} of this machine's CPU in {summary.name}",
            advice="Other guests of the host slow this one: use a dedicated runner, or run at a quieter hour.",
        )
    if health.throttled_share is not None:
        yield from _graded(
            "throttled",
            summary.name,
            health.throttled_share,
            (limits.throttled_caveat, limits.throttled_broken),
            sentence=f"a CPU quota held the generator back for {units.format_share(health.throttled_share)} "
            f"of the time in {summary.name}",
            advice="Raise or remove the quota of the runner's container or service (cpu.max, --cpus, CPUQuota=).",
        )


def _collections(phase: Phase, summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    health = summary.health
    if health.gc_full_collections == 0:
        return
    tightest = phase.tightest_latency_limit or limits.latency_limit
    yield _finding(
        "gc-pause",
        Trust.BROKEN if health.gc_pause_max > tightest else Trust.CAVEAT,
        summary.name,
        health.gc_pause_max,
        tightest,
        sentence=f"the generator stopped for a full garbage collection in {summary.name} "
        f"({health.gc_full_collections} in all, the longest {units.format_seconds(health.gc_pause_max)})",
        advice="It collects while it measures only when its memory grows too far: use fewer users, or more shards.",
    )


def _memory(summary: PhaseSummary, limits: TrustLimits) -> Iterator[TrustFinding]:
    free = summary.health.memory_free
    if free is not None and free < limits.memory_caveat:
        yield _finding(
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
            yield _finding(
                code,
                Trust.BROKEN if free <= 0 else Trust.CAVEAT,
                summary.name,
                free,
                caveat,
                sentence=f"the generator {'ran out of' if free <= 0 else f'had only {free} free'} {name} in {summary.name}",
                advice=advice[code],
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
        yield _finding(
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
            yield _finding(
                "monitor-gaps",
                Trust.CAVEAT,
                summary.name,
                n,
                limits.reading_share * most,
                sentence=f"the {source} was read only {n} times in {summary.name}, other sources {most} times",
                advice=f"See in the log why the {source} could not be read; its figures cover a part of the phase only.",
            )


def _graded(
    code: str, phase: str, figure: float, levels: tuple[float, float], *, sentence: str, advice: str
) -> Iterator[TrustFinding]:
    """A finding when the figure lies above the first level, broken when above the second."""
    caveat, broken = levels
    if figure > broken:
        yield _finding(code, Trust.BROKEN, phase, figure, broken, sentence=sentence, advice=advice)
    elif figure > caveat:
        yield _finding(code, Trust.CAVEAT, phase, figure, caveat, sentence=sentence, advice=advice)


def _broken(
    code: str, phase: str, figure: float | None = None, limit: float | None = None, *, sentence: str, advice: str
) -> TrustFinding:
    return _finding(code, Trust.BROKEN, phase, figure, limit, sentence=sentence, advice=advice)


def _finding(
    code: str, trust: Trust, phase: str, figure: float | None, limit: float | None, *, sentence: str, advice: str
) -> TrustFinding:
    return TrustFinding(code=code, trust=trust, phase=phase, figure=figure, limit=limit, sentence=sentence, advice=advice)
