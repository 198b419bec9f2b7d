"""OpenMetrics text is read back by the library's own parsers and by promtool, and says what the record says."""

from __future__ import annotations

import dataclasses
import math

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed
from prometheus_client.parser import text_string_to_metric_families as parsed_as_older_format
from prometheus_client.samples import Sample

from tests.report.examples import EXAMPLES, Made
from tests.report.hostile import hostile
from tests.servers import promtool_check
from velro_gate.model.metric.broken import name_of_experiment_metric
from velro_gate.model.metrics import METRICS
from velro_gate.model.resilience.experiment import Expected
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
    counted = sum(one.value for one in found["velro_gate_requests"] if one.labels["step"] == ALL_STEPS)
    assert counted == sum(sum(whole.outcomes.values()) for phase in run.phases if (whole := phase.step()) is not None)


def test_the_score_is_there_where_the_run_has_one() -> None:
    assert samples(EXAMPLES["pass"]())["velro_gate_compliance_score_ratio"][0].value == 1.0
    assert "velro_gate_compliance_score_ratio" not in samples(EXAMPLES["broken"]())


def test_a_requirement_that_is_missed_is_zero() -> None:
    met = samples(EXAMPLES["fail-missed"]())["velro_gate_requirement_met"]
    assert {one.value for one in met} == {0.0, 1.0}


def test_names_from_outside_stay_inside_their_labels() -> None:
    assert samples(hostile().made)["velro_gate_run_info"]


def of_every_metric() -> Made:
    """A run that measured each metric there is, and metrics with names that promtool would not have a family bear."""
    run, verdict = EXAMPLES["pass"]()
    names = ("wait_ms", "jobs_total", "queue_gauge", "pause_minutes", "held_count", "a_bucket", "info")
    own = [f"own:{name}:{unit}:{better}" for name in names for unit, better in (("time", "lower"), ("count", "higher"))]
    broken = [name_of_experiment_metric(name, kind) for name in names for kind in Expected]
    first, *others = run.phases
    whole, *steps = first.steps
    value = whole.measurements["p95"]
    every = dataclasses.replace(whole, measurements=dict.fromkeys([*METRICS, *own, *broken], value))
    return dataclasses.replace(run, phases=(dataclasses.replace(first, steps=(every, *steps)), *others)), verdict


@pytest.mark.hostile("texts")
@pytest.mark.parametrize("name", ["every metric", "hostile", *EXAMPLES])
def test_promtool_finds_nothing_wrong_and_both_formats_have_the_same_samples(name: str) -> None:
    made = {"every metric": of_every_metric, "hostile": lambda: hostile().made}.get(name) or EXAMPLES[name]
    text = openmetrics(*made())
    assert promtool_check(text) == ""
    older = {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in parsed_as_older_format(text)
        for one in family.samples
    }
    newer = {(one.name, tuple(sorted(one.labels.items()))): one.value for family in parsed(text) for one in family.samples}
    assert older == newer


def test_each_metric_of_a_scenario_stands_under_its_whole_name() -> None:
    run, verdict = of_every_metric()
    found, measured = samples((run, verdict)), set(run.phases[0].steps[0].measurements)
    scenarios = [group for name, group in found.items() if name.startswith(("velro_gate_own_", "velro_gate_experiment_"))]
    assert {one.labels["metric"] for group in scenarios for one in group} == measured - set(METRICS)
