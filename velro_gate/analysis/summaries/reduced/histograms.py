"""Reduced samples as histograms: a row for each stretch of time, a column for each bin of times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from velro_gate.analysis.summaries.quantiles import sample_quantile
from velro_gate.analysis.summaries.reduced.frame import LEAST_CELLS
from velro_gate.analysis.summaries.reduced.ranked import Ranked
from velro_gate.analysis.summaries.reduced.tables import Entries, Kind, Reduced
from velro_gate.analysis.summaries.windows import Grid
from velro_gate.arrays import Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Histogram:
    """counts[row, column]: times of a row's stretch that lie in the bin ``least`` + column."""

    counts: Ints
    least: int

    @classmethod
    def of(cls, found: Entries, rows: Ints, count: int, bins: tuple[int, int]) -> Self:
        """rows: the row of each; count: how many rows there are; bins: the first one, and the one after the last."""
        least, width = bins[0], bins[1] - bins[0]
        flat = np.bincount(rows * width + found.third - least, weights=found.count, minlength=count * width)
        return cls(counts=flat.astype(np.int64).reshape(count, width), least=least)

    def __add__(self, other: Histogram) -> Histogram:
        return Histogram(counts=self.counts + other.counts, least=self.least)

    def ranked(self, row: int | None = None) -> Ranked:
        """The times of one row, or of all of them."""
        counts = self.counts.sum(axis=0) if row is None else self.counts[row]
        used = np.flatnonzero(counts)
        return Ranked.of(used + self.least, counts[used])

    @property
    def single(self) -> npt.NDArray[np.float32]:
        """As the intervals of quantiles want it."""
        return self.counts.astype(np.float32)


def bins_in(*found: Entries) -> tuple[int, int]:
    """The least bin and the one after the greatest."""
    every = np.concatenate([one.third for one in found])
    return (int(every.min()), int(every.max()) + 1) if len(every) else (0, 1)


def entries_together(parts: Sequence[Entries]) -> Entries:
    """All of these."""
    names = ("first", "second", "third", "count")
    return Entries(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def ranked(found: Entries) -> Ranked:
    """The times of these counts, by rank."""
    bins, which = np.unique(found.third, return_inverse=True)
    return Ranked.of(bins, np.bincount(which, weights=found.count, minlength=len(bins)).astype(np.int64))


def slices_of_cells(tables: Reduced, seconds: float) -> tuple[int, int]:
    """Cells in a slice of time, and how many slices there are in a stretch of ``seconds``: at most twice ``LEAST_CELLS``."""
    frame = tables.frame
    # Less by what a float may be too much.
    cells = max(math.ceil(seconds * frame.parts / frame.window - 1e-6), 1)
    each = max(cells // LEAST_CELLS, 1)
    return each, -(-cells // each)


def windows_of_cells(tables: Reduced, found: Entries, grid: Grid) -> Ints:
    """The window of a grid of charts in which each of the counts lies."""
    return np.minimum(found.second // tables.frame.parts, grid.count - 1)


def binned_quantiles(
    tables: Reduced, kind: Kind, grid: Grid, ranks: tuple[float, ...], first: int | None = None
) -> list[tuple[float | None, ...]]:
    """For each window the quantiles of its times; None for a window without any."""
    found = tables.of(kind, first)
    histogram = Histogram.of(found, windows_of_cells(tables, found, grid), grid.count, bins_in(found))
    rows: list[tuple[float | None, ...]] = []
    for row in range(grid.count):
        times = histogram.ranked(row)
        rows.append(tuple(sample_quantile(times, rank) if len(times) else None for rank in ranks))
    return rows
