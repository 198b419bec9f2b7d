"""What the live page costs: its own CPU by the clocks of its threads, and what groups of four blocks differ by."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.live import Block, blocks, differences, interval, table
from benchmarks.live_metered import BLOCK, Meter, Second, shown
from tests.analysis.phases import samples


def clocks(count: int, *, page: float = 0.001, begin: float = 0.5) -> list[Second]:
    """A state a second; the process takes .1 of a core and what the page takes while it is there."""
    found, own = [], 0.0
    for at in np.arange(count) + begin:
        own += page if shown(at) else 0.0
        found.append(
            Second(at=at, began=0.0, measured=True, process=0.1 * at + own, loop=0.1 * at, page=own, requests=int(own / 0.001))
        )
    return found


def made(late: Sequence[float]) -> list[Block]:
    """Blocks with these latenesses."""
    return [
        Block(number=number, page_there=shown(number * BLOCK), process=0.1, loop=0.1, page=0.0, late=value, requests=0)
        for number, value in enumerate(late)
    ]


def test_two_of_four_blocks_have_the_page_and_both_kinds_have_the_same_middle() -> None:
    there = [number for number in range(8) if shown(number * BLOCK + 0.1)]
    assert there == [0, 3, 4, 7]
    assert sum(there) == sum(set(range(8)) - set(there))


def test_a_block_has_the_cpu_and_the_lateness_of_its_own_seconds() -> None:
    due = np.arange(0.0, 20.0, 0.01)
    late = np.where([shown(at) for at in due], 0.002, 0.001)
    rows = samples(due - 100.0, sent=due - 100.0 + late)
    found = blocks(clocks(20), rows, 100.0)
    assert [one.page_there for one in found] == [True, False, False, True]
    assert [one.page for one in found] == pytest.approx([0.001, 0.0, 0.0, 0.001])
    assert [one.late for one in found] == pytest.approx([0.002, 0.001, 0.001, 0.002])
    assert differences(found, "process") == pytest.approx([0.001])


def test_a_block_that_the_measured_stretch_cuts_is_left_out() -> None:
    rows = samples(np.arange(0.0, 9.0, 0.01), np.full(900, 0.01))
    assert [one.number for one in blocks(clocks(7), rows, 0.0)] == [0]


def test_a_machine_that_slows_down_evenly_is_no_difference_and_a_part_of_a_group_is_not_counted() -> None:
    assert differences(made([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), "late") == pytest.approx([0.0])


def test_one_group_shows_nothing_and_is_not_called_reached() -> None:
    assert interval([0.1]) == (0.1, math.inf)
    assert [row[-1] for row in table(made([1e-3] * 4), "one group", 0).rows][2:] == ["not shown: more seconds"] * 3


def test_what_lies_above_its_limit_is_missed() -> None:
    rows = table(made([2.001e-3, 1e-3, 1e-3, 2e-3, 2e-3, 1e-3, 1e-3, 2e-3]), "two groups", 0).rows
    assert [row[-1] for row in rows] == ["reached", "reached", "reached", "reached", "MISSED"]


def test_the_cpu_of_a_thread_is_counted_while_it_runs_and_after_it_has_ended() -> None:
    meter, worked, leave = Meter(), threading.Event(), threading.Event()

    def work() -> None:
        sum(range(200_000))
        worked.set()
        leave.wait()

    thread = threading.Thread(target=meter.metered(work))
    thread.start()
    worked.wait()
    running = meter.threads()
    leave.set()
    thread.join()
    assert 0.0 < running <= meter.threads()
