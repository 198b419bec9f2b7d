"""Seed and keep the baselines: which runs may become one, and making several at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from velro_gate.analysis.verdict.judge import judge
from velro_gate.analysis.verdict.trust.checks import trust_findings
from velro_gate.errors import BrokenError, GateFailedError, InterruptedRunError
from velro_gate.gate.judge.verdict import kept_further, reach_verdict, reread_run
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.null_run import Calibration
from velro_gate.gate.measure.results import make_results, run_id
from velro_gate.gate.measure.run import run
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.further import Further
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import NewLevel, RunRecord
from velro_gate.model.verdict import Change, Comparison, Finding, Level, Verdict
from velro_gate.report.sentences.findings import words
from velro_gate.report.sentences.kinds.failures import early_end
from velro_gate.scenario.waivers import read_waivers
from velro_gate.store.baselines import Baselines, add_baseline, load_baselines, quarantine

LEAST_SPARE = 2
"""Runs of a calibration that may be measured again at least."""
_DELAYS = frozenset({"lateness", "loop-lag", "gc-pause", "stalled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """The result of a calibration."""

    stored: tuple[RunRecord, ...]
    """The new baselines."""
    refused: tuple[tuple[RunRecord, str], ...] = ()
    """Runs that were measured again instead, each with the reason."""


def calibrate(
    service: Callable[[], AbstractContextManager[Setup]],
    *,
    runs: int,
    output: Path,
    baselines: Path,
    effects: Effects,
    calibration: Calibration | None = None,
    waivers: Path | None = None,
) -> Calibrated:
    """Run ``runs`` times, each within a fresh ``service()``, and store each trustworthy run as a baseline.

    A run that was disturbed or misses its own requirements is kept as quarantined and measured again, at most twice for all
    runs together, or half as often as there are runs: later runs would be compared with the disturbance.

    The runs are compared with what was accepted before the first of them, not with one another: five runs of one build
    should show its noise, not be selected by it. calibration: measures the generator alone, once for all runs; None: left out.
    waivers: the file of agreed regressions: the first run begins an epoch of what they cover, and all of them are in it.

    Raises:
        UsageError: the waivers cannot be read or are invalid. BrokenError: runs cannot be trusted. GateFailedError: one
        is a regression, or they miss their requirements. Such a run is kept as quarantined, and those stored before it stay.
        InterruptedRunError: the user stopped.
    """
    records: list[RunRecord] = []
    refused: list[tuple[RunRecord, str]] = []
    before: Baselines | None = None
    begun: frozenset[NewLevel] = frozenset()
    agreed = None if waivers is None else read_waivers(waivers)
    while len(records) < runs:
        number = len(records) + 1
        effects.say(f"calibration run {number} of {runs}{', measured again' if refused else ''}")
        # A fresh service each time: the noise between starts is part of what later runs differ by.
        with service() as setup:
            name = run_id(effects.utc_now(), setup.plan.scenario, setup.plan.profile)
            record = run(setup, make_results(output, name), effects, calibration)
        if record.interrupted:
            raise InterruptedRunError(f"calibration was interrupted in run {number} of {runs}")
        if before is None:
            before = load_baselines(baselines, plan=record.plan, environment=record.environment)
        verdict = judge(record, before.accepted, waivers=agreed)
        try:
            _store(record, verdict, baselines, accept_change=False, begun=begun, missed=_missed(record, verdict))
        except _DisturbedError as disturbed:
            refused.append((record, disturbed.why or disturbed.what))
            # A runner that disturbs this many of them would disturb the gate's runs too: no baselines are better than those.
            if len(refused) > max(LEAST_SPARE, runs // 2):
                raise
            effects.say(f"not stored: {disturbed.why}")
            continue
        begun |= _new_levels(verdict)
        records.append(record)
    return Calibrated(stored=tuple(records), refused=tuple(refused))


def accept(
    record: RunRecord,
    baselines: Path,
    *,
    accept_change: bool = False,
    waivers: Path | None = None,
    further: Further | None = None,
) -> Path:
    """Store a run as a baseline when it is whole, trustworthy and no regression against those accepted before.

    One that is not is kept as quarantined: it can be seen and is not used. A later call that accepts it makes it a baseline.

    accept_change: a person has looked at the regression and wants it as the new level: later runs are compared with the
    baselines from this one on. So they are where the file of waivers covers the regression. further: the runs that confirm it.

    Raises:
        BrokenError: the run cannot be trusted. GateFailedError: it is a regression and nobody accepted it.
    """
    verdict = reach_verdict(record, baselines, waivers=waivers, further=further)
    return _store(record, verdict, baselines, accept_change=accept_change)


def accept_kept(folder: Path, baselines: Path, *, accept_change: bool = False, waivers: Path | None = None) -> Path:
    """Store the run that is kept in ``folder`` as a baseline, as ``accept`` does, with the runs that confirm it.

    Raises:
        RecordError: there is no such run. UsageError: it is a duet. BrokenError, GateFailedError: it cannot become a baseline.
    """
    further = kept_further(folder)
    return accept(reread_run(folder), baselines, accept_change=accept_change, waivers=waivers, further=further)


class _DisturbedError(BrokenError):
    """A run that another one may replace."""


def _store(
    record: RunRecord,
    verdict: Verdict,
    baselines: Path,
    *,
    accept_change: bool,
    begun: frozenset[NewLevel] = frozenset(),
    missed: BrokenError | None = None,
) -> Path:
    """Store it as a baseline or as quarantined. begun: levels that a run before it has begun already. missed: of its
    requirements, where that keeps it from being a baseline.
    """
    # The most basic reason first: a run that answered nothing is not worth calling a regression.
    obstacle = (
        _unanswered(record)
        or _broken(record, verdict)
        or _delayed(record)
        or missed
        or (None if accept_change else _regression(record, verdict))
    )
    if obstacle is not None:
        quarantine(baselines, record, obstacle.why or obstacle.what)
        obstacle.hint = f"{obstacle.hint} It is kept as quarantined: 'velro-gate baseline list' shows it."
        raise obstacle
    levels = sorted(_new_levels(verdict) - begun, key=lambda level: (level.phase, level.step, level.metric))
    return add_baseline(baselines, replace(record, new_levels=tuple(levels)))


def _new_levels(verdict: Verdict) -> frozenset[NewLevel]:
    return frozenset(
        NewLevel(phase=row.phase, step=row.step, metric=row.metric) for row in verdict.comparisons if _is_agreed(row)
    )


def _is_agreed(row: Comparison) -> bool:
    """Whether a worsening was agreed to: by accepting the run, or by a waiver, which need not wait until it is certain."""
    return row.primary and (row.verdict is Change.REGRESSION or row.waived)


def _delayed(record: RunRecord) -> BrokenError | None:
    """A run whose response times are in large part the generator's delay would hide what later runs are slower by."""
    delayed = [
        doubt for doubt in trust_findings(record.plan.phases, record) if doubt.code in _DELAYS and doubt.level is Level.BROKEN
    ]
    if not delayed:
        return None
    return _DisturbedError(
        f"run {record.id} cannot become a baseline",
        why=f"{words(delayed[0]).sentence}, and later runs would be compared with that",
        hint=words(delayed[0]).advice,
    )


def _unanswered(record: RunRecord) -> BrokenError | None:
    """A run in which a phase answered nothing well would be a level of nothing; one that the service ended, of a part."""
    if record.ended_by_service:
        return BrokenError(
            f"run {record.id} cannot become a baseline",
            why=next(early_end(phase) for phase in record.phases if phase.ended_by_service),
            hint="Fix the service, or the scenario's checks, then run again.",
        )
    silent = [phase.name for phase in record.phases if (whole := phase.step()) and whole.counts.sent and not whole.counts.ok]
    if not silent:
        return None
    return BrokenError(
        f"run {record.id} cannot become a baseline",
        why=f"all requests failed in {', '.join(silent)}",
        hint="Fix the service or the scenario's checks, then run again.",
    )


def _missed(record: RunRecord, verdict: Verdict) -> BrokenError | None:
    """A run that misses what is required of every run is not a level to compare with."""
    missed = [result for result in verdict.requirements if result.requirement.required and not result.met]
    if not missed:
        return None
    named = ", ".join(
        f"{METRICS[result.requirement.metric].label} of {result.requirement.step} in {result.phase}" for result in missed[:3]
    )
    return _DisturbedError(
        f"run {record.id} cannot become a baseline",
        why=f"it misses its own requirements: {named}",
        hint="Fix the service or the limit; 'velro-gate baseline add' stores a kept run anyway.",
    )


def _regression(record: RunRecord, verdict: Verdict) -> GateFailedError | None:
    unagreed = [row for row in verdict.comparisons if row.verdict is Change.REGRESSION and row.level is Level.FAIL]
    if not unagreed:
        return None
    named = ", ".join(f"{row.phase} {row.step} {row.metric}" for row in unagreed[:3])
    return GateFailedError(
        f"run {record.id} is a regression against the {verdict.baselines_used} accepted baselines: {named}",
        why=f"worse than the accepted level: {named}",
        hint="Fix it, waive it, or store it with 'baseline add --accept-change' if the new level is intended.",
    )


def _broken(record: RunRecord, verdict: Verdict) -> BrokenError | None:
    broken: list[Finding] = [finding for finding in verdict.findings if finding.level is Level.BROKEN]
    if not broken:
        return None
    return _DisturbedError(
        f"run {record.id} cannot become a baseline",
        why="; ".join(words(finding).sentence for finding in broken[:3]),
        hint=words(broken[0]).advice or "Fix the problems listed above, then run again.",
    )
