"""The duet decides: its answer takes the place of every row of the phases that were measured side by side (decision.md, 4).

The screen compares with runs of other days and only chooses which phases are measured again. What decides is the duet, at its
own error rate: whatever made the day slow made the base build slow as well. So of these phases nothing of the screen stays
where the pairs answer. Where they do not, the screen alone fails nothing: its regressions become suspicions, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from velro_gate.analysis.duet.block_figures import BuildFigures, figures_of, unusable
from velro_gate.analysis.duet.comparison import compare_pairs, least_worsening
from velro_gate.analysis.duet.trust import builds_stopped, duet_doubts, stopped_builds
from velro_gate.analysis.rows.family import Row
from velro_gate.analysis.stored.confirmation import reason_given, suspected
from velro_gate.analysis.stored.rules import ROUNDING
from velro_gate.model.duet import Duet
from velro_gate.model.facts.doubts import StoredInstead, TrustFacts
from velro_gate.model.facts.reasons import Again, BuildStopped, DuetDoubted, NoPairFigure, PairsAgain, PairsWorse, Reason
from velro_gate.model.metrics import METRICS
from velro_gate.model.verdict import Change, Comparison, Confirmation, Finding, Level, Trust, TrustFinding

_Key = tuple[str, str]
"""Step and metric of a row; the phase is known."""

_UNDECIDED = (Change.INCONCLUSIVE, Change.SUSPICIOUS)


def confirm_side_by_side(
    rows: Sequence[Comparison], duet: Duet, *, missing: Mapping[str, Reason | str] | None = None
) -> tuple[Comparison, ...]:
    """The comparisons of a run after some of its phases were measured side by side with the base build.

    Every row of such a phase is that of the duet, those included that the screen did not have. A row stays the screen's where
    the pairs hold no answer: in a phase without pairs, in a duet that cannot be trusted, for a figure that was not compared.
    A head build that crashes in the duet is not a row: ``died_side_by_side`` finds that.

    Args:
        rows: what the screen found (``compare``).
        duet: pairs of blocks of the phases that were measured again.
        missing: phase -> why it is not in them, where that is known.
    """
    why = {phase: reason_given(reason) for phase, reason in (missing or {}).items()}
    compared = compare_pairs(duet)
    reasons: list[TrustFacts | BuildStopped] = [
        each.facts for each in duet_doubts(duet, compared) if each.trust is Trust.BROKEN
    ]
    reasons += [facts for level, facts in builds_stopped(duet) if level is Level.BROKEN]
    broken = DuetDoubted(because=reasons[0]) if reasons else None
    paired: dict[str, dict[_Key, Comparison]] = {}
    for row in compared:
        paired.setdefault(row.phase, {})[row.step, row.metric] = row
    found: list[Comparison] = []
    for phase in dict.fromkeys(row.phase for row in rows):
        alike = [row for row in rows if row.phase == phase]
        reason = why.get(phase) or broken
        if reason or phase not in paired:
            found += [_unanswered(row, reason or NoPairFigure()) for row in alike]
        else:
            found += _answered(alike, paired[phase], duet)
    return tuple(found)


def doubts_side_by_side(duet: Duet) -> Iterator[TrustFinding]:
    """What speaks against the pairs, as caveats: where they cannot be trusted, the stored comparison stands in.

    Then nothing else is said of their blocks: no figure of them is in the verdict, which would be doubted for theirs.
    """
    doubts = list(duet_doubts(duet, compare_pairs(duet)))
    broken = [doubt for doubt in doubts if doubt.trust is Trust.BROKEN]
    if not broken:
        yield from doubts
    for doubt in broken:
        assert not isinstance(doubt.facts, StoredInstead), "it is found here alone"
        yield replace(doubt, trust=Trust.CAVEAT, facts=StoredInstead(because=doubt.facts))


def died_side_by_side(duet: Duet) -> Iterator[Finding]:
    """That the head build crashed under the load of the duet, which fails the run by itself."""
    yield from (each for each in stopped_builds(duet) if each.level is Level.FAIL)


def _unanswered(row: Comparison, *reasons: Reason) -> Comparison:
    """What the screen found, where nobody looked again."""
    return replace(row, verdict=Change.SUSPICIOUS, level=Level.INCONCLUSIVE, reasons=reasons) if suspected(row) else row


def _answered(rows: Sequence[Comparison], paired: Mapping[_Key, Comparison], duet: Duet) -> Iterator[Comparison]:
    """All rows of one phase: the screen's order, then what only the duet compared; primary ones first, as everywhere."""
    screened = {(row.step, row.metric): row for row in rows}
    merged = [_decided(row, paired.get(key), duet) for key, row in screened.items()]
    merged += [row for key, row in paired.items() if key not in screened]
    yield from sorted(merged, key=lambda row: not row.primary)


def _decided(row: Comparison, paired: Comparison | None, duet: Duet) -> Comparison:
    # A head build that answers nothing, or far less than the base build, has answered by that.
    silent = paired is None or (paired.verdict is Change.NOT_COMPARED and paired.level not in (Level.FAIL, Level.INCONCLUSIVE))
    if paired is None or silent:
        return _unanswered(row, *(paired.reasons if paired is not None else (NoPairFigure(),)))
    if paired.verdict is Change.NOT_COMPARED:
        return replace(paired, primary=paired.primary or row.primary, k=row.k)
    combined = replace(paired, k=row.k)
    if row.primary and not paired.primary:
        # In the duet it was not a member of the family that may fail a run, so it cannot fail this one either.
        level = Level.INCONCLUSIVE if paired.verdict in _UNDECIDED else Level.PASS
        combined = replace(combined, primary=True, level=level)
    return _confirmed(combined, duet) if suspected(row) else combined


def _confirmed(row: Comparison, duet: Duet) -> Comparison:
    """A row that the screen suspected: the result of the pairs is reported as the answer to that."""
    counted = _counted(row, duet, confirmed=row.verdict is Change.REGRESSION)
    found = {Change.UNCHANGED: Again.UNCHANGED, Change.IMPROVEMENT: Again.BETTER, Change.REGRESSION: Again.CONFIRMED}
    again = PairsAgain(
        worse=counted.worse, pairs=counted.runs, margin=row.margin, found=found.get(row.verdict, Again.UNDECIDED)
    )
    # How many pairs are worse is said already.
    more = [one for one in row.reasons if not isinstance(one, PairsWorse)] if row.verdict in _UNDECIDED else []
    return replace(row, reasons=(again, *more), confirmation=counted)


def _counted(row: Comparison, duet: Duet, *, confirmed: bool) -> Confirmation:
    """How many pairs are worse by the margin, each by itself."""
    metric = METRICS[row.metric]
    pairs = [pair for pair in duet.pairs if not unusable(pair)]
    figures = figures_of(Row(phase=row.phase, step=row.step, metric=metric, primary=True), pairs)
    assert isinstance(figures, BuildFigures), "a row that was compared has figures"
    worse = int((figures.worsening >= least_worsening(metric, duet.policy, figures.level) - ROUNDING).sum())
    return Confirmation(runs=len(pairs), worse=worse, confirmed=confirmed, side_by_side=True)
