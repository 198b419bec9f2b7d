"""How far another machine's clock is from ours, from pings. Pure.

A ping says when it left here, what the other clock showed, and when the answer came. The other clock was read somewhere
between, so its offset is known to half of the round trip; of many pings the fastest one counts (as in NTP).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

RECENT = 40
"""Pings among which the fastest one gives the present offset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """The other clock minus ours. Seconds."""

    seconds: float
    uncertainty: float
    """By how much that may be wrong, either way."""


def offset_of(sent: float, theirs: float, received: float) -> Offset:
    """What one ping says."""
    return Offset(seconds=theirs - (sent + received) / 2.0, uncertainty=(received - sent) / 2.0)


class ClockWatch:
    """The offset of one clock: as it was settled before the load, and how it moves since."""

    def __init__(self) -> None:
        self._recent: deque[Offset] = deque(maxlen=RECENT)
        self._settled: Offset | None = None
        self._drift = 0.0

    def add(self, sent: float, theirs: float, received: float) -> None:
        """One more ping."""
        self._recent.append(offset_of(sent, theirs, received))
        if self._settled is not None and len(self._recent) == RECENT:
            now = self.now
            moved = abs(now.seconds - self._settled.seconds) - now.uncertainty - self._settled.uncertainty
            self._drift = max(self._drift, moved)

    @property
    def pings(self) -> int:
        """How many of the last ``RECENT`` there are."""
        return len(self._recent)

    def round_trip(self, pings: int) -> float:
        """Seconds of the fastest of the last pings, of which there is one at least; of this many of them."""
        return 2.0 * min(each.uncertainty for each in islice(reversed(self._recent), pings))

    @property
    def now(self) -> Offset:
        """By the fastest of the last pings, of which there is one at least."""
        return min(self._recent, key=lambda each: each.uncertainty)

    def settle(self) -> Offset:
        """From here on this offset is used."""
        self._settled = self.now
        return self._settled

    @property
    def drift(self) -> float:
        """By how much the clock has moved since, at the most, beyond what the pings leave open. Seconds."""
        return max(self._drift, 0.0)

    def late(self, started: float, begin: float) -> Offset:
        """How much later than ``begin`` the phase began there, which says ``started`` by the settled offset."""
        assert self._settled is not None
        now = self.now
        return Offset(seconds=started + (self._settled.seconds - now.seconds) - begin, uncertainty=now.uncertainty)


def wall_offset(readings: Iterable[Offset]) -> Offset:
    """The offset of the other machine's time of day, by the fastest ping."""
    return min(readings, key=lambda each: each.uncertainty)
