"""Samples as they come: one row of a preallocated table each, handed on as columns when the table is full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from velro_gate.model.samples import CACHE_MISS, COLUMNS, FIRST_CACHE_LAYER, Outcome, Samples

ROWS = 16_384
_RECENT = 4_096
_ROW = np.dtype([(name, kind) for name, kind in COLUMNS.items()])

Row = tuple[float, float, float, float, float, float, int, int, int, int, int, int]
"""The fields of one sample in the order of model.samples.COLUMNS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """Figures over the samples that came since the last look; None without any."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    hit_rate: float | None = None
    lateness_p99: float | None = None


class Recorder:
    """Counts and keeps the samples of one phase; ``sink`` gets them in pieces of at most ROWS."""

    def __init__(self, sink: Callable[[Samples], None], *, remember: bool = False) -> None:
        """``remember``: keep due times and steps, for a closed loop, whose arrivals no schedule knows."""
        self._sink = sink
        self._remember = remember
        self._table = np.empty(ROWS, _ROW)
        self._used = 0
        self._seen = 0
        self.sent = self.ok = self.failed = self.cancelled = 0
        self._dues: list[npt.NDArray[np.float64]] = []
        self._steps: list[npt.NDArray[np.uint16]] = []

    def add(self, row: Row) -> None:
        """Keep one sample."""
        self._table[self._used] = row
        self._used += 1
        outcome = row[9]
        self.sent += 1
        if outcome == Outcome.OK:
            self.ok += 1
        elif outcome == Outcome.CANCELLED:
            self.cancelled += 1
        else:
            self.failed += 1
        if self._used == ROWS:
            self.flush()

    def flush(self) -> None:
        """Hand on what there is."""
        if self._used:
            table = self._table[: self._used]
            samples = Samples(**{name: table[name].copy() for name in COLUMNS})
            # Before the sink is called: where it fails, the users that are cancelled because of that still record.
            self._used = self._seen = 0
            if self._remember:
                self._dues.append(samples.due)
                self._steps.append(samples.step)
            self._sink(samples)

    def count_by_step(self, steps: int, start: float, end: float) -> npt.NDArray[np.int64]:
        """How many of the flushed samples fell due in [start, end), by step index; only with ``remember``."""
        if not self._dues:
            return np.zeros(steps, np.int64)
        due, step = np.concatenate(self._dues), np.concatenate(self._steps)
        return np.bincount(step[(due >= start) & (due < end)], minlength=steps)

    def recent(self) -> Recent:
        """Figures over what was recorded since the last call (since the last flush, if that was later)."""
        first, self._seen = max(self._seen, self._used - _RECENT), self._used
        rows = self._table[first : self._used]
        if not len(rows):
            return Recent()
        late = np.maximum(rows["sent"] - rows["due"] - rows["queued"], 0.0)
        good = rows[rows["outcome"] == Outcome.OK]
        times = good["done"] - good["due"]
        p50, p95, p99 = np.quantile(times, (0.5, 0.95, 0.99)).tolist() if len(times) else (None, None, None)
        hits = int((rows["cache"] >= FIRST_CACHE_LAYER).sum())
        known = hits + int((rows["cache"] == CACHE_MISS).sum())
        return Recent(
            p50=p50,
            p95=p95,
            p99=p99,
            hit_rate=hits / known if known else None,
            lateness_p99=float(np.quantile(late, 0.99)),
        )
