"""Whether a plan can be sent by the workers of a cluster: asked before the first request."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from velro_gate.cluster.connect import Cluster
from velro_gate.engine.machine.feasibility import Shortfall, require_feasible
from velro_gate.errors import InfeasibleError, UsageError
from velro_gate.model.scenario import ClosedArrivals, OpenArrivals, Phase, Scenario


def require_sendable(cluster: Cluster, scenario: Scenario, secrets: Mapping[str, str], *, service_is_local: bool) -> None:
    """Refuse what workers on other machines cannot do, or must not be given.

    Raises:
        UsageError: names the reason.
    """
    foreign = next(
        (name for name, one in zip(cluster.names, cluster.facts, strict=True) if one.machine != cluster.here.machine), None
    )
    if foreign is None:
        return
    target = scenario.target
    if service_is_local:
        raise UsageError(
            f"the service at {target.unix_socket or target.url} is this machine's own, and {foreign} is on another machine",
            hint="Give the service an address that every worker can reach, with --url.",
        )
    if target.source_addresses:
        raise UsageError(
            f"target.source_addresses are addresses of one machine, and {foreign} is on another one",
            hint="Leave them out: with several machines there are as many addresses.",
        )
    # The order to a worker holds them, and without TLS anybody on the network reads it.
    if (secrets or target.client_key is not None) and not cluster.tls:
        raise UsageError(
            f"the scenario's secrets would be sent unencrypted to {foreign}",
            where=cluster.scheduler,
            hint="Start scheduler and workers with TLS (docs/cluster.md), and name the scheduler as tls://HOST:PORT.",
        )


def require_capable(
    cluster: Cluster, phases: Sequence[Phase], scenario: Scenario, *, service_is_local: bool
) -> list[Shortfall]:
    """Refuse a plan of which a machine cannot carry its part; the caveats of one that each can, named by machine.

    Raises:
        InfeasibleError: names the first worker of a machine that is short of something.
    """
    caveats: list[Shortfall] = []
    seen: set[str] = set()
    for index, one in enumerate(cluster.facts):
        # Ports, memory and cores belong to a machine: all its workers are looked at together.
        if one.machine in seen:
            continue
        seen.add(one.machine)
        shards = cluster.neighbours[index]
        part = [share_of_phase(phase, shards / cluster.count) for phase in phases]
        name = cluster.names[index] if shards == 1 else f"{one.host or cluster.workers[index]} with {shards} workers"
        try:
            found = require_feasible(
                part, scenario=scenario, machine=one.limits, service_is_local=service_is_local, shards=shards
            )
        except InfeasibleError as error:
            raise InfeasibleError(f"{name}: {error.what}", where=error.where, why=error.why, hint=error.hint) from error
        caveats += [replace(each, sentence=f"{name}: {each.sentence}") for each in found]
    return caveats


def share_of_phase(phase: Phase, share: float) -> Phase:
    """The part of a phase that some of the shards send."""
    arrivals = phase.arrivals
    if isinstance(arrivals, OpenArrivals):
        arrivals = replace(arrivals, rate=arrivals.rate * share)
    assert isinstance(arrivals, OpenArrivals | ClosedArrivals)
    return replace(phase, users=max(1, math.ceil(phase.users * share)), arrivals=arrivals)
