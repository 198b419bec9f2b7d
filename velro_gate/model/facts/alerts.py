"""What somebody has to look at on main, whoever made it so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from velro_gate.model.facts.outlook import Outlook
from velro_gate.model.verdict import Finding


class AlertKind(Enum):
    """Why."""

    REGRESSION = "regression"
    REQUIREMENT = "requirement"
    FAILURE = "failure"  # what else fails a run: requests that failed, a service that stopped responding
    DRIFT = "drift"
    FORECAST = "forecast"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One reason. Invariant: a forecast has an outlook, all else the finding that says it."""

    kind: AlertKind
    finding: Finding | None = None
    outlook: Outlook | None = None

    def __post_init__(self) -> None:
        if (self.outlook is None) is (self.kind is AlertKind.FORECAST) or (self.finding is None) is (self.outlook is None):
            raise ValueError("a forecast has an outlook, any other alert a finding")
