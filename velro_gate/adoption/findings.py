"""What the doctor says of one place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """fault: leads to damage or wrong verdicts, and has to be fixed. advice: would make the gate better."""

    FAULT = "fault"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorFinding:
    """One finding. rule: its name. where: ``file:line``, or a part of the machine. why: the harm. do: the cure."""

    rule: str
    severity: Severity
    where: str
    what: str
    why: str
    do: str

    def lines(self) -> list[str]:
        """For a terminal: the place and what, then why and what to do."""
        return [
            f"{self.severity}: {self.what}",
            f"where: {self.where}  ({self.rule})",
            f"why:   {self.why}",
            f"do:    {self.do}",
        ]
