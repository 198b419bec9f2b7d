"""One load sent by several processes at once: start them, keep them in step, put together what they hand on.

Rules. Each shard is an interpreter of its own, started fresh and never forked, that carries out its users' part of one plan.
A phase begins in all shards at one instant, when each of them is ready for it, so never before all have ended the one before.
It ends where the first of them ends. What the shards send is taken in one loop, message by message, in the order it comes.

A shard that ends before its time is lost. The others end at once, and everything is kept. The samples that the lost one had
handed on stay; of an open plan it is known what else was due of it, and that is missed. So the counts balance, and the verdict
is broken for the shard and not for the service.

Journeys written in Python are made in a process of their own even where one is enough: their code may end it, or never end.

The processes get no signal of a terminal or of a group: they end when their link does, also when this process dies.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from time import perf_counter

import trio

from velro_gate.engine.journeys.api import WALK
from velro_gate.engine.run import Load, not_begun, run_load
from velro_gate.engine.shards.lost import Received, with_lost
from velro_gate.engine.shards.merge import LayerNames, merged_progress, merged_run
from velro_gate.engine.shards.messages import (
    Alive,
    Begin,
    Failed,
    Finished,
    Link,
    LoadEnded,
    Ready,
    SampleChunk,
    Seen,
    ShardOrder,
    Stop,
    Until,
)
from velro_gate.errors import VelroError
from velro_gate.hardening import bare
from velro_gate.leftovers import orphans_ended
from velro_gate.model.run import LoadResult, PhaseRun, Progress, Shard
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Phase

LEAD, LEAD_PER_USER = 0.2, 20e-6
"""Seconds from announcing a phase's start to the shards until the start itself: in them each shard creates its users."""

LOOK_EVERY = 1.0
SILENT_AFTER, START_SECONDS = 10, 60
"""Looks in a row at which a shard has said nothing, after which it is taken for lost: while it runs, and before its first word.
Counted in looks and not in seconds, because this process may have been stopped itself.
"""

_GONE_GRACE = 2
"""Looks after a shard has met a service that is gone until the others are ended: mostly they meet it within a second too."""
_EXIT_SECONDS = 2.0
_OVERTIME = 15
"""Looks after a phase should have ended, its slowest step's time included, or after the run was asked to end, at which a shard
that goes on is ended.
"""


def _ignore(_: object) -> None:
    """Where nobody listens."""


def _nothing(_: object, __: float) -> None:
    """Likewise."""


async def run_sharded(
    load: Load,
    count: int,
    *,
    origin: float,
    sink: Callable[[str, Samples], None],
    observe: Callable[[Progress], None] = _ignore,
    finished: Callable[[PhaseRun], None] = _ignore,
    began: Callable[[Phase, float], None] = _nothing,
    stop: trio.Event | None = None,
) -> LoadResult:
    """``run_load`` in ``count`` processes; with one, in this process where no foreign code is run. For the arguments and what
    is raised, see there.

    A shard that is lost ends the run within 5 s; ``PhaseRun.shards_lost`` says so. An error in a shard is raised here as what
    it was there. When this returns or raises, the processes are gone.
    """
    if count == 1 and load.scenario.journey in (None, WALK):
        return await run_load(load, origin=origin, sink=sink, observe=observe, finished=finished, began=began, stop=stop)
    together = _Together(load, sink, observe, finished, began, trio.Event() if stop is None else stop)
    # A journey's code may start processes.
    with nullcontext() if load.scenario.journey in (None, WALK) else orphans_ended():
        await _run_together(together, count, origin)
    if together.failure is not None:
        raise together.failure
    return LoadResult(phases=tuple(together.done), layers=tuple(together.layers.names), interrupted=together.stop.is_set())


async def _run_together(together: _Together, count: int, origin: float) -> None:
    """Start the shards, carry out the run, and wait until every process is gone."""
    zero = perf_counter() - (trio.current_time() - origin)
    try:
        for index in range(count):
            together.members.append(_start(Shard(index=index, count=count), zero))
        async with trio.open_nursery() as nursery:
            for member in together.members:
                nursery.start_soon(member.link.write)
                nursery.start_soon(together.hear, member)
            nursery.start_soon(together.watch_stop)
            nursery.start_soon(together.look)
            await together.run(lambda: trio.current_time() - origin)
            nursery.cancel_scope.cancel()
    except BaseException:
        # Nothing more is wanted of them.
        for member in together.members:
            member.process.kill()
        raise
    finally:
        with trio.CancelScope(shield=True):
            await _end(together.members)


@dataclass(slots=True, eq=False)
class _Member:
    """One shard as seen from here. ready to run: of the phase under way."""

    shard: Shard
    process: subprocess.Popen[bytes]
    link: Link
    silent: int = -START_SECONDS
    lost: str | None = None
    ready: bool = False
    ended: float | None = None
    seen: Progress | None = None
    run: PhaseRun | None = None
    received: Received = field(default_factory=Received)

    @property
    def name(self) -> str:
        return f"shard {self.shard.index + 1} of {self.shard.count}" if self.shard.count > 1 else "the journeys' process"

    def is_early(self, end: float) -> bool:
        """Whether it has ended its load before this planned end."""
        until = self.ended if self.run is None else self.run.measured_until
        return until is not None and until < end

    def next_phase(self) -> None:
        """Forget the phase before."""
        self.ready, self.ended, self.seen, self.run, self.received = False, None, None, None, Received()


@dataclass(frozen=True, slots=True)
class _Over:
    """A shard's link has ended: why, in words."""

    why: str


class _StopAsked:
    """The run was asked to end."""


class _Look:
    """Another second is over."""


class _Together:
    """The run of all shards. Everything that happens is a message, taken one at a time."""

    def __init__(
        self,
        load: Load,
        sink: Callable[[str, Samples], None],
        observe: Callable[[Progress], None],
        finished: Callable[[PhaseRun], None],
        began: Callable[[Phase, float], None],
        stop: trio.Event,
    ) -> None:
        self.members: list[_Member] = []
        self.done: list[PhaseRun] = []
        self.layers = LayerNames()
        self.failure: Exception | None = None
        self.stop = stop
        self._load = load
        self._sink, self._observe, self._finished, self._began = sink, observe, finished, began
        self._send, self._inbox = trio.open_memory_channel[tuple[_Member | None, object]](0)
        self._ending = False
        self._until: float | None = None
        self._since_early: int | None = None
        self._overtime = 0
        self._should_have_ended: Callable[[], bool] = bool

    # What happens

    async def hear(self, member: _Member) -> None:
        """Give a shard its order, and pass on what it says until it is over."""
        member.link.post(ShardOrder(load=replace(self._load, shard=member.shard), environ=dict(os.environ)))
        while (message := await member.link.read()) is not None:
            await self._send.send((member, message))
        code = await trio.to_thread.run_sync(_exit_code, member.process)
        await self._send.send((member, _Over(f"{member.name} {_how_it_ended(code)}")))

    async def watch_stop(self) -> None:
        """Pass on that the run is asked to end."""
        await self.stop.wait()
        await self._send.send((None, _StopAsked()))

    async def look(self) -> None:
        """Pass on that time goes by."""
        while True:
            await trio.sleep(LOOK_EVERY)
            await self._send.send((None, _Look()))

    # What follows from it

    async def run(self, now: Callable[[], float]) -> None:
        """Carry out the phases, one after the other, until the last one or whatever ends the run."""
        for phase in self._load.phases:
            run = None if self.stop.is_set() else await self._phase(phase, now)
            if run is None:
                return
            self.done.append(run)
            self._finished(run)
            if run.service_gone is not None or run.hopeless is not None or run.shards_lost:
                return

    async def _phase(self, phase: Phase, now: Callable[[], float]) -> PhaseRun | None:
        """None when the run ended before the phase began, for a reason that is reported elsewhere."""
        self._ending, self._until, self._since_early, self._overtime = False, None, None, 0
        ready = await self._take_until(self._may_go_on)
        if not ready or self.stop.is_set():
            return None
        lost = tuple(member.lost for member in self.members if member.lost is not None)
        if lost:
            return not_begun(phase, now(), shards_lost=lost)
        users = -(-phase.users // len(self.members))
        begin = now() + LEAD + users * LEAD_PER_USER
        end = begin + phase.ramp + phase.duration
        patience = max((step.timeout for step in self._load.scenario.steps), default=0.0)
        self._should_have_ended = lambda: self.stop.is_set() or now() > end + patience
        for member in self.members:
            member.next_phase()
        self._post(Begin(at=begin))
        self._began(phase, begin)
        if not await self._take_until(lambda: self._finished_all(end)):
            return None
        return await self._result(phase, begin, end, now())

    async def _result(self, phase: Phase, begin: float, end: float, at: float) -> PhaseRun:
        """The phase of all shards, as of now."""
        runs = [member.run for member in self.members if member.run is not None]
        if runs:
            merged = merged_run(runs, interrupted=self.stop.is_set())
        else:
            reached = max(begin, min(at, end))
            merged = replace(
                not_begun(phase, begin),
                measured_from=min(begin + phase.ramp, reached),
                measured_until=reached,
                ended=max(reached, at),
            )
        lost = [(member.shard, member.lost, member.received) for member in self.members if member.run is None and member.lost]
        return await with_lost(merged, lost, phase, self._load.scenario, begin) if lost else merged

    def _may_go_on(self) -> bool:
        """Whether every shard is ready for the next phase, or will never be."""
        given_up = self.stop.is_set() or len(self._living) < len(self.members)
        return given_up or all(member.ready for member in self.members)

    async def _take_until(self, reached: Callable[[], bool]) -> bool:
        """Take what happens until this holds. Whether it does: False when a shard has failed instead."""
        while self.failure is None and not reached():
            member, message = await self._inbox.receive()
            self._take(member, message)
        return self.failure is None

    def _take(self, member: _Member | None, message: object) -> None:
        if member is None:
            if isinstance(message, _Look):
                self._look_round()
            return
        member.silent = 0
        if isinstance(message, SampleChunk):
            member.received.add(message.samples)
            self._sink(message.phase, self.layers.renumbered(message.samples, message.layers))
        elif member.lost is None:
            self._note(member, message)

    def _note(self, member: _Member, message: object) -> None:
        match message:
            case Alive():
                return
            case Ready():
                member.ready = True
            case Seen(progress=progress):
                member.seen = progress
                self._show()
            case LoadEnded(until=until):
                member.ended = until
            case Finished(run=run):
                member.run = run
            case Failed(error=OSError(errno=errno.EMFILE | errno.ENFILE)):
                # Nothing is wrong with the plan: this machine had no more, or a journey took them all.
                member.lost = f"{member.name} ran out of file descriptors"
                member.process.kill()
            case Failed(error=error, trace=trace):
                self._fail(member, error, trace)
            case _Over(why=why):
                member.lost = why

    def _look_round(self) -> None:
        for member in self._living:
            member.silent += 1
            if member.silent > SILENT_AFTER:
                member.lost = f"{member.name} was silent for {SILENT_AFTER} s"
                member.process.kill()
        self._overtime += self._should_have_ended()
        if self._overtime > _OVERTIME:
            for member in self._living:
                if member.run is None:
                    member.lost = f"{member.name} did not end with the phase"
                    member.process.kill()
        if self._since_early is not None:
            self._since_early += 1

    def _show(self) -> None:
        """Show the state once a second: when every shard has said its own."""
        shown = [member.seen for member in self._living if member.seen is not None]
        if len(shown) == len(self._living):
            self._observe(merged_progress(shown))
            for member in self._living:
                member.seen = None

    def _fail(self, member: _Member, error: Exception, trace: str) -> None:
        if self.failure is None:
            if not isinstance(error, VelroError):
                error.add_note(f"in {member.name}:\n{trace}")
            self.failure = error

    def _finished_all(self, end: float) -> bool:
        """Whether every shard that is left has finished the phase; does on the way what they wait for."""
        under_way = [member for member in self._living if member.run is None]
        if self._since_early is None and any(member.is_early(end) for member in self._living):
            self._since_early = 0
        patience_over = self._since_early is not None and self._since_early >= _GONE_GRACE
        # A shard that is lost when it had finished is missed at the next phase, if there is one.
        lost = any(member.lost is not None and member.run is None for member in self.members)
        if (self.stop.is_set() or lost or patience_over) and not self._ending:
            self._ending = True
            self._post(Stop())
        ends = [member.ended for member in under_way if member.ended is not None]
        if self._until is None and under_way and len(ends) == len(under_way):
            self._until = min(ends)
            self._post(Until(at=self._until))
        return not under_way

    @property
    def _living(self) -> list[_Member]:
        return [member for member in self.members if member.lost is None]

    def _post(self, message: object) -> None:
        for member in self._living:
            member.link.post(message)


def _start(shard: Shard, zero: float) -> _Member:
    """A new process for a shard.

    Not by ``multiprocessing``: its processes can be hit by a Ctrl-C before they ignore it, run the caller's main module again,
    and leave a tracker behind. Here the signals are blocked before the process exists, and a mask is inherited.
    """
    ours, theirs = socket.socketpair()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "velro_gate.engine.shards.process", str(theirs.fileno()), repr(zero)],
                stdin=subprocess.DEVNULL,
                # What a journey prints must not get into a document on our standard output.
                stdout=_STANDARD_ERROR,
                env={**bare(os.environ), "PYTHONPATH": os.pathsep.join(entry or os.curdir for entry in sys.path)},
                pass_fds=(theirs.fileno(),),
            )
    except BaseException:
        ours.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    ours.setblocking(False)
    return _Member(shard, process, Link(ours))


async def _end(members: list[_Member]) -> None:
    """Hang up, and wait until every process is gone."""
    for member in members:
        member.link.close()
    async with trio.open_nursery() as nursery:
        for member in members:
            nursery.start_soon(trio.to_thread.run_sync, _exit_code, member.process)


_STANDARD_ERROR = 2


def _how_it_ended(code: int) -> str:
    names = {number.value: number.name for number in signal.Signals}
    return f"was killed by {names.get(-code, f'signal {-code}')}" if code < 0 else f"ended with exit code {code}"


def _exit_code(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a process that is about to end; one that does not is killed. Waits, so it belongs in a thread."""
    try:
        return process.wait(_EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
