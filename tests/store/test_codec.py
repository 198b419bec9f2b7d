"""The codec gives back what it was given, and names what it cannot read."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.runs import baselines, run, summary
from tests.store.values import facts, records
from velro_gate.analysis.stored.comparison import compare
from velro_gate.model.record import Estimate, RunRecord, Window
from velro_gate.model.run import Reading, RunFacts
from velro_gate.model.scenario import Policy
from velro_gate.store.codec import (
    CodecError,
    OtherSchemaError,
    decode_facts,
    decode_record,
    encode_facts,
    encode_record,
    record_schema,
)
from velro_gate.store.files import write_whole

pytestmark = pytest.mark.hostile("damaged records")

PLAIN = encode_record(run())
NO_FACTS = RunFacts(phases=(), readings=(), layers=())


@pytest.mark.slow
@settings(max_examples=60)
@given(records())
def test_a_record_survives_the_round_trip_exactly(record: RunRecord) -> None:
    assert decode_record(encode_record(record)) == record


@pytest.mark.parametrize("half", ["\udcff", "\ud83d \ude00"])
def test_half_a_character_of_a_service_keeps_no_record_from_being_read(half: str, tmp_path: Path) -> None:
    record = replace(run(), notes=(f"status must be 'ok', came {half}.",))
    write_whole(tmp_path / "record.json", encode_record(record))
    found = decode_record((tmp_path / "record.json").read_text("utf-8"))
    assert found.notes[0].startswith("status must be 'ok', came ?")
    assert decode_record(encode_record(found)) == found == replace(record, notes=found.notes)


@cache
def record_validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(record_schema())


@settings(max_examples=20)
@given(records())
def test_a_record_keeps_the_published_schema(record: RunRecord) -> None:
    record_validator().validate(json.loads(encode_record(record)))


@settings(max_examples=60)
@given(facts())
def test_facts_survive_the_round_trip_exactly(held: RunFacts) -> None:
    assert decode_facts(encode_facts(held)) == held


@pytest.mark.slow
@settings(max_examples=60)
@given(records())
def test_a_compact_record_keeps_everything_but_windows_and_digits(record: RunRecord) -> None:
    back = decode_record(encode_record(record, compact=True))
    assert replace(back, phases=()) == replace(record, phases=())
    for one, other in zip(record.phases, back.phases, strict=True):
        assert other.windows == ()
        assert [step.counts for step in one.steps] == [step.counts for step in other.steps]
        for step, kept in zip(one.steps, other.steps, strict=True):
            assert kept.measurements.keys() == step.measurements.keys()
            for name, figure in step.measurements.items():
                assert kept.measurements[name].value == pytest.approx(figure.value, rel=1e-6)
                assert kept.measurements[name].n == figure.n


@settings(max_examples=30)
@given(records())
def test_a_compact_record_is_stable_once_rounded(record: RunRecord) -> None:
    once = encode_record(record, compact=True)
    assert encode_record(decode_record(once), compact=True) == once


def test_rounding_changes_no_comparison() -> None:
    before = baselines(10, sd=0.0123)
    kept = [decode_record(encode_record(each, compact=True)) for each in before]
    candidate = run(summary(times=1.0713))
    for one, other in zip(compare(candidate, before, Policy()), compare(candidate, kept, Policy()), strict=True):
        assert one.verdict is other.verdict
        assert (one.p or 0.0) == pytest.approx(other.p or 0.0, rel=1e-3)


def test_the_text_is_the_same_each_time_with_sorted_keys() -> None:
    keys = list(json.loads(PLAIN))
    assert keys == sorted(keys)
    assert encode_record(run()) == PLAIN
    assert PLAIN.endswith("}\n")


def test_the_text_names_its_schema_compact_or_not() -> None:
    assert json.loads(PLAIN)["schema"] == 1
    assert json.loads(encode_record(run(), compact=True))["schema"] == 1
    assert json.loads(encode_facts(NO_FACTS))["schema"] == 1


def test_estimates_are_mappings_in_a_record_and_short_lists_in_a_baseline() -> None:
    def p95_and_rate(text: str) -> list[object]:
        figures = json.loads(text)["phases"][0]["steps"][0]["measurements"]
        return [figures["p95"], figures["throughput"]]

    assert p95_and_rate(PLAIN)[1] == {
        "value": 100.0,
        "low": 100.0,
        "high": 100.0,
        "n": 6000,
        "detail": "",
        "blocks": 0,
        "origin": None,
    }
    assert p95_and_rate(encode_record(run(), compact=True)) == [[0.012, 0.01188, 0.01212, 6000], [100.0, 6000]]


def test_a_compact_record_leaves_the_windows_out() -> None:
    window = Window(
        start=0.0,
        seconds=10.0,
        sent=1,
        ok=1,
        failed=0,
        connected=1,
        p50=None,
        p95=None,
        p99=None,
        hit_rate=None,
        lateness_p99=None,
    )
    record = run(replace(summary(), windows=(window,)))
    assert decode_record(encode_record(record)) == record
    assert decode_record(encode_record(record, compact=True)).phases[0].windows == ()


def test_readings_share_the_names_of_their_series() -> None:
    readings = tuple(Reading(at=float(i), source="service", name="rss", value=1.5) for i in range(1000))
    text = encode_facts(replace(NO_FACTS, readings=readings))
    assert text.count("service") == 1
    assert decode_facts(text).readings == readings


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_not_written(value: float) -> None:
    with pytest.raises(CodecError, match="not a finite number"):
        encode_record(run(replace(summary(), measured_seconds=value)))
    with pytest.raises(CodecError, match="not a finite number"):
        encode_record(run(replace(summary(), measured_seconds=value)), compact=True)
    with pytest.raises(CodecError, match="not a finite number"):
        encode_facts(replace(NO_FACTS, readings=(Reading(at=0.0, source="s", name="n", value=value),)))


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("1e999", "1e999"),
        ("9" * 400, "a number of 400 digits"),
        ("9" * 5_000, "a number of 5,000 digits"),
    ],
)
def test_what_is_not_finite_is_not_read(written: str, named: str) -> None:
    with pytest.raises(CodecError, match=f"it holds {named}"):
        decode_record(PLAIN.replace('"ramp": 5.0', f'"ramp": {written}'))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON: Expecting value at line 1, column 1"),
        ("{", "not JSON"),
        (PLAIN[:-40], "not JSON"),
        ("[]", "not a run record: it names no schema"),
        ("{}", "not a run record: it names no schema"),
        ('"text"', "not a run record: it names no schema"),
        ('{"schema": true}', "not a run record: it names no schema"),
        ('{"schema": "1"}', "not a run record: it names no schema"),
        ('{"schema": 1}', "not a whole run record: id: Field required"),
        ('{"schema": 1, "phases": 7}', "not a whole run record"),
        ('{"schema": 1, "phases": [7, {"steps": [8, {"measurements": {"p95": [1]}}]}]}', "not a whole run record"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_record_is_reported_in_one_sentence(text: str, why: str) -> None:
    with pytest.raises(CodecError) as caught:
        decode_record(text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_record_from_before_the_null_run_is_still_read() -> None:
    tree = json.loads(PLAIN)
    del tree["generator_noise"]
    for phase in tree["phases"]:
        del phase["health"]["memory_free"], phase["health"]["throttled_share"]
    assert decode_record(json.dumps(tree)) == run()


def test_a_newer_record_is_recognised_as_such() -> None:
    with pytest.raises(OtherSchemaError, match=r"written by a newer velro-gate \(schema 2, this version reads 1\)"):
        decode_record(PLAIN.replace('"schema": 1', '"schema": 2'))


def test_an_older_record_is_recognised_as_such() -> None:
    with pytest.raises(OtherSchemaError, match="written by an older velro-gate"):
        decode_record(PLAIN.replace('"schema": 1', '"schema": 0'))


def test_newer_facts_are_recognised_as_such() -> None:
    with pytest.raises(OtherSchemaError, match="newer"):
        decode_facts(encode_facts(NO_FACTS).replace('"schema":1', '"schema":9'))


@pytest.mark.parametrize(
    ("before", "after", "where"),
    [
        ('"sent": 6000', '"sent": 5999', "steps.0.counts"),
        ('"users": 50', '"users": "50"', "users"),
        ('"p95"', '"p42"', "steps.0"),
        ('"cores": 2', '"cores": null', "environment.cores"),
    ],
)
def test_a_value_that_breaks_an_invariant_is_named_with_its_place(before: str, after: str, where: str) -> None:
    with pytest.raises(CodecError) as caught:
        decode_record(PLAIN.replace(before, after, 1))
    assert where in str(caught.value)


@pytest.mark.parametrize(
    "readings",
    ["7", "[]", "{}", '{"rows":[[0,1.0,2.0]],"series":[]}', '{"rows":[[0]],"series":[["s","n"]]}', '{"rows":[],"series":[1]}'],
)
def test_damaged_readings_are_reported(readings: str) -> None:
    text = encode_facts(NO_FACTS).replace('{"rows":[],"series":[]}', readings)
    with pytest.raises(CodecError, match="readings are damaged"):
        decode_facts(text)


@given(st.integers(0, len(PLAIN) - 2), st.characters())
@settings(max_examples=150)
def test_a_changed_character_is_read_or_refused_but_never_crashes(place: int, other: str) -> None:
    text = PLAIN[:place] + other + PLAIN[place + 1 :]
    with contextlib.suppress(CodecError):
        decode_record(text)


@given(st.text(max_size=60))
def test_no_text_crashes_the_reader(text: str) -> None:
    with pytest.raises(CodecError):
        decode_record(text)


def test_an_estimate_survives_packing_in_both_of_its_forms() -> None:
    forms = {
        "p50": Estimate.exact(0.5, n=3),
        "p99": Estimate(value=0.5, low=0.25, high=0.75, n=3),
    }
    phase = summary()
    record = run(replace(phase, steps=(replace(phase.steps[0], measurements=forms),)))
    assert decode_record(encode_record(record, compact=True)).phases[0].steps[0].measurements == forms
