"""Stored runs that exist and could not be compared with: why, and what mends that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Finding, Level

_CALIBRATE = "'velro-gate baseline calibrate'"
_REMEDIES = (
    (
        "of another version of the plan",
        f"Undo what renamed or changed a step or phase, or record baselines of the plan as it is now: {_CALIBRATE}.",
    ),
    (
        "of another environment",
        "Give like machines one label (runner-label, --runner), so that their names and kernels do not matter, or record "
        f"baselines on this one: {_CALIBRATE}.",
    ),
    ("quarantined", f"See why they are quarantined ('velro-gate baseline list'), and record others: {_CALIBRATE}."),
    ("", f"Record accepted runs of the main branch on this runner: {_CALIBRATE}."),
)


def noteworthy(skipped: Sequence[str]) -> str:
    """The reason that speaks first for stored runs which were not used; empty where there are none but of other profiles."""
    return next((said for said in skipped if "not used" in said and "of another profile" not in said), "")


def remedy(skipped: Sequence[str]) -> str:
    """What to do where nothing could be compared with."""
    reason = noteworthy(skipped)
    return next(advice for sign, advice in _REMEDIES if sign in reason)


def required_baseline(rules: Policy, baselines: Sequence[RunRecord], skipped: Sequence[str]) -> Iterator[Finding]:
    """The failure of a run that had to be compared and was not."""
    if rules.require_baseline and not baselines:
        because = f": {reason}" if (reason := noteworthy(skipped)) else ", and none is stored"
        yield Finding(
            level=Level.FAIL,
            subject="baselines",
            sentence=f"a baseline is required{because}",
            advice=remedy(skipped),
        )
