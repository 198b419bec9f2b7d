"""The shape of a scenario file as pydantic models; their field descriptions are what an editor shows.

Only the shape is checked here, value by value. What needs the rest of the file (references, limits, profiles, feeder files)
is checked where it is resolved.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, GetJsonSchemaHandler, Tag, model_validator
from pydantic_core import CoreSchema

from velro_gate.model.metrics import METRICS
from velro_gate.model.readings import WATCHED
from velro_gate.model.scenario import MOST_PRIMARY
from velro_gate.scenario.syntax.experiment_shape import ExperimentSpec, ProxySpec
from velro_gate.scenario.syntax.observed import OWN_METRIC, CacheSpec, FamiliesKey, MetricsKey
from velro_gate.scenario.syntax.quantities import (
    Count,
    Factor,
    Method,
    Name,
    Probability,
    Ramp,
    Rate,
    Seconds,
    Short,
    Text,
    Variable,
)
from velro_gate.scenario.syntax.spec import Spec, exactly_one, one_key, only

DEFAULT_VARIABLE = "SUPABASE_SERVICE_KEY"

STEP_METRICS = frozenset(name for name, metric in METRICS.items() if metric.of_steps)
"""Metrics that are also measured for a single step; the others are figures of a whole phase."""


class _ByMetric:
    """Lets an editor complete the metrics of a mapping; the reader itself explains an unknown one with a suggestion."""

    def __init__(self, metrics: Iterable[str], *, of_steps: bool) -> None:
        self.metrics, self.of_steps = sorted(metrics), of_steps

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        shown = handler(schema)
        # pydantic describes a mapping of any keys; editors complete only keys that are listed.
        limit = shown.pop("additionalProperties")
        shown["properties"] = {name: {**limit, "description": METRICS[name].label} for name in self.metrics}
        if self.of_steps:
            shown["patternProperties"] = {rf"^[A-Za-z][A-Za-z0-9_-]*\.({'|'.join(sorted(STEP_METRICS))})$": limit}
            shown["patternProperties"][OWN_METRIC] = limit
        return {**shown, "additionalProperties": False}


class _BySource:
    """Lets an editor complete the sources under ``watch``; the reader itself explains an unknown one with a suggestion."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        shown = handler(schema)
        url = shown.pop("additionalProperties")
        described = {
            key: {**url, "description": f"URL of {source.label}, for example {source.example}; empty or null for none."}
            for key, source in WATCHED.items()
        }
        return {**shown, "properties": described, "additionalProperties": False}


class TargetSpec(Spec):
    """Where the service is. A text may hold ${env.NAME} or ${env.NAME:-default}, read when the file is loaded."""

    url: str = Field("${env.VELRO_API_URL}", description="Base URL of the service; the steps' paths follow its own.")
    urls: list[str] = Field(
        default_factory=list, max_length=32, description="In place of url: of several replicas, over which users are spread."
    )
    health: str = Field("/health", description="Path that answers 200 when the service is ready.")
    metrics: str | None = Field("/metrics", description="Path of its Prometheus metrics; null when it has none.")
    connections_metric: str | None = Field(
        None,
        pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$",
        description="Metric on that page that counts database connections.",
    )
    families: FamiliesKey = Field(
        default_factory=dict, description="What series of the service are called on that page, such as database_pool_in_use."
    )
    redis_url: str | None = Field("${env.REDIS_URL:-}", description="Redis to watch; empty or null for none.")
    database_url: str | None = Field("${env.DATABASE_URL:-}", description="PostgreSQL to watch; empty or null for none.")
    watch: Annotated[dict[str, str | None], _BySource()] = Field(
        default_factory=dict,
        description="What is read while the load runs, each with its URL; in place of metrics, redis_url, database_url.",
    )
    verify_tls: bool = Field(default=True, description="Whether the service's certificate is checked.")
    http2: bool = Field(default=False, description="Whether a journey written in Python speaks HTTP/2.")
    ca_file: str | None = Field(None, description="PEM file of the certificate authorities to trust, instead of the system's.")
    client_certificate: str | None = Field(None, description="PEM file of the client certificate to present to the service.")
    client_key: str | None = Field(None, description="PEM file of its key, if that is not in the certificate's file.")
    unix_socket: str | None = Field(None, description="Path of a unix socket to connect to instead of the URL's host.")
    source_addresses: list[str] = Field(
        default_factory=list, description="IP addresses of this machine that users connect from, in turn."
    )
    follow_redirects: Annotated[int, Field(ge=0, le=20)] = Field(
        0, description="How many redirects of one request are followed, within the service only; 0: a redirect is a response."
    )
    compression: Literal["none", "gzip"] = Field("none", description="Compression that requests accept.")


class CheckSpec(Spec):
    """A check on the body of a response: a JSON path that exists (and equals a value), or a text that it contains."""

    json_path: str = only("", alias="json", description="A path such as $.items[0].id that must exist.")
    equals: str | int | float | bool | None = Field(None, description="What the value at the path must be.")
    contains: str = only("", min_length=1, description="A text that the body must contain.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        exactly_one(self, ("json_path", "contains"), "a check")
        if "equals" in self.model_fields_set and "json_path" not in self.model_fields_set:
            raise ValueError("'equals' belongs to a 'json' check")
        return self


class CaptureSpec(Spec):
    """Where a captured value is in the response. A bare string is a JSON path."""

    json_path: str = only("", alias="json", description="A path such as $.id.")
    header: str = only("", min_length=1, description="A header's name.")
    cookie: str = only("", min_length=1, description="A cookie's name.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        exactly_one(self, ("json_path", "header", "cookie"), "a capture")
        return self


class LimitSpec(Spec):
    """A limit. A bare string is the target alone."""

    target: Text = Field(description="Comparison and value with its unit, for example '< 75 ms' or '>= 95 %'.")
    critical: Text | None = Field(None, description="Beyond this level the gate always fails; same unit, same direction.")
    required: bool = Field(default=True, description="Whether missing the target fails the gate; false: it warns.")
    source: str | None = Field(None, min_length=1, max_length=40, description="Who asks for it, for example PRD.")


_METRIC_NAMES: dict[str, Any] = {"anyOf": [{"enum": [*sorted(METRICS)]}, {"pattern": OWN_METRIC}]}


class RequirementSpec(LimitSpec):
    """A limit that names its metric, and its step unless it applies to all steps together."""

    metric: str = Field(description="The metric, for example p95.", json_schema_extra=_METRIC_NAMES)
    step: str = Field("all", description="The step; 'all' for all steps together.")


Limit = Annotated[LimitSpec, one_key("target")]
_ByMetricName = Annotated[dict[str, Limit], _ByMetric(METRICS, of_steps=True), Tag("by metric")]
Requirements = Annotated[
    _ByMetricName | Annotated[list[RequirementSpec], Tag("in full")],
    Discriminator(lambda given: "in full" if isinstance(given, list) else "by metric"),
]


_NEEDS_PATH: dict[str, Any] = {"required": ["path"]}


class StepSpec(Spec):
    """One request of a journey. Texts may hold ${user.id}, ${user.index}, ${FEEDER.COLUMN}, ${CAPTURE}, ${env.NAME}.

    Where the file names a 'journey' in Python, a step only has name, expect, timeout, headers and limits.
    """

    name: Name
    probability: Probability = Field(1.0, description="How often a journey takes this step, for example 0.95 or 95 %.")
    method: Method = "GET"
    path: str = only("", description="Path of the request, beginning with '/'; the query goes under 'query'.")
    headers: dict[str, Text] = Field(default_factory=dict)
    query: dict[str, Text] = Field(default_factory=dict, description="Query parameters, encoded by the engine.")
    json_body: Any = Field(None, alias="json", description="JSON body, written as YAML.")
    body: str | None = Field(None, description="Raw body; give its content_type.")
    content_type: str | None = Field(None, description="Content type of the body; application/json for 'json'.")
    chunked: bool = Field(default=False, description="Whether the body is sent in chunks instead of with its length.")
    expect: Annotated[
        list[Annotated[int, Field(ge=100, le=599)]],
        Field(min_length=1),
        Short(
            lambda given: [given] if isinstance(given, int) else given,
            (("type", "integer"), ("minimum", 100), ("maximum", 599)),
        ),
    ] = Field([200], description="Statuses that count as success; with a 'journey' any 2xx or 3xx by default.")
    checks: list[CheckSpec] = Field(default_factory=list)
    capture: dict[Name, Annotated[CaptureSpec, one_key("json")]] = Field(
        default_factory=dict, description="Values that later steps of the same user may use as ${NAME}."
    )
    timeout: Seconds = Field(10.0, description="The request fails if the response is not complete by then.")
    limits: Annotated[dict[str, Limit], _ByMetric(STEP_METRICS, of_steps=False)] = Field(
        default_factory=dict, description="Limits of this step in every phase, by metric."
    )


class LoginSpec(Spec):
    """A request that each user sends once, when it connects; its captured token is sent as the bearer token from then on."""

    step: StepSpec = Field(json_schema_extra=_NEEDS_PATH)
    token: Name = Field("token", description="The capture of the step that holds the token.")


class AuthSpec(Spec):
    """How requests are authorised: ``none``, ``bearer`` (SUPABASE_SERVICE_KEY), {bearer: VARIABLE} or {login: ...}."""

    bearer: Variable = only("", description="Environment variable that holds the bearer token.")
    login: LoginSpec | None = Field(None, description="A login step that captures a token.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if "login" in self.model_fields_set and self.login is None:
            raise ValueError("'login' needs a step")
        if len(self.model_fields_set) > 1:
            raise ValueError("auth needs one of bearer, login; 2 are given")
        return self


def _auth(given: object) -> object:
    if given in ("none", None):
        return {}
    if given == "bearer":
        return {"bearer": DEFAULT_VARIABLE}
    if isinstance(given, str):
        raise ValueError(f"{given!r} is not a way to authorise: none, bearer, {{bearer: VARIABLE}} or {{login: ...}}")
    return given


AuthKey = Annotated[AuthSpec, Short(_auth, (("enum", ["none", "bearer", None]),))]


class ColumnSpec(Spec):
    """How a column's values are made; the same seed makes the same values. A bare ``uuid`` is a random UUID."""

    uuid: Literal[True] = only(default=True, description="A random UUID.")
    integer: Annotated[list[int], Field(min_length=2, max_length=2)] = only(
        [0, 1], description="A whole number between two, both included."
    )
    choice: list[Text] = only([], min_length=1, description="One of these.")
    text: int = only(1, ge=1, le=10_000, description="Number of random lowercase letters.")
    sequence: str = only("", description="This prefix and the row's number, from 1.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        exactly_one(self, ("uuid", "integer", "choice", "text", "sequence"), "a column")
        if self.integer[0] > self.integer[1]:
            raise ValueError(f"integer: {self.integer[0]} is above {self.integer[1]}")
        return self


def _column(given: object) -> object:
    if given == "uuid":
        return {"uuid": True}
    if isinstance(given, str):
        raise ValueError(f"{given!r} is not a kind of column: uuid, or {{integer|choice|text|sequence: ...}}")
    return given


class FeederSpec(Spec):
    """Rows of data for the users: from a CSV or JSON file next to the scenario, or generated."""

    file: str = only("", min_length=1, description="A .csv file with a header line, or a .json list of flat mappings.")
    rows: Annotated[int, Field(ge=1, le=1_000_000)] = only(1, description="How many rows are generated.")
    columns: dict[Name, Annotated[ColumnSpec, Short(_column, (("enum", ["uuid"]),))]] = Field(
        default_factory=dict, min_length=1, description="Generated columns, by name."
    )
    unique: bool = Field(default=False, description="Whether each user needs a row of its own.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        exactly_one(self, ("file", "columns"), "a feeder")
        given = self.model_fields_set
        if ("rows" in given) != ("columns" in given):
            raise ValueError("'rows' and 'columns' belong together")
        return self


class PhaseSpec(Spec):
    """A stretch of load. In a profile made from another one, missing keys are taken from that profile's phase."""

    name: Name
    description: str = ""
    users: Count | None = Field(None, description="Simultaneous users, each with a connection of its own.")
    ramp: Ramp | None = Field(None, description="Users connect and the rate rises during the ramp; nothing is measured.")
    duration: Seconds | None = Field(None, description="The measured stretch after the ramp.")
    rate: Rate | None = Field(None, description="Requests offered per second by all users together (open loop).")
    think_time: Ramp | None = Field(None, description="Mean pause of a user after each response (closed loop).")
    spacing: Literal["poisson", "even"] | None = Field(
        None, description="poisson (default): random gaps, as independent users make them; even: constant gaps."
    )
    requirements: Requirements = Field(default_factory=dict, description="Limits of this phase.")
    experiments: list[ExperimentSpec] | None = Field(
        None, description="What is broken on purpose while the phase is measured (docs/resilience.md)."
    )


class CountScale(Spec):
    """A factor on the users, kept between two counts."""

    factor: Factor = 1.0
    least: Count | None = None
    most: Count | None = None


class RateScale(Spec):
    """A factor on the offered rate, kept between two rates."""

    factor: Factor = 1.0
    least: Rate | None = None
    most: Rate | None = None


class TimeScale(Spec):
    """A factor on a stretch of time, kept between two."""

    factor: Factor = 1.0
    least: Ramp | None = None
    most: Seconds | None = None


_FACTOR = Short(
    lambda given: {"factor": given} if isinstance(given, str | int | float) else given, (("type", ["number", "string"]),)
)


class ScaleSpec(Spec):
    """How the phases of the other profile are scaled; throughput and users requirements scale along."""

    users: Annotated[CountScale, _FACTOR] = Field(default_factory=CountScale)
    rate: Annotated[RateScale, _FACTOR] = Field(default_factory=RateScale)
    duration: Annotated[TimeScale, _FACTOR] = Field(default_factory=TimeScale)
    ramp: Annotated[TimeScale, _FACTOR] = Field(default_factory=TimeScale)


class ProfileSpec(Spec):
    """A list of phases: spelled out, or made ``from`` another profile by picking, overriding and scaling its phases."""

    description: str = ""
    base: str | None = Field(None, alias="from", description="The profile that the phases are taken from.")
    scale: ScaleSpec | None = None
    phases: list[Annotated[PhaseSpec, one_key("name")]] | None = Field(
        None, min_length=1, description="The phases in order; with 'from' a bare name picks one, and none means all."
    )


class PolicySpec(Spec):
    """How a verdict is reached; missing keys have the defaults of docs/decision.md."""

    margin: Probability | None = Field(None, description="Smallest relative change worth acting on, default 5 %.")
    unchanged_below: Probability | None = Field(None, description="An upper bound below this shows 'unchanged', default 10 %.")
    screen_alpha: Probability | None = Field(None, description="Family-wise level of the screen, default 20 %.")
    confirm_alpha: Probability | None = Field(
        None, description="Family-wise level of the confirmation by a second job, default 1 %; by one job alone half of it."
    )
    max_baselines: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="Number of baselines to compare with, default 10."
    )
    history: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Number of runs that determine the noise, default 30."
    )
    block_inconclusive: bool | Literal["suspicious"] | None = Field(
        None,
        description="When an inconclusive run exits with 3: if something looks worse (suspicious, default), true, false.",
    )
    require_baseline: bool | None = Field(None, description="Whether a run without a usable baseline fails, default false.")
    primary: list[str] | None = Field(
        None,
        min_length=1,
        max_length=MOST_PRIMARY,
        description="Metrics that may fail a run: 'p95', or 'STEP.p95' for one step.",
    )


LabelText = Annotated[str, Field(min_length=1, max_length=40)]


class ClassSpec(Spec):
    """What a phase has to show to be of a class."""

    p95: Seconds = Field(description="Response time below which the p95 has to be.")
    throughput: Rate = Field(description="Requests per second at least.")
    hit_rate: Probability = Field(description="Share of cache hits at least.")


class ComplianceSpec(Spec):
    """How a run's compliance is assessed; missing keys have the defaults of docs/compliance.md."""

    bands: dict[LabelText, Probability] = Field(
        default_factory=dict, description="Least score of each band, the best band first."
    )
    classes: dict[LabelText, ClassSpec] = Field(default_factory=dict, description="Classes of a phase, the best first.")
    weights: dict[str, Annotated[float, Field(ge=0, le=1000)]] = Field(
        default_factory=dict, description="Weight of a requirement in the score: 'p95', or 'STEP.p95' for one step."
    )
    checklist: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        default_factory=list, max_length=50, description="Items of your own that no run can tick."
    )


class FileSpec(Spec):
    """A velro-gate scenario: requests, users, phases and what the service has to achieve."""

    model_config = ConfigDict(
        json_schema_extra={"if": {"not": {"required": ["journey"]}}, "then": {"properties": {"steps": {"items": _NEEDS_PATH}}}}
    )

    name: Name
    description: str = ""
    target: TargetSpec = Field(default_factory=lambda: TargetSpec.model_validate({}))
    auth: AuthKey = Field(
        default_factory=lambda: AuthSpec.model_validate({}), description="How requests are authorised; default none."
    )
    cookies: bool = Field(default=True, description="Whether each user keeps the cookies it receives.")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(1, description="Seed of everything random.")
    headers: dict[str, Text] = Field(
        default_factory=dict, description="Headers of every step; a step's own headers take precedence."
    )
    feeders: dict[Name, FeederSpec] = Field(default_factory=dict)
    journey: str | None = Field(
        None,
        description="A journey written in Python: 'package.module:function', found next to the file or in the current folder.",
    )
    steps: Annotated[list[StepSpec], Field(min_length=1)]
    cache: CacheSpec = Field(
        default_factory=lambda: CacheSpec.model_validate({}), description="Headers that show how a cache answered."
    )
    metrics: MetricsKey = Field(default_factory=dict, description="Metrics of this scenario alone, by name.")
    requirements: Requirements = Field(default_factory=dict, description="Limits of every phase.")
    proxies: dict[Name, ProxySpec] = Field(
        default_factory=dict, description="Fault proxies between the service and what it depends on."
    )
    profiles: Annotated[
        dict[Name, Annotated[ProfileSpec, Short(lambda g: {"phases": g} if isinstance(g, list) else g, (("type", "array"),))]],
        Field(min_length=1),
    ]
    policy: PolicySpec = Field(default_factory=lambda: PolicySpec.model_validate({}))
    compliance: ComplianceSpec = Field(default_factory=lambda: ComplianceSpec.model_validate({}))
