"""All users of one phase whose journeys are Python functions: what was asked for, the tasks they run in, and the arrivals.

The counts: what fell due are all rows, and each journey that was never begun, blocked or missed, as a request of the first
step.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import trio

from velro_gate.arrays import Ints
from velro_gate.engine.client.http2 import Http2Carrier
from velro_gate.engine.client.transport import WireTransport
from velro_gate.engine.http.parsing.cache_layers import CacheLayers
from velro_gate.engine.http.parsing.headers import HeaderKinds
from velro_gate.engine.http.routes import Route
from velro_gate.engine.http.wiring import MOST_ANSWER, Wire
from velro_gate.engine.journeys.api import find_function
from velro_gate.engine.journeys.recording import Carrier, Label
from velro_gate.engine.journeys.users import JourneyPhase, JourneySpec, JourneyUser
from velro_gate.engine.load.aside import Aside
from velro_gate.engine.load.context import PhaseContext
from velro_gate.engine.load.failures import FailureLog
from velro_gate.engine.load.population import PhaseSetup
from velro_gate.engine.load.scheduling import ArrivalSource
from velro_gate.engine.load.timer import Alarm
from velro_gate.engine.load.values import ValueLog
from velro_gate.engine.steps.observed import observation_of, observed_metrics
from velro_gate.engine.steps.requests import CompiledStep, Compiler
from velro_gate.engine.wire_population import WirePopulation, wire_of
from velro_gate.model.scenario import Journey, Scenario, Step
from velro_gate.pacing import StepOrder


class JourneyArrivals:
    """The arrivals of a phase whose requests are known only afterwards."""

    def __init__(
        self, inner: ArrivalSource, journeys: JourneyPhase, waiting: Callable[[], Iterator[tuple[float, int]]]
    ) -> None:
        self._inner, self._journeys, self._waiting = inner, journeys, waiting

    @property
    def finished(self) -> bool:
        """See ArrivalSource."""
        return self._inner.finished

    async def play(self, alarm: Alarm) -> None:
        """See ArrivalSource."""
        await self._inner.play(alarm)

    def cut(self, at: float) -> float:
        """See ArrivalSource."""
        return self._inner.cut(at)

    def due(self, steps: int, start: float, until: float) -> Ints:
        """Every request that was made or missed, and one for each journey that was never begun."""
        books = self._journeys.books
        # What no request of a journey stands for yet.
        apart = [*self._waiting(), *self._journeys.context.missed]
        dues = np.array([*books.dues, *(due for due, _ in apart)])
        chosen = np.array([*books.steps, *(step for _, step in apart)], np.uint16)
        made = np.bincount(chosen[(dues >= start) & (dues < until)], minlength=steps)
        return made + self._inner.missed(steps, start, until)

    def missed(self, steps: int, start: float, until: float) -> Ints:
        """See ArrivalSource."""
        return self._inner.missed(steps, start, until)


class JourneyPopulation(WirePopulation[JourneyUser, PhaseContext]):
    """See Population."""

    def __init__(self, wire: Wire, journeys: JourneyPhase, users: dict[int, JourneyUser], steps: list[CompiledStep]) -> None:
        super().__init__(wire, journeys.context, users, steps)
        self._journeys = journeys

    def arrivals(self, planned: ArrivalSource, until: float) -> ArrivalSource:
        """See Population: an arrival is a journey, which makes any number of requests."""
        self._journeys.until = until
        return JourneyArrivals(planned, self._journeys, self.waiting)

    async def start(self, nursery: trio.Nursery, aside: Aside) -> None:
        """See Population."""
        await super().start(nursery, aside)
        await nursery.start(self._journeys.run)

    def unfinished(self) -> bool:
        """See Population: between two requests of a journey, or two journeys, none is in flight."""
        if super().unfinished():
            return True
        return not self.context.closing and (self._journeys.starting > 0 or any(True for _ in self.waiting()))


class JourneyTransport:
    """How the journeys of a run send: over HTTP/1.1, or over HTTP/2 where the target speaks it.

    Args:
        layers: numbers the cache layers.
        hidden: values that must not be shown.

    Raises:
        JourneyError: the journey cannot be imported. UsageError, MissingVariableError: a placeholder has no value.
    """

    def __init__(
        self, scenario: Scenario, journey: Journey, compiler: Compiler, layers: CacheLayers, *, hidden: Sequence[str] = ()
    ) -> None:
        # A journey stands for the first step until it makes requests.
        self.steps: Sequence[Step] = scenario.steps[:1]
        self.needs: StepOrder = ()
        self._scenario, self._layers, self._hidden = scenario, layers, hidden
        self._compiled = compiler.steps()
        self._kinds = HeaderKinds(compiler.captured_headers(), scenario.cache)
        self._spec = journey_spec(scenario, journey, compiler)

    def populate(self, setup: PhaseSetup, route: Route) -> JourneyPopulation:
        """The users of one phase, which go this way to the service; when it ends is not known yet."""
        scenario = self._scenario
        wire = wire_of(setup, route, self._kinds)
        # Made once: it takes longer than a request. Without TLS it is not used.
        tls_context = route.tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

        def carrier() -> Carrier:
            """What one user's requests go over: each user has connections of its own, as a browser has."""
            if scenario.target.http2:
                return Http2Carrier(wire, tls_context)
            return WireTransport(wire, scenario.target.url, most_answer=MOST_ANSWER)

        context = PhaseContext(
            now=setup.now,
            recorder=setup.recorder,
            seed=scenario.seed,
            failures=FailureLog([step.name for step in scenario.steps], self._hidden),
            values=ValueLog([metric.name for metric in observed_metrics(scenario.metrics)]),
        )
        journeys = JourneyPhase(
            spec=self._spec,
            context=context,
            layers=self._layers,
            seed=f"{scenario.seed}/journey/{setup.phase.name}",
            carrier=carrier,
        )
        return JourneyPopulation(wire, journeys, {index: JourneyUser(index, journeys) for index in setup.users}, self._compiled)


def journey_spec(scenario: Scenario, journey: Journey, compiler: Compiler) -> JourneySpec:
    """What the journeys of a scenario need to know.

    Raises:
        JourneyError: the journey cannot be imported. UsageError, MissingVariableError: a placeholder has no value.
    """
    labels = [
        Label(
            index=i,
            name=step.name,
            timeout=step.timeout,
            expected=step.expect_status,
            headers=compiler.headers(step),
            observe=observation_of(step.name, scenario.metrics),
        )
        for i, step in enumerate(scenario.steps)
    ]
    return JourneySpec(
        function=find_function(journey),
        name=journey.function,
        folders=journey.folders,
        base_url=scenario.target.url,
        labels=labels,
        feeders={feeder.name: feeder for feeder in scenario.feeders},
        authorization=compiler.bearer(),
        keep_cookies=scenario.cookies,
    )
