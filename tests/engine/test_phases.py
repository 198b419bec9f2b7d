"""A phase ends when it should, early where it must, and leaves everything in order."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import trio

from tests.engine.scripted import Ran, Reply, Request, answer, load, longer, phase, run, scenario, scripted, step
from tests.service import service
from velro_gate.engine.run import run_load
from velro_gate.errors import StorageError
from velro_gate.model.run import PhaseRun, Progress
from velro_gate.model.samples import Outcome, Samples
from velro_gate.model.scenario import ClosedArrivals, OpenArrivals, Phase

FOREVER = 90.0
"""Longer than any of these runs is allowed to take."""


def interrupted(plan_of: Phase, reply: Reply, timeout: float = 2.0) -> Ran:
    """A run that is stopped at the first progress that is seen."""
    stop = trio.Event()
    with scripted(reply) as running:
        seen: list[Progress] = []

        def observe(progress: Progress) -> None:
            seen.append(progress)
            stop.set()

        ran = run(
            load(scenario(running.url, step(timeout=timeout)), plan_of, phase("never")), stop=stop, observe=observe, limit=30.0
        )
        delivered = ran.result.phases[0].delivered_total
        assert running.count(delivered) == delivered
    assert len(seen) == 1
    return ran


STOPPED = {
    "while it measures": phase(duration=FOREVER),
    "in the ramp": phase(ramp=30.0, duration=1.0, arrivals=OpenArrivals(rate=1_500.0)),
}


@pytest.mark.parametrize("when", STOPPED)
def test_a_stop_ends_the_phase_at_once_and_keeps_what_was_measured(when: str) -> None:
    ran = interrupted(STOPPED[when], Reply())
    assert ran.phase.interrupted
    assert ran.result.interrupted
    assert ran.phase.service_gone is None
    assert len(ran.result.phases) == 1
    assert len(ran.all) == ran.phase.sent_total
    assert Outcome.OK in ran.outcomes
    assert ran.outcomes <= {Outcome.OK, Outcome.CANCELLED}


def test_what_is_in_flight_when_the_stop_comes_is_cancelled_and_recorded() -> None:
    ran = interrupted(phase(duration=FOREVER), Reply(wait=FOREVER), timeout=FOREVER)
    assert ran.outcomes == {Outcome.CANCELLED}
    assert len(ran.all) == 4
    assert sum(ran.phase.blocked.values()) > 0


def test_a_stop_that_came_before_the_first_phase_sends_nothing() -> None:
    stop = trio.Event()
    stop.set()
    with scripted(Reply()) as running:
        ran = run(load(scenario(running.url)), stop=stop)
    assert ran.result.phases == ()
    assert ran.result.interrupted
    assert running.requests == []


def test_a_service_that_dies_ends_the_phase_and_the_run() -> None:
    with service("dies", dies_after=20) as dying:
        ran = run(load(scenario(dying.url), longer(phase(), FOREVER), phase("never")), limit=60.0)
    assert [facts.name for facts in ran.result.phases] == ["steady"]
    assert ran.phase.service_gone is not None
    assert "no answer" in ran.phase.service_gone
    assert not ran.result.interrupted
    assert (ran.all.outcome == Outcome.OK).sum() == 20
    assert ran.phase.measured_until < FOREVER


def test_a_service_that_only_errs_is_not_gone() -> None:
    with service("errors") as erring:
        ran = run(load(scenario(erring.url)))
    assert ran.outcomes == {Outcome.STATUS}
    assert ran.phase.service_gone is None


def test_progress_is_told_with_figures_of_the_moment() -> None:
    with scripted(lambda request: Reply(answer(b"{}", 500 if request.number % 10 == 0 else 200, b"X-Cache: HIT"))) as running:
        ran = run(load(scenario(running.url), phase(duration=1.0, ramp=0.3, rate=150.0)))
    assert [progress.stage for progress in ran.seen] == ["measure"]
    last = ran.seen[-1]
    assert (last.phase, last.phase_number, last.phase_count) == ("steady", 1, 1)
    assert last.users == last.connected == 4
    assert last.offered_rate == 150.0
    assert last.p50 is not None
    assert last.p95 is not None
    assert last.p99 is not None
    assert 0.0 < last.p50 <= last.p95 <= last.p99
    assert last.hit_rate == 1.0
    assert last.error_rate == pytest.approx(0.1, abs=0.03)
    assert last.elapsed + last.remaining == pytest.approx(1.3, abs=0.05)
    sent = [tick.sent for tick in ran.phase.ticks]
    assert sent == sorted(sent)
    assert all(tick.sent == tick.ok + tick.failed for tick in ran.phase.ticks)


def test_each_finished_phase_is_told_once_in_order() -> None:
    told: list[PhaseRun] = []
    with scripted(Reply()) as running:
        ran = run(load(scenario(running.url), phase("a"), phase("b")), finished=told.append)
    assert tuple(told) == ran.result.phases


def test_the_closed_loop_stops_asking_at_the_end_of_the_load() -> None:
    with scripted(Reply(wait=0.01)) as running:
        ran = run(load(scenario(running.url), phase(arrivals=ClosedArrivals(think_time=0.0, constant=True))))
    facts = ran.phase
    assert (ran.all.due < facts.started + 0.2).all()
    assert sum(facts.due.values()) == ((ran.all.due >= facts.measured_from) & (ran.all.due < facts.measured_until)).sum()
    assert sum(facts.missed.values()) == sum(facts.blocked.values()) == 0


def test_a_phase_that_is_over_before_the_first_tick_has_its_books_all_the_same() -> None:
    with scripted(Reply()) as running:
        ran = run(load(scenario(running.url), phase(users=3, ramp=0.0, duration=0.05, rate=100.0)))
    assert len(ran.all) == 5
    assert ran.phase.ticks == ()
    assert ran.phase.health.rss_peak > 0


# The interpreter, as it was before


def state() -> tuple[bool, int, int, int]:
    return gc.isenabled(), gc.get_freeze_count(), len(gc.callbacks), len(list(Path("/proc/self/fd").iterdir()))


def test_a_switched_off_collector_stays_off() -> None:
    gc.disable()
    try:
        with scripted(Reply()) as running:
            run(load(scenario(running.url)))
        assert not gc.isenabled()
    finally:
        gc.enable()


def first_of(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        assert len(group.exceptions) == 1, group.exceptions
        group = group.exceptions[0]
    return group


def test_a_sink_that_fails_ends_the_run_with_its_own_error_and_leaves_no_trace() -> None:
    before = state()
    full = StorageError("the disk is full")

    async def main(url: str) -> None:
        def sink(name: str, samples: Samples) -> None:
            raise full

        await run_load(load(scenario(url)), origin=trio.current_time(), sink=sink)

    with scripted(Reply()) as running:
        with pytest.raises((StorageError, BaseExceptionGroup)) as caught:
            trio.run(main, running.url)
        assert first_of(caught.value) is full
    assert state() == before


def test_an_observer_that_fails_ends_the_run_and_leaves_no_trace() -> None:
    before = state()

    def observe(_: Progress) -> None:
        raise StorageError("the log is full")

    with scripted(Reply()) as running:
        with pytest.raises((StorageError, BaseExceptionGroup)) as caught:
            run(load(scenario(running.url), longer(phase(), FOREVER)), observe=observe)
        assert isinstance(first_of(caught.value), StorageError)
    assert state() == before


def test_no_descriptor_is_left_behind_by_faults_and_timeouts() -> None:
    before = state()
    replies = [Reply(b"", then="reset"), Reply(b"rubbish\r\n"), Reply(wait=9.0), Reply(), Reply(then="close")]

    def script(request: Request) -> Reply:
        return replies[request.number % len(replies)]

    with scripted(script) as running:
        run(load(scenario(running.url, step(timeout=0.1)), phase(users=8)))
    assert state() == before
