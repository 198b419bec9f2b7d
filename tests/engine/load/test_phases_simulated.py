"""Phases in simulated time: every instant is known, so the books and the clocks can be held to the letter."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.imagined import NEVER, Deed, Simulated, phase, simulate, step, takes
from velro_gate.engine.load.context import CONNECT_SECONDS
from velro_gate.engine.load.times import STOP_GRACE
from velro_gate.errors import StorageError
from velro_gate.model.run import Progress, Shard
from velro_gate.model.samples import Outcome, Samples
from velro_gate.model.scenario import Arrivals, ClosedArrivals, Comparator, OpenArrivals, Requirement, Step
from velro_gate.pacing import open_schedule

pytestmark = pytest.mark.slow

PLAN = phase()
STEPS = (step("one"), step("two", probability=0.5))


def counts(ran: Simulated, steps: tuple[Step, ...] = STEPS) -> dict[str, int]:
    """Samples of the measured stretch by step."""
    facts, samples = ran.facts, ran.samples
    within = samples.step[(samples.due >= facts.measured_from) & (samples.due < facts.measured_until)]
    return {one.name: int((within == index).sum()) for index, one in enumerate(steps)}


def check_books(ran: Simulated, steps: tuple[Step, ...] = STEPS) -> None:
    """What fell due was sent, blocked or missed, and every request that was sent ended and was seen by the service."""
    facts, found, outcomes = ran.facts, counts(ran, steps), ran.samples.outcome
    assert {name: found[name] + facts.blocked[name] + facts.missed[name] for name in found} == dict(facts.due)
    assert sum(facts.missed.values()) == 0
    ok, cancelled = int((outcomes == Outcome.OK).sum()), int((outcomes == Outcome.CANCELLED).sum())
    failed = int(((outcomes != Outcome.OK) & (outcomes != Outcome.CANCELLED)).sum())
    assert facts.sent_total == len(ran.samples) == ok + failed + cancelled
    assert ran.service.requests == facts.delivered_total + facts.retries
    assert facts.connections_opened == len(ran.service.connected_at)


def test_with_a_service_that_takes_no_time_every_request_is_sent_and_answered_when_it_is_due() -> None:
    ran = simulate(PLAN, steps=STEPS)
    schedule = open_schedule(PLAN, STEPS, 1)
    np.testing.assert_allclose(np.sort(ran.samples.due), schedule.due + ran.facts.started, atol=1e-9)
    np.testing.assert_allclose(ran.samples.sent, ran.samples.due, atol=1e-9)
    np.testing.assert_allclose(ran.samples.done, ran.samples.due, atol=1e-9)
    assert (ran.facts.measured_from, ran.facts.measured_until) == pytest.approx((10.0, 30.0))
    assert dict(ran.facts.due) == counts(ran)
    assert sum(ran.facts.blocked.values()) == sum(ran.facts.missed.values()) == 0
    assert ran.service.requests == ran.facts.delivered_total == ran.facts.sent_total == len(schedule)


def test_users_connect_spread_over_the_ramp() -> None:
    ran = simulate(PLAN, steps=STEPS)
    np.testing.assert_allclose(ran.service.connected_at, np.arange(20) * 0.45, atol=1e-9)


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_shards_share_the_arrivals_of_a_phase_among_them(shards: int) -> None:
    parts = [simulate(PLAN, steps=STEPS, shard=Shard(index=index, count=shards)) for index in range(shards)]
    rows = sorted(
        row
        for part in parts
        for row in zip(part.samples.due.round(6), part.samples.user.tolist(), part.samples.step.tolist(), strict=True)
    )
    schedule = open_schedule(PLAN, STEPS, 1)
    assert rows == sorted(zip(schedule.due.round(6), schedule.user.tolist(), schedule.step.tolist(), strict=True))
    for index, name in enumerate(("one", "two")):
        assert sum(part.facts.due[name] for part in parts) == (schedule.step[schedule.due >= 10.0] == index).sum()


@given(st.floats(0.001, 3.0), st.floats(0.1, 2.0), st.sampled_from(["poisson", "even"]), st.integers(1, 9))
@settings(max_examples=12)
def test_the_books_balance_however_slow_the_service_is(
    latency: float, timeout: float, spacing: Literal["poisson", "even"], users: int
) -> None:
    steps = (step("one", timeout=timeout), step("two", probability=0.5, timeout=timeout / 2))
    plan = phase(users=users, ramp=1.0, duration=4.0, arrivals=OpenArrivals(rate=20.0, spacing=spacing))
    ran = simulate(plan, takes(latency), steps=steps)
    check_books(ran)
    samples = ran.samples
    np.testing.assert_allclose(samples.sent, samples.due + samples.queued, atol=1e-5)
    answered = samples.outcome == Outcome.OK
    np.testing.assert_allclose(samples.service_time[answered], latency, atol=1e-9)
    assert (samples.service_time[~answered] <= timeout + 1e-9).all()


def test_a_stall_is_felt_by_every_request_that_fell_due_in_it() -> None:
    ran = simulate(PLAN, lambda at: Deed(after=max(0.0, 17.0 - at) if at > 15.0 else 0.0), steps=STEPS)
    hit = (ran.samples.due > 15.001) & (ran.samples.due < 17.0)
    assert hit.sum() > 60
    # Analytically: whatever falls due while the service stands still is answered when it goes on.
    np.testing.assert_allclose(ran.samples.done[hit], 17.0, atol=1e-6)
    np.testing.assert_allclose(ran.samples.lateness, 0.0, atol=1e-6)
    assert (ran.samples.outcome == Outcome.OK).all()


def test_what_is_overdue_ends_at_its_deadline_and_its_user_goes_on_within_a_twentieth_of_a_second() -> None:
    steps = (step(timeout=0.7),)
    plan = phase(users=5, ramp=0.0, duration=4.0, arrivals=OpenArrivals(rate=20.0, spacing="even"))
    ran = simulate(plan, takes(NEVER), steps=steps)
    check_books(ran, steps)
    timed_out = ran.samples.where(ran.samples.outcome == Outcome.TIMEOUT)
    assert len(timed_out) > 10
    np.testing.assert_allclose(timed_out.service_time, 0.7, atol=1e-9)
    for user in range(5):
        rows = timed_out.where(timed_out.user == user)
        waits = rows.sent[1:] - rows.done[:-1]
        assert (waits >= 0.0).all()
        assert (waits <= 0.05 + 1e-9).all()
    # The wait for the sweep is the doing of the service that gave no answer, not ours.
    np.testing.assert_allclose(ran.samples.lateness, 0.0, atol=1e-6)


def test_a_connection_that_takes_too_long_is_the_requests_timeout() -> None:
    steps = (step(timeout=0.5),)
    plan = phase(users=3, ramp=1.0, duration=5.0, arrivals=OpenArrivals(rate=20.0, spacing="even"))
    ran = simulate(plan, steps=steps, accept=lambda _: 60.0)
    assert set(ran.samples.outcome.tolist()) <= {Outcome.TIMEOUT, Outcome.CANCELLED}
    assert ran.samples.service_time.max() <= 0.5 + 1e-9
    assert ran.facts.delivered_total == ran.service.requests == 0


def test_a_user_that_could_not_connect_ahead_tries_again_and_its_failure_is_no_sample() -> None:
    plan = phase(users=3, ramp=1.0, duration=30.0, arrivals=OpenArrivals(rate=0.03, spacing="even"))
    ran = simulate(plan, steps=STEPS, accept=lambda at: NEVER if at < CONNECT_SECONDS else 0.0)
    # Given up one by one, noticed a second later at the earliest, by a look that is taken once a second.
    assert ran.service.connected_at == pytest.approx([12.0, 12.0, 12.0])
    assert ran.samples.outcome.tolist() == [Outcome.OK]
    assert ran.samples.due[0] > 12.0


# Ends


def test_a_service_that_goes_silent_ends_the_phase_after_five_seconds_of_failures() -> None:
    plan = phase(duration=500.0)
    ran = simulate(plan, lambda at: Deed(after=0.01) if at < 20.0 else Deed(data=b"", ends=True), steps=STEPS)
    assert ran.facts.service_gone is not None
    assert ran.facts.ended == pytest.approx(25.0, abs=0.1)
    check_books(ran)


@pytest.mark.parametrize("deed", [Deed(data=b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), Deed(after=NEVER)])
def test_a_service_that_errs_or_is_slow_is_not_gone(deed: Deed) -> None:
    ran = simulate(PLAN, lambda _: deed, steps=STEPS)
    assert ran.facts.service_gone is None
    assert ran.facts.measured_until == pytest.approx(30.0)
    check_books(ran)


def test_silence_without_requests_is_not_a_service_that_is_gone() -> None:
    plan = phase(users=1, ramp=0.0, duration=60.0, arrivals=ClosedArrivals(think_time=20.0, constant=True))
    ran = simulate(plan, steps=STEPS)
    assert ran.facts.service_gone is None
    assert ran.facts.ended == pytest.approx(60.0, abs=0.2)


@given(
    st.floats(0.1, 35.0),
    st.sampled_from([0.8, 5.0]),
    st.sampled_from([PLAN.arrivals, ClosedArrivals(think_time=0.4), ClosedArrivals(think_time=0.0)]),
)
@settings(max_examples=15)
def test_stopped_at_any_moment_the_phase_sends_no_more_ends_after_its_grace_and_the_books_balance(
    at: float, latency: float, arrivals: Arrivals
) -> None:
    steps = (step("one", timeout=20.0), step("two", probability=0.5, timeout=20.0))
    ran = simulate(phase(arrivals=arrivals), takes(latency), steps=steps, stop_at=at)
    check_books(ran, steps)
    assert (ran.samples.sent <= at + 1e-9).all()
    assert ran.facts.interrupted is (at < ran.facts.ended or ran.facts.ended == pytest.approx(at))
    assert ran.facts.ended <= at + STOP_GRACE + 0.1
    assert ran.facts.measured_until <= max(ran.facts.ended, ran.facts.measured_from)


def test_what_can_still_be_answered_in_the_grace_is_and_the_rest_is_cancelled() -> None:
    at = count()
    ran = simulate(PLAN, lambda _: Deed(after=(0.5, 5.0)[next(at) % 2]), steps=(step(timeout=20.0),), stop_at=20.0)
    late = ran.samples.where(ran.samples.done > 20.0)
    assert set(late.outcome.tolist()) == {Outcome.OK, Outcome.CANCELLED}
    np.testing.assert_allclose(late.done[late.outcome == Outcome.CANCELLED], 20.0 + STOP_GRACE, atol=0.1)
    assert (ran.samples.sent <= 20.0).all()


def test_what_has_timed_out_when_the_grace_ends_is_a_timeout_even_if_no_sweep_has_come_to_it() -> None:
    # The grace ends at 21.02, the last sweep was at 21.00, and the deadlines of the last two requests are 21.005 and 21.03.
    ran = simulate(phase(users=200), takes(NEVER), steps=(step(timeout=1.0175),), stop_at=20.02)
    cancelled = ran.samples.where(ran.samples.outcome == Outcome.CANCELLED)
    assert cancelled.sent.tolist() == pytest.approx([20.0125])
    last = ran.samples.where(np.isclose(ran.samples.sent, 19.9875))
    assert last.outcome.tolist() == [Outcome.TIMEOUT]
    assert last.done.tolist() == pytest.approx([21.005])


# What is told meanwhile


def test_a_tick_is_kept_for_every_second_of_the_phase() -> None:
    ran = simulate(PLAN, steps=STEPS)
    assert [tick.at for tick in ran.facts.ticks] == pytest.approx(range(1, len(ran.facts.ticks) + 1))
    # Whether the last second is seen depends on who is first at its end.
    assert len(ran.facts.ticks) in (29, 30)
    assert [progress.stage for progress in ran.seen[:9]] == ["ramp"] * 9
    assert [progress.stage for progress in ran.seen[10:29]] == ["measure"] * 19
    assert ran.facts.ticks[-1].connected == 20


# The closed loop


def test_a_closed_loop_has_as_many_requests_under_way_as_users_at_most() -> None:
    plan = phase(users=7, ramp=1.0, duration=20.0, arrivals=ClosedArrivals(think_time=0.5))
    ran = simulate(plan, takes(0.5), steps=STEPS)
    assert all(tick.in_flight <= 7 for tick in ran.facts.ticks)
    check_books(ran)
    # Little's law: 7 users, a cycle of a second on average.
    assert sum(ran.facts.due.values()) / 20.0 == pytest.approx(7.0, rel=0.15)


def test_a_closed_loop_stops_asking_at_the_end_of_the_load() -> None:
    plan = phase(users=7, ramp=1.0, duration=3.0, arrivals=ClosedArrivals(think_time=0.0))
    ran = simulate(plan, takes(0.05), steps=STEPS)
    check_books(ran)
    assert (ran.samples.due < 4.0).all()
    assert sum(ran.facts.blocked.values()) == 0
    assert set(ran.samples.outcome.tolist()) == {Outcome.OK}
    assert ran.facts.ended <= 4.0 + 0.05 + 0.05


# Conservation, whatever the service does

DEEDS = st.lists(
    st.sampled_from(
        [
            Deed(after=0.01),
            Deed(after=0.4),
            Deed(after=1.2),
            Deed(after=0.02, idles=0.0),
            Deed(after=0.02, idles=0.07),
            Deed(after=0.02, ends=True),
            Deed(after=0.02, data=b"", ends=True),
            Deed(after=0.3, data=b"", ends=True),
            Deed(after=0.02, data=b"HTTP/1.1 200 OK\r\nContent-Le", ends=True),
            Deed(after=0.02, data=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"),
            Deed(after=0.02, data=b"garbage in, garbage out\r\n\r\n"),
            Deed(after=0.02, data=b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"),
            Deed(after=NEVER),
        ]
    ),
    min_size=1,
    max_size=30,
)
ARRIVALS = st.one_of(
    st.builds(OpenArrivals, rate=st.floats(1.0, 60.0), spacing=st.sampled_from(["poisson", "even"])),
    st.builds(ClosedArrivals, think_time=st.sampled_from([0.0, 0.05, 0.5]), constant=st.booleans()),
)


@settings(max_examples=25)
@given(
    DEEDS,
    st.lists(st.sampled_from([0.0, 0.01, 0.3, NEVER, None]), min_size=1, max_size=8),
    ARRIVALS,
    st.integers(1, 8),
    st.tuples(st.sampled_from([0.1, 0.5, 1.0]), st.sampled_from([0.2, 2.0])),
    st.one_of(st.just(NEVER), st.floats(0.0, 4.0)),
)
def test_whatever_the_service_does_nothing_is_lost(
    deeds: list[Deed],
    accepts: list[float | None],
    arrivals: Arrivals,
    users: int,
    timeouts: tuple[float, float],
    stop_at: float,
) -> None:
    steps = (step("get", timeout=timeouts[0]), step("post", probability=0.5, timeout=timeouts[1], method="POST"))
    at, connections = count(), count()
    ran = simulate(
        phase(users=users, ramp=0.5, duration=2.5, arrivals=arrivals),
        lambda _: deeds[next(at) % len(deeds)],
        accept=lambda _: accepts[next(connections) % len(accepts)],
        steps=steps,
        stop_at=stop_at,
    )
    check_books(ran, steps)
    samples = ran.samples
    assert (samples.due <= samples.sent).all()
    assert (samples.sent <= samples.done).all()
    # Simulated time stands still while we work: all that a request waits for is the service.
    np.testing.assert_allclose(samples.lateness, 0.0, atol=1e-6)
    # An answer that comes before the sweep counts; what is given up has not had more than its time, and a timeout all of it.
    beyond = samples.service_time - np.array(timeouts)[samples.step]
    assert (beyond <= 0.05 + 1e-9).all()
    assert (beyond[samples.outcome == Outcome.CANCELLED] < 1e-9).all()
    np.testing.assert_allclose(beyond[samples.outcome == Outcome.TIMEOUT], 0.0, atol=1e-9)
    for user in range(users):
        mine = samples.where(samples.user == user)
        # One at a time.
        assert (mine.sent[1:] >= mine.done[:-1] - 1e-9).all()


# The interpreter, as it was before


def state() -> tuple[bool, int, int]:
    return gc.isenabled(), gc.get_freeze_count(), len(gc.callbacks)


@pytest.mark.usefixtures("unfrozen")
def test_the_garbage_collector_rests_from_half_a_second_before_the_measured_stretch_to_its_end() -> None:
    before = state()
    enabled: list[bool] = []
    frozen: list[int] = []

    def observe(_: Progress) -> None:
        enabled.append(gc.isenabled())
        frozen.append(gc.get_freeze_count())

    ran = simulate(PLAN, steps=STEPS, observe=observe)
    assert enabled[:9] == [True] * 9
    assert enabled[9:29] == [False] * 20
    assert set(frozen[:9]) == {before[1]}
    assert min(frozen[9:29]) > 1_000
    assert ran.facts.health.gc_full_collections == 0
    assert state() == before


def test_without_a_ramp_users_are_made_and_garbage_is_collected_before_the_phase_begins() -> None:
    enabled: list[bool] = []

    def accept(_: float) -> float:
        enabled.append(gc.isenabled())
        return 0.0

    before = state()
    ran = simulate(phase(ramp=0.0, duration=2.0), steps=STEPS, accept=accept)
    assert enabled == [False] * 20
    assert ran.service.connected_at == [0.0] * 20
    assert state() == before


@pytest.mark.usefixtures("unfrozen")
def test_a_sink_that_fails_during_the_load_ends_the_phase_with_its_own_error_alone() -> None:
    before = state()
    full = StorageError("the disk is full")

    def sink(_: Samples) -> None:
        raise full

    # Without the value that it needs a request is recorded and not sent: the shortest way to a full table.
    lacking = Step(name="lacking", method="GET", path="/${nothing}", probability=1.0)
    plan = phase(ramp=0.0, duration=1.0, arrivals=OpenArrivals(rate=20_000.0))
    with pytest.raises(BaseExceptionGroup) as caught:
        simulate(plan, steps=(lacking,), sink=sink)
    found: BaseException = caught.value
    while isinstance(found, BaseExceptionGroup):
        assert len(found.exceptions) == 1
        found = found.exceptions[0]
    assert found is full
    assert state() == before


# A service that leaves, or refuses


def leaves(dies: float) -> Callable[[float], Deed]:
    return lambda at: Deed(after=0.01) if at < dies else Deed(data=b"", ends=True)


@pytest.mark.parametrize("dies", [4.99, 5.0, 5.01, 10.0, 14.99])
def test_a_service_that_is_gone_at_any_tick_around_the_end_of_the_ramp_leaves_a_phase_that_says_so(dies: float) -> None:
    ran = simulate(PLAN, leaves(dies), accept=lambda at: 0.0 if at < dies else None, steps=STEPS)
    assert ran.facts.service_gone is not None
    assert ran.facts.ended < dies + 8.0
    assert len(ran.samples) == ran.facts.sent_total


@pytest.mark.parametrize("before", [4.5, 3.0, 1.0])
def test_a_service_that_is_gone_shortly_before_the_end_is_gone_and_not_merely_failing(before: float) -> None:
    dies = 30.0 - before
    ran = simulate(PLAN, leaves(dies), accept=lambda at: 0.0 if at < dies else None, steps=STEPS)
    assert ran.facts.service_gone is not None
    assert ran.facts.measured_until == pytest.approx(30.0)


def test_a_service_that_restarts_within_five_seconds_at_the_end_is_not_gone() -> None:
    def away(at: float) -> bool:
        return 28.0 <= at < 31.0

    def serve(at: float) -> Deed:
        return Deed(data=b"", ends=True) if away(at) else Deed(after=0.01)

    ran = simulate(PLAN, serve, accept=lambda at: None if away(at) else 0.0, steps=STEPS)
    assert ran.facts.service_gone is None
    assert ran.facts.ended < 40.0


def answered(status: int) -> Deed:
    return Deed(after=0.01, data=b"HTTP/1.1 %d No\r\nContent-Length: 4\r\n\r\nno!!" % status)


LIMITED = Requirement(metric="error_rate", comparator=Comparator.BELOW, target=0.01, critical=0.05)


def test_a_phase_whose_every_answer_is_401_ends_after_ten_seconds_and_says_what_came() -> None:
    ran = simulate(replace(PLAN, duration=600.0), lambda _: answered(401), steps=STEPS[:1])
    assert ran.facts.hopeless is not None
    assert "x 401" in ran.facts.hopeless
    assert ran.facts.ended < 15.0
    (first,) = ran.facts.failures
    assert (first.status, first.count, first.seen) == (401, ran.facts.sent_total, "no!!")
    assert first.reason == "expected 200"


def test_a_phase_that_errs_ends_once_nothing_that_may_come_could_save_it_and_not_before() -> None:
    plan = replace(PLAN, duration=100.0, requirements=(LIMITED,))
    broken = simulate(plan, lambda at: answered(503 if at > 30.0 else 200), steps=STEPS)
    assert broken.facts.hopeless is not None
    assert "critical 5" in broken.facts.hopeless
    # 5 % of 4,000 requests at 40/s are five seconds' worth; with the spread of a random plan a few more.
    assert 35.0 < broken.facts.ended < 43.0
    glitch = simulate(plan, lambda at: answered(503 if 30.0 < at < 34.5 else 200), steps=STEPS)
    assert glitch.facts.hopeless is None
    without = simulate(PLAN, lambda _: answered(503), steps=STEPS)
    assert without.facts.hopeless is None
