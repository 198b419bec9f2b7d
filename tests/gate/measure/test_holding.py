"""A signal that comes while what was measured is being kept waits until that is done."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from velro_gate.gate.measure.holding import HeldSignals


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """In the background of a shell this signal is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(held: HeldSignals, kept: list[str], *, begins: bool) -> None:
    """A Ctrl-C, and what is kept after it."""
    with held:
        if begins:
            held.begin()
        signal.raise_signal(signal.SIGINT)
        kept.append("record")


@pytest.mark.parametrize("begins", [True, False])
def test_a_signal_that_is_put_off_has_its_effect_at_the_end_of_the_block_and_any_other_at_once(begins: bool) -> None:
    kept: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupted(HeldSignals((signal.SIGINT,)), kept, begins=begins)
    assert kept == ["record"] * begins
    assert signal.getsignal(signal.SIGINT) is before


def test_one_that_came_before_is_not_forgotten_and_none_is_made_up() -> None:
    with pytest.raises(KeyboardInterrupt), HeldSignals(()) as held:
        held.begin(came=True)
    with HeldSignals((signal.SIGINT,)) as held:
        held.begin()
