"""What the monitor's readings are: their units, and which are cumulative counters. ``velro_gate.monitor`` lists them all."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Unit(Enum):
    """Of a reading's value, in base units."""

    BYTES = "bytes"
    SECONDS = "seconds"
    SHARE = "share"
    COUNT = "count"


_UNITS: Mapping[str, Unit] = {
    "cpu_share": Unit.SHARE,
    "steal_share": Unit.SHARE,
    "cpu_seconds": Unit.SECONDS,
    "cpu_throttled_seconds": Unit.SECONDS,
    "memory": Unit.BYTES,
    "memory_available": Unit.BYTES,
    "memory_limit": Unit.BYTES,
    "memory_used": Unit.BYTES,
    "network_received_total": Unit.BYTES,
    "network_sent_total": Unit.BYTES,
    "rss": Unit.BYTES,
}


def unit_of(name: str) -> Unit:
    """The unit of a reading, by its name; whatever is not declared is a count."""
    return _UNITS.get(name, Unit.COUNT)


def is_counter(name: str) -> bool:
    """Whether only differences of the reading mean anything."""
    return name.endswith(("_total", "_seconds"))
