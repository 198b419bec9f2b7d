"""Which load a search tries next."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from velro_gate.analysis.capacity.search import TRIES, Done, SearchRules, TrialStep, next_trial
from velro_gate.model.capacity import Ending, Trial

RULES = SearchRules(start=100.0, least=1.0, most=100_000.0, seconds=1_200.0)
Score = Callable[[float], float]


def service(capacity: float, slope: float = 6.0) -> Score:
    """The score of a service without noise."""
    return lambda load: max(min(slope * math.log(load / capacity), 3.0), -1.0)


def searched(score: Score, rules: SearchRules = RULES) -> tuple[list[Trial], Done]:
    """A whole search in simulated time."""
    trials: list[Trial] = []
    spent = 0.0
    while isinstance(step := next_trial(trials, rules, spent=spent), TrialStep):
        assert len(trials) < 60, "the search does not end"
        trials.append(Trial(load=step.load, score=score(step.load), error=0.04, seconds=step.seconds, throughput=step.load))
        spent += step.seconds + rules.overhead
    return trials, step


@pytest.mark.parametrize("capacity", [3.0, 60.0, 100.0, 433.0, 9_000.0])
def test_a_search_closes_in_on_the_capacity_from_either_side(capacity: float) -> None:
    trials, done = searched(service(capacity))
    assert done.ending is Ending.FOUND
    below = max(one.load for one in trials if one.score <= 0.0)
    above = min(one.load for one in trials if one.score > 0.0)
    assert below <= capacity <= above
    assert above / below <= 1.0 + RULES.precision


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.01, 3.0), st.floats(20.0, 2_000.0))
def test_a_search_ends_however_much_its_trials_contradict_each_other(seed: int, noise: float, capacity: float) -> None:
    random = np.random.default_rng(seed)
    quiet = service(capacity)
    trials, done = searched(lambda load: quiet(load) + float(random.normal(0.0, noise)))
    assert isinstance(done.ending, Ending)
    assert trials


def test_trials_that_lie_on_one_side_when_put_together_are_followed_by_a_load_beyond_them() -> None:
    def trial(load: float, score: float, error: float) -> Trial:
        return Trial(load=load, score=score, error=error, seconds=10.0, throughput=load)

    # 100 missed them by little, 103 met them by little: put together they meet them.
    tried = [trial(98.0, -0.3, 0.1)] * 2 + [trial(100.0, 0.02, 0.3)] * 2 + [trial(103.0, -0.05, 0.1)] * 2
    step = next_trial(tried, RULES, spent=100.0)
    assert isinstance(step, TrialStep)
    assert step.load == pytest.approx(103.0 * 1.08, rel=0.01)


def test_no_load_far_above_the_capacity_is_tried() -> None:
    trials, _ = searched(service(400.0))
    assert max(one.load for one in trials) <= 400.0 * 1.5


def test_a_search_is_refined_by_longer_trials_near_the_estimate() -> None:
    trials, _ = searched(service(400.0))
    longest = [one for one in trials if one.seconds > 2.0 * RULES.length(one.load)]
    assert len(longest) >= 5
    assert all(0.9 < one.load / 400.0 < 1.1 for one in longest)


def test_a_service_that_meets_everything_ends_the_search_at_the_highest_load() -> None:
    rules = SearchRules(start=100.0, least=1.0, most=500.0, seconds=1_200.0)
    trials, done = searched(lambda _: -1.0, rules)
    assert done.ending is Ending.ALL_MET
    assert trials[-1].load == 500.0


def test_a_service_that_misses_everything_ends_the_search_at_the_lowest_load() -> None:
    trials, done = searched(lambda _: 1.0)
    assert done.ending is Ending.NONE_MET
    assert trials[-1].load == RULES.least


def test_the_time_limit_ends_a_search_before_the_trial_that_would_exceed_it() -> None:
    rules = SearchRules(start=100.0, least=1.0, most=100_000.0, seconds=45.0)
    trials, done = searched(service(433.0), rules)
    assert done.ending is Ending.TIME
    assert sum(one.seconds + rules.overhead for one in trials) <= rules.seconds


def test_a_load_that_is_not_certain_is_tried_twice_and_no_more_before_the_estimate_is_refined() -> None:
    def score(load: float) -> float:
        return 0.01 if 90.0 < load < 110.0 else service(100.0)(load)

    trials, _ = searched(score)
    counted = [one for one in trials if one.load == 100.0 and one.seconds == RULES.length(100.0)]
    assert len(counted) == TRIES


def test_users_are_whole_numbers() -> None:
    rules = SearchRules(start=10.0, least=1.0, most=1_000.0, seconds=1_200.0, whole=True, rate_of_one=10.0)
    trials, done = searched(service(37.4), rules)
    assert done.ending is Ending.FOUND
    assert all(one.load == round(one.load) for one in trials)


def test_a_trial_lasts_as_long_as_its_requests_need_within_bounds() -> None:
    assert RULES.length(300.0) == pytest.approx(10.0)
    assert RULES.length(10.0) == RULES.longest
    assert RULES.length(10_000.0) == RULES.shortest


def test_bounds_that_exclude_the_start_are_refused() -> None:
    with pytest.raises(ValueError, match="must hold"):
        SearchRules(start=5.0, least=10.0, most=100.0, seconds=60.0)
