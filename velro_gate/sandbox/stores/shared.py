"""The second cache layer, which several processes of a real backend would share: its interface, and a stand-in for Redis."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from velro_gate.sandbox.stores.memory import Memory


class Shared(Protocol):
    """What the backend asks of the shared layer; every method may raise one of ``faults``."""

    faults: tuple[type[Exception], ...]

    async def get(self, key: str) -> bytes | None:
        """The body, or None."""

    async def put(self, key: str, body: bytes) -> None:
        """Keep a body for the layer's lifetime."""

    async def fill(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Keep many bodies."""

    async def flush(self, prefix: str = "") -> None:
        """Forget everything that the sandbox has put there, or what lies under keys that begin so."""

    async def drop(self, key: str) -> None:
        """Forget one key."""

    async def ping(self) -> None:
        """Return when the layer answers."""

    async def close(self) -> None:
        """Give back what is held."""


class EmbeddedShared:
    """The stand-in: the same promises, inside this process."""

    faults: tuple[type[Exception], ...] = ()

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def get(self, key: str) -> bytes | None:
        """See Shared."""
        return self._memory.get(key)

    async def put(self, key: str, body: bytes) -> None:
        """See Shared."""
        self._memory.put(key, body)

    async def fill(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """See Shared."""
        for key, body in entries:
            self._memory.put(key, body)

    async def flush(self, prefix: str = "") -> None:
        """See Shared."""
        self._memory.flush(prefix)

    async def drop(self, key: str) -> None:
        """See Shared."""
        self._memory.drop(key)

    async def ping(self) -> None:
        """See Shared."""
        return

    async def close(self) -> None:
        """See Shared."""
        return
