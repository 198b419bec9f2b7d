"""The process of a job that runs what is proposed: builds, services, and journeys written in Python. It never has the token.

It is started by ``apart`` with one end of a pair of sockets, from which it takes its order, and to which it says what came of
it: one line of JSON. Nothing that it says is believed to be more than data, since code of the change runs in it.
"""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from velro_gate.cli.output import speak_utf8
from velro_gate.cli.signals import end_by_sigterm_as_by_ctrl_c
from velro_gate.cli.world import real_world
from velro_gate.errors import InterruptedRunError, ScenarioError, UsageError, VelroError
from velro_gate.gate.action.inputs import Inputs
from velro_gate.gate.action.measurements import JobMeasurements
from velro_gate.gate.builds.no_duet import NoDuetError
from velro_gate.gate.builds.service_user import ServiceUser
from velro_gate.gate.duet.pull_request import Base
from velro_gate.gate.judge.template_limits import template_limits
from velro_gate.gate.measure.results import Results
from velro_gate.hardening import close_to_others, ignore_unreadable_cookies
from velro_gate.model.masking import secret_values
from velro_gate.report.text.templating import use_templates
from velro_gate.secrecy import hide
from velro_gate.store.files import accounted, keep_account
from velro_gate.store.records import read_record

_PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: the signal that this process gets when its parent ends (prctl(2)), so that nothing goes on measuring
after a job was killed.
"""


class Task(Enum):
    """What is asked for."""

    MEASURE = "measure"
    CONFIRM = "confirm"
    DUET = "duet"
    SELFTEST = "selftest"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureTask:
    """One task."""

    task: Task
    inputs: Inputs
    gating: bool
    base: Base
    scratch: Path
    environ: Mapping[str, str]
    baselines: Path = Path()
    """The folder of stored baselines; used by MEASURE only."""
    confirm: bool = False
    """Whether to run suspicious phases again; used by MEASURE only."""
    first: Path | None = None
    """The folder of an earlier run; used by CONFIRM only."""
    before: Path | None = None
    """The results that an earlier process of this job has left."""
    built: Path | None = None
    """The builds that an earlier process of this job has left."""
    user: ServiceUser | None = None
    """The user that builds and services run as."""
    templates: Mapping[str, str] = field(default_factory=dict)
    """Of the repository's own, by file name; what is wrong with them the job says itself."""


def main(descriptor: int) -> None:
    """Take the order, carry it out, and say what came of it."""
    close_to_others()
    ignore_unreadable_cookies()
    _end_with_the_job()
    speak_utf8()
    end_by_sigterm_as_by_ctrl_c()
    with socket.socket(fileno=descriptor) as line:
        # Builds and services are started from here: none of them may hold the line open, or answer on it.
        line.set_inheritable(False)
        with line.makefile("rb") as orders:
            order: MeasureTask = pickle.load(orders)  # noqa: S301 (from the process that started this one)
        # By the line and not when the process was started: /proc/PID/environ shows what a process was started with.
        os.environ.update(order.environ)
        hide(secret_values(os.environ))
        if order.templates:
            use_templates(order.templates, complain=_unsaid, limits=template_limits)
        keep_account()
        line.sendall(json.dumps(_answer(order)).encode() + b"\n")


def _unsaid(_: UsageError) -> None:
    """The job says it itself."""


def _end_with_the_job() -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _answer(order: MeasureTask) -> dict[str, object]:
    before = None if order.before is None else Results(folder=order.before)
    measurements = JobMeasurements(
        inputs=order.inputs,
        gating=order.gating,
        base=order.base,
        scratch=order.scratch,
        # A selftest is of the runner itself.
        world=real_world(
            order.inputs.runner, verbose=False, cluster=None if order.task is Task.SELFTEST else order.inputs.cluster
        ),
        workspace=Path.cwd(),
        before=before,
        built=order.built,
        user=order.user,
    )
    try:
        folder = _carried_out(measurements, order).folder
        return {"folder": str(folder), "written": accounted(folder)}
    except NoDuetError as error:
        return {
            "no_duet": [error.reason, error.advice],
            "before": None if measurements.before is None else str(measurements.before.folder),
            "built": None if measurements.built is None else str(measurements.built),
        }
    except VelroError as error:
        return {"error": _described(error)}
    except KeyboardInterrupt:
        return {"error": _described(InterruptedRunError("the run was interrupted"))}
    except Exception as error:  # noqa: BLE001 (raised again where the job can be ended)
        return {"fault": f"{type(error).__name__}: {error}", "trace": "".join(traceback.format_exception(error))}


def _carried_out(measurements: JobMeasurements, order: MeasureTask) -> Results:
    match order.task:
        case Task.MEASURE:
            return measurements.measure(order.baselines, order.confirm)[2]
        case Task.CONFIRM:
            assert order.first is not None, "what is confirmed is named"
            return measurements.confirm(order.baselines, read_record(order.first))[2]
        case Task.DUET:
            return measurements.measure_change()[2]
        case Task.SELFTEST:
            return measurements.selftest()[1]


def _described(error: VelroError) -> dict[str, object]:
    faults = [[fault.where, fault.what, fault.suggestion] for fault in error.faults] if isinstance(error, ScenarioError) else []
    return {
        "kind": type(error).__name__,
        "what": error.what,
        "where": error.where,
        "why": error.why,
        "hint": error.hint,
        "faults": faults,
    }
