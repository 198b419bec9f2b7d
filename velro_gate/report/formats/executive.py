"""The executive summary: one page as HTML, the same as JSON, and as markdown for a job's summary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from velro_gate.analysis.compliance.assess import assess
from velro_gate.model.compliance.rules import PRD
from velro_gate.model.metrics import TAIL
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Change, Comparison, Level, RequirementResult, RequirementStatus, Verdict
from velro_gate.report.formats.compliance import compliance_json, compliance_schema
from velro_gate.report.parts.compliance import ComplianceView, compliance_view
from velro_gate.report.parts.rows import NOT_JUDGED, sortable_worsening, status_word
from velro_gate.report.parts.view import Footer, View, build
from velro_gate.report.parts.wording import spoken
from velro_gate.report.sentences.executive import compared_words, nothing_compared
from velro_gate.report.sentences.findings import words
from velro_gate.report.text import figures
from velro_gate.report.text.phrase import Phrase, plain
from velro_gate.report.text.templating import rendered

EXECUTIVE_SCHEMA = 1
"""Raised when a key changes its meaning or is removed; new keys do not raise it."""


def executive_html(record: RunRecord, verdict: Verdict) -> str:
    """The page."""
    return rendered("executive.html.j2", {"view": executive_view(record, verdict)})


def executive_schema() -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of the document of this version; no key beyond those named is allowed."""
    text = {"type": "string"}
    assessed = compliance_schema()["properties"]
    texts = {"type": "array", "items": text}
    properties: dict[str, object] = {
        "schema": {"const": EXECUTIVE_SCHEMA},
        "run": _object(id=text, started_at=text, revision=text),
        "scenario": text,
        "profile": text,
        "verdict": {"enum": [level.word for level in Level]},
        "readiness": assessed["readiness"],
        "reservations": assessed["reservations"],
        "status": text,
        "score": assessed["score"],
        "band": assessed["band"],
        "why_no_score": text,
        "figures": {
            "type": "array",
            "items": _object(figure=text, phase=text, measured=text, target=text, status=text),
        },
        "trend": texts,
        "impact": assessed["impact"],
        "impact_sentence": text,
        "checklist": assessed["checklist"],
        "criteria": assessed["criteria"],
        "todo": texts,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "velro-gate executive summary",
        **_object(**properties),
    }


def _object(**properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def executive_markdown(record: RunRecord, verdict: Verdict) -> str:
    """The section of a job's summary."""
    return rendered("executive.md.j2", {"view": executive_view(record, verdict)})


def executive_json(record: RunRecord, verdict: Verdict) -> str:
    """The document as indented JSON, keys in a fixed order, ending in a newline."""
    view, found = executive_view(record, verdict), assess(record, verdict)
    assessed = compliance_json(found)
    document = {
        "schema": EXECUTIVE_SCHEMA,
        "run": {"id": record.id, "started_at": record.started_at, "revision": record.revision.sha},
        "scenario": record.plan.scenario,
        "profile": record.plan.profile,
        "verdict": verdict.level.word,
        "readiness": found.readiness.value,
        "reservations": assessed["reservations"],
        "status": f"{view.compliance.readiness}. {plain(view.sentence)}",
        "score": found.score,
        "band": found.band,
        "why_no_score": view.compliance.unscored,
        "figures": [
            {
                "figure": plain(one.subject),
                "phase": one.phase,
                "measured": one.value,
                "target": one.target,
                "status": one.status,
            }
            for one in view.figures
        ],
        "trend": view.trend,
        "impact": assessed["impact"],
        "impact_sentence": view.compliance.impact,
        "checklist": assessed["checklist"],
        "criteria": assessed["criteria"],
        "todo": view.todo,
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


_ORDER = ("users_held", "sustained_throughput", "throughput", "p95", "error_rate", "hit_rate", "database_connections")
MOST_FIGURES = 8
"""Figures of the page, the missed ones first."""
MOST_TODO = 3
"""Things to do; whoever reads this page passes them on to others."""
_ABOUT_MAIN = ("main-worse", "behind-release")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    """One figure against its target."""

    subject: Phrase
    value: str
    target: str
    status: str
    tone: str
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutiveView:
    """Everything on the page."""

    scenario: str
    profile: str
    level: str
    title: str
    sentence: Phrase
    compliance: ComplianceView
    figures: list[KeyFigure]
    trend: list[str]
    todo: list[str]
    footer: Footer


def executive_view(record: RunRecord, verdict: Verdict) -> ExecutiveView:
    """The view of one run and its verdict."""
    view, compliance = build(record, verdict), compliance_view(record, verdict)
    return ExecutiveView(
        scenario=view.scenario,
        profile=view.profile,
        level=view.level,
        # An open verdict's title is the beginning of its sentence.
        title="" if plain(view.sentence).lower().startswith(view.title.lower()) else view.title,
        sentence=view.sentence,
        compliance=compliance,
        figures=[_key_figure(one, judged=verdict.level is not Level.BROKEN) for one in key_results(verdict.requirements)],
        trend=trend_sentences(verdict),
        todo=things_to_do(view, compliance),
        footer=view.footer,
    )


def key_results(results: Iterable[RequirementResult]) -> list[RequirementResult]:
    """The PRD's requirements, or all where none is one; of several on one figure the one that fares worst."""
    every = list(results)
    stated = [one for one in every if one.requirement.source == PRD] or every
    worst: dict[tuple[str, str], RequirementResult] = {}
    for one in stated:
        key = (one.requirement.metric, one.requirement.step)
        if key not in worst or _badness(one) > _badness(worst[key]):
            worst[key] = one
    # What fails is shown, however many figures there are.
    kept = sorted(worst.values(), key=lambda one: (one.met, _place(one)))[:MOST_FIGURES]
    return sorted(kept, key=_place)


def _badness(one: RequirementResult) -> tuple[int, float]:
    return one.level, -(one.headroom or 0.0)


def _place(one: RequirementResult) -> tuple[int, bool, str]:
    wanted = one.requirement
    known = _ORDER.index(wanted.metric) if wanted.metric in _ORDER else len(_ORDER)
    return known, wanted.step != ALL_STEPS, wanted.step


def _key_figure(result: RequirementResult, *, judged: bool) -> KeyFigure:
    wanted, unmeasured = result.requirement, result.status is RequirementStatus.NOT_MEASURED
    return KeyFigure(
        subject=figures.subject_phrase(wanted.metric, wanted.step),
        value=figures.estimate(wanted.metric, result.estimate),
        target=figures.limit(wanted),
        status=status_word(result) if judged or unmeasured else NOT_JUDGED,
        # What was not measured looks like nothing that is decided.
        tone="open" if unmeasured or not judged else result.level.word,
        phase=result.phase,
    )


def trend_sentences(verdict: Verdict) -> list[str]:
    """How the run compares with what was accepted before, and what is known of main and its pinned release."""
    main = [spoken(words(one).sentence) for one in verdict.findings if one.code in _ABOUT_MAIN]
    row = _whole(verdict.comparisons)
    return [nothing_compared() if row is None else compared_words(row), *main]


def _whole(rows: Iterable[Comparison]) -> Comparison | None:
    """The comparison that stands for the run: the p95 of all requests that moved for the worse the most."""
    known = [
        row
        for row in rows
        if (row.step, row.metric) == (ALL_STEPS, TAIL)
        and row.verdict is not Change.NOT_COMPARED
        and row.change is not None
        and row.level is not Level.NO_BASELINE
    ]
    return max(known, key=sortable_worsening, default=None)


def things_to_do(view: View, compliance: ComplianceView) -> list[str]:
    """At most three: what the findings ask for, each after what it is about, then what of the checklist failed or is open."""
    asked = [f"{step.reasons[0].sentence} {step.advice}" for step in view.next_steps if step.reasons]
    return [*asked, *_unchecked(compliance)][:MOST_TODO] or ["Nothing to do."]


def _unchecked(compliance: ComplianceView) -> Iterator[str]:
    for state in ("failed", "open"):
        for row in compliance.checklist:
            if row.state == state:
                yield f"Checklist item {state}, '{row.title}': {row.reason}."
