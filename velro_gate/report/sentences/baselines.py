"""What to do about baselines that are missing or were not used, and how main itself has moved."""

from __future__ import annotations

from collections.abc import Iterable

from velro_gate import units
from velro_gate.model.facts.findings import BaselineRequired, BehindRelease, MainChange, MainWorse, NoBaseline, ReleaseChange
from velro_gate.model.facts.outlook import FARTHEST, Outlook
from velro_gate.model.facts.unused import UnusedRuns, WhyUnused
from velro_gate.model.metrics import METRICS, Scale
from velro_gate.report.text import figures
from velro_gate.report.text.words import Words, listed, subject

CALIBRATE = "'velro-gate baseline calibrate SCENARIO --profile PROFILE'"
_REMEDIES = {
    WhyUnused.PLAN: (
        "Undo what changed in the plan, or record new baselines.",
        f"Undo what renamed or changed a step or phase, or record baselines of the plan as it is now: {CALIBRATE}.",
    ),
    WhyUnused.ENVIRONMENT: (
        "Give similar machines one runner label, or record new baselines.",
        "Give similar machines one label (runner-label, --runner), so that their names and kernels do not matter, or record "
        f"baselines on this one: {CALIBRATE}.",
    ),
    WhyUnused.QUARANTINED: (
        "Record new baselines.",
        f"See why they are quarantined ('velro-gate baseline list'), and record others: {CALIBRATE}.",
    ),
}
"""What helps, in short and in full."""
_ACCEPT = "Accept this search, so that later ones are compared with it: 'velro-gate baseline add' with the folder of its files."
_RECORD = "Record new baselines.", f"Record accepted runs of the main branch on this runner: {CALIBRATE}."
_UNUSED = {
    WhyUnused.SCENARIO: "of another scenario",
    WhyUnused.PROFILE: "of another profile",
    WhyUnused.PLAN: "of another version of the plan",
    WhyUnused.ENVIRONMENT: "of another environment",
    WhyUnused.QUARANTINED: "quarantined ('velro-gate baseline list' says why)",
    WhyUnused.INCOMPLETE: "interrupted or incomplete",
}
_LOOK = "This change did not cause it. 'velro-gate baseline history' shows when it began; fix it on main, or accept it"
_MOST = 3
"""Changes that a sentence names one by one."""


def nothing_stored(folder: str, scenario: str | None = None) -> str:
    """Said where a folder holds no stored run, or none of the scenario of this file."""
    of = "" if scenario is None else f" of {scenario}"
    return f"no baselines{of} in {folder} ('velro-gate baseline calibrate {scenario or 'SCENARIO'}' records five)"


def no_baseline(facts: NoBaseline) -> Words:
    """There is nothing to compare with."""
    because = f" ({'; '.join(map(unused_words, facts.skipped[:3]))})" if facts.skipped else ""
    return Words(
        sentence=f"there is no baseline to compare with{because}: no regression can be detected",
        advice=_remedy(facts.skipped) if not facts.search else _ACCEPT,
    )


def baseline_required(facts: BaselineRequired) -> Words:
    """A run that had to be compared and was not."""
    unused = noteworthy(facts.skipped)
    reason = ", and none is stored" if unused is None else f": {unused_words(unused)}"
    return Words(sentence=f"a baseline is required{reason}", advice=_remedy(facts.skipped))


def unused_words(one: UnusedRuns) -> str:
    """``5 baselines not used: of another environment (cores was 4, is 2)``."""
    if one.why is WhyUnused.UNREADABLE:
        return one.detail
    detail = f" ({one.detail})" if one.detail else ""
    return f"{one.runs} baseline{'s' * (one.runs != 1)} not used: {_UNUSED[one.why]}{detail}"


def noteworthy(skipped: Iterable[UnusedRuns]) -> UnusedRuns | None:
    """The first that a reader has to know of: stored runs of other profiles are expected."""
    return next((one for one in skipped if one.why is not WhyUnused.PROFILE), None)


def _remedy(skipped: Iterable[UnusedRuns]) -> str:
    unused = noteworthy(skipped)
    return (_RECORD if unused is None else _REMEDIES.get(unused.why, _RECORD))[1]


def short_remedy(unused: UnusedRuns) -> str:
    """What helps against stored baselines that were not used, in a few words."""
    return _REMEDIES.get(unused.why, _RECORD)[0]


def main_worse(facts: MainWorse) -> Words:
    """Main itself became worse."""
    points = listed([main_change(point) for point in facts.points], _MOST, between="; ")
    return Words(sentence=f"main itself became worse, and nobody accepted it: {points}", advice=f"{_LOOK} with a waiver.")


def outlook_sentence(found: Outlook) -> str:
    """When a figure of main reaches its limit, if it goes on as it has."""
    change = f"{units.format_change(found.change.value)} a merge"
    between = f"{units.format_change(found.change.low)} to {units.format_change(found.change.high)}"
    far = "no end" if found.merges.high > FARTHEST else units.format_whole(found.merges.high)
    limit = figures.figure(found.metric, found.limit)
    merges, soonest = units.format_whole(found.merges.value), units.format_whole(found.merges.low)
    return (
        f"{subject(found.metric, found.step)} in {found.phase} changes by {change} ({between}) over {found.runs} runs of main: "
        f"its limit of {limit} is reached in about {merges} merges ({soonest} to {far})"
    )


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
