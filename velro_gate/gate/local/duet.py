"""Measuring two builds side by side from a terminal."""

from __future__ import annotations

from pathlib import Path

from velro_gate.gate.builds.run import Builds
from velro_gate.gate.duet.duration import say_forecast
from velro_gate.gate.duet.pilot import DuetOptions
from velro_gate.gate.duet.run import duet
from velro_gate.gate.judge.check_waivers import check_waivers
from velro_gate.gate.judge.verdict import reach_duet_verdict, write_reports
from velro_gate.gate.local.run import stop_if_interrupted
from velro_gate.gate.measure.effects import World
from velro_gate.gate.measure.null_run import Calibration
from velro_gate.gate.measure.results import Results, make_results, run_id
from velro_gate.gate.measure.setup import RunOptions, prepare
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Verdict


def measure_duet(
    wanted: RunOptions, builds: Builds, options: DuetOptions, world: World, *, output: Path, waivers: Path, calibrate: bool
) -> tuple[RunRecord, Verdict, Results]:
    """Measure both builds, judge, write the reports.

    Raises:
        UsageError: a build cannot be, or the waivers cannot work. InterruptedRunError: the user stopped.
    """
    builds.check()
    # A build that is started gets its own address: any will do where the scenario takes it from the environment.
    setup = prepare(wanted, {"VELRO_API_URL": "http://127.0.0.1", **world.environ})
    check_waivers(waivers, setup.scenario)
    with world.open() as effects:
        say_forecast(setup.phases, options, effects.say)
        name = run_id(effects.utc_now(), setup.plan.scenario, f"{setup.plan.profile}-duet")
        results = make_results(output, name)
        record, kept = duet(setup, builds, options, results, effects, Calibration() if calibrate else None)
    verdict = reach_duet_verdict(record, kept, waivers=waivers)
    write_reports(record, verdict, results)
    stop_if_interrupted(record, results)
    return record, verdict, results
