"""OpenMetrics text is read back by the library's own parser, and says what the record says."""

from __future__ import annotations

import math

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed
from prometheus_client.samples import Sample

from tests.report.examples import EXAMPLES, Made
from tests.report.hostile import hostile
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.report.formats.openmetrics import openmetrics


def samples(made: Made) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for family in parsed(openmetrics(*made)):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_situation_is_valid_and_finite(name: str) -> None:
    made = EXAMPLES[name]()
    found = samples(made)
    assert all(math.isfinite(sample.value) for group in found.values() for sample in group)
    assert openmetrics(*made).endswith("# EOF\n")
    (info,) = found["velro_gate_run_info"]
    assert info.labels["id"] == made[0].id
    on = [sample.labels["velro_gate_verdict"] for sample in found["velro_gate_verdict"] if sample.value]
    assert on == [made[1].level.word]


def test_each_measured_figure_stands_under_its_metric_phase_and_step() -> None:
    run, verdict = EXAMPLES["pass"]()
    found = samples((run, verdict))
    for phase in run.phases:
        p95 = phase.measurement("p95")
        assert p95 is not None
        (sample,) = [
            one
            for one in found["velro_gate_p95_seconds"]
            if (one.labels["phase"], one.labels["step"]) == (phase.name, ALL_STEPS)
        ]
        assert sample.value == p95.value
    counted = sum(one.value for one in found["velro_gate_requests_total"] if one.labels["step"] == ALL_STEPS)
    assert counted == sum(sum(whole.outcomes.values()) for phase in run.phases if (whole := phase.step()) is not None)


def test_the_score_is_there_where_the_run_has_one() -> None:
    assert samples(EXAMPLES["pass"]())["velro_gate_compliance_score_ratio"][0].value == 1.0
    assert "velro_gate_compliance_score_ratio" not in samples(EXAMPLES["broken"]())


def test_a_requirement_that_is_missed_is_zero() -> None:
    met = samples(EXAMPLES["fail-missed"]())["velro_gate_requirement_met"]
    assert {one.value for one in met} == {0.0, 1.0}


def test_names_from_outside_stay_inside_their_labels() -> None:
    assert samples(hostile().made)["velro_gate_run_info"]
