"""What findings on experiments are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from velro_gate.model.verdict import ExpectationResult, RequirementStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentFailed:
    """An experiment that could not be begun, or not undone."""

    code: ClassVar = "experiment-failed"
    experiment: str
    repeat: int
    why: str
    """In words; empty where nothing is known of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationNotMet:
    """Something expected of an experiment that is not simply met."""

    result: ExpectationResult

    @property
    def code(self) -> str:
        """By how it fared."""
        return EXPECTATION_CODES[self.result.status]


EXPECTATION_CODES = {
    RequirementStatus.MARGINAL: "expectation-marginal",
    RequirementStatus.MISSED: "expectation-missed",
    RequirementStatus.NOT_MEASURED: "expectation-not-measured",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationsMet:
    """How many expectations are met."""

    code: ClassVar = "expectations-met"
    met: int
    of: int
