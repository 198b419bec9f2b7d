"""What of a response time may be the generator's own delay: never less than it was, never more than all of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.analysis.summaries import own_delay as delays
from velro_gate.model.run import Stall
from velro_gate.model.samples import COLUMNS, Outcome, Samples


def rows(*each: tuple[float, float, float, float], outcome: Outcome = Outcome.OK) -> Samples:
    """(due, sent, done, queued) of one user's requests."""
    columns = {name: np.zeros(len(each), dtype) for name, dtype in COLUMNS.items()}
    for place, name in enumerate(("due", "sent", "done", "queued")):
        columns[name] = np.array([row[place] for row in each], COLUMNS[name])
    columns["outcome"][:] = outcome
    return Samples(**columns)


def own_delay(samples: Samples, stalls: Sequence[Stall], *, until: float = math.inf, steps: int = 7) -> delays.OwnDelay:
    return delays.own_delay(samples, stalls, until=until, steps=steps)


def test_without_a_stall_only_lateness_is_ours_and_what_waited_for_it() -> None:
    own = own_delay(rows((1.0, 1.2, 1.5, 0.0), (1.1, 1.5, 1.6, 0.4), (4.0, 4.0, 4.1, 0.0)), ())
    np.testing.assert_allclose(own.response, [0.2, 0.2, 0.0], atol=1e-6)
    np.testing.assert_allclose(own.service, 0.0)


def test_what_was_read_at_the_end_of_a_stall_may_have_come_at_its_start_and_what_came_later_did_not() -> None:
    stall = (Stall(start=1.0, end=1.015),)
    own = own_delay(rows((0.9, 0.9, 1.015, 0.0), (0.9, 0.9, 1.0, 0.0), (0.9, 0.9, 1.3, 0.0), (1.2, 1.2, 1.3, 0.0)), stall)
    np.testing.assert_allclose(own.service, [0.015, 0.0, 0.0, 0.0], atol=1e-9)


def test_what_a_long_stall_held_up_keeps_the_service_busy_for_as_long_again() -> None:
    own = own_delay(rows((1.6, 1.6, 1.8, 0.0), (2.1, 2.1, 2.3, 0.0)), (Stall(start=1.0, end=1.5),))
    np.testing.assert_allclose(own.service, [0.2, 0.0], atol=1e-9)
    assert own.touched.tolist() == [True, False]


def test_a_queued_request_waited_for_the_delay_of_the_one_before_it() -> None:
    own = own_delay(rows((1.0, 1.0, 2.0, 0.0), (1.1, 2.0, 2.2, 0.9), (5.0, 5.0, 5.1, 0.0)), (Stall(start=1.2, end=2.0),))
    # The answer may have come .8 s earlier, so the second request may have left .8 s earlier.
    assert own.response[1] >= 0.8
    assert own.response[2] == 0.0


def test_a_request_waits_for_the_delay_of_its_login_and_of_what_came_before_that() -> None:
    # The first answer was read .5 s late; what waited for it needed a login, and that was read .3 s late.
    each = rows((1.0, 1.0, 2.0, 0.0), (2.0, 2.0, 2.5, 0.0), (1.1, 2.5, 2.6, 1.4))
    each.step[1] = 1
    own = own_delay(each, (Stall(start=1.5, end=2.0), Stall(start=2.2, end=2.5)), steps=1)
    assert own.response[2] >= 0.8


def test_a_failure_in_a_stall_may_be_ours_and_others_are_not() -> None:
    failed = rows((1.0, 1.0, 1.4, 0.0), (7.0, 7.0, 7.1, 0.0), outcome=Outcome.RESET)
    assert own_delay(failed, (Stall(start=1.2, end=1.5),)).doubtful.tolist() == [True, False]


def test_a_user_still_busy_at_the_end_left_as_many_requests_unsent_as_it_could_have_had_answered_in_the_delay() -> None:
    each = rows((1.0, 1.0, 1.25, 0.0), (1.1, 1.25, 2.0, 0.15), (1.2, 2.0, 2.25, 0.8))
    stall = (Stall(start=1.3, end=1.8),)
    # The second answer may be .2 s late and the third .25 s: time for two more of .25 s.
    assert own_delay(each, stall, until=2.1).unsent == 2
    assert own_delay(each, stall, until=2.5).unsent == own_delay(each, stall).unsent == 0


@given(
    st.lists(st.tuples(st.floats(0, 9), st.floats(0, 1), st.floats(0, 2), st.floats(0, 1)), min_size=1, max_size=30),
    st.lists(st.tuples(st.floats(0.001, 2), st.floats(0.001, 1)), max_size=6),
)
def test_it_is_never_more_than_the_whole_and_never_less_than_the_lateness(
    each: list[tuple[float, float, float, float]], gaps: list[tuple[float, float]]
) -> None:
    at, stalls = 0.0, []
    for gap, length in gaps:
        stalls.append(Stall(start=at + gap, end=at + gap + length))
        at += gap + length
    made = rows(*((due, due + wait, due + wait + took, min(queued, wait)) for due, wait, took, queued in each))
    own = own_delay(made, stalls)
    assert (own.response <= made.response_time + 1e-9).all()
    assert (own.response >= np.minimum(made.lateness, made.response_time) - 1e-6).all()
    assert (own.service <= made.service_time + 1e-9).all()
    assert (own.service >= 0.0).all()
