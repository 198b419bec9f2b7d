"""A user takes arrivals one by one; whatever happens to them, each ends in the books exactly once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.engine.http.connection import ConnectionState, Owner
from velro_gate.engine.http.parsing.cache_layers import CacheLayers
from velro_gate.engine.http.parsing.headers import HeaderKinds
from velro_gate.engine.http.parsing.responses import Response, ResponseState
from velro_gate.engine.http_users.users import HttpContext, HttpUser
from velro_gate.engine.load.recorder import Recorder
from velro_gate.engine.steps.requests import CompiledStep, Compiler
from velro_gate.model.samples import Outcome, Samples
from velro_gate.model.scenario import Auth, Capture, JsonCheck, LoginAuth, NoAuth, Scenario, Step, Target


@dataclass
class Clock:
    now: float = 0.0


@dataclass
class FakeConnection:
    """A connection that does what the test says, when it says so."""

    owner: Owner
    state: ConnectionState = ConnectionState.CLOSED
    written: bool = False
    sent: list[bytes] = field(default_factory=list)
    refuses: bool = False
    opens: int = 0
    clock: Clock = field(default_factory=Clock)
    began: float = 0.0
    closing: bool = False
    fault: str = "as the test says"
    evidence: bytes = b""

    def still_idle(self) -> bool:
        if self.closing:
            self.closing, self.state = False, ConnectionState.CLOSED
        return self.state is ConnectionState.IDLE

    def open(self, *, hurried: bool = False) -> None:
        self.opens += 1
        self.began = self.clock.now
        self.written = False
        self.state = ConnectionState.DIALLING
        if self.refuses:
            self.fail(Outcome.REFUSED)

    def hurry(self) -> None: ...

    def stand(self, took: float | None = None) -> None:
        """took: since its turn; by default that came at once."""
        self.state = ConnectionState.IDLE
        self.owner.opened(max(self.clock.now - self.began, 0.001) if took is None else took)

    def send(self, request: bytes, *, head: bool = False, wants_body: bool = False) -> None:
        self.sent.append(request)
        self.written = True
        self.state = ConnectionState.RECEIVING

    def close(self) -> None:
        self.state = ConnectionState.CLOSED

    def fail(self, outcome: Outcome | None, *, early: bool = True) -> None:
        self.state = ConnectionState.CLOSED
        self.owner.broken(outcome, self.clock.now, early=early)

    def answer(self, data: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") -> None:
        answer = Response(HeaderKinds(), 1 << 20)
        answer.start(self.clock.now, wants_body=True)
        assert answer.feed(data) is ResponseState.COMPLETE
        self.state = ConnectionState.IDLE
        self.owner.answered(answer, self.clock.now)


def body(text: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)


GET = Step(name="get", method="GET", path="/get", probability=1.0, timeout=2.0)
POST = Step(name="post", method="POST", path="/post", probability=1.0, timeout=2.0)
MAKE = Step(
    name="make", method="GET", path="/make", probability=1.0, captures=(Capture(name="id", source="json", path="$.id"),)
)
USE = Step(name="use", method="GET", path="/use/${id}", probability=1.0)


@dataclass
class Rig:
    """One user with a fake connection."""

    clock: Clock
    context: HttpContext
    user: HttpUser
    connection: FakeConnection
    steps: list[CompiledStep]
    parts: list[Samples]

    def samples(self) -> Samples:
        self.context.recorder.flush()
        return Samples.concatenate(self.parts)

    def outcomes(self) -> list[Outcome]:
        return [Outcome(value) for value in self.samples().outcome.tolist()]


def rig(*steps: Step, auth: Auth | None = None) -> Rig:
    clock, parts = Clock(), list[Samples]()
    scenario = Scenario(
        name="s", description="", digest="d", target=Target(url="http://x.test"), auth=auth or NoAuth(), steps=steps or (GET,)
    )
    compiler = Compiler(scenario, {})
    made: list[FakeConnection] = []

    def connect(owner: Owner) -> FakeConnection:
        made.append(FakeConnection(owner, clock=clock))
        return made[0]

    context = HttpContext(
        now=lambda: clock.now,
        connect=connect,  # type: ignore[arg-type]
        recorder=Recorder(parts.append),
        layers=CacheLayers(),
        seed=1,
        login=compiler.login(),
        token=auth.token if isinstance(auth, LoginAuth) else "",
    )
    user = HttpUser(0, context)
    return Rig(clock, context, user, made[0], compiler.steps(), parts)


def test_a_user_that_has_joined_sends_at_once() -> None:
    r = rig()
    r.user.join()
    r.connection.stand()
    r.clock.now = 1.0
    r.user.arrive(1.0, r.steps[0])
    assert r.connection.sent[0].startswith(b"GET /get HTTP/1.1\r\nHost: x.test\r\n")
    r.clock.now = 1.25
    r.connection.answer()
    rows = r.samples()
    assert (rows.due[0], rows.sent[0], rows.done[0], rows.queued[0]) == (1.0, 1.0, 1.25, 0.0)
    assert rows.connect[0] == pytest.approx(0.001)
    assert rows.first_byte[0] == pytest.approx(0.25)
    assert not len(r.context.buckets)
    assert not len(r.context.joining)


def test_only_the_first_request_of_a_connection_says_how_long_connecting_took() -> None:
    r = rig()
    r.user.join()
    r.connection.stand()
    for _ in range(2):
        r.user.arrive(r.clock.now, r.steps[0])
        r.connection.answer()
    connect = r.samples().connect.tolist()
    assert not math.isnan(connect[0])
    assert math.isnan(connect[1])


def test_an_arrival_at_a_busy_user_waits_and_the_wait_is_no_lateness() -> None:
    r = rig()
    r.user.join()
    r.connection.stand()
    r.user.arrive(0.0, r.steps[0])
    for due in (1.0, 2.0):
        r.clock.now = due
        r.user.arrive(due, r.steps[0])
    assert [due for due, _ in r.user.waiting] == [1.0, 2.0]
    r.clock.now = 10.0
    r.connection.answer()
    r.clock.now = 11.0
    r.connection.answer()
    r.clock.now = 11.5
    r.connection.answer()
    rows = r.samples()
    assert rows.queued.tolist() == [0.0, 9.0, 9.0]
    assert rows.lateness.max() == 0.0
    assert rows.response_time.tolist() == [10.0, 10.0, 9.5]


def test_a_user_that_is_still_connecting_sends_when_it_stands() -> None:
    r = rig()
    r.user.join()
    r.user.arrive(0.5, r.steps[0])
    assert r.connection.sent == []
    assert len(r.context.joining) == 0
    assert len(r.context.buckets) == 1
    r.connection.stand()
    assert len(r.connection.sent) == 1


def test_what_a_request_waits_for_its_turn_to_connect_is_our_lateness_and_not_the_services_time() -> None:
    r = rig()
    r.user.arrive(1.0, r.steps[0])
    r.clock.now = 1.5
    r.connection.stand(took=0.2)
    r.clock.now = 1.6
    r.connection.answer()
    rows = r.samples()
    assert rows.sent[0] == pytest.approx(1.3)
    assert rows.lateness[0] == pytest.approx(0.3)
    assert rows.response_time[0] == pytest.approx(0.6)


def test_a_request_that_waited_for_its_turn_to_connect_leaves_the_service_its_whole_timeout() -> None:
    r = rig()
    r.user.arrive(1.0, r.steps[0])
    r.clock.now = 2.5
    r.connection.stand(took=0.2)
    assert list(r.context.buckets.overdue(4.2)) == []
    ((user, deadline),) = r.context.buckets.overdue(4.4)
    user.expire(deadline)
    assert r.samples().service_time[0] == pytest.approx(2.0)


def test_a_first_byte_that_was_there_before_the_request_was_sent_took_no_time() -> None:
    r = rig()
    r.user.join()
    r.connection.stand()
    r.clock.now = 1.0
    r.user.arrive(1.0, r.steps[0])
    r.clock.now = 0.9
    r.connection.answer()
    rows = r.samples()
    assert rows.first_byte[0] == rows.service_time[0] == 0.0


def test_a_join_that_fails_is_no_sample_and_is_noted() -> None:
    r = rig()
    r.connection.refuses = True
    r.user.join()
    assert r.outcomes() == []
    assert r.context.join_failures == len(r.context.failed_joins) == 1


def test_a_thousand_waiting_arrivals_that_are_all_refused_make_no_deep_stack() -> None:
    r = rig()
    r.user.join()
    r.connection.stand()
    for _ in range(5_000):
        r.user.arrive(0.0, r.steps[0])
    r.connection.refuses = True
    r.connection.fail(Outcome.RESET, early=False)
    assert r.outcomes() == [Outcome.RESET, *[Outcome.REFUSED] * 4_999]
    assert r.context.delivered == 1


# Keep-alive races


def test_a_safe_request_on_a_connection_that_had_idled_is_sent_once_more() -> None:
    r = rig(GET)
    r.user.join()
    r.connection.stand()
    r.user.arrive(0.0, r.steps[0])
    r.connection.fail(Outcome.RESET)
    r.connection.stand()
    assert len(r.connection.sent) == 2
    r.connection.answer()
    assert r.outcomes() == [Outcome.OK]
    assert (r.context.retries, r.context.reconnects, r.context.delivered) == (1, 1, 1)


def test_it_is_sent_once_more_only_once() -> None:
    r = rig(GET)
    r.user.join()
    r.connection.stand()
    r.user.arrive(0.0, r.steps[0])
    r.connection.fail(Outcome.RESET)
    r.connection.stand()
    r.connection.fail(Outcome.RESET)
    assert r.outcomes() == [Outcome.RESET]


@pytest.mark.parametrize("case", ["unsafe", "answer begun", "fresh connection", "other fault"])
def test_nothing_else_is_sent_again(case: str) -> None:
    r = rig(POST if case == "unsafe" else GET)
    if case != "fresh connection":
        r.user.join()
        r.connection.stand()
    r.user.arrive(0.0, r.steps[0])
    if case == "fresh connection":
        r.connection.stand()
    outcome = Outcome.PROTOCOL if case == "other fault" else Outcome.RESET
    r.connection.fail(outcome, early=case != "answer begun")
    assert r.outcomes() == [outcome]
    assert (r.context.retries, r.context.delivered) == (0, 1)


# Time


def test_an_overdue_request_is_a_timeout_at_its_deadline_and_the_next_one_opens_another_connection() -> None:
    r = rig()
    r.user.join()
    r.connection.stand()
    r.user.arrive(0.0, r.steps[0])
    r.clock.now = 2.04
    ((user, deadline),) = r.context.buckets.overdue(2.04)
    user.expire(deadline)
    rows = r.samples()
    assert (rows.outcome[0], rows.done[0]) == (Outcome.TIMEOUT, 2.0)
    assert r.connection.state is ConnectionState.CLOSED
    r.user.arrive(3.0, r.steps[0])
    assert r.connection.opens == 2


def test_an_arrival_after_a_timeout_is_not_late_because_of_the_sweep() -> None:
    r = rig()
    r.user.join()
    r.connection.stand()
    r.user.arrive(0.0, r.steps[0])
    r.user.arrive(1.0, r.steps[0])
    r.clock.now = 2.04
    r.user.expire(2.0)
    r.connection.stand()
    r.connection.answer()
    assert r.samples().lateness.max() < 1e-6


def test_a_join_that_takes_too_long_is_given_up() -> None:
    r = rig()
    r.user.join()
    ((user, deadline),) = r.context.joining.overdue(10.0)
    user.expire(deadline)
    assert r.context.join_failures == 1
    assert len(r.context.joining) == 0


def test_at_the_end_what_is_in_flight_is_cancelled_and_what_waits_stays_unsent() -> None:
    r = rig()
    r.user.join()
    r.connection.stand()
    r.user.arrive(0.0, r.steps[0])
    r.user.arrive(0.0, r.steps[0])
    r.context.closing = True
    r.user.cancel()
    assert r.outcomes() == [Outcome.CANCELLED]
    assert len(r.user.waiting) == 1
    assert r.context.delivered == 1


def test_what_this_machine_cannot_send_is_missed_and_no_sample() -> None:
    r = rig()
    r.user.arrive(0.5, r.steps[0])
    r.connection.fail(None)
    assert r.outcomes() == []
    assert r.context.missed == [(0.5, 0)]


# Captures, cookies, login


def test_a_captured_value_is_sent_by_a_later_step() -> None:
    r = rig(MAKE, USE)
    r.user.join()
    r.connection.stand()
    r.user.arrive(0.0, r.steps[0])
    r.connection.answer(body(b'{"id": "a/b c"}'))
    r.user.arrive(1.0, r.steps[1])
    assert r.connection.sent[1].startswith(b"GET /use/a%2Fb%20c HTTP/1.1\r\n")


def test_a_step_without_its_captured_value_is_recorded_and_not_sent() -> None:
    r = rig(MAKE, USE)
    r.user.join()
    r.connection.stand()
    r.user.arrive(0.0, r.steps[0])
    r.connection.answer(body(b"{}"))
    r.clock.now = 1.0
    r.user.arrive(1.0, r.steps[1])
    assert r.outcomes() == [Outcome.CAPTURE, Outcome.CAPTURE]
    assert (len(r.connection.sent), r.context.unsent, r.context.delivered) == (1, 1, 1)


def test_cookies_come_back_from_the_next_request_on() -> None:
    r = rig()
    r.user.join()
    r.connection.stand()
    r.user.arrive(0.0, r.steps[0])
    r.connection.answer(b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=1; Path=/; HttpOnly\r\nContent-Length: 0\r\n\r\n")
    r.user.arrive(1.0, r.steps[0])
    assert b"Cookie" not in r.connection.sent[0]
    assert b"\r\nCookie: sid=1\r\n" in r.connection.sent[1]


LOGIN = LoginAuth(
    step=Step(
        name="login",
        method="POST",
        path="/login",
        probability=1.0,
        captures=(Capture(name="token", source="json", path="$.token"),),
    ),
    token="token",
)


def test_a_user_logs_in_when_it_has_connected_and_carries_the_token() -> None:
    r = rig(GET, auth=LOGIN)
    r.user.join()
    r.connection.stand()
    assert r.connection.sent[0].startswith(b"POST /login")
    assert b"Authorization" not in r.connection.sent[0]
    r.user.arrive(0.0, r.steps[0])
    r.clock.now = 0.5
    r.connection.answer(body(b'{"token": "abc"}'))
    assert b"\r\nAuthorization: Bearer abc\r\n" in r.connection.sent[1]
    r.connection.answer()
    rows = r.samples()
    assert rows.step.tolist() == [1, 0]
    assert rows.queued.tolist() == [0.0, 0.5]


def test_a_request_whose_login_this_machine_cannot_send_is_missed_and_the_next_one_logs_in() -> None:
    r = rig(GET, auth=LOGIN)
    r.clock.now = 1.0
    r.user.arrive(0.5, r.steps[0])
    r.user.arrive(0.6, r.steps[0])
    r.connection.fail(None)
    assert r.outcomes() == []
    assert r.context.missed == [(0.5, 0)]
    r.connection.stand()
    assert r.connection.sent[0].startswith(b"POST /login")
    r.connection.answer(body(b'{"token": "abc"}'))
    assert b"Bearer abc" in r.connection.sent[-1]
    r.connection.answer()
    assert r.outcomes() == [Outcome.OK, Outcome.OK]


def test_a_failed_login_is_tried_again_before_the_next_request_and_then_reported() -> None:
    r = rig(GET, auth=LOGIN)
    r.user.join()
    r.connection.stand()
    r.connection.answer(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    r.user.arrive(0.0, r.steps[0])
    assert r.connection.sent[1].startswith(b"POST /login")
    r.connection.answer(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    assert r.outcomes() == [Outcome.STATUS, Outcome.STATUS, Outcome.CAPTURE]
    r.user.arrive(1.0, r.steps[0])
    r.connection.answer(body(b'{"token": "abc"}'))
    assert b"Bearer abc" in r.connection.sent[-1]


def test_checks_decide_the_outcome() -> None:
    checked = Step(
        name="c", method="GET", path="/", probability=1.0, checks=(JsonCheck(path="$.ok", equals=True, has_expected=True),)
    )
    r = rig(checked)
    r.user.join()
    r.connection.stand()
    for text in (b'{"ok": true}', b'{"ok": 1}', b"no json"):
        r.user.arrive(0.0, r.steps[0])
        r.connection.answer(body(text))
    r.user.arrive(0.0, r.steps[0])
    r.connection.answer(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
    assert r.outcomes() == [Outcome.OK, Outcome.CHECK, Outcome.CHECK, Outcome.STATUS]


def test_identities_are_stable_different_and_look_like_uuids() -> None:
    context = rig().context
    identities = [HttpUser(index, context).identity for index in range(3)]
    assert len(set(identities)) == 3
    assert identities[0] == HttpUser(0, context).identity
    assert [len(part) for part in identities[0].split("-")] == [8, 4, 4, 4, 12]


events = st.lists(
    st.sampled_from(["arrive", "answer", "stand", "reset", "late reset", "refuse", "no port", "expire", "join", "hang up"]),
    max_size=60,
)


def expire_all(r: Rig) -> None:
    r.clock.now += 20.0
    for buckets in (r.context.buckets, r.context.joining):
        for user, deadline in buckets.overdue(r.clock.now):
            user.expire(deadline)


def hang_up(r: Rig) -> None:
    r.connection.close()
    r.user.hung_up()


# Event -> the state that the connection must be in for it (None: any), and what happens.
HAPPENINGS: dict[str, tuple[ConnectionState | None, Callable[[Rig], None]]] = {
    "join": (None, lambda r: r.user.join()),
    "stand": (ConnectionState.DIALLING, lambda r: r.connection.stand()),
    "answer": (ConnectionState.RECEIVING, lambda r: r.connection.answer(body(b'{"id": 1, "token": "t"}'))),
    "reset": (ConnectionState.RECEIVING, lambda r: r.connection.fail(Outcome.RESET)),
    "late reset": (ConnectionState.RECEIVING, lambda r: r.connection.fail(Outcome.RESET, early=False)),
    "refuse": (ConnectionState.DIALLING, lambda r: r.connection.fail(Outcome.REFUSED)),
    "no port": (ConnectionState.DIALLING, lambda r: r.connection.fail(None)),
    "hang up": (ConnectionState.IDLE, hang_up),
    "expire": (None, expire_all),
}


@given(events, st.sampled_from([(GET,), (POST,), (MAKE, USE)]), st.booleans())
def test_whatever_happens_every_arrival_is_sent_missed_or_still_waiting(
    happened: Sequence[str], steps: tuple[Step, ...], logs_in: bool
) -> None:
    r = rig(*steps, auth=LOGIN if logs_in else None)
    arrived = happened.count("arrive")
    for number, event in enumerate(happened):
        r.clock.now += 0.1
        if event == "arrive":
            r.user.arrive(r.clock.now, r.steps[number % len(r.steps)])
        else:
            needed, happen = HAPPENINGS[event]
            if needed is None or r.connection.state is needed:
                happen(r)
        assert len(r.context.buckets) == r.user.busy
    waiting = len(r.user.waiting)
    r.context.closing = True
    r.user.cancel()
    rows = r.samples()
    planned = rows.where(rows.step < len(r.steps))
    assert arrived == len(planned) + len(r.context.missed) + waiting
    assert (rows.lateness < 1e-3).all()
    assert len(r.context.buckets) == len(r.context.joining) == 0
    # Each was written whole or not, but none twice: what a retry repeats is counted apart.
    assert r.context.delivered + r.context.retries == len(r.connection.sent)


def test_an_unsafe_request_goes_out_on_a_new_connection_where_the_old_ones_end_has_come() -> None:
    for method, opens in (("POST", 2), ("GET", 1)):
        made = rig(POST if method == "POST" else GET)
        made.user.join()
        made.connection.stand()
        made.connection.closing = True
        made.user.arrive(0.0, made.steps[0])
        assert made.connection.opens == opens, "a safe one is sent again should it fail"


def test_the_first_failure_of_each_kind_is_kept_and_the_others_are_counted() -> None:
    made = rig(GET)
    made.user.join()
    made.connection.stand()
    for text in (b"out of order", b"still out of order"):
        made.user.arrive(0.0, made.steps[0])
        made.connection.answer(b"HTTP/1.1 503 No\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
    made.user.arrive(0.0, made.steps[0])
    made.connection.fault, made.connection.evidence = "it does not begin with HTTP/", b"SSH-2.0\r\n"
    made.connection.fail(Outcome.PROTOCOL, early=False)
    first, second = made.context.failures.found(0.0)
    assert (first.step, first.outcome, first.status, first.count, first.seen) == ("step 0", "STATUS", 503, 2, "out of order")
    assert (first.request, first.reason) == ("GET /get", "expected 200")
    assert (second.outcome, second.reason, second.seen) == ("PROTOCOL", "it does not begin with HTTP/", "SSH-2.0")
