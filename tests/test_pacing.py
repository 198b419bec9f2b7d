"""Pacing: a schedule is a pure function of seed, phase and steps, whatever the number of shards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.model.values import phase, step
from velro_gate.model.run import Shard
from velro_gate.model.scenario import Body, Capture, ClosedArrivals, OpenArrivals, Phase, Step
from velro_gate.pacing import (
    Schedule,
    captures_needed,
    closed_journey,
    connect_time,
    connected_by,
    cumulative_arrivals,
    generator,
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
        assert walked == [i % 3 for i in range(len(walked))]


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


# Steps that need what another step captures

MAKE = Step(
    name="make", method="POST", path="/make", probability=0.3, captures=(Capture(name="id", source="json", path="$.id"),)
)
USE = Step(name="use", method="GET", path="/use/${id}", probability=0.9)


def test_a_step_needs_the_captures_that_its_texts_name_and_nothing_else() -> None:
    needy = Step(
        name="s",
        method="POST",
        path="/${a}/${user.id}/${feeder.column}",
        probability=1.0,
        headers=(("X", "${b}"), ("Y", "${env.KEY}")),
        query=(("q", "${c}"),),
        body=Body(template='{"d": "${d}"}', content_type="application/json"),
    )
    assert captures_needed(needy) == {"a", "b", "c", "d"}


@given(phases(), seeds)
def test_no_user_uses_a_captured_value_before_a_step_that_makes_it(asked: Phase, seed: int) -> None:
    plan = open_schedule(asked, (MAKE, step("other", probability=0.5), USE), seed)
    for user in range(asked.users):
        walk = plan.step[plan.user == user].tolist()
        if 2 in walk:
            assert 0 in walk[: walk.index(2)]


def test_a_capture_that_no_step_makes_is_not_waited_for() -> None:
    plan = open_schedule(phase(users=3), (USE,), 1)
    assert len(plan) > 0
    assert set(plan.step.tolist()) == {0}


def closed(think: float = 1.0, *, constant: bool = False) -> tuple[Phase, ClosedArrivals]:
    arrivals = ClosedArrivals(think_time=think, constant=constant)
    return phase(arrivals=arrivals), arrivals


def walk_of(
    user: int, seed: int, count: int, *, constant: bool = False, steps: tuple[Step, ...] = STEPS
) -> list[tuple[float, int]]:
    asked, arrivals = closed(constant=constant)
    walk = closed_journey(asked, arrivals, steps, seed, user)
    return [next(walk) for _ in range(count)]


@given(seeds, st.integers(0, 20_000))
def test_a_closed_walk_depends_on_seed_and_user_only(seed: int, user: int) -> None:
    assert walk_of(user, seed, 50) == walk_of(user, seed, 50)
    assert walk_of(user, seed, 50) != walk_of(user + 1, seed, 50)


def test_think_times_have_the_mean_that_was_asked_for_and_steps_their_probabilities() -> None:
    walk = walk_of(0, 1, 20_000)
    assert float(np.mean([think for think, _ in walk])) == pytest.approx(1.0, rel=0.05)
    counts = np.bincount([index for _, index in walk])
    assert (counts[1:] / counts[0]).tolist() == pytest.approx([0.5, 0.25], abs=0.03)


def test_constant_think_times_differ_in_the_first_pause_only() -> None:
    walks = [walk_of(user, 1, 10, constant=True) for user in range(20)]
    assert all(think == 1.0 for walk in walks for think, _ in walk[1:])
    firsts = [walk[0][0] for walk in walks]
    assert len(set(firsts)) == 20
    assert all(0.0 <= first <= 1.0 for first in firsts)


@given(seeds, st.integers(0, 50))
def test_a_closed_user_uses_no_captured_value_before_it_can_have_it(seed: int, user: int) -> None:
    walk = [index for _, index in walk_of(user, seed, 60, steps=(MAKE, USE))]
    assert 1 not in walk or walk.index(0) < walk.index(1)
