"""A run in which every text from outside tries to break out of the report."""

from __future__ import annotations

import dataclasses

from tests.report.examples import EXAMPLES, comparison
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import Revision, RunRecord, StepSummary
from velro_gate.model.scenario import ALL_STEPS, Comparator, Requirement
from velro_gate.model.verdict import Change, Finding, Level, RequirementResult, Status, Trust, TrustFinding, Verdict

NAME = "a|b`c](https://evil.example)<script>alert(1)</script>"
SENTENCE = "@everyone see #1 --> <img src=x onerror=alert(1)> | `x` \x1b[31m\u202e https://evil.example"


def hostile() -> tuple[RunRecord, Verdict]:
    """A failed run with hostile names of phase and step, sentences, branch, environment and notes."""
    record, verdict = EXAMPLES["fail-both"]()
    first, *others = record.phases
    first = dataclasses.replace(first, name=NAME, steps=tuple(map(_renamed, first.steps)), service_gone=SENTENCE)
    plan = dataclasses.replace(record.plan, scenario="x --> <b>", profile="@team")
    environment = dataclasses.replace(record.environment, runner=SENTENCE)
    record = dataclasses.replace(
        record,
        id=f"run {SENTENCE}",
        plan=plan,
        phases=(first, *others),
        environment=environment,
        revision=Revision(sha="<i>", branch=SENTENCE, label="@me"),
        notes=(SENTENCE,),
        tool=SENTENCE,
        url=SENTENCE,
    )
    finding = Finding(level=Level.FAIL, subject=SENTENCE, sentence=SENTENCE, advice=f"- {SENTENCE}")
    doubt = TrustFinding(code="x", trust=Trust.CAVEAT, phase=NAME, figure=None, limit=None, sentence=SENTENCE, advice=SENTENCE)
    moved = comparison(NAME, NAME, "p95", 0.5, verdict=Change.REGRESSION, level=Level.FAIL)
    verdict = dataclasses.replace(
        verdict,
        findings=(finding,),
        trust=(doubt,),
        comparisons=(dataclasses.replace(moved, reason=SENTENCE),),
        baselines_skipped=(SENTENCE,),
    )
    return record, verdict


def _renamed(step: StepSummary) -> StepSummary:
    return step if step.step == ALL_STEPS else dataclasses.replace(step, step=f"{NAME} {step.step}")


def crowded(requirements: int, sentence: str = "It is missed.") -> tuple[RunRecord, Verdict]:
    """A run with ever so many missed requirements, each with a finding."""
    record, verdict = EXAMPLES["fail-missed"]()
    results = tuple(
        RequirementResult(
            phase=f"phase_number_{index // 10}",
            requirement=Requirement(
                metric="p95", comparator=Comparator.BELOW, target=0.075, step=f"a_rather_long_step_name_{index}"
            ),
            status=Status.MISSED,
            met=False,
            level=Level.FAIL,
            estimate=next(iter(record.phases)).measurement("p99"),
            headroom=-0.2,
            sentence=sentence,
        )
        for index in range(requirements)
    )
    findings = tuple(
        Finding(level=Level.FAIL, subject=f"{index}", sentence=f"{index} {sentence}", advice=f"Mend {index}. {sentence}")
        for index in range(requirements)
    )
    rows = tuple(
        comparison(f"phase_{index}", f"step_{index}", metric, 0.2, verdict=Change.REGRESSION, level=Level.FAIL)
        for index in range(requirements)
        for metric in ("p50", "p95")
        if METRICS[metric]
    )
    return record, dataclasses.replace(verdict, requirements=results, findings=findings, comparisons=rows)
