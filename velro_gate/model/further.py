"""What was measured again of the phases in which a run looked worse: it confirms the suspicion, or clears it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from velro_gate.model.duet import DuetRecord
from velro_gate.model.record import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Further:
    """What was measured again after a run."""

    runs: tuple[RunRecord, ...] = ()
    """Further runs of this build alone, in the order of time."""
    duet: DuetRecord | None = None
    """Pairs of this build and its base build, instead of runs."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Phase -> why it was not measured again, or not as often as a confirmation takes."""
    no_duet: str = ""
    """Why stored baselines stand in for a duet that was wanted; empty: none was wanted, or there is one."""
    advice: str = ""
    """What to do about the missing duet."""
    second_job: bool = False
    """Whether another job made the runs."""
    broken: bool = False
    """Whether this build could not be measured in the duet, so that nothing can be said about it."""
