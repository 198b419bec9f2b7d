"""How far the generator's own delays can be in the figures: sending late, reading late, pauses, and what the null run showed.

The figure is compared with the tightest latency limit; that alone gives a caveat. A large part of that limit breaks a run, but
only where a result could have been another one without the delay (``generator_delay.changed_by``). Where no results are known
yet, as in a null run or in one block of a duet, it breaks where it is a large part of what was measured, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from velro_gate import units
from velro_gate.analysis.verdict.generator_delay import Decided, GeneratorDelay, changed_by
from velro_gate.analysis.verdict.trust_limits import DEFAULT_LIMITS, TrustLimits, finding
from velro_gate.model.metrics import TAIL
from velro_gate.model.record import GeneratorNoise, PhaseSummary
from velro_gate.model.scenario import ALL_STEPS, Phase, Requirement
from velro_gate.model.verdict import Trust, TrustFinding


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doubt:
    """A delay that is to be graded. levels: shares of a limit or figure from which it is a caveat, and may break."""

    code: str
    figure: float
    delay: GeneratorDelay
    levels: tuple[float, float]
    sentence: str
    advice: str


def delay_findings(
    phase: Phase, summary: PhaseSummary, limits: TrustLimits = DEFAULT_LIMITS, decided: Decided | None = None
) -> Iterator[TrustFinding]:
    """Lateness, loop lag and pauses of one phase. decided: the run's results; None: they are not known."""
    tightest = phase.tightest_latency_limit or limits.latency_limit
    for doubt in (_lateness(summary, tightest, limits), _loop_lag(summary, tightest, limits), _collections(summary)):
        if doubt is None:
            continue
        caveat, most = doubt.levels
        changed = _changed(doubt, summary, tightest, decided)
        if changed:
            named = f"; without that delay {_named(changed)} might not have failed" if decided is not None else ""
            yield finding(
                doubt.code,
                Trust.BROKEN,
                summary.name,
                doubt.figure,
                most * tightest,
                sentence=f"{doubt.sentence}{named}",
                advice=doubt.advice,
            )
        elif doubt.figure > caveat * tightest:
            yield finding(
                doubt.code,
                Trust.CAVEAT,
                summary.name,
                doubt.figure,
                caveat * tightest,
                sentence=doubt.sentence,
                advice=doubt.advice,
            )


def _changed(doubt: _Doubt, summary: PhaseSummary, tightest: float, decided: Decided | None) -> tuple[str, ...]:
    """What could have been another result without the delay."""
    most = doubt.levels[1]
    if doubt.figure <= most * tightest:
        return ()
    if decided is not None:
        return changed_by(doubt.delay, summary, decided, least=most)
    measured = summary.measurement(TAIL)
    return ("a result",) if measured is None or doubt.figure > most * measured.value else ()


def _named(names: tuple[str, ...], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _lateness(summary: PhaseSummary, tightest: float, limits: TrustLimits) -> _Doubt | None:
    late = summary.measurement("lateness_p99")
    if late is None:
        return None
    return _Doubt(
        code="lateness",
        figure=late.value,
        delay=GeneratorDelay(sending=late.value),
        levels=(limits.lateness_caveat, limits.lateness_broken),
        sentence=f"1 % of the requests of {summary.name} left {units.format_seconds(late.value)} late or later, "
        f"{units.format_share(late.value / tightest)} of the latency limit of {units.format_seconds(tightest)}",
        advice="Give the generator a core that nothing else uses, or a quieter machine: otherwise this delay is counted as "
        "service latency.",
    )


def _loop_lag(summary: PhaseSummary, tightest: float, limits: TrustLimits) -> _Doubt | None:
    """How long the generator's loop was busy at a stretch: an answer that came meanwhile was read, and timed, too late."""
    usual, longest = summary.health.loop_lag_p99, summary.health.loop_lag_max
    of_limit = f"the latency limit of {units.format_seconds(tightest)}"
    advice = "Answers are read late while the loop is busy: give the generator a core of its own, a lower rate or more shards."
    if usual > limits.lag_caveat * tightest:
        return _Doubt(
            code="loop-lag",
            figure=usual,
            delay=GeneratorDelay(reading=usual),
            levels=(limits.lag_caveat, limits.lag_broken),
            sentence=f"the generator's loop was busy for {units.format_seconds(usual)} at a stretch in {summary.name} (p99), "
            f"{units.format_share(usual / tightest)} of {of_limit}",
            advice=advice,
        )
    if longest > tightest:
        return _Doubt(
            code="loop-lag",
            figure=longest,
            delay=GeneratorDelay(),
            levels=(1.0, float("inf")),
            sentence=f"the generator's loop was once busy for {units.format_seconds(longest)} in {summary.name}, "
            f"longer than {of_limit}",
            advice=advice,
        )
    return None


def _collections(summary: PhaseSummary) -> _Doubt | None:
    health = summary.health
    if health.gc_full_collections == 0:
        return None
    pause = health.gc_pause_max
    stopped = pause * health.gc_full_collections
    share = min(max(stopped / summary.measured_seconds, 1e-9), 1.0) if summary.measured_seconds > 0.0 else 1.0
    return _Doubt(
        code="gc-pause",
        figure=pause,
        delay=GeneratorDelay(sending=pause, share=share),
        levels=(-1.0, 1.0),
        sentence=f"the generator stopped for a full garbage collection in {summary.name} "
        f"({health.gc_full_collections} in all, the longest {units.format_seconds(pause)})",
        advice="It collects while it measures only when its memory grows too far: use fewer users, or more shards.",
    )


def noise_findings(
    phase: Phase,
    noise: GeneratorNoise,
    limits: TrustLimits = DEFAULT_LIMITS,
    summary: PhaseSummary | None = None,
    decided: Decided | None = None,
) -> Iterator[TrustFinding]:
    """A finding for the latency limit of a phase of which the generator alone takes most, when that is too much.

    A limit that cannot fail a run, a quantile that too few answers lie beyond, and (where the results are known) a limit whose
    result cannot have come from the noise, give a caveat at most.
    """
    worst = max(_taken(phase, noise, limits, summary, decided), key=lambda one: (one.breaks, one.share), default=None)
    if worst is None or worst.share <= limits.noise_caveat:
        return
    wanted = worst.requirement
    name = wanted.definition.label if wanted.step == ALL_STEPS else f"{wanted.step} {wanted.definition.label}"
    yield finding(
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
class _Taken:
    """How much of a latency limit the generator's own figure takes. breaks: too much to judge by this limit."""

    requirement: Requirement
    limit: float
    own: float
    breaks: bool

    @property
    def share(self) -> float:
        return self.own / self.limit


def _taken(
    phase: Phase, noise: GeneratorNoise, limits: TrustLimits, summary: PhaseSummary | None, decided: Decided | None
) -> Iterator[_Taken]:
    for requirement in phase.requirements:
        own, rank = noise.of(requirement.metric), requirement.definition.quantile
        # Beyond its critical level even an optional requirement fails; its target is but a wish.
        limit = requirement.target if requirement.required or requirement.critical is None else requirement.critical
        if own is not None and rank is not None and limit > 0.0:
            fails = requirement.required or requirement.critical is not None
            # Rounded, as for few answers.
            enough = round(noise.requests * (1.0 - rank), 6) >= limits.noise_beyond
            breaks = fails and enough and own > limits.noise_broken * limit
            if breaks and decided is not None and summary is not None:
                of_this = [each for each in decided.requirements if each.requirement == requirement]
                breaks = bool(changed_by(GeneratorDelay(sending=own), summary, Decided(requirements=of_this)))
            yield _Taken(requirement=requirement, limit=limit, own=own, breaks=breaks)
