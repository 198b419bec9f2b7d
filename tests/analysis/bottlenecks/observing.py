"""A quiet phase for the rules to look at, and what can be changed in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.analysis.phases import STEPS, health, phase, run_of, samples
from velro_gate.analysis.bottlenecks.find import bottlenecks
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.model.facts.bottlenecks import Bottleneck
from velro_gate.model.record import ExperimentSummary
from velro_gate.model.run import PhaseRun, Reading, Tick
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, Outcome, Samples

SECONDS = 20.0
RATE = 200.0
Series = Mapping[tuple[str, str], Sequence[float | None]]


def quiet(seconds: float = SECONDS) -> Samples:
    """Both steps at 200 requests/s, about 10 ms each, nine in ten from the cache."""
    random = np.random.default_rng(11)
    due = np.sort(random.uniform(0.0, seconds, int(RATE * seconds)))
    n = len(due)
    times = 0.010 * np.exp(0.18 * random.normal(size=n))
    cache = np.where(random.random(n) < 0.97, FIRST_CACHE_LAYER, CACHE_MISS)
    return samples(due, times, step=np.arange(n) % len(STEPS), cache=cache)


def changed(rows: Samples, where: npt.NDArray[np.bool_], seconds: npt.ArrayLike = 0.0, **columns: Any) -> Samples:
    """Some requests take so much longer, or end otherwise."""
    later = {"done": rows.done + np.where(where, seconds, 0.0)}
    other = {
        name: np.where(where, value, getattr(rows, name)).astype(getattr(rows, name).dtype) for name, value in columns.items()
    }
    return replace(rows, **later, **other)


def ticks(in_flight: npt.ArrayLike, ok: npt.ArrayLike) -> tuple[Tick, ...]:
    """One a second."""
    return tuple(
        Tick(at=float(at), connected=50, in_flight=round(flight), sent=round(done + flight), ok=round(done), failed=0)
        for at, (flight, done) in enumerate(zip(np.asarray(in_flight).tolist(), np.asarray(ok).tolist(), strict=True))
    )


def found(
    rows: Samples | None = None,
    series: Series | None = None,
    *,
    seconds: float = SECONDS,
    experiments: Sequence[ExperimentSummary] = (),
    **facts: Any,
) -> tuple[Bottleneck, ...]:
    """What the rules say of a phase. series: one value a second. facts: of the engine."""
    every = quiet(seconds) if rows is None else rows
    planned = replace(phase(rate=RATE), ramp=0.0, duration=seconds)
    steady = {"ticks": ticks([2.0] * int(seconds), np.arange(int(seconds)) * RATE), "health": health()}
    ran: PhaseRun = run_of(every, begin=0.0, seconds=seconds, **(steady | facts))
    readings = [
        Reading(at=at + 0.5, source=source, name=name, value=float(value))
        for (source, name), values in (series or {}).items()
        for at, value in enumerate(values)
        if value is not None
    ]
    summary = summarise(planned, STEPS, ran, every, readings, ("memory",))
    summary = replace(summary, experiments=tuple(experiments))
    return bottlenecks(planned, STEPS, ran, summary, every, readings)


def codes(*arguments: Any, **facts: Any) -> list[str]:
    """Their codes, the likeliest cause first."""
    return [one.code for one in found(*arguments, **facts)]


def failed(rows: Samples, where: npt.NDArray[np.bool_], status: int = 503) -> Samples:
    """Some requests were answered with a status that is not expected."""
    return changed(rows, where, outcome=Outcome.STATUS, status=status)
