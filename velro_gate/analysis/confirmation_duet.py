"""A suspicion becomes a regression when the two builds, measured side by side, show it (decision.md, 3 and 4).

The screen compares with runs of other days and only chooses which phases are measured again. What decides is the duet, at its
own error rate: whatever made the day slow made the base build slow as well, and a suspicion that came from the day is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from velro_gate.analysis.block_figures import Figures, figures_of, unusable
from velro_gate.analysis.confirmation import margin_words, suspected
from velro_gate.analysis.duet import compare_pairs, least_worsening
from velro_gate.analysis.duet_verdict import duet_doubts
from velro_gate.analysis.family import Row
from velro_gate.analysis.stored import ROUNDING
from velro_gate.model.duet import Duet
from velro_gate.model.metrics import METRICS
from velro_gate.model.verdict import Change, Comparison, Confirmation, Level


def confirm_side_by_side(
    rows: Sequence[Comparison], duet: Duet, *, missing: Mapping[str, str] | None = None
) -> tuple[Comparison, ...]:
    """The comparisons of a run after its suspicious phases were measured beside the build that it starts from.

    Args:
        rows: what the screen found (``compare``).
        duet: pairs of blocks that hold the suspicious phases.
        missing: phase -> why it is not in them, where that is known.
    """
    why = missing or {}
    broken = next((doubt.sentence for doubt in duet_doubts(duet) if doubt.level is Level.BROKEN), "")
    beside = {(row.phase, row.step, row.metric): row for row in compare_pairs(duet)}
    return tuple(
        _confirmed(row, beside.get((row.phase, row.step, row.metric)), duet, why.get(row.phase) or broken)
        if suspected(row)
        else row
        for row in rows
    )


def _confirmed(row: Comparison, beside: Comparison | None, duet: Duet, doubt: str) -> Comparison:
    if doubt or beside is None or beside.verdict is Change.NOT_COMPARED:
        said = doubt or (beside.reason if beside is not None else "the pairs of blocks hold no such figure")
        return replace(row, verdict=Change.SUSPICIOUS, level=Level.INCONCLUSIVE, reason=said)
    found = _counted(row, duet, confirmed=beside.verdict is Change.REGRESSION)
    combined = replace(beside, primary=True, k=row.k, confirmation=found)
    opening = "confirmed" if found.confirmed else "not confirmed"
    said = f"{opening}: {found.worse} of {found.runs} pairs are worse by {margin_words(beside)} or more"
    match beside.verdict:
        case Change.REGRESSION:
            return replace(combined, reason=said)
        case Change.UNCHANGED | Change.IMPROVEMENT:
            kept = "it is unchanged" if beside.verdict is Change.UNCHANGED else "it is better"
            return replace(combined, reason=f"{said}: {kept} beside the build that it starts from")
        case _:
            said = f"{said}; {beside.reason}" if beside.reason else said
            return replace(combined, verdict=Change.INCONCLUSIVE, level=Level.INCONCLUSIVE, reason=said)


def _counted(row: Comparison, duet: Duet, *, confirmed: bool) -> Confirmation:
    """How many pairs are worse by the margin, each by itself."""
    metric = METRICS[row.metric]
    pairs = [pair for pair in duet.pairs if not unusable(pair)]
    figures = figures_of(Row(phase=row.phase, step=row.step, metric=metric, primary=True), pairs)
    assert isinstance(figures, Figures), "a row that was compared has figures"
    worse = int((figures.worsening >= least_worsening(metric, duet.policy) - ROUNDING).sum())
    return Confirmation(runs=len(pairs), worse=worse, confirmed=confirmed, side_by_side=True)
