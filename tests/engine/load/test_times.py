"""The instants of a phase follow from its plan and its beginning alone."""

from __future__ import annotations

import pytest

from tests.engine.imagined import phase
from velro_gate.engine.load.times import SETTLE, TICK_EVERY, PhaseTimes

TIMES = PhaseTimes.of(phase(users=10, ramp=10.0, duration=20.0), 100.0)


def test_ramp_and_measured_stretch_follow_each_other() -> None:
    assert (TIMES.began, TIMES.measured_from, TIMES.end) == (100.0, 110.0, 130.0)
    assert TIMES.settles == 110.0 - SETTLE
    assert [TIMES.tick(number) - TIMES.began for number in (1, 2)] == [TICK_EVERY, 2 * TICK_EVERY]


def test_every_user_connects_within_the_ramp_and_in_order() -> None:
    connects = [TIMES.connects(user) for user in range(10)]
    assert connects == sorted(connects)
    assert connects[0] >= TIMES.began
    assert connects[-1] < TIMES.measured_from


@pytest.mark.parametrize(("until", "stretch"), [(130.0, (110.0, 130.0)), (115.0, (110.0, 115.0)), (104.0, (104.0, 104.0))])
def test_a_phase_that_ends_early_has_measured_less_and_one_that_ends_in_its_ramp_nothing(
    until: float, stretch: tuple[float, float]
) -> None:
    assert TIMES.measured(until) == stretch
