"""Phases in simulated time: every instant is known, so the books and the clocks can be held to the letter."""

from __future__ import annotations

import gc
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.imagined import NEVER, Simulated, simulate
from tests.engine.scripted import phase, step
from velro_gate.errors import StorageError
from velro_gate.model.run import Progress, Shard
from velro_gate.model.samples import Outcome, Samples
from velro_gate.model.scenario import ClosedArrivals, OpenArrivals
from velro_gate.pacing import open_schedule

PLAN = phase(users=20, ramp=10.0, duration=20.0, rate=40.0)
STEPS = (step("one"), step("two", probability=0.5))


def counts(ran: Simulated) -> dict[str, int]:
    """Samples of the measured stretch by step."""
    facts, samples = ran.facts, ran.samples
    within = samples.step[(samples.due >= facts.measured_from) & (samples.due < facts.measured_until)]
    return {one.name: int((within == index).sum()) for index, one in enumerate(STEPS)}


def check_sums(ran: Simulated) -> None:
    facts, found = ran.facts, counts(ran)
    assert {name: found[name] + facts.blocked[name] + facts.missed[name] for name in found} == dict(facts.due)


def test_with_a_service_that_takes_no_time_every_request_is_sent_and_answered_when_it_is_due() -> None:
    ran = simulate(PLAN, steps=STEPS)
    schedule = open_schedule(PLAN, STEPS, 1)
    np.testing.assert_allclose(np.sort(ran.samples.due), schedule.due + ran.facts.started, atol=1e-9)
    np.testing.assert_allclose(ran.samples.sent, ran.samples.due, atol=1e-9)
    np.testing.assert_allclose(ran.samples.done, ran.samples.due, atol=1e-9)
    assert (ran.facts.measured_from, ran.facts.measured_until) == pytest.approx((10.0, 30.0))
    assert dict(ran.facts.due) == counts(ran)
    assert sum(ran.facts.blocked.values()) == sum(ran.facts.missed.values()) == 0
    assert ran.endpoint.requests == ran.facts.delivered_total == ran.facts.sent_total == len(schedule)


def test_users_connect_spread_over_the_ramp() -> None:
    ran = simulate(PLAN, steps=STEPS)
    np.testing.assert_allclose(ran.endpoint.connected_at, np.arange(20) * 0.45, atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_shards_share_the_arrivals_of_a_phase_among_them(count: int) -> None:
    parts = [simulate(PLAN, steps=STEPS, shard=Shard(index=index, count=count)) for index in range(count)]
    rows = sorted(
        row
        for part in parts
        for row in zip(part.samples.due.round(6), part.samples.user.tolist(), part.samples.step.tolist(), strict=True)
    )
    schedule = open_schedule(PLAN, STEPS, 1)
    assert rows == sorted(zip(schedule.due.round(6), schedule.user.tolist(), schedule.step.tolist(), strict=True))
    for name in ("one", "two"):
        assert sum(part.facts.due[name] for part in parts) == counts(simulate(PLAN, steps=STEPS))[name]


@given(st.floats(0.001, 3.0), st.floats(0.1, 2.0), st.sampled_from(["poisson", "even"]), st.integers(1, 9))
@settings(max_examples=25)
def test_the_books_balance_however_slow_the_service_is(
    latency: float, timeout: float, spacing: Literal["poisson", "even"], users: int
) -> None:
    steps = (step("one", timeout=timeout), step("two", probability=0.5, timeout=timeout / 2))
    plan = phase(users=users, ramp=1.0, duration=4.0, arrivals=OpenArrivals(rate=20.0, spacing=spacing))
    ran = simulate(plan, lambda _: latency, steps=steps)
    check_sums(ran)
    assert sum(ran.facts.missed.values()) == 0
    assert ran.facts.sent_total == len(ran.samples) == ran.endpoint.requests
    samples = ran.samples
    np.testing.assert_allclose(samples.sent, samples.due + samples.queued, atol=1e-5)
    assert (samples.service_time <= timeout + 0.05 + 1e-9).all()
    answered = samples.outcome == Outcome.OK
    np.testing.assert_allclose(samples.service_time[answered], latency, atol=1e-9)


def test_a_stall_is_felt_by_every_request_that_fell_due_in_it() -> None:
    ran = simulate(PLAN, lambda at: max(0.0, 17.0 - at) if at > 15.0 else 0.0, steps=STEPS)
    hit = (ran.samples.due > 15.001) & (ran.samples.due < 17.0)
    assert hit.sum() > 60
    # Analytically: whatever falls due while the service stands still is answered when it goes on.
    np.testing.assert_allclose(ran.samples.done[hit], 17.0, atol=1e-6)
    np.testing.assert_allclose(ran.samples.lateness, 0.0, atol=1e-6)
    assert (ran.samples.outcome == Outcome.OK).all()


def test_what_is_overdue_is_given_up_within_a_twentieth_of_a_second() -> None:
    steps = (step("one", timeout=0.7),)
    ran = simulate(phase(users=5, ramp=0.0, duration=4.0, rate=20.0), lambda _: NEVER, steps=steps)
    timed_out = ran.samples.where(ran.samples.outcome == Outcome.TIMEOUT)
    assert len(timed_out) > 10
    assert (timed_out.service_time >= 0.7 - 1e-9).all()
    assert (timed_out.service_time <= 0.75 + 1e-9).all()


def test_a_handshake_that_takes_too_long_is_the_requests_timeout() -> None:
    steps = (step("one", timeout=0.5),)
    ran = simulate(phase(users=3, ramp=1.0, duration=5.0, rate=20.0), steps=steps, handshake=60.0)
    assert set(ran.samples.outcome.tolist()) <= {Outcome.TIMEOUT, Outcome.CANCELLED}
    assert ran.samples.service_time.max() <= 0.55 + 1e-9
    assert ran.facts.delivered_total == ran.endpoint.requests == 0


def test_a_service_that_goes_silent_ends_the_phase_after_five_seconds_of_failures() -> None:
    plan = phase(users=20, ramp=10.0, duration=500.0, rate=40.0)
    ran = simulate(plan, lambda at: 0.01 if at < 20.0 else None, steps=STEPS)
    assert ran.facts.service_gone is not None
    assert ran.facts.ended == pytest.approx(25.5, abs=0.6)
    check_sums(ran)


def test_silence_without_requests_is_not_a_service_that_is_gone() -> None:
    plan = phase(users=1, ramp=0.0, duration=60.0, arrivals=ClosedArrivals(think_time=20.0, constant=True))
    ran = simulate(plan, steps=STEPS)
    assert ran.facts.service_gone is None
    assert ran.facts.ended == pytest.approx(60.0, abs=0.2)


@given(st.floats(0.1, 35.0), st.booleans())
@settings(max_examples=12)
def test_stopped_at_any_moment_the_books_balance(at: float, closed: bool) -> None:
    arrivals = ClosedArrivals(think_time=0.4) if closed else PLAN.arrivals
    ran = simulate(phase(users=20, ramp=10.0, duration=20.0, arrivals=arrivals), lambda _: 0.8, steps=STEPS, stop_at=at)
    check_sums(ran)
    assert ran.facts.interrupted is (at < ran.facts.ended or ran.facts.ended == pytest.approx(at))
    assert ran.facts.ended <= at + 0.1
    assert ran.facts.sent_total == len(ran.samples) == ran.endpoint.requests
    assert ran.facts.measured_until <= max(ran.facts.ended, ran.facts.measured_from)


def test_a_tick_is_kept_for_every_second_of_the_phase() -> None:
    ran = simulate(PLAN, steps=STEPS)
    # Simulated time leaps on while a thread counts ports, so a tick may come late, but never early and never so as to be lost.
    assert [int(tick.at) for tick in ran.facts.ticks] == list(range(1, len(ran.facts.ticks) + 1))
    assert len(ran.facts.ticks) >= 29
    assert [progress.stage for progress in ran.seen[:9]] == ["ramp"] * 9
    assert [progress.stage for progress in ran.seen[10:29]] == ["measure"] * 19
    assert ran.facts.ticks[-1].connected == 20


def test_a_closed_loop_has_as_many_requests_under_way_as_users_at_most() -> None:
    plan = phase(users=7, ramp=1.0, duration=20.0, arrivals=ClosedArrivals(think_time=0.5))
    ran = simulate(plan, lambda _: 0.5, steps=STEPS)
    assert all(tick.in_flight <= 7 for tick in ran.facts.ticks)
    check_sums(ran)
    # Little's law: 7 users, a cycle of a second on average.
    assert sum(ran.facts.due.values()) / 20.0 == pytest.approx(7.0, rel=0.15)


# The interpreter, as it was before


def state() -> tuple[bool, int, int]:
    return gc.isenabled(), gc.get_freeze_count(), len(gc.callbacks)


def test_the_garbage_collector_rests_from_a_second_before_the_measured_stretch_to_its_end() -> None:
    before = state()
    enabled: list[bool] = []
    frozen: list[int] = []

    def observe(_: Progress) -> None:
        enabled.append(gc.isenabled())
        frozen.append(gc.get_freeze_count())

    ran = simulate(PLAN, steps=STEPS, observe=observe)
    assert enabled[:8] == [True] * 8
    assert enabled[9:29] == [False] * 20
    assert set(frozen[:8]) == {before[1]}
    assert min(frozen[9:29]) > 1_000
    assert ran.facts.health.gc_full_collections == 0
    assert state() == before


def test_a_sink_that_fails_amid_the_load_ends_the_phase_with_its_own_error_alone() -> None:
    before = state()
    full = StorageError("the disk is full")

    def sink(_: Samples) -> None:
        raise full

    plan = phase(users=500, ramp=0.0, duration=1.0, rate=20_000.0)
    with pytest.raises(BaseExceptionGroup) as caught:
        simulate(plan, lambda _: 0.0001, steps=STEPS, sink=sink)
    found: BaseException = caught.value
    while isinstance(found, BaseExceptionGroup):
        assert len(found.exceptions) == 1
        found = found.exceptions[0]
    assert found is full
    assert state() == before
