"""Times that are known by their bins, read as if they were sorted: by rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from velro_gate.analysis.summaries.reduced.bins import times_of
from velro_gate.arrays import Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Counted times. Each differs from the one that is meant by at most ``bins.ERROR`` of itself, or by ``bins.LEAST``."""

    below: Ints
    """How many lie in this bin or an earlier one."""
    times: Floats
    """What the bins stand for, ascending."""

    @classmethod
    def of(cls, bins: Ints, counts: Ints) -> Self:
        """From counts in bins, in any order."""
        order = np.argsort(bins, kind="stable")
        return cls(np.cumsum(counts[order]), times_of(bins[order]))

    def __len__(self) -> int:
        return int(self.below[-1]) if len(self.below) else 0

    def __getitem__(self, rank: int, /) -> float:
        return float(self.times[int(np.searchsorted(self.below, rank, side="right"))])
