"""The shape of proxies and experiments in a scenario file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from velro_gate.scenario.syntax.probe_shape import ControlSpec, DegradedRequestSpec, InvalidateSpec, VerifySpec
from velro_gate.scenario.syntax.quantities import (
    AtLeast,
    AtMostSeconds,
    AtMostShare,
    AtMostTimes,
    AtMostWrites,
    Bandwidth,
    Bytes,
    Cores,
    Name,
    Ramp,
    Seconds,
    Short,
    Text,
)
from velro_gate.scenario.syntax.spec import Spec, exactly_one, one_key, only

KINDS = ("network", "process", "pressure", "request", "command", "invalidate")
"""Kinds of experiments: exactly one of these keys is given."""


class ProxySpec(Spec):
    """A fault proxy between the service and one of its dependencies. Texts may hold ${env.NAME} or ${env.NAME:-default}."""

    to: str = Field(description="The dependency: host:port, or a URL with both.")
    listen: Text = Field(description="host:port at which the service is to find the proxy; a bare port is one of 127.0.0.1.")
    protocol: Literal["tcp", "redis", "postgres", "http"] | None = Field(
        None, description="What is spoken, so that requests can be counted; by default what the URL says, else tcp."
    )


class NetworkSpec(Spec):
    """A fault of a proxy: an outage, or a connection that is slower or shorter than it should be."""

    proxy: Name
    outage: Literal["refuse", "reset", "black_hole", "half_open"] | None = Field(
        None,
        description="refuse or reset connections, let nothing pass (black_hole), or lose the dependency's end (half_open).",
    )
    delay: Ramp | None = Field(None, description="Added to each piece of a response.")
    jitter: Ramp | None = Field(None, description="By how much the delay varies in both directions.")
    bandwidth: Bandwidth | None = Field(None, description="Bytes per second in each direction, for example '1 MiB/s'.")
    cut_after: Bytes | None = Field(None, description="Bytes of responses after which a connection is reset.")


class ProcessSpec(Spec):
    """Something done to a process and its children."""

    do: Literal["freeze", "stop", "kill"] = Field(description="freeze: SIGSTOP, later SIGCONT; stop: SIGTERM; kill: SIGKILL.")
    of: str = Field(description="port:8400, pid:4711 or command:gunicorn.")
    start: str = Field("", description="A command that starts it again and returns, if nothing else does.")


class PressureSpec(Spec):
    """Less of the machine for the control group of a process."""

    of: str = Field(description="port:8400, pid:4711 or command:gunicorn.")
    cpu: Cores | None = Field(None, description="Cores that the group may use, for example 0.5 or 50 %.")
    memory: Bytes | None = Field(None, description="Memory beyond which the group is slowed down, for example '200 MiB'.")


class RequestSpec(ControlSpec):
    """A request that breaks something, and the one that undoes it."""

    undo: ControlSpec | None = None


class CommandSpec(Spec):
    """A command that breaks something, and the one that undoes it; both for the shell, and both return."""

    run: str = Field(min_length=1)
    undo: str = ""


def _one_status() -> Short:
    """A bare number means a mapping with this status alone."""
    schema = (("type", "integer"), ("minimum", 100), ("maximum", 599))
    return Short(lambda given: {"status": [given]} if isinstance(given, int) else given, schema)


class DegradedSpec(Spec):
    """Answers that are allowed instead of the usual ones while something is broken. A bare status means this one alone."""

    status: list[Annotated[int, Field(ge=100, le=599)]] = Field(min_length=1, description="Their statuses.")
    share: AtLeast = Field(0.99, description="The least share of all answers that has one of them.")
    request: DegradedRequestSpec | None = Field(
        None, description="A request of its own that shows it, where statuses of the load's responses do not."
    )


class BreakerSpec(Spec):
    """An open circuit breaker, seen by its answers: several fast failures in a row; or by a watched value that rises."""

    within: Seconds = Field(description="How long after the beginning of the fault it is open at the latest.")
    status: list[Annotated[int, Field(ge=100, le=599)]] = Field([503], min_length=1, description="Statuses of its answers.")
    faster_than: Seconds = Field(0.1, description="How fast these answers are.")
    metric: str = Field(
        "", description="A watched value that is higher while it is open, or that counts how often it opened; see docs/data.md."
    )


class ExpectSpec(Spec):
    """What has to hold while something is broken, and afterwards."""

    step: str = Field("all", description="The step whose requests are meant; 'all' for all of them.")
    errors: AtMostShare | None = Field(None, description="Failed requests during the fault, for example '< 5 %'.")
    p95: AtMostSeconds | None = Field(None, description="Response time of successful requests during the fault.")
    degraded: Annotated[DegradedSpec, _one_status()] | None = Field(
        None, description="Answers that are no errors while something is broken."
    )
    breaker: Annotated[BreakerSpec, one_key("within")] | None = Field(None, description="A circuit breaker opens.")
    recovery: AtMostSeconds | None = Field(None, description="Time after the fault until errors and latency are back.")
    failover: AtMostSeconds | None = Field(
        None, description="Time until errors and latency are back although the fault lasts: others have taken over."
    )
    retries: AtMostTimes | None = Field(None, description="Rate at the dependency, as a multiple of the rate before.")
    load: AtMostTimes | None = Field(None, description="Like retries, for what a cold cache asks of the dependency.")
    proxy: str = Field("", description="The proxy at which retries and load are counted, if there are several.")
    stale: AtMostShare | None = Field(None, description="Reads that give an old value after the invalidation.")
    consistency: AtMostSeconds | None = Field(None, description="Time until the last stale read.")
    hit_rate: AtMostSeconds | None = Field(None, description="Time until the cache hit rate is back.")
    lost: AtMostWrites | None = Field(
        None, description="Acknowledged writes that cannot be read back, of those under 'verify'."
    )


class ExperimentSpec(Spec):
    """Something that is broken on purpose while the phase is measured. It is undone whatever happens."""

    name: Name
    description: str = ""
    at: Annotated[
        list[Ramp],
        Field(min_length=1, max_length=2),
        Short(
            lambda given: [given] if isinstance(given, str | int | float) else given,
            (("type", ["string", "number"]),),
        ),
    ] = Field(description="When, from the beginning of the measured stretch; [from, to]: at random between, by the seed.")
    lasts: Seconds = Field(alias="for", description="How long until it is undone.")
    steady: Ramp = Field(0.0, description="How long before and after it nothing else is broken.")
    times: Annotated[int, Field(ge=1, le=100)] = Field(1, description="How often it is repeated.")
    every: Seconds | None = Field(None, description="Time from one repetition's beginning to the next one's.")
    expect: ExpectSpec | None = Field(None, description="What has to hold.")
    network: NetworkSpec | None = only(None)
    process: ProcessSpec | None = only(None)
    pressure: PressureSpec | None = only(None)
    request: RequestSpec | None = only(None)
    invalidate: InvalidateSpec | None = only(None)
    verify: VerifySpec | None = Field(None, description="Writes during the fault that are read back after it.")
    command: Annotated[CommandSpec, Short(lambda g: {"run": g} if isinstance(g, str) else g, (("type", "string"),))] | None = (
        only(None)
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        exactly_one(self, KINDS, "an experiment")
        if (self.times > 1) != (self.every is not None):
            raise ValueError("'times' and 'every' belong together")
        return self
