"""What the real judge says is rendered as well as what the examples say by hand."""

from __future__ import annotations

import dataclasses
import json

import jsonschema
import pytest

from tests.report.examples import EXAMPLES, record
from tests.report.golden import shown
from velro_gate import report
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import Estimate, PhaseSummary, RunRecord
from velro_gate.model.verdict import Level, Verdict


def noisy(index: int) -> RunRecord:
    """A baseline whose response times differ by a percent or so from those of its neighbours."""
    factor = 1.0 + 0.008 * ((index * 7) % 5 - 2)

    def reshape(phase: PhaseSummary) -> PhaseSummary:
        return dataclasses.replace(
            phase,
            steps=tuple(
                dataclasses.replace(
                    step, measurements={name: scaled(name, found, factor) for name, found in step.measurements.items()}
                )
                for step in phase.steps
            ),
        )

    return dataclasses.replace(record(reshape=reshape), id=f"baseline-{index}")


def scaled(metric: str, found: Estimate, factor: float) -> Estimate:
    if METRICS[metric].quantile is None or metric == "lateness_p99":
        return found
    return dataclasses.replace(found, value=found.value * factor, low=found.low * factor, high=found.high * factor)


BASELINES = tuple(noisy(index) for index in range(6))
SITUATIONS: dict[str, tuple[RunRecord, tuple[RunRecord, ...]]] = {
    "unchanged": (record(), BASELINES),
    "slower": (record(slower={"authorization_check": 1.3}), BASELINES),
    "too slow": (record(load=2.3), BASELINES),
    "few baselines": (record(), BASELINES[:2]),
    "first run": (record(), ()),
    "broken": (EXAMPLES["broken"]()[0], BASELINES),
}


@pytest.fixture(scope="module", params=list(SITUATIONS))
def judged(request: pytest.FixtureRequest) -> tuple[str, RunRecord, Verdict]:
    run, baselines = SITUATIONS[request.param]
    return request.param, run, judge(run, baselines)


def test_every_renderer_takes_a_real_verdict(judged: tuple[str, RunRecord, Verdict]) -> None:
    _, run, verdict = judged
    assert report.markdown(run, verdict).startswith("<!-- velro-gate:velro-prd/full -->")
    assert report.html(run, verdict).endswith("</html>\n")
    assert report.csv(run, verdict).count("\n") > 300
    assert "velro-gate: " in shown(report.terminal(run, verdict))
    jsonschema.Draft202012Validator(report.verdict_schema()).validate(json.loads(report.verdict_json(run, verdict)))


def test_the_headline_fits_the_situation(judged: tuple[str, RunRecord, Verdict]) -> None:
    situation, run, verdict = judged
    opening = {
        "unchanged": "All 30 requirements are met",
        "slower": "p95 of authorization_check rose 3",
        "too slow": "p95 of all requests in prd_compliance_validation is 107 ms",
        "few baselines": "2 baselines are too few",
        "first run": "There is no baseline to compare with yet.",
        "broken": "The measurement cannot be trusted, so nothing is judged.",
    }
    assert report.headline(run, verdict).startswith(opening[situation])


def test_every_step_to_take_stands_for_the_verdict(judged: tuple[str, RunRecord, Verdict]) -> None:
    _, run, verdict = judged
    section = report.markdown(run, verdict).split("#### What to do next")[1].split("<details>")[0]
    steps = [line for line in section.splitlines() if line.startswith("- ")]
    assert steps
    if verdict.level is Level.PASS:
        assert steps == ["- Nothing to do."]
