"""The parts of time that reduced samples are counted in: known before a phase begins, and the same on every worker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from velro_gate.analysis.summaries.windows import chart_grid
from velro_gate.arrays import Floats, Ints

LEAST_CELLS = 400
"""Cells in a stretch, at the least: the intervals of quantiles draw them again."""

_PARTS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Of one phase. Times are seconds since the start of the run; offsets count from ``measured_from``."""

    measured_from: float
    planned: float
    """Seconds that are to be measured."""
    steps: int
    """How many there are; samples of others (a login) are in no figure."""

    @property
    def window(self) -> float:
        """Seconds of the windows in which charts show the stretch."""
        return chart_grid(self.planned).width

    @property
    def parts(self) -> int:
        """Cells in a window."""
        count = chart_grid(self.planned).count
        return next((parts for parts in _PARTS if parts * count >= LEAST_CELLS), _PARTS[-1])

    @property
    def event(self) -> float:
        """Seconds of the parts in which answers and failures are counted by when they came."""
        return min(self.window, 1.0)

    def cells(self, offset: Floats) -> Ints:
        """The cell of each offset: so that a window's first cell begins where the window does, whatever is rounded."""
        window = np.floor_divide(offset, self.window)
        inside = np.floor((offset - window * self.window) * (self.parts / self.window))
        found: Ints = (window * self.parts + np.clip(inside, 0, self.parts - 1)).astype(np.int64)
        return found

    def events(self, offset: Floats) -> Ints:
        """The part of each offset in which an event is counted; negative before the stretch."""
        found: Ints = np.floor_divide(offset, self.event).astype(np.int64)
        return found
