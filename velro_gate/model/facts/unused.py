"""Stored runs that a run is not compared with, and why, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class WhyUnused(Enum):
    """Why stored runs are not compared with; the values are codes that stay."""

    UNREADABLE = "unreadable"
    SCENARIO = "other-scenario"
    PROFILE = "other-profile"
    PLAN = "other-plan"
    ENVIRONMENT = "other-environment"
    QUARANTINED = "quarantined"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedRuns:
    """Stored runs that are not used, all for one reason."""

    why: WhyUnused
    runs: int = 1
    detail: str = ""
    """The other scenario or profile, what differs in plan or environment, or the file that cannot be read and its fault."""

    @property
    def code(self) -> str:
        """By the reason."""
        return self.why.value
