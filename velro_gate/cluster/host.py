"""One worker as the head sees it: its connection, its clock, and what became of it."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter

import trio

from velro_gate.cluster.channel import MOST_FRAME, FrameKind, WorkerChannel
from velro_gate.cluster.clock import ClockWatch, Offset, offset_of, wall_offset
from velro_gate.cluster.worker import PING_EVERY, PONG
from velro_gate.engine.shards.encoding import unpacked_message
from velro_gate.engine.shards.messages import Link, pickled
from velro_gate.errors import BrokenError
from velro_gate.model.run import PhaseRun, WorkerRun
from velro_gate.units import format_seconds

FIRST_PINGS = 12
"""Pings before the load. The fastest one gives the offset, since a queue on the way only ever adds time (Cristian 1989); a
dozen are enough for one that met none.
"""
FIRST_PING_EVERY = 0.005
"""Seconds between them."""
MOST_WALL_OFFSET = 1.0
"""Seconds by which a worker's time of day may differ from ours."""

SLOW_ANSWER, SLOW_PINGS = 0.2, 5
"""Seconds of a ping's round trip above which a worker's clock is not known well enough (to half of it), and how many pings in a
row have to be that slow during a load.
"""

_MIN_RTT, _MIN_RTT_AT = struct.Struct("=I"), 148
_NO_WORKER = "sent what no worker sends"
_MOST_CLOCK = 1e11
"""Seconds that no clock shows: 3,000 years."""
_MOST_WORDS = 200
"""Characters of how a worker says that it ended."""


@dataclass(slots=True, eq=False)
class WorkerHost:
    """One worker: its connection, its clock, and what became of it. See ShardHost."""

    name: str
    channel: WorkerChannel = field(repr=False)
    foreign_code: bool = False
    clock: ClockWatch = field(default_factory=ClockWatch)
    walls: list[Offset] = field(default_factory=list)
    link: Link = field(init=False)
    connecting: float | None = None
    """Seconds of the fastest round trip of its connection's packets before the first ping, by the kernel; None: not known."""
    asked: deque[float] = field(default_factory=deque)
    """When the pings left that were not answered yet."""
    answered: float = 0.0
    """When the last ping that was answered had been sent."""
    how: str = ""
    """How it ended, in words; empty while nobody has said."""
    gone: trio.Event = field(default_factory=trio.Event)
    lost: bool = False
    """Whether it ended before we hung up, or had to be ended."""
    _zero: float = 0.0
    _bytes: _Bytes = field(init=False)

    def __post_init__(self) -> None:
        self._bytes = _Bytes(self.channel, self._start_order)
        self.link = Link(self._bytes, pack=pickled, unpack=unpacked_message)

    def begin(self, zero: float) -> None:
        """The run started at this time of our monotonic clock; its order follows."""
        self._zero = zero + self.clock.settle().seconds

    def _start_order(self) -> bytes:
        return json.dumps({"zero": self._zero, "foreign_code": self.foreign_code}).encode()

    def kill(self) -> None:
        """See ShardHost."""
        self.lost = True
        self.channel.close()

    def give_up(self, how: str) -> None:
        """End it at once. how: in words that follow its name."""
        self.how = how
        self.kill()

    async def how_it_ended(self) -> str:
        """See ShardHost."""
        await self.gone.wait()
        if self.link.nonsense:
            return _NO_WORKER
        return self.how or "closed its connection: its process ended, or was killed"

    def about(self, run: PhaseRun, begin: float, started: float | None) -> WorkerRun:
        """See ShardHost."""
        late = self.clock.late(begin if started is None else started, begin)
        return WorkerRun(
            name=self.name, health=run.health, late=late.seconds, uncertainty=late.uncertainty, drift=self.clock.drift
        )

    async def attend(self) -> None:
        """Take what the worker says, until it is gone."""
        try:
            while (frame := await self.channel.receive()) is not None:
                kind, content = frame
                if kind is FrameKind.PONG:
                    self._pong(content)
                elif kind is FrameKind.BYTES:
                    await self._bytes.feed(content)
                elif kind is FrameKind.ENDED:
                    # Its words, which go to terminals and reports.
                    self.how = self.how or "".join(
                        each if each.isprintable() else " " for each in content.decode()[:_MOST_WORDS]
                    )
                    break
        except (ValueError, struct.error):
            self.how = self.how or _NO_WORKER
            self.channel.close()
        finally:
            self.lost = self.lost or self.link.nonsense or not self._bytes.closed
            self._bytes.end()
            self.gone.set()

    async def ping(self) -> None:
        """Compare the clocks: often at first, then twice a second, which also shows the worker that we are there."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                await self.ping_once()
                await trio.sleep(FIRST_PING_EVERY if self.clock.pings < FIRST_PINGS else PING_EVERY)

    async def ping_once(self) -> float:
        """Send a ping; the time at which it left, which ``answered`` reaches when its answer is here.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: the worker is gone.
        """
        sent = perf_counter()
        self.asked.append(sent)
        await self.channel.send(FrameKind.PING, struct.pack("!d", sent))
        return sent

    def _pong(self, content: bytes) -> None:
        received = perf_counter()
        sent, theirs, wall = PONG.unpack(content)
        # Our own time comes back from the worker, and is not to be trusted for that.
        if not (0.0 <= sent <= received and abs(theirs) < _MOST_CLOCK and abs(wall) < _MOST_CLOCK):
            raise ValueError("these are no times of a ping")
        self.answered = sent
        while self.asked and self.asked[0] <= sent:
            self.asked.popleft()
        self.clock.add(sent, theirs, received)
        if len(self.walls) < FIRST_PINGS:
            # Both wall clocks at one instant of the monotonic ones, by which the ping was timed.
            to_wall = time.time() - received
            self.walls.append(offset_of(sent + to_wall, wall, received + to_wall))

    def waited(self, now: float) -> float:
        """Seconds for which an answer has been waited for."""
        return now - self.asked[0] if self.asked else 0.0

    def check_time_of_day(self) -> None:
        """Refuse a worker whose time of day is wrong, or ours: time stamps and tokens in requests would be.

        Raises:
            BrokenError: names it.
        """
        off = wall_offset(self.walls)
        if abs(off.seconds) - off.uncertainty > MOST_WALL_OFFSET:
            direction = "ahead of" if off.seconds > 0.0 else "behind"
            raise BrokenError(
                f"the clock of {self.name} is {format_seconds(abs(off.seconds))} {direction} this machine's",
                hint="Synchronise both (chrony or systemd-timesyncd); 'timedatectl' shows whether a machine is.",
            )

    def check_round_trip(self) -> None:
        """Refuse a worker that is too far away for one start: the load would be broken at its end.

        As soon as that is known: packets cannot be faster later than they were while it connected.

        Raises:
            BrokenError: names it.
        """
        if self.clock.pings >= FIRST_PINGS:
            took, what = self.clock.round_trip(FIRST_PINGS), f"the fastest of {FIRST_PINGS} answers"
        else:
            took, what = self.connecting or 0.0, "the fastest round trip of its connection's packets"
        if took > SLOW_ANSWER:
            # Its task ends as slowly, and is not waited for.
            self.kill()
            raise BrokenError(
                f"{self.name} answers too slowly for a common start",
                why=f"{what} took {format_seconds(took)}, so its clock is known to {format_seconds(took / 2.0)} only",
                hint=f"Use workers that answer within {format_seconds(SLOW_ANSWER)}, and look at the network between.",
            )


def round_trip_of(made: socket.socket | trio.socket.SocketType) -> float | None:
    """Seconds of the fastest round trip of a TCP connection so far; None where the kernel does not say.

    linux/tcp.h: ``tcpi_min_rtt`` of struct tcp_info, in microseconds, at byte 148; all ones before there was one.
    """
    try:
        info = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _MIN_RTT_AT + _MIN_RTT.size)
        (microseconds,) = _MIN_RTT.unpack_from(info, _MIN_RTT_AT)
    except (OSError, AttributeError, struct.error):
        return None
    return None if microseconds == 2**32 - 1 else microseconds / 1e6


class _Bytes:
    """The bytes of a link, over the frames of a channel. The first ones start the shard's process."""

    def __init__(self, channel: WorkerChannel, start: Callable[[], bytes]) -> None:
        self._channel, self._start, self._started = channel, start, False
        self.closed = False
        self._feed, self._fed = trio.open_memory_channel[bytes](8)

    async def send_all(self, data: bytes) -> None:
        """See ByteStream."""
        if not self._started:
            self._started = True
            await self._channel.send(FrameKind.START, self._start())
        for first in range(0, len(data), MOST_FRAME):
            await self._channel.send(FrameKind.BYTES, data[first : first + MOST_FRAME])

    async def receive_some(self, most: int) -> bytes:  # noqa: ARG002 - a frame is never larger
        """See ByteStream."""
        try:
            return await self._fed.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            return b""

    async def feed(self, data: bytes) -> None:
        """These have come; waits where nobody takes them as fast."""
        with suppress(trio.BrokenResourceError):
            await self._feed.send(data)

    def end(self) -> None:
        """No more will come."""
        self._feed.close()

    def close(self) -> None:
        """See ByteStream."""
        self.closed = True
        self._channel.close()
        self._fed.close()
