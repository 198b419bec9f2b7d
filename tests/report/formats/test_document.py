"""verdict.json says everything a program needs, unrounded, under a schema that notices every slip."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest

from tests.report.examples import EXAMPLES
from tests.report.hostile import crowded, hostile
from velro_gate.report.formats.document import verdict_json
from velro_gate.report.formats.schema import verdict_schema

VALIDATOR = jsonschema.Draft202012Validator(verdict_schema())


def document(example: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(verdict_json(*EXAMPLES[example]()))
    return made


def test_the_schema_is_itself_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(verdict_schema())
    assert json.loads(json.dumps(verdict_schema())) == verdict_schema()


@pytest.mark.parametrize("make", [lambda: hostile().made, lambda: crowded(30).made])
def test_strange_runs_keep_the_schema_too(make: Any) -> None:
    VALIDATOR.validate(json.loads(verdict_json(*make())))


@pytest.mark.parametrize(
    ("example", "level", "code"),
    [
        ("pass", "pass", 0),
        ("warn", "warn", 0),
        ("no-baseline", "no-baseline", 0),
        ("inconclusive", "inconclusive", 0),
        ("inconclusive-suspicious", "inconclusive", 3),
        ("fail-both", "fail", 1),
        ("broken", "broken", 4),
    ],
)
def test_the_verdict_and_its_exit_code_are_stated(example: str, level: str, code: int) -> None:
    made = document(example)
    assert (made["verdict"], made["exit_code"]) == (level, code)


def test_figures_are_kept_to_the_last_digit() -> None:
    run, verdict = EXAMPLES["pass"]()
    made = json.loads(verdict_json(run, verdict))
    for row, one in zip(made["requirements"], verdict.requirements, strict=True):
        assert one.estimate is not None
        assert row["measured"]["value"] == one.estimate.value
    for row, comparison in zip(made["comparisons"], verdict.comparisons, strict=True):
        assert row["change"] == comparison.change


def test_a_missing_figure_is_null_and_never_zero() -> None:
    lacking = [row for row in document("broken")["requirements"] if row["status"] == "not measured"]
    assert lacking
    assert {row["measured"] for row in lacking} == {None}
    assert {row["headroom"] for row in lacking} == {None}


def test_a_scaled_plan_is_marked() -> None:
    assert document("no-baseline")["plan"]["scaled"] is True
    assert document("pass")["plan"]["scaled"] is False


def test_keys_come_in_the_order_of_the_schema() -> None:
    assert list(document("pass")) == list(verdict_schema()["properties"])  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "damage",
    [
        lambda made: made.pop("verdict"),
        lambda made: made.update(verdict="great"),
        lambda made: made.update(extra=1),
        lambda made: made.update(schema=2),
        lambda made: made["requirements"][0].pop("met"),
        lambda made: made["requirements"][0].update(metric="vibes"),
        lambda made: made["comparisons"][0].update(p=1.5),
        lambda made: made["run"]["environment"].update(fingerprint="nope"),
        lambda made: made["requirements"][0]["measured"].update(value="fast"),
    ],
)
def test_the_schema_refuses_a_damaged_document(damage: Any) -> None:
    made = copy.deepcopy(document("pass"))
    damage(made)
    assert not VALIDATOR.is_valid(made)
