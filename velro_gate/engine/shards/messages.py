"""How a run and its shards talk: whole values, one after the other, over a pair of sockets.

Each value is pickled, and a column of samples is pickled as its bytes, so a piece of 16,384 rows costs about a millisecond.
Both ends are this program, and nobody else holds the sockets. What must not be seen from outside (secrets) goes this way too.
"""

from __future__ import annotations

import math
import pickle
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import trio

from velro_gate.engine.run import Load
from velro_gate.model.run import PhaseRun, Progress
from velro_gate.model.samples import Samples

_HEAD = struct.Struct("=Q")
_READ_SIZE = 1 << 18


# To a shard. Times are seconds since the start of the run.


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOrder:
    """What to send."""

    load: Load
    environ: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for the code of journeys, since those of a process can be read by others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """The instant at which the phase begins that the shard is ready for."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """The end of the phase's measured stretch, for all shards."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """End the run."""


# From a shard.


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The next phase is planned and its name resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadEnded:
    """The load of the phase is over: everything that fell due before ``until`` was handed out."""

    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleChunk:
    """Some samples."""

    phase: str
    samples: Samples
    layers: tuple[str, ...]
    """The names of the shard's cache layers so far, in the order of its codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The state of the running phase."""

    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A phase is over, and all of its samples were sent before this."""

    run: PhaseRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The load could not be carried out."""

    error: Exception
    trace: str
    """Where the error arose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """Nothing to say, but still there."""


class Link:
    """One end of the pair. ``write`` has to run for as long as anything is posted."""

    def __init__(self, end: socket.socket) -> None:
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(end))
        self._post, self._posted = trio.open_memory_channel[object](math.inf)
        self._rest = bytearray()

    def post(self, message: object) -> None:
        """Send this as soon as the other end takes it; never waits."""
        self._post.send_nowait(message)

    async def write(self) -> None:
        """Send what is posted, until the other end is gone."""
        try:
            async for message in self._posted:
                data = pickle.dumps(message, protocol=5)
                await self._stream.send_all(_HEAD.pack(len(data)) + data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # The reader learns of it as well, and reports it.
            return

    async def read(self) -> object | None:
        """The next message; None when the other end is gone."""
        head = await self._take(_HEAD.size)
        data = None if head is None else await self._take(*_HEAD.unpack(head))
        return None if data is None else pickle.loads(data)  # noqa: S301 (from our own process)

    async def _take(self, size: int) -> bytes | None:
        while len(self._rest) < size:
            try:
                data = await self._stream.receive_some(_READ_SIZE)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not data:
                return None
            self._rest += data
        taken = bytes(memoryview(self._rest)[:size])
        del self._rest[:size]
        return taken

    def close(self) -> None:
        """Hang up."""
        self._stream.socket.close()
