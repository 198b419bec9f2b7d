"""The engine's front: a plan in, samples and facts out."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

import trio

from velro_gate.engine.health import HealthWatch
from velro_gate.engine.phases import PhaseTask
from velro_gate.engine.preflight import tls_context
from velro_gate.engine.recorder import Recorder
from velro_gate.engine.requests import Compiler
from velro_gate.engine.users import Stage
from velro_gate.engine.wire import Endpoint, LayerTable, ReaderPool
from velro_gate.errors import UnreachableError
from velro_gate.model.run import LoadResult, PhaseRun, Progress, Shard
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import LoginAuth, Phase, Scenario, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to send: some phases of a scenario, or one shard's slice of them. secrets: values of environment variables."""

    scenario: Scenario
    phases: tuple[Phase, ...]
    secrets: Mapping[str, str] = field(repr=False)
    shard: Shard = field(default_factory=Shard.whole)


def _ignore(_: object) -> None:
    """Where nobody listens."""


async def run_load(
    load: Load,
    *,
    origin: float,
    sink: Callable[[str, Samples], None],
    observe: Callable[[Progress], None] = _ignore,
    finished: Callable[[PhaseRun], None] = _ignore,
    stop: trio.Event | None = None,
) -> LoadResult:
    """Run the phases one after the other.

    Args:
        load: the plan.
        origin: trio's time at the start of the run; all times in samples and facts are seconds since then.
        sink: gets the samples, phase by phase, in pieces of a few thousand rows, while the load runs.
        observe: gets the state about once a second.
        finished: gets each phase when it is over.
        stop: when set, the run ends at once; what is in flight is recorded as cancelled.

    Raises:
        UnreachableError: the target's name cannot be resolved.
        ExceptionGroup: with InfeasibleError, when this machine has no descriptor or port left, or with what ``sink`` or
            ``observe`` raised.
    """
    stopped = trio.Event() if stop is None else stop
    layers = LayerTable()
    compiler = Compiler(load.scenario, load.secrets)
    steps = [compiler.compile(step, index) for index, step in enumerate(load.scenario.steps)]
    auth = load.scenario.auth
    done: list[PhaseRun] = []
    for number, phase in enumerate(load.phases, start=1):
        if stopped.is_set():
            break
        endpoint = await resolve(load.scenario.target)
        health = HealthWatch(target_addresses=endpoint.addresses)
        stage = Stage(
            origin=origin,
            endpoint=endpoint,
            steps=steps,
            login=compiler.compile(auth.step, -1, authorized=False) if isinstance(auth, LoginAuth) else None,
            token=auth.token if isinstance(auth, LoginAuth) else None,
            keep_cookies=load.scenario.cookies,
            seed=load.scenario.seed,
            recorder=Recorder(partial(sink, phase.name), remember=phase.offered_rate is None),
            readers=ReaderPool(layers),
        )
        task = PhaseTask(
            phase=phase,
            number=number,
            count=len(load.phases),
            steps=load.scenario.steps,
            seed=load.scenario.seed,
            shard=load.shard,
            stage=stage,
            health=health,
            observe=observe,
            stop=stopped,
        )
        with _instrumented(health):
            ran = await task.run()
        finished(ran)
        done.append(ran)
        if ran.service_gone is not None:
            break
    return LoadResult(phases=tuple(done), layers=layers.names, interrupted=stopped.is_set())


async def resolve(target: Target) -> Endpoint:
    """Look the target's name up, once for all users of a phase.

    Raises:
        UnreachableError: the name cannot be resolved.
    """
    parts = urlsplit(target.url)
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnreachableError(
            f"the name {host!r} cannot be resolved", where=f"{parts.scheme}://{host}:{port}", why=str(error)
        ) from error
    addresses = [(int(family), (str(address[0]), int(address[1]))) for family, _, _, _, address in found]
    return Endpoint(host, addresses, tls_context(target.verify) if secure else None)


@contextmanager
def _instrumented(health: HealthWatch) -> Iterator[None]:
    instrument = health.instrument()
    trio.lowlevel.add_instrument(instrument)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(instrument)
