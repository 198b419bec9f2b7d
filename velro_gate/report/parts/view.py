"""The whole report as strings, rounded once; every renderer of prose and tables starts from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from velro_gate import units
from velro_gate.model.facts.findings import RequirementNotMet, RowDecided
from velro_gate.model.metrics import METRICS, Scaling
from velro_gate.model.record import RunRecord, fingerprint
from velro_gate.model.scenario import ALL_STEPS, Policy
from velro_gate.model.verdict import (
    Change,
    Comparison,
    Finding,
    Level,
    Missing,
    RequirementResult,
    RequirementStatus,
    SideBySide,
    Trust,
    Verdict,
)
from velro_gate.report.parts import measured, rows, trustline
from velro_gate.report.parts.experiment_rows import ExpectationRow, expectation_count, expectation_rows
from velro_gate.report.parts.settled import compared_headings, settled_sentence
from velro_gate.report.parts.wording import action, sentence, spoken, title, unused_baselines
from velro_gate.report.sentences.baselines import unused_words
from velro_gate.report.sentences.bottlenecks import bottleneck_words
from velro_gate.report.sentences.explanations import explanation_sentence
from velro_gate.report.sentences.findings import words
from velro_gate.report.text import figures
from velro_gate.report.text.phrase import Phrase, name, strong, text
from velro_gate.report.text.words import Words

_OF_TIMES = frozenset({"cache-misses", "step-tail", "memory-growth"})
_NOTHING_TO_DO = "Nothing to do."
_NOTHING_FOUND_OUT = "Fix the cause and run again; nothing in this run counts for or against the change."
"""Where there is no finding at all: every other one above a pass says what to do."""

_CAUSES = 3
"""Causes whose remedies stand before all other advice: those behind them mostly follow from them."""

_CAUSE = "🔎"

_REASONS = 2
"""Findings shown under one piece of advice before the rest is only counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """One reason for the verdict in words."""

    glyph: str
    level: str
    subject: str
    sentence: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """One thing to do, the findings that ask for it, and how many more of those there are ('' for none)."""

    advice: str
    reasons: tuple[FindingRow, ...]
    more: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRow:
    """One reason to doubt the measurement."""

    glyph: str
    word: str
    phase: str
    sentence: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BottleneckRow:
    """What held a phase back."""

    code: str
    """Which kind of cause, as in ``Bottleneck``."""
    of_the_runner: bool
    """See ``Bottleneck``."""
    phase: str
    """Empty where the run has only one."""
    sentence: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """Which run of which build, by which tool."""

    run: str
    started: str
    revision: str
    url: str
    digest: str
    environment: str
    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything a reader may see, in the order of importance. Requirements come in the plan's order of phases."""

    scenario: str
    profile: str
    level: str
    glyph: str
    title: str
    action: str
    sentence: Phrase
    scaled: Phrase
    requirements: list[rows.RequirementRow]
    prominent: list[rows.RequirementRow]
    folded: list[rows.RequirementRow]
    requirement_count: str
    expectations: list[ExpectationRow]
    expectation_count: str
    changed: list[rows.ComparisonRow]
    comparisons: list[rows.ComparisonRow]
    comparison_count: str
    settled: str
    explanations: list[str]
    compared: str
    """What the comparisons are with; before and now: the headings of their two figures."""
    before: str
    now: str
    side_by_side: bool
    trust_facts: tuple[tuple[str, str], ...]
    trust: list[TrustRow]
    bottlenecks: list[BottleneckRow]
    next_steps: list[NextStep]
    findings: list[FindingRow]
    phases: list[measured.PhaseRow]
    steps: list[measured.StepRow]
    answers: list[measured.AnswerRow]
    cache: list[measured.CacheRow]
    failures: list[measured.FailureRow]
    resources: list[measured.ResourceRow]
    baselines_skipped: tuple[str, ...]
    notes: tuple[str, ...]
    method: tuple[str, ...]
    footer: Footer


_LAST: list[tuple[RunRecord, Verdict, View]] = []
"""The view that was built last. Most formats show the same one, and to build it takes longer than to render many of them."""


def build(record: RunRecord, verdict: Verdict) -> View:
    """The view of one run and its verdict; both are frozen, so the same two have the same view."""
    if not _LAST or _LAST[0][0] is not record or _LAST[0][1] is not verdict:
        _LAST[:] = [(record, verdict, _built(record, verdict))]
    return _LAST[0][2]


def _built(record: RunRecord, verdict: Verdict) -> View:
    ordered = rows.ordered_requirements(verdict.requirements, record)
    shown = rows.prominent_requirements(ordered)
    level = verdict.level
    judged = level is not Level.BROKEN
    compared, before, now = compared_headings(verdict)
    return View(
        scenario=record.plan.scenario,
        profile=record.plan.profile,
        level=level.word,
        glyph=rows.GLYPHS[level],
        title=title(verdict),
        action=action(verdict),
        sentence=sentence(record, verdict),
        scaled=scaled_note(record, verdict),
        requirements=[rows.requirement_row(result, judged=judged) for result in ordered],
        prominent=[rows.requirement_row(result, judged=judged) for result in shown],
        folded=[rows.requirement_row(one, judged=judged) for one in ordered if not any(one is other for other in shown)],
        requirement_count=requirement_count(ordered, judged=judged),
        expectations=expectation_rows(verdict),
        expectation_count=expectation_count(verdict),
        changed=[rows.comparison_row(row) for row in rows.worst_comparisons(verdict.comparisons)],
        comparisons=[rows.comparison_row(row) for row in verdict.comparisons],
        comparison_count=comparison_count(verdict),
        settled=settled_sentence(verdict),
        explanations=[spoken(explanation_sentence(one)) for one in verdict.explanations],
        compared=compared,
        before=before,
        now=now,
        side_by_side=verdict.duet is not None,
        trust_facts=trustline.trust_facts(record, verdict),
        trust=_trust(verdict),
        bottlenecks=bottleneck_rows(record),
        next_steps=_next_steps(record, verdict),
        findings=_findings(record, verdict),
        phases=measured.phase_table_rows(record),
        steps=measured.step_rows(record),
        answers=measured.answer_rows(record),
        cache=measured.cache_rows(record),
        failures=measured.failure_rows(record),
        resources=measured.resource_rows(record),
        baselines_skipped=tuple(unused_words(one) for one in verdict.baselines_skipped),
        notes=record.notes,
        method=method(record, verdict),
        footer=_footer(record),
    )


def requirement_count(results: list[RequirementResult], *, judged: bool = True) -> str:
    """``29 of 31 met``, how many of these marginally, and how many were not measured; or that none is judged."""
    if not results:
        return "the plan has none"
    met = sum(result.met for result in results)
    marginal = sum(result.met and result.status is RequirementStatus.MARGINAL for result in results)
    unmeasured = sum(result.estimate is None for result in results)
    tail = f", {unmeasured} {figures.MISSING}" if unmeasured else ""
    if not judged:
        return f"{rows.NOT_JUDGED}{tail}"
    return f"{met} of {len(results)} met{f', {marginal} marginally' if marginal else ''}{tail}"


def folded_words(folded: Sequence[rows.RequirementRow]) -> str:
    """How many met requirements are not listed: ``3 more requirements, all met``."""
    what = rows.NOT_JUDGED if any(row.status == rows.NOT_JUDGED for row in folded) else "met" if len(folded) == 1 else "all met"
    return f"{units.format_counted(len(folded), 'more requirement')}, {what}"


def comparison_count(verdict: Verdict) -> str:
    """``6 of 8 compared rows unchanged, 2 inconclusive``, of the rows that may fail a run; or that nothing was compared.

    What is advisory stands in the full table, and among the changes when it moved.
    """
    comparisons = [row for row in verdict.comparisons if row.primary]
    compared = [row for row in comparisons if row.verdict is not Change.NOT_COMPARED]
    left_out = len(comparisons) - len(compared)
    advisory = [row for row in verdict.comparisons if not row.primary and row.verdict is not Change.NOT_COMPARED]
    if not comparisons and advisory:
        # Where something is broken on purpose no figure may fail the run.
        moved = [row for row in advisory if row.verdict in (Change.REGRESSION, Change.SUSPICIOUS)]
        figures_of = units.format_counted(len(advisory), "advisory figure")
        return f"{figures_of} compared, {len(moved) if moved else 'none'} of them shown to be worse"
    if not compared:
        if unused_baselines(verdict):
            return "stored baselines were not used, so nothing was compared"
        no_baseline = verdict.duet is None and verdict.level is not Level.BROKEN
        return "no baseline yet, so nothing was compared" if no_baseline else "nothing was compared"
    parts = [f"{_number(compared, Change.UNCHANGED)} of {len(compared)} compared rows unchanged"]
    words = {Change.REGRESSION: "worse", Change.IMPROVEMENT: "better"}
    # These are not listed as changes: what is missing is baselines.
    few = [row for row in compared if row.verdict is Change.INCONCLUSIVE and row.level is Level.NO_BASELINE]
    rest = [row for row in compared if not any(row is one for one in few)]
    for change in (Change.REGRESSION, Change.SUSPICIOUS, Change.INCONCLUSIVE, Change.IMPROVEMENT):
        if found := _number(rest, change):
            parts.append(f"{found} {words.get(change, change.value)}")
    parts += [f"{len(few)} with too few baselines"] if few else []
    return ", ".join((*parts, f"{left_out} not compared") if left_out else parts)


def _number(comparisons: list[Comparison], change: Change) -> int:
    return sum(row.verdict is change for row in comparisons)


def scaled_note(record: RunRecord, verdict: Verdict) -> Phrase:
    """That a scaled plan proves nothing about the PRD, with the plainest example; empty where nothing was scaled."""
    scaled = [result.requirement for result in verdict.requirements if result.requirement.scaled_from is not None]
    if not scaled:
        return ()
    shown = next((wanted for wanted in scaled if wanted.definition.scaling is Scaling.USERS), scaled[0])
    full, here = figures.figure(shown.metric, shown.scaled_from), figures.figure(shown.metric, shown.target)
    example = f" scales the plan down ({METRICS[shown.metric].label}: {here} instead of {full}), so "
    return (
        text("The profile "),
        name(record.plan.profile),
        text(example),
        strong("this run does not prove the PRD"),
        text("; only an unscaled profile does."),
    )


def _findings(record: RunRecord, verdict: Verdict) -> list[FindingRow]:
    """Every finding, the worst first; one about a phase names it, unless its own words do.

    Of the changes that are equally bad, those of one step come before those of all steps: they say where to look.
    """
    phases = {phase.name for phase in record.plan.phases} | {phase.name for phase in record.phases}
    ordered = sorted(verdict.findings, key=lambda finding: (-finding.level, _is_of_all_steps(finding)))
    return [_finding_row(finding, words(finding), phases) for finding in ordered]


def _is_of_all_steps(finding: Finding) -> bool:
    return isinstance(finding.facts, RowDecided) and finding.facts.row.step == ALL_STEPS


def _finding_row(finding: Finding, said: Words, phases: set[str]) -> FindingRow:
    placed = finding.subject in phases and finding.subject not in said.sentence
    return FindingRow(
        glyph=rows.GLYPHS[finding.level],
        level=finding.level.word,
        subject=finding.subject,
        sentence=spoken(f"in {finding.subject}: {said.sentence}" if placed else said.sentence),
        advice=spoken(said.advice) if said.advice else "",
    )


def bottleneck_rows(record: RunRecord) -> list[BottleneckRow]:
    """What held the phases back, phase by phase, the likeliest cause first."""
    several = len(record.phases) > 1
    return [
        BottleneckRow(
            code=found.code,
            of_the_runner=found.of_the_runner,
            phase=phase.name if several else "",
            sentence=spoken(said.sentence),
            advice=spoken(said.advice),
        )
        for phase in record.phases
        for found in phase.bottlenecks
        for said in (bottleneck_words(found),)
    ]


def _remedies(record: RunRecord) -> dict[str, list[FindingRow]]:
    """What to do about the likeliest causes, each remedy with the causes that it is for."""
    asked: dict[str, list[FindingRow]] = {}
    for row in bottleneck_rows(record):
        cause = f"{row.sentence} ({row.phase})" if row.phase else row.sentence
        shown = FindingRow(glyph=_CAUSE, level=Level.WARN.word, subject=row.phase, sentence=cause, advice=row.advice)
        asked.setdefault(row.advice, []).append(shown)
    return dict(list(asked.items())[:_CAUSES])


def _is_no_reason(row: BottleneckRow, verdict: Verdict) -> bool:
    """Whether a cause hardly fails a run: the machine, if it can be trusted, and what is slow, if only errors are too many."""
    if verdict.level is not Level.FAIL or row.of_the_runner:
        return verdict.level is Level.FAIL
    failed = {found.metric for found in verdict.comparisons if found.level is Level.FAIL}
    failed |= {found.requirement.metric for found in verdict.requirements if found.level is Level.FAIL}
    return row.code in _OF_TIMES and bool(failed) and all(METRICS[metric].of_counts for metric in failed)


def _next_steps(record: RunRecord, verdict: Verdict) -> list[NextStep]:
    """What was found to hold the run back, then what the findings ask for; each piece of advice once, with what leads to it.

    A run that passes needs no action, so its remedies stand with their causes only; in a run that fails, those for the runner
    and the generator come last. What makes a requirement measurable comes first where that broke the run.

    Only the findings that made the verdict ask, if any of them does: whoever fixes a failure need not read every warning first.
    """
    advised = [row for row in _findings(record, verdict) if row.advice and row.level != Level.PASS.word]
    decisive = [row for row in advised if row.level == verdict.level.word]
    causes = {} if verdict.level is Level.PASS else _remedies(record)
    last = {row.advice for row in bottleneck_rows(record) if _is_no_reason(row, verdict)}
    measurable = _to_be_measured(verdict)
    asked: dict[str, list[FindingRow]] = {row.advice: [] for row in decisive if row.advice in measurable}
    asked |= {advice: rows for advice, rows in causes.items() if advice not in last}
    for row in decisive or advised:
        asked.setdefault(row.advice, []).append(row)
    asked |= {advice: rows for advice, rows in causes.items() if advice in last}
    if not asked:
        advice = _NOTHING_TO_DO if verdict.level is Level.PASS else _NOTHING_FOUND_OUT
        return [NextStep(advice=advice, reasons=(), more="")]
    return [
        NextStep(advice=advice, reasons=tuple(reasons[:_REASONS]), more=_and_more(len(reasons) - _REASONS))
        for advice, reasons in asked.items()
    ]


def _to_be_measured(verdict: Verdict) -> set[str]:
    """What to do about requirements without a figure, where they broke a run that was carried out."""
    return {
        spoken(words(found).advice)
        for found in verdict.findings
        if found.level is Level.BROKEN
        and isinstance(found.facts, RequirementNotMet)
        and found.facts.result.missing is Missing.NO_FIGURE
    }


def _and_more(count: int) -> str:
    return f"and {count} more like {'this' if count == 1 else 'these'}" if count > 0 else ""


def _trust(verdict: Verdict) -> list[TrustRow]:
    ordered = sorted(verdict.trust, key=lambda found: found.trust is not Trust.BROKEN)
    return [
        TrustRow(
            glyph=rows.GLYPHS[found.level],
            word=found.trust.value,
            phase=found.phase,
            sentence=spoken(said.sentence),
            advice=spoken(said.advice) if said.advice else "",
        )
        for found in ordered
        for said in (words(found),)
    ]


def method(record: RunRecord, verdict: Verdict) -> tuple[str, ...]:
    """How the figures came about, in three sentences."""
    return (
        "Response time counts from the moment a request was due, not from when it was sent, "
        "so a stalled service cannot hide its queue.",
        "Requirements are compared with the measured value, shown with its 95 % interval; "
        "'marginal' means that the interval crosses the limit.",
        _against_baselines(record.plan.policy) if verdict.duet is None else _side_by_side(record.plan.policy, verdict.duet),
    )


def _against_baselines(policy: Policy) -> str:
    return (
        "Comparisons treat a whole run as one observation: the value is compared with the median of up to "
        f"{policy.max_baselines} accepted runs with their run-to-run noise, all primary figures together (Holm), "
        f"and changes under {units.trim_zeros(units.format_magnitude(policy.margin))} do not count."
    )


def _side_by_side(policy: Policy, duet: SideBySide) -> str:
    started = "restarted for each block" if duet.restarted else "not restarted between blocks"
    return (
        f"Both builds were measured in blocks of the same load, {started}, the two of a pair straight after one another in a "
        "random order. A pair counts as one observation; an exact test over the signs of the pairs' differences decides "
        f"for all primary figures together (level {units.format_probability(duet.alpha)}), and changes under "
        f"{units.trim_zeros(units.format_magnitude(policy.margin))} do not count."
    )


def _footer(record: RunRecord) -> Footer:
    revision = record.revision
    # A short commit as the label says nothing that the commit does not.
    label = "" if revision.sha.startswith(revision.label) else revision.label
    names = [part for part in (label, revision.branch, revision.sha[:12]) if part]
    return Footer(
        run=record.id,
        started=record.started_at,
        revision=" ".join(names) or "unknown revision",
        url=record.url or "not recorded",
        digest=record.plan.digest[:12],
        environment=fingerprint(record.environment),
        tool=record.tool,
    )
