"""What the doctor says of one place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters."""

    FAULT = "fault"
    """Leads to damage or wrong verdicts, and has to be fixed."""
    ADVICE = "advice"
    """Would make the gate better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorFinding:
    """One finding."""

    rule: str
    """The rule that it breaks."""
    severity: Severity
    where: str
    """``file:line``, or a part of the machine."""
    what: str
    why: str
    """What harm it does."""
    do: str
    """What to do about it."""

    def lines(self) -> list[str]:
        """For a terminal: the place and what, then why and what to do."""
        return [
            f"{self.severity}: {self.what}",
            f"where: {self.where}  ({self.rule})",
            f"why:   {self.why}",
            f"do:    {self.do}",
        ]
