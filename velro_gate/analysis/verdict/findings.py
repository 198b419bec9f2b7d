"""Requirement results and comparisons as findings: what is the matter in plain words, and what to do about it.

What fails or blocks is told row by row. What is only undecided, missing or advisory is told once for all the rows it concerns,
so that the reason for a verdict is never lost among its neighbours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Protocol

from velro_gate import units
from velro_gate.analysis.rows.wording import figure
from velro_gate.analysis.stored.unused_baselines import remedy
from velro_gate.analysis.verdict.failures import SEE_FAILURES, end_advice, failure_advice
from velro_gate.analysis.verdict.waivers import FILE as WAIVERS
from velro_gate.analysis.verdict.waivers import proposed
from velro_gate.model.metrics import METRICS, TAIL
from velro_gate.model.record import PhaseSummary
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Change, Comparison, Finding, Level, RequirementResult, RequirementStatus

CALIBRATE = "'velro-gate baseline calibrate' makes five baselines in one go from the accepted build"

SETTLE = (
    "Neither confirmed nor refuted. A base build measured side by side (start-command, --base-command), or two further runs in "
    "a second job on another machine (mode confirm), would settle it."
)

_REQUIREMENT_ADVICE = {
    RequirementStatus.MARGINAL: "Run again, or measure longer: the limit lies inside the interval of this measurement.",
    RequirementStatus.NOT_MEASURED: "Let the run measure it ('velro-gate check' lists what is watched), or drop it.",
    RequirementStatus.CRITICAL: "Mend this before anything else: beyond this level the service is of no use under this load.",
}
_RUN_AGAIN = "Run again and let it finish; a partial record is never judged as a whole."


def _advice(result: RequirementResult, phase: PhaseSummary | None) -> str:
    """What to do about a requirement that is not simply met."""
    metric = METRICS[result.requirement.metric]
    see_failures = SEE_FAILURES if phase is None else failure_advice(phase)
    if result.estimate is None and result.status is not RequirementStatus.NOT_MEASURED:
        return see_failures
    if (
        metric.of_counts
        and result.status in (RequirementStatus.MISSED, RequirementStatus.CRITICAL)
        and see_failures != SEE_FAILURES
    ):
        return see_failures
    if result.status is not RequirementStatus.MISSED:
        return _REQUIREMENT_ADVICE[result.status]
    return metric.advice


def requirement_findings(
    results: Sequence[RequirementResult],
    *,
    phases: Sequence[PhaseSummary] = (),
    unfinished: frozenset[str] = frozenset(),
) -> Iterator[Finding]:
    """One finding for each requirement that is not simply met, and one for those that are.

    phases: what was measured, for advice on failures. unfinished: phases that were not reached or did not run to their end, for
    which advice on what to measure would mislead.
    """
    measured = {phase.name: phase for phase in phases}
    ended = next((phase for phase in phases if phase.ended_by_service is not None), None)
    for result in results:
        if result.level > Level.PASS:
            advice = _RUN_AGAIN if result.phase in unfinished else _advice(result, measured.get(result.phase))
            if ended is not None and result.status is RequirementStatus.NOT_MEASURED:
                advice = end_advice(ended)
            yield Finding(level=result.level, subject=result.phase, sentence=result.sentence, advice=advice)
    if any(result.met for result in results):
        yield Finding(level=Level.PASS, subject="requirements", sentence=met_words(results))


def met_words(results: Sequence[RequirementResult]) -> str:
    """How many requirements are met, and how many of these only by the value itself; at least one requirement.

    The one count of them: a marginal one whose value is inside the limit is met, wherever that is said.
    """
    met = [result for result in results if result.met]
    marginal = sum(result.status is RequirementStatus.MARGINAL for result in met)
    if len(results) == 1 and met:
        return f"the one requirement is met{', marginally' if marginal else ''}"
    share = (
        f"all {len(met)} requirements are met"
        if len(met) == len(results)
        else f"{len(met)} of {len(results)} requirements are met"
    )
    return f"{share}, {marginal} of them marginally" if marginal else share


def comparison_findings(
    comparisons: Sequence[Comparison],
    *,
    skipped: Sequence[str],
    several: bool,
    doubted: frozenset[str] = frozenset(),
    today: date | None = None,
) -> Iterator[Finding]:
    """What the comparisons come to.

    Args:
        skipped: why stored runs were not used; told when there is nothing to compare with.
        several: the run has more than one phase, so sentences name theirs.
        doubted: phases that are broken for a reason that is told elsewhere.
        today: the day of the run; then a row of the waivers' file is proposed for each regression.
    """
    primary = [row for row in comparisons if row.primary]
    if primary and all(row.verdict is Change.NOT_COMPARED and row.level is Level.NO_BASELINE for row in primary):
        yield _no_baselines(skipped)
        return
    for row in primary:
        yield from _decided(row, several, today)
    # What blocks the run before what is merely open.
    yield from _not_compared([row for row in primary if row.phase not in doubted], several)
    open_rows = [row for row in primary if row.verdict is Change.INCONCLUSIVE and row.confirmation is None]
    yield from _undecided(open_rows, len(primary), several)
    yield from _no_latency(primary)
    yield from _advisory([row for row in comparisons if not row.primary and row.level is Level.WARN])
    yield from _unchanged(primary)


def _no_baselines(skipped: Sequence[str]) -> Finding:
    because = f" ({'; '.join(skipped[:3])})" if skipped else ""
    return Finding(
        level=Level.NO_BASELINE,
        subject="baselines",
        sentence=f"there is no baseline to compare with{because}: only the requirements were checked",
        advice=remedy(skipped),
    )


def _decided(row: Comparison, several: bool, today: date | None) -> Iterator[Finding]:
    """Rows that are told one by one: regressions, suspicions, improvements, and improvements that do not count."""
    step = "every step" if row.step == ALL_STEPS else row.step
    match row.verdict:
        case Change.REGRESSION | Change.SUSPICIOUS if row.waived:
            advice = "Mend it before the waiver expires."
        case Change.REGRESSION:
            advice = f"Look at what this change does in {step}. If the new level is wanted, {_acceptance(row, today)}."
        case Change.SUSPICIOUS if row.level is Level.WARN:
            advice = f"Too few baselines to know this runner's noise: five ({CALIBRATE}) or a base build would tell."
        case Change.SUSPICIOUS if row.pairs:
            advice = "Neither confirmed nor refuted: measure more pairs of blocks or longer ones, or use a quieter runner."
        case Change.SUSPICIOUS:
            advice = SETTLE
        case Change.IMPROVEMENT:
            advice = ""
        case Change.INCONCLUSIVE if row.level is Level.WARN:
            advice = "Mend the failing requests first, then compare again."
        case Change.INCONCLUSIVE if row.confirmation is not None:
            advice = _see_more(row)
        case _:
            return
    sentence = sentence_of(row, several=several)
    if row.verdict is Change.SUSPICIOUS and row.level is Level.WARN and not row.waived:
        sentence = f"looks worse, but too few runs are stored to tell: {sentence}"
    elif row.verdict is Change.SUSPICIOUS:
        sentence = f"suspicious, not confirmed: {sentence}"
    if row.reason and row.verdict is not Change.IMPROVEMENT:
        sentence = f"{sentence}; {row.reason}"
    yield Finding(level=row.level, subject=row.phase, sentence=sentence, advice=advice)


def _see_more(row: Comparison) -> str:
    """How the next run can see smaller changes than this one."""
    if row.pairs:
        return "To detect smaller changes, measure longer blocks (block-seconds, --block) or use a quieter runner."
    return (
        "To detect smaller changes, measure beside a base build (start-command, --base-command), use longer phases or a "
        "quieter runner, or store more baselines."
    )


def _acceptance(row: Comparison, today: date | None) -> str:
    """How a regression is agreed to."""
    if today is None and row.pairs and not row.k:
        return f"agree on it in a file of waivers ({WAIVERS})"
    if today is None:
        return "accept it after the merge with 'velro-gate baseline add --accept-change'"
    return f"agree on it in {WAIVERS}: {proposed(row, today)}"


def sentence_of(row: Comparison, *, several: bool = False) -> str:
    """A change in one sentence, with its interval, both figures, its p and the number of baselines.

    For example ``authorization_check p95 is 30 % slower than the baseline (+27 % to +33 %, 11.9 ms -> 15.5 ms, p < .001,
    5 baselines)``. An error rate is told in percentage points, since the baseline's is often zero.
    """
    metric = METRICS[row.metric]
    assert row.baseline is not None
    assert row.current is not None
    figures = f"{figure(metric.kind, row.baseline)} -> {figure(metric.kind, row.current)}"
    # p speaks for "worse"; beside an improvement it would only puzzle. Of a duet it is that of the whole family.
    p = _p(row.p_adjusted if row.pairs else row.p)
    behind = _evidence(row) if row.verdict is Change.IMPROVEMENT else f"{p}, {_evidence(row)}"
    where = f"{subject_of(row)}{f' in {row.phase}' if several else ''}"
    than = f"{_word(row)} than {'in the base build' if row.pairs else 'the baseline'}"
    if METRICS[row.metric].of_counts:
        points = (row.current - row.baseline) * 100.0
        return f"{where} is {abs(points):.2f} percentage points {than} ({figures}, {behind})"
    interval = f"{units.format_change(row.change_low)} to {units.format_change(row.change_high)}"
    return f"{where} is {_size(row.change)} {than} ({interval}, {figures}, {behind})"


class Figured(Protocol):
    """Whatever is about one figure."""

    @property
    def step(self) -> str:
        """The step, or all of them."""

    @property
    def metric(self) -> str:
        """By its name in the registry."""


def subject_of(row: Figured) -> str:
    """What a row is about: ``p95 of all steps``, ``authorization_check p95``."""
    label = METRICS[row.metric].label
    return f"{label} of all steps" if row.step == ALL_STEPS else f"{row.step} {label}"


def _word(row: Comparison) -> str:
    grew = row.current is not None and row.baseline is not None and row.current > row.baseline
    if METRICS[row.metric].quantile is not None:
        return "slower" if grew else "faster"
    return "higher" if grew else "lower"


def _undecided(rows: Sequence[Comparison], family: int, several: bool) -> Iterator[Finding]:
    for level in (Level.INCONCLUSIVE, Level.NO_BASELINE):
        alike = [row for row in rows if row.level is level]
        if not alike:
            continue
        worst = max(alike, key=lambda row: row.mde or 0.0)
        where = f"{subject_of(worst)}{f' in {worst.phase}' if several else ''}"
        found = f"for {where} only a worsening of {_size(worst.mde)} or more would have been found" if worst.mde else where
        if level is Level.INCONCLUSIVE:
            unit = "pair to pair" if worst.pairs else "run to run"
            yield Finding(
                level=level,
                subject="comparison",
                sentence=f"{len(alike)} of {family} comparisons are open, neither worse nor shown to be unchanged: {found} "
                f"(noise from {unit} {_noise(worst)}, {_evidence(worst)})",
                advice=_see_more(worst),
            )
        else:
            yield Finding(
                level=level,
                subject="baselines",
                sentence=f"{_baselines(worst.k)} are too few to show that nothing changed: {found}".replace(
                    "1 baseline are", "1 baseline is"
                ),
                advice=f"Five or more decide: {CALIBRATE}.",
            )


def _not_compared(rows: Sequence[Comparison], several: bool) -> Iterator[Finding]:
    """Rows that could not be compared, told once for each reason."""
    groups: dict[tuple[Level, str], list[Comparison]] = defaultdict(list)
    for row in rows:
        if row.verdict is Change.NOT_COMPARED:
            groups[row.level, row.reason].append(row)
    for (level, reason), alike in groups.items():
        names = _listed([f"{subject_of(row)}{f' in {row.phase}' if several else ''}" for row in alike])
        yield Finding(
            level=level,
            subject=alike[0].phase if len({row.phase for row in alike}) == 1 else "comparison",
            sentence=f"{names} {'is' if len(alike) == 1 else 'are'} not compared: {reason}",
            advice=_missing_advice(level, alike[0]),
        )


def _missing_advice(level: Level, row: Comparison) -> str:
    match level:
        case Level.BROKEN if row.pairs:
            return "See the base build's output and the log: every block has to show this figure, or take it out of 'primary'."
        case Level.BROKEN:
            return "The baselines or the scenario name this figure: let the run measure it again, or take it out of 'primary'."
        case Level.FAIL:
            return SEE_FAILURES
        case Level.NO_BASELINE:
            return f"Record the baselines anew: {CALIBRATE}."
        case _:
            return "Measure longer, or offer more requests: at least 30 have to lie beyond a quantile that is compared."


def _no_latency(primary: Sequence[Comparison]) -> Iterator[Finding]:
    """Figures that are too small to compare may not add up to a pass."""
    latencies = [row for row in primary if METRICS[row.metric].quantile is not None]
    if latencies and all(row.verdict is Change.NOT_COMPARED and row.level <= Level.WARN for row in latencies):
        against = "base build" if latencies[0].pairs else "baselines"
        yield Finding(
            level=Level.INCONCLUSIVE,
            subject="comparison",
            sentence=f"no response time could be compared with the {against}, because every phase had too few requests",
            advice=_missing_advice(Level.INCONCLUSIVE, latencies[0]),
        )


def _advisory(rows: Sequence[Comparison]) -> Iterator[Finding]:
    """One warning a phase, the largest changes first."""
    phases: dict[str, list[Comparison]] = defaultdict(list)
    for row in rows:
        phases[row.phase].append(row)
    for phase, alike in phases.items():
        moved = sorted((row for row in alike if row.verdict is not Change.NOT_COMPARED), key=lambda row: row.p or 0.0)
        missing = [row for row in alike if row.verdict is Change.NOT_COMPARED]
        if moved:
            yield Finding(
                level=Level.WARN,
                subject=phase,
                sentence=f"also worse in {phase}, for information: {_listed([_short(row) for row in moved])}",
                advice="These figures cannot fail a run; name them under 'primary' in the scenario's policy if they should.",
            )
        if missing:
            yield Finding(
                level=Level.WARN,
                subject=phase,
                sentence=f"for information, not compared in {phase}: {_listed([subject_of(row) for row in missing])}",
                advice=f"{missing[0].reason}.",
            )


def _unchanged(primary: Sequence[Comparison]) -> Iterator[Finding]:
    """What the comparison has shown to be no worse, and how small a worsening it would have seen."""
    shown = [row for row in primary if row.verdict in (Change.UNCHANGED, Change.IMPROVEMENT)]
    if not shown:
        return
    tails = [row.mde for row in shown if row.metric == TAIL and row.mde is not None]
    seen = f": a worsening of {METRICS[TAIL].label} by {_size(max(tails))} or more would have been seen" if tails else ""
    count = "any of the" if len(shown) == len(primary) else f"{len(shown)} of"
    behind = _evidence(max(shown, key=lambda row: row.k))
    yield Finding(
        level=Level.PASS,
        subject="comparison",
        sentence=f"no regression in {count} {len(primary)} comparisons with {behind}{seen}",
    )


def _short(row: Comparison) -> str:
    if METRICS[row.metric].of_counts and row.baseline is not None and row.current is not None:
        return f"{subject_of(row)} {units.format_share(row.baseline)} -> {units.format_share(row.current)}"
    return f"{subject_of(row)} {units.format_change(row.change)}"


def _noise(row: Comparison) -> str:
    if METRICS[row.metric].of_counts and row.noise is not None:
        return f"{row.noise * 100.0:.2f} percentage points"
    return _size(row.noise)


def _size(change: float | None) -> str:
    return units.format_change(change if change is None else abs(change)).removeprefix("+")


def _p(p: float | None) -> str:
    assert p is not None
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".")


def _evidence(row: Comparison) -> str:
    """What a comparison rests on."""
    if row.pairs:
        return "1 pair of blocks" if row.pairs == 1 else f"{row.pairs} pairs of blocks"
    runs = f"{row.runs} runs against " if row.runs > 1 else ""
    return f"{runs}{_baselines(row.k)}"


def _baselines(k: int) -> str:
    return "1 baseline" if k == 1 else f"{k} baselines"


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
