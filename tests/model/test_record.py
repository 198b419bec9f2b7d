"""The record: books that balance, intervals that hold their value, absence that stays absence."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.values import counts, environment, phase, phase_summary, record, step_summary
from velro_gate.model.metric.definition import FigureOrigin
from velro_gate.model.record import Counts, Estimate, StepSummary, Window, fingerprint
from velro_gate.model.run import Environment

finite = st.floats(-1e9, 1e9, allow_nan=False)


@given(counts())
def test_due_arrivals_are_sent_blocked_or_missed(books: Counts) -> None:
    assert books.due == books.sent + books.blocked + books.missed
    assert books.sent == books.ok + books.failed + books.cancelled


@given(counts(), st.sampled_from(["due", "sent", "ok", "failed", "cancelled", "blocked", "missed"]), st.integers(1, 9))
def test_books_that_do_not_balance_are_refused(books: Counts, entry: str, error: int) -> None:
    with pytest.raises(ValueError, match="!="):
        dataclasses.replace(books, **{entry: getattr(books, entry) + error})


@given(counts())
def test_an_error_rate_is_a_share_and_none_when_nothing_was_asked(books: Counts) -> None:
    if books.ok + books.failed + books.blocked == 0:
        assert books.error_rate is None
    else:
        assert books.error_rate is not None
        assert 0.0 <= books.error_rate <= 1.0


@given(counts(), st.integers(1, 100))
def test_one_more_failure_never_lowers_the_error_rate(books: Counts, more: int) -> None:
    worse = dataclasses.replace(books, failed=books.failed + more, sent=books.sent + more, due=books.due + more)
    assert worse.error_rate is not None
    assert worse.error_rate >= (books.error_rate or 0.0)


@given(counts(), st.integers(1, 100))
def test_an_arrival_that_the_service_kept_from_being_sent_counts_as_an_error(books: Counts, more: int) -> None:
    worse = dataclasses.replace(books, blocked=books.blocked + more, due=books.due + more)
    assert worse.error_rate is not None
    assert worse.error_rate >= (books.error_rate or 0.0)


@given(counts(), st.integers(1, 100))
def test_what_was_cancelled_or_missed_by_our_own_doing_is_no_error_of_the_service(books: Counts, more: int) -> None:
    ours = dataclasses.replace(
        books, cancelled=books.cancelled + more, sent=books.sent + more, missed=books.missed + more, due=books.due + 2 * more
    )
    assert ours.error_rate == books.error_rate


@given(st.lists(finite, min_size=3, max_size=3))
def test_an_estimate_lies_inside_its_own_interval(values: list[float]) -> None:
    low, value, high = sorted(values)
    estimate = Estimate(value=value, low=low, high=high, n=1)
    assert estimate.low <= estimate.value <= estimate.high


@given(finite, st.floats(1e-3, 1e6))
def test_an_estimate_outside_its_interval_is_refused(value: float, off: float) -> None:
    with pytest.raises(ValueError, match="outside its own interval"):
        Estimate(value=value, low=value + off, high=value + 2 * off, n=1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_is_no_estimate(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Estimate(value=bad, low=0.0, high=1.0, n=1)
    with pytest.raises(ValueError, match="finite"):
        Estimate(value=1.0, low=0.0, high=bad, n=1)


@given(finite, st.integers(0, 10**9))
def test_an_exact_figure_has_no_width(value: float, n: int) -> None:
    exact = Estimate.exact(value, n=n, origin=FigureOrigin.COUNTED)
    assert (exact.low, exact.high, exact.n, exact.origin) == (value, value, n, FigureOrigin.COUNTED)


def test_a_measurement_that_no_registry_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown metrics"):
        step_summary("all", p96=0.1)


def test_what_was_not_measured_is_none_and_never_zero() -> None:
    summary = phase_summary()
    assert summary.measurement("hit_rate") is None
    assert summary.measurement("p95", "no_such_step") is None
    assert summary.step("no_such_step") is None


def test_a_measurement_is_that_of_all_steps_unless_one_is_named() -> None:
    summary = phase_summary()
    assert summary.measurement("p95") == Estimate.exact(0.02, n=1)
    assert summary.measurement("p95", "list") == Estimate.exact(0.03, n=1)


def test_a_window_counts_good_answers_a_second() -> None:
    window = Window(
        start=0.0,
        seconds=10.0,
        sent=30,
        ok=20,
        failed=10,
        connected=5,
        p50=None,
        p95=None,
        p99=None,
        hit_rate=None,
        lateness_p99=None,
    )
    assert window.rate == 2.0


@pytest.mark.parametrize(
    ("changes", "complete"),
    [({}, True), ({"interrupted": True}, False), ({"service_gone": "x"}, False), ({"shards_lost": ("shard 2",)}, False)],
)
def test_a_phase_cut_short_is_not_complete(changes: dict[str, Any], complete: bool) -> None:
    assert phase_summary(**changes).complete is complete


def test_a_record_is_complete_only_when_every_planned_phase_ran_to_its_end() -> None:
    planned = (phase("first"), phase("second"))
    first, second = phase_summary("first"), phase_summary("second")
    assert record((first, second), planned).complete
    assert not record((first,), planned).complete
    assert not record((first, phase_summary("second", interrupted=True)), planned).complete
    assert not record((first, second), planned, interrupted=True).complete


def test_a_record_finds_a_phase_by_its_name_and_says_none_for_one_it_did_not_reach() -> None:
    first = phase_summary("first")
    run = record((first,), (phase("first"), phase("second")))
    assert run.phase("first") is first
    assert run.phase("second") is None


def test_equal_environments_have_equal_fingerprints() -> None:
    assert fingerprint(environment()) == fingerprint(environment())
    assert len(fingerprint(environment())) == 12


@pytest.mark.parametrize(
    "changes",
    [
        {"runner": "other"},
        {"cpu_model": "other"},
        {"cores": 4},
        {"memory": 16 * 2**30},
        {"kernel": "6.2"},
        {"python": "3.12"},
        {"tool": "0.2"},
        {"extra": {"sandbox": "1"}},
    ],
)
def test_every_field_that_decides_comparability_changes_the_fingerprint(changes: dict[str, Any]) -> None:
    assert fingerprint(environment(**changes)) != fingerprint(environment())


def test_every_field_of_an_environment_is_in_that_list() -> None:
    fields = {field.name for field in dataclasses.fields(Environment)}
    assert fields == {"runner", "cpu_model", "cores", "memory", "kernel", "python", "tool", "extra"}


def test_memory_that_a_reboot_moves_a_little_leaves_the_fingerprint_alone() -> None:
    assert fingerprint(environment(memory=8 * 2**30 - 40 * 2**20)) == fingerprint(environment())


def test_the_order_of_extra_facts_is_no_difference() -> None:
    one, other = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
    assert fingerprint(environment(extra=one)) == fingerprint(environment(extra=other))


@given(counts())
def test_a_step_without_answers_has_no_latency(books: Counts) -> None:
    summary = StepSummary(step="list", counts=books, measurements={})
    assert "p95" not in summary.measurements
