"""A shard's samples on their way to the run: each arrives once, reduced or as it is, and none too early."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import trio
import trio.testing

from tests.analysis.phases import samples
from tests.engine.peers import serving
from tests.engine.shards.test_process import heard, linked, order
from tests.engine.shards.test_run import phase, plan
from velro_gate.analysis.summaries.reduced.frame import Frame
from velro_gate.analysis.summaries.reduced.reduce import reduced
from velro_gate.analysis.summaries.reduced.tables import Reduced, reduced_together
from velro_gate.engine.run import Load
from velro_gate.engine.shards import reducing
from velro_gate.engine.shards.kept import Kept
from velro_gate.engine.shards.lost import Received
from velro_gate.engine.shards.messages import Begin, Finished, LoadEnded, Ready, ReducedChunk, SampleChunk, ShardOrder, Until
from velro_gate.engine.shards.reducing import KEPT_BACK, Reducing
from velro_gate.errors import BrokenError
from velro_gate.model.samples import Outcome, Samples

LONG = phase(ramp=5.0, duration=60.0)
FRAME = Frame(measured_from=5.0, planned=60.0, steps=2)
RATE = 20


def second(number: int) -> Samples:
    """What fell due in one second."""
    due = number + np.arange(RATE) / RATE
    return samples(due, 0.01 + 0.001 * (due % 7.0), step=np.arange(RATE) % 3, cache=np.arange(RATE) % 4)


def handed_on(seconds: int, *, names: tuple[str, ...] = (LONG.name,), hold: bool = False) -> list[object]:
    """The messages of a shard that sent for so many seconds. hold: the thread is given no time."""

    async def main() -> list[object]:
        posted: list[object] = []
        found = Reducing(names, 2, lambda: ("l1", "redis"), posted.append)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(found.run)
            found.began(LONG, 0.0)
            for number in range(seconds):
                found.add(LONG.name, second(number))
                while found.busy and not hold:
                    await trio.lowlevel.checkpoint()
            found.finished(LONG.name)
            ended = len(posted)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert len(posted) == ended, "nothing comes after the end of its phase"
            nursery.cancel_scope.cancel()
        return posted

    return trio.run(main)


@pytest.mark.parametrize("seconds", [3, 25, 66])
@pytest.mark.parametrize("hold", [False, True], ids=["reduced", "at the end"])
def test_each_sample_arrives_once_and_together_they_are_all_samples_reduced(seconds: int, *, hold: bool) -> None:
    posted = handed_on(seconds, hold=hold)
    whole = reduced(Samples.concatenate([second(number) for number in range(seconds)]), FRAME, 65.0)
    counts = [message.samples for message in posted if isinstance(message, ReducedChunk)]
    rest = [reduced(message.samples, FRAME, 65.0) for message in posted if isinstance(message, SampleChunk)]
    found = reduced_together([*counts, *rest])
    assert (found.keys.tolist(), found.counts.tolist()) == (whole.keys.tolist(), whole.counts.tolist())
    assert (found.rows, found.delivered) == (whole.rows, whole.delivered)
    assert bool(counts) is (seconds > 2 * KEPT_BACK and not hold)


def test_the_newest_samples_are_not_counted_before_the_end_of_the_stretch_is_known() -> None:
    posted = handed_on(66)
    kept = Samples.concatenate([message.samples for message in posted if isinstance(message, SampleChunk)])
    newest = 66.0 - KEPT_BACK
    assert int((kept.due >= newest).sum()) == RATE * KEPT_BACK


def test_the_samples_of_a_phase_that_is_not_to_be_reduced_are_handed_on_as_they_are() -> None:
    posted = handed_on(30, names=("another",))
    assert all(isinstance(message, SampleChunk) for message in posted)
    assert sum(len(message.samples) for message in posted if isinstance(message, SampleChunk)) == 30 * RATE


def test_a_shard_reduces_while_it_sends_and_hands_on_all_that_it_has_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reducing, "KEPT_BACK", 0.2)
    asked = phase(ramp=0.2, duration=1.5)

    async def main() -> None:
        async with serving() as peer, linked() as link:
            link.post(dataclasses.replace(order(peer.url, asked), reduced=frozenset({asked.name})))
            await heard(link, Ready)
            begin = trio.current_time()
            link.post(Begin(at=begin))
            said = await heard(link, LoadEnded)
            link.post(Until(at=begin + 1.7))
            said += await heard(link, Finished)
            finished = said[-1]
            assert isinstance(finished, Finished)
            counts = [message.samples for message in said if isinstance(message, ReducedChunk)]
            rest = [message.samples for message in said if isinstance(message, SampleChunk)]
            assert sum(each.rows for each in counts) + sum(map(len, rest)) == finished.run.sent_total
            assert all(each.frame.measured_from == finished.run.measured_from for each in counts)
            assert counts

    trio.run(main)


def test_the_run_renumbers_counts_and_reduces_what_was_kept_back_to_the_end_that_was_agreed() -> None:
    whole: list[Reduced] = []
    rows: list[Samples] = []
    scenario = plan("http://service.test")
    asked = ShardOrder(load=Load(scenario=scenario, phases=(LONG,)), reduced=frozenset({LONG.name}))
    kept = Kept(asked, lambda _, some: rows.append(some), lambda _, some: whole.append(some))
    frame = dataclasses.replace(FRAME, steps=len(scenario.steps))
    old, new = second(6), second(33)
    kept.phase_begins(LONG, 0.0)
    kept.take(SampleChunk(phase="another", samples=old, layers=("l1", "redis")), Received())
    kept.take(ReducedChunk(phase=LONG.name, samples=reduced(old, frame), layers=("redis", "l1")), Received())
    kept.take(SampleChunk(phase=LONG.name, samples=new, layers=("redis", "l1")), Received())
    trio.run(kept.phase_over, LONG, 33.5)
    assert len(rows) == 1
    codes = np.arange(256, dtype=np.uint8)
    codes[[2, 3]] = [3, 2]
    every = Samples.concatenate([old, new])
    expected = reduced(dataclasses.replace(every, cache=codes[every.cache]), frame, 33.5)
    found = reduced_together(whole)
    assert (found.keys.tolist(), found.counts.tolist()) == (expected.keys.tolist(), expected.counts.tolist())


def test_counts_of_another_phase_or_plan_end_the_run_and_are_not_added() -> None:
    kept = Kept(
        ShardOrder(load=Load(scenario=plan("http://service.test"), phases=(LONG,)), reduced=frozenset({LONG.name})),
        lambda _, __: None,
        lambda _, __: None,
    )
    kept.phase_begins(LONG, 1.0)
    with pytest.raises(BrokenError, match="counts came that are not of phase"):
        kept.take(ReducedChunk(phase=LONG.name, samples=reduced(second(6), FRAME), layers=()), Received())


def test_of_a_lost_shard_what_it_had_reduced_is_remembered() -> None:
    received = Received()
    received.add_reduced(reduced(samples([6.0, 7.0, 8.0], outcome=[Outcome.OK, Outcome.REFUSED, Outcome.OK]), FRAME))
    received.add(samples([9.0]))
    assert (received.rows, received.delivered) == (4, 3)
    assert received.by_step(2, 5.0, 65.0).tolist() == [4, 0]
