"""Seed and keep the baselines: which runs may become one, and making several at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from velro_gate.errors import BrokenError, GateFailedError, InterruptedRunError
from velro_gate.gate.effects import Effects
from velro_gate.gate.judgement import reach_verdict
from velro_gate.gate.measure import run
from velro_gate.gate.null_run import Calibration
from velro_gate.gate.results import make_results, run_id
from velro_gate.gate.setup import Setup
from velro_gate.model.record import NewLevel, RunRecord
from velro_gate.model.verdict import Change, Finding, Level, Verdict
from velro_gate.store.baselines import add_baseline


def calibrate(
    service: Callable[[], AbstractContextManager[Setup]],
    *,
    runs: int,
    output: Path,
    baselines: Path,
    effects: Effects,
    calibration: Calibration | None = None,
) -> tuple[RunRecord, ...]:
    """Run ``runs`` times, each within a fresh ``service()``, and store each trustworthy run as a baseline.

    calibration: measures the generator alone, once for all runs; None: it is left out.

    Raises:
        BrokenError: a run cannot be trusted; the baselines stored before it stay. InterruptedRunError: the user stopped.
    """
    records = []
    for number in range(1, runs + 1):
        effects.say(f"calibration run {number} of {runs}")
        with service() as setup:
            name = run_id(effects.utc_now(), setup.plan.scenario, setup.plan.profile)
            record = run(setup, make_results(output, name), effects, calibration)
        if record.interrupted:
            raise InterruptedRunError(f"calibration was interrupted in run {number} of {runs}")
        _refuse(record, reach_verdict(record, None))
        add_baseline(baselines, record)
        records.append(record)
    return tuple(records)


def accept(record: RunRecord, baselines: Path, *, accept_change: bool = False, waivers: Path | None = None) -> Path:
    """Store a run as a baseline when it is whole, trustworthy and no regression against those accepted before.

    accept_change: a person has looked at the regression and wants it as the new level: later runs are compared with the
    baselines from this one on. So they are where the file of waivers covers the regression.

    Raises:
        BrokenError: the run cannot be trusted. GateFailedError: it is a regression and nobody accepted it.
    """
    verdict = reach_verdict(record, baselines, waivers=waivers)
    _refuse(record, verdict)
    worse = [c for c in verdict.comparisons if c.verdict is Change.REGRESSION]
    unagreed = [c for c in worse if c.level is Level.FAIL]
    if unagreed and not accept_change:
        named = ", ".join(f"{c.phase} {c.step} {c.metric}" for c in unagreed[:3])
        raise GateFailedError(
            f"run {record.id} is a regression against the {verdict.baselines_used} accepted baselines: {named}",
            hint="Mend it, or store it with --accept-change when the new level is wanted.",
        )
    levels = tuple(NewLevel(phase=c.phase, step=c.step, metric=c.metric) for c in worse)
    return add_baseline(baselines, replace(record, new_levels=levels))


def _refuse(record: RunRecord, verdict: Verdict) -> None:
    broken: list[Finding] = [finding for finding in verdict.findings if finding.level is Level.BROKEN]
    if broken:
        raise BrokenError(
            f"run {record.id} cannot become a baseline",
            why="; ".join(finding.sentence for finding in broken[:3]),
            hint=broken[0].advice or "Mend what is named above, then run again.",
        )
