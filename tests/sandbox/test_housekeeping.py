from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from velro_gate.sandbox.housekeeping import GROWTH, keep_house, resident_bytes, settle, tidy


class Knot:
    """Garbage that only the collector can find."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def settled() -> Iterator[int]:
    """How many objects were set aside before, by the tests themselves; a thousand more exist now."""
    before, new = gc.get_freeze_count(), [Knot() for _ in range(1_000)]
    settle()
    yield before
    # What is set aside stays so, as in every other process of tests.
    del new
    gc.enable()


def test_settling_takes_what_exists_out_of_sight_and_collection_out_of_the_hot_path(settled: int) -> None:
    assert not gc.isenabled()
    assert gc.get_freeze_count() >= settled + 1_000


def test_young_garbage_is_collected_in_every_round_and_the_settled_figure_stays(settled: int) -> None:
    knot = weakref.ref(Knot())
    assert tidy(100, 200) == 100
    assert knot() is None


def test_old_garbage_is_collected_only_when_memory_has_grown_by_the_bound(settled: int) -> None:
    holder = [Knot()]
    knot = weakref.ref(holder[0])
    gc.collect(0)
    gc.collect(1)
    holder.clear()
    assert tidy(0, GROWTH) == 0
    assert knot() is not None
    assert tidy(0, GROWTH + 1) == GROWTH + 1
    assert knot() is None


def test_resident_memory_is_that_of_a_real_process() -> None:
    assert 10**7 < resident_bytes() < 10**11


def test_house_is_kept_until_it_is_cancelled(settled: int) -> None:
    async def scene() -> None:
        house = asyncio.create_task(keep_house())
        await asyncio.sleep(0)
        house.cancel()
        with pytest.raises(asyncio.CancelledError):
            await house

    asyncio.run(scene())
