"""Which response times of a plan will be compared with baselines, and how long its phases would have to last for the others.

Said before any load is sent: a phase too short for its own p95 is better noticed then than by a warning in each pull request.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from velro_gate.analysis.rows.family import Row, is_enough, primary_rows, too_few
from velro_gate.model.metrics import METRICS
from velro_gate.model.scenario import ALL_STEPS, Policy
from velro_gate.report.sentences.reasons import reason_words


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseResponses:
    """The successful responses that a phase is expected to have."""

    phase: str
    seconds: float
    """The length of the measured stretch."""
    answers: Mapping[str, float]
    """Responses in it, by step, ``all`` among them."""
    broken: bool = False
    """Whether something is broken on purpose in it, so that only figures of that are compared."""


def comparable_sentences(phases: Sequence[PhaseResponses], policy: Policy) -> Iterator[str]:
    """One sentence on the response times that will be compared, for all phases alike, and one for each that will not be."""
    able: dict[str, list[str]] = defaultdict(list)
    missing = []
    broken = [phase.phase for phase in phases if phase.broken]
    if broken:
        yield f"Compared with baselines in {', '.join(broken)}: the figures of what is broken on purpose, and no other."
    for phase in phases:
        if phase.broken:
            continue
        rows = [row for row in _rows(phase, policy) if row.metric.quantile is not None]
        enough = [row for row in rows if is_enough(phase.answers.get(row.step, 0.0), row.metric)]
        able[", ".join(map(_name, enough))].append(phase.phase)
        for row in rows:
            if row not in enough:
                reason = reason_words(too_few(row.metric, phase.answers.get(row.step, 0.0), phase.seconds))
                missing.append(f"Not compared in {phase.phase}: {_label(row)}, {reason}.")
    for names, alike in able.items():
        yield f"Compared with baselines in {', '.join(alike)}: {names or 'no response time'}."
    yield from missing


def _rows(phase: PhaseResponses, policy: Policy) -> list[Row]:
    steps = [step for step in phase.answers if step != ALL_STEPS]
    # A quantile stands on all responses of its step; rates are of no interest here.
    return primary_rows(phase.phase, steps, policy, lambda step, _: phase.answers.get(step, 0.0), offered=False)


def _name(row: Row) -> str:
    return f"{_label(row)} (stands in for {METRICS[row.stands_for].label})" if row.stands_for else _label(row)


def _label(row: Row) -> str:
    return f"{row.metric.label} of {'all steps' if row.step == ALL_STEPS else row.step}"
