"""What was expected while something was broken, measured from samples made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.analysis.phases import STEPS, health, phase, samples
from velro_gate.analysis.summaries.broken.experiments import experiment_summaries
from velro_gate.model.record import ExpectedFigure
from velro_gate.model.resilience.experiment import (
    Action,
    CarriedOut,
    CommandAction,
    DependencyCount,
    Expectation,
    Expected,
    Experiment,
    InvalidateAction,
)
from velro_gate.model.resilience.probes import ControlRequest, Probed, ProbeKind, ProbeOutcome
from velro_gate.model.run import PhaseRun, Reading
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, Outcome, Samples

BEGIN, END = 30.0, 40.0
RUN = PhaseRun(
    name="steady",
    started=0.0,
    measured_from=10.0,
    measured_until=70.0,
    ended=71.0,
    users=50,
    due={},
    blocked={},
    missed={},
    sent_total=0,
    delivered_total=0,
    connections_opened=0,
    reconnects=0,
    retries=0,
    ticks=(),
    health=health(),
)
DUE = np.arange(10.0, 70.0, 0.02)


def figure(
    kind: Expected,
    rows: Samples,
    *,
    carried: CarriedOut | None = None,
    counts: Any = (),
    readings: Any = (),
    action: Action = CommandAction(run="true"),  # noqa: B008 - frozen
    **wanted: Any,
) -> ExpectedFigure:
    """The one figure of an experiment from 30 s to 40 s of the run."""
    expectation = Expectation(kind=kind, limit=1.0, **wanted)
    experiment = Experiment(name="down", at=BEGIN - 10.0, lasts=END - BEGIN, action=action, steady=5.0, expected=(expectation,))
    planned = phase(experiments=(experiment,))
    done = carried or CarriedOut(phase="steady", experiment="down", repeat=1, begun=BEGIN, ended=END)
    (summary,) = experiment_summaries(planned, STEPS, RUN, rows, [done], counts, readings)
    assert (summary.begun, summary.name) == (done.begun - 10.0, "down")
    return summary.figures[0]


def broken(
    begin: float, end: float, *, status: int = 503, response: float = 0.02, outcome: Outcome = Outcome.STATUS
) -> Samples:
    """Fifty requests a second, of which those due in a stretch fail."""
    inside = (begin <= DUE) & (end > DUE)
    return samples(
        DUE,
        np.where(inside, response, 0.02),
        status=np.where(inside, status, 200),
        outcome=np.where(inside, outcome, Outcome.OK),
    )


def value(found: ExpectedFigure) -> float:
    assert found.estimate is not None
    return found.estimate.value


def test_errors_are_the_share_of_failed_requests_during_the_fault() -> None:
    found = figure(Expected.ERRORS, broken(35.0, 45.0))
    assert value(found) == pytest.approx(0.5, abs=0.01)
    assert found.estimate is not None
    assert found.estimate.low < 0.5 < found.estimate.high


def test_answers_of_a_declared_kind_are_no_errors() -> None:
    rows = broken(35.0, 45.0)
    assert value(figure(Expected.DEGRADED, rows, statuses=(200, 503))) == 1.0
    assert value(figure(Expected.DEGRADED, rows, statuses=(503,))) == pytest.approx(0.5, abs=0.01)
    wanted = (
        Expectation(kind=Expected.ERRORS, limit=0.1),
        Expectation(kind=Expected.DEGRADED, limit=0.9, statuses=(503,)),
    )
    experiment = Experiment(name="down", at=20.0, lasts=10.0, action=CommandAction(run="true"), expected=wanted)
    done = CarriedOut(phase="steady", experiment="down", repeat=1, begun=BEGIN, ended=END)
    (summary,) = experiment_summaries(phase(experiments=(experiment,)), STEPS, RUN, rows, [done], ())
    assert value(summary.figures[0]) == 0.0


def test_p95_is_that_of_the_successful_requests_during_the_fault() -> None:
    rows = broken(30.0, 40.0, status=200, outcome=Outcome.OK, response=0.3)
    assert value(figure(Expected.P95, rows)) == pytest.approx(0.3)
    assert figure(Expected.P95, broken(30.0, 40.0)).estimate is None


def test_a_breaker_is_open_with_the_first_of_five_fast_failures_in_a_row() -> None:
    slow = broken(30.0, 32.0, response=1.0, status=0, outcome=Outcome.TIMEOUT)
    fast = broken(32.0, 40.0, response=0.001)
    rows = Samples.concatenate([slow.where(slow.due < 32.0), fast.where(fast.due >= 32.0)])
    found = figure(Expected.BREAKER, rows, statuses=(503,), fast=0.05)
    assert not found.unfinished
    # The last slow ones are done a second later than the first fast one.
    assert 2.0 <= value(found) <= 3.1


def test_a_breaker_that_never_opens_is_not_finished() -> None:
    found = figure(Expected.BREAKER, broken(30.0, 40.0, response=1.0), statuses=(503,), fast=0.05)
    assert (found.unfinished, value(found)) == (True, 10.0)


def test_recovery_ends_with_the_last_bad_second_before_three_good_ones() -> None:
    found = figure(Expected.RECOVERY, broken(30.0, 44.2))
    assert (value(found), found.unfinished) == (5.0, False)
    assert found.estimate is not None
    assert found.estimate.low == 4.0


def test_a_service_that_answers_slowly_after_the_fault_has_not_recovered() -> None:
    rows = broken(30.0, 46.0, status=200, outcome=Outcome.OK, response=0.1)
    assert value(figure(Expected.RECOVERY, rows)) == 6.0


def test_others_have_taken_over_when_the_service_is_well_although_the_fault_lasts() -> None:
    assert value(figure(Expected.FAILOVER, broken(30.0, 32.2))) == 3.0
    assert value(figure(Expected.FAILOVER, broken(40.0, 50.0))) == 0.0
    assert figure(Expected.FAILOVER, broken(30.0, 39.0)).unfinished


def test_a_service_that_is_well_at_once_recovers_in_no_time() -> None:
    assert value(figure(Expected.RECOVERY, broken(30.0, 40.0))) == 0.0


def test_a_service_that_stays_broken_has_not_recovered_by_the_end() -> None:
    found = figure(Expected.RECOVERY, broken(30.0, 70.0))
    assert (value(found), found.unfinished) == (30.0, True)


def test_usual_errors_before_the_fault_are_allowed_after_it() -> None:
    often: npt.NDArray[np.bool_] = (np.arange(len(DUE)) % 20) == 0
    rows = samples(DUE, status=np.where(often, 500, 200), outcome=np.where(often, Outcome.STATUS, Outcome.OK))
    assert value(figure(Expected.RECOVERY, rows)) == 0.0


def counted(rates: dict[float, float]) -> list[DependencyCount]:
    """Counts twice a second, at these rates from these instants on."""
    total, found = 0.0, []
    for at in np.arange(10.0, 70.0, 0.5):
        found.append(DependencyCount(at=float(at), proxy="redis", accepted=3, requests=round(total)))
        total += 0.5 * next(rate for since, rate in sorted(rates.items(), reverse=True) if at >= since)
    return found


def test_retries_are_the_highest_rate_at_the_proxy_as_a_multiple_of_the_rate_before() -> None:
    counts = counted({10.0: 100.0, 30.0: 50.0, 34.0: 400.0, 36.0: 100.0})
    assert value(figure(Expected.RETRIES, broken(30.0, 40.0), counts=counts, proxy="redis")) == pytest.approx(4.0, rel=0.05)
    assert figure(Expected.RETRIES, broken(30.0, 40.0), counts=counts, proxy="other").estimate is None


def test_only_the_step_that_is_meant_counts() -> None:
    rows = broken(30.0, 40.0)
    steps = (np.arange(len(DUE)) % 2).astype(np.uint16)
    fine = samples(DUE, step=steps)
    mixed = Samples(**{name: getattr(rows, name) for name in rows.__slots__} | {"step": steps})
    good = mixed.where(steps == 1)
    every = Samples.concatenate([fine.where(steps == 0), good])
    assert value(figure(Expected.ERRORS, every, step="login")) == 0.0
    assert value(figure(Expected.ERRORS, every, step="list")) == 1.0


def test_what_was_not_undone_has_no_figures() -> None:
    failed = CarriedOut(phase="steady", experiment="down", repeat=1, begun=BEGIN, ended=None, fault="no such process")
    assert figure(Expected.ERRORS, broken(30.0, 40.0), carried=failed).estimate is None


GOOD, BAD, NONE = ProbeOutcome.GOOD, ProbeOutcome.BAD, ProbeOutcome.NONE


def reads(*seen: tuple[float, int, ProbeOutcome], kind: ProbeKind = ProbeKind.READS) -> CarriedOut:
    """The experiment with these requests of a probe: seconds after its beginning, who, and what was seen."""
    probed = Probed(
        kind=kind,
        since=BEGIN,
        until=END,
        sent=tuple(BEGIN + at for at, _, _ in seen),
        done=tuple(BEGIN + at + 0.01 for at, _, _ in seen),
        reader=tuple(reader for _, reader, _ in seen),
        seen=tuple(what for _, _, what in seen),
    )
    return CarriedOut(phase="steady", experiment="down", repeat=1, begun=BEGIN, ended=END, probed=(probed,))


CHANGING = reads(
    (0.1, 0, BAD),
    (0.2, 1, BAD),
    (0.3, 2, GOOD),
    (0.9, 0, BAD),
    (1.1, 1, GOOD),
    (1.2, 3, NONE),
)


def test_stale_reads_are_a_share_of_those_that_show_something_with_the_users_that_saw_them() -> None:
    found = figure(Expected.STALE, broken(0.0, 0.0), carried=CHANGING)
    assert value(found) == pytest.approx(0.6)
    assert found.users == (2, 3)


def test_the_service_is_consistent_with_the_last_stale_read() -> None:
    found = figure(Expected.CONSISTENCY, broken(0.0, 0.0), carried=CHANGING)
    assert found.estimate is not None
    assert (value(found), found.estimate.high, found.unfinished) == (pytest.approx(0.9), pytest.approx(1.1), False)
    assert value(figure(Expected.CONSISTENCY, broken(0.0, 0.0), carried=reads((0.1, 0, GOOD)))) == 0.0


def test_a_cache_that_stays_stale_is_not_consistent_by_the_end() -> None:
    found = figure(Expected.CONSISTENCY, broken(0.0, 0.0), carried=reads((0.1, 0, GOOD), (9.0, 0, BAD)))
    assert (value(found), found.unfinished, found.users) == (10.0, True, (1, 1))


def test_reads_that_show_nothing_measure_nothing() -> None:
    silent = reads((0.1, 0, NONE))
    for kind in (Expected.STALE, Expected.CONSISTENCY):
        assert figure(kind, broken(0.0, 0.0), carried=silent).estimate is None
        assert figure(kind, broken(0.0, 0.0)).estimate is None


def test_lost_writes_are_those_that_were_acknowledged_and_are_not_there() -> None:
    written = reads((0.1, 0, GOOD), (0.2, 0, BAD), (0.3, 0, NONE), kind=ProbeKind.WRITES)
    found = figure(Expected.LOST, broken(0.0, 0.0), carried=written)
    assert found.estimate is not None
    assert (value(found), found.estimate.n) == (1.0, 2)


def test_writes_that_were_all_refused_lost_nothing_and_where_none_was_tried_nothing_is_known() -> None:
    refused = figure(Expected.LOST, broken(0.0, 0.0), carried=reads((0.3, 0, NONE), kind=ProbeKind.WRITES))
    assert refused.estimate is not None
    assert (value(refused), refused.estimate.n) == (0.0, 0)
    assert figure(Expected.LOST, broken(0.0, 0.0), carried=reads(kind=ProbeKind.WRITES)).estimate is None


def test_degraded_answers_may_be_those_of_a_request_of_their_own() -> None:
    asked = reads(*((0.1 * n, 0, BAD if n < 5 else GOOD) for n in range(50)), kind=ProbeKind.DEGRADED)
    found = figure(Expected.DEGRADED, broken(30.0, 40.0), carried=asked, statuses=(200,), probed=True)
    assert value(found) == pytest.approx(0.9)
    assert figure(Expected.DEGRADED, broken(30.0, 40.0), statuses=(200,), probed=True).estimate is None


def test_a_breaker_may_be_seen_by_a_watched_value_that_rises() -> None:
    def watched(*values: float) -> list[Reading]:
        return [
            Reading(at=28.5 + number, source="service", name="openings", value=found) for number, found in enumerate(values)
        ]

    rows = broken(30.0, 40.0)
    found = figure(Expected.BREAKER, rows, readings=watched(3, 3, 3, 3, 4, 4), metric="openings")
    assert found.estimate is not None
    assert (value(found), found.estimate.low, found.unfinished) == (2.5, 1.5, False)
    assert figure(Expected.BREAKER, rows, readings=watched(3, 3, 3, 3), metric="openings").unfinished
    assert figure(Expected.BREAKER, rows, readings=watched(3, 4), metric="other").estimate is None


def cold(begin: float, end: float) -> Samples:
    """Fifty reads a second of which one in fifty misses, but all that are due in a stretch."""
    misses = ((begin <= DUE) & (end > DUE)) | (np.arange(len(DUE)) % 50 == 0)
    return samples(DUE, cache=np.where(misses, CACHE_MISS, FIRST_CACHE_LAYER))


def test_the_hit_rate_is_back_with_the_last_cold_second_after_an_invalidation() -> None:
    invalidation = InvalidateAction(by=ControlRequest(method="POST", path="/invalidate"))
    found = figure(Expected.HIT_RATE, cold(30.0, 32.4), action=invalidation)
    assert (value(found), found.unfinished) == (3.0, False)
    assert value(figure(Expected.HIT_RATE, cold(0.0, 0.0), action=invalidation)) == 0.0
    assert figure(Expected.HIT_RATE, cold(30.0, 70.0), action=invalidation).unfinished
    # Of a fault, what recovers is waited for from its end on.
    assert value(figure(Expected.HIT_RATE, cold(30.0, 32.4))) == 0.0
    assert figure(Expected.HIT_RATE, samples(DUE)).estimate is None


def test_the_load_on_a_dependency_is_measured_like_retries() -> None:
    counts = counted({10.0: 100.0, 34.0: 400.0, 36.0: 100.0})
    assert value(figure(Expected.LOAD, broken(0.0, 0.0), counts=counts, proxy="redis")) == pytest.approx(4.0, rel=0.05)
