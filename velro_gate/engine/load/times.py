"""When the parts of a phase begin and end. Pure: no clock is read here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from velro_gate.model.scenario import Phase
from velro_gate.pacing import connect_time

SWEEP_EVERY = 0.05
"""Seconds between two looks at the deadlines. A request that times out is given up this much late at most, and recorded at its
deadline.
"""
TICK_EVERY = 1.0
"""Seconds between two looks at the whole: live view, liveness, samples that are handed on."""
SAMPLE_EVERY = 5  # ticks
STOP_GRACE = 1.0
"""Seconds that requests in flight get when the run is asked to end."""

SETTLE = 0.5
"""Seconds before the measured stretch at which garbage is collected one last time: the pause is over by then. Where the ramp is
no longer, it is done before the phase begins.
"""
REJOIN_AFTER = 1.0
"""Seconds after which a user that could not connect tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseTimes:
    """The instants of one phase, on its clock: began <= measured_from <= end."""

    phase: Phase
    began: float
    measured_from: float
    end: float

    @classmethod
    def of(cls, phase: Phase, began: float) -> Self:
        """Of a phase that begins at this instant."""
        measured_from = began + phase.ramp
        return cls(phase=phase, began=began, measured_from=measured_from, end=measured_from + phase.duration)

    @property
    def settles(self) -> float:
        """When garbage is collected for the last time."""
        return self.measured_from - SETTLE

    def connects(self, user: int) -> float:
        """When a user connects."""
        return self.began + connect_time(user, self.phase)

    def tick(self, number: int) -> float:
        """When the state is looked at for the ``number``-th time, from 1."""
        return self.began + number * TICK_EVERY

    def measured(self, until: float) -> tuple[float, float]:
        """The measured stretch where everything was handed out up to ``until`` only; empty where that is in the ramp."""
        start = min(self.measured_from, until)
        return start, max(start, until)
