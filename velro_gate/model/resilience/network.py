"""What a fault proxy does to the connections between the service and one of its dependencies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Outage(StrEnum):
    """How a connection is broken."""

    REFUSE = "refuse"
    """New connections are refused, those that stand are reset."""
    RESET = "reset"
    """New ones are accepted and reset at once, those that stand as well."""
    BLACK_HOLE = "black_hole"
    """Nothing passes in either direction; what was sent meanwhile arrives afterwards."""
    HALF_OPEN = "half_open"
    """The dependency's end is closed and the service's end stays silent; it is reset at the first byte that is sent after the
    fault.
    """


class WireProtocol(StrEnum):
    """What is spoken through a proxy, as far as requests are counted in it."""

    TCP = "tcp"
    REDIS = "redis"
    POSTGRES = "postgres"
    HTTP = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFault:
    """One fault of a proxy. Without an outage the connections work, slower or shorter than they should. Invariant: it does
    something.
    """

    outage: Outage | None = None
    delay: float = 0.0
    """Seconds that are added to each piece of a response, in the order in which the pieces came."""
    jitter: float = 0.0
    """Seconds by which that delay differs at most, to either side."""
    bandwidth: float | None = None
    """Bytes per second in each direction, shared by all connections."""
    cut_after: int | None = None
    """Bytes of responses after which a connection is reset, counted from the beginning of the fault or of the connection."""

    def __post_init__(self) -> None:
        if not (0.0 <= self.jitter <= self.delay < math.inf):
            raise ValueError(f"0 <= jitter <= delay must hold, not {self.jitter} and {self.delay}")
        if self.bandwidth is not None and not 0.0 < self.bandwidth < math.inf:
            raise ValueError(f"bandwidth must be positive, not {self.bandwidth}")
        if self.cut_after is not None and self.cut_after < 0:
            raise ValueError(f"a connection cannot be cut after {self.cut_after} bytes")
        shaped = self.delay > 0.0 or self.bandwidth is not None or self.cut_after is not None
        if self.outage is None and not shaped:
            raise ValueError("a network fault has to do something")
        if self.outage is not None and shaped:
            raise ValueError(f"{self.outage.value} leaves nothing to delay, limit or cut")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyCounts:
    """What has passed through a proxy since it was started."""

    accepted: int
    """Connections of the service."""
    failed: int
    """Those for which the dependency could not be reached."""
    sent: int
    """Bytes to the dependency."""
    received: int
    """Bytes from it."""
    requests: int | None
    """Commands or messages that ask for something; None where the protocol has none that are known."""
