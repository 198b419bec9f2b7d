"""The engine's front: a plan in, samples and facts out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import trio

from velro_gate.engine.http.parsing.cache_layers import CacheLayers
from velro_gate.engine.http.routes import NoRoute, find_route, tls_context
from velro_gate.engine.http_users.population import HttpTransport
from velro_gate.engine.journeys.population import JourneyTransport
from velro_gate.engine.load.phase import PhasePlan, run_phase
from velro_gate.engine.load.phase_sync import PhaseSync
from velro_gate.engine.machine.health import HealthWatch
from velro_gate.engine.steps.requests import Compiler
from velro_gate.errors import UnreachableError
from velro_gate.model.run import LoadResult, PhaseRun, Progress, Shard
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Phase, Scenario

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to send: some phases of a scenario, or one shard's slice of them."""

    scenario: Scenario
    phases: tuple[Phase, ...]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Values of the environment variables that the steps name."""
    shard: Shard = field(default_factory=Shard.whole)
    neighbours: int | None = None
    """How many shards send from this one's machine, this one included; None: all."""


def nobody(*_: object) -> None:
    """Where nobody listens."""


async def run_load(
    load: Load,
    *,
    origin: float,
    sink: Callable[[str, Samples], None],
    observe: Callable[[Progress], None] = nobody,
    finished: Callable[[PhaseRun], None] = nobody,
    began: Callable[[Phase, float], None] = nobody,
    stop: trio.Event | None = None,
    sync: PhaseSync | None = None,
    layers: CacheLayers | None = None,
) -> LoadResult:
    """Run the phases one after the other, until the last one, a stop, or one that the service makes pointless.

    Args:
        load: the plan.
        origin: trio's time at the start of the run; all times in samples and facts are seconds since then.
        sink: gets the samples, phase by phase, in pieces of at most 16,384 rows, while the load runs. A login is a sample as
            well, with the step index after the last step's.
        observe: gets the state about once a second.
        finished: gets each phase when it is over.
        began: gets each phase when it begins, with the instant at which it does, in seconds since the start of the run.
        stop: when set, the run ends within 5 s; what is in flight then is recorded as cancelled.
        sync: when the phases begin and where they end, for a shard; alone by default.
        layers: numbers the cache layers; handed in by whoever needs their names before the end.

    Raises:
        UnreachableError: the target's name cannot be resolved and nothing has been measured. UsageError: a placeholder has no
            value, or a certificate file cannot be used. Whatever the callables raise, and JourneyError where a journey's code
            is at fault, in an exception group.
    """
    stop = trio.Event() if stop is None else stop
    sync = PhaseSync() if sync is None else sync
    layers = CacheLayers(load.scenario.cache) if layers is None else layers
    transport = _transport(load, layers)
    tls = tls_context(load.scenario.target)
    done: list[PhaseRun] = []
    for number, phase in enumerate(load.phases, start=1):
        if stop.is_set():
            break
        # Again for each phase: the name may have other addresses by then.
        route = await _unless(stop, partial(find_route, load.scenario.target, tls))
        if route is None:
            break
        if isinstance(route, NoRoute):
            # Nothing has been measured: an error of the set-up, with exit code and hint. Later it is a fact of the run, whose
            # phases so far are kept.
            if not done:
                raise UnreachableError(route.reason, where=load.scenario.target.url)
            done.append(not_begun(phase, await sync.begin(number) - origin, service_gone=route.reason))
        else:
            plan = PhasePlan(
                scenario=load.scenario,
                phase=phase,
                number=number,
                count=len(load.phases),
                shard=load.shard,
                neighbours=load.neighbours,
                origin=origin,
                populate=partial(transport.populate, route=route),
                steps=transport.steps,
                needs=transport.needs,
                endpoints=route.endpoints,
                sources=len(route.sources),
                sink=partial(sink, phase.name),
                observe=observe,
                stop=stop,
                sync=replace(sync, begin=_reporting(sync, phase, lambda phase, at: began(phase, at - origin))),
                layers=layers.names,
            )
            done.append(await run_phase(plan))
        finished(done[-1])
        if done[-1].service_gone is not None or done[-1].hopeless is not None:
            break
    return LoadResult(phases=tuple(done), layers=tuple(layers.names), interrupted=stop.is_set())


def _reporting(sync: PhaseSync, phase: Phase, began: Callable[[Phase, float], None]) -> Callable[[int], Awaitable[float]]:
    """How a phase begins; reports when."""

    async def begin(number: int) -> float:
        """Wait for the phase's beginning, and report it."""
        at = await sync.begin(number)
        began(phase, at)
        return at

    return begin


def _transport(load: Load, layers: CacheLayers) -> HttpTransport | JourneyTransport:
    """What sends: the only place that knows which transports there are."""
    scenario, hidden = load.scenario, tuple(load.secrets.values())
    compiler = Compiler(scenario, load.secrets)
    if scenario.journey is not None:
        return JourneyTransport(scenario, scenario.journey, compiler, layers, hidden=hidden)
    return HttpTransport(scenario, compiler, layers, hidden=hidden)


async def _unless(stop: trio.Event, work: Callable[[], Awaitable[T]]) -> T | None:
    """The result of the work; None as soon as a stop is requested."""
    result: T | None = None
    async with trio.open_nursery() as nursery:

        async def give_up() -> None:
            """Cancel the work when a stop is requested."""
            await stop.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(give_up)
        result = await work()
        nursery.cancel_scope.cancel()
    return result


def not_begun(phase: Phase, at: float, *, service_gone: str | None = None, shards_lost: tuple[str, ...] = ()) -> PhaseRun:
    """The facts of a phase that did not begin, for one of these reasons."""
    watch = HealthWatch()
    watch.begin()
    return PhaseRun(
        name=phase.name,
        started=at,
        measured_from=at,
        measured_until=at,
        ended=at,
        users=phase.users,
        due={},
        blocked={},
        missed={},
        sent_total=0,
        delivered_total=0,
        connections_opened=0,
        reconnects=0,
        retries=0,
        ticks=(),
        health=watch.finish(),
        service_gone=service_gone,
        shards_lost=shards_lost,
    )
