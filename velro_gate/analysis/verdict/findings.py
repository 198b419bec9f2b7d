"""Requirement results, leaks and comparisons as findings.

What fails or blocks is a finding row by row. What is only undecided, missing or advisory is one finding for all the rows it
concerns, so that the reason for a verdict is never lost among its neighbours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date

from velro_gate.analysis.verdict.failures import failing
from velro_gate.model.facts.findings import (
    AdvisoryNotCompared,
    AdvisoryWorse,
    Ended,
    Failing,
    Leak,
    NoBaseline,
    NoLatencyCompared,
    NoRegression,
    RequirementNotMet,
    RequirementsMet,
    RowDecided,
    RowsNotCompared,
    RowsOpen,
    TooFewBaselines,
)
from velro_gate.model.facts.reasons import Reason
from velro_gate.model.facts.unused import UnusedRuns
from velro_gate.model.metrics import CAPACITIES, LEAKS, METRICS
from velro_gate.model.record import PhaseSummary
from velro_gate.model.verdict import Change, Comparison, Finding, Level, RequirementResult, RequirementStatus


def requirement_findings(
    results: Sequence[RequirementResult],
    *,
    phases: Sequence[PhaseSummary] = (),
    unfinished: frozenset[str] = frozenset(),
) -> Iterator[Finding]:
    """One finding for each requirement that is not simply met, one for those that are, and a warning for each leak.

    phases: what was measured, for advice on failures. unfinished: phases that were not reached or did not run to their end, for
    which advice on what to measure would mislead.
    """
    measured = {phase.name: phase for phase in phases}
    ended = next((phase for phase in phases if phase.ended_by_service), None)
    for result in results:
        if result.level > Level.PASS:
            because = ended if result.status is RequirementStatus.NOT_MEASURED else None
            phase = because or measured.get(result.phase)
            facts = RequirementNotMet(
                result=result,
                failing=Failing.OTHERWISE if phase is None else failing(phase),
                unfinished=result.phase in unfinished,
                ended=None if because is None else Ended.EARLY if because.service_gone is None else Ended.STOPPED,
            )
            yield Finding(level=result.level, subject=result.phase, facts=facts)
    met = [result for result in results if result.met]
    if met:
        # A marginal one whose value is inside the limit is met, wherever that is said.
        marginal = sum(result.status is RequirementStatus.MARGINAL for result in met)
        counts = RequirementsMet(met=len(met), marginal=marginal, of=len(results))
        yield Finding(level=Level.PASS, subject="requirements", facts=counts)
    yield from leak_findings(phases, results)


def leak_findings(phases: Sequence[PhaseSummary], results: Sequence[RequirementResult]) -> Iterator[Finding]:
    """A warning for what certainly grew, phase by phase, where no requirement on it says so already."""
    required = {(result.phase, result.requirement.metric) for result in results if result.level > Level.PASS}
    for phase in phases:
        for metric, least in LEAKS.items():
            found = phase.measurement(metric)
            if found is not None and found.low > least and (phase.name, metric) not in required:
                facts = Leak(phase=phase.name, metric=metric, growth=found.value, low=found.low, high=found.high)
                yield Finding(level=Level.WARN, subject=phase.name, facts=facts)


def comparison_findings(
    comparisons: Sequence[Comparison],
    *,
    skipped: Sequence[UnusedRuns],
    several: bool,
    doubted: frozenset[str] = frozenset(),
    today: date | None = None,
    duet_doubted: bool = False,
) -> Iterator[Finding]:
    """The findings of the comparisons.

    Args:
        skipped: why stored runs were not used; reported when there is nothing to compare with.
        several: the run has more than one phase, so sentences name theirs.
        doubted: phases that are broken for a reason that is reported elsewhere.
        today: the day of the run; then a row of the waivers' file is proposed for each regression.
        duet_doubted: pairs of blocks were measured that cannot be trusted.
    """
    primary = [row for row in comparisons if row.primary]
    if primary and all(row.verdict is Change.NOT_COMPARED and row.level is Level.NO_BASELINE for row in primary):
        search = all(row.metric in CAPACITIES for row in primary)
        yield Finding(level=Level.NO_BASELINE, subject="baselines", facts=NoBaseline(skipped=tuple(skipped), search=search))
        return
    for row in primary:
        if _is_decided(row):
            yield Finding(
                level=row.level,
                subject=row.phase,
                facts=RowDecided(row=row, several=several, today=today, duet_doubted=duet_doubted),
            )
    # What blocks the run before what is merely open.
    yield from _not_compared([row for row in primary if row.phase not in doubted], several)
    open_rows = [row for row in primary if row.verdict is Change.INCONCLUSIVE and row.confirmation is None]
    yield from _undecided(open_rows, len(primary), several, duet_doubted)
    yield from _no_latency(primary)
    yield from _advisory([row for row in comparisons if not row.primary and row.level is Level.WARN])
    shown = tuple(row for row in primary if row.verdict in (Change.UNCHANGED, Change.IMPROVEMENT))
    if shown:
        yield Finding(level=Level.PASS, subject="comparison", facts=NoRegression(rows=shown, family=len(primary)))


def _is_decided(row: Comparison) -> bool:
    """Whether a row is reported by itself: regressions, suspicions, improvements, and improvements that do not count."""
    match row.verdict:
        case Change.REGRESSION | Change.SUSPICIOUS | Change.IMPROVEMENT:
            return True
        case Change.INCONCLUSIVE:
            return row.level is Level.WARN or row.confirmation is not None
        case _:
            return False


def _undecided(rows: Sequence[Comparison], family: int, several: bool, duet_doubted: bool) -> Iterator[Finding]:
    alike = tuple(row for row in rows if row.level is Level.INCONCLUSIVE)
    few = tuple(row for row in rows if row.level is Level.NO_BASELINE)
    if alike:
        facts = RowsOpen(rows=alike, family=family, several=several, duet_doubted=duet_doubted)
        yield Finding(level=Level.INCONCLUSIVE, subject="comparison", facts=facts)
    if few:
        yield Finding(level=Level.NO_BASELINE, subject="baselines", facts=TooFewBaselines(rows=few, several=several))


def _not_compared(rows: Sequence[Comparison], several: bool) -> Iterator[Finding]:
    """Rows that could not be compared, one finding for each reason."""
    groups: dict[tuple[Level, tuple[Reason, ...]], list[Comparison]] = defaultdict(list)
    for row in rows:
        if row.verdict is Change.NOT_COMPARED:
            groups[row.level, row.reasons].append(row)
    for (level, _), alike in groups.items():
        subject = alike[0].phase if len({row.phase for row in alike}) == 1 else "comparison"
        yield Finding(level=level, subject=subject, facts=RowsNotCompared(rows=tuple(alike), level=level, several=several))


def _no_latency(primary: Sequence[Comparison]) -> Iterator[Finding]:
    """Figures that are too small to compare may not add up to a pass."""
    latencies = [row for row in primary if METRICS[row.metric].quantile is not None]
    if latencies and all(row.verdict is Change.NOT_COMPARED and row.level <= Level.WARN for row in latencies):
        facts = NoLatencyCompared(side_by_side=bool(latencies[0].pairs))
        yield Finding(level=Level.INCONCLUSIVE, subject="comparison", facts=facts)


def _advisory(rows: Sequence[Comparison]) -> Iterator[Finding]:
    """One warning a phase, the most certain changes first."""
    phases: dict[str, list[Comparison]] = defaultdict(list)
    for row in rows:
        phases[row.phase].append(row)
    for phase, alike in phases.items():
        moved = tuple(sorted((row for row in alike if row.verdict is not Change.NOT_COMPARED), key=lambda row: row.p or 0.0))
        missing = tuple(row for row in alike if row.verdict is Change.NOT_COMPARED)
        if moved:
            yield Finding(level=Level.WARN, subject=phase, facts=AdvisoryWorse(phase=phase, rows=moved))
        if missing:
            yield Finding(level=Level.WARN, subject=phase, facts=AdvisoryNotCompared(phase=phase, rows=missing))
