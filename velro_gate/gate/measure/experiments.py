"""What is broken on purpose while a phase is measured: begun and undone on time, and noted as it happened.

Everything is done by the injector, a process of its own, which undoes what is left when this process ends, however it ends.
Should the injector itself die, what can be undone from here is.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import trio

from velro_gate.engine.faults.injector import Injector, running_injector
from velro_gate.errors import BrokenError
from velro_gate.gate.measure.breakable import processes_of
from velro_gate.gate.measure.setup import OtherUser, Setup
from velro_gate.model.resilience.experiment import (
    Action,
    Blow,
    CarriedOut,
    CommandAction,
    DependencyCount,
    Experiment,
    InvalidateAction,
    NetworkAction,
    PressureAction,
    ProcessAction,
    Proxy,
    RequestAction,
)
from velro_gate.model.resilience.probes import ControlRequest, Probed, ProbeKind, ProbeOutcome, RedisCommand
from velro_gate.model.run import PhaseRun
from velro_gate.model.scenario import Phase, Target
from velro_gate.monitor import SourceError

COUNT_EVERY = 0.5
"""Seconds between two looks at what has passed through the proxies."""

_LOOK_EVERY = 0.1
"""Seconds between two looks whether the probes have finished."""
_READ_BACK_AT_MOST = 30.0
"""Seconds beyond its own time that reading back may take."""

_PLACEHOLDER = re.compile(r"\$\{(proxy|env)\.([A-Za-z_][A-Za-z0-9_-]*)\}")


@contextmanager
def with_injector(setup: Setup) -> Iterator[Setup]:
    """The setup with the injector that its scenario needs, its proxies listening, while the ``with`` block lasts.

    Raises:
        BrokenError: it cannot be started, or a proxy cannot listen.
    """
    scenario = setup.scenario
    if setup.injector is not None or not (scenario.proxies or any(phase.experiments for phase in setup.phases)):
        yield setup
        return
    with running_injector() as injector:
        for proxy in scenario.proxies:
            injector.open_proxy(
                proxy.name,
                proxy.to_host,
                proxy.to_port,
                listen=(proxy.listen_host, proxy.listen_port),
                protocol=proxy.protocol,
                seed=scenario.seed,
            )
        # Before the load: loading the client would stop the process while it passes on the service's bytes.
        if any(_sends(experiment) for phase in setup.phases for experiment in phase.experiments):
            injector.prepare()
        yield replace(setup, injector=injector)


def through_proxies(line: str, environ: Mapping[str, str], proxies: Sequence[Proxy]) -> tuple[str, dict[str, str]]:
    """A start command and its environment, ``${proxy.NAME}`` in both replaced by the address of the proxy of that name."""
    addresses = {proxy.name: proxy.address for proxy in proxies}

    def put_in(text: str) -> str:
        """A text with the proxies' addresses in it; other placeholders stay for whoever knows their values."""

        def address(match: re.Match[str]) -> str:
            """Of the named proxy."""
            return addresses.get(match[2], match[0]) if match[1] == "proxy" else match[0]

        return _PLACEHOLDER.sub(address, text) if "${proxy." in text else text

    return put_in(line), {name: put_in(value) for name, value in environ.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """What was broken on purpose in a run, and what passed through its proxies meanwhile."""

    carried: tuple[CarriedOut, ...] = ()
    counts: tuple[DependencyCount, ...] = ()


@dataclass(slots=True, kw_only=True, eq=False)
class Experimenter:
    """Carries out the experiments of each phase."""

    injector: Injector
    target: Target
    secrets: Mapping[str, str]
    environ: Mapping[str, str]
    """Environment variables of commands."""
    origin: float
    """The run's start on trio's clock."""
    log: logging.Logger
    """Gets a line when something is begun or undone."""
    note: Callable[[str], None]
    """Gets why something could not be begun or undone."""
    nursery: trio.Nursery
    user: OtherUser | None = None
    """The user that commands run as."""
    _carried: list[CarriedOut] = field(default_factory=list)
    _counts: list[DependencyCount] = field(default_factory=list)
    _scopes: dict[str, trio.CancelScope] = field(default_factory=dict)
    _over: dict[str, trio.Event] = field(default_factory=dict)

    def began(self, phase: Phase, at: float) -> None:
        """A phase has begun: carry out its experiments. at: seconds since the start of the run."""
        if phase.experiments:
            self._scopes[phase.name], self._over[phase.name] = trio.CancelScope(), trio.Event()
            self.nursery.start_soon(self._phase, phase, at + phase.ramp)

    def finished(self, run: PhaseRun) -> None:
        """A phase is over: what is still broken is undone now."""
        scope = self._scopes.get(run.name)
        if scope is not None:
            scope.cancel()

    async def ended(self) -> Broken:
        """Wait until everything is undone; what was done."""
        for scope in self._scopes.values():
            scope.cancel()
        for over in self._over.values():
            await over.wait()
        return Broken(carried=tuple(self._carried), counts=tuple(self._counts))

    async def _phase(self, phase: Phase, start: float) -> None:
        try:
            with self._scopes[phase.name]:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._count)
                    for experiment in phase.experiments:
                        await trio.sleep_until(self.origin + start + experiment.at)
                        await self._carry_out(phase.name, experiment)
                    await trio.sleep_forever()
        finally:
            self._over[phase.name].set()

    async def _carry_out(self, phase: str, experiment: Experiment) -> None:
        key = f"{phase}/{experiment.name}/{experiment.repeat}"
        self.log.info("experiment %s: begins", key)
        ended: float | None = None
        order: Mapping[str, Any] = {}
        probed: tuple[Probed, ...] = ()
        # Whatever happens from here on, it is noted, and undone if it was begun.
        with trio.CancelScope(shield=True):
            try:
                order = await trio.to_thread.run_sync(self._ordered, experiment.action)
                fault = await trio.to_thread.run_sync(self._begin, key, order, self._probes(experiment))
            except (SourceError, BrokenError, OSError) as error:
                fault = error.what if isinstance(error, BrokenError) else str(error)
        begun = self._now()
        try:
            if fault is None:
                await trio.sleep(experiment.lasts)
        finally:
            with trio.CancelScope(shield=True):
                if fault is None:
                    fault = await self._undone(key, order)
                    ended = self._now() if fault is None else None
                    if _probes_in(experiment):
                        probed = await self._probed(key, 0.0 if experiment.verify is None else experiment.verify.within)
            if fault is not None:
                self.note(f"the experiment {experiment.name} of phase {phase}: {fault}")
            self.log.info("experiment %s: %s", key, fault or "undone")
            self._carried.append(
                CarriedOut(
                    phase=phase,
                    experiment=experiment.name,
                    repeat=experiment.repeat,
                    begun=begun,
                    ended=ended,
                    fault=fault or "",
                    probed=probed,
                )
            )

    def _begin(self, key: str, order: Mapping[str, Any], probes: Sequence[Mapping[str, Any]]) -> str | None:
        """Begin an action, its probes before it; why it could not be, None where it was. Blocks."""
        fault = self.injector.watch(key, probes) if probes else None
        if fault is not None:
            return fault
        fault = self.injector.begin(key, order)
        if fault is not None and probes:
            self.injector.undo(key)
            self.injector.probed(key, now=True)
        return fault

    async def _probed(self, key: str, within: float) -> tuple[Probed, ...]:
        """What the probes of an experiment have seen, once they have finished."""
        deadline = trio.current_time() + within + _READ_BACK_AT_MOST
        seen: list[dict[str, Any]] | None = None
        with contextlib.suppress(BrokenError):
            while seen is None:
                late = trio.current_time() >= deadline
                seen = await trio.to_thread.run_sync(partial(self.injector.probed, key, now=late))
                if seen is None:
                    await trio.sleep(_LOOK_EVERY)
        # Both processes read the same clock, and the run's begins with the run.
        shift = self._now() - time.monotonic()
        return tuple(_moved(each, shift) for each in seen or ())

    async def _undone(self, key: str, order: Mapping[str, Any]) -> str | None:
        try:
            return await trio.to_thread.run_sync(self.injector.undo, key)
        except BrokenError as error:
            if order.get("blow") == Blow.FREEZE.value:
                for pid in order["pids"]:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGCONT)
            return error.what

    async def _count(self) -> None:
        """Note again and again what has passed through the proxies."""
        while True:
            with contextlib.suppress(BrokenError):
                with trio.CancelScope(shield=True):
                    counts = await trio.to_thread.run_sync(self.injector.counts)
                at = self._now()
                self._counts += [
                    DependencyCount(at=at, proxy=name, accepted=found.accepted, requests=found.requests)
                    for name, found in counts.items()
                ]
            await trio.sleep(COUNT_EVERY)

    def _now(self) -> float:
        return trio.current_time() - self.origin

    def _ordered(self, action: Action) -> Mapping[str, Any]:
        """The action as the injector takes it, with processes found and secrets put in. Blocks."""
        match action:
            case NetworkAction(proxy=name, fault=fault):
                return {"kind": "network", "name": name, "fault": asdict(fault)}
            case ProcessAction(blow=blow, of=of, start=start):
                pids = self._processes(of)
                return {"kind": "process", "blow": blow.value, "pids": pids, "start": start, **self._shell()}
            case PressureAction(of=of, cpu=cpu, memory=memory):
                return {"kind": "pressure", "pid": self._processes(of)[0], "cpu": cpu, "memory": memory}
            case RequestAction(begin=begin, undo_by=undo):
                return {
                    "kind": "request",
                    "begin": self._request(begin),
                    "undo": None if undo is None else self._request(undo),
                }
            case CommandAction(run=run, undo_run=undo):
                return {"kind": "command", "run": run, "undo": undo, **self._shell()}
            case InvalidateAction():
                return {"kind": "invalidate", "probe": self._invalidation(action)}

    def _invalidation(self, action: InvalidateAction) -> dict[str, Any]:
        by, read = action.by, action.read
        return {
            "kind": ProbeKind.READS.value,
            "write": None if isinstance(by, RedisCommand) else self._request(by),
            "redis": {"url": self._put_in(by.url), "words": list(by.words)} if isinstance(by, RedisCommand) else None,
            "read": None
            if read is None
            else {
                "request": self._request(read.request),
                "place": read.place,
                "by_version": read.by_version,
                "readers": read.readers,
                "every": read.every,
            },
        }

    def _probes(self, experiment: Experiment) -> list[dict[str, Any]]:
        """The probes of an experiment without those of its action, as the injector takes them."""
        probes: list[dict[str, Any]] = []
        if experiment.verify is not None:
            wanted = experiment.verify
            probes.append(
                {
                    "kind": ProbeKind.WRITES.value,
                    "write": self._request(wanted.write),
                    "read": self._request(wanted.read),
                    "place": wanted.place,
                    "every": wanted.every,
                    "within": wanted.within,
                }
            )
        if experiment.degraded is not None:
            asked = experiment.degraded
            statuses = next((each.statuses for each in experiment.expected if each.probed), ())
            probes.append(
                {
                    "kind": ProbeKind.DEGRADED.value,
                    "request": self._request(asked.request),
                    "statuses": list(statuses),
                    "place": asked.place,
                    "equals": asked.equals,
                    "every": asked.every,
                }
            )
        return probes

    def _processes(self, of: str) -> list[int]:
        return processes_of(of, self.environ, injector=self.injector.pid)

    def _shell(self) -> dict[str, Any]:
        if self.user is None:
            return {"environ": dict(self.environ), "folder": os.getcwd()}  # noqa: PTH109 (as text)
        user = {"line": list(self.user.line), "rights": dict(self.user.rights)}
        return {"environ": {**self.environ, **self.user.environ}, "folder": str(self.user.folder), "user": user}

    def _request(self, asked: ControlRequest) -> dict[str, Any]:
        typed = [["Content-Type", asked.content_type]] if asked.body else []
        return {
            "method": asked.method,
            "url": f"{self.target.url.rstrip('/')}{self._put_in(asked.path)}",
            "shown": asked.path,
            "query": [[name, self._put_in(value)] for name, value in asked.query],
            "body": self._put_in(asked.body),
            "headers": [*typed, *([name, self._put_in(value)] for name, value in asked.headers)],
            "socket": self.target.unix_socket,
            "verify": self.target.verify,
        }

    def _put_in(self, text: str) -> str:
        return _PLACEHOLDER.sub(lambda match: self.secrets.get(match[2], "") if match[1] == "env" else match[0], text)


def _probes_in(experiment: Experiment) -> bool:
    """Whether anything is looked at in addition to the load."""
    return experiment.verify is not None or experiment.degraded is not None or isinstance(experiment.action, InvalidateAction)


def _sends(experiment: Experiment) -> bool:
    """Whether the injector itself sends requests."""
    return _probes_in(experiment) or isinstance(experiment.action, RequestAction)


def _moved(seen: Mapping[str, Any], shift: float) -> Probed:
    """What a probe has seen, its times in seconds since the start of the run."""
    return Probed(
        kind=ProbeKind(seen["kind"]),
        since=seen["since"] + shift,
        until=seen["until"] + shift,
        sent=tuple(at + shift for at in seen["sent"]),
        done=tuple(at + shift for at in seen["done"]),
        reader=tuple(seen["reader"]),
        seen=tuple(map(ProbeOutcome, seen["seen"])),
    )
