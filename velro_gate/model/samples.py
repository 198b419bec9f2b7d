"""Samples as columns: one row a request, one numpy array a field, never an object a request.

All times are seconds on one monotonic clock whose zero is the start of the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Self

import numpy as np
import numpy.typing as npt


class Outcome(IntEnum):
    """How a request ended."""

    OK = 0
    STATUS = 1  # answered with a status that the step does not expect
    CHECK = 2  # answered, but a check on the body failed
    TIMEOUT = 3
    REFUSED = 4
    RESET = 5  # the peer closed or reset the connection before the response was whole
    TLS = 6
    DNS = 7
    PROTOCOL = 8  # the response is not HTTP, cannot be decompressed, or is larger than allowed
    CANCELLED = 9  # we gave up on it because the run ended
    CAPTURE = 10  # answered, but a value that a later step needs is not in it
    CERTIFICATE = 11  # one side does not accept the other's certificate

    @property
    def delivered(self) -> bool:
        """Whether the request can have reached the service at all (a connection stood)."""
        return self not in (Outcome.REFUSED, Outcome.TLS, Outcome.DNS, Outcome.CERTIFICATE)


NO_CACHE_HEADER = 0
"""Cache code of a response that says nothing about caches; it counts as no look-up."""
CACHE_MISS = 1
"""Cache code of a response that no layer had."""
FIRST_CACHE_LAYER = 2
"""Cache codes: 0 no header seen, 1 a miss, 2 + i a hit in ``layers[i]``."""

COLUMNS: dict[str, Any] = {
    "due": np.float64,
    "sent": np.float64,
    "done": np.float64,
    "queued": np.float32,  # seconds the arrival waited for its own user's earlier request: caused by the service, not by us
    "connect": np.float32,  # seconds to connect, TLS included; NaN where the connection already stood
    "first_byte": np.float32,  # seconds from sent to the first byte of the response; NaN without a response
    "step": np.uint16,
    "user": np.uint32,
    "status": np.uint16,  # 0 without a response
    "outcome": np.uint8,
    "cache": np.uint8,
    "received": np.uint32,  # bytes of the response, headers included
}
"""Column name -> numpy dtype, in the order of the fields of Samples."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """Equal-length columns, a row for each request that was sent (or tried).

    lateness, the generator's own delay, is ``sent - due - queued``; response time is ``done - due``; service time is
    ``done - sent``. Invariant: due <= sent <= done.
    """

    due: npt.NDArray[np.float64]
    sent: npt.NDArray[np.float64]
    done: npt.NDArray[np.float64]
    queued: npt.NDArray[np.float32]
    connect: npt.NDArray[np.float32]
    first_byte: npt.NDArray[np.float32]
    step: npt.NDArray[np.uint16]
    user: npt.NDArray[np.uint32]
    status: npt.NDArray[np.uint16]
    outcome: npt.NDArray[np.uint8]
    cache: npt.NDArray[np.uint8]
    received: npt.NDArray[np.uint32]

    def __post_init__(self) -> None:
        if len({len(getattr(self, f.name)) for f in fields(self)}) != 1:
            raise ValueError("all columns of Samples must have one length")
        if len(self) and (bool((self.sent < self.due).any()) or bool((self.done < self.sent).any())):
            raise ValueError("a sample must satisfy due <= sent <= done")

    def __len__(self) -> int:
        return len(self.due)

    @classmethod
    def empty(cls) -> Self:
        """No samples."""
        return cls(**{name: np.empty(0, dtype) for name, dtype in COLUMNS.items()})

    @classmethod
    def concatenate(cls, parts: Iterable[Samples]) -> Self:
        """All rows of all parts, in their order."""
        rows = list(parts)
        if not rows:
            return cls.empty()
        return cls(**{name: np.concatenate([getattr(part, name) for part in rows]) for name in COLUMNS})

    def where(self, mask: npt.NDArray[np.bool_]) -> Samples:
        """The rows for which ``mask`` holds."""
        return Samples(**{name: getattr(self, name)[mask] for name in COLUMNS})

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """Which rows succeeded."""
        good: npt.NDArray[np.bool_] = self.outcome == Outcome.OK
        return good

    @property
    def response_time(self) -> npt.NDArray[np.float64]:
        """Seconds from due to done: what a user would feel."""
        return self.done - self.due

    @property
    def service_time(self) -> npt.NDArray[np.float64]:
        """Seconds from sent to done."""
        return self.done - self.sent

    @property
    def lateness(self) -> npt.NDArray[np.float64]:
        """Seconds of the generator's own delay; never negative."""
        late: npt.NDArray[np.float64] = np.maximum(self.sent - self.due - self.queued, 0.0)
        return late
