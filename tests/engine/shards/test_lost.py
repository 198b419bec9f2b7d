"""The books of a phase in which a shard was lost balance with what had come of it."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.phases import run_of, samples
from tests.engine.shards.test_run import CLOSED, STEPS, phase, plan
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.engine.shards.lost import Received, with_lost
from velro_gate.model.run import Shard
from velro_gate.model.samples import Outcome, Samples
from velro_gate.model.scenario import Arrivals, OpenArrivals, Phase
from velro_gate.pacing import Schedule, open_schedule

NAMES = tuple(step.name for step in STEPS)
SCENARIO = plan("http://service.test")
BEGIN = 3.0


def sent(schedule: Schedule) -> Samples:
    """A sample of each arrival."""
    return samples(schedule.due + BEGIN, step=schedule.step, user=schedule.user)


def books(asked: Phase, came: Samples, rest: Samples, share: float) -> tuple[dict[str, int], dict[str, int]]:
    """due and missed of a phase whose second shard was lost after ``came``, and whose first one sent ``rest``."""
    start = BEGIN + asked.ramp
    kept = run_of(rest, begin=start, seconds=share * asked.duration)
    kept = dataclasses.replace(kept, name=asked.name, due=_by_name(rest, kept.measured_from, kept.measured_until))
    received = Received()
    received.add(came)
    lost = [(Shard(index=1, count=2), "shard 2 of 2 was killed", received)]
    run = trio.run(partial(with_lost, kept, lost, asked, SCENARIO, BEGIN))
    assert run.shards_lost == ("shard 2 of 2 was killed",)
    assert run.sent_total == kept.sent_total + len(came)
    # Raises when the books do not balance.
    summarise(asked, NAMES, run, Samples.concatenate([came, rest]), [], ())
    return dict(run.due), dict(run.missed)


def _by_name(rows: Samples, start: float, until: float) -> dict[str, int]:
    inside = (rows.due >= start) & (rows.due < until)
    return {name: int((rows.step[inside] == index).sum()) for index, name in enumerate(NAMES)}


@given(st.integers(0, 200), st.floats(0.05, 1.0))
def test_what_the_plan_wanted_of_a_lost_shard_and_did_not_come_is_missed(came: int, share: float) -> None:
    asked = phase(ramp=0.5, duration=2.0)
    schedule = open_schedule(asked, STEPS, SCENARIO.seed)
    own, other = (schedule.slice(Shard(index=index, count=2)) for index in (1, 0))
    due, missed = books(asked, sent(own).where(np.arange(len(own)) < came), sent(other), share)
    whole = _by_name(sent(schedule), BEGIN + asked.ramp, BEGIN + asked.ramp + share * asked.duration)
    assert due == whole
    assert all(0 <= missed[name] <= due[name] for name in NAMES)
    assert came < len(own) or not any(missed.values())


@pytest.mark.parametrize("arrivals", [CLOSED, OpenArrivals(rate=200.0, journeys=True)], ids=["closed", "journeys"])
def test_where_requests_follow_from_answers_what_came_is_all_that_is_known_to_have_been_due(arrivals: Arrivals) -> None:
    asked = phase(ramp=0.0, duration=60.0, arrivals=arrivals)
    came = samples(np.linspace(0.0, 50.0, 40))
    due, missed = books(asked, came, came.where(came.due < 0.0), 1.0)
    assert not any(missed.values())
    assert due["get"] > 0


@pytest.mark.parametrize("step", [0, len(STEPS)])
def test_a_login_is_no_arrival_and_what_cannot_have_reached_the_service_is_not_delivered(step: int) -> None:
    received = Received()
    received.add(samples([1.0, 2.0, 3.0], step=step, outcome=[Outcome.OK, Outcome.REFUSED, Outcome.TIMEOUT]))
    assert (received.rows, received.delivered) == (3, 2)
    assert received.by_step(len(STEPS), 0.0, 1e9).tolist() == ([3, 0] if step == 0 else [0, 0])
