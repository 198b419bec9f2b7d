"""The capacity in words, whatever the search came to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.report.golden import shown
from velro_gate.cli.commands.capacity import capacity_table
from velro_gate.model.capacity import CapacityResult, Ending, LoadUnit, Scalability, Trial
from velro_gate.model.facts.bottlenecks import Bottleneck, PoolExhausted, Saturation
from velro_gate.model.facts.doubts import FigureName
from velro_gate.model.record import Estimate
from velro_gate.report.printed.capacity import capacity_rows, capacity_sentences, capacity_title, scalability_sentences
from velro_gate.store.codec import CodecError, decode_capacity, encode_capacity

QUEUE = Bottleneck(
    start=0.0,
    end=10.0,
    strength=0.9,
    series=(),
    facts=Saturation(offered=1300.0, answered=1210.0, before=10.0, after=300.0),
)
POOL = Bottleneck(start=1.0, end=9.0, strength=0.8, series=(), facts=PoolExhausted(size=20.0, share=0.9, waiting=12.0))
EXACT = Estimate.exact(1.0, n=5)


def trial(load: float, score: float, **changed: Any) -> Trial:
    figures: dict[str, Any] = {
        "error": 0.05,
        "seconds": 10.0,
        "throughput": load,
        "concurrency": 12.4,
        "p95": 0.06,
        "figure": FigureName(step="all", metric="p95"),
    }
    return Trial(load=load, score=score, **(figures | changed))


def result(**changed: Any) -> CapacityResult:
    figures: dict[str, Any] = {
        "unit": LoadUnit.RATE,
        "phase": "steady",
        "ending": Ending.FOUND,
        "capacity": Estimate(value=1240.0, low=1190.0, high=1280.0, n=3),
        "met": 1220.0,
        "missed": 1270.0,
        "wanted": 1000.0,
        "trials": (
            trial(1270.0, 0.2, bottleneck=QUEUE),
            trial(1220.0, -0.1),
            trial(1500.0, 1.0, drowned=True, bottleneck=POOL),
        ),
    }
    return CapacityResult(**(figures | changed))


@pytest.mark.parametrize(
    ("met", "missed", "carried"),
    [
        (1220.0, None, True),
        (None, 900.0, False),
        (800.0, 950.0, False),
        (800.0, None, None),
        (None, None, None),
        (800.0, 1100.0, None),
    ],
)
def test_a_search_without_a_capacity_says_of_the_plans_load_only_what_was_tried(
    met: float | None, missed: float | None, carried: bool | None
) -> None:
    found = result(capacity=None, ending=Ending.GENERATOR, met=met, missed=missed)
    assert found.carries_plan is carried
    assert any("was not shown" in line for line in capacity_sentences(found)) is (carried is None)


def test_the_capacity_is_said_with_its_interval_and_its_headroom() -> None:
    assert capacity_title(result()) == "Capacity: 1,240/s (1,190/s to 1,280/s) meet the requirements of steady"
    assert "headroom: 24 % above the plan's 1,000/s" in capacity_sentences(result())


def test_trials_are_listed_in_the_order_of_load() -> None:
    rows = capacity_rows(result())
    assert [row[0] for row in rows] == ["1,220/s", "1,270/s", "1,500/s"]
    assert [row[5] for row in rows] == ["met", "missed", "falls behind"]
    assert rows[0][6] == "p95 of all requests"


def test_the_table_of_trials_fits_a_terminal_of_80_columns_and_splits_no_figure() -> None:
    named = trial(1270.0, 0.2, figure=FigureName(step="authorization_check", metric="p95"), drowned=True)
    lines = shown(capacity_table(result(trials=(named, trial(1220.0, -0.1)))), width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.split()[:4] == ["1,270/s", "1,270/s", "60.0", "ms"] for line in lines)
    assert any("falls behind" in line for line in lines)


def test_what_limits_the_service_is_a_cause_rather_than_its_queue() -> None:
    assert result().limited_by == POOL
    assert any(line.startswith("limited by: the database pool was exhausted") for line in capacity_sentences(result()))
    assert result(trials=(trial(1270.0, 0.2, bottleneck=QUEUE),)).limited_by == QUEUE
    assert result(trials=(trial(1220.0, -0.2, bottleneck=POOL),)).limited_by is None


@pytest.mark.parametrize(
    ("changed", "title", "sentence"),
    [
        ({"ending": Ending.ALL_MET, "capacity": None, "missed": None}, "at least 1,220/s", None),
        ({"ending": Ending.NONE_MET, "capacity": None, "met": None}, "below 1,270/s", "even the lowest load missed"),
        ({"ending": Ending.TIME, "capacity": None}, "not found", "the limit lies between 1,220/s and 1,270/s"),
        ({"ending": Ending.TIME, "capacity": None, "met": None}, "not found", "the limit lies below 1,270/s"),
        ({"ending": Ending.TIME, "capacity": None, "missed": None}, "at least 1,220/s", "the limit lies above 1,220/s"),
        ({"ending": Ending.GENERATOR, "reason": "too slow"}, "1,240/s", "the next load could not be measured (too slow)"),
        ({"ending": Ending.STOPPED, "reason": "connection refused"}, "1,240/s", "ended early: connection refused"),
        ({"wanted": 2000.0}, "1,240/s", "no headroom: 38 % below the plan's 2,000/s"),
        ({"wanted": 1260.0}, "1,240/s", "though its interval reaches it"),
        ({"unit": LoadUnit.USERS}, "1,240 users (1,190 users to 1,280 users)", "the plan's 1,000 users"),
    ],
)
def test_every_ending_has_its_words(changed: dict[str, Any], title: str, sentence: str | None) -> None:
    found = result(**changed)
    assert title in capacity_title(found)
    if sentence is not None:
        assert any(sentence in line for line in capacity_sentences(found))


def test_the_law_names_its_knee_or_that_there_is_none() -> None:
    knee = Scalability(
        rate=Estimate.exact(100.0, n=9),
        contention=Estimate.exact(0.02, n=9),
        coherence=Estimate.exact(0.0005, n=9),
        knee=Estimate(value=44.0, low=40.0, high=52.0, n=9),
        peak=Estimate.exact(1560.0, n=9),
        points=9,
    )
    assert "knee at 44 (40 to 52) requests at a time: 1,560/s at most, less beyond it" in scalability_sentences(knee)
    flat = Scalability(rate=knee.rate, contention=knee.contention, coherence=EXACT, knee=None, peak=None, points=9)
    assert "no knee: throughput still grows with more requests at a time, towards 5,000/s" in scalability_sentences(flat)
    assert scalability_sentences(None) == []


def test_a_result_survives_its_file_and_a_damaged_one_is_refused() -> None:
    assert decode_capacity(encode_capacity(result())) == result()
    with pytest.raises(CodecError, match="names no schema"):
        decode_capacity("{}")


def test_a_requirement_that_less_load_does_not_help_is_named() -> None:
    stale = FigureName(step="all", metric="error_rate")
    missed: dict[str, Any] = {"ending": Ending.TIME, "capacity": None, "met": None, "missed": 10.0}
    falling = result(**missed, trials=(trial(10.0, 0.4, figure=stale), trial(50.0, 0.3, figure=stale)))
    (said,) = (line for line in capacity_sentences(falling) if "did not help" in line)
    assert said.startswith("less load did not help: error rate misses its limit at 10/s as at 50/s")
    for trials in (
        (trial(10.0, 0.1), trial(50.0, 0.3)),
        (trial(10.0, 0.4), trial(50.0, 0.3, drowned=True)),
        (trial(10.0, 0.4, figure=stale), trial(50.0, 0.3)),
    ):
        assert not any("did not help" in line for line in capacity_sentences(result(**missed, trials=trials)))


@pytest.mark.parametrize("wanted", [0.0, -0.0, -1.0, float("nan")])
def test_a_plan_that_asks_for_no_load_has_no_capacity(wanted: float) -> None:
    with pytest.raises(ValueError, match="positive load"):
        result(wanted=wanted)
