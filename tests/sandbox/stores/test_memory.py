from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.clock import FakeClock
from velro_gate.sandbox.stores.memory import JITTER, Memory


def test_a_body_is_kept_until_its_lifetime_is_over() -> None:
    clock = FakeClock()
    memory = Memory(10, 100.0, clock=clock)
    memory.put("a", b"1")
    clock.advance(100.0 * (1 - JITTER) - 0.1)
    assert memory.get("a") == b"1"
    clock.advance(100.0 * JITTER + 0.2)
    assert memory.get("a") is None


def test_what_was_stored_together_does_not_expire_together() -> None:
    clock = FakeClock()
    memory = Memory(1_000, 100.0, clock=clock)
    for number in range(1_000):
        memory.put(str(number), b"")
    clock.advance(90.0)
    left = sum(memory.get(str(number)) is not None for number in range(1_000))
    assert 350 < left < 650


def test_the_one_used_least_recently_makes_room() -> None:
    memory = Memory(2, 100.0, clock=FakeClock())
    memory.put("a", b"1")
    memory.put("b", b"2")
    memory.get("a")
    memory.put("c", b"3")
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == (b"1", None, b"3")


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0.0, 20.0))), st.integers(1, 10))
def test_it_never_holds_more_than_its_bound_and_never_a_body_of_another_key(puts: list[tuple[int, float]], bound: int) -> None:
    clock = FakeClock()
    memory = Memory(bound, 50.0, clock=clock)
    for key, wait in puts:
        memory.put(str(key), str(key).encode())
        clock.advance(wait)
        assert len(memory) <= bound
        assert memory.get(str(key)) in (str(key).encode(), None)


def test_a_flush_forgets_everything() -> None:
    memory = Memory(10, 100.0)
    memory.put("a", b"1")
    memory.flush()
    assert len(memory) == 0
    assert memory.get("a") is None
