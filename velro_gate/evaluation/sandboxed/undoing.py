"""Whether faults are undone when the run that ordered them is killed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from velro_gate.errors import BrokenError
from velro_gate.evaluation.bounds import figure_of
from velro_gate.evaluation.results import Aim, Figure
from velro_gate.gate.measure.effects import Effects
from velro_gate.sandbox.process import RunningSandbox

_BEGUN_WITHIN = 60.0
"""How long a run may take until its fault is there."""
_UNDONE_WITHIN = 10.0
"""How long the undoing may take after the run was killed."""
_LOOK_EVERY = 0.02
"""Seconds between two looks."""


def undo_figure(folder: Path, count: int, world: Effects, sandbox: RunningSandbox) -> Figure:
    """Kill runs (SIGKILL) while a process is frozen and a command has left a mark: how often both are undone.

    Raises:
        BrokenError: a run never came as far as its fault.
    """
    undone = 0
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        ok = _undone(folder / f"killed-{number:03}", sandbox)
        undone += ok
        world.say(f"killed run {number}: {'undone' if ok else 'NOT undone'}")
    return figure_of("resilience, run killed by SIGKILL", "everything is undone", undone, count, Aim.AT_LEAST, 1.0)


def _undone(place: Path, sandbox: RunningSandbox) -> bool:
    place.mkdir(exist_ok=True)
    mark = place / "mark"
    with _sleeping() as frozen:
        scenario = place / "scenario.yaml"
        scenario.write_text(json.dumps(_scenario(mark, frozen.pid)), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "velro_gate", "run", str(scenario), "--url", sandbox.url, "--no-calibration"]
        with subprocess.Popen(
            [*command, "--output", str(place / "results")],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as run:
            try:
                begun = _holds(lambda: mark.exists() and _is_stopped(frozen), _BEGUN_WITHIN, run)
            finally:
                run.kill()
        if not begun:
            raise BrokenError("a run ended, or lasted too long, before its fault began", where=str(place))
        return _holds(lambda: not mark.exists() and not _is_stopped(frozen), _UNDONE_WITHIN)


def _scenario(mark: Path, pid: int) -> dict[str, object]:
    """A process is frozen and marked; experiments of one phase do not overlap, so one command does both."""
    command = {"run": f"kill -STOP {pid} && touch {mark}", "undo": f"kill -CONT {pid} && rm {mark}"}
    experiments = [{"name": "marked", "at": "0.2 s", "for": "50 s", "command": command}]
    phase = {"name": "load", "users": 2, "ramp": "0.2 s", "duration": "60 s", "rate": "5/s", "experiments": experiments}
    target = {"url": "http://127.0.0.1:8400", "metrics": None}
    return {"name": "killed", "target": target, "steps": [{"name": "ask", "path": "/health"}], "profiles": {"pr": [phase]}}


def _is_stopped(process: psutil.Process) -> bool:
    status: str = process.status()
    return status == psutil.STATUS_STOPPED


def _holds(condition: Callable[[], bool], seconds: float, run: subprocess.Popen[bytes] | None = None) -> bool:
    """Whether something comes to hold in time; not where the run ends before it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        if run is not None and run.poll() is not None:
            return False
        time.sleep(_LOOK_EVERY)
    return False


@contextlib.contextmanager
def _sleeping() -> Iterator[psutil.Process]:
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()
