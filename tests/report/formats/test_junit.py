"""The JUnit XML report: what other CI systems show must agree with the exit code."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.report.examples import EXAMPLES
from tests.report.hostile import hostile
from velro_gate.model.verdict import Level
from velro_gate.report.formats.junit import VERDICT_SUITE, junit

COUNTED = {"tests": "testcase", "failures": "testcase/failure", "errors": "testcase/error", "skipped": "testcase/skipped"}


def parsed(example: str) -> ET.Element:
    return ET.fromstring(junit(*EXAMPLES[example]()))


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_failure_or_an_error_stands_in_it_exactly_when_the_process_ends_with_another_code_than_0(example: str) -> None:
    record, verdict = EXAMPLES[example]()
    top = parsed(example)
    code = verdict.exit_code(block_inconclusive=record.plan.policy.block_inconclusive)
    assert (int(top.attrib["failures"]) + int(top.attrib["errors"]) > 0) is (code != 0)
    assert (top.find(f"testsuite[@name='{VERDICT_SUITE}']/testcase/failure") is not None) is (verdict.level is Level.FAIL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_suite_counts_its_own_tests_and_the_whole_counts_them_all(example: str) -> None:
    top = parsed(example)
    for attribute, path in COUNTED.items():
        suites = [(int(suite.attrib[attribute]), len(suite.findall(path))) for suite in top]
        assert all(reported == there for reported, there in suites)
        if attribute != "skipped":
            assert int(top.attrib[attribute]) == sum(reported for reported, _ in suites)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_requirement_is_a_test_and_one_that_was_not_measured_is_not_passed(example: str) -> None:
    _, verdict = EXAMPLES[example]()
    tests = [case for case in parsed(example).iter("testcase") if case.attrib["classname"].endswith(".requirement")]
    assert len(tests) == len(verdict.requirements)
    unmeasured = sum(result.estimate is None for result in verdict.requirements)
    assert sum(case.find("system-out") is None for case in tests) >= unmeasured


_ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "time", "tests", "failures", "errors", "skipped", "timestamp"},
    "testcase": {"name", "time", "classname"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"type", "message"},
    "system-out": set[str](),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_no_element_has_an_attribute_that_the_schema_of_jenkins_does_not_know(example: str) -> None:
    for element in parsed(example).iter():
        assert set(element.attrib) <= _ATTRIBUTES[element.tag]


def test_names_from_outside_cannot_break_out_of_the_document() -> None:
    top = ET.fromstring(junit(*hostile().made))
    assert {element.tag for element in top.iter()} <= {
        "testsuites", "testsuite", "testcase", "failure", "error", "skipped", "system-out",
    }  # fmt: skip
