"""One load sent by several processes at once: start them, keep them in step, put together what they hand on.

Rules. Each shard is an interpreter of its own, started fresh and never forked, that carries out its users' part of one plan.
A phase begins in all shards at one instant, when each of them is ready for it, so never before all have ended the one before.
It ends where the first of them ends. What the shards send is taken in one loop, message by message, in the order it comes.

A shard that ends before its time is lost. The others end at once, and everything is kept. The samples that the lost one had
handed on stay; of an open plan it is known what else was due of it, and that is missed. So the counts balance, and the verdict
is broken for the shard and not for the service.

Journeys written in Python are made in a process of their own even where one is enough: their code may end it, or never end.

The processes get no signal of a terminal or of a group: they end when their link does, also when this process dies.

Shards on other machines differ in where they run (``hosts``) and in how long they are waited for, and in nothing else.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from time import perf_counter

import trio

from velro_gate.analysis.summaries.reduced.tables import Reduced
from velro_gate.engine.journeys.api import WALK
from velro_gate.engine.run import Load, nobody, not_begun, run_load
from velro_gate.engine.shards.hosts import HERE, Patience, ShardHost, start_here
from velro_gate.engine.shards.kept import Kept
from velro_gate.engine.shards.lost import Received, with_lost
from velro_gate.engine.shards.merge import merged_progress, merged_run
from velro_gate.engine.shards.messages import (
    Alive,
    Begin,
    Failed,
    Finished,
    LoadEnded,
    PhaseBegan,
    Ready,
    ReducedChunk,
    SampleChunk,
    Seen,
    ShardOrder,
    Stop,
    Until,
)
from velro_gate.errors import BrokenError, VelroError
from velro_gate.leftovers import orphans_ended
from velro_gate.model.run import LoadResult, PhaseRun, Progress, Shard
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Phase

LEAD_PER_USER = 20e-6
"""Seconds added to the lead of a phase's start: in it each shard creates its users."""

LOOK_EVERY = 1.0
"""Seconds between two looks at all shards; what is counted in looks below is about as many seconds."""

_GONE_GRACE = 2
"""Looks after a shard has met a service that is gone until the others are ended: mostly they meet it within a second too."""
_OVERTIME = 15
"""Looks after a phase should have ended, its slowest step's time included, or after the run was asked to end, at which a shard
that goes on is ended.
"""


async def run_sharded(
    load: Load,
    count: int,
    *,
    origin: float,
    sink: Callable[[str, Samples], None],
    observe: Callable[[Progress], None] = nobody,
    finished: Callable[[PhaseRun], None] = nobody,
    began: Callable[[Phase, float], None] = nobody,
    stop: trio.Event | None = None,
) -> LoadResult:
    """``run_load`` in ``count`` processes; with one, in this process where no foreign code is run. For the arguments and what
    is raised, see there.

    A shard that is lost ends the run within 5 s; ``PhaseRun.shards_lost`` says so. An error in a shard is raised here as what
    it was there. When this returns or raises, the processes are gone.
    """
    if count == 1 and load.scenario.journey in (None, WALK):
        return await run_load(load, origin=origin, sink=sink, observe=observe, finished=finished, began=began, stop=stop)

    def start(zero: float) -> list[ShardHost]:
        """Start processes on this machine; ``zero`` is the run's start on the monotonic clock."""
        return [start_here(_name(index, count), zero) for index in range(count)]

    # A journey's code may start processes.
    with nullcontext() if load.scenario.journey in (None, WALK) else orphans_ended():
        return await run_on(
            start,
            ShardOrder(load=load, environ=dict(os.environ)),
            origin=origin,
            sink=sink,
            observe=observe,
            finished=finished,
            began=began,
            stop=stop,
            patience=HERE,
        )


async def run_on(
    start: Callable[[float], Sequence[ShardHost]],
    order: ShardOrder,
    *,
    origin: float,
    sink: Callable[[str, Samples], None],
    observe: Callable[[Progress], None] = nobody,
    finished: Callable[[PhaseRun], None] = nobody,
    began: Callable[[Phase, float], None] = nobody,
    stop: trio.Event | None = None,
    patience: Patience,
    neighbours: Mapping[int, int] | None = None,
    reduced: Callable[[str, Reduced], None] = nobody,
) -> LoadResult:
    """``run_sharded`` on these hosts, of which each carries out one shard. order: what all shards are to do.

    start: starts them; takes the start of the run on the system's monotonic clock. neighbours: by a shard's index, how many of
    the shards are on its machine, itself included; None: all of them. reduced: gets the samples of the phases that the order
    wants reduced; ``sink`` gets those of the others.
    """
    kept = Kept(order, sink, reduced)
    together = _Together(order, kept, observe, finished, began, trio.Event() if stop is None else stop, patience, neighbours)
    await _run_together(together, start, origin)
    if together.failure is not None:
        raise together.failure
    return LoadResult(phases=tuple(together.done), layers=tuple(kept.layers.names), interrupted=together.stop.is_set())


async def _run_together(together: _Together, start: Callable[[float], Sequence[ShardHost]], origin: float) -> None:
    """Start the shards, carry out the run, and wait until every process is gone."""
    zero = perf_counter() - (trio.current_time() - origin)
    try:
        together.take_on(start(zero))
        async with trio.open_nursery() as nursery:
            for member in together.members:
                nursery.start_soon(member.host.link.write)
                nursery.start_soon(together.hear, member)
            nursery.start_soon(together.watch_stop)
            nursery.start_soon(together.look)
            await together.run(lambda: trio.current_time() - origin)
            nursery.cancel_scope.cancel()
    except BaseException:
        # Nothing more is wanted of them.
        for member in together.members:
            member.host.kill()
        raise
    finally:
        with trio.CancelScope(shield=True):
            await _end(together.members)


def _name(index: int, count: int) -> str:
    return f"shard {index + 1} of {count}" if count > 1 else "the journeys' process"


@dataclass(slots=True, eq=False)
class _Member:
    """One shard as seen from here. ready to run: of the phase under way."""

    shard: Shard
    host: ShardHost
    silent: int
    lost: str | None = None
    ready: bool = False
    plan: str = ""
    started: float | None = None
    ended: float | None = None
    seen: Progress | None = None
    run: PhaseRun | None = None
    received: Received = field(default_factory=Received)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self.host.name

    def is_early(self, end: float) -> bool:
        """Whether it has ended its load before this planned end."""
        until = self.ended if self.run is None else self.run.measured_until
        return until is not None and until < end

    def next_phase(self) -> None:
        """Forget the phase before."""
        self.ready, self.plan, self.started = False, "", None
        self.ended, self.seen, self.run, self.received = None, None, None, Received()


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
        order: ShardOrder,
        kept: Kept,
        observe: Callable[[Progress], None],
        finished: Callable[[PhaseRun], None],
        began: Callable[[Phase, float], None],
        stop: trio.Event,
        patience: Patience,
        neighbours: Mapping[int, int] | None,
    ) -> None:
        self.members: list[_Member] = []
        self.done: list[PhaseRun] = []
        self.failure: Exception | None = None
        self.stop = stop
        self._load, self._order = order.load, order
        self._patience, self._neighbours = patience, neighbours or {}
        self._kept, self._observe, self._finished, self._began = kept, observe, finished, began
        # Without a buffer: whoever reports waits until the report is taken, so samples cannot pile up in memory before a slow
        # sink.
        self._send, self._inbox = trio.open_memory_channel[tuple[_Member | None, object]](0)
        self._ending = False
        self._until: float | None = None
        self._since_early: int | None = None
        self._overtime = 0
        self._should_have_ended: Callable[[], bool] = bool

    def take_on(self, hosts: Sequence[ShardHost]) -> None:
        """These carry out the load, each a shard of its own."""
        for index, host in enumerate(hosts):
            shard = Shard(index=index, count=len(hosts))
            self.members.append(_Member(shard, host, silent=-self._patience.start))

    # What happens

    async def hear(self, member: _Member) -> None:
        """Give a shard its order, and pass on what it says until it is over."""
        neighbours = self._neighbours.get(member.shard.index)
        load = replace(self._load, shard=member.shard, neighbours=neighbours)
        member.host.link.post(replace(self._order, load=load))
        while (message := await member.host.link.read()) is not None:
            await self._send.send((member, message))
        how = await member.host.how_it_ended()
        await self._send.send((member, _Over(f"{member.name} {how}")))

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
        # The shard with the most users decides: rounded up.
        users = -(-phase.users // len(self.members))
        begin = now() + self._patience.lead + users * LEAD_PER_USER
        end = begin + phase.ramp + phase.duration
        patience = max((step.timeout for step in self._load.scenario.steps), default=0.0)
        self._should_have_ended = lambda: self.stop.is_set() or now() > end + patience
        for member in self.members:
            member.next_phase()
        self._kept.phase_begins(phase, begin)
        self._post(Begin(at=begin))
        self._began(phase, begin)
        if not await self._take_until(lambda: self._finished_all(end)):
            return None
        return await self._result(phase, begin, end, now())

    async def _result(self, phase: Phase, begin: float, end: float, at: float) -> PhaseRun:
        """The phase of all shards, as of now."""
        runs = [member.run for member in self.members if member.run is not None]
        if runs:
            about = [member.host.about(member.run, begin, member.started) for member in self.members if member.run is not None]
            workers = tuple(each for each in about if each is not None)
            merged = replace(merged_run(runs, interrupted=self.stop.is_set()), workers=workers)
        else:
            # No shard is left to say where the stretch ended: by the clock, within what was planned.
            reached = max(begin, min(at, end))
            merged = replace(
                not_begun(phase, begin),
                measured_from=min(begin + phase.ramp, reached),
                measured_until=reached,
                ended=max(reached, at),
            )
        lost = [(member.shard, member.lost, member.received) for member in self.members if member.run is None and member.lost]
        await self._kept.phase_over(phase, merged.measured_until)
        return await with_lost(merged, lost, phase, self._load.scenario, begin) if lost else merged

    def _may_go_on(self) -> bool:
        """Whether every shard is ready for the next phase, or will never be."""
        given_up = self.stop.is_set() or len(self._living) < len(self.members)
        ready = all(member.ready for member in self.members)
        if ready and not given_up:
            self._compare_plans()
        return given_up or ready

    def _compare_plans(self) -> None:
        """All shards compute the whole schedule and send their own part: where it differs, requests are lost or sent twice."""
        first = self.members[0]
        other = next((member for member in self.members if member.plan != first.plan), None)
        if other is not None and self.failure is None:
            self.failure = BrokenError(
                f"{other.name} has planned other requests than {first.name}",
                why="the same plan gave another schedule there: another version of numpy, or another kind of processor",
                hint="Use machines of one kind, with the same versions installed.",
            )

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
        # Whatever it says, it is alive: a worker that sends samples need not send a sign of life as well.
        member.silent = 0
        if isinstance(message, SampleChunk | ReducedChunk):
            self._kept.take(message, member.received)
        elif member.lost is None:
            self._note(member, message)

    def _note(self, member: _Member, message: object) -> None:
        match message:
            case Alive():
                return
            case Ready(plan=plan):
                member.ready, member.plan = True, plan
            case PhaseBegan(at=at):
                member.started = at
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
                member.host.kill()
            case Failed(error=MemoryError()):
                member.lost = f"{member.name} ran out of memory"
                member.host.kill()
            case Failed(error=error, trace=trace):
                self._fail(member, error, trace)
            case _Over(why=why):
                member.lost = why

    def _look_round(self) -> None:
        silent = self._patience.silent
        if self._patience.alive:
            self._post(Alive())
        for member in self._living:
            member.silent += 1
            if member.silent > silent:
                member.lost = f"{member.name} was silent for {silent} s"
                member.host.kill()
        # Counted in looks and not in seconds: while this machine is suspended no look passes.
        self._overtime += self._should_have_ended()
        if self._overtime > _OVERTIME:
            for member in self._living:
                if member.run is None:
                    member.lost = f"{member.name} did not end with the phase"
                    member.host.kill()
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
            member.host.link.post(message)


async def _end(members: list[_Member]) -> None:
    """Hang up, and wait until every process is gone."""
    for member in members:
        member.host.link.close()
    async with trio.open_nursery() as nursery:
        for member in members:
            nursery.start_soon(member.host.how_it_ended)
