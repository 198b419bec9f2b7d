"""Can this machine carry out this plan? Checked before the first request, because the delay of a generator at its limit is
counted as service latency.

The forecast is compared with what the machine has. A plan that cannot work is refused with the number that is short; one that
may blur the figures is carried out with a caveat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from velro_gate.engine.machine.forecast import Forecast, PhaseForecast, descriptors_needed, forecast, forecast_phase
from velro_gate.engine.machine.limits import MachineLimits, raise_descriptor_limit, read_machine
from velro_gate.errors import InfeasibleError
from velro_gate.model.scenario import ALL_STEPS, Phase, Scenario
from velro_gate.units import (
    format_bytes,
    format_count,
    format_counted,
    format_number,
    format_rate,
    format_seconds,
    format_share,
)

__all__ = [
    "Forecast",
    "MachineLimits",
    "PhaseForecast",
    "Shortfall",
    "descriptors_needed",
    "forecast",
    "raise_descriptor_limit",
    "read_machine",
    "require_feasible",
    "shortfalls",
]

CPU_CAVEAT, CPU_FATAL = 0.70, 1.00
"""Forecast shares of a core. A run that measures more than 90 % is broken, but machines differ and a forecast errs upward: only
what cannot work at all is refused for it.
"""

_BUSY_USERS = 0.5
"""Share of the users that may be waiting for a response on average. Above it an arrival often finds its user busy, and response
times contain waits that the service did not cause.
"""
_USUAL_SECONDS = 0.1
"""The mean response time that is assumed where the scenario has no latency limit."""
_TIGHT_MEMORY = 0.7
"""Share of the machine's memory that a plan may take: the forecast is an estimate, and the service and the system need memory
too.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """One need that is not met, or hardly."""

    code: str
    """A name for programs; it stays."""
    phase: str
    needed: float
    """What the plan needs, in base units."""
    available: float
    """What there is, in base units."""
    sentence: str
    hint: str
    fatal: bool
    """Whether the plan is refused."""


def shortfalls(
    phases: Sequence[Phase],
    *,
    scenario: Scenario,
    machine: MachineLimits,
    service_is_local: bool,
    shards: int = 1,
    target_addresses: int = 1,
) -> tuple[Shortfall, ...]:
    """Every need of the plan that this machine does not meet or hardly meets, phase by phase; empty when all is well."""
    target = scenario.target
    found: list[Shortfall | None] = [_foreign(phases[0], machine)] if phases else []
    previous = 0
    # A connection to a unix socket takes no port.
    pairs = max(len(target.source_addresses), 1) * target_addresses if target.unix_socket is None else None
    for phase in phases:
        part = forecast_phase(phase, scenario=scenario, shards=shards)
        found += [
            _descriptors(phase, machine, shards),
            None if pairs is None else _ports(phase, previous, machine, pairs, service_is_local),
            _memory(part, machine),
            _users_for_rate(phase, scenario),
            _cpu(part, machine, shards, service_is_local),
            _accept_queue(phase, machine, service_is_local),
        ]
        previous = phase.users
    return tuple(shortfall for shortfall in found if shortfall is not None)


def require_feasible(
    phases: Sequence[Phase],
    *,
    scenario: Scenario,
    machine: MachineLimits | None = None,
    service_is_local: bool,
    shards: int = 1,
) -> tuple[Shortfall, ...]:
    """Refuse a plan that this machine cannot carry out; the caveats of one that it can.

    Raises:
        InfeasibleError: names the number that is short, and every further one.
    """
    limits = machine if machine is not None else read_machine(sources=scenario.target.source_addresses)
    found = shortfalls(phases, scenario=scenario, machine=limits, service_is_local=service_is_local, shards=shards)
    fatal = [shortfall for shortfall in found if shortfall.fatal]
    if fatal:
        others = " ".join(dict.fromkeys(shortfall.sentence for shortfall in fatal[1:]))
        raise InfeasibleError(fatal[0].sentence, where=f"phase {fatal[0].phase}", why=others or None, hint=fatal[0].hint)
    return found


def _foreign(phase: Phase, machine: MachineLimits) -> Shortfall | None:
    foreign = machine.foreign_sources
    if not foreign:
        return None
    named = f"{', '.join(foreign)} {'is not an address' if len(foreign) == 1 else 'are not addresses'} of this machine"
    return Shortfall(
        code="source_addresses",
        phase=phase.name,
        needed=len(foreign),
        available=0,
        sentence=f"Connections are to come from target.source_addresses, but {named}.",
        hint="'ip address' shows this machine's; on loopback all of 127.0.0.0/8 are.",
        fatal=True,
    )


def _descriptors(phase: Phase, machine: MachineLimits, shards: int) -> Shortfall | None:
    needed, available = descriptors_needed([phase], shards=shards), machine.descriptors_reachable
    if needed <= available:
        return None
    return Shortfall(
        code="descriptors",
        phase=phase.name,
        needed=needed,
        available=available,
        sentence=f"{format_count(phase.users)} users need {format_count(needed)} open files, and this process may open "
        f"{format_count(available)}.",
        hint=f"Raise the limit of open files ('ulimit -Hn {2 * needed}' as root, or LimitNOFILE= of the runner's service).",
        fatal=True,
    )


def _ports(phase: Phase, previous: int, machine: MachineLimits, pairs: int, service_is_local: bool) -> Shortfall | None:
    """A connection takes a local port per (source address, target); the last phase's linger a minute in TIME_WAIT."""
    if machine.ports is None:
        return None
    available = machine.ports * pairs
    lingering = 0 if service_is_local else previous  # on loopback Linux takes a port from TIME_WAIT after a second
    if phase.users + lingering <= available:
        return None
    fatal = phase.users > available
    needed = phase.users if fatal else phase.users + lingering
    with_them = "" if fatal else f" together with the {format_count(lingering)} that the phase before leaves in TIME_WAIT"
    return Shortfall(
        code="ports",
        phase=phase.name,
        needed=needed,
        available=available,
        sentence=f"{format_count(phase.users)} users{with_them} need {format_count(needed)} local ports, and there are "
        f"{format_count(available)} to the target.",
        hint="Name several addresses of this machine as target.source_addresses, widen the range ('sysctl -w "
        'net.ipv4.ip_local_port_range="1024 65535"\'), or use fewer users.',
        fatal=fatal,
    )


def _memory(part: PhaseForecast, machine: MachineLimits) -> Shortfall | None:
    if machine.memory is None or part.memory <= _TIGHT_MEMORY * machine.memory:
        return None
    fatal = part.memory > machine.memory
    has = f"{format_bytes(machine.memory)} {'is' if fatal else 'is all that is'} free"
    load = f"{format_count(part.users)} users with {format_count(part.requests)} requests"
    return Shortfall(
        code="memory",
        phase=part.name,
        needed=part.memory,
        available=machine.memory,
        sentence=f"{load} need about {format_bytes(part.memory)}, and {has}.",
        hint="Free some memory ('ps aux --sort=-rss' lists what holds it), shorten the phase, or use fewer users.",
        fatal=fatal,
    )


def _users_for_rate(phase: Phase, scenario: Scenario) -> Shortfall | None:
    """Little's law: rate x mean response time = users waiting, and a user waits for one answer at a time.

    Where half of the users would be waiting at the latency limit itself, a user is often still waiting when its next arrival
    falls due, and response times contain that wait. Never a reason to refuse a plan: a limit says how slow a service may be,
    not how slow it is, and loosening it must not make a plan impossible. Without a limit a common answer's time stands in.
    """
    rate, limit = phase.offered_rate, mean_latency_limit(phase, scenario)
    if rate is None:
        return None
    assumed = _USUAL_SECONDS if limit is None else limit
    waiting = rate * assumed
    if waiting < _BUSY_USERS * phase.users:
        return None
    users, offered = format_counted(phase.users, "user"), format_rate(rate)
    each = format_seconds(phase.users / rate)
    because = "" if limit is None else f", and the limit allows {format_seconds(limit)}"
    needed = math.floor(waiting / _BUSY_USERS) + 1
    return Shortfall(
        code="users",
        phase=phase.name,
        needed=needed,
        available=phase.users,
        sentence=f"{users} can send {offered} only while responses take {each} or less on average{because}: with slower ones "
        "response times contain waits behind the same user's earlier request (users = rate x response time).",
        hint=f"Give the phase at least {format_counted(needed, 'user')}, or a lower rate.",
        fatal=False,
    )


def mean_latency_limit(phase: Phase, scenario: Scenario) -> float | None:
    """Seconds that the mean answer may take when every latency requirement is just met; None when there is none.

    The tightest limit on all steps together; else the steps' own limits weighted by how often each is sent, a step without a
    limit counting as instant, so that no plan is refused on a guess.
    """
    limits = [r for r in phase.requirements if r.definition.of_service_time]
    overall = [r.target for r in limits if r.step == ALL_STEPS]
    if overall:
        return min(overall)
    own = {step.name: min((r.target for r in limits if r.step == step.name), default=0.0) for step in scenario.steps}
    mean = sum(step.probability * own[step.name] for step in scenario.steps) / scenario.requests_per_journey
    return mean or None


def _cpu(part: PhaseForecast, machine: MachineLimits, shards: int, service_is_local: bool) -> Shortfall | None:
    """Every shard is one thread and so has one core at most; a local service needs at least one for itself."""
    cores = min(float(shards), machine.cores)
    share = part.cpu_share / cores
    if share <= CPU_CAVEAT:
        return _crowded(part, machine, shards) if service_is_local else None
    # How fast a closed loop goes is the service's choice, so its forecast is a bound and no reason to refuse.
    fatal = share > CPU_FATAL and part.answer_within is not None
    return Shortfall(
        code="cpu",
        phase=part.name,
        needed=part.cpu_share,
        available=cores * (CPU_FATAL if fatal else CPU_CAVEAT),
        sentence=f"{format_rate(part.rate)} with {format_counted(part.users, 'user')} take about "
        f"{format_share(share)} of {_of_cores(cores)}.",
        hint="Use more shards (cores), a lower rate or a longer ramp.",
        fatal=fatal,
    )


def _crowded(part: PhaseForecast, machine: MachineLimits, shards: int) -> Shortfall | None:
    if machine.cores >= shards + 1:
        return None
    return Shortfall(
        code="crowded",
        phase=part.name,
        needed=shards + 1,
        available=machine.cores,
        sentence=f"The service and the load share {_of_cores(machine.cores)}: each slows the other down.",
        hint="Run the service on another machine, or use a runner with more cores.",
        fatal=False,
    )


def _of_cores(cores: float) -> str:
    return f"{format_number(cores)} core{'s' if cores != 1 else ''}"


def _accept_queue(phase: Phase, machine: MachineLimits, service_is_local: bool) -> Shortfall | None:
    """Users that connect all at once overflow the accept queue; the kernel then makes them wait a second and try again."""
    if not service_is_local or machine.listen_backlog is None or phase.ramp > 0.0 or phase.users <= machine.listen_backlog:
        return None
    return Shortfall(
        code="accept_queue",
        phase=phase.name,
        needed=phase.users,
        available=machine.listen_backlog,
        sentence=f"{format_count(phase.users)} users connect without a ramp, and a listening socket queues "
        f"{format_count(machine.listen_backlog)}.",
        hint="Give the phase a ramp, or raise net.core.somaxconn and the service's own backlog.",
        fatal=False,
    )
