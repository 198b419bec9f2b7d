"""What was measured, phase by phase and step by step, as strings."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from velro_gate import units
from velro_gate.model.metrics import LATENESS
from velro_gate.model.readings import is_counter
from velro_gate.model.record import MISS, CacheLayer, PhaseSummary, ResourceSummary, RunRecord, StepSummary
from velro_gate.model.run import FirstFailure
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.report.parts.dry_run.plan import offered
from velro_gate.report.sentences.kinds.failures import early_end
from velro_gate.report.text import figures

_OUTCOMES = {
    "OK": "successful response",
    "STATUS": "unexpected status",
    "CHECK": "failed check",
    "TIMEOUT": "timeout",
    "REFUSED": "refused",
    "RESET": "connection reset",
    "TLS": "TLS fault",
    "CERTIFICATE": "certificate not accepted",
    "DNS": "name not found",
    "PROTOCOL": "answer refused",
    "CANCELLED": "cancelled at the end",
    "CAPTURE": "value not found in the response",
}


_SHOWN = ("p50", "p95", "p99")
_LONGEST_STATUS = 5
"""Digits: what is longer comes from a record that is not ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRow:
    """A phase that was planned; state says how far it came."""

    name: str
    state: str
    users: str
    measured: str
    rate: str
    offered: str
    p50: str
    p95: str
    p99: str
    errors: str
    hit_rate: str
    lateness: str
    few: bool
    """Whether one of its quantiles is marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One step of a phase."""

    phase: str
    step: str
    due: str
    failed: str
    p50: str
    p95: str
    p99: str
    service_p95: str
    error_rate: str
    hit_rate: str
    received: str
    few: bool
    """Whether one of its quantiles is marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRow:
    """How the requests of a phase ended: statuses and outcomes as one text each, cache layers as another."""

    phase: str
    statuses: str
    outcomes: str
    cache: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRow:
    """One cache layer of one step, or its misses."""

    phase: str
    step: str
    layer: str
    hit_rate: str
    share: str
    p50: str
    p95: str
    note: str
    """What the misses of the step mean, in its last row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRow:
    """The first failed response of one kind."""

    phase: str
    what: str
    """How often it failed, and in which way."""
    request: str
    seen: str
    """What was received, unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRow:
    """A watched value over a phase."""

    phase: str
    source: str
    name: str
    least: str
    median: str
    most: str


def phase_table_rows(record: RunRecord) -> list[PhaseRow]:
    """Every planned phase in order, also those that the run did not reach."""
    planned = [phase.name for phase in record.plan.phases]
    extra = [phase.name for phase in record.phases if phase.name not in planned]
    rows = []
    pace = {phase.name: offered(phase) for phase in record.plan.phases}
    for wanted in (*planned, *extra):
        found = record.phase(wanted)
        rows.append(_phase_row(found, pace.get(wanted)) if found else _unreached(wanted))
    return rows


def _phase_row(phase: PhaseSummary, pace: float | str | None) -> PhaseRow:
    held = phase.measurement("users_held")
    users = units.format_count(phase.users)
    return PhaseRow(
        name=phase.name,
        state=_state(phase),
        users=users if held is None else f"{units.format_count(held.value)} of {users}",
        measured=units.format_duration(phase.measured_seconds),
        rate=_of(phase, "throughput"),
        offered=_offered(phase.offered_rate if phase.offered_rate is not None else pace),
        p50=_of(phase, "p50"),
        p95=_of(phase, "p95"),
        p99=_of(phase, "p99"),
        errors=_of(phase, "error_rate"),
        hit_rate=_of(phase, "hit_rate"),
        lateness=_of(phase, LATENESS),
        few=any(figures.has_few(name, phase.measurement(name)) for name in (*_SHOWN, LATENESS)),
    )


def _offered(pace: float | str | None) -> str:
    if pace is None:
        return "closed loop"
    return pace if isinstance(pace, str) else units.format_rate(pace)


def _unreached(name: str) -> PhaseRow:
    missing = dict.fromkeys(
        ("users", "measured", "rate", "offered", "p50", "p95", "p99", "errors", "hit_rate", "lateness"), figures.MISSING
    )
    return PhaseRow(name=name, state="not reached", few=False, **missing)


def _state(phase: PhaseSummary) -> str:
    if phase.shards_lost:
        return f"given up: {', '.join(phase.shards_lost)}"
    if phase.ended_by_service:
        return f"given up: {early_end(phase)}"
    return "interrupted" if phase.interrupted else "complete"


def _of(phase: PhaseSummary, metric: str, step: str = ALL_STEPS) -> str:
    return figures.marked(metric, phase.measurement(metric, step))


def step_rows(record: RunRecord) -> list[StepRow]:
    """Every step of every phase that was reached, in the record's order."""
    return [_step_row(phase, step) for phase in record.phases for step in phase.steps]


def _step_row(phase: PhaseSummary, step: StepSummary) -> StepRow:
    def of(metric: str) -> str:
        """One figure of the step, with a mark where few responses stand behind it."""
        return figures.marked(metric, step.measurements.get(metric))

    return StepRow(
        phase=phase.name,
        step="all steps" if step.step == ALL_STEPS else step.step,
        due=units.format_count(step.counts.due),
        failed=units.format_count(step.counts.failed + step.counts.blocked),
        p50=of("p50"),
        p95=of("p95"),
        p99=of("p99"),
        service_p95=of("service_p95"),
        error_rate=of("error_rate"),
        hit_rate=of("hit_rate"),
        received=units.format_bytes(step.received),
        few=any(figures.has_few(name, step.measurements.get(name)) for name in (*_SHOWN, "service_p95")),
    )


def answer_rows(record: RunRecord) -> list[AnswerRow]:
    """How the requests of each phase ended."""
    rows = []
    for phase in record.phases:
        whole = phase.step()
        if whole is None:
            continue
        statuses = {status_name(code): count for code, count in sorted(whole.statuses.items())}
        outcomes = {_OUTCOMES.get(name, name.lower()): count for name, count in whole.outcomes.items()}
        followed = f"; redirects followed: {units.format_count(n)}" if (n := phase.redirects_followed) else ""
        rows.append(
            AnswerRow(
                phase=phase.name,
                statuses=_tally(statuses) + followed,
                outcomes=_tally(outcomes),
                cache=_cache(whole.cache),
            )
        )
    return rows


def cache_rows(record: RunRecord) -> list[CacheRow]:
    """Every cache layer of every step that says how a cache answered, then its misses."""
    return [
        _cache_row(phase, step, layer)
        for phase in record.phases
        for step in phase.steps
        for layer in step.layers
        if layer.answered or layer.reached
    ]


def _cache_row(phase: PhaseSummary, step: StepSummary, layer: CacheLayer) -> CacheRow:
    whole = step.layers[0].reached
    return CacheRow(
        phase=phase.name,
        step="all steps" if step.step == ALL_STEPS else step.step,
        layer="misses" if layer.name == MISS else layer.name,
        hit_rate=figures.NOTHING if layer.hit_rate is None else units.format_share(layer.hit_rate),
        share=units.format_share(layer.answered / whole),
        p50=figures.NOTHING if layer.p50 is None else units.format_seconds(layer.p50.value),
        p95=figures.NOTHING if layer.p95 is None else units.format_seconds(layer.p95.value),
        note=_cache_note(phase, step) if layer.name == MISS else "",
    )


def _cache_note(phase: PhaseSummary, step: StepSummary) -> str:
    """What the misses make of p95; of all steps also how long the caches took to warm up."""
    said = []
    share = step.measurements.get("p95_from_misses")
    if share is not None and share.value >= _LEAST_SHARE:
        said.append(f"without them p95 would be {units.format_share(share.value)} lower")
    if step.step == ALL_STEPS and len(phase.warm_up) > 1:
        rates = [rate for _, rate in phase.warm_up]
        # The later half, in which caches are warm if they ever are.
        settled = statistics.median(rates[len(rates) // 2 :])
        if settled - rates[0] > _LEAST_SHARE:
            after = next(seconds for seconds, rate in phase.warm_up if rate >= settled - _LEAST_SHARE)
            first, last = (units.format_share(rate) for rate in (rates[0], settled))
            said.append(f"warm after {units.format_duration(after)}: from {first} to {last} hits")
    return "; ".join(said)


_LEAST_SHARE = 0.01
"""What changes less is not worth a word."""

MOST_FAILURES = 12
"""Kinds of failures of a phase that are shown."""


def failure_rows(record: RunRecord) -> list[FailureRow]:
    """The first failed response of each kind, phase by phase, the commonest kinds first."""
    return [
        FailureRow(phase=phase.name, what=failed_kind(failed), request=failed.request, seen=failed.seen)
        for phase in record.phases
        for failed in phase.failures[:MOST_FAILURES]
    ]


def failed_kind(failed: FirstFailure) -> str:
    """``list: 61,133 x 503 Service Unavailable, expected 200``, ``get: 2 x failed check: $.n must be 5, found 4``."""
    named = failed.outcome == Outcome.STATUS.name
    what = status_name(failed.status) if named else _OUTCOMES.get(failed.outcome, failed.outcome.lower())
    reason = f"{',' if named else ':'} {failed.reason}" if failed.reason else ""
    came = f", found {failed.came}" if failed.came else ""
    return f"{failed.step}: {units.format_count(failed.count)} x {what}{reason}{came}"


def failure_label(kind: str) -> str:
    """What a kind of failure is called: a status, the name of an outcome, or those that are too rare for a name."""
    return status_name(int(kind)) if kind.isdecimal() and len(kind) <= _LONGEST_STATUS else _OUTCOMES.get(kind, kind.lower())


def status_name(code: int) -> str:
    """``503 Service Unavailable``; 0 stands for no response at all."""
    if code == 0:
        return "no response"
    known = {status.value: status.phrase for status in HTTPStatus}
    return f"{code} {known[code]}" if code in known else str(code)


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {units.format_count(count)}" for name, count in counts.items() if count) or figures.MISSING


def _cache(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    if not total:
        return figures.MISSING
    return ", ".join(f"{layer}: {units.format_share(count / total)}" for layer, count in counts.items())


def resource_rows(record: RunRecord) -> list[ResourceRow]:
    """Every watched value of every phase."""
    return [_resource_row(phase.name, found) for phase in record.phases for found in phase.resources]


def _resource_row(phase: str, found: ResourceSummary) -> ResourceRow:
    """A counter counts since its process began, so of it only the rise within the phase and its rate are shown."""
    name = found.name.removesuffix("_total").replace("_", " ")
    if is_counter(found.source, found.name):
        rise = figures.resource(found.source, found.name, found.most - found.least)
        if found.rate is not None:
            rise = f"{rise} ({figures.resource_rate(found.source, found.name, found.rate)})"
        return ResourceRow(
            phase=phase, source=found.source, name=f"{name}, rise", least=figures.NOTHING, median=figures.NOTHING, most=rise
        )
    return ResourceRow(
        phase=phase,
        source=found.source,
        name=name,
        least=figures.resource(found.source, found.name, found.least),
        median=figures.resource(found.source, found.name, found.median),
        most=figures.resource(found.source, found.name, found.most),
    )
