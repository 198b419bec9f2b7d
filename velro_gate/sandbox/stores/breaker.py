"""A circuit breaker: after failures in a row it stops asking, later lets one request try, and closes when that goes well.

closed -> open after ``failures`` failures in a row; open -> half-open once ``recovery`` seconds have passed; half-open lets
one trial through at a time: success closes, failure opens again. Time is an argument, so that every path can be tested.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class BreakerState(Enum):
    """The three states; the value is what /metrics shows."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """The breaker of one dependency (Nygard 2007, Release It!).

    Attributes:
        opened: how often it has opened so far.
        never_opens: stay closed whatever happens, as in a service that is wrong on purpose.
    """

    def __init__(self, *, failures: int, recovery: float, clock: Callable[[], float]) -> None:
        self._limit = failures
        self._recovery = recovery
        self._clock = clock
        self._failures = 0
        self._open_until: float | None = None
        self._trying = False
        self.opened = 0
        self.never_opens = False

    @property
    def state(self) -> BreakerState:
        """The state at this moment."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._clock() < self._open_until else BreakerState.HALF_OPEN

    @property
    def retry_after(self) -> float:
        """Seconds until the next trial; 0 when the dependency may be asked now."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    def admits(self) -> bool:
        """Whether a request may be sent now; who gets True has to report succeeded, failed or abandoned."""
        match self.state:
            case BreakerState.CLOSED:
                return True
            case BreakerState.OPEN:
                return False
            case BreakerState.HALF_OPEN:
                if self._trying:
                    return False
                self._trying = True
                return True

    def succeeded(self) -> None:
        """The dependency answered."""
        self._failures = 0
        self._open_until = None
        self._trying = False

    def failed(self) -> None:
        """The dependency did not answer."""
        self._failures += 1
        if not self.never_opens and (self._trying or self._failures >= self._limit):
            # Requests already under way when it opened must not push the trial further away each.
            if self.state is not BreakerState.OPEN:
                self.opened += 1
                self._open_until = self._clock() + self._recovery
            self._trying = False

    def abandoned(self) -> None:
        """The request was given up before there was a response: nothing is known, another may try."""
        self._trying = False
