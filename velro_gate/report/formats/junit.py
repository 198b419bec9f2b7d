"""The JUnit XML report, which other CI systems show next to unit tests: a suite for the verdict, and one for each phase.

A failure is what fails the gate, an error what keeps it from a verdict, and a skipped test what was not decided but blocks
nothing. So the file holds a failure or an error exactly when the process ends with another exit code than 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from xml.etree import ElementTree as ET

from velro_gate import units
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Change, Comparison, ExpectationResult, Level, RequirementResult, Verdict
from velro_gate.report.parts import rows
from velro_gate.report.parts.experiment_rows import expectation_row
from velro_gate.report.parts.wording import action, sentence, title
from velro_gate.report.text import figures
from velro_gate.report.text.escape import visible
from velro_gate.report.text.phrase import plain

VERDICT_SUITE = "verdict"


class CaseResult(Enum):
    """The result of a test, as JUnit calls it."""

    PASSED = "passed"
    SKIPPED = "skipped"
    FAILED = "failure"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test of a suite."""

    name: str
    kind: str
    """Of what is tested."""
    outcome: CaseResult
    said: str
    """One line, shown next to a test that did not pass."""
    more: str = ""
    """Shown below it."""


def junit(record: RunRecord, verdict: Verdict) -> str:
    """The report as XML with its declaration."""
    suites = [(VERDICT_SUITE, 0.0, list(_of_the_run(record, verdict)))]
    for phase in record.plan.phases:
        cases = [*_required(record, verdict, phase.name), *_expected(verdict, phase.name), *_compared(verdict, phase.name)]
        suites.append((phase.name, phase.ramp + phase.duration, cases))
    # Jenkins' schema knows no number of skipped tests for the whole.
    totals = {name: value for name, value in _totals(suites).items() if name != "skipped"}
    top = ET.Element("testsuites", {"name": _clean(f"velro-gate {record.plan.scenario}"), **totals})
    for name, seconds, cases in suites:
        about = {"name": _clean(name), "timestamp": record.started_at.rstrip("Z")}
        suite = ET.SubElement(top, "testsuite", {**about, **_totals([(name, seconds, cases)])})
        for case in cases:
            _write(suite, case, f"{record.plan.scenario}.{record.plan.profile}.{name}")
    ET.indent(top)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(top, encoding="unicode")}\n'


def _of_the_run(record: RunRecord, verdict: Verdict) -> Iterator[Case]:
    """The verdict as a whole, and whether the measurement can be trusted."""
    match verdict.level:
        case Level.FAIL:
            outcome = CaseResult.FAILED
        case Level.BROKEN:
            outcome = CaseResult.ERROR
        case Level.INCONCLUSIVE:
            blocks = verdict.exit_code(block_inconclusive=record.plan.policy.block_inconclusive) != 0
            outcome = CaseResult.ERROR if blocks else CaseResult.SKIPPED
        case _:
            outcome = CaseResult.PASSED
    yield Case(
        name="the gate",
        kind=VERDICT_SUITE,
        outcome=outcome,
        said=f"{verdict.level.word}: {title(verdict)}",
        more=f"{plain(sentence(record, verdict))} {action(verdict)}",
    )


def _required(record: RunRecord, verdict: Verdict, phase: str) -> Iterator[Case]:
    for result in rows.ordered_requirements(verdict.requirements, record):
        if result.phase == phase:
            row = rows.requirement_row(result)
            yield Case(
                name=f"{plain(row.subject)} {row.limit}",
                kind="requirement",
                outcome=_limit_outcome(result, verdict),
                said=f"{row.status}: {row.value}",
                more=row.note,
            )


def _expected(verdict: Verdict, phase: str) -> Iterator[Case]:
    """What was expected of the phase's experiments."""
    for result in verdict.expectations:
        if result.phase == phase:
            row = expectation_row(result)
            yield Case(
                name=f"{row.experiment}: {row.subject} {row.limit}",
                kind="experiment",
                outcome=_limit_outcome(result, verdict),
                said=f"{row.status}: {row.value}",
                more=row.note,
            )


def _limit_outcome(result: RequirementResult | ExpectationResult, verdict: Verdict) -> CaseResult:
    if result.level is Level.FAIL:
        return CaseResult.FAILED
    if result.estimate is None or result.level is Level.BROKEN or verdict.level is Level.BROKEN:
        # What nobody measured, or measured in a way that cannot be trusted, is never shown as passed.
        return CaseResult.ERROR if verdict.level is Level.BROKEN else CaseResult.SKIPPED
    return CaseResult.PASSED


def _compared(verdict: Verdict, phase: str) -> Iterator[Case]:
    """The comparisons that may fail a run; advisory ones are in the other reports."""
    for compared in verdict.comparisons:
        if compared.phase == phase and compared.primary:
            row = rows.comparison_row(compared)
            yield Case(
                name=f"{plain(figures.subject_phrase(compared.metric, compared.step))} compared with {_other(verdict)}",
                kind="comparison",
                outcome=_comparison_outcome(compared, verdict),
                said=f"{row.finding}: {row.baseline} -> {row.current} ({row.change})",
                more=row.note or METRICS[compared.metric].label,
            )


def _other(verdict: Verdict) -> str:
    return "the base build" if verdict.duet is not None else "the baselines"


def _comparison_outcome(row: Comparison, verdict: Verdict) -> CaseResult:
    if row.level is Level.FAIL:
        return CaseResult.FAILED
    if row.verdict in (Change.UNCHANGED, Change.IMPROVEMENT) and verdict.level is not Level.BROKEN:
        return CaseResult.PASSED
    return CaseResult.SKIPPED


def _write(suite: ET.Element, case: Case, place: str) -> None:
    # time="0": a requirement takes no time of its own, and readers of the format miss the attribute where it is absent.
    made = ET.SubElement(suite, "testcase", classname=_clean(f"{place}.{case.kind}"), name=_clean(case.name), time="0")
    if case.outcome is CaseResult.PASSED:
        ET.SubElement(made, "system-out").text = _clean(f"{case.said} {case.more}")
        return
    element = ET.SubElement(made, case.outcome.value, message=_clean(case.said))
    if case.outcome is not CaseResult.SKIPPED:
        element.set("type", case.kind)
    element.text = _clean(case.more)


def _totals(suites: list[tuple[str, float, list[Case]]]) -> dict[str, str]:
    cases = [case for _, _, found in suites for case in found]
    counted = {
        "tests": len(cases),
        "failures": sum(case.outcome is CaseResult.FAILED for case in cases),
        "errors": sum(case.outcome is CaseResult.ERROR for case in cases),
        "skipped": sum(case.outcome is CaseResult.SKIPPED for case in cases),
    }
    return {
        **{name: str(count) for name, count in counted.items()},
        "time": units.format_decimal(sum(seconds for _, seconds, _ in suites), 3),
    }


def _clean(text: str) -> str:
    """On one line, without what XML 1.0 cannot hold."""
    return visible(text)
