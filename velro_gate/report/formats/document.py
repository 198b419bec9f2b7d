"""verdict.json: the verdict for programs, in base units and unrounded, under a versioned schema with stable keys."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from velro_gate.analysis.compliance.assess import assess
from velro_gate.model.facts.bottlenecks import Bottleneck
from velro_gate.model.facts.regression import Explanation
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import Estimate, GeneratorNoise, RunRecord, fingerprint
from velro_gate.model.verdict import (
    Comparison,
    ExpectationResult,
    Finding,
    RequirementResult,
    SideBySide,
    TrustFinding,
    Verdict,
)
from velro_gate.report.formats.compliance import compliance_json
from velro_gate.report.parts.wording import action, headline
from velro_gate.report.sentences.baselines import unused_words
from velro_gate.report.sentences.bottlenecks import bottleneck_words
from velro_gate.report.sentences.explanations import companion_words, explanation_sentence
from velro_gate.report.sentences.findings import words
from velro_gate.report.sentences.kinds.experiments import expectation_sentence
from velro_gate.report.sentences.kinds.requirements import requirement_sentence
from velro_gate.report.sentences.reasons import row_reason
from velro_gate.report.text import figures

VERDICT_SCHEMA = 1
"""Raised when a key changes its meaning or is removed; new keys do not raise it."""


def verdict_json(record: RunRecord, verdict: Verdict) -> str:
    """The document as indented JSON, keys in a fixed order, ending in a newline. A missing figure is null."""
    return json.dumps(_document(record, verdict), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _document(record: RunRecord, verdict: Verdict) -> dict[str, Any]:
    return {
        "schema": VERDICT_SCHEMA,
        "verdict": verdict.level.word,
        "suspicious": verdict.is_suspicious,
        "exit_code": verdict.exit_code(block_inconclusive=record.plan.policy.block_inconclusive),
        "action": action(verdict),
        "headline": headline(record, verdict),
        "run": _run(record),
        "plan": {
            "scenario": record.plan.scenario,
            "profile": record.plan.profile,
            "digest": record.plan.digest,
            "phases": [phase.name for phase in record.plan.phases],
            "scaled": any(result.requirement.scaled_from is not None for result in verdict.requirements),
        },
        "duet": _duet(verdict.duet),
        "baselines": {"used": verdict.baselines_used, "skipped": [unused_words(one) for one in verdict.baselines_skipped]},
        "findings": [_finding(found) for found in verdict.findings],
        "requirements": [_requirement(result) for result in verdict.requirements],
        "experiments": [_expectation(result) for result in verdict.expectations],
        "comparisons": [_comparison(row) for row in verdict.comparisons],
        "explanations": [_explanation(one) for one in verdict.explanations],
        "trust": [trust_row(found) for found in verdict.trust],
        "bottlenecks": [_bottleneck(phase.name, found) for phase in record.phases for found in phase.bottlenecks],
        "compliance": compliance_json(assess(record, verdict)),
    }


def _run(record: RunRecord) -> dict[str, Any]:
    place = record.environment
    return {
        "id": record.id,
        "started_at": record.started_at,
        "tool": record.tool,
        "url": record.url,
        "complete": record.complete,
        "interrupted": record.interrupted,
        "revision": {"sha": record.revision.sha, "branch": record.revision.branch, "label": record.revision.label},
        "environment": {
            "fingerprint": fingerprint(place),
            "runner": place.runner,
            "cpu_model": place.cpu_model,
            "cores": place.cores,
            "memory": place.memory,
            "kernel": place.kernel,
            "python": place.python,
            "extra": dict(sorted(place.extra.items())),
        },
        "generator_alone": noise_json(record.generator_noise),
    }


def noise_json(noise: GeneratorNoise | None) -> dict[str, Any] | None:
    """The null run's figures by their names; None when there was none."""
    return None if noise is None else dataclasses.asdict(noise)


def _duet(duet: SideBySide | None) -> dict[str, Any] | None:
    """How base and head were measured side by side; None for a run compared with baselines."""
    return None if duet is None else dataclasses.asdict(duet)


def _finding(found: Finding) -> dict[str, Any]:
    said = words(found)
    return {
        "code": found.code,
        "level": found.level.word,
        "subject": found.subject,
        "sentence": said.sentence,
        "advice": said.advice,
    }


def _bottleneck(phase: str, found: Bottleneck) -> dict[str, Any]:
    said = bottleneck_words(found)
    return {
        "code": found.code,
        "phase": phase,
        "start": found.start,
        "end": found.end,
        "strength": found.strength,
        "series": list(found.series),
        "figures": {name: value for name, value in dataclasses.asdict(found.facts).items() if name != "code"},
        "sentence": said.sentence,
        "advice": said.advice,
    }


def _requirement(result: RequirementResult) -> dict[str, Any]:
    wanted = result.requirement
    return {
        "phase": result.phase,
        "step": wanted.step,
        "metric": wanted.metric,
        "unit": METRICS[wanted.metric].kind.value,
        "comparator": wanted.comparator.value,
        "target": wanted.target,
        "critical": wanted.critical,
        "required": wanted.required,
        "scaled_from": wanted.scaled_from,
        "source": wanted.source,
        "status": result.status.value,
        "met": result.met,
        "level": result.level.word,
        "measured": _estimate(wanted.metric, result.estimate),
        "headroom": result.headroom,
        "sentence": requirement_sentence(result),
    }


def _expectation(result: ExpectationResult) -> dict[str, Any]:
    wanted = result.expectation
    return {
        "phase": result.phase,
        "experiment": result.experiment,
        "repeat": result.repeat,
        "expected": wanted.kind.value,
        "step": wanted.step,
        "limit": wanted.limit,
        "status": result.status.value,
        "met": result.met,
        "level": result.level.word,
        "measured": _expected_figure(result.estimate),
        "unfinished": result.unfinished,
        "stale_for": None if result.users is None else {"users": result.users[0], "of": result.users[1]},
        "sentence": expectation_sentence(result),
    }


def _expected_figure(found: Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}


def _estimate(metric: str, found: Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n, "detail": figures.detail(metric, found)}


def _comparison(row: Comparison) -> dict[str, Any]:
    return {
        "phase": row.phase,
        "step": row.step,
        "metric": row.metric,
        "unit": METRICS[row.metric].kind.value,
        "finding": row.verdict.value,
        "level": row.level.word,
        "primary": row.primary,
        "baseline": row.baseline,
        "current": row.current,
        "change": row.change,
        "change_low": row.change_low,
        "change_high": row.change_high,
        "worse": row.worse,
        "p": row.p,
        "p_adjusted": row.p_adjusted,
        "noise": row.noise,
        "mde": row.mde,
        "margin": row.margin,
        "baselines": row.k,
        "runs": row.runs,
        "confirmation": None if row.confirmation is None else dataclasses.asdict(row.confirmation),
        "pairs": row.pairs,
        "waived": row.waived,
        "reason": row_reason(row),
        "reasons": [reason.code for reason in row.reasons],
    }


def _explanation(one: Explanation) -> dict[str, Any]:
    return {
        "phase": one.phase,
        "steps": list(one.steps),
        "shape": one.shape.value,
        "quantiles": [dataclasses.asdict(move) for move in one.quantiles],
        "since": one.since,
        "companions": [companion_words(each) for each in one.companions],
        "sentence": explanation_sentence(one),
    }


def trust_row(found: TrustFinding) -> dict[str, Any]:
    """One reason to doubt a measurement."""
    said = words(found)
    return {
        "code": found.code,
        "weight": found.trust.value,
        "phase": found.phase,
        "figure": found.figure,
        "limit": found.limit,
        "sentence": said.sentence,
        "advice": said.advice,
    }
