"""The order in which connections are opened, and how many at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from velro_gate.engine.http.connect_queue import HURRIED_FACTOR, Dials


@dataclass(eq=False)
class Line:
    """A connection that says when it is dialled, and is in the making until it is told to end."""

    dialled: list[Line] = field(repr=False)
    waits: bool = True

    def dial(self) -> bool:
        if self.waits:
            self.waits = False
            self.dialled.append(self)
            return True
        return False


def lines(count: int) -> tuple[list[Line], list[Line]]:
    dialled: list[Line] = []
    return dialled, [Line(dialled) for _ in range(count)]


def test_those_with_a_request_go_first_and_each_kind_in_the_order_in_which_it_came() -> None:
    dialled, (busy, *joining, one, two) = lines(5)
    dials = Dials(at_once=1)
    # So many with a request leave no turn to anyone.
    others: list[Line] = []
    for _ in range(HURRIED_FACTOR):
        others.append(Line(dialled))
        dials.add(others[-1], hurried=True)
    for line in (busy, *joining):
        dials.add(line)
    dials.add(one, hurried=True)
    dials.add(two, hurried=True)
    while len(dialled) < 9:
        dials.done()
    assert dialled[HURRIED_FACTOR:] == [one, two, busy, *joining]


def test_one_that_gets_a_request_while_it_waits_is_dialled_once() -> None:
    dialled, (first, second, third) = lines(3)
    dials = Dials(at_once=1)
    for line in (first, second, third):
        dials.add(line)
    dials.hurry(third)
    assert dialled == [first, third]
    for _ in range(3):
        dials.done()
    assert dialled == [first, third, second]


def test_a_full_accept_queue_stops_all_until_the_next_nudge() -> None:
    dialled, (first, second) = lines(2)
    dials = Dials()
    dials.add(first)
    first.waits = True
    dials.postpone(first)
    dials.add(second, hurried=True)
    assert dialled == [first]
    dials.nudge()
    assert dialled == [first, first, second]


def test_after_the_end_none_is_dialled() -> None:
    dialled, (first, second, third) = lines(3)
    dials = Dials(at_once=1)
    for line in (first, second, third):
        dials.add(line)
    dials.shut()
    dials.done()
    assert dialled == [first]


@given(st.lists(st.sampled_from(["join", "request", "end"]), max_size=200), st.integers(1, 5))
def test_never_more_are_in_the_making_than_each_kind_may_and_none_waits_for_nothing(events: list[str], at_once: int) -> None:
    dialled: list[Line] = []
    waiting = {"join": list[Line](), "request": list[Line]()}
    making, dials = 0, Dials(at_once)
    for event in events:
        seen = len(dialled)
        if event == "end":
            if not making:
                continue
            making -= 1
            dials.done()
        else:
            line = Line(dialled)
            waiting[event].append(line)
            dials.add(line, hurried=event == "request")
        for line in dialled[seen:]:
            # Whoever begins with a request may be one of many, whoever begins without only one of few.
            making += 1
            kind = "request" if line in waiting["request"] else "join"
            assert waiting[kind].pop(0) is line
            assert making <= at_once * (HURRIED_FACTOR if kind == "request" else 1)
        assert not waiting["join"] or making >= at_once
        assert not waiting["request"] or making >= at_once * HURRIED_FACTOR
