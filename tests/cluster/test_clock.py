"""How far another clock is off is known to half of the fastest round trip, and that it moves is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.cluster.clock import RECENT, ClockWatch, Offset, offset_of, wall_offset

WAYS = st.lists(st.tuples(st.floats(1e-5, 0.2), st.floats(1e-5, 0.2)), min_size=1, max_size=30)


def ping(watch: ClockWatch, at: float, offset: float, there: float = 0.001, back: float = 0.001) -> None:
    watch.add(at, at + there + offset, at + there + back)


@given(st.floats(-1e4, 1e4), WAYS)
def test_the_true_offset_lies_within_the_uncertainty_however_unequal_the_ways(
    offset: float, ways: list[tuple[float, float]]
) -> None:
    watch = ClockWatch()
    for number, (there, back) in enumerate(ways):
        ping(watch, float(number), offset, there, back)
    found = watch.settle()
    assert abs(found.seconds - offset) <= found.uncertainty + 1e-9
    assert found.uncertainty == pytest.approx(min(there + back for there, back in ways[-RECENT:]) / 2.0, abs=1e-9)


def test_a_clock_that_stays_has_no_drift_though_pings_become_slow() -> None:
    watch = ClockWatch()
    for second in range(RECENT):
        ping(watch, float(second), 3.0)
    watch.settle()
    for second in range(RECENT, 4 * RECENT):
        ping(watch, float(second), 3.0, there=0.08)
    assert watch.drift == 0.0


def test_a_clock_that_moves_is_noticed_to_within_what_the_pings_leave_open() -> None:
    watch = ClockWatch()
    for second in range(RECENT):
        ping(watch, float(second), 0.0)
    watch.settle()
    for second in range(3 * RECENT):
        ping(watch, 100.0 + second, 0.050)
    assert watch.drift == pytest.approx(0.048)
    # It stays noticed where the clock comes back.
    for second in range(3 * RECENT):
        ping(watch, 200.0 + second, 0.0)
    assert watch.drift == pytest.approx(0.048)


def test_what_the_shard_says_of_its_start_is_corrected_by_what_is_known_of_its_clock_by_then() -> None:
    watch = ClockWatch()
    ping(watch, 0.0, 5.010, there=0.020, back=0.040)  # believed to be 5.000
    assert watch.settle().seconds == pytest.approx(5.000)
    ping(watch, 1.0, 5.010)
    late = watch.late(started=10.001, begin=10.0)
    assert late.seconds == pytest.approx(-0.009)
    assert late.uncertainty == pytest.approx(0.001)


def test_of_several_readings_of_the_time_of_day_the_fastest_counts() -> None:
    slow, fast = offset_of(0.0, 9.0, 1.0), offset_of(5.0, 7.001, 5.002)
    assert wall_offset([slow, fast]) == fast == Offset(seconds=pytest.approx(2.0), uncertainty=pytest.approx(0.001))


def test_a_round_trip_is_the_fastest_of_the_last_pings() -> None:
    watch = ClockWatch()
    for number, took in enumerate((0.1, 0.4, 0.3, 0.5)):
        watch.add(number, 50.0, number + took)
    assert [round(watch.round_trip(pings), 9) for pings in (1, 2, 3, 9)] == [0.5, 0.3, 0.3, 0.1]
