"""When a piece of a stream may pass: delay, jitter and bandwidth as pure arithmetic on instants."""

from __future__ import annotations

import random

from velro_gate.model.resilience.network import NetworkFault

_SLICE = 0.02
"""Seconds of a limited bandwidth that pass in one piece."""


class Shaper:
    """The release times of pieces while one fault lasts. Both directions have the same bandwidth, each for itself."""

    __slots__ = ("_delay", "_free", "_jitter", "_random", "_rate")

    def __init__(self, fault: NetworkFault, source: random.Random) -> None:
        self._delay, self._jitter, self._rate = fault.delay, fault.jitter, fault.bandwidth
        self._random = source
        self._free = {True: 0.0, False: 0.0}

    def piece(self, most: int) -> int:
        """How many bytes are read at once."""
        return most if self._rate is None else max(1, min(most, int(self._rate * _SLICE)))

    def most_waiting(self, most: int) -> int:
        """How many bytes of one connection and direction may wait: of a narrow link little more than what passes next."""
        return most if self._rate is None else min(most, 2 * self.piece(most))

    def release(self, now: float, size: int, to_service: bool) -> float:
        """When a piece of this size that has come now may pass. Only responses are delayed."""
        at = now
        if to_service and self._delay:
            at += self._delay + self._jitter * (2.0 * self._random.random() - 1.0)
        if self._rate is not None:
            # One link for all connections: a piece waits for those before it.
            at = max(at, self._free[to_service]) + size / self._rate
            self._free[to_service] = at
        return at
