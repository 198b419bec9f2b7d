"""Further runs of the phases in which a run looked worse: they confirm the suspicion, or clear it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from velro_gate.model.record import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Further:
    """What was run again after a run, in the order of time.

    missing: phase -> in a few words, why it was not run again, or not as often as a confirmation takes.
    """

    runs: tuple[RunRecord, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
