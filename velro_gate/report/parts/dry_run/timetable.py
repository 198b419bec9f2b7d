"""When what is broken on purpose, in words: what a dry run says of the experiments of a plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from velro_gate import units
from velro_gate.model.resilience.experiment import (
    Action,
    Blow,
    CommandAction,
    InvalidateAction,
    NetworkAction,
    Pattern,
    PressureAction,
    ProcessAction,
    RequestAction,
)
from velro_gate.model.resilience.network import NetworkFault, Outage
from velro_gate.model.resilience.probes import RedisCommand
from velro_gate.model.scenario import Phase
from velro_gate.report.sentences.kinds.experiments import expectation_limit, expectation_subject, experiment_name

_OUTAGES = {
    Outage.REFUSE: "refuses connections",
    Outage.RESET: "resets connections",
    Outage.BLACK_HOLE: "lets nothing pass",
    Outage.HALF_OPEN: "loses the dependency's end of its connections",
}
_PATTERNS = {Pattern.KEY: "one cached key", Pattern.TAG: "all cached keys of a tag", Pattern.ALL: "the whole cache"}
_BLOWS = {Blow.FREEZE: "is frozen", Blow.STOP: "gets SIGTERM", Blow.KILL: "gets SIGKILL"}


def timetable(phases: Sequence[Phase]) -> Iterator[str]:
    """One line for each experiment, by phase and time."""
    for phase in phases:
        for each in phase.experiments:
            begin, end = units.format_duration(each.at), units.format_duration(each.ends)
            name = experiment_name(each.name, each.repeat)
            expected = ", ".join(f"{expectation_subject(one)} {expectation_limit(one)}" for one in each.expected)
            yield (
                f"Experiment {name} in {phase.name}, from {begin} to {end} of the measured stretch: {_what(each.action)}. "
                f"Expected: {expected or 'nothing'}."
            )


def _what(action: Action) -> str:
    match action:
        case NetworkAction(proxy=proxy, fault=fault):
            return f"the proxy {proxy} {_network(fault)}"
        case ProcessAction(blow=blow, of=of, start=start):
            return f"the process {of} {_BLOWS[blow]}{', and is started again by a command' if start else ''}"
        case PressureAction(of=of, cpu=cpu, memory=memory):
            limits = [
                *([] if cpu is None else [f"{units.format_number(cpu, digits=3)} cores"]),
                *([] if memory is None else [units.format_bytes(memory)]),
            ]
            return f"the control group of {of} has {' and '.join(limits)}"
        case RequestAction(begin=begin, undo_by=undo):
            return f"{begin.method} {begin.path}{'' if undo is None else f', undone by {undo.method} {undo.path}'}"
        case CommandAction(undo_run=undo):
            return f"a command{', undone by another one' if undo else ''}"
        case InvalidateAction(by=by, pattern=pattern, read=read):
            what = f"Redis gets {by.words[0] if by.words else ''}" if isinstance(by, RedisCommand) else f"{by.method} {by.path}"
            readers = "" if read is None else f", read by {read.readers} {'user' if read.readers == 1 else 'users'}"
            return f"{what}, which makes {_PATTERNS[pattern]} invalid{readers}"


def _network(fault: NetworkFault) -> str:
    if fault.outage is not None:
        return _OUTAGES[fault.outage]
    parts = []
    if fault.delay:
        jitter = f" ± {units.format_seconds(fault.jitter)}" if fault.jitter else ""
        parts.append(f"delays responses by {units.format_seconds(fault.delay)}{jitter}")
    if fault.bandwidth is not None:
        parts.append(f"passes {units.format_bytes(fault.bandwidth)}/s")
    if fault.cut_after is not None:
        parts.append(f"cuts connections after {units.format_bytes(fault.cut_after)}")
    return ", ".join(parts)
