"""What the commands share between their options and the use cases."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from velro_gate.cli.world import real_effects
from velro_gate.errors import InterruptedRunError, UsageError
from velro_gate.gate.confirming import Confirming, gated, phases_again, was_interrupted
from velro_gate.gate.judgement import judge_kept
from velro_gate.gate.measure import run
from velro_gate.gate.null_run import Calibration
from velro_gate.gate.results import Results, make_results, run_id
from velro_gate.gate.setup import Asked, prepare
from velro_gate.store.records import read_record

if TYPE_CHECKING:
    from velro_gate.model.record import RunRecord
    from velro_gate.model.verdict import Verdict


def measure(
    wanted: Asked, output: Path, runner: str | None, verbose: bool, *, calibrate: bool = True
) -> tuple[RunRecord, Results]:
    """Run the load with the real world around it; an interrupted run comes back marked as such.

    calibrate: measure the generator alone first.
    """
    setup = prepare(wanted, os.environ)
    with real_effects(runner, verbose) as effects:
        name = run_id(effects.utc_now(), setup.plan.scenario, setup.plan.profile)
        results = make_results(output, name)
        return run(setup, results, effects, Calibration() if calibrate else None), results


def measure_and_judge(
    wanted: Asked,
    output: Path,
    runner: str | None,
    verbose: bool,
    *,
    calibrate: bool,
    baselines: Path,
    waivers: Path,
    confirm_seconds: float | None,
) -> tuple[RunRecord, Verdict, Results]:
    """Run the load, judge it, run suspicious phases again for at most ``confirm_seconds`` (None: judge it alone).

    Raises:
        InterruptedRunError: the run, or running it again, was interrupted; what there is has been kept and judged.
    """
    setup = prepare(wanted, os.environ)
    with real_effects(runner, verbose) as effects:
        results = make_results(output, run_id(effects.utc_now(), setup.plan.scenario, setup.plan.profile))
        calibration = Calibration() if calibrate else None
        record = run(setup, results, effects, calibration)
        again = partial(phases_again, setup=setup, results=results, effects=effects, calibration=calibration)
        confirming = None if confirm_seconds is None else Confirming(again=again, seconds=confirm_seconds)
        verdict, further = gated(record, results, baselines=baselines, waivers=waivers, confirming=confirming, say=effects.say)
    stop_if_interrupted(record, results)
    if was_interrupted(further):
        raise InterruptedRunError("the run was interrupted while suspicious phases were run again", where=str(results.folder))
    return record, verdict, results


def stop_if_interrupted(record: RunRecord, results: Results) -> None:
    """End the command when its run was interrupted; everything that was measured is kept by now.

    Raises:
        InterruptedRunError: naming the folder of the partial record.
    """
    if record.interrupted:
        raise InterruptedRunError("the run was interrupted", where=str(results.folder))


def judge_again(record: Path, baselines: Path, scenario: Path | None, waivers: Path) -> tuple[RunRecord, Verdict]:
    """Judge a kept record, by its own plan or by another scenario file's requirements and policy; a duet by its own pairs.

    Raises:
        UsageError: the other scenario says nothing about a phase of the run.
    """
    if scenario is None:
        return judge_kept(record, baselines, waivers=waivers)
    kept = read_record(record)
    profile = kept.plan.profile.partition(":")[0]
    # Nothing is sent, so any address will do where the file takes it from the environment.
    nowhere = {"VELRO_API_URL": "http://127.0.0.1"}
    other = prepare(Asked(scenario=scenario, profile=profile), {**nowhere, **os.environ}, need_secrets=False)
    known = {phase.name: phase for phase in other.phases}
    unknown = [phase.name for phase in kept.plan.phases if phase.name not in known]
    if unknown:
        # Without its requirements such a phase would be judged by nothing, and pass.
        raise UsageError(
            f"profile {profile} has no phase {', '.join(map(repr, unknown))}, which the run holds",
            where=str(scenario),
            hint=f"Name a scenario whose phases are those of the run; this one's are {', '.join(known)}.",
        )
    phases = [known[phase.name] for phase in kept.plan.phases]
    return judge_kept(record, baselines, policy=other.plan.policy, phases=phases, waivers=waivers)
