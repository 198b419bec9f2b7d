"""Time and chance as arguments, so that waiting can be tested without waiting."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time, waiting and chance, as arguments."""

    now: Callable[[], float] = time.time
    """Seconds since 1970, as GitHub counts."""
    elapsed: Callable[[], float] = time.monotonic
    """Seconds that never jump."""
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    """Uniform in [0, 1)."""
