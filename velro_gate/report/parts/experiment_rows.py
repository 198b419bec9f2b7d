"""What was expected of experiments as rows of strings."""

from __future__ import annotations

from dataclasses import dataclass, replace

from velro_gate.model.verdict import ExpectationResult, Level, Verdict
from velro_gate.report.parts.rows import GLYPHS, NOT_JUDGED, OPEN
from velro_gate.report.sentences.kinds.experiments import (
    expectation_figure,
    expectation_limit,
    expectation_sentence,
    expectation_subject,
    experiment_name,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationRow:
    """One expectation, ready to print."""

    phase: str
    experiment: str
    subject: str
    limit: str
    value: str
    status: str
    level: str
    glyph: str
    note: str


def expectation_row(result: ExpectationResult) -> ExpectationRow:
    """The strings of one result."""
    return ExpectationRow(
        phase=result.phase,
        experiment=experiment_name(result.experiment, result.repeat),
        subject=expectation_subject(result.expectation),
        limit=expectation_limit(result.expectation),
        value=expectation_figure(result),
        status=result.status.value,
        level=result.level.word,
        glyph=GLYPHS[result.level],
        note=expectation_sentence(result),
    )


def expectation_rows(verdict: Verdict) -> list[ExpectationRow]:
    """All of them, in the plan's order; those of a broken measurement are neither met nor missed."""
    made = [expectation_row(result) for result in verdict.expectations]
    if verdict.level is not Level.BROKEN:
        return made
    return [
        row if result.estimate is None else replace(row, status=NOT_JUDGED, level=OPEN, glyph="·")
        for row, result in zip(made, verdict.expectations, strict=True)
    ]


def expectation_count(verdict: Verdict) -> str:
    """``5 of 6 met``, or that none is judged."""
    if verdict.level is Level.BROKEN:
        return NOT_JUDGED
    return f"{sum(result.met for result in verdict.expectations)} of {len(verdict.expectations)} met"
