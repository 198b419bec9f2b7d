"""Sample quantiles with 95 % intervals for every step of a stretch, fast enough for millions of samples.

The value is the exact sample quantile. The interval comes from a block bootstrap over time that never touches a sample
twice: the samples of each short slice of time become one histogram with bins in a fixed ratio, a replicate is a weighted sum
of the slices' histograms, and all replicates together are one matrix product. A bin is 1 % wide and quantiles are interpolated
inside it, and only their ratio to the same figure of the unweighted histogram is used, so the bins' error cancels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from velro_gate.analysis.statistics import intervals
from velro_gate.arrays import Floats
from velro_gate.model.record import Estimate

SLICES = 400
"""Slices of time that a stretch is cut into: the unit that is drawn again."""
REPLICATES = 500
"""Bootstrap replicates; their chance error in an end point is about a tenth of its standard error."""
LOG_BIN = math.log(1.01)
LEAST = 1e-7
"""Seconds below which times are not distinguished."""
FEW = 30.0
"""With fewer observations than this beyond a quantile, its interval comes from the order statistics."""
_SEED = 8086
"""Any fixed number: the same samples always give the same intervals."""

_weights = lru_cache(maxsize=8)(intervals.block_weights)


class Ordered(Protocol):
    """Values by rank, the least first: a sorted column, or what is known of one."""

    def __len__(self) -> int:
        """How many values there are."""

    def __getitem__(self, rank: int, /) -> float:
        """The value of this rank, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observations:
    """Values (seconds, >= 0) with the step and the slice of time that each belongs to; columns of one length."""

    values: Floats
    step: npt.NDArray[np.uint16]
    slices: npt.NDArray[np.uint16]

    def where(self, mask: npt.NDArray[np.bool_]) -> Observations:
        """The rows for which ``mask`` holds."""
        if bool(mask.all()):
            return self
        return Observations(values=self.values[mask], step=self.step[mask], slices=self.slices[mask])


def slices_of(offset: Floats, seconds: float) -> npt.NDArray[np.uint16]:
    """The slice of each offset into a stretch of ``seconds``."""
    return np.clip(offset * (SLICES / seconds), 0, SLICES - 1).astype(np.uint16)


def step_quantiles(observed: Observations, steps: int, ranks: Sequence[float]) -> list[tuple[Estimate, ...]]:
    """The quantiles of each step, then of all steps together: steps + 1 tuples, in the order of ``ranks``.

    A step without an observation has an empty tuple: no latency, not latency 0.
    """
    if not len(observed.values):
        return [()] * (steps + 1)
    order = np.argsort(observed.step, kind="stable")
    values, cells, bins = observed.values[order], *_cells(observed, order)
    # One step at a time: a joint table of all steps would grow with their number.
    together = np.zeros((SLICES, bins), np.float32)
    estimates = []
    ends = np.cumsum(np.bincount(observed.step, minlength=steps)).tolist()
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        histogram = np.bincount(cells[begin:end], minlength=SLICES * bins).astype(np.float32).reshape(SLICES, bins)
        together += histogram
        estimates.append(estimates_of(np.sort(values[begin:end]), histogram, ranks))
    only = [found for found in estimates if found and found[0].n == len(values)]
    return [*estimates, only[0] if only else estimates_of(np.sort(values), together, ranks)]


def sample_quantile(ordered: Ordered, p: float) -> float:
    """The p-quantile of sorted values, interpolated linearly (definition 7 of Hyndman and Fan 1996)."""
    position = p * (len(ordered) - 1)
    lower = math.floor(position)
    upper = min(lower + 1, len(ordered) - 1)
    return float(ordered[lower] + (position - lower) * (ordered[upper] - ordered[lower]))


def _cells(observed: Observations, order: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.int64], int]:
    """The cell slice * bins + bin of each value, in this order; and the number of bins.

    Bin b begins at the least value times 1.01 ** b.
    """
    log = np.log(np.maximum(observed.values, LEAST))
    log -= log.min()
    log /= LOG_BIN
    cell = log.astype(np.int64)
    bins = int(cell.max()) + 1
    cell += observed.slices.astype(np.int64) * bins
    return cell[order], bins


def estimates_of(ordered: Ordered, histogram: npt.NDArray[np.float32], ranks: Sequence[float]) -> tuple[Estimate, ...]:
    """The quantiles of some values. histogram: how many of them lie in each slice of time (row) and bin of ``LOG_BIN``."""
    n = len(ordered)
    if not n:
        return ()
    memories, effects = zip(*(_dependence(histogram, p) for p in ranks), strict=True)
    enough = [p for p in ranks if n * min(p, 1.0 - p) >= FEW]
    # Few slices hold a slow request, so the tail alone shows its memory badly: the median's series shows it best.
    memory = max(*memories, _dependence(histogram, 0.5)[0])
    relative = _bootstrap(histogram, enough, memory) if enough else {}
    found = []
    for p, effect in zip(ranks, effects, strict=True):
        value = sample_quantile(ordered, p)
        if p in relative:
            low, high = value * relative[p][0], value * relative[p][1]
        else:
            first, last = intervals.rank_range(n, p, effect)
            low, high = min(float(ordered[first]), value), max(float(ordered[last]), value)
        found.append(Estimate(value=value, low=low, high=high, n=n))
    return tuple(found)


def _dependence(histogram: npt.NDArray[np.float32], p: float) -> tuple[float, float]:
    """The memory (in slices) of what moves the p-quantile, and the design effect: its variance over that of independent data.

    To first order a quantile moves with the excess of the number beyond it over the number expected, slice by slice.
    """
    total = histogram.sum(axis=0, dtype=np.float64)
    n = float(total.sum())
    bin_of_quantile = int(np.searchsorted(np.cumsum(total), p * n))
    beyond = histogram[:, bin_of_quantile + 1 :].sum(axis=1, dtype=np.float64)
    share = float(beyond.sum()) / n
    if share in (0.0, 1.0):
        return 1.0, 1.0
    excess = beyond - share * histogram.sum(axis=1, dtype=np.float64)
    memory = intervals.autocorrelation_time(excess)
    return memory, max(memory * float(excess @ excess) / (n * share * (1.0 - share)), 1.0)


def _bootstrap(histogram: npt.NDArray[np.float32], ranks: Sequence[float], memory: float) -> dict[float, tuple[float, float]]:
    """For each rank the ends of its interval, relative to the quantile (low <= 1 <= high)."""
    slices = len(histogram)
    block = intervals.block_length(memory, slices)
    counts = _merged_below(histogram, min(ranks) / 2.0)
    drawn = np.cumsum(_weights(slices, block, REPLICATES, _SEED) @ counts, axis=1, dtype=np.float64)
    whole = np.cumsum(counts.sum(axis=0, dtype=np.float64))[None, :]
    stretch = intervals.expansion(slices / max(block, memory)) * intervals.block_shortfall(memory, block)
    ends = {}
    for p in ranks:
        shifts = (_positions(drawn, p) - _positions(whole, p)) * LOG_BIN
        low, high = np.quantile(shifts, (0.025, 0.975)) * stretch
        ends[p] = (math.exp(min(low, 0.0)), math.exp(max(high, 0.0)))
    return ends


def _merged_below(histogram: npt.NDArray[np.float32], p: float) -> npt.NDArray[np.float32]:
    """The histogram with all bins below its p-quantile put into one, since no replicate gets there."""
    cumulative = np.cumsum(histogram.sum(axis=0, dtype=np.float64))
    first = int(np.searchsorted(cumulative, p * cumulative[-1]))
    last = int(np.searchsorted(cumulative, cumulative[-1])) + 1
    counts = histogram[:, first:last].copy()
    counts[:, 0] += histogram[:, :first].sum(axis=1)
    return counts


def _positions(cumulative: Floats, p: float) -> Floats:
    """Where the p-quantile lies in each row of cumulative counts, in bins, interpolated inside the bin."""
    target = p * cumulative[:, -1]
    upper = (cumulative < target[:, None]).sum(axis=1)
    rows = np.arange(len(cumulative))
    above = cumulative[rows, upper]
    below = np.where(upper > 0, cumulative[rows, np.maximum(upper - 1, 0)], 0.0)
    inside: Floats = (target - below) / np.maximum(above - below, 1e-12)
    found: Floats = upper + np.clip(inside, 0.0, 1.0)
    return found
