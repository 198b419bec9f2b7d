"""What a connection is doing, and what it reports to its owner."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from velro_gate.engine.http.parsing.responses import Response
from velro_gate.model.samples import Outcome


class ConnectionState(IntEnum):
    """What a connection is doing."""

    CLOSED = 0
    WAITING = 1  # for its turn to be dialled
    DIALLING = 2
    HANDSHAKE = 3
    IDLE = 4
    SENDING = 5
    RECEIVING = 6


class Owner(Protocol):
    """Who uses a connection."""

    def opened(self, seconds: float) -> None:
        """The connection is open, after this many seconds from its turn on, TLS included."""

    def answered(self, answer: Response, at: float) -> None:
        """The response is whole. It may be read until this returns."""

    def broken(self, outcome: Outcome | None, at: float, *, early: bool) -> None:
        """The connection failed; None: this machine had no descriptor, port or memory left for it."""

    def hung_up(self) -> None:
        """The service has closed the idle connection."""
