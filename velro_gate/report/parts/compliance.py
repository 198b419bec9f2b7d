"""An assessment as strings: the score, each requirement's part in it, classes and checklists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from velro_gate import units
from velro_gate.analysis.compliance.assess import assess
from velro_gate.model.compliance.assessment import (
    Check,
    CheckState,
    Compliance,
    PhaseClass,
    Readiness,
    RequirementScore,
    Unscored,
)
from velro_gate.model.compliance.rules import NEEDS_WORK
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Level, Verdict
from velro_gate.report.parts.rows import ordered_requirements, status_word, value_words
from velro_gate.report.sentences import compliance as said
from velro_gate.report.text import figures
from velro_gate.report.text.phrase import Phrase


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """One requirement's part in the score."""

    phase: str
    subject: Phrase
    value: str
    target: str
    critical: str
    headroom: str
    gap: str
    weight: str
    points: str
    status: str
    level: str
    remedy: str
    few: bool
    """Whether its quantile has few responses beyond it, which ``value`` marks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """The class of one phase."""

    phase: str
    p95: str
    throughput: str
    hit_rate: str
    name: str
    few: bool
    """Whether its p95 has few responses beyond it, which is marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """One item of a checklist."""

    glyph: str
    state: str
    tone: str
    """The level as which it is coloured; 'open' for what was not measured."""
    title: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceView:
    """Everything that a report shows of an assessment."""

    score: str
    unscored: str
    readiness: str
    reservations: str
    """What keeps the run from being ready; empty where nothing does."""
    tone: str
    classes: str
    """The classes of all phases in a few words."""
    rows: list[ScoreRow]
    phases: list[ClassRow]
    checklist: list[CheckRow]
    criteria: list[CheckRow]
    impact: str
    formula: str


_GLYPHS = {CheckState.DONE: "☑", CheckState.FAILED: "☒", CheckState.OPEN: "☐"}
_TONES = {CheckState.DONE: Level.PASS.word, CheckState.FAILED: Level.FAIL.word, CheckState.OPEN: "open"}
_READY = {
    Readiness.READY: Level.PASS,
    Readiness.RESERVATIONS: Level.WARN,
    Readiness.NOT_READY: Level.FAIL,
    Readiness.UNKNOWN: Level.INCONCLUSIVE,
}


def compliance_view(record: RunRecord, verdict: Verdict) -> ComplianceView:
    """The view of one run's assessment."""
    found = assess(record, verdict)
    order = {id(one): place for place, one in enumerate(ordered_requirements(verdict.requirements, record))}
    return ComplianceView(
        score=said.score_words(found),
        unscored=said.unscored_words(found),
        readiness=said.READINESS[found.readiness],
        reservations=said.reservation_words(found, verdict.level),
        tone=_READY[found.readiness].word,
        classes=classes_line(found.phases),
        rows=[_score_row(row) for row in sorted(found.rows, key=lambda row: order[id(row.result)])],
        phases=[_class_row(phase) for phase in found.phases],
        checklist=[_check_row(check, said.CHECK_STATES) for check in found.checklist],
        criteria=[_check_row(check, said.CRITERION_STATES) for check in found.criteria],
        impact="" if found.impact is None else said.impact_words(found.impact),
        formula="" if found.impact is None else said.impact_formula(found.impact),
    )


def compliance_line(found: Compliance) -> str:
    """Score and classes in one line: ``97.2 %, excellent (production ready); phases: 4 excellent, 2 good``.

    Empty where the measurement is broken: then nothing is said of the service.
    """
    if found.unscored is Unscored.BROKEN:
        return ""
    score, classes = said.score_or_reason(found), classes_line(found.phases)
    return f"{score}; {classes}" if classes else score


def classes_line(phases: Sequence[PhaseClass]) -> str:
    """``phases: 4 excellent, 2 good``; empty where no phase has a class."""
    names = [phase.name for phase in phases if phase.name is not None]
    counted = ", ".join(f"{names.count(name)} {_of_several(name, names.count(name))}" for name in dict.fromkeys(names))
    return f"phases: {counted}" if counted else ""


def _of_several(name: str, number: int) -> str:
    """A band's name behind a number of phases; of those only the last one is a verb."""
    return "need work" if name == NEEDS_WORK and number > 1 else name


def _score_row(row: RequirementScore) -> ScoreRow:
    result = row.result
    wanted, found = result.requirement, result.estimate
    return ScoreRow(
        phase=result.phase,
        subject=figures.subject_phrase(wanted.metric, wanted.step),
        value=value_words(result),
        target=figures.limit(wanted),
        critical=figures.critical(wanted),
        headroom=figures.headroom(result.headroom),
        gap=said.gap_words(row),
        weight=units.format_number(row.weight),
        points=units.trim_zeros(units.format_share(row.points)),
        status=status_word(result),
        level=result.level.word,
        remedy=said.remedy_words(row),
        few=figures.has_few(wanted.metric, found),
    )


def _class_row(found: PhaseClass) -> ClassRow:
    p95, throughput, hit_rate = map(said.figure_class_words, found.figures)
    return ClassRow(
        phase=found.phase,
        p95=p95,
        throughput=throughput,
        hit_rate=hit_rate,
        name=said.class_words(found),
        few=any(figures.has_few(one.metric, one.estimate) for one in found.figures),
    )


def _check_row(check: Check, states: Mapping[CheckState, str]) -> CheckRow:
    return CheckRow(
        glyph=_GLYPHS[check.state],
        state=states[check.state],
        tone=_TONES[check.state],
        title=said.check_title(check),
        reason=said.check_reason(check),
    )
