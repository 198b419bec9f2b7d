"""All rules on one phase, and their order: what causes other findings stands before them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from velro_gate.analysis.bottlenecks.answers import cache_misses, error_bursts, saturation, service_stall, step_tail
from velro_gate.analysis.bottlenecks.observed import Observed, apart_from, observe
from velro_gate.analysis.bottlenecks.runner import generator_limit, noisy_neighbour, starved_runner
from velro_gate.analysis.bottlenecks.service import (
    cpu_bound_service,
    dependency_down,
    lock_waits,
    memory_growth,
    pool_exhausted,
    slow_query,
)
from velro_gate.model.facts.bottlenecks import Bottleneck
from velro_gate.model.record import ExperimentSummary, PhaseSummary
from velro_gate.model.resilience.experiment import Expected
from velro_gate.model.run import PhaseRun, Reading
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Phase

Rule = Callable[[Observed], Iterator[Bottleneck]]

RULES: tuple[Rule, ...] = (
    starved_runner,
    generator_limit,
    dependency_down,
    service_stall,
    lock_waits,
    slow_query,
    pool_exhausted,
    cpu_bound_service,
    memory_growth,
    cache_misses,
    noisy_neighbour,
    step_tail,
    saturation,
    error_bursts,
)
"""From what brings others about to what is brought about: a stalled service gathers a queue, an exhausted pool makes errors."""

CLEAR = 0.5
"""The strength from which on a finding keeps its place; weaker ones stand behind all of these."""

LEAST_SECONDS = 3.0
"""A shorter stretch shows no series."""


RECOVERING = 2.0
"""Seconds after an experiment which are still its own, where no recovery was measured."""


def broken_on_purpose(summary: PhaseSummary) -> tuple[tuple[float, float], ...]:
    """The stretches of the experiments, each until the service had recovered: what held it back there is known already."""
    return tuple(
        (one.begun, summary.measured_seconds if one.ended is None else one.ended + _recovery(one))
        for one in summary.experiments
    )


def _recovery(one: ExperimentSummary) -> float:
    waited = (Expected.RECOVERY, Expected.HIT_RATE, Expected.CONSISTENCY)
    known = [figure.estimate.value for figure in one.figures if figure.expectation.kind in waited and figure.estimate]
    return max(known, default=0.0) + RECOVERING


def _within(one: Bottleneck, stretches: Sequence[tuple[float, float]]) -> bool:
    """Whether a finding lies for the greater part in these: a stall shows as a gap, which no row fills."""
    shared = sum(max(min(one.end, end) - max(one.start, start), 0.0) for start, end in stretches)
    return shared > (one.end - one.start) / 2.0


def bottlenecks(
    phase: Phase,
    steps: Sequence[str],
    run: PhaseRun,
    summary: PhaseSummary,
    samples: Samples,
    readings: Sequence[Reading],
) -> tuple[Bottleneck, ...]:
    """What held the phase back, the likeliest cause first; empty where nothing shows one."""
    if run.measured_until - run.measured_from < LEAST_SECONDS:
        return ()
    broken = broken_on_purpose(summary)
    seen = apart_from(observe(phase, steps, run, summary, samples, readings), broken)
    found = [(rank, one) for rank, rule in enumerate(RULES) for one in rule(seen) if not _within(one, broken)]
    codes = {one.code for _, one in found}
    # A machine without a free core has named its neighbours already.
    kept = [pair for pair in found if not (pair[1].code == "noisy-neighbour" and "cpu-starved-runner" in codes)]
    return tuple(one for _, one in sorted(kept, key=lambda pair: (pair[1].strength < CLEAR, pair[0], -pair[1].strength)))
