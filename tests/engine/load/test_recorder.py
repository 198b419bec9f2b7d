"""What is put in comes out, row for row, in pieces of a bounded size."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.engine.load.recorder import ROWS, Recorder
from velro_gate.model.samples import CACHE_MISS, COLUMNS, FIRST_CACHE_LAYER, Outcome, Samples


def put(recorder: Recorder, due: float, took: float = 0.01, **changes: float) -> None:
    row = {
        "due": due,
        "sent": due,
        "done": due + took,
        "queued": 0.0,
        "connect": math.nan,
        "first_byte": took,
        "step": 0,
        "user": 0,
        "status": 200,
        "outcome": Outcome.OK,
        "cache": 0,
        "received": 100,
    } | changes
    recorder.put(*row.values())  # type: ignore[arg-type]


rows = st.tuples(
    st.floats(0, 1e5),
    st.floats(0, 100),
    st.integers(0, 60_000),
    st.integers(0, 2**32 - 1),
    st.integers(0, 65_535),
    st.sampled_from(list(Outcome)),
    st.integers(0, 255),
    st.integers(0, 2**40),
)


@given(st.lists(rows, max_size=50), st.floats(0, 1e5))
def test_every_field_comes_back_shifted_to_the_origin(made: list[tuple[float, ...]], origin: float) -> None:
    parts: list[Samples] = []
    recorder = Recorder(parts.append, origin=origin)
    for due, took, step, user, status, outcome, cache, received in made:
        put(
            recorder,
            origin + due,
            took,
            step=step,
            user=user,
            status=status,
            outcome=outcome,
            cache=cache,
            received=received,
        )
    recorder.flush()
    samples = Samples.concatenate(parts)
    assert len(samples) == recorder.rows == len(made)
    for name, dtype in COLUMNS.items():
        assert getattr(samples, name).dtype == dtype
    assert samples.due == pytest.approx(np.array([row[0] for row in made]), abs=1e-9)
    for place, name in ((2, "step"), (3, "user"), (4, "status"), (5, "outcome"), (6, "cache")):
        assert getattr(samples, name).tolist() == [row[place] for row in made]
    # A column of 32 bits holds no more; a longer answer is refused long before.
    assert samples.received.tolist() == [min(row[7], 2**32 - 1) for row in made]


def test_a_full_table_is_handed_on_and_nothing_is_lost_or_repeated() -> None:
    parts: list[Samples] = []
    recorder = Recorder(parts.append)
    for number in range(2 * ROWS + 10):
        put(recorder, float(number), user=number)
    recorder.flush()
    recorder.flush()
    assert [len(part) for part in parts] == [ROWS, ROWS, 10]
    # Handed on as copies: the table has been written over since.
    np.testing.assert_array_equal(Samples.concatenate(parts).user, np.arange(2 * ROWS + 10))
    assert recorder.outcomes[Outcome.OK] == 2 * ROWS + 10


def test_recent_figures_reach_back_over_a_flush_but_not_beyond_the_time_asked_for() -> None:
    recorder = Recorder(lambda _: None)
    for number in range(100):
        put(recorder, 10.0, 0.100, cache=CACHE_MISS if number % 4 == 0 else FIRST_CACHE_LAYER)
    recorder.flush()
    for _ in range(100):
        put(recorder, 11.0, 0.300)
    both = recorder.recent(10.0)
    assert (both.p50, both.hit_rate) == (pytest.approx(0.2), 0.75)
    newest = recorder.recent(11.0)
    assert (newest.p50, newest.hit_rate, newest.lateness_p99) == (pytest.approx(0.3), None, 0.0)


def test_without_samples_there_are_no_figures() -> None:
    recent = Recorder(lambda _: None).recent(0.0)
    assert (recent.p50, recent.p95, recent.hit_rate, recent.lateness_p99) == (None, None, None, None)


def test_failures_have_no_latency() -> None:
    recorder = Recorder(lambda _: None)
    put(recorder, 1.0, outcome=Outcome.REFUSED)
    assert recorder.recent(0.0).p95 is None
