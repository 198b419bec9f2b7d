"""Agreed regressions: what a waiver covers warns instead of failing; what it no longer covers, or never did, is an error.

A waiver that outlived its purpose would hide the next regression. So one that has expired fails the run, and so does one that
names a figure which the run does not compare.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta

from velro_gate.model.facts.findings import WaiverExpired, WaiverUnmatched
from velro_gate.model.facts.reasons import AboveWaiver, Waived
from velro_gate.model.metrics import METRICS, Scale
from velro_gate.model.verdict import Change, Comparison, Finding, Level
from velro_gate.model.waiver import Waiver, WaiverProposal

USUAL_DAYS = 30
"""How long a waiver that is proposed would hold."""
ROOM = 1.25
"""How far above the change that was seen a proposed ceiling lies."""

FILE = "velro-waivers.yaml"


def waived(rows: Sequence[Comparison], waivers: Sequence[Waiver], today: date) -> tuple[Comparison, ...]:
    """The comparisons, with those figures as warnings whose worsening a valid waiver covers; the reason says by which one.

    Suspicions too: what is accepted need not be certain. Rows that hold nothing back are left as they are.
    """
    valid = {(waiver.phase, waiver.step, waiver.metric): waiver for waiver in waivers if waiver.expires >= today}
    return tuple(_against_waiver(row, valid.get((row.phase, row.step, row.metric))) for row in rows)


def waiver_findings(
    rows: Sequence[Comparison], waivers: Sequence[Waiver], today: date, phases: Collection[str]
) -> Iterator[Finding]:
    """One failure for each waiver that has expired or that nothing in the run corresponds to.

    phases: the run's own; what is agreed of other profiles' phases is theirs to find.
    """
    known = {(row.phase, row.step, row.metric) for row in rows if row.primary}
    for waiver in waivers:
        if waiver.expires < today:
            yield Finding(
                level=Level.FAIL,
                subject="waivers",
                facts=WaiverExpired(waiver=waiver),
            )
        elif waiver.phase in phases and (waiver.phase, waiver.step, waiver.metric) not in known:
            yield Finding(
                level=Level.FAIL,
                subject="waivers",
                facts=WaiverUnmatched(waiver=waiver),
            )


def proposed(row: Comparison, today: date) -> WaiverProposal | None:
    """What a waiver of this regression would allow, and until when; None where there is no figure."""
    size = worsening(row)
    if size is None:
        return None
    expires = today + timedelta(days=USUAL_DAYS)
    return WaiverProposal(phase=row.phase, step=row.step, metric=row.metric, ceiling=size * ROOM, expires=expires)


def worsening(row: Comparison) -> float | None:
    """How much worse, in the terms of a ceiling; None without a figure."""
    metric = METRICS[row.metric]
    if row.worse is None or row.worse <= 0.0:
        return None
    if metric.scale is Scale.LINEAR:
        return row.worse
    return None if row.change is None else abs(row.change)


def _against_waiver(row: Comparison, waiver: Waiver | None) -> Comparison:
    size = worsening(row)
    if waiver is None or size is None or row.level < Level.INCONCLUSIVE:
        return row
    if row.verdict not in (Change.REGRESSION, Change.SUSPICIOUS):
        return row
    if size > waiver.ceiling:
        return replace(row, reasons=(*row.reasons, AboveWaiver(waiver=waiver)))
    return replace(row, level=Level.WARN, waived=True, reasons=(*row.reasons, Waived(waiver=waiver)))
