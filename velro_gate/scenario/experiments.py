"""ExperimentSpec -> Experiment: what is broken, and the timetable, in which instants left to chance are drawn by the seed."""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from itertools import pairwise

from velro_gate import units
from velro_gate.model.resilience.experiment import (
    Action,
    Blow,
    CommandAction,
    Expectation,
    Expected,
    Experiment,
    InvalidateAction,
    NetworkAction,
    Pattern,
    PressureAction,
    ProcessAction,
    RequestAction,
)
from velro_gate.model.resilience.network import NetworkFault, Outage
from velro_gate.model.resilience.probes import ControlRequest, DegradedAnswers, Readers, RedisCommand, VerifiedWrites
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.scenario.steps import JSON_PATH, check_path
from velro_gate.scenario.syntax.experiment_shape import ExpectSpec, ExperimentSpec, NetworkSpec
from velro_gate.scenario.syntax.faults import Faults, did_you_mean
from velro_gate.scenario.syntax.probe_shape import ControlSpec, DegradedRequestSpec, InvalidateSpec, VerifySpec
from velro_gate.scenario.syntax.quantities import names_process
from velro_gate.scenario.syntax.shape import PhaseSpec
from velro_gate.scenario.syntax.templates import names_in

ReadExperiments = Callable[[PhaseSpec, Faults], tuple[Experiment, ...]]
"""The experiments of a phase as it is written; what is wrong with them is added to the faults."""

MOST_READS = 8_000
"""Reads of one invalidation: what was seen is one message."""
MOST_PROBES = 20_000
"""Writes, or requests for degraded responses, of one experiment; likewise."""
SEEN_WELL = 3.0
"""Seconds for which a service has to be well before it has recovered."""


def no_experiments(_: PhaseSpec, __: Faults) -> tuple[Experiment, ...]:
    """None at all."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentReader:
    """Reads the experiments of phases."""

    seed: int
    """The scenario's seed."""
    proxies: Set[str]
    """Names of the file's proxies, readable or not."""
    steps: Set[str]
    """Names of its steps, readable or not."""

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
            # Instants are rounded to milliseconds, so two that touch may differ by an ulp.
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
        expected = () if spec.expect is None else tuple(self._expected(spec.expect, spec, action, faults))
        verify = None if spec.verify is None else _verified(spec.verify, faults)
        asked = None if spec.expect is None or spec.expect.degraded is None else spec.expect.degraded.request
        for probe in (spec.verify, asked):
            if probe is not None and spec.lasts / probe.every > MOST_PROBES:
                what = f"more than {units.format_count(MOST_PROBES)} requests while it lasts"
                faults.add(probe.line(), what, "a longer 'every'")
        degraded = None if asked is None else _degraded(asked, faults)
        for number in range(spec.times):
            # From the names, and not from one generator in turn: another experiment in the file moves this one's instants
            # nowhere.
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
                verify=verify,
                degraded=degraded,
            )

    def _expected(self, spec: ExpectSpec, experiment: ExperimentSpec, action: Action, faults: Faults) -> Iterator[Expectation]:
        step = spec.step
        if step != ALL_STEPS and step not in self.steps:
            faults.add(spec.line("step"), f"there is no step {step!r}", did_you_mean(step, [*self.steps, ALL_STEPS]))
        if spec.errors is not None:
            yield Expectation(kind=Expected.ERRORS, limit=spec.errors, step=step)
        if spec.p95 is not None:
            yield Expectation(kind=Expected.P95, limit=spec.p95, step=step)
        if spec.degraded is not None:
            yield Expectation(
                kind=Expected.DEGRADED,
                limit=spec.degraded.share,
                step=step,
                statuses=tuple(spec.degraded.status),
                probed=spec.degraded.request is not None,
            )
        if spec.breaker is not None:
            found = spec.breaker
            if found.within > experiment.lasts:
                faults.add(spec.line("breaker"), "the breaker may open after the fault is over", "let the fault last longer")
            yield Expectation(
                kind=Expected.BREAKER,
                limit=found.within,
                step=step,
                statuses=tuple(found.status),
                fast=found.faster_than,
                metric=found.metric,
            )
        yield from _waited_for(spec, experiment, faults)
        for kind, limit in ((Expected.RETRIES, spec.retries), (Expected.LOAD, spec.load)):
            if limit is not None:
                yield Expectation(kind=kind, limit=limit, proxy=self._counted_at(spec, kind.value, action, faults))
        if spec.proxy and spec.retries is None and spec.load is None:
            faults.add(spec.line("proxy"), "'proxy' says where retries are counted, and no limit on 'retries' is given")
        yield from _expected_of_probes(spec, experiment, faults)

    def _counted_at(self, spec: ExpectSpec, key: str, action: Action, faults: Faults) -> str:
        """The proxy that counts retries: the one that is named or broken, or the only one."""
        broken = action.proxy if isinstance(action, NetworkAction) else ""
        # With one proxy there is no doubt which is meant.
        only = next(iter(self.proxies)) if len(self.proxies) == 1 else ""
        name = spec.proxy or broken or only
        if not name:
            faults.add(
                spec.line(key),
                f"nothing says at which proxy '{key}' counts",
                "add 'proxy: NAME'",
            )
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
        if spec.invalidate is not None:
            read = spec.invalidate.read
            if read is not None and read.readers * spec.lasts / read.every > MOST_READS:
                faults.add(read.line(), f"more than {MOST_READS} reads", "fewer readers, or a longer 'every'")
            return _invalidation(spec.invalidate, faults)
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


def _waited_for(spec: ExpectSpec, experiment: ExperimentSpec, faults: Faults) -> Iterator[Expectation]:
    """What has to be as before within some time."""
    if spec.failover is not None and spec.failover + SEEN_WELL > experiment.lasts:
        what = "the fault may be over before others have taken over"
        faults.add(spec.line("failover"), what, f"'for' has to be {units.format_duration(SEEN_WELL)} longer")
    waited = ((Expected.RECOVERY, spec.recovery), (Expected.FAILOVER, spec.failover), (Expected.HIT_RATE, spec.hit_rate))
    for kind, limit in waited:
        if limit is not None:
            yield Expectation(kind=kind, limit=limit, step=spec.step)


def _expected_of_probes(spec: ExpectSpec, experiment: ExperimentSpec, faults: Faults) -> Iterator[Expectation]:
    """What needs users that read, or writes that are read back."""
    invalidate = experiment.invalidate
    read = None if invalidate is None else invalidate.read
    for kind, limit in ((Expected.STALE, spec.stale), (Expected.CONSISTENCY, spec.consistency)):
        if limit is not None:
            if read is None:
                hint = "add 'read' under 'invalidate'"
                faults.add(spec.line(kind.value), f"nobody reads, so '{kind.value}' cannot be measured", hint)
            elif limit > experiment.lasts and kind is Expected.CONSISTENCY:
                faults.add(spec.line(kind.value), "reads end before this limit", "let 'for' last longer")
            yield Expectation(kind=kind, limit=limit)
    if spec.lost is not None:
        if experiment.verify is None:
            faults.add(spec.line("lost"), "nothing is written, so nothing can be lost", "add 'verify' to the experiment")
        yield Expectation(kind=Expected.LOST, limit=float(spec.lost))
    elif experiment.verify is not None:
        hint = "add 'lost: 0' under 'expect'"
        faults.add(experiment.line("verify"), "writes are read back, and no limit on 'lost' is given", hint)


def _invalidation(spec: InvalidateSpec, faults: Faults) -> InvalidateAction:
    read = None
    if spec.read is not None:
        by_version = bool(spec.read.version)
        read = Readers(
            request=_request(spec.read, faults, "reader", "value"),
            place=_place(spec.read.version or spec.read.value, spec.read.line("version" if by_version else "value"), faults),
            by_version=by_version,
            readers=spec.read.readers,
            every=spec.read.every,
        )
    if spec.redis is not None:
        for name in names_in(spec.redis.url):
            if not name.startswith("env."):
                faults.add(spec.redis.line("url"), f"${{{name}}} means nothing here", "only ${env.NAME} does")
        try:
            words = tuple(shlex.split(spec.redis.command))
        except ValueError as error:
            faults.add(spec.redis.line("command"), f"the command cannot be read: {error}")
            words = ()
        return InvalidateAction(by=RedisCommand(url=spec.redis.url, words=words), pattern=Pattern(spec.pattern), read=read)
    assert spec.write is not None
    return InvalidateAction(by=_request(spec.write, faults, "value"), pattern=Pattern(spec.pattern), read=read)


def _verified(spec: VerifySpec, faults: Faults) -> VerifiedWrites:
    if not any("${id}" in text for text in _texts(spec.read)):
        faults.add(spec.read.line(), "nothing says which write is read back", "put ${id} into the path, the query or a header")
    return VerifiedWrites(
        write=_request(spec.write, faults, "value"),
        place=_place(spec.id, spec.line("id"), faults),
        read=_request(spec.read, faults, "id"),
        every=spec.every,
        within=spec.within,
    )


def _degraded(spec: DegradedRequestSpec, faults: Faults) -> DegradedAnswers:
    if spec.equals and not spec.value:
        faults.add(spec.line("equals"), "nothing says what of the response 'equals' is about", "add 'value: $.name'")
    place = _place(spec.value, spec.line("value"), faults) if spec.value else ""
    return DegradedAnswers(request=_request(spec, faults), place=place, equals=spec.equals, every=spec.every)


def _place(text: str, line: int, faults: Faults) -> str:
    """A place in a response: ``json:$.name`` or ``header:etag``."""
    if text.startswith("header:") and len(text) > len("header:"):
        return text
    if not JSON_PATH.fullmatch(text):
        faults.add(line, f"{text!r} is no place in a response", "'$.name' for JSON, 'header:etag' for a header")
    return f"json:{text}"


def _texts(spec: ControlSpec) -> list[str]:
    return [spec.path, *spec.headers.values(), *spec.query.values()]


def _request(spec: ControlSpec, faults: Faults, *known: str) -> ControlRequest:
    """known: names of placeholders that mean something in it, next to those of the environment."""
    check_path(spec.path, spec.line("path"), faults)
    body = "" if spec.json_body is None else json.dumps(spec.json_body)
    texts: list[tuple[str, tuple[str, ...]]] = [(spec.path, ("path",)), (body, ("json",))]
    texts += [(value, ("headers", name)) for name, value in spec.headers.items()]
    texts += [(value, ("query", name)) for name, value in spec.query.items()]
    for text, key in texts:
        for name in names_in(text):
            if not name.startswith("env.") and name not in known:
                what = f"${{{name}}} means nothing here"
                hint = "a control request belongs to no user: only ${env.NAME} does"
                if known:
                    hint = f"known here: {', '.join(f'${{{each}}}' for each in (*known, 'env.NAME'))}"
                faults.add(spec.line(*key), what, hint)
    return ControlRequest(
        method=spec.method,
        path=spec.path,
        body=body,
        headers=tuple(spec.headers.items()),
        query=tuple(spec.query.items()),
    )
