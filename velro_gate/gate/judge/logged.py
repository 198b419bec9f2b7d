"""The verdict in the run's log: what is the matter, what held the run back, and what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Level, Verdict
from velro_gate.report.parts.view import build
from velro_gate.report.text.escape import visible
from velro_gate.report.text.phrase import plain

_WORST = frozenset({Level.FAIL, Level.BROKEN})


def verdict_entries(record: RunRecord, verdict: Verdict) -> Iterator[tuple[int, str]]:
    """Lines with their levels: the verdict, what held the run back, what to do with the reasons for it."""
    view = build(record, verdict)
    level = logging.ERROR if verdict.level in _WORST else logging.INFO
    yield level, visible(f"verdict: {verdict.level.word}: {plain(view.sentence)}")
    for row in view.bottlenecks:
        where = f" in {row.phase}" if row.phase else ""
        yield logging.WARNING, visible(f"bottleneck{where}: {row.sentence} To do: {row.advice}")
    remedies = {row.advice for row in view.bottlenecks}
    for step in view.next_steps:
        for reason in step.reasons if step.advice not in remedies else ():
            yield logging.WARNING, visible(f"{reason.sentence} To do: {step.advice}")
