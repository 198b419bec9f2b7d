"""What the run and the process that carries out faults say to each other: one JSON text a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import trio

from velro_gate.model.resilience.network import NetworkFault, Outage

MOST_LINE = 1 << 20
"""Bytes; a longer line is no message of ours."""


class LinesFrom:
    """Reads messages from a stream."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._held = b""

    async def next(self) -> dict[str, Any] | None:
        """The next message; None when the other side has ended."""
        while b"\n" not in self._held and len(self._held) <= MOST_LINE:
            some = await self._stream.receive_some()
            if not some:
                return None
            self._held += some
        line, _, self._held = self._held.partition(b"\n")
        return message_of(line)


def message_of(line: bytes) -> dict[str, Any]:
    """What a line says."""
    found: dict[str, Any] = json.loads(line)
    return found


def message_line(message: Mapping[str, Any]) -> bytes:
    """A message as a line."""
    return json.dumps(message).encode() + b"\n"


def packed_fault(fault: NetworkFault | None) -> dict[str, Any] | None:
    """A fault of a proxy as plain values."""
    return None if fault is None else asdict(fault)


def unpacked_fault(packed: Mapping[str, Any] | None) -> NetworkFault | None:
    """What ``packed_fault`` made plain."""
    if packed is None:
        return None
    outage = packed["outage"]
    return NetworkFault(**{**packed, "outage": None if outage is None else Outage(outage)})
