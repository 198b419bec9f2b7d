"""What was measured again of the phases in which a run looked worse: it confirms the suspicion, or clears it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from velro_gate.model.duet import DuetRecord
from velro_gate.model.record import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Further:
    """What was measured again after a run.

    runs: of this build alone, in the order of time. duet: of this build and its base build, instead of runs.
    missing: phase -> in a few words, why it was not measured again, or not as often as a confirmation takes. no_duet: why
    stored baselines stand in for a duet that was wanted; empty: none was wanted, or there is one. advice: what to do about
    that. second_job: whether another job made the runs. broken: this build could not be measured in the duet, so nothing can be
    said about it.
    """

    runs: tuple[RunRecord, ...] = ()
    duet: DuetRecord | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    no_duet: str = ""
    advice: str = ""
    second_job: bool = False
    broken: bool = False
