from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.clock import FakeClock
from velro_gate.sandbox.stores.breaker import Breaker, BreakerState


def breaker(clock: FakeClock, failures: int = 3) -> Breaker:
    return Breaker(failures=failures, recovery=10.0, clock=clock)


def opened(clock: FakeClock) -> Breaker:
    made = breaker(clock)
    for _ in range(3):
        assert made.admits()
        made.failed()
    return made


def test_it_is_closed_at_first_and_admits_everything() -> None:
    made = breaker(FakeClock())
    assert made.state is BreakerState.CLOSED
    assert all(made.admits() for _ in range(100))
    assert made.retry_after == 0.0


def test_failures_in_a_row_open_it_and_nothing_is_admitted_until_it_has_recovered() -> None:
    clock = FakeClock()
    made = opened(clock)
    assert made.state is BreakerState.OPEN
    assert not made.admits()
    clock.advance(9.9)
    assert not made.admits()
    assert round(made.retry_after, 3) == 0.1


def test_a_success_in_between_starts_the_count_again() -> None:
    made = breaker(FakeClock())
    for _ in range(20):
        made.failed()
        made.failed()
        made.succeeded()
    assert made.state is BreakerState.CLOSED


def test_after_the_recovery_time_one_trial_is_admitted_at_a_time() -> None:
    clock = FakeClock()
    made = opened(clock)
    clock.advance(10.0)
    assert made.state is BreakerState.HALF_OPEN
    assert made.admits()
    assert not made.admits()


def test_a_trial_that_goes_well_closes_it() -> None:
    clock = FakeClock()
    made = opened(clock)
    clock.advance(10.0)
    assert made.admits()
    made.succeeded()
    assert made.state is BreakerState.CLOSED
    assert made.admits()
    assert made.admits()


def test_a_trial_that_fails_opens_it_for_another_recovery_time() -> None:
    clock = FakeClock()
    made = opened(clock)
    clock.advance(10.0)
    assert made.admits()
    made.failed()
    assert made.state is BreakerState.OPEN
    assert made.opened == 2
    clock.advance(9.0)
    assert not made.admits()


def test_a_trial_that_is_given_up_leaves_room_for_another() -> None:
    clock = FakeClock()
    made = opened(clock)
    clock.advance(10.0)
    assert made.admits()
    made.abandoned()
    assert made.admits()


def test_failures_of_requests_that_were_under_way_do_not_put_the_trial_off() -> None:
    clock = FakeClock()
    made = opened(clock)
    clock.advance(5.0)
    made.failed()
    made.failed()
    assert made.opened == 1
    clock.advance(5.0)
    assert made.state is BreakerState.HALF_OPEN


@given(st.lists(st.sampled_from(["ask well", "ask badly", "give up", "wait"]), max_size=60))
def test_while_open_nothing_is_ever_admitted_and_a_success_always_closes(actions: list[str]) -> None:
    clock = FakeClock()
    made = breaker(clock)
    for action in actions:
        before = made.state
        if action == "wait":
            clock.advance(4.0)
            continue
        admitted = made.admits()
        assert admitted == (before is not BreakerState.OPEN)
        if not admitted:
            continue
        if action == "ask well":
            made.succeeded()
            assert made.state is BreakerState.CLOSED
        elif action == "ask badly":
            made.failed()
            assert before is BreakerState.CLOSED or made.state is BreakerState.OPEN
        else:
            made.abandoned()
            assert made.state is before
        assert 0.0 <= made.retry_after <= 10.0
