"""Collection is off while it is calm, on again afterwards, and never lets memory run away."""

from __future__ import annotations

import gc

import pytest

from tests.engine.exhaustion import no_free_descriptor
from velro_gate.engine.load.gc_pause import GcPause


@pytest.mark.slow
@pytest.mark.usefixtures("unfrozen")
def test_collection_is_off_in_between_and_as_before_afterwards() -> None:
    gc_pause = GcPause()
    assert gc.isenabled()
    gc_pause.enter()
    assert not gc.isenabled()
    assert gc.get_freeze_count() > 0
    gc_pause.leave()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_what_was_set_aside_before_stays_set_aside() -> None:
    gc.freeze()
    gc_pause = GcPause()
    gc_pause.enter()
    gc_pause.leave()
    assert gc.get_freeze_count() > 0


def test_what_was_off_before_stays_off() -> None:
    gc.disable()
    try:
        gc_pause = GcPause()
        gc_pause.enter()
        gc_pause.leave()
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(("growth", "collections"), [(-1, 1), (1 << 40, 0)])
def test_memory_that_grows_beyond_the_bound_is_collected(growth: int, collections: int) -> None:
    seen: list[str] = []

    def note(stage: str, info: dict[str, int]) -> None:
        if stage == "start" and info["generation"] == 2:
            seen.append(stage)

    gc_pause = GcPause(most_growth=growth)
    gc_pause.enter()
    gc.callbacks.append(note)
    try:
        # A bound below nothing is passed as soon as anything has been allocated.
        kept = bytearray(8 << 20)
        kept[::4096] = b"x" * len(kept[::4096])
        gc_pause.guard()
    finally:
        gc.callbacks.remove(note)
        gc_pause.leave()
    assert len(seen) == collections


def test_guard_and_leave_are_harmless_before_enter() -> None:
    gc_pause = GcPause()
    gc_pause.guard()
    gc_pause.leave()
    assert gc.isenabled()


def test_a_process_without_a_free_descriptor_stays_calm() -> None:
    gc_pause = GcPause(most_growth=-1)
    with no_free_descriptor():
        gc_pause.enter()
        gc_pause.guard()
        gc_pause.leave()
    assert gc.isenabled()
