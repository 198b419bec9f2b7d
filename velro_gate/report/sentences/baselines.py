"""What to do about baselines that are missing or were not used, and how main itself has moved."""

from __future__ import annotations

from velro_gate import units
from velro_gate.analysis.stored.unused_baselines import noteworthy
from velro_gate.model.facts.findings import BaselineRequired, BehindRelease, MainChange, MainWorse, NoBaseline, ReleaseChange
from velro_gate.model.metrics import METRICS, Scale
from velro_gate.report.text import figures
from velro_gate.report.text.words import Words, listed, subject

CALIBRATE = "'velro-gate baseline calibrate'"
_REMEDIES = (
    (
        "of another version of the plan",
        f"Undo what renamed or changed a step or phase, or record baselines of the plan as it is now: {CALIBRATE}.",
    ),
    (
        "of another environment",
        "Give similar machines one label (runner-label, --runner), so that their names and kernels do not matter, or record "
        f"baselines on this one: {CALIBRATE}.",
    ),
    ("quarantined", f"See why they are quarantined ('velro-gate baseline list'), and record others: {CALIBRATE}."),
    ("", f"Record accepted runs of the main branch on this runner: {CALIBRATE}."),
)
_LOOK = "This change did not cause it. 'velro-gate baseline history' shows when it began; fix it on main, or accept it"
_MOST = 3


def no_baseline(facts: NoBaseline) -> Words:
    """There is nothing to compare with."""
    because = f" ({'; '.join(facts.skipped[:3])})" if facts.skipped else ""
    return Words(
        sentence=f"there is no baseline to compare with{because}: only the requirements were checked",
        advice=_remedy(facts.skipped),
    )


def baseline_required(facts: BaselineRequired) -> Words:
    """A run that had to be compared and was not."""
    reason = noteworthy(facts.skipped)
    return Words(
        sentence=f"a baseline is required{f': {reason}' if reason else ', and none is stored'}", advice=_remedy(facts.skipped)
    )


def _remedy(skipped: tuple[str, ...]) -> str:
    reason = noteworthy(skipped)
    return next(advice for sign, advice in _REMEDIES if sign in reason)


def main_worse(facts: MainWorse) -> Words:
    """Main itself became worse."""
    points = listed([main_change(point) for point in facts.points], _MOST, between="; ")
    return Words(sentence=f"main itself became worse, and nobody accepted it: {points}", advice=f"{_LOOK} with a waiver.")


def behind_release(facts: BehindRelease) -> Words:
    """Main is worse than a pinned release."""
    drifted = listed([release_change(one) for one in facts.drifted], _MOST, between="; ")
    return Words(
        sentence=f"the median of main's last {facts.runs} runs is worse than the pinned release {facts.release}: {drifted}",
        advice=f"{_LOOK} by pinning a newer release.",
    )


def main_change(point: MainChange) -> str:
    """``p95 of all requests in steady +9.1 % since the run of 2026-11-20 (4c1d9e0)``."""
    name = subject(point.figure.metric, point.figure.step)
    return f"{name} in {point.phase} {units.format_change(point.change)} since {run_of_main(point.day, point.sha)}"


def run_of_main(day: str, sha: str) -> str:
    """A run of main by its day and revision."""
    return f"the run of {day}{f' ({sha[:7]})' if sha else ''}"


def release_change(one: ReleaseChange) -> str:
    """``p95 of all requests in steady +12 % (11.0 ms -> 12.4 ms)``."""
    metric = one.figure.metric
    if METRICS[metric].scale is Scale.LINEAR or one.change is None:
        size = units.format_points(one.now - one.release)
    else:
        size = units.format_change(one.change)
    shown = f"{figures.figure(metric, one.release)} -> {figures.figure(metric, one.now)}"
    return f"{subject(metric, one.figure.step)} in {one.phase} {size} ({shown})"
