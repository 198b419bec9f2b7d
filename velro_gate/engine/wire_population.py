"""What populations have in common whose connections are those of ``engine.http``: one poller, one wire, users that lie idle."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

import trio

from velro_gate.engine.client.transport import WireTransport
from velro_gate.engine.http.connection import Connection
from velro_gate.engine.http.parsing.headers import HeaderKinds
from velro_gate.engine.http.poller import Poller
from velro_gate.engine.http.replicas import keep_checking
from velro_gate.engine.http.routes import Route, keep_looking_up
from velro_gate.engine.http.wiring import Wire
from velro_gate.engine.load.aside import Aside
from velro_gate.engine.load.context import PhaseContext
from velro_gate.engine.load.deadlines import expire_overdue
from velro_gate.engine.load.population import ConnectionCounts, PhaseSetup
from velro_gate.engine.load.scheduling import ArrivalSource
from velro_gate.engine.steps.requests import CompiledStep

_AT_A_TIME = 256
"""Users whose connections are closed between two turns of the loop."""


class Closable(Protocol):
    """One or more connections of a user."""

    def close(self) -> None:
        """Let go of them; harmless when closed."""


class WireUser(Protocol):
    """A user with connections of ``engine.http``."""

    @property
    def connection(self) -> Closable:
        """What it sends over."""

    @property
    def waiting(self) -> deque[tuple[float, CompiledStep]]:
        """Arrivals that it has not begun."""

    def arrive(self, due: float, step: CompiledStep) -> None:
        """A request, or a journey, falls due."""

    def join(self) -> None:
        """Connect ahead of the first request."""

    def cancel(self) -> None:
        """Give up on what is under way, and let go of the connections."""


def wire_of(setup: PhaseSetup, route: Route, kinds: HeaderKinds) -> Wire:
    """What all connections of a phase share; its poller is closed with the population."""
    return Wire(route, Poller(now=setup.now, stalls=setup.stalls), setup.now, kinds)


U = TypeVar("U", bound=WireUser)
C = TypeVar("C", bound=PhaseContext)


class WirePopulation(Generic[U, C]):
    """See Population.

    Args:
        users: by index, in the order in which they connect.
        steps: what a step index stands for.
    """

    def __init__(self, wire: Wire, context: C, users: dict[int, U], steps: list[CompiledStep]) -> None:
        self._wire, self._users, self._steps = wire, users, steps
        self.context = context

    @property
    def users(self) -> list[int]:
        """See Population."""
        return list(self._users)

    def deliver(self, due: float, user: int, step: int) -> None:
        """See Population."""
        self._users[user].arrive(due, self._steps[step])

    def arrivals(self, planned: ArrivalSource, until: float) -> ArrivalSource:  # noqa: ARG002 - the interface's
        """See Population: what falls due is what was planned."""
        return planned

    async def start(self, nursery: trio.Nursery, aside: Aside) -> None:  # noqa: ARG002 - the interface's
        """See Population."""
        nursery.start_soon(self._wire.poller.run)
        route = self._wire.route
        if route.names:
            nursery.start_soon(keep_looking_up, route)
        if route.replicas is not None:
            nursery.start_soon(keep_checking, route.replicas, lambda: route.endpoints, route.tls, route.server_name, self._move)

    def _move(self) -> None:
        """Let idle connections go to the replicas that they belong to."""
        for user in self._users.values():
            if isinstance(user.connection, Connection | WireTransport):
                user.connection.move()

    def join(self, user: int) -> None:
        """See Population."""
        self._users[user].join()

    def nudge(self) -> None:
        """See Population: the accept queue of a unix socket does not say when it has room again."""
        self._wire.dials.nudge()

    def catch_up(self) -> None:
        """See Population."""
        self._wire.poller.catch_up()

    def waiting(self) -> Iterator[tuple[float, int]]:
        """See Population."""
        for user in self._users.values():
            for due, step in user.waiting:
                yield due, step.index

    def unfinished(self) -> bool:
        """See Population."""
        return len(self.context.buckets) > 0

    def connections(self) -> ConnectionCounts:
        """See Population."""
        wire = self._wire
        return ConnectionCounts(
            established=wire.established,
            opened=wire.opened,
            sessions_reused=wire.sessions_reused,
            tls_fault=wire.tls_fault,
            lacking=frozenset(wire.lacking),
        )

    async def close(self) -> None:
        """See Population. Other tasks of the process get their turns meanwhile."""
        self._wire.dials.shut()
        # What the last sweep did not reach has timed out all the same: it must not pass for cancelled, nobody's error.
        await expire_overdue(self.context.buckets, self.context.now())
        for number, user in enumerate(self._users.values()):
            user.cancel()
            if number % _AT_A_TIME == 0:
                await trio.lowlevel.checkpoint()

    def abandon(self) -> None:
        """See Population."""
        for user in self._users.values():
            user.connection.close()
        self._wire.poller.close()
