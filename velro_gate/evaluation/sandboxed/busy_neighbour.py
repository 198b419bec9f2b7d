"""A neighbour on one core: busy for random stretches of time, a third of it in all, idle in between.

Started as a file, with nothing but the standard library; it ends when its standard input does.

Usage: busy_neighbour.py CORE SEED
"""

from __future__ import annotations

import os
import random
import select
import sys
import time

BUSY = (1.0, 5.0)
"""Seconds of a busy stretch, drawn evenly; an idle one lasts twice as long on average."""
_LOOK_EVERY = 0.05
"""Seconds between two looks at whether to end."""


def main(core: int, seed: int) -> None:
    """Be busy and idle in turn until the standard input ends."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    draws = random.Random(seed)
    while True:
        until = time.monotonic() + draws.uniform(*BUSY)
        while time.monotonic() < until:
            if _ended(0.0):
                return
            look = time.monotonic() + _LOOK_EVERY
            while time.monotonic() < look:
                pass
        if _ended(2.0 * draws.uniform(*BUSY)):
            return


def _ended(seconds: float) -> bool:
    """Whether the process that started this has ended, or wants this one to end; waits for at most that long."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
