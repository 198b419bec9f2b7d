"""A whole duet in one verdict: the pairs, the requirements of the head build, and what speaks against the measurement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

from velro_gate.analysis.duet.block_figures import unusable
from velro_gate.analysis.duet.comparison import compare_pairs
from velro_gate.analysis.duet.explanation import duet_explanations
from velro_gate.analysis.duet.pooled import pool_blocks
from velro_gate.analysis.duet.trust import control_change, doubt_findings, duet_doubts, stopped_builds
from velro_gate.analysis.verdict.failures import failure_findings
from velro_gate.analysis.verdict.findings import comparison_findings, requirement_findings
from velro_gate.analysis.verdict.generator_delay import Decided
from velro_gate.analysis.verdict.requirements import check_requirements
from velro_gate.analysis.verdict.trust.checks import phase_findings
from velro_gate.analysis.verdict.trust.delay import noise_findings
from velro_gate.analysis.verdict.waivers import waived, waiver_findings
from velro_gate.model.duet import Duet, DuetRecord, Side
from velro_gate.model.facts.findings import DuetInterrupted
from velro_gate.model.record import PhaseSummary, RunRecord
from velro_gate.model.scenario import Phase, Policy
from velro_gate.model.verdict import Comparison, Finding, Level, SideBySide, TrustFinding, Verdict
from velro_gate.model.waiver import Waiver

_OF_THE_WHOLE = frozenset({"few-answers"})


def block_doubts(phases: Sequence[Phase], summaries: Sequence[PhaseSummary]) -> tuple[TrustFinding, ...]:
    """Why not to trust one block. A build that stopped is no such reason, and few responses are a matter of all blocks."""
    found = {summary.name: summary for summary in summaries}
    return tuple(
        doubt
        for phase in phases
        if phase.name in found
        for doubt in phase_findings(phase, found[phase.name])
        if doubt.code not in _OF_THE_WHOLE
    )


def head_phases(duet: Duet) -> tuple[PhaseSummary, ...]:
    """Every phase over all blocks of the head build that are used; over all of them when none is."""
    pairs = [pair for pair in duet.pairs if not unusable(pair)] or duet.pairs
    blocks = [pair.block(Side.HEAD) for pair in pairs]
    names = dict.fromkeys(phase.name for block in blocks for phase in block.phases)
    return tuple(pool_blocks([phase for block in blocks if (phase := block.phase(name)) is not None]) for name in names)


def judge_duet(duet: Duet) -> Verdict:
    """Judge the head build by its pairs with the base build alone; the findings worst first.

    Without a usable pair the verdict is broken.
    """
    rows = compare_pairs(duet)
    doubts = tuple(duet_doubts(duet, rows))
    findings = [*doubt_findings(doubts), *_pair_findings(duet, rows)]
    return Verdict(findings=tuple(sorted(findings, key=lambda f: -f.level)), comparisons=rows, trust=doubts)


def judge_duet_record(
    head: RunRecord,
    kept: DuetRecord,
    *,
    policy: Policy | None = None,
    phases: Sequence[Phase] | None = None,
    waivers: Sequence[Waiver] | None = None,
) -> Verdict:
    """Judge a duet: the head build by its requirements and by its pairs with the base build.

    Args:
        head: the record of the head build, its phases those of ``head_phases``.
        kept: the pairs and how they were made.
        policy, phases: stand in for those of the record's own plan.
        waivers: agreed regressions, on the day of the run. None: there is no file of them, and none is proposed.

    Returns:
        The verdict, its findings worst first.
    """
    duet = kept.duet if policy is None else replace(kept.duet, policy=policy)
    planned = phases if phases is not None else head.plan.phases
    today = date.fromisoformat(head.started_at[:10])
    rows = compare_pairs(duet)
    if waivers is not None:
        rows = waived(rows, waivers, today)
    requirements = check_requirements(planned, head) if duet.pairs else ()
    trust = (*duet_doubts(duet, rows), *_of_all_blocks(planned, head, Decided(requirements=requirements)))
    findings = [
        *doubt_findings(trust),
        *failure_findings(head, planned),
        *requirement_findings(requirements, phases=head.phases),
        *_whole(head),
        *_pair_findings(duet, rows, today if waivers is not None else None),
        *waiver_findings(rows, waivers or (), today, [phase.name for phase in planned]),
    ]
    left_out = sum(bool(unusable(pair)) for pair in duet.pairs)
    return Verdict(
        findings=tuple(sorted(findings, key=lambda finding: -finding.level)),
        requirements=requirements,
        comparisons=rows,
        explanations=() if any(doubt.level is Level.BROKEN for doubt in trust) else duet_explanations(rows, duet),
        trust=trust,
        duet=SideBySide(
            base=kept.base,
            pairs=len(duet.pairs) - left_out,
            left_out=left_out,
            alpha=duet.look(len(duet.pairs) - left_out).alpha,
            control=control_change(duet),
            seed=duet.seed,
            block_seconds=kept.block_seconds,
            warm_up=kept.warm_up,
            restarted=kept.restarted,
        ),
    )


def _pair_findings(duet: Duet, rows: Sequence[Comparison], today: date | None = None) -> Iterator[Finding]:
    """The findings of the pairs. today: the day of the run; then a row of the waivers' file is proposed for each regression."""
    yield from stopped_builds(duet)
    yield from comparison_findings(rows, skipped=(), several=len({row.phase for row in rows}) > 1, today=today)


def _of_all_blocks(planned: Sequence[Phase], head: RunRecord, decided: Decided) -> Iterator[TrustFinding]:
    """What only all blocks together can raise: too few responses beyond a limit's quantile, and the generator's own noise."""
    for phase in planned:
        summary = head.phase(phase.name)
        if summary is not None:
            yield from (found for found in phase_findings(phase, summary) if found.code in _OF_THE_WHOLE)
            if head.generator_noise is not None:
                yield from noise_findings(phase, head.generator_noise, summary=summary, decided=decided)


def _whole(head: RunRecord) -> Iterator[Finding]:
    if head.interrupted:
        yield Finding(
            level=Level.BROKEN,
            subject="duet",
            facts=DuetInterrupted(),
        )
