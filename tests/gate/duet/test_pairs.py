"""Which pairs a duet measures. No process: blocks are made up, and take simulated time."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import trio
import trio.testing

from tests.analysis.duet.test_comparison import doubt
from tests.analysis.duets import block
from tests.analysis.runs import summary
from tests.gate.world import tiny_setup
from velro_gate.analysis.duet.pair_order import balance_of, drawn_order
from velro_gate.gate.duet.blocks import BlockRunner, BlockShape, Measured, Place
from velro_gate.gate.duet.pilot import DuetOptions, PilotResult
from velro_gate.gate.duet.run import measure_pairs
from velro_gate.model.duet import LOOKS, Pair, Side
from velro_gate.model.verdict import Trust

PLAN = PilotResult(shape=BlockShape(warm_up=2.0, seconds=15.0), looks=LOOKS, seconds=20.0)


class MadeUp:
    """Blocks of two builds of which the head build is ``factor`` times as slow; the pairs ``spoilt`` cannot be trusted."""

    def __init__(self, tmp_path: object, *, factor: float = 1.0, spoilt: Collection[int] = (), takes: float = 20.0) -> None:
        self.setup = tiny_setup(tmp_path, "http://127.0.0.1")  # type: ignore[arg-type]
        self.said: list[str] = []
        self.notes: list[str] = []
        self.say, self.note = self.said.append, self.notes.append
        self._factor, self._spoilt, self._takes = factor, spoilt, takes

    async def block(self, side: Side, shape: BlockShape, place: Place) -> Measured:
        await trio.sleep(self._takes)
        pair = (place.number + 1) // 2
        times = (self._factor if side is Side.HEAD else 1.0) * (1.0 + 0.002 * (place.number % 3))
        doubts = (doubt(Trust.BROKEN),) if pair in self._spoilt else ()
        return Measured(block=block(summary(times=times), doubts=doubts), took=self._takes)


def measured(runner: MadeUp, *, seconds: float = 3600.0) -> list[Pair]:
    pairs: list[Pair] = []

    async def main() -> None:
        await measure_pairs(cast("BlockRunner", runner), PLAN, DuetOptions(seed=3), pairs, trio.current_time() + seconds)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.0))
    return pairs


ORDER = drawn_order(balance_of(LOOKS), 16, 3)


def test_an_unchanged_build_takes_six_pairs_in_the_order_that_was_drawn(tmp_path: object) -> None:
    pairs = measured(MadeUp(tmp_path))
    assert [pair.first for pair in pairs] == list(ORDER[:6])


def test_a_slower_build_takes_ten(tmp_path: object) -> None:
    assert len(measured(MadeUp(tmp_path, factor=1.3))) == 10


def test_a_pair_that_is_left_out_is_measured_again_in_the_same_order_of_the_builds(tmp_path: object) -> None:
    runner = MadeUp(tmp_path, factor=1.3, spoilt={4})
    pairs = measured(runner)
    assert [pair.first for pair in pairs] == [*ORDER[:4], *ORDER[3:10]]
    assert any(said.startswith("a pair is left out and measured again: it was late") for said in runner.said)
    assert any(said.startswith("look after 10 pairs") for said in runner.said)


def test_pairs_are_measured_again_only_while_time_allows(tmp_path: object) -> None:
    runner = MadeUp(tmp_path, factor=1.3, spoilt={4})
    assert len(measured(runner, seconds=10 * 40.0)) == 10
    assert "time ran out after 9 usable pairs of 10" in runner.notes[0]


def test_a_duet_that_can_only_be_broken_ends_early(tmp_path: object) -> None:
    runner = MadeUp(tmp_path, spoilt=range(100))
    assert len(measured(runner)) == 6
    assert "6 of 6 pairs could not be used" in runner.notes[0]
