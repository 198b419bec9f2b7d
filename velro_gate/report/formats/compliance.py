"""An assessment as data for programs: a part of verdict.json and of the executive summary, with its schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from velro_gate.model.compliance.assessment import Check, CheckCode, CheckState, Compliance, Readiness, Reservation, Unscored
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.report.sentences import compliance as said


def compliance_json(found: Compliance) -> dict[str, Any]:
    """The assessment in base units and unrounded; a missing figure is null."""
    return {
        "score": found.score,
        "band": found.band,
        "unscored": None if found.unscored is None else found.unscored.value,
        "unproven": [_requirement(wanted) for wanted in found.unproven],
        "readiness": found.readiness.value,
        "reservations": [one.value for one in found.reservations],
        "requirements": [
            {
                "phase": row.result.phase,
                "step": row.result.requirement.step,
                "metric": row.result.requirement.metric,
                "weight": row.weight,
                "points": row.points,
                "gap": row.gap,
                "remedy": said.remedy_words(row),
            }
            for row in found.rows
        ],
        "phases": [
            {
                "phase": phase.phase,
                "class": phase.name,
                "figures": [
                    {"metric": one.metric, "value": None if one.estimate is None else one.estimate.value, "class": one.name}
                    for one in phase.figures
                ],
            }
            for phase in found.phases
        ],
        "checklist": _checks(found.checklist),
        "criteria": _checks(found.criteria),
        "impact": None if found.impact is None else dataclasses.asdict(found.impact),
    }


def _requirement(wanted: Requirement) -> dict[str, Any]:
    return {
        "step": wanted.step,
        "metric": wanted.metric,
        "comparator": wanted.comparator.value,
        "target": wanted.target,
    }


def _checks(checks: Iterable[Check]) -> list[dict[str, Any]]:
    return [
        {
            "code": check.code.value,
            "state": check.state.value,
            "title": said.check_title(check),
            "reason": said.check_reason(check),
        }
        for check in checks
    ]


_TEXT: dict[str, Any] = {"type": "string"}
_FIGURE: dict[str, Any] = {"type": "number"}
_PERHAPS: dict[str, Any] = {"type": ["number", "null"]}
_SHARE: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}
_PERHAPS_TEXT: dict[str, Any] = {"type": ["string", "null"]}


def compliance_schema() -> dict[str, Any]:
    """The JSON Schema of ``compliance_json``."""
    checks = _list(
        code={"enum": [code.value for code in CheckCode]},
        state={"enum": [state.value for state in CheckState]},
        title=_TEXT,
        reason=_TEXT,
    )
    return _object(
        score={**_SHARE, "type": ["number", "null"], "description": "A share; null: there is no score."},
        band=_PERHAPS_TEXT,
        unscored={"enum": [None, *(one.value for one in Unscored)], "description": "Why there is no score."},
        unproven=_list(step=_TEXT, metric=_TEXT, comparator={"enum": [one.value for one in Comparator]}, target=_FIGURE),
        readiness={"enum": [one.value for one in Readiness]},
        reservations={"type": "array", "items": {"enum": [one.value for one in Reservation]}},
        requirements=_list(phase=_TEXT, step=_TEXT, metric=_TEXT, weight=_FIGURE, points=_SHARE, gap=_PERHAPS, remedy=_TEXT),
        phases=_list(
            phase=_TEXT,
            **{"class": _PERHAPS_TEXT},
            figures=_list(metric=_TEXT, value=_PERHAPS, **{"class": _PERHAPS_TEXT}),
        ),
        checklist=checks,
        criteria=checks,
        impact={"anyOf": [{"type": "null"}, _impact()], "description": "Null: nothing that it could be computed from."},
    )


def _impact() -> dict[str, Any]:
    return _object(
        phase=_TEXT,
        users=_FIGURE,
        rate=_FIGURE,
        failed=_SHARE,
        limit=_PERHAPS,
        slow=_SHARE,
        slow_low=_SHARE,
        slow_high=_SHARE,
        requests_per_hour=_FIGURE,
        users_per_minute=_FIGURE,
    )


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": _object(**properties)}
