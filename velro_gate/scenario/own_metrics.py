"""``metrics:`` of a scenario file -> OwnMetric."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from velro_gate.model.metric.definition import Direction
from velro_gate.model.metric.own import BOUND, MetricOrigin, OwnMetric, OwnUnit, OwnValue, SeriesType
from velro_gate.model.metrics import METRICS
from velro_gate.scenario.syntax.faults import Faults, did_you_mean
from velro_gate.scenario.syntax.observed import MetricSpec
from velro_gate.scenario.syntax.quantities import scalar_text

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_COLLECTOR = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_KEYS = {MetricOrigin.JSON: "json_path"}
_OF_COUNTERS = (OwnValue.RATE, OwnValue.SUM)

Resolve = Callable[[str, int, str], str | None]
"""(text, line, where) -> the text with its variables put in; None where it cannot be used, which is a fault already."""


def own_metrics_from(
    specs: Mapping[str, MetricSpec], steps: Collection[str], folder: Path, resolve: Resolve, faults: Faults
) -> tuple[OwnMetric, ...]:
    """The metrics without faults; what is wrong with the others is added.

    folder: the scenario file's. resolve: puts variables into the URL of a metrics page, and checks it.
    """
    found = []
    for name, spec in specs.items():
        line = spec.line()
        if not _NAME.fullmatch(name):
            faults.add(line, f"the metric {name!r} needs another name", "lower-case letters, digits and _, at most 40")
        elif BOUND in name:
            faults.add(
                line, f"the metric {name!r} needs another name", f"{BOUND} stands before the bound of a histogram's bucket"
            )
        elif name in METRICS:
            faults.add(line, f"there is a metric {name!r} already", "choose another name")
        elif (made := _metric(name, spec, steps, folder, resolve, faults)) is not None:
            found.append(made)
    return tuple(found)


def _metric(
    name: str, spec: MetricSpec, steps: Collection[str], folder: Path, resolve: Resolve, faults: Faults
) -> OwnMetric | None:
    before = len(faults.all())
    origin = next(each for each in MetricOrigin if _KEYS.get(each, each.value) in spec.model_fields_set)
    series = _series_of(spec)
    value = OwnValue(spec.value) if spec.value is not None else _usual_value(spec, origin, series)
    place = ""
    folders: tuple[str, ...] = ()
    match origin:
        case MetricOrigin.PROMETHEUS:
            if spec.page:
                place = resolve(spec.page, spec.line("page"), f"metrics.{name}.page") or ""
            _check_value(spec, series, value, faults)
        case MetricOrigin.COLLECTOR:
            if not _COLLECTOR.fullmatch(spec.collector):
                what = f"{spec.collector!r} does not name a collector"
                faults.add(spec.line("collector"), what, "write package.module:Class")
            place, folders = spec.collector, tuple(dict.fromkeys(str(each.resolve()) for each in (folder, Path())))
        case MetricOrigin.STEPS:
            for index, step in enumerate(spec.steps):
                if step not in steps:
                    faults.add(spec.line("steps", index), f"there is no step {step!r}", did_you_mean(step, steps))
        case MetricOrigin.HEADER | MetricOrigin.JSON:
            _check_response(spec, origin, steps, faults)
    if origin in (MetricOrigin.COLLECTOR, MetricOrigin.STEPS) and value in _OF_COUNTERS:
        faults.add(spec.line("value"), f"{value.value!r} is made of a counter", "use mean, a quantile, min or max")
    if (value is OwnValue.SHARE) is not (spec.equals is not None):
        faults.add(spec.line(), f"the metric {name!r} is a share of responses without a value", "name the value under 'equals'")
    # Faults are added and not raised, so that one reading of the file shows all of them.
    if len(faults.all()) > before:
        return None
    return OwnMetric(
        name=name,
        origin=origin,
        value=value,
        unit=OwnUnit(spec.unit) if spec.unit is not None else _usual_unit(origin, value),
        better=Direction[spec.better.upper()],
        what=spec.prometheus or spec.header or spec.json_path or spec.series or name,
        place=place,
        folders=folders,
        labels=tuple(sorted(spec.labels.items())),
        series=series,
        steps=tuple(spec.steps) or ((spec.step,) if spec.step else ()),
        equals="" if spec.equals is None else str(scalar_text(spec.equals)),
        factor=spec.factor,
    )


def _series_of(spec: MetricSpec) -> SeriesType:
    if spec.type is not None:
        return SeriesType(spec.type)
    return SeriesType.COUNTER if spec.prometheus.endswith("_total") else SeriesType.GAUGE


def _check_response(spec: MetricSpec, origin: MetricOrigin, steps: Collection[str], faults: Faults) -> None:
    if spec.step is not None and spec.step not in steps:
        faults.add(spec.line("step"), f"there is no step {spec.step!r}", did_you_mean(spec.step, steps))
    if origin is MetricOrigin.JSON and not re.fullmatch(r"\$(\.[A-Za-z_][A-Za-z0-9_-]*|\[\d+\])+", spec.json_path):
        faults.add(spec.line("json"), f"{spec.json_path!r} is not a JSON path such as $.usage.tokens")


def _usual_value(spec: MetricSpec, origin: MetricOrigin, series: SeriesType) -> OwnValue:
    if spec.equals is not None:
        return OwnValue.SHARE
    if origin is MetricOrigin.STEPS or series is SeriesType.HISTOGRAM:
        return OwnValue.P95
    return OwnValue.RATE if series is SeriesType.COUNTER else OwnValue.MEAN


def _usual_unit(origin: MetricOrigin, value: OwnValue) -> OwnUnit:
    if origin is MetricOrigin.STEPS:
        return OwnUnit.TIME
    return {OwnValue.RATE: OwnUnit.RATE, OwnValue.SHARE: OwnUnit.SHARE}.get(value, OwnUnit.COUNT)


def _check_value(spec: MetricSpec, series: SeriesType, value: OwnValue, faults: Faults) -> None:
    """Only a rise means anything of a counter, and only a quantile can be read out of buckets."""
    fits = {
        SeriesType.GAUGE: value not in (*_OF_COUNTERS, OwnValue.SHARE),
        SeriesType.COUNTER: value in _OF_COUNTERS,
        SeriesType.HISTOGRAM: value.rank is not None,
    }
    if not fits[series]:
        hint = {
            SeriesType.GAUGE: "mean, a quantile, min or max",
            SeriesType.COUNTER: "rate or sum",
            SeriesType.HISTOGRAM: "p50, p95 or p99",
        }
        faults.add(spec.line("value"), f"a {series.value} has no {value.value!r}", f"use {hint[series]}")
