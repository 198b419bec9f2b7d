"""Experiments in every report: a row for each expectation, a band in the charts, a sentence for what did not hold."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from tests.analysis.resilience.test_expectations import ERRORS, RECOVERY, record
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.record import Estimate, RunRecord, Window
from velro_gate.model.resilience.experiment import Expectation, Expected
from velro_gate.model.verdict import Level
from velro_gate.report.formats.comment import markdown
from velro_gate.report.formats.console import terminal_text
from velro_gate.report.formats.document import verdict_json
from velro_gate.report.formats.junit import junit
from velro_gate.report.formats.schema import verdict_schema
from velro_gate.report.parts.charts import WIDTH, charts
from velro_gate.report.sentences.kinds.experiments import expectation_sentence

MISSED = Estimate(value=0.2, low=0.1, high=0.3, n=100)


def window(start: float) -> Window:
    return Window(
        start=start,
        seconds=10.0,
        sent=100,
        ok=90,
        failed=10,
        connected=5,
        p50=0.01,
        p95=0.02,
        p99=0.03,
        hit_rate=None,
        lateness_p99=0.001,
    )


def charted(found: RunRecord) -> RunRecord:
    windows = tuple(window(10.0 * number) for number in range(6))
    return replace(found, phases=(replace(found.phases[0], windows=windows),))


def test_every_report_shows_the_expectation() -> None:
    found = record(ERRORS, MISSED)
    verdict = judge(found, [])
    assert "#### Experiments: 0 of 1 met" in markdown(found, verdict)
    assert "down: errors during the experiment" in terminal_text(found, verdict)
    assert 'name="down: errors during the experiment' in junit(found, verdict)
    document = json.loads(verdict_json(found, verdict))
    jsonschema.validate(document, verdict_schema())
    (row,) = document["experiments"]
    assert (row["experiment"], row["expected"], row["status"], row["met"]) == ("down", "errors", "missed", False)
    assert row["sentence"] == "down: errors during the experiment 20.0 % (10.0 to 30.0 %), above the limit of 5 %"


def test_reports_of_runs_without_experiments_have_no_such_section() -> None:
    plain = record(ERRORS, MISSED)
    plan = tuple(replace(phase, experiments=()) for phase in plain.plan.phases)
    plain = replace(plain, plan=replace(plain.plan, phases=plan), phases=(replace(plain.phases[0], experiments=()),))
    assert "Experiments" not in markdown(plain, judge(plain, []))


def test_an_experiment_is_a_band_in_every_chart() -> None:
    for chart in charts(charted(record(ERRORS, MISSED))):
        (panel,) = chart.panels
        (band,) = panel.bands
        assert band.x == pytest.approx(WIDTH / 3.0, abs=0.2)
        assert band.width == pytest.approx(WIDTH / 6.0, abs=0.2)
        assert band.name == "down"


def test_what_was_not_undone_is_a_band_to_the_end() -> None:
    (panel,) = charts(charted(record(ERRORS, None, fault="no luck")))[0].panels
    assert panel.bands[0].x + panel.bands[0].width == pytest.approx(WIDTH, abs=0.2)


@pytest.mark.parametrize(
    ("wanted", "estimate", "unfinished", "said"),
    [
        (RECOVERY, Estimate.exact(30.0, n=3), True, "the service did not recover within 30.0 s, the limit is 10 s"),
        (
            Expectation(kind=Expected.BREAKER, limit=2.0, statuses=(503,)),
            Estimate.exact(10.0, n=3),
            True,
            "it did not open within 10.0 s, the limit is 2 s",
        ),
        (Expectation(kind=Expected.P95, limit=0.2, step="list"), None, False, "of list has no figure: no request succeeded"),
        (RECOVERY, None, False, "recovery after the fault not measured"),
        (
            Expectation(kind=Expected.RETRIES, limit=3.0),
            Estimate.exact(4.5, n=3),
            False,
            "4.5 times as many, above the limit of 3 times as many",
        ),
        (
            Expectation(kind=Expected.DEGRADED, limit=0.99, statuses=(503,)),
            Estimate(value=0.985, low=0.98, high=0.992, n=100),
            False,
            "below the limit of 99 %; its interval includes it",
        ),
        (
            Expectation(kind=Expected.LOST, limit=0.0),
            Estimate.exact(3.0, n=41),
            False,
            "acknowledged writes that were lost 3 of 41, above the limit of 0",
        ),
        (
            Expectation(kind=Expected.CONSISTENCY, limit=0.5),
            Estimate.exact(5.0, n=41),
            True,
            "reads were still stale after 5.00 s, seen by 2 of 5 users, the limit is 500 ms",
        ),
        (
            Expectation(kind=Expected.STALE, limit=0.01),
            Estimate.exact(0.2, n=41),
            False,
            "stale reads after the invalidation 20.0 %, seen by 2 of 5 users, above the limit of 1 %",
        ),
        (Expectation(kind=Expected.FAILOVER, limit=2.0), Estimate.exact(9.0, n=9), True, "traffic did not move within 9.00 s"),
        (Expectation(kind=Expected.HIT_RATE, limit=2.0), Estimate.exact(5.0, n=4), True, "it did not come back within 5.00 s"),
    ],
)
def test_a_sentence_says_what_did_not_hold(wanted: Expectation, estimate: Estimate, unfinished: bool, said: str) -> None:
    users = (2, 5) if wanted.kind in (Expected.STALE, Expected.CONSISTENCY) else None
    (result,) = judge(record(wanted, estimate, unfinished=unfinished, users=users), []).expectations
    assert result.level > Level.PASS
    assert said in expectation_sentence(result)


def test_an_expectation_of_a_broken_measurement_is_neither_met_nor_missed() -> None:
    found = record(ERRORS, MISSED)
    broken = replace(judge(found, []).findings[0], level=Level.BROKEN)
    verdict = replace(judge(found, []), findings=(broken,))
    assert "#### Experiments: not judged" in markdown(found, verdict)
    assert "missed" not in terminal_text(found, verdict)


def test_without_other_requirements_the_lead_says_that_expectations_are_met() -> None:
    found = record(RECOVERY, Estimate.exact(0.0, n=5))
    said = terminal_text(found, judge(found, []))
    assert "What is expected of the experiment is met. The plan has no other requirements." in said
    assert "at once" in said
