"""Changes for the worse that reviewers have agreed to, for a while and up to a ceiling."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from velro_gate.model.metrics import METRICS


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One row of velro-waivers.yaml."""

    phase: str
    step: str
    metric: str
    ceiling: float
    """The relative worsening that is agreed to, 0.3 = 30 %; of an error rate, the share of requests more that may fail."""
    expires: date
    """The last day on which it holds."""
    issue: str
    reason: str
    where: str = ""
    """Its place in the file, for messages."""

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"unknown metric {self.metric!r}")
        if not 0.0 < self.ceiling < 100.0:
            raise ValueError(f"a ceiling is a worsening above nothing, not {self.ceiling}")
        if not (self.issue.strip() and self.reason.strip()):
            raise ValueError("a waiver names its issue and its reason")

    @property
    def subject(self) -> str:
        """What it is about, in one phrase."""
        return f"{METRICS[self.metric].label} of {self.step} in {self.phase}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverProposal:
    """A waiver that somebody may agree on: everything but issue and reason."""

    phase: str
    step: str
    metric: str
    ceiling: float
    """In the terms of a waiver's; rounded up where it is written down."""
    expires: date
