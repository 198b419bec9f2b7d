"""Facts of a run: times in order, slices that share out the users exactly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.values import phase_run
from velro_gate.model.run import Shard


@given(st.lists(st.floats(0.0, 1e5), min_size=4, max_size=4).map(sorted))
def test_a_phase_whose_times_are_in_order_is_accepted(times: list[float]) -> None:
    started, begin, until, ended = times
    run = phase_run(started=started, measured_from=begin, measured_until=until, ended=ended)
    assert run.started <= run.measured_from <= run.measured_until <= run.ended


@pytest.mark.parametrize("changes", [{"measured_from": -1.0}, {"measured_until": 0.5}, {"ended": 5.0}])
def test_a_phase_whose_times_run_backwards_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="out of order"):
        phase_run(**changes)


@given(st.integers(1, 16), st.integers(0, 500))
def test_shards_share_out_the_users_without_gap_or_overlap(count: int, total: int) -> None:
    shared = sorted(user for index in range(count) for user in Shard(index=index, count=count).users(total))
    assert shared == list(range(total))


@given(st.integers(1, 16), st.integers(0, 500))
def test_no_shard_carries_more_than_one_user_more_than_another(count: int, total: int) -> None:
    sizes = [len(Shard(index=index, count=count).users(total)) for index in range(count)]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("index", "count"), [(-1, 2), (2, 2), (0, 0)])
def test_a_shard_that_does_not_exist_is_refused(index: int, count: int) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        Shard(index=index, count=count)


def test_one_process_runs_the_whole_plan() -> None:
    assert list(Shard.whole().users(3)) == [0, 1, 2]
