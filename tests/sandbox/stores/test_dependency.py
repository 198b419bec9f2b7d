from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.sandbox.clock import FakeClock
from velro_gate.sandbox.problem import AwayError
from velro_gate.sandbox.stores.breaker import Breaker, BreakerState
from velro_gate.sandbox.stores.dependency import Dependency


class ClientError(Exception):
    """What a client of a dependency raises."""


def dependency(clock: FakeClock, deadline: float = 5.0) -> Dependency:
    return Dependency("redis", Breaker(failures=2, recovery=9.5, clock=clock), faults=(ClientError,), deadline=deadline)


async def answer() -> str:
    return "here"


def failing(error: Exception) -> Callable[[], Awaitable[str]]:
    async def fail() -> str:
        raise error

    return fail


def test_an_answer_is_passed_on() -> None:
    assert asyncio.run(dependency(FakeClock()).ask(answer)) == "here"


@pytest.mark.parametrize("error", [ClientError("gone\nsecond line"), ConnectionResetError("gone"), TimeoutError("gone")])
def test_a_fault_of_the_client_means_away_and_is_reported_in_one_line(error: Exception) -> None:
    with pytest.raises(AwayError, match=r"^redis: gone$"):
        asyncio.run(dependency(FakeClock()).ask(failing(error)))


def test_enough_faults_open_the_breaker_and_then_it_is_not_even_asked() -> None:
    made = dependency(FakeClock())
    for _ in range(2):
        with pytest.raises(AwayError):
            asyncio.run(made.ask(failing(ClientError("gone"))))
    with pytest.raises(AwayError, match="breaker is open") as away:
        asyncio.run(made.ask(answer))
    assert away.value.retry_after == 10


def test_a_bug_is_not_mistaken_for_a_dependency_that_is_away() -> None:
    made = dependency(FakeClock())
    for _ in range(5):
        with pytest.raises(KeyError):
            asyncio.run(made.ask(failing(KeyError("bug"))))
    assert made.breaker.state is BreakerState.CLOSED


def test_what_takes_longer_than_the_deadline_is_away() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    with pytest.raises(AwayError, match="TimeoutError"):
        asyncio.run(dependency(FakeClock(), deadline=0.01).ask(never))


def test_what_an_experiment_has_taken_away_is_away_without_being_asked() -> None:
    made = dependency(FakeClock())
    made.taken_away = True
    with pytest.raises(AwayError, match="experiment"):
        asyncio.run(made.ask(failing(AssertionError("asked"))))


def test_a_trial_that_is_cancelled_does_not_block_the_next_one() -> None:
    clock = FakeClock()
    made = dependency(clock)

    async def scene() -> str:
        for _ in range(2):
            with pytest.raises(AwayError):
                await made.ask(failing(ClientError("gone")))
        clock.advance(9.5)
        trial = asyncio.create_task(made.ask(asyncio.Event().wait))
        await asyncio.sleep(0)
        assert not made.breaker.admits()
        trial.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trial
        return await made.ask(answer)

    assert asyncio.run(scene()) == "here"


def test_a_retry_storm_asks_again_at_once_whatever_the_breaker_says() -> None:
    made, asked = dependency(FakeClock()), []

    async def fail() -> str:
        asked.append(1)
        raise ConnectionResetError("gone")

    async def scene() -> None:
        for _ in range(3):
            with pytest.raises(AwayError):
                await made.ask(fail)

    made.retries = 4
    asyncio.run(scene())
    assert len(asked) == 3 * 5


def test_what_is_more_than_one_question_may_take_longer() -> None:
    async def slow() -> str:
        await asyncio.sleep(0.05)
        return "done"

    async def scene() -> tuple[str, str]:
        dependency = Dependency("redis", Breaker(failures=9, recovery=1.0, clock=FakeClock()), faults=(), deadline=0.001)
        try:
            usual = await dependency.ask(slow)
        except AwayError:
            usual = "away"
        return usual, await dependency.ask(slow, deadline=60.0)

    assert asyncio.run(scene()) == ("away", "done")
