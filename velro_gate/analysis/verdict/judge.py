"""Everything known about a run, in one verdict.

A verdict is the worst of its findings, so every part may only add findings. A part with nothing to say adds none, and no
finding at all is broken: nothing was found out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

from velro_gate.analysis.duet.confirmation import confirm_side_by_side, died_side_by_side, doubts_side_by_side
from velro_gate.analysis.duet.explanation import duet_explanations
from velro_gate.analysis.resilience.expectations import check_expectations, expectation_findings
from velro_gate.analysis.stored.comparison import compare
from velro_gate.analysis.stored.confirmation import confirm, suspected
from velro_gate.analysis.stored.explanation import explanations
from velro_gate.analysis.stored.unused_baselines import required_baseline
from velro_gate.analysis.verdict.certain_failures import doubts_that_count
from velro_gate.analysis.verdict.drift_findings import drift_findings
from velro_gate.analysis.verdict.failures import failure_findings
from velro_gate.analysis.verdict.findings import comparison_findings, requirement_findings
from velro_gate.analysis.verdict.generator_delay import Decided
from velro_gate.analysis.verdict.requirements import check_requirements
from velro_gate.analysis.verdict.trust.checks import trust_findings
from velro_gate.analysis.verdict.waivers import waived, waiver_findings
from velro_gate.model.duet import Duet
from velro_gate.model.facts.doubts import StoredInstead
from velro_gate.model.facts.findings import NoPhases, RunIncomplete
from velro_gate.model.facts.reasons import FurtherRunCut, FurtherRunDoubted, Reason
from velro_gate.model.facts.unused import UnusedRuns
from velro_gate.model.record import PhaseSummary, Release, RunRecord
from velro_gate.model.scenario import Phase, Policy
from velro_gate.model.verdict import (
    Change,
    Comparison,
    ExpectationResult,
    Finding,
    Level,
    RequirementResult,
    TrustFinding,
    Verdict,
)
from velro_gate.model.waiver import Waiver


def judge(
    record: RunRecord,
    baselines: Sequence[RunRecord],
    *,
    skipped: Sequence[UnusedRuns] = (),
    policy: Policy | None = None,
    phases: Sequence[Phase] | None = None,
    repeats: Sequence[RunRecord] | None = None,
    missing: Mapping[str, str] | None = None,
    second_job: bool = False,
    duet: Duet | None = None,
    waivers: Sequence[Waiver] | None = None,
    release: Release | None = None,
    other_profiles: Sequence[RunRecord] = (),
) -> Verdict:
    """Judge a run by its requirements, its trustworthiness and the accepted runs before it.

    Args:
        record: the run.
        baselines: comparable accepted runs, newest last; none of them is this run.
        skipped: stored runs that could not be compared with, reported where they explain something.
        policy, phases: stand in for those of the record's own plan, to judge it by other rules or requirements.
        repeats: further runs of suspicious phases, which have to confirm a regression. None: the run is judged alone.
        missing: phase -> why it was not run again, or not twice.
        second_job: whether another job made those runs, which then share less of their noise with this one.
        duet: this build side by side with its base build, in suspicious phases, which it decides instead of the repeats.
        release: the accepted run that main is compared with in the long run; None where none is pinned.
        other_profiles: accepted runs of the same scenario and environment under another profile, for the noise of their phases.
        waivers: agreed regressions, on the day of the run. None: there is no file of them, and none is proposed.

    Returns:
        The verdict, its findings worst first.
    """
    rules, planned = policy or record.plan.policy, record.plan.phases if phases is None else phases
    requirements, expectations = check_requirements(planned, record), check_expectations(planned, record)
    today = date.fromisoformat(record.started_at[:10])
    # What is agreed to need not be confirmed; and the mean of three runs may lie under a ceiling that one was above.
    screened = compare(record, baselines, rules, other_profiles=other_profiles, repeated=repeats is not None)
    comparisons = waived(screened, waivers or (), today)
    again, doubted = _trusted(repeats or (), planned, comparisons)
    unknown: dict[str, Reason | str] = {**doubted, **(missing or {})}
    if duet is not None and repeats is not None:
        comparisons = confirm_side_by_side(comparisons, replace(duet, policy=rules), missing=unknown)
    elif repeats is not None:
        confirming = partial(confirm, missing=unknown, other_profiles=other_profiles, second_job=second_job)
        comparisons = confirming(comparisons, record, again, baselines, rules)
    comparisons = waived(comparisons, waivers or (), today) if repeats is not None else comparisons
    decided = Decided(requirements=requirements, comparisons=comparisons)
    trust = (*doubts_that_count(planned, record, decided), *(doubts_side_by_side(duet) if duet is not None else ()))
    verdict = Verdict(
        findings=(),
        requirements=requirements,
        expectations=expectations,
        comparisons=comparisons,
        explanations=(
            *(duet_explanations(comparisons, replace(duet, policy=rules)) if duet is not None else ()),
            *explanations(comparisons, record, again, baselines, rules),
        ),
        trust=trust,
        baselines_used=min(len(baselines), rules.max_baselines),
        baselines_skipped=tuple(skipped),
    )
    found = [
        *_findings(verdict, record, planned, duet=duet, today=today if waivers is not None else None),
        *_required_comparison(comparisons, rules, baselines, skipped),
        *waiver_findings(comparisons, waivers or (), today, [phase.name for phase in planned]),
        *drift_findings(baselines, release, rules),
    ]
    return replace(verdict, findings=tuple(sorted(found, key=lambda finding: -finding.level)))


def _findings(
    judged: Verdict, record: RunRecord, planned: Sequence[Phase], *, duet: Duet | None, today: date | None
) -> Iterator[Finding]:
    """What the parts of a verdict have found in the run. today: the day of waivers; None: there is no file of them."""
    trust = judged.trust
    yield from _trust(trust)
    yield from failure_findings(record, planned)
    yield from _limit_findings(judged.requirements, judged.expectations, planned, record)
    yield from _whole(record, trust)
    if duet is not None:
        yield from died_side_by_side(duet)
    yield from comparison_findings(
        judged.comparisons,
        skipped=judged.baselines_skipped,
        several=len(record.phases) > 1,
        doubted=_broken_phases(trust) | _ended_phases(record),
        today=today,
        duet_doubted=any(isinstance(one.facts, StoredInstead) for one in trust),
    )


def _trusted(
    repeats: Sequence[RunRecord], planned: Sequence[Phase], rows: Sequence[Comparison]
) -> tuple[dict[str, list[PhaseSummary]], dict[str, Reason]]:
    """The whole phases of further runs that nothing speaks against, by name; and what speaks against the others.

    rows: what the screen found. A delay of the generator speaks against a further run only where it may have been what makes
    a suspicious figure look worse again.
    """
    found: dict[str, list[PhaseSummary]] = {}
    doubted: dict[str, Reason] = {}
    for run in repeats:
        own = [phase for phase in planned if run.phase(phase.name) is not None]
        decided = Decided(comparisons=tuple(_seen_again(run, rows)))
        found_wrong = trust_findings(own, run, decided=decided)
        broken = {doubt.phase: doubt.facts for doubt in found_wrong if doubt.level is Level.BROKEN}
        for phase in run.phases:
            if not phase.complete:
                doubted[phase.name] = FurtherRunCut()
            elif phase.name in broken:
                doubted[phase.name] = FurtherRunDoubted(because=broken[phase.name])
            else:
                found.setdefault(phase.name, []).append(phase)
    return found, doubted


def _seen_again(run: RunRecord, rows: Sequence[Comparison]) -> Iterator[Comparison]:
    """The suspicions as a further run by itself would confirm them."""
    for row in rows:
        phase = run.phase(row.phase) if suspected(row) else None
        found = phase.measurement(row.metric, row.step) if phase is not None else None
        if found is not None:
            yield replace(row, verdict=Change.REGRESSION, level=Level.FAIL, current=found.value)


def _trust(trust: Sequence[TrustFinding]) -> Iterator[Finding]:
    for doubt in trust:
        yield Finding(level=doubt.level, subject=doubt.phase or "run", facts=doubt.facts)


def _limit_findings(
    requirements: Sequence[RequirementResult],
    expectations: Sequence[ExpectationResult],
    planned: Sequence[Phase],
    record: RunRecord,
) -> Iterator[Finding]:
    """The findings on the plan's own limits: requirements, and what is expected of experiments."""
    yield from requirement_findings(requirements, phases=record.phases, unfinished=_unfinished(planned, record))
    yield from expectation_findings(expectations, planned, record)


def _required_comparison(
    comparisons: Sequence[Comparison], rules: Policy, baselines: Sequence[RunRecord], skipped: Sequence[UnusedRuns]
) -> Iterator[Finding]:
    # A run that was measured side by side with its base build has been compared.
    if not any(row.pairs for row in comparisons):
        yield from required_baseline(rules, baselines, skipped)


def _whole(record: RunRecord, trust: Sequence[TrustFinding]) -> Iterator[Finding]:
    """A run that is not whole is broken, whatever the phases asked about say (they may be other ones than were planned)."""
    if not record.complete and not record.ended_by_service and not any(doubt.level is Level.BROKEN for doubt in trust):
        yield Finding(
            level=Level.BROKEN,
            subject="run",
            facts=RunIncomplete(interrupted=record.interrupted),
        )
    if not record.phases:
        yield Finding(
            level=Level.BROKEN,
            subject="run",
            facts=NoPhases(),
        )


def _unfinished(planned: Sequence[Phase], record: RunRecord) -> frozenset[str]:
    if record.ended_by_service:
        return frozenset()
    complete = {summary.name for summary in record.phases if summary.complete}
    return frozenset(phase.name for phase in planned if phase.name not in complete)


def _broken_phases(trust: Sequence[TrustFinding]) -> frozenset[str]:
    return frozenset(doubt.phase for doubt in trust if doubt.level is Level.BROKEN)


def _ended_phases(record: RunRecord) -> frozenset[str]:
    return frozenset(phase.name for phase in record.phases if phase.ended_by_service)
