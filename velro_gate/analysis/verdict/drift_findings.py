"""Drift of main in words: one warning for what changed lately, one for what is worse than the release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from velro_gate import units
from velro_gate.analysis.rows.wording import figure, named
from velro_gate.analysis.stored.drift import ChangePoint, Drift, drift_from, primary_rows, recent_worsenings
from velro_gate.analysis.verdict.findings import subject_of
from velro_gate.model.metrics import METRICS, Scale
from velro_gate.model.record import Release, RunRecord
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Finding, Level

_SUBJECT = "main"
_MOST = 3
_LOOK = "Nothing that this change did. 'velro-gate baseline history' shows since when; mend it on main, or agree to it"


def drift_findings(history: Sequence[RunRecord], release: Release | None, policy: Policy) -> Iterator[Finding]:
    """What main's own history warns of. history: comparable accepted runs, oldest first; the newest thirty are looked at."""
    known = history[-policy.history :]
    rows = primary_rows(known, policy)
    points = recent_worsenings(known, rows, policy)
    if points:
        yield Finding(
            level=Level.WARN,
            subject=_SUBJECT,
            sentence=f"main itself became worse without anybody agreeing to it: {_listed([said_of_point(p) for p in points])}",
            advice=f"{_LOOK} with a waiver.",
        )
    drifted = drift_from(release, history, rows, policy) if release is not None else ()
    if release is not None and drifted:
        yield Finding(
            level=Level.WARN,
            subject=_SUBJECT,
            sentence=f"the median of main's last {drifted[0].k} runs is worse than the pinned release {release.name}: "
            f"{_listed([said_of_drift(one) for one in drifted])}",
            advice=f"{_LOOK} by pinning a newer release.",
        )


def said_of_point(point: ChangePoint) -> str:
    """``p95 of all steps in steady +9.1 % since the run of 2026-11-20 (4c1d9e0)``."""
    return f"{subject_of(point)} in {point.phase} {units.format_change(point.change)} since {named(point.run)}"


def said_of_drift(one: Drift) -> str:
    """``p95 of all steps in steady +12 % (11.0 ms -> 12.4 ms)``."""
    metric = METRICS[one.metric]
    if metric.scale is Scale.LINEAR or one.change is None:
        size = units.format_points(one.now - one.release)
    else:
        size = units.format_change(one.change)
    figures = f"{figure(metric.kind, one.release)} -> {figure(metric.kind, one.now)}"
    return f"{subject_of(one)} in {one.phase} {size} ({figures})"


def _listed(said: Sequence[str]) -> str:
    more = f"; and {len(said) - _MOST} more" if len(said) > _MOST else ""
    return "; ".join(said[:_MOST]) + more
