"""The connection between the head and one worker: both prove who they are before either believes a word.

Rules. The worker connects; its one-time ticket came with its task. Its first words hold an HMAC of a random number under the
ticket's key, so nobody who does not hold the ticket is heard; the head answers with one over both sides' numbers. The keys of
that connection are made of both numbers as well, and every frame carries a keyed BLAKE2b tag over its number, kind and content.
So nothing can be changed, left out or sent again, and who repeats another one's first words cannot say a second one: nothing is
believed, and no order sent, before the first frame has come. A ticket is taken once: a task that runs a second time, by a retry
or on a worker that was restarted, is refused and sends nothing.

What is sent is not encrypted here: where the cluster speaks TLS this connection does too, with the same certificates.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import trio

MAGIC = b"velro/2\0"
_HELLO = struct.Struct(f"!{len(MAGIC)}sI32s32s")
"""Index, random number and proof of a worker, in one piece: each round trip counts, since it may be a slow one."""

_HEAD = struct.Struct("!BI")
_NONCE, _PROOF, _TAG = 32, 32, 16
MOST_FRAME = 1 << 18
"""Bytes of a frame's content. A frame is read whole before its tag is checked, so this bounds what a stranger can make us keep.
"""
_READ_SIZE = 1 << 18
"""Bytes that are read at a time."""


class FrameKind(IntEnum):
    """What a frame holds."""

    BYTES = 1
    """Bytes of the link between the run and its shard."""
    PING = 2
    PONG = 3
    START = 4
    """Start the shard's process."""
    ENDED = 5
    """It has ended: how, in words."""


class Refused(Exception):  # noqa: N818 - the other side's answer
    """The other end is not who it should be, or does not want to talk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a worker shows to be heard, once. Its key must not be seen: Dask prints the arguments of tasks that fail."""

    index: int
    """Index of the shard that its holder carries out."""
    key: bytes = field(repr=False)
    hosts: tuple[str, ...]
    """Addresses at which the head listens; the first that can be reached is taken."""
    port: int
    """The port at which it listens."""
    tls: bool

    def __str__(self) -> str:
        return repr(self)


def new_key() -> bytes:
    """The key of a ticket."""
    return secrets.token_bytes(32)


class Stream(Protocol):
    """A connection: trio's sockets, and TLS over them."""

    async def send_all(self, data: bytes) -> None:
        """Send all of these."""

    async def receive_some(self, max_bytes: int) -> bytes | bytearray:
        """Some bytes; none at the end."""


class WorkerChannel:
    """One end of a connection whose other end has proved itself."""

    def __init__(
        self, stream: Stream, *, sends: bytes, receives: bytes, hang_up: Callable[[], None], rest: bytes | bytearray = b""
    ) -> None:
        """rest: what came together with the introduction."""
        self._stream, self._hang_up = stream, hang_up
        self._keys = sends, receives
        self._sent = self._received = 0
        self._rest = bytearray(rest)
        self._turn = trio.Lock()

    async def send(self, kind: FrameKind, content: bytes = b"") -> None:
        """Send one frame, of at most ``MOST_FRAME`` bytes.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: the other end is gone.
        """
        async with self._turn:
            head = _HEAD.pack(kind, len(content))
            tag = _tag(self._keys[0], self._sent, head, content)
            self._sent += 1
            await self._stream.send_all(head + content + tag)

    async def receive(self) -> tuple[FrameKind, bytes] | None:
        """The next frame; None when the other end is gone, or what came is not from it."""
        try:
            head = await _take(self._stream, self._rest, _HEAD.size)
            if head is None:
                return None
            kind, size = _HEAD.unpack(head)
            body = None if size > MOST_FRAME else await _take(self._stream, self._rest, size + _TAG)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return None
        if body is None:
            return None
        content, tag = body[:size], body[size:]
        # The number of the frame is part of the tag, so one that is left out, repeated or moved is noticed.
        if not hmac.compare_digest(tag, _tag(self._keys[1], self._received, head, content)):
            return None
        self._received += 1
        return FrameKind(kind), content

    def close(self) -> None:
        """Hang up; never waits."""
        self._hang_up()


async def introduce(stream: Stream, ticket: Ticket, hang_up: Callable[[], None]) -> WorkerChannel:
    """The worker's side of the introduction.

    Raises:
        Refused: the head does not take this ticket, or is not the head.
    """
    mine = secrets.token_bytes(_NONCE)
    rest = bytearray()
    try:
        await stream.send_all(_HELLO.pack(MAGIC, ticket.index, mine, _proof(ticket.key, b"worker", mine, b"")))
        said = await _take(stream, rest, _NONCE + _PROOF)
        if said is None:
            raise Refused("the head refuses the ticket")
        theirs, proof = said[:_NONCE], said[_NONCE:]
        if not hmac.compare_digest(proof, _proof(ticket.key, b"head", mine, theirs)):
            raise Refused("what answers is not the head")
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise Refused("the head hung up") from error
    to_head, to_worker = (_proof(ticket.key, side, mine, theirs) for side in (b"to head", b"to worker"))
    return WorkerChannel(stream, sends=to_head, receives=to_worker, hang_up=hang_up, rest=rest)


async def admit(
    stream: Stream, key_of: Callable[[int], bytes | None], take: Callable[[int], bool], hang_up: Callable[[], None]
) -> tuple[int, WorkerChannel]:
    """The head's side. key_of: the key of a shard's ticket, None for an unknown shard. take: takes it, False if it was taken.

    Raises:
        Refused: whoever connected does not hold a ticket, or one that was taken before.
    """
    rest = bytearray()
    try:
        hello = await _take(stream, rest, _HELLO.size)
        if hello is None:
            raise Refused("it hung up")
        magic, index, theirs, proof = _HELLO.unpack(hello)
        key = key_of(index) if magic == MAGIC else None
        if key is None:
            raise Refused("it holds no ticket")
        # In constant time: a comparison that ends at the first difference lets a proof be guessed byte by byte.
        if not hmac.compare_digest(proof, _proof(key, b"worker", theirs, b"")):
            raise Refused("it does not hold the ticket that it names")
        if not take(index):
            raise Refused("its ticket was taken before")
        mine = secrets.token_bytes(_NONCE)
        await stream.send_all(mine + _proof(key, b"head", theirs, mine))
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise Refused("it hung up") from error
    # A key for each direction, so that a frame cannot be sent back to its sender. Both nonces are in them, so none can be
    # replayed on another connection.
    to_head, to_worker = (_proof(key, side, theirs, mine) for side in (b"to head", b"to worker"))
    return index, WorkerChannel(stream, sends=to_worker, receives=to_head, hang_up=hang_up, rest=rest)


async def _take(stream: Stream, rest: bytearray, size: int) -> bytes | None:
    while len(rest) < size:
        data = await stream.receive_some(_READ_SIZE)
        if not data:
            return None
        rest += data
    taken = bytes(memoryview(rest)[:size])
    del rest[:size]
    return taken


def _proof(key: bytes, side: bytes, worker: bytes, head: bytes) -> bytes:
    return hmac.digest(key, side + b"\0" + worker + head, hashlib.sha256)


def _tag(key: bytes, number: int, head: bytes, content: bytes) -> bytes:
    seal = hashlib.blake2b(number.to_bytes(8, "big"), digest_size=_TAG, key=key)
    seal.update(head)
    seal.update(content)
    return seal.digest()
