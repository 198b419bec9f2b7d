"""When main will reach a limit if it goes on as it has, as data."""

from __future__ import annotations

from dataclasses import dataclass

from velro_gate.model.record import Estimate

FARTHEST = 500.0
"""Merges: what lies beyond is no forecast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """A figure that gets worse from merge to merge."""

    phase: str
    step: str
    metric: str
    limit: float
    now: float
    """Level of the figure at the newest run."""
    change: Estimate
    """Relative change with each merge, with its 95 % interval."""
    merges: Estimate
    """Merges until it reaches the limit, with the interval that follows from the slope's; reports call ``high`` infinite above
    ``FARTHEST``.
    """
    runs: int
