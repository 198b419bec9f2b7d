"""The shape of requests to the service's own endpoints, and of probes, in a scenario file."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from velro_gate.scenario.syntax.quantities import Count, Method, Ramp, Seconds, Text
from velro_gate.scenario.syntax.spec import Spec, exactly_one, only

_PLACE = "'$.name' in its JSON, or 'header:etag'."


class ControlSpec(Spec):
    """A request to the service's own endpoint. Texts may hold ${env.NAME}."""

    method: Method = "POST"
    path: str
    headers: dict[str, Text] = Field(default_factory=dict)
    query: dict[str, Text] = Field(default_factory=dict)
    json_body: Any = Field(None, alias="json", description="JSON body, written as YAML.")


class ReadSpec(ControlSpec):
    """A request that reads."""

    method: Method = "GET"


class ReadersSpec(ReadSpec):
    """Users that read again and again what is invalidated; ${reader} is the number of each."""

    value: str = only("", description=f"What of the response has to be new: {_PLACE}")
    version: str = only("", description=f"A number in the response that grows with each write: {_PLACE}")
    readers: Count = Field(5, le=100, description="How many users read.")
    every: Seconds = Field(0.2, description="Time between two reads of one of them.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        exactly_one(self, ("value", "version"), "what is read")
        return self


class RedisSpec(Spec):
    """A command to Redis."""

    url: str = Field(description="Where Redis is; may hold ${env.NAME}.")
    command: str = Field(min_length=1, description="The command and its arguments, as in redis-cli.")


class InvalidateSpec(Spec):
    """Something after which cached values are no longer valid, and who reads them meanwhile."""

    pattern: Literal["key", "tag", "all"] = Field("key", description="What is invalidated: one key, a tag, or everything.")
    write: ControlSpec | None = Field(None, description="A write, or an endpoint that invalidates; ${value} is a new text.")
    redis: RedisSpec | None = None
    read: ReadersSpec | None = Field(None, description="Users that look for stale values.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        exactly_one(self, ("write", "redis"), "an invalidation")
        return self


class VerifySpec(Spec):
    """Writes during the fault; those that are acknowledged are read back after it."""

    write: ControlSpec = Field(description="A write that is repeated; ${value} is a new text each time.")
    id: str = Field(description=f"Where its response says what it has made: {_PLACE}")
    read: ReadSpec = Field(description="Reads it back; ${id} is what the write's response said.")
    every: Seconds = Field(0.2, description="Time between two writes.")
    within: Ramp = Field(5.0, description="Time after the fault in which a write may appear.")


class DegradedRequestSpec(ReadSpec):
    """A request whose responses show that the service degrades as declared."""

    value: str = Field("", description=f"What of the response is looked at: {_PLACE}")
    equals: Text = Field("", description="What has to be there.")
    every: Seconds = Field(0.2, description="Time between two requests.")
