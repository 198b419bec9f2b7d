"""Samples as they come: one packed row each, handed on as columns when the table is full."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from velro_gate.model.samples import COLUMNS, FIRST_CACHE_LAYER, NO_CACHE_HEADER, Outcome, Samples

ROWS = 16_384
"""Rows of the table, 0.8 MB: a flush, in which no response is read, is rare, and over in about a millisecond."""
_RECENT = 4_096
"""Rows that the live view's quantiles are made from: sorting more, once a second, would be felt in the loop."""

# One struct.pack_into is the cheapest way from Python values into columns: .35 µs a row, and nothing to convert at the flush.
_PACK = struct.Struct("=dddfffHIHBBI")
_ROW = np.dtype([(name, kind) for name, kind in COLUMNS.items()])
_ROW_SIZE, _FULL = _PACK.size, ROWS * _PACK.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """Figures over the newest samples; None without any."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    hit_rate: float | None = None
    lateness_p99: float | None = None
    steps: tuple[tuple[int, float], ...] = ()
    """p95 by the index of the step."""
    cache: tuple[tuple[int, float], ...] = ()
    """Share of the look-ups by cache code."""


class Recorder:
    """Keeps and counts the samples of one phase.

    Args:
        sink: gets the samples in pieces of at most ROWS.
        origin: subtracted from all times.
    """

    def __init__(self, sink: Callable[[Samples], None], *, origin: float = 0.0) -> None:
        self._sink = sink
        self._origin = origin
        self._buffer = bytearray(ROWS * _PACK.size)
        self._table: npt.NDArray[np.void] = np.frombuffer(self._buffer, _ROW)
        self._previous: npt.NDArray[np.void] = self._table[:0].copy()
        self._at = 0
        self.outcomes = [0] * (max(Outcome) + 1)

    @property
    def rows(self) -> int:
        """How many samples there have been."""
        return sum(self.outcomes)

    def put(
        self,
        due: float,
        sent: float,
        done: float,
        queued: float,
        connect: float,
        first_byte: float,
        step: int,
        user: int,
        status: int,
        outcome: int,
        cache: int,
        received: int,
    ) -> None:
        """Keep one sample: the columns of model.samples, in their order."""
        at = self._at
        # The column has 32 bits; struct would raise where a body has 4 GiB.
        received = min(received, 0xFFFFFFFF)
        _PACK.pack_into(
            self._buffer, at, due, sent, done, queued, connect, first_byte, step, user, status, outcome, cache, received
        )
        self._at = at = at + _ROW_SIZE
        self.outcomes[outcome] += 1
        if at == _FULL:
            self.flush()

    def flush(self) -> None:
        """Hand on what there is."""
        count = self._at // _PACK.size
        if not count:
            return
        newest = self._table[max(0, count - _RECENT) : count]
        # The table is about to be overwritten, and the live view looks back beyond it.
        self._previous = np.concatenate([self._previous, newest])[-_RECENT:]
        columns = {name: self._table[name][:count].copy() for name in COLUMNS}
        for name in ("due", "sent", "done"):
            columns[name] -= self._origin
        self._at = 0
        self._sink(Samples(**columns))

    def recent(self, since: float) -> Recent:
        """Figures over the samples done at or after ``since``, at most the newest few thousand."""
        count = self._at // _PACK.size
        rows = self._table[max(0, count - _RECENT) : count]
        if len(rows) < _RECENT:
            rows = np.concatenate([self._previous[len(rows) - _RECENT :], rows])
        rows = rows[rows["done"] >= since]
        if not len(rows):
            return Recent()
        lateness = np.maximum(rows["sent"] - rows["due"] - rows["queued"], 0.0)
        good = rows[rows["outcome"] == Outcome.OK]
        times = good["done"] - good["due"]
        p50, p95, p99 = np.quantile(times, (0.5, 0.95, 0.99)).tolist() if len(times) else (None, None, None)
        codes, counts = np.unique(rows["cache"][rows["cache"] != NO_CACHE_HEADER], return_counts=True)
        known, hits = int(counts.sum()), int(counts[codes >= FIRST_CACHE_LAYER].sum())
        answered = np.unique(good["step"]).tolist()
        return Recent(
            p50=p50,
            p95=p95,
            p99=p99,
            hit_rate=hits / known if known else None,
            lateness_p99=float(np.quantile(lateness, 0.99)),
            steps=tuple((step, float(np.quantile(times[good["step"] == step], 0.95))) for step in answered),
            cache=tuple((code, count / known) for code, count in zip(codes.tolist(), counts.tolist(), strict=True)),
        )
