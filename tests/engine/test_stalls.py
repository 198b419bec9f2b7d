"""A generator that stands still: what it writes down of it, and that no such delay passes for the service's."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest
import trio
from hypothesis import Phase as HypothesisPhase
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.engine.imagined import Deed, Serve, Simulated, phase, simulate, step
from tests.engine.peers import OK, Line, serving
from tests.model import values
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.analysis.verdict.generator_delay import Decided
from velro_gate.analysis.verdict.requirements import check_requirements
from velro_gate.analysis.verdict.trust.stalls import stall_findings
from velro_gate.engine.machine.health import LoopLag
from velro_gate.engine.stalls import MOST, SHORTEST, StallLog, data_age
from velro_gate.model.record import PhaseSummary
from velro_gate.model.scenario import Comparator, Phase, Requirement
from velro_gate.model.verdict import Level, Trust

pytestmark = pytest.mark.hostile("stops of the generator")

STEPS = (step("one", timeout=2.0),)


def below(metric: str, limit: float) -> Requirement:
    return Requirement(metric=metric, comparator=Comparator.BELOW, target=limit)


def level(planned: Phase, summary: PhaseSummary) -> Level:
    """What the requirements come to; broken where a stall could have changed one."""
    results = check_requirements((planned,), values.record((summary,), (planned,)))
    doubts = stall_findings(planned, summary, decided=Decided(requirements=results))
    worst = max(result.level for result in results)
    return Level.BROKEN if any(doubt.trust is Trust.BROKEN for doubt in doubts) else worst


def summary_of(planned: Phase, ran: Simulated) -> PhaseSummary:
    return summarise(planned, ("one",), ran.facts, ran.samples, [], ())


def mixed(usual: float, slow: float, every: int) -> Serve:
    """Each n-th request takes longer."""
    seen = [0]

    def serve(_: float) -> Deed:
        seen[0] += 1
        return Deed(after=slow if seen[0] % every == 0 else usual)

    return serve


def one_after_the_other(each: float) -> Serve:
    """One request at a time, whatever waits."""
    free = [0.0]

    def serve(now: float) -> Deed:
        free[0] = max(free[0], now) + each
        return Deed(after=free[0] - now)

    return serve


@given(
    st.floats(1.0, 9.5),
    st.floats(0.004, 4.0),
    st.sampled_from((7, 13, 30, 45)),
    st.floats(0.01, 0.4),
    st.floats(0.0, 2.5),
    st.sampled_from(("p50", "p95", "p99", "p95_all", "service_p99")),
    st.floats(0.4, 2.5),
    st.booleans(),
)
@settings(max_examples=8, phases=(HypothesisPhase.generate,))
def test_a_stop_of_any_length_at_any_time_turns_no_met_requirement_into_a_miss_and_no_missed_one_into_a_pass(
    at: float, seconds: float, every: int, usual: float, more: float, metric: str, factor: float, alone: bool
) -> None:
    serve = partial(one_after_the_other, min(usual / 40.0, 0.01)) if alone else partial(mixed, usual, usual + more, every)
    planned = phase(ramp=2.0, duration=8.0)
    truth = summary_of(planned, simulate(planned, serve(), steps=STEPS))
    figure = truth.measurement(metric)
    assert figure is not None
    limited = replace(planned, requirements=(below(metric, max(figure.value * factor, 1e-3)), below("error_rate", 0.01)))
    stopped = summary_of(limited, simulate(limited, serve(), steps=STEPS, stops=[(at, seconds)]))
    assert at < 2.0 or stopped.longest_stall == pytest.approx(seconds)
    true, reported = level(limited, truth), level(limited, stopped)
    assert reported in (true, Level.BROKEN) or {true, reported} <= {Level.PASS, Level.WARN}


@pytest.mark.parametrize("begins", [1.5, 1.9, 2.1])
def test_a_stop_that_began_in_the_ramp_delays_the_requests_queued_behind_what_it_held_up_as_one_within_the_stretch_does(
    begins: float,
) -> None:
    planned = replace(phase(ramp=2.0, duration=8.0), requirements=(below("p99", 0.009),))
    ran = simulate(planned, one_after_the_other(0.0063), steps=STEPS, stops=[(begins, 1.2)])
    assert level(planned, summary_of(planned, ran)) is Level.BROKEN


def test_an_answer_that_came_in_time_and_lay_ready_is_no_timeout_and_one_that_came_too_late_is() -> None:
    planned = phase()
    for latency, errors in ((1.0, 0), (3.0, 1)):
        ran = simulate(planned, lambda _, latency=latency: Deed(after=latency), steps=STEPS, stops=[(15.0, 2.5)])  # type: ignore[misc]
        failed = summary_of(planned, ran).steps[0].counts.failed
        assert (failed > 0) is bool(errors)


def test_a_stop_that_could_not_have_changed_anything_leaves_the_result_as_it_is() -> None:
    planned = replace(phase(), requirements=(below("p50", 0.1), below("p95", 1.0)))
    summary = summary_of(planned, simulate(planned, lambda _: Deed(after=0.05), steps=STEPS, stops=[(15.0, 0.3)]))
    assert (level(planned, summary), summary.longest_stall) == (Level.PASS, pytest.approx(0.3))
    slow = replace(planned, requirements=(below("p50", 0.01),))
    assert level(slow, summary) is Level.FAIL


def test_turns_that_take_long_and_waits_that_last_too_long_are_stalls_and_others_are_none() -> None:
    log, clock = StallLog(), [0.0]
    lag = LoopLag(log, now=lambda: clock[0] + 100.0, clock=lambda: clock[0])

    def pass_time(seconds: float) -> None:
        clock[0] += seconds

    lag.after_io_wait(0.0)
    pass_time(0.5)
    lag.before_io_wait(0.05)  # a turn of half a second
    pass_time(0.04)
    lag.after_io_wait(0.05)  # there was nothing to do
    pass_time(SHORTEST / 2)
    lag.before_io_wait(0.05)
    pass_time(0.35)
    lag.after_io_wait(0.05)  # it was stopped in its wait
    found = [(round(stall.start - 100.0, 4), round(stall.end - 100.0, 4)) for stall in log.since(0.0)]
    assert found == [(0.0, 0.5), (0.5915, 0.8915)]


@given(st.lists(st.tuples(st.floats(0.0, 0.1), st.floats(0.003, 0.5)), min_size=1, max_size=60), st.integers(2, 20))
def test_however_many_stalls_there_are_each_is_covered(stalls: list[tuple[float, float]], most: int) -> None:
    log, at, added = StallLog(most), 0.0, []
    for gap, length in stalls:
        log.add(at + gap, at + gap + length)
        added.append((at + gap, at + gap + length))
        at += gap + length
    kept = log.since(0.0)
    assert len(kept) <= most <= MOST
    for start, end in added:
        assert any(stall.start <= start and end <= stall.end for stall in kept)


def test_the_kernel_says_how_long_ago_bytes_came_in() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        served, _ = listener.accept()
        with served:
            served.sendall(b"x")
            assert data_age(client) is not None
    one, other = socket.socketpair()
    with one, other:
        assert data_age(one) is None


_GENERATOR = """
import json, sys, trio
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.engine.run import Load, run_load
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import NoAuth, OpenArrivals, Phase, Scenario, Step, Target
from velro_gate.model.record import PhaseSummary
from pydantic import TypeAdapter

steps = (Step(name="one", method="GET", path="/", probability=1.0, timeout=20.0),)
phase = Phase(name="steady", users=20, ramp=0.5, duration=3.0, arrivals=OpenArrivals(rate=40.0, spacing="even"))
scenario = Scenario(name="s", description="", digest="d", target=Target(url=sys.argv[1]), auth=NoAuth(), steps=steps)
parts = []

async def main():
    load = Load(scenario=scenario, phases=(phase,))
    return await run_load(load, origin=trio.current_time(), sink=lambda _, part: parts.append(part))

ran = trio.run(main).phases[0]
summary = summarise(phase, ("one",), ran, Samples.concatenate(parts), [], ())
sys.stdout.write(TypeAdapter(PhaseSummary).dump_json(summary).decode())
"""


def test_a_generator_that_is_stopped_by_a_signal_does_not_fail_a_service_that_meets_its_limit() -> None:
    stopped_for = 1.5

    async def main() -> str:
        seen, stopped = [0], trio.Event()

        async def serve(line: Line) -> None:
            while await line.request() is not None:
                seen[0] += 1
                if seen[0] == 60:
                    stopped.set()
                await trio.sleep(0.2)
                await line.say(OK)

        async with serving(serve) as peer, trio.open_nursery() as nursery:
            held: list[trio.Process] = []
            done = trio.Event()
            text: list[bytes] = []

            async def generate() -> None:
                process = await trio.lowlevel.open_process([sys.executable, "-c", _GENERATOR, peer.url], stdout=subprocess.PIPE)
                held.append(process)
                assert process.stdout is not None
                async for piece in process.stdout:
                    text.append(piece)
                await process.wait()
                done.set()

            nursery.start_soon(generate)
            with trio.fail_after(120):
                await stopped.wait()
                os.kill(held[0].pid, signal.SIGSTOP)
                await trio.sleep(stopped_for)
                os.kill(held[0].pid, signal.SIGCONT)
                await done.wait()
            nursery.cancel_scope.cancel()
        return b"".join(text).decode()

    summary = TypeAdapter(PhaseSummary).validate_python(json.loads(trio.run(main)))
    assert summary.longest_stall >= stopped_for * 0.9
    measured = summary.measurement("p99")
    assert measured is not None
    assert measured.value > 1.2
    limited = replace(phase(), requirements=(below("p99", 1.2),))
    assert level(limited, summary) is Level.BROKEN
