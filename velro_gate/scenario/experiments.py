"""ExperimentSpec -> Experiment: what is broken, and the timetable, in which instants left to chance are drawn by the seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from itertools import pairwise

from velro_gate import units
from velro_gate.model.resilience.experiment import (
    Action,
    Blow,
    CommandAction,
    ControlRequest,
    Expectation,
    Expected,
    Experiment,
    NetworkAction,
    PressureAction,
    ProcessAction,
    RequestAction,
)
from velro_gate.model.resilience.network import NetworkFault, Outage
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.scenario.steps import check_path
from velro_gate.scenario.syntax.experiment_shape import ControlSpec, ExpectSpec, ExperimentSpec, NetworkSpec
from velro_gate.scenario.syntax.faults import Faults, did_you_mean
from velro_gate.scenario.syntax.quantities import names_process
from velro_gate.scenario.syntax.shape import PhaseSpec
from velro_gate.scenario.syntax.templates import names_in

ReadExperiments = Callable[[PhaseSpec, Faults], tuple[Experiment, ...]]
"""The experiments of a phase as it is written; what is wrong with them is added to the faults."""


def no_experiments(_: PhaseSpec, __: Faults) -> tuple[Experiment, ...]:
    """None at all."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentReader:
    """Reads the experiments of phases. seed: of the file. proxies, steps: the names of its own, readable or not."""

    seed: int
    proxies: Set[str]
    steps: Set[str]

    def __call__(self, phase: PhaseSpec, faults: Faults) -> tuple[Experiment, ...]:
        """The experiments of a phase in the order in which they begin; see ``ReadExperiments``."""
        found: list[tuple[Experiment, int]] = []
        names: set[str] = set()
        for spec in phase.experiments or ():
            if spec.name in names:
                faults.add(spec.line("name"), f"the experiment {spec.name!r} is given twice in one phase", "rename one of them")
                continue
            names.add(spec.name)
            action = self._action(spec, faults)
            if action is not None:
                found += [(each, spec.line()) for each in self._times(phase.name, spec, action, faults)]
        found.sort(key=lambda each: each[0].at)
        for (first, _), (second, line) in pairwise(found):
            room = max(first.room, second.steady)
            if first.ends + room > second.at + 1e-9:
                steady = f" and needs {units.format_duration(room)} of steady state" if room else ""
                what = (
                    f"the experiment {second.name!r} begins after {units.format_duration(second.at)}, but {first.name!r} lasts "
                    f"until {units.format_duration(first.ends)}{steady}"
                )
                faults.add(line, what, "what is broken at once cannot be distinguished: move one of them")
        return tuple(experiment for experiment, _ in found)

    def _times(self, phase: str, spec: ExperimentSpec, action: Action, faults: Faults) -> Iterator[Experiment]:
        first, last = spec.at[0], spec.at[-1]
        if last < first:
            faults.add(spec.line("at"), "'at' ends before it begins", "write the earlier instant first")
            return
        if spec.steady > first:
            faults.add(spec.line("at"), "'at' leaves no room for the steady state before it", "begin it later")
            return
        expected = () if spec.expect is None else tuple(self._expected(spec.expect, action, spec.lasts, faults))
        for number in range(spec.times):
            drawn = random.Random(f"{self.seed}/{phase}/{spec.name}/{number}")
            at = first + drawn.random() * (last - first) + number * (spec.every or 0.0)
            yield Experiment(
                name=spec.name,
                at=round(at, 3),
                lasts=spec.lasts,
                action=action,
                steady=spec.steady,
                repeat=number + 1,
                expected=expected,
            )

    def _expected(self, spec: ExpectSpec, action: Action, lasts: float, faults: Faults) -> Iterator[Expectation]:
        step = spec.step
        if step != ALL_STEPS and step not in self.steps:
            faults.add(spec.line("step"), f"there is no step {step!r}", did_you_mean(step, [*self.steps, ALL_STEPS]))
        if spec.errors is not None:
            yield Expectation(kind=Expected.ERRORS, limit=spec.errors, step=step)
        if spec.p95 is not None:
            yield Expectation(kind=Expected.P95, limit=spec.p95, step=step)
        if spec.degraded is not None:
            statuses = tuple(spec.degraded.status)
            yield Expectation(kind=Expected.DEGRADED, limit=spec.degraded.share, step=step, statuses=statuses)
        if spec.breaker is not None:
            found = spec.breaker
            if found.within > lasts:
                faults.add(spec.line("breaker"), "the breaker may open after the fault is over", "let the fault last longer")
            yield Expectation(
                kind=Expected.BREAKER,
                limit=found.within,
                step=step,
                statuses=tuple(found.status),
                fast=found.faster_than,
            )
        if spec.recovery is not None:
            yield Expectation(kind=Expected.RECOVERY, limit=spec.recovery, step=step)
        if spec.retries is not None:
            yield Expectation(kind=Expected.RETRIES, limit=spec.retries, proxy=self._counted_at(spec, action, faults))
        elif spec.proxy:
            faults.add(spec.line("proxy"), "'proxy' says where retries are counted, and no limit on 'retries' is given")

    def _counted_at(self, spec: ExpectSpec, action: Action, faults: Faults) -> str:
        """The proxy that counts retries: the one that is named or broken, or the only one."""
        broken = action.proxy if isinstance(action, NetworkAction) else ""
        only = next(iter(self.proxies)) if len(self.proxies) == 1 else ""
        name = spec.proxy or broken or only
        if not name:
            faults.add(spec.line("retries"), "nothing says at which proxy retries are counted", "add 'proxy: NAME'")
        elif name not in self.proxies:
            faults.add(spec.line("proxy"), f"there is no proxy {name!r}", did_you_mean(name, self.proxies))
        return name

    def _action(self, spec: ExperimentSpec, faults: Faults) -> Action | None:
        if spec.network is not None:
            return self._network(spec.network, faults)
        if spec.process is not None:
            _check_process(spec.process.of, spec.process.line("of"), faults)
            if spec.process.start and spec.process.do == "freeze":
                faults.add(spec.process.line("start"), "what is frozen goes on by itself", "remove 'start'")
            return ProcessAction(blow=Blow(spec.process.do), of=spec.process.of, start=spec.process.start)
        if spec.pressure is not None:
            pressed = spec.pressure
            _check_process(pressed.of, pressed.line("of"), faults)
            if pressed.cpu is None and pressed.memory is None:
                faults.add(pressed.line(), "pressure needs a limit of cpu or memory", "cpu: 50 %")
                return None
            return PressureAction(of=pressed.of, cpu=pressed.cpu, memory=pressed.memory)
        if spec.request is not None:
            undo = spec.request.undo
            return RequestAction(begin=_request(spec.request, faults), undo_by=None if undo is None else _request(undo, faults))
        assert spec.command is not None
        return CommandAction(run=spec.command.run, undo_run=spec.command.undo)

    def _network(self, spec: NetworkSpec, faults: Faults) -> NetworkAction | None:
        if spec.proxy not in self.proxies:
            hint = did_you_mean(spec.proxy, self.proxies) or "describe it under 'proxies' at the top of the file"
            faults.add(spec.line("proxy"), f"there is no proxy {spec.proxy!r}", hint)
        try:
            fault = NetworkFault(
                outage=None if spec.outage is None else Outage(spec.outage),
                delay=spec.delay or 0.0,
                jitter=spec.jitter or 0.0,
                bandwidth=spec.bandwidth,
                cut_after=spec.cut_after,
            )
        except ValueError as error:
            faults.add(spec.line(), f"network: {error}", "outage, or delay, jitter, bandwidth and cut_after")
            return None
        return NetworkAction(proxy=spec.proxy, fault=fault)


def _check_process(of: str, line: int, faults: Faults) -> None:
    if not names_process(of):
        faults.add(line, f"{of!r} names no process", "port:8400, pid:4711 or command:gunicorn")


def _request(spec: ControlSpec, faults: Faults) -> ControlRequest:
    check_path(spec.path, spec.line("path"), faults)
    body = "" if spec.json_body is None else json.dumps(spec.json_body)
    for text, key in ((spec.path, "path"), (body, "json")):
        for name in names_in(text):
            if not name.startswith("env."):
                what = f"${{{name}}} means nothing here"
                faults.add(spec.line(key), what, "a control request belongs to no user: only ${env.NAME} does")
    return ControlRequest(method=spec.method, path=spec.path, body=body)
