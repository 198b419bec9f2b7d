"""Samples: equal columns, time that does not run backwards, and the three durations that come of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.model.values import samples
from velro_gate.model.samples import CACHE_MISS, COLUMNS, FIRST_CACHE_LAYER, NO_CACHE_HEADER, Outcome, Samples


@given(samples())
def test_response_time_is_never_shorter_than_service_time(rows: Samples) -> None:
    assert (rows.response_time >= rows.service_time).all()
    assert (rows.service_time >= 0.0).all()


@given(samples())
def test_lateness_is_never_negative_and_leaves_out_the_wait_for_the_users_own_earlier_request(rows: Samples) -> None:
    assert (rows.lateness >= 0.0).all()
    # The queue is kept in single precision: compare at its resolution.
    assert (rows.lateness <= rows.sent - rows.due + 1e-2).all()
    np.testing.assert_allclose(rows.lateness, np.maximum(rows.sent - rows.due - rows.queued, 0.0))


@given(samples())
def test_an_answer_before_the_request_is_refused(rows: Samples) -> None:
    assume(len(rows))
    with pytest.raises(ValueError, match="due <= sent <= done"):
        dataclasses.replace(rows, done=rows.sent - 1.0)


@given(samples())
def test_a_request_before_it_was_due_is_refused(rows: Samples) -> None:
    assume(len(rows))
    with pytest.raises(ValueError, match="due <= sent <= done"):
        dataclasses.replace(rows, sent=rows.due - 1.0)


@given(samples(), st.sampled_from(sorted(COLUMNS)))
def test_a_column_of_another_length_is_refused(rows: Samples, name: str) -> None:
    with pytest.raises(ValueError, match="one length"):
        dataclasses.replace(rows, **{name: np.zeros(len(rows) + 1, COLUMNS[name])})


@given(st.lists(samples(max_size=8), max_size=5))
def test_concatenating_shards_keeps_every_row_in_order(parts: list[Samples]) -> None:
    whole = Samples.concatenate(parts)
    assert len(whole) == sum(map(len, parts))
    for name, dtype in COLUMNS.items():
        column = getattr(whole, name)
        assert column.dtype == dtype
        assert column.tolist() == [value for part in parts for value in getattr(part, name).tolist()]


@given(samples())
def test_a_mask_and_its_complement_share_out_the_rows(rows: Samples) -> None:
    good, bad = rows.where(rows.ok), rows.where(~rows.ok)
    assert len(good) + len(bad) == len(rows)
    assert good.ok.all()
    assert not bad.ok.any()


@given(samples(), st.floats(0.01, 100.0))
def test_scaling_all_times_scales_every_duration_alike(rows: Samples, factor: float) -> None:
    scaled = dataclasses.replace(rows, due=rows.due * factor, sent=rows.sent * factor, done=rows.done * factor)
    np.testing.assert_allclose(scaled.response_time, rows.response_time * factor, atol=1e-6)


def test_no_samples_is_a_value_like_any_other() -> None:
    nothing = Samples.empty()
    assert len(nothing) == 0
    assert len(nothing.response_time) == 0
    assert not nothing.ok.any()


def test_only_failures_to_connect_cannot_have_reached_the_service() -> None:
    undelivered = {outcome for outcome in Outcome if not outcome.delivered}
    assert undelivered == {Outcome.REFUSED, Outcome.TLS, Outcome.DNS, Outcome.CERTIFICATE}


def test_cache_codes_distinguish_no_header_from_a_miss_and_a_miss_from_a_hit() -> None:
    assert NO_CACHE_HEADER < CACHE_MISS < FIRST_CACHE_LAYER
