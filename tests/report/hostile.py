"""Runs that try to break a report: one in which every text from outside is hostile, one that is far too long."""

from __future__ import annotations

import dataclasses
import json
from functools import cache

from tests.report.examples import SITUATIONS, SMALL, STEP, Example, decided
from tests.report.records import PRD, accepted, measured, on_main
from velro_gate.model.facts.doubts import Worded
from velro_gate.model.record import PhaseSummary, Revision, RunRecord, StepSummary
from velro_gate.model.verdict import Change, Finding, Level, RequirementResult, RequirementStatus

NAME = "a|b`c](https://evil.example)<script>alert(1)</script>"
SENTENCE = "@everyone see #1 --> <img src=x onerror=alert(1)> | `x` \x1b[31m\u202e https://evil.example"


@cache
def hostile() -> Example:
    """A failed run with hostile names of phases and steps, waivers, branch, environment and notes."""
    run = renamed(measured(SMALL(slower={STEP: 1.31}), 2))
    first, second = run.phases
    run = dataclasses.replace(
        run,
        id=f"run {SENTENCE}",
        phases=(first, dataclasses.replace(second, service_gone=SENTENCE)),
        revision=Revision(sha="<i>", branch=SENTENCE, label="@me"),
        notes=(SENTENCE,),
        tool=SENTENCE,
        url=SENTENCE,
    )
    before = tuple(map(renamed, accepted(10, SMALL())))
    elsewhere = dataclasses.replace(run.environment, runner=f"other {SENTENCE}")
    other = dataclasses.replace(renamed(on_main(SMALL(), days_before=20)), environment=elsewhere)
    agreed = (("p50", "2026-12-31"), ("error_rate", "2026-01-01"))
    waivers = "".join(
        f"- {{phase: {json.dumps(NAME)}, step: all, metric: {metric}, ceiling: 40 %, expires: {day}, "
        f"issue: {json.dumps(SENTENCE)}, reason: {json.dumps(SENTENCE)}}}\n"
        for metric, day in agreed
    )
    return decided(run, (other, *before), waivers=waivers)


def renamed(run: RunRecord) -> RunRecord:
    """The run under names that no scenario should have."""
    names = dict(zip((phase.name for phase in run.plan.phases), (NAME, f"{NAME} 2"), strict=True))
    plan = dataclasses.replace(
        run.plan,
        scenario="x --> <b>",
        profile="@team",
        steps=tuple(f"{NAME} {step}" if step != STEP else NAME for step in run.plan.steps),
        phases=tuple(dataclasses.replace(phase, name=names[phase.name], requirements=()) for phase in run.plan.phases),
    )
    return dataclasses.replace(
        run,
        plan=plan,
        phases=tuple(_phase(phase, names[phase.name]) for phase in run.phases),
        environment=dataclasses.replace(run.environment, runner=SENTENCE),
    )


def _phase(phase: PhaseSummary, name: str) -> PhaseSummary:
    whole, *steps = phase.steps
    return dataclasses.replace(phase, name=name, steps=(whole, *map(_step, steps)))


def _step(step: StepSummary) -> StepSummary:
    return dataclasses.replace(step, step=NAME if step.step == STEP else f"{NAME} {step.step}")


def crowded(count: int, sentence: str = "It is missed.") -> Example:
    """The rows of a failed run, ``count`` times under other names: more than any plan has, and the report must hold."""
    example = SITUATIONS["fail-both"]()
    verdict = example.verdict
    limit = next(one for one in verdict.requirements if one.status is RequirementStatus.MISSED and one.phase == PRD)
    moved = next(row for row in verdict.comparisons if row.verdict is Change.REGRESSION and row.level is Level.FAIL)
    rows = tuple(
        dataclasses.replace(moved, phase=f"phase_{index}", step=f"step_{index}", metric=metric)
        for index in range(count)
        for metric in ("p50", "p95")
    )
    findings = tuple(
        Finding(
            level=Level.FAIL,
            subject=f"{index}",
            facts=Worded(code="x", sentence=f"{index} {sentence}", advice=f"Mend {index}. {sentence}"),
        )
        for index in range(count)
    )
    results = tuple(_missed(limit, index, sentence) for index in range(count))
    many = dataclasses.replace(verdict, requirements=results, findings=findings, comparisons=rows, explanations=())
    return dataclasses.replace(example, verdict=many)


def _missed(limit: RequirementResult, index: int, sentence: str) -> RequirementResult:
    wanted = dataclasses.replace(limit.requirement, step=f"a_rather_long_step_name_{index}", source="step")
    return dataclasses.replace(limit, phase=f"phase_number_{index // 10}", requirement=wanted)
