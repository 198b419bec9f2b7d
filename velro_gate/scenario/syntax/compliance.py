"""``compliance:`` of a scenario -> its rules; and what a profile leaves unproven of the scenario's PRD requirements."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from velro_gate.model.compliance.rules import PRD, ClassLimits, ComplianceRules, NamedWeight, ScoreBand
from velro_gate.model.metrics import METRICS, Direction
from velro_gate.model.scenario import ALL_STEPS, Phase, Requirement
from velro_gate.scenario.syntax.faults import Faults, did_you_mean
from velro_gate.scenario.syntax.shape import STEP_METRICS, ComplianceSpec


def compliance_from(spec: ComplianceSpec, steps: Collection[str], faults: Faults) -> ComplianceRules:
    """The rules; those that are left out are the defaults. What is wrong is added to the faults."""
    given: dict[str, Any] = {
        "bands": tuple(ScoreBand(name=name, least=least) for name, least in spec.bands.items()),
        "classes": tuple(
            ClassLimits(name=name, p95=one.p95, throughput=one.throughput, hit_rate=one.hit_rate)
            for name, one in spec.classes.items()
        ),
        "weights": tuple(_weights(spec, steps, faults)),
        "checklist": tuple(spec.checklist),
    }
    try:
        return replace(ComplianceRules(), **{name: value for name, value in given.items() if value})
    except ValueError as error:
        faults.add(spec.line(), f"compliance: {error}")
        return ComplianceRules()


def _weights(spec: ComplianceSpec, steps: Collection[str], faults: Faults) -> Iterator[NamedWeight]:
    for key, weight in spec.weights.items():
        step, dot, metric = key.rpartition(".")
        step, line = step if dot else ALL_STEPS, spec.line("weights", key)
        if is_figure(step, metric, steps, line, faults):
            yield NamedWeight(step=step, metric=metric, weight=weight)


def unproven_requirements(profiles: Mapping[str, Iterable[Phase]], phases: Iterable[Phase]) -> tuple[Requirement, ...]:
    """The PRD requirements of any profile that these phases do not contain, unscaled and at least as strict."""
    held = list(_stated(phases))
    missing: dict[tuple[str, str, float], Requirement] = {}
    for wanted in (one for profile in profiles.values() for one in _stated(profile)):
        if not any(_as_strict(one, wanted) for one in held):
            missing.setdefault((wanted.step, wanted.metric, wanted.target), wanted)
    return tuple(missing.values())


def _stated(phases: Iterable[Phase]) -> Iterator[Requirement]:
    return (one for phase in phases for one in phase.requirements if one.source == PRD and one.scaled_from is None)


def _as_strict(one: Requirement, wanted: Requirement) -> bool:
    if (one.step, one.metric) != (wanted.step, wanted.metric):
        return False
    lower = wanted.definition.direction is Direction.LOWER
    return one.target <= wanted.target if lower else one.target >= wanted.target


def is_figure(step: str, metric: str, steps: Collection[str], line: int, faults: Faults) -> bool:
    """Whether there is this metric of this step; what is wrong with them is added. step: ``ALL_STEPS`` for all together."""
    if metric not in METRICS:
        faults.add(line, f"unknown metric {metric!r}", did_you_mean(metric, METRICS))
    elif step != ALL_STEPS and step not in steps:
        faults.add(line, f"there is no step {step!r}", did_you_mean(step, [*steps, ALL_STEPS]))
    elif step != ALL_STEPS and metric not in STEP_METRICS:
        faults.add(line, f"{metric} is a figure of a whole phase, not of the step {step!r}")
    else:
        return True
    return False
