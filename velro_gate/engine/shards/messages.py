"""How a run and its shards talk: whole values, one after the other, over a pair of sockets.

What a run says is pickled. What a shard says is not (``encoding``): it may be another machine's word, and reading it must not
run code. A piece of 16,384 rows costs about a millisecond. Nobody else holds the sockets, so what must not be seen from outside
(secrets) goes this way too. Between machines the bytes travel over an authenticated connection (``cluster.channel``) and over
such a pair at either end.
"""

from __future__ import annotations

import math
import pickle
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import trio

from velro_gate.analysis.summaries.reduced.tables import Reduced
from velro_gate.engine.run import Load
from velro_gate.model.run import PhaseRun, Progress
from velro_gate.model.samples import Samples

MOST_MESSAGE = 2**30
"""Bytes. The largest are the values of a scenario's own metrics, which come at the end of a phase: 16 bytes each."""

_HEAD = struct.Struct("=Q")
"""A message's length in bytes."""
_READ_SIZE = 1 << 18
"""Bytes that are read at a time: a piece of samples has about a megabyte."""


# To a shard. Times are seconds since the start of the run.


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOrder:
    """What to send."""

    load: Load
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables for the code of journeys, since those of a process can be read by others."""
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Contents of the certificate files that the target names, where this machine may not have them."""
    modules: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Source files of the journeys, by path relative to the folder that they are imported from; likewise."""
    descriptors: int = 0
    """How many files the shard may have to open."""
    responder: bool = False
    """Whether to send to a responder on the shard's own machine instead of the target: the null run of a cluster."""
    reduced: frozenset[str] = frozenset()
    """The phases whose samples are reduced to counts before they are handed on."""
    silence: float | None = None
    """Seconds without a message after which the run counts as gone; None: only when its link closes."""


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

    plan: str = ""
    """Digest of the whole phase's schedule as this shard has computed it; empty in a closed loop, which has no schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseBegan:
    """The phase began, at this time on the shard's clock: where several machines must begin together."""

    at: float


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
class ReducedChunk:
    """Some samples, reduced to counts. layers: as above."""

    phase: str
    samples: Reduced
    layers: tuple[str, ...]


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


_LOOKS = 4
"""Looks within one silence: see ``until_silent``."""


async def until_silent(heard: Callable[[], int], seconds: float) -> None:
    """Wait until the other end has said nothing for this long. heard: how much it has said so far.

    In several looks: where this process itself, or the whole machine, is stopped for a while, only one of them passes.
    """
    before, quiet = heard(), 0
    while quiet < _LOOKS:
        await trio.sleep(seconds / _LOOKS)
        now = heard()
        before, quiet = now, quiet + 1 if now == before else 0


class ByteStream(Protocol):
    """What a link sends its bytes over. Both raise as trio's streams do when the other end is gone."""

    async def send_all(self, data: bytes) -> None:
        """Send all of these."""

    async def receive_some(self, most: int) -> bytes | bytearray:
        """Some bytes, at most this number; an empty result at the end."""

    def close(self) -> None:
        """Hang up; never waits."""


class _SocketStream:
    """A socket as a ByteStream."""

    def __init__(self, end: socket.socket) -> None:
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(end))
        self.send_all, self.receive_some = self._stream.send_all, self._stream.receive_some

    def close(self) -> None:
        """See ByteStream."""
        self._stream.socket.close()


def pickled(message: object) -> bytes:
    """How a run packs what it says."""
    return pickle.dumps(message, protocol=5)


def unpickled(data: bytes) -> object:
    """How a shard reads what its run says, whose code it carries out anyway."""
    return pickle.loads(data)  # noqa: S301


class Link:
    """One end of the pair. ``write`` has to run for as long as anything is posted.

    pack, unpack: how messages become bytes on the way out, and messages again on the way in; unpack raises ValueError for other
    bytes.
    """

    def __init__(
        self, end: socket.socket | ByteStream, *, pack: Callable[[object], bytes], unpack: Callable[[bytes], object]
    ) -> None:
        self._stream: ByteStream = _SocketStream(end) if isinstance(end, socket.socket) else end
        self._pack, self._unpack = pack, unpack
        self.nonsense = False
        """Whether the other end has said what is no message."""
        self._post, self._posted = trio.open_memory_channel[object](math.inf)
        self._rest = bytearray()

    def post(self, message: object) -> None:
        """Send this as soon as the other end takes it; never waits."""
        self._post.send_nowait(message)

    async def write(self) -> None:
        """Send what is posted, until the other end is gone."""
        try:
            async for message in self._posted:
                data = self._pack(message)
                await self._stream.send_all(_HEAD.pack(len(data)) + data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # The reader learns of it as well, and reports it.
            return

    async def read(self) -> object | None:
        """The next message; None when the other end is gone, or says what is no message: then we hang up."""
        head = await self._take(_HEAD.size)
        if head is None:
            return None
        (size,) = _HEAD.unpack(head)
        try:
            if size > MOST_MESSAGE:
                raise ValueError("a message is too large")
            data = await self._take(size)
            return None if data is None else self._unpack(data)
        except ValueError:
            self.nonsense = True
            self.close()
            return None

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
        self._stream.close()
