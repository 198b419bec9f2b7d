"""Each kind of experiment is described in the dry run."""

from __future__ import annotations

import pytest

from velro_gate.model.resilience.experiment import (
    Action,
    Blow,
    CommandAction,
    Expectation,
    Expected,
    Experiment,
    InvalidateAction,
    NetworkAction,
    Pattern,
    PressureAction,
    ProcessAction,
    RequestAction,
)
from velro_gate.model.resilience.network import NetworkFault, Outage
from velro_gate.model.resilience.probes import ControlRequest, Readers, RedisCommand
from velro_gate.model.scenario import OpenArrivals, Phase
from velro_gate.report.parts.dry_run.timetable import timetable

ASK = ControlRequest(method="POST", path="/break")


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (NetworkAction(proxy="redis", fault=NetworkFault(outage=Outage.REFUSE)), "the proxy redis refuses connections"),
        (
            NetworkAction(proxy="redis", fault=NetworkFault(delay=0.1, jitter=0.02, bandwidth=2**20, cut_after=512)),
            "the proxy redis delays responses by 100 ms ± 20.0 ms, passes 1.00 MiB/s, cuts connections after 512 B",
        ),
        (ProcessAction(blow=Blow.FREEZE, of="port:1"), "the process port:1 is frozen"),
        (
            ProcessAction(blow=Blow.KILL, of="pid:1", start="./start"),
            "the process pid:1 gets SIGKILL, and is started again by a command",
        ),
        (PressureAction(of="port:1", cpu=0.5, memory=2**20), "the control group of port:1 has 0.5 cores and 1.00 MiB"),
        (RequestAction(begin=ASK, undo_by=ASK), "POST /break, undone by POST /break"),
        (CommandAction(run="secret"), "a command"),
        (CommandAction(run="secret", undo_run="secret"), "a command, undone by another one"),
        (
            InvalidateAction(by=ASK, pattern=Pattern.TAG, read=Readers(request=ASK, place="json:$.name")),
            "POST /break, which makes all cached keys of a tag invalid, read by 5 users",
        ),
        (
            InvalidateAction(by=RedisCommand(url="redis://secret", words=("UNLINK", "secret"))),
            "Redis gets UNLINK, which makes one cached key invalid",
        ),
    ],
)
def test_an_action_is_described_and_no_command_is_shown(action: Action, said: str) -> None:
    wanted = (Expectation(kind=Expected.RETRIES, limit=3.0),)
    experiment = Experiment(name="e", at=1.0, lasts=2.0, action=action, expected=wanted, repeat=2)
    phase = Phase(name="load", users=1, ramp=0.0, duration=10.0, arrivals=OpenArrivals(rate=1.0), experiments=(experiment,))
    (line,) = timetable([phase])
    assert line == (
        f"Experiment e (repetition 2) in load, from 1 s to 3 s of the measured stretch: {said}. "
        "Expected: requests at the dependency ≤ 3 times as many."
    )
