"""Calibrating from a terminal: the generator alone, and the baselines that show the noise of a runner."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from velro_gate.gate.judge.calibrate import Calibrated, calibrate
from velro_gate.gate.measure.effects import World
from velro_gate.gate.measure.null_run import Calibration, NullRun
from velro_gate.gate.measure.run import measure_generator
from velro_gate.gate.measure.setup import RunOptions, prepare
from velro_gate.store.baselines import require_folder

_NO_SERVICE = {"VELRO_API_URL": "http://127.0.0.1"}


def calibrate_generator(wanted: RunOptions, seconds: float, world: World) -> NullRun:
    """Measure the generator alone at the plan's peak load, for ``seconds``; needs no service and no secret.

    Raises:
        UsageError, ScenarioError: the plan cannot be used. BrokenError: it could not be measured.
    """
    # Nothing is sent to the service, so any address will do where the file takes it from the environment.
    setup = prepare(wanted, {**_NO_SERVICE, **world.environ}, need_secrets=False)
    with world.open() as effects:
        return measure_generator(setup, seconds, effects)


def calibrate_baselines(
    wanted: RunOptions, world: World, *, runs: int, output: Path, baselines: Path, waivers: Path, null_run: bool
) -> Calibrated:
    """Run the accepted build several times and store each trustworthy run as a baseline.

    null_run: measure the generator alone first, once for all runs.

    Raises:
        As ``gate.judge.calibrate.calibrate``; UsageError also if ``baselines`` is not a folder.
    """
    # Before the load: half an hour of it would be lost over a wrong path.
    require_folder(baselines)
    setup = prepare(wanted, world.environ)
    with world.open() as effects:
        return calibrate(
            lambda: nullcontext(setup),
            runs=runs,
            output=output,
            baselines=baselines,
            effects=effects,
            calibration=Calibration() if null_run else None,
            waivers=waivers,
        )
