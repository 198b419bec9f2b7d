"""Pacing: a schedule is a pure function of seed, phase and steps, whatever the number of shards."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from tests.model.values import phase, step
from velro_gate.model.run import Shard
from velro_gate.model.scenario import BearerAuth, Capture, ClosedArrivals, NoAuth, OpenArrivals, Phase, Scenario, Step, Target
from velro_gate.pacing import (
    Schedule,
    closed_journey,
    connect_time,
    connected_by,
    cumulative_arrivals,
    generator,
    needs_of,
    open_schedule,
)

STEPS = (step("first"), step("second", probability=0.5), step("third", probability=0.25))


@st.composite
def phases(draw: st.DrawFn) -> Phase:
    return phase(
        users=draw(st.integers(1, 60)),
        ramp=draw(st.sampled_from([0.0, 0.5, 3.0])),
        duration=draw(st.floats(0.5, 10.0)),
        arrivals=OpenArrivals(rate=draw(st.floats(1.0, 200.0)), spacing=draw(st.sampled_from(["poisson", "even"]))),
    )


seeds = st.integers(0, 2**63 - 1)


@given(phases(), seeds)
def test_the_same_seed_gives_the_same_schedule(asked: Phase, seed: int) -> None:
    one, other = open_schedule(asked, STEPS, seed), open_schedule(asked, STEPS, seed)
    for name in ("due", "user", "step"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@given(phases(), seeds)
def test_arrivals_are_sorted_and_fall_due_before_the_planned_end(asked: Phase, seed: int) -> None:
    due = open_schedule(asked, STEPS, seed).due
    assert (np.diff(due) >= 0.0).all()
    assert (due >= 0.0).all()
    assert (due < asked.ramp + asked.duration).all()


@given(phases(), seeds, st.integers(1, 7))
def test_any_number_of_shards_sends_the_same_arrivals(asked: Phase, seed: int, count: int) -> None:
    whole = open_schedule(asked, STEPS, seed)
    parts = [whole.slice(Shard(index=index, count=count)) for index in range(count)]
    rows = sorted(row for part in parts for row in zip(part.due.tolist(), part.user.tolist(), part.step.tolist(), strict=True))
    assert rows == sorted(zip(whole.due.tolist(), whole.user.tolist(), whole.step.tolist(), strict=True))


@given(phases(), seeds)
def test_no_user_carries_more_than_one_request_more_than_another_without_a_ramp(asked: Phase, seed: int) -> None:
    assume(asked.ramp == 0.0)
    counts = np.bincount(open_schedule(asked, STEPS, seed).user, minlength=asked.users)
    assert counts.max() - counts.min() <= 1


@given(phases(), seeds)
def test_no_user_is_asked_for_a_request_before_it_begins_to_connect(asked: Phase, seed: int) -> None:
    schedule = open_schedule(asked, STEPS, seed)
    begins = np.array([connect_time(user, asked) for user in range(asked.users)])
    assert (schedule.due >= begins[schedule.user] - 1e-9).all()


@given(phases())
def test_even_spacing_offers_exactly_the_planned_number_of_arrivals(asked: Phase) -> None:
    arrivals = asked.arrivals
    assert isinstance(arrivals, OpenArrivals)
    even = phase(
        users=asked.users, ramp=asked.ramp, duration=asked.duration, arrivals=OpenArrivals(rate=arrivals.rate, spacing="even")
    )
    total = cumulative_arrivals(asked.ramp + asked.duration, even)
    assert len(open_schedule(even, STEPS, 1)) == int(total + 0.5)


@given(phases(), st.lists(st.floats(0.0, 20.0), min_size=2, max_size=8).map(sorted))
def test_the_number_due_never_falls_and_stops_at_the_planned_end(asked: Phase, times: list[float]) -> None:
    counts = [cumulative_arrivals(t, asked) for t in times]
    assert counts == sorted(counts)
    assert cumulative_arrivals(1e9, asked) == cumulative_arrivals(asked.ramp + asked.duration, asked)
    assert cumulative_arrivals(-1.0, asked) == 0.0


def test_the_rate_rises_linearly_over_the_ramp_so_half_of_it_is_offered_there() -> None:
    asked = phase(ramp=10.0, duration=10.0, arrivals=OpenArrivals(rate=100.0))
    assert cumulative_arrivals(10.0, asked) == pytest.approx(500.0)
    assert cumulative_arrivals(5.0, asked) == pytest.approx(125.0)
    assert cumulative_arrivals(20.0, asked) == pytest.approx(1500.0)


@settings(max_examples=10)
@given(seeds)
def test_poisson_arrivals_come_at_the_offered_rate_with_the_spread_of_a_poisson_process(seed: int) -> None:
    asked = phase(users=50, ramp=0.0, duration=100.0, arrivals=OpenArrivals(rate=100.0))
    due = open_schedule(asked, STEPS, seed).due
    gaps = np.diff(due)
    # Six standard errors of 10,000 gaps.
    assert gaps.mean() == pytest.approx(0.01, rel=0.06)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.10)


@settings(max_examples=10)
@given(seeds)
def test_each_step_happens_with_its_own_probability(seed: int) -> None:
    asked = phase(users=20, ramp=0.0, duration=100.0, arrivals=OpenArrivals(rate=200.0, spacing="even"))
    counts = np.bincount(open_schedule(asked, STEPS, seed).step, minlength=3)
    assert counts[1] / counts[0] == pytest.approx(0.5, abs=0.04)
    assert counts[2] / counts[0] == pytest.approx(0.25, abs=0.04)


def test_a_user_walks_through_its_journey_in_the_steps_order() -> None:
    asked = phase(users=3, ramp=0.0, duration=4.0, arrivals=OpenArrivals(rate=30.0, spacing="even"))
    certain: tuple[Step, ...] = (step("a"), step("b"), step("c"))
    schedule = open_schedule(asked, certain, 1)
    for user in range(3):
        walked = schedule.step[schedule.user == user].tolist()
        assert walked == [(walked[0] + i) % 3 for i in range(len(walked))]


PLAN = tuple(step(f"s{i}", probability=p) for i, p in enumerate((1.0, 0.95, 0.85, 0.6, 0.25, 0.4)))


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(("users", "ramp", "rate"), [(300, 2.0, 60.0), (100, 5.0, 400.0), (5_000, 5.0, 500.0), (40, 0.0, 90.0)])
def test_each_step_has_its_share_of_the_arrivals_in_every_5_s_window(users: int, ramp: float, rate: float, shards: int) -> None:
    expected = np.array([each.probability for each in PLAN]) / sum(each.probability for each in PLAN)
    asked = phase(users=users, ramp=ramp, duration=60.0, arrivals=OpenArrivals(rate=rate))
    statistics, degrees = 0.0, 0
    for seed in range(3):
        whole = open_schedule(asked, PLAN, seed)
        for part in (whole.slice(Shard(index=index, count=shards)) for index in range(shards)):
            for begin in np.arange(0.0, ramp + 60.0 - 5.0, 5.0):
                seen = np.bincount(part.step[(part.due >= begin) & (part.due < begin + 5.0)], minlength=len(PLAN))
                if (expected * seen.sum() >= 5.0).all():
                    statistics += float(((seen - expected * seen.sum()) ** 2 / (expected * seen.sum())).sum())
                    degrees += len(PLAN) - 1
    # A user's own steps follow each other in order, so windows of several rounds are even nearer to the shares than by chance.
    assert degrees > 100
    assert statistics < chi2.isf(1e-6, degrees)


@pytest.mark.parametrize("constant", [True, False])
def test_users_of_a_closed_loop_do_not_move_in_step(constant: bool) -> None:
    arrivals = ClosedArrivals(think_time=2.0, constant=constant)
    walks = [list(islice(closed_journey(phase(arrivals=arrivals), arrivals, PLAN, 1, user), 10)) for user in range(600)]
    expected = np.array([each.probability for each in PLAN]) / sum(each.probability for each in PLAN) * 600
    for place in range(10):
        seen = np.bincount([walk[place][1] for walk in walks], minlength=len(PLAN))
        assert ((seen - expected) ** 2 / expected).sum() < chi2.isf(1e-7, len(PLAN) - 1)


def scenario_of(*steps: Step, **changed: Any) -> Scenario:
    figures: dict[str, Any] = {
        "name": "s",
        "description": "",
        "digest": "0",
        "target": Target(url="http://localhost"),
        "steps": steps,
        "auth": NoAuth(),
    }
    return Scenario(**(figures | changed))


CREATE = replace(step("create"), method="POST", captures=(Capture(name="id", source="json", path="$.id"),))
GET = replace(step("get"), path="/items/${id}", captures=(Capture(name="tag", source="header", path="etag"),))
PATCH = replace(step("patch"), method="PATCH", headers=(("If-Match", "${tag}"),))


@given(seeds, st.booleans())
def test_no_user_is_sent_to_a_step_before_the_ones_that_capture_what_it_names(seed: int, closed: bool) -> None:
    steps = (step("list"), CREATE, GET, PATCH)
    needs = needs_of(scenario_of(*steps))
    assert needs == ((), (), (1,), (1, 2))
    if closed:
        walks = [[i for _, i in islice(closed_journey(CLOSED, THINKING, steps, seed, user, needs), 12)] for user in range(20)]
    else:
        asked = phase(users=20, ramp=0.0, duration=12.0, arrivals=OpenArrivals(rate=20.0, spacing="even"))
        schedule = open_schedule(asked, steps, seed, needs)
        walks = [schedule.step[schedule.user == user].tolist() for user in range(20)]
    assert len({walk[0] for walk in walks}) > 1 or closed
    for walked in walks:
        for index, needed in enumerate(needs):
            if index in walked:
                assert all(other in walked[: walked.index(index)] for other in needed)
        assert walked[6:10] in ([0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2])


def test_a_first_step_that_sends_data_begins_the_session_where_nothing_else_does() -> None:
    enter = replace(step("enter"), method="POST")
    assert needs_of(scenario_of(enter, step("list"))) == ((), (0,))
    assert needs_of(scenario_of(enter, step("list"), cookies=False)) == ((), ())
    assert needs_of(scenario_of(enter, step("list"), auth=BearerAuth(variable="KEY"))) == ((), ())
    assert needs_of(scenario_of(step("list"), enter)) == ((), ())


def test_evenly_paced_users_are_never_due_at_the_same_instant() -> None:
    due = open_schedule(phase(arrivals=OpenArrivals(rate=50.0, spacing="even")), STEPS, 3).due
    assert len(np.unique(due)) == len(due)


def test_another_seed_or_another_phase_gives_another_schedule() -> None:
    asked = phase(duration=10.0)
    base = open_schedule(asked, STEPS, 1).due.tolist()
    assert open_schedule(asked, STEPS, 2).due.tolist() != base
    assert open_schedule(phase("other", duration=10.0), STEPS, 1).due.tolist() != base


def test_names_cannot_run_into_each_other_in_a_seed() -> None:
    assert generator(1, "ab", "c").random() != generator(1, "a", "bc").random()


@given(phases())
def test_all_users_have_begun_to_connect_by_nine_tenths_of_the_ramp(asked: Phase) -> None:
    joined = connected_by(np.array([0.0, 0.9 * asked.ramp + 1e-6, asked.ramp + 1.0]), asked)
    assert joined[0] >= 1
    assert joined[1:].tolist() == [asked.users, asked.users]


def test_a_closed_loop_has_no_schedule_in_advance() -> None:
    closed = phase(arrivals=ClosedArrivals(think_time=1.0))
    with pytest.raises(ValueError, match="closed loop"):
        open_schedule(closed, STEPS, 1)
    with pytest.raises(ValueError, match="closed loop"):
        cumulative_arrivals(1.0, closed)


def test_a_schedule_with_columns_of_different_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        Schedule(due=np.zeros(2), user=np.zeros(1, np.uint32), step=np.zeros(2, np.uint16))


# Slices


@given(phases(), seeds, st.integers(2, 7))
def test_a_slice_holds_the_users_of_its_shard_only_and_stays_sorted(asked: Phase, seed: int, count: int) -> None:
    whole = open_schedule(asked, STEPS, seed)
    for index in range(count):
        part = whole.slice(Shard(index=index, count=count))
        assert set(part.user.tolist()) <= set(Shard(index=index, count=count).users(asked.users))
        assert (np.diff(part.due) >= 0.0).all()


def test_the_only_shard_gets_the_schedule_itself() -> None:
    whole = open_schedule(phase(), STEPS, 1)
    assert whole.slice(Shard.whole()) is whole


@pytest.mark.parametrize(("index", "count"), [(1, 1), (-1, 2), (0, 0)])
def test_a_shard_outside_its_count_does_not_exist(index: int, count: int) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        Shard(index=index, count=count)


# Closed loops

THINKING = ClosedArrivals(think_time=2.0)
CLOSED = phase(arrivals=THINKING)


def walk(count: int, user: int = 0, *, seed: int = 1, arrivals: ClosedArrivals = THINKING) -> list[tuple[float, int]]:
    return list(islice(closed_journey(phase(arrivals=arrivals), arrivals, STEPS, seed, user), count))


@given(seeds, st.integers(0, 20_000))
def test_a_closed_journey_depends_on_seed_phase_and_user_alone(seed: int, user: int) -> None:
    assert walk(20, user, seed=seed) == walk(20, user, seed=seed)
    assert walk(20, user, seed=seed) != walk(20, user + 1, seed=seed)
    other = list(islice(closed_journey(phase("other", arrivals=THINKING), THINKING, STEPS, seed, user), 20))
    assert walk(20, user, seed=seed) != other


@given(seeds)
def test_a_closed_journey_takes_its_steps_in_order_and_the_certain_one_every_time(seed: int) -> None:
    taken = [index for _, index in walk(200, seed=seed)]
    for before, after in pairwise(taken):
        assert after > before or after == 0


def test_each_step_of_a_closed_journey_happens_with_its_own_probability() -> None:
    taken = [index for _, index in walk(20_000)]
    assert taken.count(1) / taken.count(0) == pytest.approx(0.5, abs=0.03)
    assert taken.count(2) / taken.count(0) == pytest.approx(0.25, abs=0.03)


def test_pauses_are_exponential_with_the_asked_mean_unless_they_are_constant() -> None:
    pauses = np.array([pause for pause, _ in walk(20_001)][1:])
    assert pauses.mean() == pytest.approx(2.0, rel=0.05)
    assert pauses.std() == pytest.approx(2.0, rel=0.05)
    constant = [pause for pause, _ in walk(50, arrivals=ClosedArrivals(think_time=2.0, constant=True))]
    assert set(constant[1:]) == {2.0}


@pytest.mark.parametrize("constant", [True, False])
def test_the_first_pauses_of_all_users_are_spread_evenly_over_one_think_time(constant: bool) -> None:
    arrivals = ClosedArrivals(think_time=2.0, constant=constant)
    first = np.sort([walk(1, user, arrivals=arrivals)[0][0] for user in range(2_000)])
    assert (first >= 0.0).all()
    assert (first < 2.0).all()
    # Kolmogorov-Smirnov distance from the uniform distribution; 1.95 / sqrt(n) is exceeded once in a thousand draws.
    assert np.abs(first / 2.0 - (np.arange(2_000) + 0.5) / 2_000).max() < 1.95 / np.sqrt(2_000)


def test_without_think_time_requests_follow_each_other_at_once() -> None:
    assert {pause for pause, _ in walk(50, arrivals=ClosedArrivals(think_time=0.0))} == {0.0}


@given(st.integers(1, 20_000), st.floats(0.0, 100.0))
def test_users_connect_in_order_within_nine_tenths_of_the_ramp(users: int, ramp: float) -> None:
    asked = phase(users=users, ramp=ramp)
    times = [connect_time(user, asked) for user in {0, users // 2, users - 1}]
    assert all(0.0 <= time <= 0.9 * ramp for time in times)
    assert connect_time(0, asked) == 0.0
