"""Drift of main as findings: one warning for what changed lately, one for what is worse than the release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from velro_gate.analysis.stored.drift import ChangePoint, Drift, deciding_rows, drift_from, recent_worsenings
from velro_gate.model.facts.doubts import FigureName
from velro_gate.model.facts.findings import BehindRelease, MainChange, MainWorse, ReleaseChange
from velro_gate.model.record import Release, RunRecord
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Finding, Level

_SUBJECT = "main"


def drift_findings(history: Sequence[RunRecord], release: Release | None, policy: Policy) -> Iterator[Finding]:
    """What main's own history warns of. history: comparable accepted runs, oldest first; the newest thirty are looked at."""
    known = history[-policy.history :]
    rows = deciding_rows(known, policy)
    points = recent_worsenings(known, rows, policy)
    if points:
        yield Finding(
            level=Level.WARN,
            subject=_SUBJECT,
            facts=MainWorse(points=tuple(place(point) for point in points)),
        )
    drifted = drift_from(release, history, rows, policy) if release is not None else ()
    if release is not None and drifted:
        yield Finding(
            level=Level.WARN,
            subject=_SUBJECT,
            facts=BehindRelease(release=release.name, runs=drifted[0].k, drifted=tuple(behind(one) for one in drifted)),
        )


def place(point: ChangePoint) -> MainChange:
    """Where main became worse."""
    return MainChange(
        phase=point.phase,
        figure=FigureName(step=point.step, metric=point.metric),
        change=point.change,
        day=point.run.started_at[:10],
        sha=point.run.revision.sha,
    )


def behind(one: Drift) -> ReleaseChange:
    """By how much main is worse than the release."""
    return ReleaseChange(
        phase=one.phase,
        figure=FigureName(step=one.step, metric=one.metric),
        release=one.release,
        now=one.now,
        change=one.change,
    )
