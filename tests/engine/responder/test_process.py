"""A responder beside us: there when it is asked for, counted, and gone afterwards whatever happens."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable

import psutil
import pytest
import trio

from velro_gate.engine.responder.process import running_responder
from velro_gate.engine.run import Load, run_load
from velro_gate.errors import BrokenError
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Body, NoAuth, OpenArrivals, Phase, Scenario, Step, Target


def scenario(url: str) -> Scenario:
    body = Body(template='{"me": "${user.id}"}', content_type="application/json")
    steps = (
        Step(name="get", method="GET", path="/get/${user.index}", probability=1.0),
        Step(name="head", method="HEAD", path="/head", probability=0.5),
        Step(name="post", method="POST", path="/post", probability=0.5, body=body),
        Step(name="last", method="GET", path="/last", probability=0.2, headers=(("Connection", "close"),)),
    )
    return Scenario(name="s", description="", digest="d", target=Target(url=url), auth=NoAuth(), steps=steps)


def test_the_engines_books_agree_with_the_responders_own_count() -> None:
    parts: list[Samples] = []
    phase = Phase(name="p", users=20, ramp=0.2, duration=0.8, arrivals=OpenArrivals(rate=400.0))

    async def main() -> tuple[int, int | None]:
        async with running_responder() as running:
            load = Load(scenario=scenario(running.url), phases=(phase,))
            result = await run_load(load, origin=trio.current_time(), sink=lambda _, samples: parts.append(samples))
        return result.phases[0].delivered_total, running.answered

    delivered, answered = trio.run(main)
    samples = Samples.concatenate(parts)
    assert delivered == answered == len(samples) > 100
    assert samples.ok.all()


def left_by(use: Callable[[int], Awaitable[None]]) -> list[psutil.Process]:
    """What is left of a responder after this use of it."""
    started: list[psutil.Process] = []

    async def main() -> None:
        async with running_responder(stop_seconds=0.5) as running:
            started.append(psutil.Process(running.pid))
            await use(running.pid)

    with contextlib.suppress(KeyError):
        trio.run(main)
    return [process for process in started if process.is_running()]


async def leaves(_: int) -> None:
    return


async def fails(_: int) -> None:
    raise KeyError


async def kills(pid: int) -> None:
    psutil.Process(pid).kill()


async def suspends(pid: int) -> None:
    psutil.Process(pid).suspend()


@pytest.mark.parametrize("use", [leaves, fails, kills, suspends])
def test_nothing_is_left_of_it(use: Callable[[int], Awaitable[None]]) -> None:
    assert left_by(use) == []


def test_cancelling_ends_it_too() -> None:
    pids: list[int] = []

    async def main() -> None:
        with trio.CancelScope() as scope:
            async with running_responder() as running:
                pids.append(running.pid)
                scope.cancel()
                await trio.sleep_forever()

    trio.run(main)
    assert not psutil.pid_exists(pids[0])


@pytest.mark.parametrize(
    ("command", "why"), [((sys.executable, "-c", ""), "it named no port"), (("/nowhere/python",), "No such file or directory")]
)
def test_one_that_does_not_start_is_reported_with_what_to_do(command: tuple[str, ...], why: str) -> None:
    async def main() -> None:
        async with running_responder(command):
            raise AssertionError

    with pytest.raises(BrokenError, match="did not start") as ended:
        trio.run(main)
    assert ended.value.why == why
    assert "--no-calibration" in ended.value.hint
