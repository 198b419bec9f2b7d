"""How far the generator's own delays can be in the figures: sending late, reading late, pauses, and what the null run showed.

The figure is compared with the tightest latency limit; that alone gives a caveat. A large part of that limit breaks a run, but
only where a result could have been another one without the delay (``generator_delay.changed_by``). Where no results are known
yet, as in a null run or in one block of a duet, it breaks where it is a large part of what was measured, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from velro_gate.analysis.verdict.generator_delay import Decided, GeneratorDelay, changed_by
from velro_gate.analysis.verdict.trust.limits import DEFAULT_LIMITS, TrustLimits, broken, doubtful
from velro_gate.model.facts.doubts import FigureName, GcPaused, Lateness, LoopLagged, NullRunNoise
from velro_gate.model.metrics import LATENESS, TAIL
from velro_gate.model.record import GeneratorNoise, PhaseSummary
from velro_gate.model.scenario import Phase, Requirement
from velro_gate.model.verdict import TrustFinding


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doubt:
    """A delay that is to be graded."""

    facts: Lateness | LoopLagged | GcPaused
    figure: float
    delay: GeneratorDelay
    levels: tuple[float, float]
    """Shares of a limit or figure from which it is a caveat, and may break."""


def worst_worker(summary: PhaseSummary, figure: str) -> str:
    """Of a cluster, the worker whose own figure is the phase's; empty where one machine sent the load."""
    value = getattr(summary.health, figure)
    return next((each.name for each in summary.workers if getattr(each.health, figure) == value), "")


def delay_findings(
    phase: Phase, summary: PhaseSummary, limits: TrustLimits = DEFAULT_LIMITS, decided: Decided | None = None
) -> Iterator[TrustFinding]:
    """Lateness, loop lag and pauses of one phase. decided: the run's results; None: they are not known."""
    tightest = phase.tightest_latency_limit or limits.latency_limit
    for doubt in (_lateness(summary, tightest, limits), _loop_lag(summary, tightest, limits), _collections(summary)):
        if doubt is None:
            continue
        caveat, most = doubt.levels
        affected = _affected(doubt, summary, tightest, decided)
        if affected is not None:
            yield broken(replace(doubt.facts, affected=affected), doubt.figure, most * tightest)
        elif doubt.figure > caveat * tightest:
            yield doubtful(doubt.facts, doubt.figure, caveat * tightest)


def _affected(doubt: _Doubt, summary: PhaseSummary, tightest: float, decided: Decided | None) -> tuple[FigureName, ...] | None:
    """What could have been another result without the delay; none by name where results are not known. None: nothing could."""
    most = doubt.levels[1]
    if doubt.figure <= most * tightest:
        return None
    if decided is not None:
        return changed_by(doubt.delay, summary, decided, least=most) or None
    measured = summary.measurement(TAIL)
    return () if measured is None or doubt.figure > most * measured.value else None


def _lateness(summary: PhaseSummary, tightest: float, limits: TrustLimits) -> _Doubt | None:
    late = summary.measurement(LATENESS)
    if late is None:
        return None
    return _Doubt(
        facts=Lateness(phase=summary.name, late=late.value, limit=tightest, worker=worst_worker(summary, "loop_lag_p99")),
        figure=late.value,
        delay=GeneratorDelay(sending=late.value),
        levels=(limits.lateness_caveat, limits.lateness_broken),
    )


def _loop_lag(summary: PhaseSummary, tightest: float, limits: TrustLimits) -> _Doubt | None:
    """How long the generator's loop was busy at a stretch: a response that came meanwhile was read, and timed, too late."""
    usual, longest = summary.health.loop_lag_p99, summary.health.loop_lag_max
    if usual > limits.lag_caveat * tightest:
        return _Doubt(
            facts=LoopLagged(phase=summary.name, busy=usual, limit=tightest, worker=worst_worker(summary, "loop_lag_p99")),
            figure=usual,
            delay=GeneratorDelay(reading=usual),
            levels=(limits.lag_caveat, limits.lag_broken),
        )
    # A single long turn cannot move a quantile by much, so it is a caveat and never breaks a run.
    if longest > tightest:
        return _Doubt(
            facts=LoopLagged(
                phase=summary.name,
                busy=longest,
                limit=tightest,
                once=True,
                worker=worst_worker(summary, "loop_lag_max"),
            ),
            figure=longest,
            delay=GeneratorDelay(),
            levels=(1.0, float("inf")),
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
        facts=GcPaused(phase=summary.name, collections=health.gc_full_collections, longest=pause),
        figure=pause,
        delay=GeneratorDelay(sending=pause, share=share),
        # Any full collection is worth a caveat: collection is off while the load is measured, so memory has grown beyond the
        # bound.
        levels=(-1.0, 1.0),
    )


def noise_findings(
    phase: Phase,
    noise: GeneratorNoise,
    limits: TrustLimits = DEFAULT_LIMITS,
    summary: PhaseSummary | None = None,
    decided: Decided | None = None,
) -> Iterator[TrustFinding]:
    """A finding for the latency limit of a phase of which the generator alone takes most, when that is too much.

    A limit that cannot fail a run, a quantile that too few responses lie beyond, and (where the results are known) a limit
    whose result cannot have come from the noise, give a caveat at most.
    """
    worst = max(_taken(phase, noise, limits, summary, decided), key=lambda one: (one.breaks, one.share), default=None)
    if worst is None or worst.share <= limits.noise_caveat:
        return
    wanted = worst.requirement
    facts = NullRunNoise(
        phase=phase.name,
        figure=FigureName(step=wanted.step, metric=wanted.metric),
        rate=noise.rate,
        own=worst.own,
        limit=worst.limit,
    )
    if worst.breaks:
        yield broken(facts, worst.own, limits.noise_broken * worst.limit)
    else:
        yield doubtful(facts, worst.own, limits.noise_caveat * worst.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """How much of a latency limit the generator's own figure takes."""

    requirement: Requirement
    limit: float
    own: float
    breaks: bool
    """Whether that is too much to judge by this limit."""

    @property
    def share(self) -> float:
        """Of the limit that the generator's own delay makes up."""
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
            # Rounded, as for few responses.
            enough = round(noise.requests * (1.0 - rank), 6) >= limits.noise_beyond
            breaks = fails and enough and own > limits.noise_broken * limit
            if breaks and decided is not None and summary is not None:
                of_this = [each for each in decided.requirements if each.requirement == requirement]
                breaks = bool(changed_by(GeneratorDelay(sending=own), summary, Decided(requirements=of_this)))
            yield _Taken(requirement=requirement, limit=limit, own=own, breaks=breaks)
