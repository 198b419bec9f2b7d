"""What is written on a connection that several requests share."""

from __future__ import annotations

import httpcore
import pytest
import trio
import trio.testing

from velro_gate.engine.client.http2_frames import FilteringBackend


class Slow(httpcore.AsyncNetworkStream):
    """A connection whose other side takes nothing for some seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.written = seconds, b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await trio.sleep(self.seconds)
        self.written += buffer


def write_and_cancel(seconds: float, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, float]:
    """Write to such a connection, cancelled after a second: what has been written then, and how long it took."""
    slow = Slow(seconds)

    class Backend:
        async def connect_tcp(self, *_: object) -> Slow:
            return slow

    monkeypatch.setattr(httpcore, "TrioBackend", Backend)

    async def main() -> tuple[bytes, float]:
        made = await FilteringBackend(lambda _: None).connect_tcp("127.0.0.1", 1)
        with trio.move_on_after(1.0):
            await made.write(b"headers")
        return slow.written, trio.current_time()

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_what_a_cancelled_request_has_begun_to_write_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    assert write_and_cancel(3.0, monkeypatch) == (b"headers", pytest.approx(3.0))


def test_another_side_that_takes_nothing_does_not_hold_a_cancelled_request_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(httpcore.WriteTimeout):
        write_and_cancel(60.0, monkeypatch)
