"""Samples as they come: none is lost, none counted twice, and what a live view shows is of the moment."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from velro_gate.engine.recorder import ROWS, Recent, Recorder, Row
from velro_gate.errors import StorageError
from velro_gate.model.samples import CACHE_MISS, COLUMNS, FIRST_CACHE_LAYER, NO_CACHE_HEADER, Outcome, Samples


def row(
    due: float = 1.0,
    *,
    late: float = 0.0,
    queued: float = 0.0,
    took: float = 0.01,
    step: int = 0,
    outcome: Outcome = Outcome.OK,
    cache: int = NO_CACHE_HEADER,
) -> Row:
    sent = due + queued + late
    return (due, sent, sent + took, queued, nan, took / 2, step, 7, 200, outcome, cache, 123)


def filled(rows: list[Row], *, remember: bool = False) -> tuple[Recorder, list[Samples]]:
    pieces: list[Samples] = []
    recorder = Recorder(pieces.append, remember=remember)
    for one in rows:
        recorder.add(one)
    recorder.flush()
    return recorder, pieces


def test_a_row_comes_out_as_it_went_in() -> None:
    _, (samples,) = filled([row(2.5, late=0.001, queued=0.25, took=0.5, step=3, outcome=Outcome.TIMEOUT, cache=4)])
    found = tuple(getattr(samples, name)[0] for name in COLUMNS)
    expected = row(2.5, late=0.001, queued=0.25, took=0.5, step=3, outcome=Outcome.TIMEOUT, cache=4)
    assert found == pytest.approx(expected, nan_ok=True)
    assert {name: getattr(samples, name).dtype for name in COLUMNS} == {name: np.dtype(kind) for name, kind in COLUMNS.items()}


@given(st.lists(st.sampled_from(list(Outcome)), max_size=50))
def test_every_row_is_counted_as_ok_failed_or_cancelled(outcomes: list[Outcome]) -> None:
    recorder, pieces = filled([row(outcome=outcome) for outcome in outcomes])
    samples = Samples.concatenate(pieces)
    assert samples.outcome.tolist() == outcomes
    assert recorder.sent == recorder.ok + recorder.failed + recorder.cancelled == len(outcomes)
    assert recorder.ok == outcomes.count(Outcome.OK)
    assert recorder.cancelled == outcomes.count(Outcome.CANCELLED)


@settings(max_examples=8)
@given(st.sampled_from([0, 1, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS + 5]))
def test_the_sink_gets_every_row_once_in_order_in_pieces_of_bounded_size(count: int) -> None:
    recorder, pieces = filled([row(float(number)) for number in range(count)])
    recorder.flush()
    assert all(0 < len(piece) <= ROWS for piece in pieces)
    assert Samples.concatenate(pieces).due.tolist() == list(range(count))


def test_pieces_stay_as_they_were_when_the_table_is_used_again() -> None:
    pieces: list[Samples] = []
    recorder = Recorder(pieces.append)
    for due in (1.0, 2.0):
        recorder.add(row(due))
        recorder.flush()
    assert [piece.due.tolist() for piece in pieces] == [[1.0], [2.0]]


def test_after_a_sink_has_failed_rows_can_still_be_added() -> None:
    def sink(_: Samples) -> None:
        raise StorageError("full")

    recorder = Recorder(sink)
    for _ in range(ROWS - 1):
        recorder.add(row())
    with pytest.raises(StorageError):
        recorder.add(row())
    for _ in range(ROWS - 1):
        recorder.add(row())
    assert recorder.sent == 2 * ROWS - 1


def test_the_remembered_arrivals_are_counted_by_step_within_a_stretch() -> None:
    rows = [row(due, step=step) for due, step in [(0.5, 0), (1.0, 0), (1.5, 2), (2.0, 2), (2.5, 1)]]
    recorder, _ = filled(rows, remember=True)
    assert recorder.count_by_step(3, 1.0, 2.0).tolist() == [1, 0, 1]
    assert recorder.count_by_step(4, 0.0, 9.0).tolist() == [2, 1, 2, 0]
    assert Recorder(lambda _: None, remember=True).count_by_step(2, 0.0, 1.0).tolist() == [0, 0]


# What a live view asks for


def test_without_rows_there_is_no_figure() -> None:
    assert Recorder(lambda _: None).recent() == Recent()


def test_figures_are_of_good_answers_from_their_due_times_and_shares_of_known_cache_headers() -> None:
    recorder = Recorder(lambda _: None)
    for number in range(100):
        recorder.add(row(queued=0.5, took=0.01, cache=FIRST_CACHE_LAYER if number < 60 else NO_CACHE_HEADER))
    for _ in range(20):
        recorder.add(row(took=9.0, outcome=Outcome.TIMEOUT, late=0.2, cache=CACHE_MISS))
    recent = recorder.recent()
    assert recent.p50 == recent.p95 == recent.p99 == pytest.approx(0.51)
    assert recent.hit_rate == pytest.approx(60 / 80)
    assert recent.lateness_p99 == pytest.approx(0.2)


def test_figures_without_a_good_answer_or_a_cache_header_are_missing_not_nought() -> None:
    recorder = Recorder(lambda _: None)
    recorder.add(row(outcome=Outcome.RESET))
    recent = recorder.recent()
    assert (recent.p50, recent.p95, recent.p99, recent.hit_rate) == (None, None, None, None)
    assert recent.lateness_p99 == 0.0


def test_each_look_is_at_what_came_since_the_last_one() -> None:
    recorder = Recorder(lambda _: None)
    recorder.add(row(took=1.0))
    assert recorder.recent().p50 == pytest.approx(1.0)
    assert recorder.recent() == Recent()
    recorder.add(row(took=2.0))
    recorder.flush()
    recorder.add(row(took=3.0))
    assert recorder.recent().p50 == pytest.approx(3.0)
