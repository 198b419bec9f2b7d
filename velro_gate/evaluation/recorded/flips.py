"""What another policy would have made of kept runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from velro_gate.model.verdict import Change, Level


class RunKind(Enum):
    """What a kept run was."""

    RUN = "run"
    BASELINE = "baseline"
    DUET = "duet"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFlip:
    """A comparison that comes out otherwise; None: it was not made."""

    phase: str
    step: str
    metric: str
    before: Change | None
    after: Change | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejudged:
    """One run judged by its own policy (before) and by another (after), against the ``baselines`` accepted before it."""

    id: str
    started_at: str
    place: str
    kind: RunKind
    baselines: int
    before: Level
    after: Level
    rows: tuple[RowFlip, ...]

    @property
    def flips(self) -> bool:
        """Whether the verdict changes."""
        return self.before is not self.after
