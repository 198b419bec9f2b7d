"""The best that each figure of a phase can have been without the generator's own delays, where it stood still.

A figure whose limit is missed, and would be met by this value, says nothing about the service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from velro_gate.analysis.summaries.own_delay import OwnDelay
from velro_gate.analysis.summaries.windows import PEAK_SECONDS, SUSTAINED_SECONDS
from velro_gate.arrays import Floats
from velro_gate.model.metrics import LATENCY_QUANTILES, Times, quantiles_of
from velro_gate.model.record import Counts, Estimate
from velro_gate.model.run import PhaseRun
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, Outcome, Samples

WindowFigures = dict[str, float]

_LEAST_LEFT = 0.05
"""The least part of a window that counts as measured: a stall as long as the window says nothing of the rate."""


def undelayed(
    rows: Samples,
    own: OwnDelay | None,
    run: PhaseRun,
    with_failures: Floats,
    counts: Sequence[Counts],
    measured: Sequence[dict[str, Estimate]],
) -> list[WindowFigures]:
    """For each step, then for all of them: metric -> the best value without our delays, in its own unit.

    Args:
        rows: those of the measured stretch.
        own: the delay of each that the generator may have caused; None where it never stood still.
        with_failures: their response times, a failure behind every response.
        counts, measured: of each step, then of all.

    Returns:
        A mapping for each of ``measured``; empty ones where the generator never stood still.
    """
    if own is None:
        return [{} for _ in measured]
    found = []
    for group, known in enumerate(measured):
        mask = np.ones(len(rows), np.bool_) if group == len(measured) - 1 else rows.step == group
        figures = {
            **_times(rows, own, mask, with_failures),
            **_shares(rows, own, mask, counts[group]),
            **rates_left(run, known),
        }
        # What the generator did not delay is as it was measured.
        found.append({name: value for name, value in figures.items() if name in known})
    return found


def _times(rows: Samples, own: OwnDelay, mask: npt.NDArray[np.bool_], with_failures: Floats) -> WindowFigures:
    good = mask & rows.ok
    if not bool(good.any()):
        return {}
    response, service = (rows.response_time - own.response)[good], (rows.service_time - own.service)[good]
    found = _at(LATENCY_QUANTILES, response) | _at(quantiles_of(Times.SERVICE), service)
    found |= {"mean": float(response.mean()), "max": float(response.max())}
    # A failure that we may have caused is left out: nobody knows what it would have been.
    kept = mask & (rows.outcome != Outcome.CANCELLED) & ~own.doubtful
    return found | _at(quantiles_of(Times.WITH_FAILURES), (with_failures - own.response)[kept])


def _at(ranks: Mapping[str, float], times: Floats) -> WindowFigures:
    return dict(zip(ranks, np.quantile(times, list(ranks.values())).tolist(), strict=True))


def _shares(rows: Samples, own: OwnDelay, mask: npt.NDArray[np.bool_], counts: Counts) -> WindowFigures:
    doubtful = int((own.doubtful & mask).sum()) + min(own.unsent, counts.blocked)
    asked = counts.ok + counts.failed + counts.blocked
    found: WindowFigures = {}
    if asked:
        found["error_rate"] = max(counts.failed + counts.blocked - doubtful, 0) / asked
    if counts.due:
        found["achieved_share"] = min((counts.ok + doubtful) / counts.due, 1.0)
    cache = rows.cache[mask]
    hits, misses = int((cache >= FIRST_CACHE_LAYER).sum()), int((cache == CACHE_MISS).sum())
    if hits + misses:
        excused = int(((cache == CACHE_MISS) & own.touched[mask]).sum())
        found["hit_rate"] = (hits + excused) / (hits + misses)
    return found


def rates_left(run: PhaseRun, known: Mapping[str, Estimate]) -> WindowFigures:
    """Rates over what is left of the stretch, or of the window, that the stalls took most of."""
    longest = _most_within(run)
    seconds = {
        "throughput": run.measured_until - run.measured_from,
        "sustained_throughput": SUSTAINED_SECONDS,
        "peak_throughput": PEAK_SECONDS,
    }
    found = {}
    for name, window in seconds.items():
        if name in known and window > 0.0:
            left = max(1.0 - longest(window) / window, _LEAST_LEFT)
            found[name] = known[name].value / left
    return found


def _most_within(run: PhaseRun) -> Callable[[float], float]:
    """Window's length -> the most seconds of it that the generator can have stood still in the measured stretch."""
    starts = np.array([max(stall.start, run.measured_from) for stall in run.stalls])
    ends = np.array([min(stall.end, run.measured_until) for stall in run.stalls])
    lengths = np.maximum(ends - starts, 0.0)
    total = np.concatenate([[0.0], np.cumsum(lengths)])

    def most(window: float) -> float:
        """Seconds of delay within the worst window of this length."""
        last = np.searchsorted(starts, starts + window, side="right")
        return float(min((total[last] - total[:-1]).max(initial=0.0), window))

    return most
