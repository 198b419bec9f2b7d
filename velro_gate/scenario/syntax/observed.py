"""What a scenario file says of the figures beyond those that every run has."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from velro_gate.model.readings import PAGE_SERIES
from velro_gate.scenario.syntax.quantities import Name
from velro_gate.scenario.syntax.spec import Spec, exactly_one, one_key, only

_HEADER = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$"
_Header = Annotated[str, Field(pattern=_HEADER), AfterValidator(str.lower)]
_Layer = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,23}$"), AfterValidator(str.lower)]


class CacheSpec(Spec):
    """Headers that show how a cache answered; Cache-Status and CF-Cache-Status are understood without being named."""

    hit: _Header = Field("x-cache", description="Header whose value holds 'hit' where a cache answered.")
    layer: _Header = Field("x-cache-layer", description="Header that names the layer that answered.")
    age: bool = Field(default=False, description="Whether an Age above 0 is a hit, and a response without one a miss.")
    layers: list[_Layer] = Field(
        default_factory=list, max_length=16, description="The layers' names, the nearest to the user first."
    )


_FAMILY = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"


class FamilySpec(Spec):
    """A family of the service's metrics page that stands for one of its series."""

    family: str = Field(pattern=_FAMILY, description="Its name on the page; lines with equal names are added up.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels that the lines must have.")


class _BySeries:
    """Lets an editor complete the series under ``families``; the reader itself explains an unknown one."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        shown = handler(schema)
        family = shown.pop("additionalProperties")
        patterns = [re.sub(r"\{\w+\}", "[A-Za-z0-9_.-]+", name) for name in PAGE_SERIES]
        return {**shown, "patternProperties": {f"^{one}$": family for one in patterns}, "additionalProperties": False}


FamiliesKey = Annotated[dict[str, Annotated[FamilySpec, one_key("family")]], _BySeries()]
"""By the series of the service that they stand for."""

OWN_METRIC = r"^own\.[a-z][a-z0-9_]{0,39}$"
"""How requirements name a metric of the scenario."""

_OF_RESPONSES = ("header", "json_path")
_BELONGS = {
    "page": ("prometheus",),
    "labels": ("prometheus",),
    "type": ("prometheus",),
    "series": ("collector",),
    "step": _OF_RESPONSES,
    "equals": _OF_RESPONSES,
}


class MetricSpec(Spec):
    """A metric of this scenario alone: of a Prometheus family, a collector in Python, responses, or a group of steps."""

    prometheus: str = only("", pattern=_FAMILY, description="Name of a family of Prometheus metrics.")
    collector: str = only("", description="A class in Python, 'package.module:Class', whose collect() returns numbers by name.")
    steps: list[str] = only([], min_length=2, description="Steps of one journey; the metric is the time of all of them.")
    header: _Header = only("", description="Header of a response; the first number in it counts.")
    json_path: str = only("", alias="json", description="A path such as $.usage.tokens in a response; its number counts.")
    step: str | None = Field(None, description="The step whose responses are looked at; by default every step.")
    equals: str | int | float | bool | None = Field(None, description="The metric is the share of responses with this value.")
    factor: float = Field(1.0, ge=1e-15, le=1e15, description="Turns values into base units: 0.001 for milliseconds.")
    page: str | None = Field(None, description="URL of the metrics page; by default the service's own.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels that the lines must have.")
    type: Literal["gauge", "counter", "histogram"] | None = Field(
        None, description="Of the family: counter where its name ends in _total, else gauge, by default."
    )
    series: str | None = Field(
        None, min_length=1, description="Key of what the collector returns; by default the metric's name."
    )
    value: Literal["mean", "p50", "p95", "p99", "min", "max", "rate", "sum", "share"] | None = Field(
        None, description="What is made of the values: p95 of steps and histograms, rate of counters, else mean, by default."
    )
    unit: Literal["time", "rate", "share", "count", "bytes"] | None = Field(
        None, description="time of steps, rate of a rate, else count, by default."
    )
    better: Literal["lower", "higher"] = Field("lower", description="Which way the metric gets better.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        exactly_one(self, ("prometheus", "collector", "steps", "header", "json_path"), "a metric")
        for key, owners in _BELONGS.items():
            if key in self.model_fields_set and not any(owner in self.model_fields_set for owner in owners):
                raise ValueError(
                    f"{key!r} belongs to a metric of {' or '.join(owner.removesuffix('_path') for owner in owners)}"
                )
        return self


MetricsKey = dict[Name, MetricSpec]
"""By the name under which reports speak of them, and requirements with ``own.`` before it."""
