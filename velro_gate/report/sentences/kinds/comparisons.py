"""Comparisons, worded: what moved, by how much, on what evidence, and what to do."""

from __future__ import annotations

from velro_gate import units
from velro_gate.analysis.verdict.waivers import FILE as WAIVERS
from velro_gate.model.facts.findings import (
    AdvisoryNotCompared,
    AdvisoryWorse,
    Failing,
    NoLatencyCompared,
    NoRegression,
    RowDecided,
    RowsNotCompared,
    RowsOpen,
    TooFewBaselines,
    WaiverExpired,
    WaiverUnmatched,
)
from velro_gate.model.metric.broken import is_of_experiment
from velro_gate.model.metrics import METRICS, TAIL, MetricKind
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Change, Comparison, Level
from velro_gate.report.sentences.baselines import CALIBRATE
from velro_gate.report.sentences.kinds.failures import LOOK
from velro_gate.report.sentences.reasons import reasons_words, row_reason
from velro_gate.report.sentences.waivers import proposed_row
from velro_gate.report.text import figures
from velro_gate.report.text.words import Words, listed, subject

_FIVE = f"{CALIBRATE} records five baselines of the accepted build in one go"
_SETTLE = (
    "Neither confirmed nor refuted. A base build measured side by side (start-command, --base-command), or two further runs in "
    "a second job on another machine (mode confirm), would decide it."
)
_MEASURE_LONGER = "Measure longer, or offer more requests: at least 30 have to lie beyond a quantile that is compared."


def row_decided(facts: RowDecided) -> Words:
    """A row that is reported by itself."""
    row = facts.row
    sentence = change_sentence(row, several=facts.several)
    if row.verdict is Change.SUSPICIOUS and not row.waived:
        few = row.level is Level.WARN
        opening = "looks worse, but too few runs are stored to decide" if few else "suspicious, not confirmed"
        sentence = f"{opening}: {sentence}"
    elif row.verdict is Change.SUSPICIOUS:
        sentence = f"suspicious, not confirmed: {sentence}"
    reason = row_reason(row)
    if reason and row.verdict is not Change.IMPROVEMENT:
        sentence = f"{sentence}; {reason}"
    return Words(sentence=sentence, advice=_row_advice(facts))


def _row_advice(facts: RowDecided) -> str:
    row = facts.row
    # The figure of all requests moves as well when one of the steps alone does.
    where = "" if row.step == ALL_STEPS else f" in {row.step}"
    match row.verdict:
        case Change.REGRESSION | Change.SUSPICIOUS if row.waived:
            return "Fix it before the waiver expires."
        case Change.REGRESSION:
            return f"Look at what this change does{where}. If the new level is wanted, {_acceptance(facts)}."
        case Change.SUSPICIOUS if row.level is Level.WARN:
            return f"Too few baselines to know this runner's noise: five ({_FIVE}) or a base build would show it."
        case Change.SUSPICIOUS if row.pairs:
            return "Neither confirmed nor refuted: measure more pairs of blocks or longer ones, or use a quieter runner."
        case Change.SUSPICIOUS:
            return _SETTLE
        case Change.INCONCLUSIVE if row.level is Level.WARN:
            return "Fix the failing requests first, then compare again."
        case Change.INCONCLUSIVE:
            return _see_more(row, facts)
        case _:
            return ""


def _see_more(row: Comparison, facts: RowDecided | RowsOpen) -> str:
    """How the next run can see smaller changes than this one."""
    if facts.duet_doubted:
        return (
            "To detect smaller changes, use a quieter runner: on this one the base build could not be measured side by side "
            "well enough."
        )
    if row.pairs:
        return "To detect smaller changes, measure longer blocks (block-seconds, --block) or use a quieter runner."
    return (
        "To detect smaller changes, compare with a base build (start-command, --base-command), use longer phases or a quieter "
        "runner, or store more baselines."
    )


def _acceptance(facts: RowDecided) -> str:
    """How a regression is accepted."""
    if facts.today is None and facts.row.pairs and not facts.row.k:
        return f"agree on it in a file of waivers ({WAIVERS})"
    if facts.today is None:
        return "accept it after the merge with 'velro-gate baseline add --accept-change'"
    return f"agree on it in {WAIVERS}: {proposed_row(facts.row, facts.today)}"


def change_sentence(row: Comparison, *, several: bool = False) -> str:
    """A change in one sentence, with its interval, both figures, its p and the number of baselines.

    For example ``p95 of login is 30 % slower than the baseline (+27 to +33 %, 11.9 ms -> 15.5 ms, p < 0.001, 5 baselines)``. An
    error rate is given in percentage points, since the baseline's is often zero.
    """
    assert row.baseline is not None
    assert row.current is not None
    shown = f"{figures.figure(row.metric, row.baseline)} -> {figures.figure(row.metric, row.current)}"
    # p speaks for "worse"; with an improvement it would only puzzle. Of a duet it is that of the whole family.
    p = _p(row.p_adjusted if row.pairs else row.p)
    behind = _evidence(row) if row.verdict is Change.IMPROVEMENT else f"{p}, {_evidence(row)}"
    than = f"{_word(row)} than {'in the base build' if row.pairs else 'the baseline'}"
    if METRICS[row.metric].resolution:
        return f"{_where(row, several)} is {than} ({shown}, {behind})"
    if METRICS[row.metric].of_counts or (is_of_experiment(row.metric) and METRICS[row.metric].kind is MetricKind.SHARE):
        points = units.format_percentage_points(row.current - row.baseline)
        return f"{_where(row, several)} is {points} {than} ({shown}, {behind})"
    interval = units.join_range(units.format_change(row.change_low), units.format_change(row.change_high))
    return f"{_where(row, several)} is {units.format_magnitude(row.change)} {than} ({interval}, {shown}, {behind})"


def _where(row: Comparison, several: bool) -> str:
    return f"{subject(row.metric, row.step)}{f' in {row.phase}' if several else ''}"


def _word(row: Comparison) -> str:
    grew = row.current is not None and row.baseline is not None and row.current > row.baseline
    if METRICS[row.metric].quantile is not None:
        return "slower" if grew else "faster"
    return "higher" if grew else "lower"


def rows_open(facts: RowsOpen) -> Words:
    """Rows that are neither worse nor shown to be unchanged."""
    widest = _widest(facts.rows)
    unit = "pair to pair" if widest.pairs else "run to run"
    return Words(
        sentence=f"{len(facts.rows)} of {facts.family} comparisons are open, neither worse nor shown to be unchanged: "
        f"{_found(widest, facts.several)} (noise from {unit} {_noise(widest)}, {_evidence(widest)})",
        advice=_see_more(widest, facts),
    )


def too_few_baselines(facts: TooFewBaselines) -> Words:
    """Rows that are open because few baselines are stored."""
    widest = _widest(facts.rows)
    return Words(
        sentence=f"{_baselines(widest.k)} {'is' if widest.k == 1 else 'are'} too few to show that nothing changed: "
        f"{_found(widest, facts.several)}",
        advice=f"Five or more are enough: {_FIVE}.",
    )


def _widest(rows: tuple[Comparison, ...]) -> Comparison:
    return max(rows, key=lambda row: row.mde or 0.0)


def _found(row: Comparison, several: bool) -> str:
    if not row.mde:
        return _where(row, several)
    return f"for {_where(row, several)} only a worsening of {figures.detectable_or_more(row.mde)} would have been found"


def rows_not_compared(facts: RowsNotCompared) -> Words:
    """Rows that could not be compared, all for one reason."""
    rows = facts.rows
    names = listed([_where(row, facts.several) for row in rows])
    return Words(
        sentence=f"{names} {'is' if len(rows) == 1 else 'are'} not compared: {reasons_words(rows[0].reasons)}",
        advice=_missing_advice(facts.level, side_by_side=bool(rows[0].pairs)),
    )


def _missing_advice(level: Level, *, side_by_side: bool) -> str:
    match level:
        case Level.BROKEN if side_by_side:
            return "See the base build's output and the log: every block has to show this figure, or remove it from 'primary'."
        case Level.BROKEN:
            return "The baselines or the scenario name this figure: let the run measure it again, or remove it from 'primary'."
        case Level.FAIL:
            return LOOK[Failing.OTHERWISE]
        case Level.NO_BASELINE:
            return f"Record the baselines again: {_FIVE}."
        case _:
            return _MEASURE_LONGER


def no_latency_compared(facts: NoLatencyCompared) -> Words:
    """No response time could be compared."""
    others = "base build" if facts.side_by_side else "baselines"
    return Words(
        sentence=f"no response time could be compared with the {others}, because every phase had too few requests",
        advice=_MEASURE_LONGER,
    )


def advisory_worse(facts: AdvisoryWorse) -> Words:
    """Advisory figures that are worse."""
    return Words(
        sentence=f"also worse in {facts.phase}, for information: {listed([_short(row) for row in facts.rows])}",
        advice="These figures cannot fail a run; name them under 'primary' in the scenario's policy if they should.",
    )


def advisory_not_compared(facts: AdvisoryNotCompared) -> Words:
    """Advisory figures that could not be compared."""
    names = listed([subject(row.metric, row.step) for row in facts.rows])
    return Words(sentence=f"for information, not compared in {facts.phase}: {names}", advice=f"{row_reason(facts.rows[0])}.")


def no_regression(facts: NoRegression) -> Words:
    """What the comparison has shown to be no worse, and how small a worsening it would have seen."""
    rows = facts.rows
    tails = [row.mde for row in rows if row.metric == TAIL and row.mde is not None]
    seen = (
        f": a worsening of {METRICS[TAIL].label} by {figures.detectable_or_more(max(tails))} would have been seen"
        if tails
        else ""
    )
    count = "any of the" if len(rows) == facts.family else f"{len(rows)} of"
    behind = _evidence(max(rows, key=lambda row: row.k))
    return Words(sentence=f"no regression in {count} {facts.family} comparisons with {behind}{seen}")


def waiver_expired(facts: WaiverExpired) -> Words:
    """A waiver that no longer holds."""
    waiver = facts.waiver
    return Words(
        sentence=f"the waiver of {waiver.subject} expired on {waiver.expires.isoformat()}{_place(waiver.where)}",
        advice=f"Fix what it waived ({waiver.issue}), agree on a later day, or remove the row from {WAIVERS}.",
    )


def waiver_unmatched(facts: WaiverUnmatched) -> Words:
    """A waiver of a figure that the run does not compare."""
    return Words(
        sentence=f"the waiver of {facts.waiver.subject} matches no figure that may fail this run{_place(facts.waiver.where)}",
        advice=f"Correct phase, step or metric, or remove the row from {WAIVERS}.",
    )


def _place(where: str) -> str:
    return f" ({where})" if where else ""


def _short(row: Comparison) -> str:
    name = subject(row.metric, row.step)
    if METRICS[row.metric].of_counts and row.baseline is not None and row.current is not None:
        return f"{name} {units.format_share(row.baseline)} -> {units.format_share(row.current)}"
    if METRICS[row.metric].resolution:
        return f"{name} {figures.difference(row)}"
    return f"{name} {units.format_change(row.change)}"


def _noise(row: Comparison) -> str:
    if METRICS[row.metric].of_counts and row.noise is not None:
        return units.format_percentage_points(row.noise)
    return units.format_magnitude(row.noise)


def _p(p: float | None) -> str:
    shown = units.format_probability(p)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"


def _evidence(row: Comparison) -> str:
    """What a comparison rests on."""
    if row.pairs:
        return "1 pair of blocks" if row.pairs == 1 else f"{row.pairs} pairs of blocks"
    runs = f"{row.runs} runs against " if row.runs > 1 else ""
    return f"{runs}{_baselines(row.k)}"


def _baselines(k: int) -> str:
    return "1 baseline" if k == 1 else f"{k} baselines"
