from __future__ import annotations

import asyncio
import math
import statistics
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.sandbox.service.work import MEDIANS, QUERY, SIGMA, Bimodal, Lognormal, Slowdown, Work, Workers
from velro_gate.sandbox.settings import STEPS

DRAWS = 4_000


def work(*, seed: int = 1, on: bool = True, slow: dict[str, float] | None = None) -> Work:
    return Work(seed=seed, on=on, slow=slow or {})


def draws(made: Work, step: str, count: int = DRAWS) -> list[float]:
    return [made.draw(step) for _ in range(count)]


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def test_every_step_has_a_service_time() -> None:
    assert set(MEDIANS) == set(STEPS)


@pytest.mark.parametrize("step", STEPS)
def test_draws_follow_the_lognormal_that_the_module_promises(step: str) -> None:
    # Standard error of the sample's median of ln x: 1.2533 sigma / sqrt(n); of its p95: 2.11 sigma / sqrt(n). Four of each.
    drawn = [math.log(value) for value in draws(work(), step)]
    spread = SIGMA / math.sqrt(DRAWS)
    assert quantile(drawn, 0.5) == pytest.approx(math.log(MEDIANS[step]), abs=4 * 1.2533 * spread)
    assert quantile(drawn, 0.95) == pytest.approx(math.log(MEDIANS[step]) + 1.645 * SIGMA, abs=4 * 2.11 * spread)


def test_the_drawn_p95_of_every_step_leaves_room_below_the_limits_of_the_requirements() -> None:
    for step, limit in {"authentication_check": 0.050, "authorization_check": 0.075}.items():
        assert MEDIANS[step] * math.exp(1.645 * SIGMA) < limit / 4
    writing = MEDIANS["generation_create"] + 3 * Lognormal(median=0.0025).median
    assert writing * math.exp(1.645 * SIGMA) < 0.020


@given(st.integers(min_value=0, max_value=2**63))
def test_equal_seeds_draw_equally_and_others_do_not(seed: int) -> None:
    assert draws(work(seed=seed), "model_access", 20) == draws(work(seed=seed), "model_access", 20)
    assert draws(work(seed=seed), "model_access", 20) != draws(work(seed=seed + 1), "model_access", 20)


@given(st.floats(min_value=0.01, max_value=100.0))
def test_a_factor_scales_its_step_exactly_and_leaves_the_others_as_they_are(factor: float) -> None:
    plain, slowed = work(), work(slow={"authorization_check": factor})
    for step in STEPS:
        expected = [value * (factor if step == "authorization_check" else 1.0) for value in draws(plain, step, 10)]
        assert draws(slowed, step, 10) == pytest.approx(expected)


def test_without_work_nothing_takes_time_but_what_an_experiment_puts_in() -> None:
    made = work(on=False, slow={"model_access": 2.0})
    assert draws(made, "model_access", 5) == [0.0] * 5
    assert draws(made, QUERY, 5) == [0.0] * 5
    made.slow("model_access", Slowdown(instead=Lognormal(median=0.02, sigma=0.0)))
    assert draws(made, "model_access", 5) == [0.02] * 5
    assert draws(made, "media_url_access", 5) == [0.0] * 5


def test_reset_leads_back_to_how_it_was_started() -> None:
    made = work(slow={"model_access": 2.0})
    made.slow("model_access", Slowdown(factor=9.0))
    made.slow("media_url_access", Slowdown(factor=9.0))
    made.reset()
    assert made.slowdowns == {"model_access": Slowdown(factor=2.0)}


def test_a_bimodal_draws_the_slow_mode_in_its_share() -> None:
    random = Random(1)
    drawn = [Bimodal(fast=0.001, slow=0.1, share=0.25).draw(random) for _ in range(DRAWS)]
    assert set(drawn) == {0.001, 0.1}
    assert statistics.mean(value == 0.1 for value in drawn) == pytest.approx(0.25, abs=4 * math.sqrt(0.1875 / DRAWS))


def test_spending_sleeps_for_what_was_drawn_and_not_at_all_for_nothing() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def scene() -> None:
        await Work(seed=1, on=True, slow={}, sleep=sleep).spend("model_access")
        await Work(seed=1, on=False, slow={}, sleep=sleep).spend("model_access")

    asyncio.run(scene())
    assert slept == draws(work(), "model_access", 1)


def test_workers_take_one_step_each_and_the_others_wait_in_their_order() -> None:
    workers = Workers(2, clock=lambda: 100.0)
    assert [workers.take(0.5) for _ in range(4)] == pytest.approx([0.5, 0.5, 1.0, 1.0])


def test_workers_that_have_been_idle_start_at_once() -> None:
    now = 100.0
    workers = Workers(1, clock=lambda: now)
    workers.take(0.5)
    now = 200.0
    assert workers.take(0.5) == pytest.approx(0.5)


def test_queries_do_not_wait_for_a_worker() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    made = Work(seed=1, on=True, slow={}, workers=Workers(1, clock=lambda: 0.0), sleep=sleep)

    async def spend() -> None:
        await made.spend(STEPS[0])
        await made.spend(STEPS[0])
        await made.spend(QUERY)

    asyncio.run(spend())
    first, second, query = slept
    assert second > first
    assert query < first
