"""The generator watches itself, because otherwise its own delay would be counted as service latency.

Everything here runs inside the loop that sends the load. So: two calls of well under a microsecond a loop turn, a handful of
system calls every few seconds, and nothing that grows.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from math import frexp, inf
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import psutil
import trio

from velro_gate.engine.machine.control_group import CGROUP, PROC, ControlGroups
from velro_gate.engine.machine.limits import count_connections, open_descriptors, port_count
from velro_gate.engine.stalls import SHORTEST, StallLog
from velro_gate.model.run import GeneratorHealth

_PER_OCTAVE = 8
"""Buckets for each doubling: the upper bound of a bucket is at most 1/8 above any value in it."""
_OCTAVES = 64  # half of them below a second, down to 0.1 ns
_TIGHT_PORTS = 0.25
"""Share of free ports under which the exact count is worth its price: reading /proc/net/tcp takes milliseconds for each ten
thousand sockets.
"""


class Durations:
    """A histogram of logarithmic buckets, eight to each doubling: a quantile is right within an eighth, in constant memory."""

    # Slots and no call that could be avoided: adding is part of the hottest loop of the whole program.
    __slots__ = ("_counts", "most")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        # Indices of times under half a second are negative and so wrap to the list's second half: no offset to add each time.
        self._counts = [0] * (_OCTAVES * _PER_OCTAVE)
        self.most = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration; 0 counts as a nanosecond, since a coarse clock can stand still and 0 has no logarithm."""
        fraction, exponent = frexp(seconds or 1e-9)
        self._counts[exponent * 8 + int(fraction * 16.0)] += 1
        if seconds > self.most:  # noqa: PLR1730 (a call of max would cost more than the rest of this method)
            self.most = seconds

    def __len__(self) -> int:
        return sum(self._counts)

    def quantile(self, rank: float) -> float:
        """The upper bound in seconds of the bucket that holds this rank in (0, 1], at most the longest; 0 without any."""
        half = len(self._counts) // 2
        rest = rank * len(self)
        # Negative indices, the times under half a second, come first: Python counts them from the end of the list.
        for index in range(-half, half):
            count = self._counts[index]
            rest -= count
            if count and rest <= 0.0:
                return min(_upper_bound(index), self.most)
        return self.most


class LoopLag(trio.abc.Instrument):
    """How long the loop stayed busy between two returns to I/O: the time that a ready answer could have had to wait.

    Args:
        stalls: where long turns are written down, and waits that went on for long after they should have ended.
        now: the clock of those. clock: what turns and waits are measured by.
    """

    __slots__ = ("_add", "_clock", "_now", "_since", "_stalls", "_until", "turns")

    def __init__(
        self,
        stalls: StallLog | None = None,
        now: Callable[[], float] = perf_counter,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.turns = Durations()
        self._add = self.turns.add
        self._stalls = StallLog() if stalls is None else stalls
        self._now, self._clock = now, clock
        self._since = clock()
        self._until = inf

    def restart(self) -> None:
        """Forget what was measured, the turn under way included."""
        self.turns.clear()
        self._since = self._clock()

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002
        """A turn begins."""
        self._since = since = self._clock()
        if since - self._until > SHORTEST:
            self._stood_still(since - self._until)

    def before_io_wait(self, timeout: float) -> None:
        """A turn ends."""
        now = self._clock()
        took = now - self._since
        self._add(took)
        self._until = now + timeout
        if took > SHORTEST:
            self._stood_still(took)

    def _stood_still(self, seconds: float) -> None:
        end = self._now()
        self._stalls.add(end - seconds, end)


def _upper_bound(index: int) -> float:
    # index = 8 e + floor(16 f) with f in [1/2, 1), so floor(16 f) is 8 to 15: undo that.
    exponent, sixteenths = divmod(index - _PER_OCTAVE, _PER_OCTAVE)
    return float((sixteenths + _PER_OCTAVE + 1) / 16.0 * 2.0**exponent)


class _Collections:
    """Counts garbage collections; registered with the interpreter only between begin and finish."""

    def __init__(self) -> None:
        self.full = 0
        self.longest = 0.0
        self._since = 0.0

    def __call__(self, stage: Literal["start", "stop"], info: dict[str, Any]) -> None:
        if stage == "start":
            self._since = perf_counter()
            return
        self.longest = max(self.longest, perf_counter() - self._since)
        if info["generation"] == 2:
            self.full += 1


class HealthWatch:
    """Measures this process over one stretch: ``begin``, now and then ``sample``, ``finish``.

    Args:
        target_addresses: the (IP address, port) pairs that the load goes to, for the count of free local ports.
        shards: how many processes send the same load from this machine: they share its ports.
        sources: how many addresses the load comes from; each has all the ports.
        proc, cgroup: where the kernel's files are.
        lag: how the loop is watched.
    """

    def __init__(
        self,
        *,
        target_addresses: Sequence[tuple[str, int]] = (),
        shards: int = 1,
        sources: int = 1,
        proc: Path = PROC,
        cgroup: Path = CGROUP,
        lag: LoopLag | None = None,
    ) -> None:
        self._targets = tuple(dict.fromkeys(target_addresses))
        self._shards = shards
        self._sources = sources
        self._proc = proc
        self._groups = ControlGroups(proc=proc, cgroup=cgroup)
        self._lag = lag or LoopLag()
        self._process = psutil.Process()
        # What is open before the load begins is not a connection: the difference bounds the connections without reading a
        # table.
        self._descriptors_idle = open_descriptors(exact=True, proc=proc) or 0
        self._collections: _Collections | None = None
        self._reset()

    def instrument(self) -> trio.abc.Instrument:
        """What to hand to ``trio.run(instruments=[...])`` or ``trio.lowlevel.add_instrument``; one for the watch's life."""
        return self._lag

    def begin(self) -> None:
        """Start the measured stretch; a stretch that was begun and not finished is forgotten."""
        self._detach()
        self._reset()
        self._collections = _Collections()
        gc.callbacks.append(self._collections)
        self._read(exact=True)
        self._rss_start = self._rss_peak
        self._lag.restart()
        self._throttled = self._groups.throttled_seconds()
        self._began, self._cpu, self._jiffies = perf_counter(), _cpu_seconds(), _steal_and_total(self._proc)

    @property
    def begun(self) -> bool:
        """Whether a stretch was begun and not finished."""
        return self._collections is not None

    def sample(self) -> None:
        """Read what can only be seen at a moment: memory, descriptors, ports. For every few seconds; about 150 µs."""
        self._read(exact=False)

    def finish(self) -> GeneratorHealth:
        """End the stretch and say what it was like.

        Raises:
            RuntimeError: ``begin`` was not called.
        """
        if self._collections is None:
            raise RuntimeError("finish() without begin()")
        elapsed, cpu = perf_counter() - self._began, _cpu_seconds() - self._cpu
        lag_p99, lag_max = self._lag.turns.quantile(0.99), self._lag.turns.most
        collections = self._collections
        self._detach()
        self._read(exact=True)
        return GeneratorHealth(
            cpu_share=max(cpu, 0.0) / elapsed if elapsed > 0.0 else 0.0,
            steal_share=_steal_share(self._jiffies, _steal_and_total(self._proc)),
            loop_lag_p99=lag_p99,
            loop_lag_max=lag_max,
            gc_full_collections=collections.full,
            gc_pause_max=collections.longest,
            rss_start=self._rss_start,
            rss_peak=self._rss_peak,
            descriptors_free=self._descriptors_free,
            ports_free=self._ports_free,
            memory_free=self._memory_free,
            throttled_share=_throttled_share(self._throttled, self._groups.throttled_seconds(), elapsed),
        )

    def abandon(self) -> None:
        """Forget a stretch that was begun and will not be finished; harmless otherwise."""
        self._detach()

    def _reset(self) -> None:
        self._rss_start = self._rss_peak = 0
        self._descriptors_free: int | None = None
        self._ports_free: int | None = None
        self._memory_free: int | None = None

    def _detach(self) -> None:
        if self._collections is not None:
            gc.callbacks.remove(self._collections)
            self._collections = None

    def _read(self, *, exact: bool) -> None:
        # Where not one descriptor is free, the kernel's files cannot be read. The run has to go on to say so.
        with contextlib.suppress(OSError):
            self._rss_peak = max(self._rss_peak, int(self._process.memory_info().rss))
            self._memory_free = _least(self._memory_free, self._groups.memory_left(int(psutil.virtual_memory().available)))
        opened = open_descriptors(exact=exact, proc=self._proc)
        if opened is None:
            return
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if 0 <= soft < 2**31:
            self._descriptors_free = _least(self._descriptors_free, soft - opened)
        self._ports_free = _least(self._ports_free, self._free_ports(opened - self._descriptors_idle))

    def _free_ports(self, connections: int) -> int | None:
        """Local ports left toward the busiest target.

        The connections of all shards (each has as many as ours, but for one user) and every TIME_WAIT socket of the machine, as
        if all went to one target, are an upper bound of the ports taken that costs one small file. Only where it comes near the
        limit is the kernel's whole table read.
        """
        ports = port_count(self._proc)
        if ports is None or not self._targets:
            return None
        ports *= self._sources
        free = ports - connections * self._shards - _time_wait(self._proc)
        if free >= _TIGHT_PORTS * ports:
            return free
        counted = [count_connections([target], self._proc) for target in self._targets]
        return min((ports - count for count in counted if count is not None), default=free)


def out_of(codes: Set[int], health: GeneratorHealth) -> GeneratorHealth:
    """The same, none free of what connecting failed for want of: between two looks, or where others of this machine took it."""
    if codes & {errno.EMFILE, errno.ENFILE}:
        health = replace(health, descriptors_free=0)
    return replace(health, ports_free=0) if errno.EADDRNOTAVAIL in codes else health


def _least(so_far: int | None, now: int | None) -> int | None:
    return so_far if now is None else now if so_far is None else min(so_far, now)


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _time_wait(proc: Path) -> int:
    try:
        words = (proc / "net/sockstat").read_text(encoding="ascii").split()
        return int(words[words.index("tw") + 1])
    except (OSError, ValueError):
        return 0


def _steal_and_total(proc: Path) -> tuple[int, int] | None:
    """Jiffies stolen by the hypervisor and all jiffies since boot: columns 8 and 1 to 8 of the first line of /proc/stat."""
    try:
        with (proc / "stat").open("rb") as file:
            jiffies = [int(word) for word in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    return (jiffies[7], sum(jiffies)) if len(jiffies) == 8 else None


def _steal_share(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    if before is None or after is None:
        return None
    elapsed = after[1] - before[1]
    return min(max(after[0] - before[0], 0) / elapsed, 1.0) if elapsed > 0 else 0.0


def _throttled_share(before: float | None, after: float | None, elapsed: float) -> float | None:
    if before is None or after is None:
        return None
    # The kernel adds up what it held back on each core, so with several of them it can be more than the time that passed.
    return min(max(after - before, 0.0) / elapsed, 1.0) if elapsed > 0.0 else 0.0
