"""All HTTP users of one phase, made from a scenario's compiled steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import trio

from velro_gate.engine.http.connection import Connection
from velro_gate.engine.http.owners import Owner
from velro_gate.engine.http.parsing.cache_layers import CacheLayers
from velro_gate.engine.http.parsing.headers import HeaderKinds
from velro_gate.engine.http.routes import Route
from velro_gate.engine.http.wiring import Wire
from velro_gate.engine.http_users.users import HttpContext, HttpUser
from velro_gate.engine.load.aside import Aside
from velro_gate.engine.load.failures import FailureLog
from velro_gate.engine.load.population import PhaseSetup
from velro_gate.engine.load.values import ValueLog
from velro_gate.engine.steps.observed import observed_metrics
from velro_gate.engine.steps.requests import Compiler
from velro_gate.engine.steps.shown import shown_origin
from velro_gate.engine.wire_population import WirePopulation, wire_of
from velro_gate.model.scenario import LoginAuth, Scenario, Step
from velro_gate.pacing import StepOrder, needs_of


class HttpPopulation(WirePopulation[HttpUser, HttpContext]):
    """See Population."""

    async def start(self, nursery: trio.Nursery, aside: Aside) -> None:
        """See Population."""
        await super().start(nursery, aside)
        nursery.start_soon(self._unpack, aside)

    async def _unpack(self, aside: Aside) -> None:
        try:
            await self.context.unpacking.run(aside)
        finally:
            self.context.documents.close()

    def unfinished(self) -> bool:
        """See Population: a body that is being unpacked has come in time, and is not looked at yet."""
        return super().unfinished() or self.context.unpacking.pending > 0


class HttpTransport:
    """How the users of a run send, compiled once for all of its phases.

    Args:
        layers: numbers the cache layers.
        hidden: values that must not be shown.
        connect: makes a connection; another one for simulated time, in which no socket can take part.

    Raises:
        UsageError, MissingVariableError: a placeholder has no value.
    """

    def __init__(
        self,
        scenario: Scenario,
        compiler: Compiler,
        layers: CacheLayers,
        *,
        hidden: Sequence[str] = (),
        connect: Callable[[Wire, Owner], Connection] = Connection,
    ) -> None:
        self.steps: Sequence[Step] = scenario.steps
        self.needs: StepOrder = needs_of(scenario)
        self._scenario, self._layers, self._hidden, self._connect = scenario, layers, hidden, connect
        self._compiled, self._login = compiler.steps(), compiler.login()
        self._kinds = HeaderKinds(compiler.captured_headers(), scenario.cache)
        self._redirects = compiler.redirects()

    def populate(self, setup: PhaseSetup, route: Route) -> HttpPopulation:
        """The users of one phase, which go this way to the service."""
        scenario, login = self._scenario, self._login
        wire = wire_of(setup, route, self._kinds)
        names = [step.name for step in (*self._compiled, *([login] if login else []))]
        context = HttpContext(
            now=setup.now,
            recorder=setup.recorder,
            seed=scenario.seed,
            failures=FailureLog(names, self._hidden),
            values=ValueLog([metric.name for metric in observed_metrics(scenario.metrics)]),
            connect=partial(self._connect, wire),
            layers=self._layers,
            login=login,
            token=scenario.auth.token if isinstance(scenario.auth, LoginAuth) else "",
            keep_cookies=scenario.cookies,
            secure=route.tls is not None,
            redirects=self._redirects,
            origin=shown_origin(scenario.target.url),
        )
        return HttpPopulation(wire, context, {index: HttpUser(index, context) for index in setup.users}, self._compiled)
