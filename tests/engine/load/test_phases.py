"""What a phase tells while it runs, and that it leaves everything in order, over real sockets."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace

import pytest
import trio

from tests.engine.peers import OK, Line, Peer, after_request, serving
from tests.engine.runs import GET, Ran, interpreter, phase, running, with_server
from velro_gate.errors import StorageError
from velro_gate.model.run import Progress
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import OpenArrivals, Step

pytestmark = pytest.mark.real


def test_progress_is_reported_with_figures_of_the_moment() -> None:
    count = 0

    async def often_right(line: Line) -> None:
        nonlocal count
        while await line.request() is not None:
            count += 1
            good = OK.replace(b"\r\n\r\n", b"\r\nX-Cache: HIT\r\n\r\n")
            await line.say(good.replace(b"200", b"500") if count % 10 == 0 else good)

    async def main(peer: Peer) -> None:
        ran = await running(peer.url, phase(users=4, ramp=0.3, duration=1.0, arrivals=OpenArrivals(rate=150.0)))
        (last,) = ran.seen
        assert (last.phase, last.phase_number, last.phase_count, last.stage) == ("p", 1, 1, "measure")
        assert last.users == last.connected == 4
        assert last.offered_rate == 150.0
        assert last.p50 is not None
        assert last.p95 is not None
        assert last.p99 is not None
        assert 0.0 < last.p50 <= last.p95 <= last.p99
        assert last.lateness_p99 is not None
        assert last.hit_rate == 1.0
        (tick,) = ran.run.ticks
        assert tick.sent == tick.ok + tick.failed
        assert last.errors == tick.failed == tick.sent // 10
        assert last.error_rate == tick.failed / tick.sent
        assert last.elapsed + last.remaining == pytest.approx(1.3)
        assert tick.at == pytest.approx(ran.run.started + last.elapsed, abs=0.1)

    with_server(main, often_right)


def test_a_phase_that_is_over_before_the_first_tick_has_its_books_all_the_same() -> None:
    async def main(peer: Peer) -> None:
        short = phase(users=3, ramp=0.0, duration=0.05, arrivals=OpenArrivals(rate=100.0, spacing="even"))
        ran = await running(peer.url, short)
        assert len(ran.samples()) == len(peer.requests) == 5
        assert ran.run.ticks == ()
        assert ran.seen == []
        assert ran.run.health.rss_peak > 0

    with_server(main)


# The interpreter, as it was before


def test_a_switched_off_collector_stays_off() -> None:
    gc.disable()
    try:
        with_server(lambda peer: running(peer.url, phase(ramp=0.0, duration=0.05)))
        assert not gc.isenabled()
    finally:
        gc.enable()


def the_only_one_in(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        assert len(group.exceptions) == 1, group.exceptions
        group = group.exceptions[0]
    return group


async def failing_sink(url: str, error: Exception) -> Ran:
    """Fails when the samples are handed on at the end."""

    def sink(_: str, __: Samples) -> None:
        raise error

    return await running(url, phase(ramp=0.0, duration=0.05), sink=sink)


async def sink_failing_under_load(url: str, error: Exception) -> Ran:
    """Fails while requests are under way."""

    def sink(_: str, __: Samples) -> None:
        raise error

    # A step that lacks its value is recorded and not sent, so the table is soon full.
    lacking = Step(name="lacking", method="GET", path="/${nothing}", probability=1.0)
    steps = (lacking, replace(GET, probability=0.05))
    return await running(url, phase(ramp=0.0, duration=1.2, arrivals=OpenArrivals(rate=20_000.0)), steps=steps, sink=sink)


async def failing_observer(url: str, error: Exception) -> Ran:
    """Fails at the first progress."""

    def observe(_: Progress) -> None:
        raise error

    return await running(url, phase(duration=60.0), observe=observe)


@pytest.mark.usefixtures("unfrozen")
@pytest.mark.parametrize("run", [failing_sink, sink_failing_under_load, failing_observer])
def test_what_a_listener_raises_ends_the_run_and_leaves_no_trace(run: Callable[..., object]) -> None:
    before = interpreter()
    full = StorageError("the disk is full")

    async def main() -> None:
        async with serving() as peer:
            with pytest.raises((StorageError, BaseExceptionGroup)) as caught:
                await run(peer.url, full)  # type: ignore[misc]
            assert the_only_one_in(caught.value) is full
            # The server sees the end of every connection.
            with trio.fail_after(10):
                while peer.open:
                    await trio.sleep(0.01)

    trio.run(main)
    assert interpreter() == before


def test_no_descriptor_is_left_behind_while_connections_come_and_go() -> None:
    count = 0
    deeds = [after_request(*deed) for deed in (["reset"], [b"rubbish\r\n\r\n"], ["wait"], [OK], [])]

    async def moody(line: Line) -> None:
        nonlocal count
        count += 1
        await deeds[count % len(deeds)](line)

    async def main(peer: Peer) -> None:
        ran = await running(peer.url, phase(users=8), steps=(replace(GET, timeout=0.1),))
        assert set(ran.outcomes()) >= {"OK", "RESET", "PROTOCOL", "TIMEOUT"}

    before = interpreter()
    with_server(main, moody)
    assert interpreter() == before
