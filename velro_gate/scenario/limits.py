"""``"< 75 ms"`` -> Requirement. The unit must suit the metric, and a figure that could mean two things is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType

from velro_gate import units
from velro_gate.model.metrics import METRICS, Direction, Metric, MetricKind, Needs
from velro_gate.model.scenario import ALL_STEPS, Comparator, Requirement
from velro_gate.scenario.syntax.faults import Faults, did_you_mean
from velro_gate.scenario.syntax.quantities import count_from
from velro_gate.scenario.syntax.shape import STEP_METRICS, LimitSpec, RequirementSpec
from velro_gate.scenario.syntax.spec import Spec

_LIMIT = re.compile(r"(<=|>=|<|>)?\s*(\S.*)")
_EXAMPLE = {
    MetricKind.SECONDS: "75 ms",
    MetricKind.PER_SECOND: "1,000/s",
    MetricKind.SHARE: "95 %",
    MetricKind.COUNT: "10,000",
    MetricKind.BYTES: "512 MiB",
    MetricKind.BYTES_PER_MINUTE: "5 MiB/min",
    MetricKind.SHARE_PER_MINUTE: "1 %/min",
}
_NONE: Mapping[str, str] = MappingProxyType({})
Key = tuple[str, str]
"""(step, metric): one requirement each and phase."""


def requirements_from(
    owner: Spec,
    given: Mapping[str, LimitSpec] | list[RequirementSpec],
    source: str,
    steps: Collection[str],
    faults: Faults,
    own: Mapping[str, str] = _NONE,
) -> dict[Key, Requirement]:
    """The requirements of one ``requirements:`` block of ``owner``; what is wrong with them is added to the faults.

    own: the registry's names of the metrics that the scenario defines, by ``own.`` and the names that it gives them.
    """
    made: dict[Key, Requirement] = {}
    for step, written, spec, line in _entries(owner, given, own):
        metric = own.get(written, written)
        if (step, metric) in made:
            faults.add(line, f"{_named(step, written)} is required twice", "keep one of them, with target and critical")
            continue
        requirement = requirement_from(spec, step=step, metric=metric, source=source, steps=steps, report=faults.at(line))
        if requirement is not None:
            made[step, metric] = requirement
    return made


def _entries(
    owner: Spec, given: Mapping[str, LimitSpec] | list[RequirementSpec], own: Mapping[str, str]
) -> Iterator[tuple[str, str, LimitSpec, int]]:
    if isinstance(given, list):
        for index, entry in enumerate(given):
            yield entry.step, entry.metric, entry, owner.line("requirements", index)
        return
    for key, spec in given.items():
        step, dot, metric = ("", "", key) if key in own else key.rpartition(".")
        yield step if dot else ALL_STEPS, metric, spec, owner.line("requirements", key)


def limits_of_step(owner: Spec, step: str, given: Mapping[str, LimitSpec], faults: Faults) -> dict[Key, Requirement]:
    """The ``limits:`` of one step as requirements."""
    made: dict[Key, Requirement] = {}
    for metric, spec in given.items():
        line = owner.line("limits", metric)
        requirement = requirement_from(spec, step=step, metric=metric, source="step", steps=[step], report=faults.at(line))
        if requirement is not None:
            made[step, metric] = requirement
    return made


def requirement_from(
    spec: LimitSpec, *, step: str, metric: str, source: str, steps: Collection[str], report: Callable[[str, str | None], None]
) -> Requirement | None:
    """One requirement in base units; None, with at least one report, when it cannot be."""
    if not _exists(step, metric, steps, report):
        return None
    definition = METRICS[metric]
    try:
        comparator, target = parse_limit(spec.target, definition)
        if comparator is None:
            sign = "<" if definition.direction is Direction.LOWER else ">="
            raise ValueError(f"{spec.target!r} lacks a comparison: write '{sign} {spec.target}'")
        critical = None
        if spec.critical is not None:
            side, critical = parse_limit(spec.critical, definition)
            # The first character is the direction: < and <= look the same way.
            if side is not None and side.value[0] != comparator.value[0]:
                raise ValueError(f"critical {spec.critical!r} looks the other way than the target {spec.target!r}")
        _refuse_impossible(metric, comparator, target, spec)
        return Requirement(
            metric=metric,
            comparator=comparator,
            target=target,
            critical=critical,
            step=step,
            required=spec.required,
            source=spec.source or source,
        )
    except ValueError as error:
        message = _plainly(str(error), metric, spec)
        report(message if message.startswith(metric) else f"{metric}: {message}", None)
        return None


def _exists(step: str, metric: str, steps: Collection[str], report: Callable[[str, str | None], None]) -> bool:
    known = True
    if metric not in METRICS:
        report(f"unknown metric {metric!r}", did_you_mean(metric, METRICS) or "see docs/scenario.md for the metrics")
        known = False
    elif Needs.SEARCH in METRICS[metric].needs:
        report(f"{metric} is not measured by a run", "'velro-gate capacity' searches for it and requires the plan's own load")
        known = False
    if step != ALL_STEPS and step not in steps:
        report(f"a requirement names the step {step!r}, which does not exist", did_you_mean(step, [*steps, ALL_STEPS]))
        known = False
    if known and step != ALL_STEPS and metric not in STEP_METRICS:
        report(f"{metric} is a figure of a whole phase, not of the step {step!r}", f"write {metric!r} without a step")
        known = False
    return known


def parse_limit(text: str, metric: Metric) -> tuple[Comparator | None, float]:
    """Comparison (None when there is none) and value in base units.

    Raises:
        ValueError: when the value has no unit that suits the metric, or could mean two things.
    """
    match = _LIMIT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a limit such as '< {_EXAMPLE[metric.kind]}'")
    comparator = Comparator(match[1]) if match[1] else None
    return comparator, _value(match[2].strip(), metric)


def _value(text: str, metric: Metric) -> float:
    bare = re.fullmatch(r"[\d.,_]+", text) is not None
    match metric.kind:
        case MetricKind.SECONDS:
            # 75 may be meant in milliseconds or in seconds, and a gate that is a thousand times too lax never fails.
            if bare:
                raise ValueError(f"{metric.name} {text!r} lacks its unit: write '{text} ms' or '{text} s'")
            return units.parse_seconds(text)
        case MetricKind.PER_SECOND:
            return units.parse_rate(text)
        case MetricKind.SHARE:
            # '1' could be meant as 1 % or as everything.
            if bare and text.lstrip("0").rstrip("0.") == "1":
                raise ValueError(f"{metric.name} {text!r} could be 1 % or 100 %: write the '%'")
            return units.parse_share(text)
        case MetricKind.COUNT:
            return float(count_from(text))
        case MetricKind.BYTES:
            return float(units.parse_bytes(text))
        case MetricKind.BYTES_PER_MINUTE:
            return units.parse_growth(text)
        case MetricKind.SHARE_PER_MINUTE:
            return units.parse_relative_growth(text)


def _refuse_impossible(metric: str, comparator: Comparator, target: float, spec: LimitSpec) -> None:
    if METRICS[metric].kind is MetricKind.SHARE and comparator is Comparator.ABOVE and target >= 1.0:
        raise ValueError(f"{metric} {spec.target!r} can never be met")
    if comparator is Comparator.BELOW and target <= 0.0:
        raise ValueError(f"{metric} {spec.target!r} can never be met")


def _plainly(message: str, metric: str, spec: LimitSpec) -> str:
    """The model speaks in base units; say its two refusals in the words of the file."""
    if "wrong side" in message:
        better = "smaller" if METRICS[metric].direction is Direction.LOWER else "larger"
        return f"{metric} {spec.target!r}: the limit is on the wrong side, since a {better} {metric} is better"
    if "stricter than" in message:
        return f"{metric}: the critical level {spec.critical!r} is stricter than the target {spec.target!r}"
    return message


def _named(step: str, metric: str) -> str:
    return metric if step == ALL_STEPS else f"{step}.{metric}"
