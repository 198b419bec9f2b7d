"""Lanes find what is overdue, and look at hardly anything else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from velro_gate.engine.sweeping import Lanes


@given(
    st.lists(st.tuples(st.floats(0.0, 5.0), st.sampled_from([0.5, 1.0, 10.0]), st.booleans()), max_size=60),
    st.floats(0.0, 20.0),
)
def test_the_overdue_are_exactly_those_whose_deadline_has_passed(
    entries: list[tuple[float, float, bool]], after: float
) -> None:
    lanes: Lanes[int] = Lanes()
    expected, now = {}, 0.0
    for thing, (pause, seconds, leaves) in enumerate(entries):
        now += pause
        lane = lanes.lane(seconds)
        lane[thing] = now + seconds
        if leaves:
            del lane[thing]
        else:
            expected[thing] = now + seconds
    assert len(lanes) == len(expected)
    assert sorted(lanes) == sorted(expected)
    assert dict(lanes.overdue(now + after)) == {t: deadline for t, deadline in expected.items() if deadline <= now + after}


def test_what_is_overdue_stays_until_it_leaves() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.lane(1.0)["a"] = 1.0
    assert lanes.overdue(2.0) == lanes.overdue(2.0) == [("a", 1.0)]
