"""Requirement and comparison rows as strings, the worst first where a reader must choose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from velro_gate import units
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Change, Comparison, Level, RequirementResult, RequirementStatus
from velro_gate.report.sentences.kinds.requirements import requirement_sentence
from velro_gate.report.sentences.reasons import confirmation_words, row_reason
from velro_gate.report.text import figures
from velro_gate.report.text.phrase import Phrase

GLYPHS = {
    Level.PASS: "✅",
    Level.WARN: "⚠️",
    Level.NO_BASELINE: "🆕",
    Level.INCONCLUSIVE: "❔",
    Level.FAIL: "❌",
    Level.BROKEN: "🚫",
}
"""One sign for each level, always together with the word, never instead of it."""

OPEN = "open"
"""The tone of a row that blocks nothing because nothing was found out."""

MOVED = frozenset({Change.REGRESSION, Change.SUSPICIOUS, Change.IMPROVEMENT})
_PLAIN_SOURCES = frozenset({"phase", "step"})
PROMINENT = 12
"""Requirements shown open in a comment before the cleanly met ones of ordinary phases are folded away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementRow:
    """One requirement, ready to print."""

    phase: str
    subject: Phrase
    limit: str
    critical: str
    value: str
    headroom: str
    status: str
    level: str
    glyph: str
    note: str
    few: bool
    """Whether its quantile has few responses beyond it, which ``value`` marks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """One comparison, ready to print."""

    phase: str
    subject: Phrase
    baseline: str
    current: str
    change: str
    finding: str
    level: str
    tone: str
    """How it is coloured: as its level, or 'open' where nothing was established, which must never look like a pass."""
    glyph: str
    primary: bool
    mde: str
    p: str
    note: str
    """Why it was not compared, if so."""
    confirmation: str
    """The result of measuring it again, in a few words."""


NOT_JUDGED = "not judged"
"""The status of a figure whose measurement is broken: neither for nor against the service."""


def requirement_row(result: RequirementResult, *, judged: bool = True) -> RequirementRow:
    """The strings of one result. judged: whether the measurement can be trusted."""
    wanted = result.requirement
    plain = judged or result.estimate is None
    return RequirementRow(
        phase=result.phase,
        subject=figures.subject_phrase(wanted.metric, wanted.step),
        limit=figures.limit(wanted),
        critical=figures.critical(wanted),
        value=value_words(result),
        headroom=figures.headroom(result.headroom),
        status=status_word(result) if plain else NOT_JUDGED,
        level=result.level.word if plain else OPEN,
        glyph=GLYPHS[result.level] if plain else "·",
        note=requirement_sentence(result),
        few=figures.has_few(wanted.metric, result.estimate),
    )


def status_word(result: RequirementResult) -> str:
    """``met``, ``marginal, met`` and so on: what a marginal value itself says is part of the word."""
    if result.status is RequirementStatus.MARGINAL:
        return f"marginal, {'met' if result.met else 'missed'}"
    return str(result.status.value)


def comparison_row(row: Comparison) -> ComparisonRow:
    """The strings of one comparison."""
    compared = row.verdict is not Change.NOT_COMPARED
    return ComparisonRow(
        phase=row.phase,
        subject=figures.subject_phrase(row.metric, row.step),
        baseline=figures.figure(row.metric, row.baseline) if compared else figures.NOTHING,
        current=figures.figure(row.metric, row.current),
        change=_change(row) if compared else figures.NOTHING,
        finding=row.verdict.value,
        level=row.level.word,
        tone=OPEN if _left_open(row) else row.level.word,
        glyph=_comparison_glyph(row),
        primary=row.primary,
        mde=figures.detectable_words(row.mde) if row.mde is not None else figures.NOTHING,
        p=units.format_probability(row.p_adjusted if row.p_adjusted is not None else row.p) if compared else figures.NOTHING,
        note=row_reason(row),
        confirmation=confirmation_words(row.confirmation) if row.confirmation is not None else "",
    )


def value_words(result: RequirementResult) -> str:
    """The figure with its interval; of connections also its source, since a configured size is not a measured number."""
    found = result.estimate
    metric = result.requirement.metric
    shown, spread = figures.marked(metric, found), figures.interval(metric, found)
    shown = f"{shown} ({spread})" if spread else shown
    note = figures.origin(found) if found is not None and any(each.origin for each in METRICS[metric].readings) else ""
    return f"{shown} ({note})" if note else shown


def _change(row: Comparison) -> str:
    """The change, or a dash where a baseline of zero leaves no relative change to state."""
    text = figures.change_with_interval(row)
    return figures.NOTHING if text == figures.MISSING else text


def _comparison_glyph(row: Comparison) -> str:
    if row.verdict is Change.IMPROVEMENT and row.level is Level.PASS:
        return "🟢"
    return "·" if _left_open(row) else GLYPHS[row.level]


def _left_open(row: Comparison) -> bool:
    """Whether the row blocks nothing and yet shows nothing: what was not measured, or not decided, is not green."""
    return row.level is Level.PASS and row.verdict in (Change.NOT_COMPARED, Change.INCONCLUSIVE)


def ordered_requirements(results: Sequence[RequirementResult], record: RunRecord) -> list[RequirementResult]:
    """By phase in the plan's order; inside a phase the worst first, then as written."""
    place = {phase.name: index for index, phase in enumerate(record.plan.phases)}
    return sorted(results, key=lambda result: (place.get(result.phase, len(place)), -result.level))


def prominent_requirements(results: Sequence[RequirementResult]) -> list[RequirementResult]:
    """Those a comment shows open: all of a few, else every one that is not cleanly met and every one from the PRD."""
    if len(results) <= PROMINENT:
        return list(results)
    chosen = [result for result in results if not cleanly_met(result) or result.requirement.source not in _PLAIN_SOURCES]
    return chosen or [tightest(results)]


def cleanly_met(result: RequirementResult) -> bool:
    """Whether nobody needs to look at it."""
    return result.status is RequirementStatus.MET and result.level is Level.PASS


def tightest(results: Iterable[RequirementResult]) -> RequirementResult:
    """The result with the least headroom; those without a figure count as having none."""
    known = list(results)
    # A plain count such as the users held meets its limit exactly whenever all goes well: that says nothing.
    sampled = [result for result in known if result.estimate is None or result.estimate.low < result.estimate.high]
    return min(sampled or known, key=lambda result: (result.headroom is not None, result.headroom or 0.0))


def worst_comparisons(rows: Iterable[Comparison]) -> list[Comparison]:
    """Every row that moved, or may have moved and so holds the verdict back; the worst first."""
    worth_showing = [row for row in rows if _is_worth_showing(row)]
    return sorted(worth_showing, key=lambda row: (-row.level, not row.primary, -sortable_worsening(row)))


def _is_worth_showing(row: Comparison) -> bool:
    """Whether a reader has to see this row: not what is unchanged, nor what only had no baselines, which the count shows."""
    match row.verdict:
        case Change.INCONCLUSIVE:
            return row.level > Level.NO_BASELINE
        case Change.NOT_COMPARED:
            # A figure that may fail the run and was not compared may be the one that has changed.
            return row.primary and row.level not in (Level.PASS, Level.NO_BASELINE)
        case _:
            return row.verdict in MOVED


def rows_by_phase(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """The rows phase by phase, the phase of the first row first, so that a table names each phase once."""
    phases = list(dict.fromkeys(row.phase for row in rows))
    return sorted(rows, key=lambda row: phases.index(row.phase))


def sortable_worsening(row: Comparison) -> float:
    """The size of a change, + for worse, on a scale on which rows of all metrics can be put in order."""
    if row.change is None:
        return row.worse or 0.0
    return row.change * METRICS[row.metric].worse_sign
