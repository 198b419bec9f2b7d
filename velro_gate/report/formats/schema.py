"""The JSON Schema of verdict.json, for those who read it with programs."""

from __future__ import annotations

from enum import Enum
from typing import Any

from velro_gate.model.facts.regression import ShiftShape
from velro_gate.model.metric.own import OWN
from velro_gate.model.metrics import METRICS, MetricKind
from velro_gate.model.resilience.experiment import Expected
from velro_gate.model.scenario import Comparator
from velro_gate.model.verdict import Change, Level, RequirementStatus, Trust
from velro_gate.report.formats.compliance import compliance_schema
from velro_gate.report.formats.document import VERDICT_SCHEMA

_TEXT: dict[str, Any] = {"type": "string"}
_FLAG: dict[str, Any] = {"type": "boolean"}
_FIGURE: dict[str, Any] = {"type": "number"}
_PERHAPS: dict[str, Any] = {"type": ["number", "null"]}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_SHARE: dict[str, Any] = {"type": ["number", "null"], "minimum": 0, "maximum": 1}


def verdict_schema() -> dict[str, object]:
    """The schema (draft 2020-12) of a verdict document of this version; no key beyond those named is allowed."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "velro-gate verdict",
        "description": "Figures are in base units (seconds, requests per second, bytes, shares); a missing figure is null.",
        **_object(
            schema={"const": VERDICT_SCHEMA},
            verdict=_level("The level of the worst finding."),
            suspicious={**_FLAG, "description": "Whether something that looked worse is neither confirmed nor refuted."},
            exit_code={"enum": [0, 1, 3, 4], "description": "What 'velro-gate gate' (or duet) exits with for this verdict."},
            action={"enum": ["please read", "no action needed"]},
            headline={"type": "string", "minLength": 1, "description": "The reason in one or two sentences."},
            run=_run(),
            plan=_object(scenario=_TEXT, profile=_TEXT, digest=_TEXT, phases=_list(_TEXT), scaled=_FLAG),
            duet={"anyOf": [{"type": "null"}, _duet()], "description": "Null: compared with baselines, not side by side."},
            baselines=_object(used=_COUNT, skipped=_list(_TEXT)),
            findings=_list(_object(code=_TEXT, level=_level(), subject=_TEXT, sentence=_TEXT, advice=_TEXT)),
            requirements=_list(_requirement()),
            experiments=_list(_expectation()),
            comparisons=_list(_comparison()),
            explanations=_list(_explanation()),
            trust=_list(_trust()),
            bottlenecks=_list(_bottleneck()),
            compliance=compliance_schema(),
        ),
    }


def _bottleneck() -> dict[str, Any]:
    return {
        **_object(
            code=_TEXT,
            phase=_TEXT,
            start=_FIGURE,
            end=_FIGURE,
            strength=_SHARE,
            series=_list(_TEXT),
            figures={"type": "object", "description": "What the sentence is made of, by code (docs/bottlenecks.md)."},
            sentence=_TEXT,
            advice=_TEXT,
        ),
        "description": "What held a phase back, the likeliest cause first; times are seconds of its measured stretch.",
    }


def _run() -> dict[str, Any]:
    return _object(
        id=_TEXT,
        started_at={"type": "string", "description": "ISO 8601 in UTC."},
        tool=_TEXT,
        url=_TEXT,
        complete=_FLAG,
        interrupted=_FLAG,
        revision=_revision(),
        environment=_object(
            fingerprint={"type": "string", "pattern": "^[0-9a-f]{12}$"},
            runner=_TEXT,
            cpu_model=_TEXT,
            cores=_COUNT,
            memory=_COUNT,
            kernel=_TEXT,
            python=_TEXT,
            extra={"type": "object", "additionalProperties": _TEXT},
        ),
        generator_alone={"anyOf": [{"type": "null"}, _generator_alone()]},
    )


def _revision() -> dict[str, Any]:
    return _object(sha=_TEXT, branch=_TEXT, label=_TEXT)


def _duet() -> dict[str, Any]:
    return _object(
        base=_revision(),
        pairs=_COUNT,
        left_out=_COUNT,
        alpha=_FIGURE,
        control={**_PERHAPS, "description": "Relative change of the control endpoint in the head build's blocks."},
        seed=_COUNT,
        block_seconds=_FIGURE,
        warm_up=_FIGURE,
        restarted=_FLAG,
    )


def _generator_alone() -> dict[str, Any]:
    return {
        **_object(
            p50=_FIGURE,
            p95=_FIGURE,
            p99=_FIGURE,
            lateness_p99=_FIGURE,
            rate=_FIGURE,
            users=_COUNT,
            seconds=_FIGURE,
            requests=_COUNT,
        ),
        "description": "What the generator showed against the built-in responder before the run; null: not measured.",
    }


def _requirement() -> dict[str, Any]:
    return _object(
        phase=_TEXT,
        step=_TEXT,
        metric=_metric(),
        unit=_values(MetricKind),
        comparator=_values(Comparator),
        target=_FIGURE,
        critical=_PERHAPS,
        required=_FLAG,
        scaled_from={**_PERHAPS, "description": "The PRD's own figure where a profile has scaled it."},
        source=_TEXT,
        status=_values(RequirementStatus),
        met=_FLAG,
        level=_level(),
        measured={"anyOf": [{"type": "null"}, _object(value=_FIGURE, low=_FIGURE, high=_FIGURE, n=_COUNT, detail=_TEXT)]},
        headroom=_PERHAPS,
        sentence=_TEXT,
    )


def _expectation() -> dict[str, Any]:
    return _object(
        phase=_TEXT,
        experiment=_TEXT,
        repeat=_COUNT,
        expected=_values(Expected),
        step=_TEXT,
        limit=_FIGURE,
        status=_values(RequirementStatus),
        met=_FLAG,
        level=_level(),
        measured={"anyOf": [{"type": "null"}, _object(value=_FIGURE, low=_FIGURE, high=_FIGURE, n=_COUNT)]},
        unfinished={**_FLAG, "description": "What is waited for had not happened by then: the figure is the least it can be."},
        stale_for={"anyOf": [{"type": "null"}, _object(users=_COUNT, of=_COUNT)]},
        sentence=_TEXT,
    )


def _comparison() -> dict[str, Any]:
    return _object(
        phase=_TEXT,
        step=_TEXT,
        metric=_metric(),
        unit=_values(MetricKind),
        finding=_values(Change),
        level=_level(),
        primary=_FLAG,
        baseline=_PERHAPS,
        current=_PERHAPS,
        change={**_PERHAPS, "description": "Relative, signed as the figure moves: 0.05 is 5 % more."},
        change_low=_PERHAPS,
        change_high=_PERHAPS,
        worse={**_PERHAPS, "description": "The same on the metric's own scale, signed so that more is worse."},
        p=_SHARE,
        p_adjusted=_SHARE,
        noise=_PERHAPS,
        mde=_PERHAPS,
        margin=_PERHAPS,
        baselines=_COUNT,
        runs={**_COUNT, "description": "Of this build, behind 'current'."},
        confirmation={
            "anyOf": [{"type": "null"}, _object(runs=_COUNT, worse=_COUNT, confirmed=_FLAG, side_by_side=_FLAG)],
            "description": "How many of the runs, or pairs, are worse by the margin; null: it was not measured again.",
        },
        pairs={**_COUNT, "description": "Pairs of blocks compared side by side; 0: with baselines."},
        waived={**_FLAG, "description": "Whether a waiver covers the worsening."},
        reason=_TEXT,
        reasons=_list(_TEXT),
    )


def _explanation() -> dict[str, Any]:
    return _object(
        phase=_TEXT,
        steps={**_list(_TEXT), "description": "Those that became slower, the worst first; the quantiles are the worst one's."},
        shape=_values(ShiftShape),
        quantiles=_list(_object(metric=_metric(), change=_FIGURE, low=_FIGURE, high=_FIGURE, seconds=_FIGURE, moved=_FLAG)),
        since={**_TEXT, "description": "The run of main with which a part of it came; empty: all of it is new."},
        companions=_list(_TEXT),
        sentence={"type": "string", "minLength": 1},
    )


def _trust() -> dict[str, Any]:
    return _object(
        code=_TEXT, weight=_values(Trust), phase=_TEXT, figure=_PERHAPS, limit=_PERHAPS, sentence=_TEXT, advice=_TEXT
    )


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _values(kind: type[Enum]) -> dict[str, Any]:
    return {"enum": [member.value for member in kind]}


def _level(description: str = "") -> dict[str, Any]:
    words: dict[str, Any] = {"enum": [level.word for level in Level]}
    return {**words, "description": description} if description else words


def _metric() -> dict[str, Any]:
    return {"anyOf": [{"enum": list(METRICS)}, {"type": "string", "pattern": f"^{OWN}:"}]}
