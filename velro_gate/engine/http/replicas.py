"""Several replicas of a service: which connection goes to which, and which of them are well.

- A connection has a home, by its number. While its home is away it goes to one of the others, by its number again, so that a
  lost replica's users are spread over all that are left; when its home is back it returns.
- A replica is away after two checks in a row without a 2xx, and back with the first one. A check is a request to the health
  path over a connection of its own.
- A connection is moved while it is idle: nobody's request is cut off.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence

import trio

CHECK_EVERY = 0.5
"""Seconds between two checks of a replica."""
CHECK_SECONDS = 1.0
"""How long a replica may take to answer a check."""
AWAY_AFTER = 2
"""Failed checks in a row."""
_STATUS_LINE = 64
"""Bytes that are read of an answer: its status line; the rest says nothing that a check needs."""


class Replicas:
    """Which replica each connection goes to. health: the request of a check, by replica."""

    def __init__(self, health: Sequence[bytes]) -> None:
        self.health = tuple(health)
        self._failed = [0] * len(health)
        self._well = list(range(len(health)))

    @property
    def well(self) -> tuple[int, ...]:
        """Those that are not away; all of them where none is left."""
        return tuple(self._well)

    def of(self, turn: int) -> int:
        """Where the connection of this number goes at present."""
        home = turn % len(self.health)
        if home in self._well:
            return home
        # Not by the same remainder: all of a lost replica's users would meet at one other.
        return self._well[turn // len(self.health) % len(self._well)]

    def checked(self, replica: int, *, well: bool) -> bool:
        """Take note of a check; whether it changes where connections go."""
        before = list(self._well)
        self._failed[replica] = 0 if well else self._failed[replica] + 1
        left = [each for each, failed in enumerate(self._failed) if failed < AWAY_AFTER]
        self._well = left or list(range(len(self.health)))
        return self._well != before


async def keep_checking(
    replicas: Replicas,
    addresses: Callable[[], Sequence[tuple[str, int]]],
    tls: ssl.SSLContext | None,
    server_name: str,
    moved: Callable[[], None],
) -> None:
    """Check every replica again and again. moved: called after each round, to move connections that are idle.

    addresses: gives those of the replicas at present, in their order.
    """

    async def check(replica: int) -> None:
        """One replica: those that answer slowly must not delay the look at the others."""
        replicas.checked(replica, well=await _is_well(addresses()[replica], replicas.health[replica], tls, server_name))

    while True:
        async with trio.open_nursery() as nursery:
            for replica in range(len(replicas.health)):
                nursery.start_soon(check, replica)
        moved()
        await trio.sleep(CHECK_EVERY)


async def _is_well(address: tuple[str, int], request: bytes, tls: ssl.SSLContext | None, server_name: str) -> bool:
    try:
        with trio.fail_after(CHECK_SECONDS):
            stream: trio.abc.Stream = await trio.open_tcp_stream(*address)
            if tls is not None:
                # https_compatible: most servers close without close_notify, which is no failed check.
                stream = trio.SSLStream(stream, tls, server_hostname=server_name, https_compatible=True)
            async with stream:
                await stream.send_all(request)
                head = b""
                while len(head) < _STATUS_LINE and b"\r\n" not in head:
                    some = await stream.receive_some(_STATUS_LINE)
                    if not some:
                        return False
                    head += some
    except (OSError, trio.TooSlowError, trio.BrokenResourceError):
        return False
    return head.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2"))
