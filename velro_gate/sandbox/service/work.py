"""Simulated work: how long each step takes, drawn from seeded distributions, so that latencies are realistic and stable.

Each step has a lognormal service time: median below, sigma .18, so that p95 is 1.34 medians. An experiment may multiply it by
a factor or replace it by another distribution. Every step draws from its own stream: slowing one leaves the others as they are.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal

from velro_gate.sandbox.settings import (
    AUTHENTICATION,
    AUTHORIZATION,
    GENERATION_CREATE,
    GENERATION_LIST,
    LOGIN,
    MEDIA,
    MODEL,
)

SIGMA = 0.18
"""Standard deviation of the logarithm of a step's time (log-normal)."""
MEDIANS: Mapping[str, float] = {
    AUTHENTICATION: 0.006,
    AUTHORIZATION: 0.009,
    GENERATION_LIST: 0.010,
    MODEL: 0.007,
    GENERATION_CREATE: 0.006,
    MEDIA: 0.008,
    LOGIN: 0.010,
}
QUERY = "query"
QUERY_MEDIAN = 0.0025
"""Seconds of one simulated query of the embedded database; a real one takes its own time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lognormal:
    """Lognormal by median (seconds) and sigma of the logarithm; sigma 0 is a constant."""

    median: float
    sigma: float = SIGMA

    def draw(self, random: Random) -> float:
        """One service time in seconds."""
        return self.median * math.exp(self.sigma * random.gauss(0.0, 1.0)) if self.sigma else self.median


@dataclass(frozen=True, slots=True, kw_only=True)
class Bimodal:
    """Either of two service times in seconds; ``share`` of the draws are the slow one."""

    fast: float
    slow: float
    share: float

    def draw(self, random: Random) -> float:
        """One service time in seconds."""
        return self.slow if random.random() < self.share else self.fast


Distribution = Lognormal | Bimodal
DelayKind = Literal["constant", "lognormal", "bimodal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slowdown:
    """What an experiment does to a step: multiplies its time by ``factor``, after ``instead`` has replaced it, if given; and
    keeps the CPU busy for ``busy`` seconds, in which nothing else is served.
    """

    factor: float = 1.0
    instead: Distribution | None = None
    busy: float = 0.0


class Workers:
    """A fixed number of steps are worked on at a time; the others wait in their order. Each learns how long it will take.

    The queue is computed and not waited in, so its capacity is exactly workers / service time, however late the loop is.
    """

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = [0.0] * count
        self._clock = clock

    def take(self, seconds: float) -> float:
        """Seconds from now until this work is done."""
        now = self._clock()
        done = max(now, self._free[0]) + seconds
        heapq.heapreplace(self._free, done)
        return done - now


class Work:
    """Draws and spends the simulated time.

    Args:
        on: whether there is any.
        workers: None: any number of steps at a time.
    """

    def __init__(
        self,
        *,
        seed: int,
        on: bool,
        slow: Mapping[str, float],
        workers: Workers | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.on = on
        self._workers = workers
        self._start = {step: Slowdown(factor=factor) for step, factor in slow.items()}
        self._sleep = sleep
        usual = {**{step: Lognormal(median=median) for step, median in MEDIANS.items()}, QUERY: Lognormal(median=QUERY_MEDIAN)}
        self._usual: dict[str, Distribution] = dict(usual)
        self._streams = {step: Random(f"{seed}/{step}") for step in usual}
        self.slowdowns = dict(self._start)

    def slow(self, step: str, slowdown: Slowdown) -> None:
        """Let an experiment change one step, until reset."""
        self.slowdowns[step] = slowdown

    def reset(self) -> None:
        """Back to how the sandbox was started."""
        self.slowdowns = dict(self._start)

    def draw(self, step: str) -> float:
        """Seconds that the next request of this step takes.

        Without simulated work only a replaced distribution takes time, so that delays can be injected into a bare service.
        """
        slowdown = self.slowdowns.get(step)
        instead = None if slowdown is None else slowdown.instead
        if instead is None and not self.on:
            return 0.0
        seconds = (instead or self._usual[step]).draw(self._streams[step])
        return seconds if slowdown is None else seconds * slowdown.factor

    async def spend(self, step: str) -> None:
        """Take the time that this step takes."""
        slowdown = self.slowdowns.get(step)
        if slowdown is not None and slowdown.busy:
            until = time.perf_counter() + slowdown.busy
            while time.perf_counter() < until:
                pass
        seconds = self.draw(step)
        if seconds > 0.0:
            # Queries have a queue of their own: the pool of connections.
            workers = None if step == QUERY else self._workers
            await self._sleep(seconds if workers is None else workers.take(seconds))
