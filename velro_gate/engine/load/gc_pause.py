"""Garbage collection kept out of the measured stretch: over ten thousand users' objects it would stop the process for longer
than the limits that are measured.
"""

from __future__ import annotations

import gc

import psutil

MOST_GROWTH = 256 * 2**20
"""Bytes by which the process may grow while collection is off; then one collection is made, which the health watch counts."""


class GcPause:
    """``enter`` after the ramp, ``guard`` now and then, ``leave`` at the end."""

    def __init__(self, most_growth: int = MOST_GROWTH) -> None:
        self._most_growth = most_growth
        self._process = psutil.Process()
        self._was_on = gc.isenabled()
        self._froze = False
        self._limit = 0
        self.entered = False

    def enter(self) -> None:
        """Collect once, set aside all that lives, and switch collection off."""
        gc.collect()
        # What somebody else has frozen stays frozen when this ends, and one freeze cannot be separated from another.
        self._froze = gc.get_freeze_count() == 0
        if self._froze:
            gc.freeze()
        gc.disable()
        self._limit = self._resident() + self._most_growth
        self.entered = True

    def guard(self) -> None:
        """Collect after all where memory has grown beyond the bound. About 20 µs."""
        if self.entered and self._resident() > self._limit:
            gc.collect()
            self._limit = self._resident() + self._most_growth

    def leave(self) -> None:
        """Put everything back as it was found."""
        if self.entered:
            if self._froze:
                gc.unfreeze()
            if self._was_on:
                gc.enable()
        self.entered = False

    def _resident(self) -> int:
        try:
            return int(self._process.memory_info().rss)
        except OSError:
            # Not one descriptor is free: that breaks the run by its own rule, and must not end it before it can be said.
            return 0
