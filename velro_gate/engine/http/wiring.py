"""What all connections of a phase share, and how many there are."""

from __future__ import annotations

from collections.abc import Callable

from velro_gate.engine.http.connect_queue import DIALS_AT_ONCE, Dials
from velro_gate.engine.http.parsing.headers import HeaderKinds
from velro_gate.engine.http.parsing.known_heads import KnownHeads
from velro_gate.engine.http.parsing.responses import Response
from velro_gate.engine.http.poller import Poller
from velro_gate.engine.http.routes import Route

MOST_ANSWER = 64 * 2**20
"""Bytes of one answer; a longer one is a fault of the service."""

HANDSHAKES_A_TURN = 4
"""TLS handshakes that go on in one turn of the loop: each checks a certificate, a millisecond in which no response is read."""


class Wire:
    """What all connections of a phase share, and how many there are.

    Args:
        now: the clock, in seconds.
        kinds: the headers that are looked at.
        most_answer: bytes of the longest response that is read.
        dials_at_once: bound on connections in the making.
    """

    def __init__(
        self,
        route: Route,
        poller: Poller,
        now: Callable[[], float],
        kinds: HeaderKinds,
        *,
        most_answer: int = MOST_ANSWER,
        dials_at_once: int = DIALS_AT_ONCE,
    ) -> None:
        self.route = route
        self.secure = route.tls is not None
        self.poller = poller
        self.now = now
        self.dials = Dials(dials_at_once)
        # Responses with their parsers, clean and without an owner: making one costs more than parsing a usual answer.
        self.spare: list[Response] = []
        self.heads = KnownHeads()
        self.established = 0
        self.opened = 0
        self.sessions_reused = 0
        # The first fault of TLS, in words: thousands of connections that fail alike have one reason to report.
        self.tls_fault: str | None = None
        # Error numbers of what this machine had no more of (descriptors, ports): between two looks of the health watch it may
        # be over.
        self.lacking: set[int] = set()
        self._kinds = kinds
        self._most_answer = most_answer
        self._handshakes_at, self._handshakes = 0.0, 0

    def may_shake_hands(self) -> bool:
        """Whether one more handshake may go on in this turn; the one that may not is ready in the next turn still."""
        if self.poller.at != self._handshakes_at:
            self._handshakes_at, self._handshakes = self.poller.at, 0
        self._handshakes += 1
        return self._handshakes <= HANDSHAKES_A_TURN

    def new_answer(self) -> Response:
        """A response to parse into; clean ones come back to ``spare``."""
        return Response(self._kinds, self._most_answer)
