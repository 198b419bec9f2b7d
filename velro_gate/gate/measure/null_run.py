"""The null run: a plan's peak load against the responder, so that what is measured is the generator alone.

Same methods, paths, headers and bodies as the plan's own steps, the same arrivals, the same engine. What differs: the response
is always the same small one, so nothing in it is checked or captured; stand-ins take the place of secrets and captured values;
and it is plain HTTP, also where the service speaks TLS. A journey written in Python gives way to one that makes a plain request
for each step: its own code could not go on from such responses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import urlsplit

import trio

from velro_gate import units
from velro_gate.analysis.summaries.null_run import generator_noise, lateness_quantiles
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.analysis.verdict.trust.checks import phase_findings
from velro_gate.analysis.verdict.trust.delay import noise_findings
from velro_gate.engine.journeys.api import WALK
from velro_gate.engine.machine.feasibility import MachineLimits, raise_descriptor_limit, read_machine
from velro_gate.engine.machine.forecast import DESCRIPTOR_MARGIN, forecast_phase
from velro_gate.engine.responder.process import RunningResponder, running_responder
from velro_gate.engine.run import Load, nobody
from velro_gate.errors import BrokenError, VelroError
from velro_gate.gate.measure.sending import send_load
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.record import GeneratorNoise, PhaseSummary
from velro_gate.model.run import Progress
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import LoginAuth, NoAuth, OpenArrivals, Phase, Scenario, Step, Target
from velro_gate.model.verdict import Trust, TrustFinding
from velro_gate.scenario import required_variables

SECONDS = 5.0
"""How long the generator alone is measured before a run."""

MOST_RATE = 30_000.0
"""Requests per second; half of what the responder answers on one core, so that it is never what is measured."""

_PORT_SHARE = 0.45
"""Of the local ports to one target. Linux hands out one half of them, every other one, at once; beyond that half each
connection is a search through thousands of ports, which stops the loop for milliseconds: a matter of connecting, not of noise.
"""

_JOINS_A_SECOND = 3_000.0
"""Users that connect in a second of the ramp, so that the responder's accept queue does not overflow."""
_LEAST_RAMP = 0.5
"""Seconds."""
# As long as a usual token or id: what is sent must have about the length of what the real run sends.
_STAND_IN = "x" * 32
_NAME = "the null run"
_ELSEWHERE = RunningResponder(url="http://127.0.0.1:9", pid=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class NullRun:
    """What a null run showed."""

    noise: GeneratorNoise
    summary: PhaseSummary
    lateness: tuple[float, float, float]
    """Its p50, p95 and p99 in seconds."""
    own: tuple[TrustFinding, ...]
    """Doubts about the generator at this load."""
    limits: tuple[TrustFinding, ...]
    """Latency limits of the plan that are too near to the noise."""
    answered: int | None
    """The responder's own count."""

    @property
    def limits_broken(self) -> int:
        """How many phases of the plan have a limit that the noise eats too much of."""
        return sum(found.trust is Trust.BROKEN for found in self.limits)

    @property
    def broken(self) -> bool:
        """Whether the generator was at its limit, or is too noisy for a limit of the plan."""
        return any(found.trust is Trust.BROKEN for found in (*self.own, *self.limits))


async def null_run(
    setup: Setup, *, seconds: float, stop: trio.Event, observe: Callable[[Progress], None] = nobody
) -> NullRun | None:
    """Measure the generator alone for ``seconds``, not counting the ramp; None if ``stop`` was set meanwhile.

    Raises:
        BrokenError: the responder did not start or stopped responding, or nothing was answered.
    """
    cluster = setup.cluster
    machine = read_machine() if cluster is None else cluster.limits
    shards = setup.shard_count(machine)
    phase = null_phase(setup.phases, setup.scenario, seconds, machine)
    raise_descriptor_limit(phase.users + DESCRIPTOR_MARGIN)
    parts: list[Samples] = []
    # Each worker of a cluster has a responder of its own, which the load is sent to instead of this address.
    async with running_responder() if cluster is None else nullcontext(_ELSEWHERE) as responder:
        load = Load(
            scenario=null_scenario(setup.scenario, responder.url),
            phases=(phase,),
            secrets=stand_ins(setup),
        )
        origin = trio.current_time()
        result = await send_load(
            setup,
            shards,
            load,
            origin=origin,
            sink=lambda _, samples: parts.append(samples),
            observe=observe,
            stop=stop,
            responder=True,
        )
    if result.interrupted:
        return None
    (ran,) = result.phases
    samples = Samples.concatenate(parts)
    summary = summarise(phase, setup.plan.steps, ran, samples, (), ())
    noise, lateness = generator_noise(summary), lateness_quantiles(ran, samples)
    if not summary.complete or noise is None or lateness is None:
        raise BrokenError(
            "the generator alone could not be measured",
            why=ran.service_gone or "; ".join(ran.shards_lost) or "no request of the null run was answered",
            hint="Check whether this machine is out of memory or processes, then run again.",
        )
    return NullRun(
        noise=noise,
        summary=summary,
        lateness=lateness,
        own=tuple(phase_findings(phase, summary)),
        limits=tuple(found for planned in setup.phases for found in noise_findings(planned, noise)),
        answered=responder.answered,
    )


class MeasureNullRun(Protocol):
    """What makes a null run: ``null_run``."""

    async def __call__(
        self, setup: Setup, *, seconds: float, stop: trio.Event, observe: Callable[[Progress], None]
    ) -> NullRun | None:
        """See ``null_run``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NullRunMissing:
    """The generator alone was not measured."""

    reason: str
    """Why, in a sentence for the run's notes."""


class Calibration:
    """Measures the generator alone the first time that it is asked, and gives the same result from then on."""

    def __init__(self, seconds: float = SECONDS, measure: MeasureNullRun = null_run) -> None:
        self._seconds = seconds
        self._measure = measure
        self._noise: GeneratorNoise | None = None

    async def noise(
        self,
        setup: Setup,
        *,
        stop: trio.Event,
        say: Callable[[str], None] = nobody,
        observe: Callable[[Progress], None] = nobody,
    ) -> GeneratorNoise | NullRunMissing:
        """The generator's own noise, or why it is not known.

        When it would break the run it is measured once more, and the calmer one counts: what a neighbour does for a moment is
        no property of the generator, and the run itself is watched for it.
        """
        if self._noise is not None:
            return self._noise
        made: list[NullRun] = []
        say(f"null run: measuring the generator alone for {units.format_duration(self._seconds)}")
        try:
            while len(made) < 2 and (not made or made[0].limits_broken):
                one = await self._measure(setup, seconds=self._seconds, stop=stop, observe=observe)
                if one is None:
                    return NullRunMissing(reason="the generator alone was not measured, since the run was interrupted")
                made.append(one)
        except VelroError as error:
            why = f": {error.why}" if error.why else ""
            what = "the generator alone was not measured, so what it adds to response times is not known"
            return NullRunMissing(reason=f"{what}: {error.what}{why}")
        self._noise = min(made, key=lambda one: (one.limits_broken, one.noise.p99)).noise
        return self._noise


def null_phase(phases: Sequence[Phase], scenario: Scenario, seconds: float, machine: MachineLimits) -> Phase:
    """The phase of a null run: the highest rate of the plan with its users, as many as this machine can connect.

    A closed loop has no rate of its own; it counts with what its users ask for when they are answered at once.
    """
    rates = [forecast_phase(phase, scenario=scenario).rate for phase in phases]
    rate, peak = max(zip(rates, phases, strict=True), key=lambda pair: (pair[0], pair[1].users))
    ports = round(_PORT_SHARE * machine.ports) if machine.ports is not None else peak.users
    users = max(1, min(peak.users, machine.descriptors_reachable - DESCRIPTOR_MARGIN, ports))
    limits = [phase.tightest_latency_limit for phase in phases if phase.tightest_latency_limit is not None]
    tightest = [
        replace(requirement, required=False)
        for phase in phases
        for requirement in phase.requirements
        if requirement.definition.of_service_time and requirement.target == min(limits)
    ]
    return Phase(
        name=_NAME,
        users=users,
        ramp=max(_LEAST_RAMP, users / _JOINS_A_SECOND),
        duration=seconds,
        arrivals=OpenArrivals(
            rate=min(rate, MOST_RATE) / (scenario.requests_per_journey if scenario.journey is not None else 1.0),
            journeys=scenario.journey is not None,
            spacing=peak.arrivals.spacing if isinstance(peak.arrivals, OpenArrivals) else "poisson",
        ),
        # What lateness and loop lag are compared with. Nothing is required of the responder itself.
        requirements=tuple(tightest[:1]),
    )


def null_scenario(scenario: Scenario, url: str) -> Scenario:
    """The scenario sent to the responder at ``url``: the same requests, of which any response is good."""
    auth = scenario.auth
    makers = (*scenario.steps, auth.step) if isinstance(auth, LoginAuth) else scenario.steps
    captured = [f"${{{capture.name}}}" for step in makers for capture in step.captures]

    def known(text: str) -> str:
        """With a stand-in for what a response would have given: the responder's responses give nothing."""
        for placeholder in captured:
            text = text.replace(placeholder, _STAND_IN)
        return text

    token = (("Authorization", f"Bearer {_STAND_IN}"),) if isinstance(auth, LoginAuth) else ()
    return replace(
        scenario,
        # Nothing of the way to the service but its path: the responder is on this machine and speaks plain HTTP.
        target=Target(url=url + urlsplit(scenario.target.url).path.rstrip("/"), compression=scenario.target.compression),
        journey=None if scenario.journey is None else WALK,
        auth=NoAuth() if isinstance(auth, LoginAuth) else auth,
        steps=tuple(_null_step(step, known, token) for step in scenario.steps),
    )


def _null_step(step: Step, known: Callable[[str], str], token: tuple[tuple[str, str], ...]) -> Step:
    own = {name.lower() for name, _ in step.headers}
    headers = [(name, known(value)) for name, value in step.headers]
    return replace(
        step,
        path=known(step.path),
        headers=(*headers, *(pair for pair in token if pair[0].lower() not in own)),
        query=tuple((known(name), known(value)) for name, value in step.query),
        body=replace(step.body, template=known(step.body.template)) if step.body is not None else None,
        # The responder answers everything alike: what a step expects or captures has no meaning here.
        expect_status=frozenset({200}),
        checks=(),
        captures=(),
    )


def stand_ins(setup: Setup) -> dict[str, str]:
    """A text as long as each secret, so that none leaves this process for the sake of a calibration."""
    return {
        name: "x" * len(setup.secrets[name]) if name in setup.secrets else _STAND_IN
        for name in required_variables(setup.scenario)
    }
