"""Waivers for a run's regressions, as rows to paste into the file of waivers once somebody has agreed to them."""

from __future__ import annotations

import re
from datetime import date

from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Change, Level, Verdict
from velro_gate.report.sentences.waivers import proposed_row

MOST = 8
"""Proposed rows: where more figures fail, a waiver for each is not the answer."""
_PLAIN = re.compile(r"[\w.-]+")


def waiver_rows(record: RunRecord, verdict: Verdict) -> tuple[str, ...]:
    """One row for each primary regression that fails the run; none for names that YAML would not take as they are."""
    today = date.fromisoformat(record.started_at[:10])
    failing = [
        row for row in verdict.comparisons if row.primary and row.verdict is Change.REGRESSION and row.level is Level.FAIL
    ]
    rows = (proposed_row(row, today) for row in failing if _PLAIN.fullmatch(row.phase) and _PLAIN.fullmatch(row.step))
    return tuple(filter(None, rows))[:MOST]
