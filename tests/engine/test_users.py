"""Virtual users, each with its own connection, identity, cookies and captures, seen from the service that they ask."""

from __future__ import annotations

import json
import uuid
from collections import Counter

import numpy as np
import pytest

from tests.engine.scripted import Reply, Request, answer, load, phase, run, scenario, scripted, step
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import BearerAuth, Body, Capture, ClosedArrivals, ContainsCheck, Feeder, JsonCheck, LoginAuth

ONE = phase(users=1, rate=80.0)


# Waiting


def test_a_request_that_waited_for_its_users_earlier_one_is_queued_not_late() -> None:
    def script(request: Request) -> Reply:
        return Reply(wait=0.4 if request.number == 2 else 0.0)

    with scripted(script) as service:
        ran = run(load(scenario(service.url), phase(users=1, rate=60.0, duration=0.3)))
    samples = ran.all
    assert ran.outcomes == {Outcome.OK}
    slow = int(np.argmax(samples.service_time))
    behind = (samples.due > samples.due[slow]) & (samples.due < samples.done[slow])
    assert behind.sum() >= 3
    np.testing.assert_allclose(samples.queued[behind], samples.sent[behind] - samples.due[behind], atol=0.1)
    # Felt by the user from the due time on, though the service answered each in no time once it was sent.
    assert (samples.response_time[behind] > samples.service_time[behind]).all()
    assert samples.queued[behind].max() > 0.2
    assert samples.lateness.max() < samples.queued[behind].max()


def test_samples_are_ordered_in_time_whatever_the_service_does() -> None:
    with scripted(lambda request: Reply(wait=0.05 if request.number % 3 else 0.0)) as service:
        ran = run(load(scenario(service.url, step(timeout=0.5))))
    samples = ran.all
    assert (samples.due <= samples.sent).all()
    assert (samples.sent <= samples.done).all()
    assert (samples.queued >= 0.0).all()
    good = samples.outcome == Outcome.OK
    assert (samples.first_byte[good] > 0.0).all()
    assert (samples.first_byte[good] <= (samples.service_time[good] + 1e-5)).all()


def test_one_user_has_one_request_under_way_at_a_time() -> None:
    with scripted(Reply(wait=0.02)) as service:
        ran = run(load(scenario(service.url), phase(users=2, rate=200.0)))
    for user in range(2):
        mine = ran.all.where(ran.all.user == user)
        order = np.argsort(mine.sent)
        assert (mine.done[order][:-1] <= mine.sent[order][1:] + 1e-9).all()


def test_what_was_never_begun_when_the_phase_ends_is_blocked() -> None:
    with scripted(Reply(wait=5.0)) as service:
        ran = run(load(scenario(service.url, step(timeout=0.2)), ONE))
    assert sum(ran.phase.blocked.values()) > 0
    assert sum(ran.phase.missed.values()) == 0


# Values of a user


def test_each_user_sends_its_own_values() -> None:
    feeder = Feeder(name="people", columns=("name", "mail"), rows=(("Ann & Bo", "a@x"), ("Ce/d?", "c@x")))
    one = step(path="/u/${user.index}/${people.name}", query=(("mail", "${people.mail}"),), headers=(("X-Id", "${user.id}"),))
    with scripted(Reply()) as service:
        run(load(scenario(service.url, one, feeders=(feeder,))))
    seen = Counter((request.line, request.headers["x-id"]) for request in service.requests)
    assert len(seen) == 4
    lines = sorted(line for line, _ in seen)
    assert lines[0] == "GET /u/0/Ann%20%26%20Bo?mail=a%40x"
    assert lines[1] == "GET /u/1/Ce%2Fd%3F?mail=c%40x"
    assert lines[2].startswith("GET /u/2/Ann")
    assert len({uuid.UUID(identity) for _, identity in seen}) == 4


def test_a_users_identity_is_the_same_in_every_run() -> None:
    def identities() -> set[str]:
        with scripted(Reply()) as service:
            run(load(scenario(service.url, step(headers=(("X-Id", "${user.id}"),)))))
        return {request.headers["x-id"] for request in service.requests}

    assert identities() == identities()


def test_secrets_of_the_environment_are_sent_and_a_bearer_token_too() -> None:
    one = step(headers=(("X-Key", "${env.KEY}"),))
    with scripted(Reply()) as service:
        made = scenario(service.url, one, auth=BearerAuth(variable="TOKEN"))
        run(load(made, ONE, secrets={"KEY": "k1", "TOKEN": "t1\r\n"}))
    assert {(request.headers["x-key"], request.headers["authorization"]) for request in service.requests} == {
        ("k1", "Bearer t1")
    }


# Cookies


def cookie_script(request: Request) -> Reply:
    headers = {
        1: (b"Set-Cookie: a=1; Path=/; HttpOnly", b"Set-Cookie: b=2"),
        2: (b"set-cookie: b=; Max-Age=0", b"Set-Cookie: a=3"),
    }
    return Reply(answer(b"{}", 200, *headers.get(request.of_connection, ())))


def test_a_user_keeps_its_cookies_and_sends_them_back() -> None:
    with scripted(cookie_script) as service:
        run(load(scenario(service.url)))
    seen = {(min(request.of_connection, 3), request.headers.get("cookie")) for request in service.requests}
    assert seen == {(1, None), (2, "a=1; b=2"), (3, "a=3")}


def test_a_scenario_without_cookies_sends_none_back() -> None:
    with scripted(cookie_script) as service:
        run(load(scenario(service.url, cookies=False)))
    assert {request.headers.get("cookie") for request in service.requests} == {None}


# Checks and captures


@pytest.mark.parametrize(
    ("check", "holds"),
    [
        (ContainsCheck(text='"id": 7'), True),
        (ContainsCheck(text="missing"), False),
        (JsonCheck(path="$.items[0].id", equals=7, has_expected=True), True),
        (JsonCheck(path="$.items[0].id", equals=8, has_expected=True), False),
        (JsonCheck(path="$.items[3].id"), False),
    ],
)
def test_a_check_reads_the_body(check: ContainsCheck | JsonCheck, holds: bool) -> None:
    with scripted(Reply(answer(b'{"items": [{"id": 7}]}'), piece=5)) as service:
        ran = run(load(scenario(service.url, step(checks=(check,))), ONE))
    assert ran.outcomes == {Outcome.OK if holds else Outcome.CHECK}
    assert set(ran.all.status.tolist()) == {200}


@pytest.mark.parametrize("body", [b"", b"no json", b"\xff\xfe\xfd", b"[" * 200_000, b"1" * 10_000])
def test_a_body_that_is_no_json_fails_its_check_and_nothing_else(body: bytes) -> None:
    with scripted(Reply(answer(body))) as service:
        ran = run(load(scenario(service.url, step(checks=(JsonCheck(path="$.id"),))), phase(users=1, rate=30.0)))
    assert ran.outcomes == {Outcome.CHECK}


def test_what_one_step_captures_the_next_ones_send() -> None:
    value = 'x "y"/ü&\N{SNOWMAN}\\'
    first = step(
        "first",
        captures=(
            Capture(name="word", source="json", path="$.word"),
            Capture(name="head", source="header", path="X-Word"),
            Capture(name="biscuit", source="cookie", path="c"),
            Capture(name="number", source="json", path="$.number"),
        ),
    )
    second = step(
        "second",
        method="POST",
        path="/second/${word}",
        headers=(("X-Back", "${head}-${biscuit}-${number}"),),
        body=Body(template='{"word": "${word}"}', content_type="application/json"),
    )
    said = b'{"word": "x \\"y\\"/\\u00fc&\\u2603\\\\", "number": 4.5}'

    with scripted(Reply(answer(said, 200, b"x-word: w1", b"Set-Cookie: c=c1"))) as service:
        ran = run(load(scenario(service.url, first, second), ONE))
    assert ran.outcomes == {Outcome.OK}
    posts = [request for request in service.requests if request.line.startswith("POST")]
    assert {request.headers["x-back"] for request in posts} == {"w1-c1-4.5"}
    assert {request.line for request in posts} == {"POST /second/x%20%22y%22%2F%C3%BC%26%E2%98%83%5C"}
    assert [json.loads(request.body)["word"] for request in posts] == [value] * len(posts)
    assert all(int(request.headers["content-length"]) == len(request.body) for request in posts)


def test_half_a_surrogate_pair_in_a_captured_value_stops_nothing() -> None:
    first = step("first", captures=(Capture(name="word", source="json", path="$.word"),))
    body = Body(template='{"w": "${word}"}', content_type="application/json")
    plain = Body(template="${word}", content_type="text/plain")
    second = step("second", method="POST", path="/${word}", headers=(("X-Word", "${word}"),), body=body)
    with scripted(Reply(answer(b'{"word": "a\\ud800b"}'))) as service:
        ran = run(load(scenario(service.url, first, second, step("third", method="PUT", body=plain)), ONE))
    assert ran.outcomes == {Outcome.OK}
    assert b'"a\\ud800b"' in next(request.body for request in service.requests if request.line.startswith("POST"))


def test_a_captured_line_break_cannot_add_a_header() -> None:
    first = step("first", captures=(Capture(name="word", source="json", path="$.word"),))
    second = step("second", headers=(("X-Word", "${word}"),))
    with scripted(Reply(answer(b'{"word": "a\\r\\nX-Evil: 1\\u0000"}'))) as service:
        ran = run(load(scenario(service.url, first, second), ONE))
    assert ran.outcomes == {Outcome.OK}
    seconds = [request.headers for request in service.requests if request.line == "GET /second"]
    assert {headers["x-word"] for headers in seconds} == {"aX-Evil: 1"}
    assert not any("x-evil" in headers for headers in seconds)


def test_a_missing_capture_is_a_failure_of_its_step_and_what_needs_it_is_not_sent() -> None:
    first = step("first", captures=(Capture(name="word", source="json", path="$.word"),))
    with scripted(Reply()) as service:
        ran = run(load(scenario(service.url, first, step("second", path="/${word}"))))
    assert ran.outcomes == {Outcome.CAPTURE}
    assert {request.line for request in service.requests} == {"GET /first"}
    assert ran.phase.delivered_total == len(service.requests) < len(ran.all)
    # The connections are not to blame.
    assert service.connections == 4
    assert set(ran.all.status[ran.all.step == 1].tolist()) == {0}


# Logging in

LOGIN = LoginAuth(
    step=step(
        "log_in",
        method="POST",
        body=Body(template='{"user": "${user.index}"}', content_type="application/json"),
        captures=(Capture(name="token", source="json", path="$.token"),),
        expect_status=frozenset({200, 201}),
    ),
    token="token",
)


def test_each_user_logs_in_once_and_carries_its_token_from_then_on() -> None:
    def script(request: Request) -> Reply:
        if request.line == "POST /log_in":
            return Reply(answer(request.body.replace(b"user", b"token"), 201, b"Set-Cookie: s=1"))
        return Reply()

    with scripted(script) as service:
        ran = run(load(scenario(service.url, auth=LOGIN)))
    logins = [request for request in service.requests if request.line == "POST /log_in"]
    others = [request for request in service.requests if request.line != "POST /log_in"]
    assert sorted(request.body for request in logins) == [b'{"user": "%d"}' % user for user in range(4)]
    assert not any("authorization" in request.headers for request in logins)
    assert Counter(request.headers["authorization"] for request in others) == Counter(
        f"Bearer {user}" for user in ran.all.user.tolist()
    )
    assert {request.headers["cookie"] for request in others} == {"s=1"}
    assert ran.outcomes == {Outcome.OK}
    assert ran.phase.sent_total == ran.phase.delivered_total == len(service.requests) == len(ran.all) + 4
    assert service.connections == 4


@pytest.mark.parametrize("reply", [Reply(answer(b"{}", 500)), Reply(answer(b"{}"))], ids=["an error", "no token"])
def test_without_a_token_no_request_is_sent_and_every_one_says_so(reply: Reply) -> None:
    with scripted(lambda request: reply if request.line == "POST /log_in" else Reply()) as service:
        ran = run(load(scenario(service.url, auth=LOGIN)))
    assert ran.outcomes == {Outcome.CAPTURE}
    assert {request.line for request in service.requests} == {"POST /log_in"}
    assert ran.phase.delivered_total == len(service.requests)
    assert ran.phase.service_gone is None


@pytest.mark.parametrize(
    ("reply", "outcome"), [(Reply(b"", then="reset"), Outcome.RESET), (Reply(b"no HTTP\r\n"), Outcome.PROTOCOL)]
)
def test_a_login_that_breaks_off_gives_the_request_its_kind(reply: Reply, outcome: Outcome) -> None:
    with scripted(lambda request: reply if request.line == "POST /log_in" else Reply()) as service:
        ran = run(load(scenario(service.url, auth=LOGIN)))
    assert ran.outcomes == {outcome}
    assert service.connections == ran.phase.connections_opened


def test_a_login_that_failed_once_is_tried_again_with_the_first_request() -> None:
    def script(request: Request) -> Reply:
        if request.line != "POST /log_in":
            return Reply()
        return Reply(answer(b'{"token": "t"}')) if request.number > 1 else Reply(b"", then="reset")

    with scripted(script) as service:
        ran = run(load(scenario(service.url, auth=LOGIN), ONE))
    assert ran.outcomes == {Outcome.OK}
    assert [request.line for request in service.requests[:3]] == ["POST /log_in", "POST /log_in", "GET /list"]


# Closed loop


def test_a_user_of_a_closed_loop_thinks_between_an_answer_and_its_next_request() -> None:
    arrivals = ClosedArrivals(think_time=0.02, constant=True)
    with scripted(Reply(wait=0.01)) as service:
        ran = run(load(scenario(service.url, step("a"), step("b")), phase(arrivals=arrivals, duration=0.3)))
    assert ran.outcomes == {Outcome.OK}
    for user in range(4):
        mine = ran.all.where(ran.all.user == user)
        assert len(mine) >= 2
        assert mine.step.tolist() == [place % 2 for place in range(len(mine))]
        np.testing.assert_allclose(mine.due[1:] - mine.done[:-1], 0.02, atol=0.002)
    assert (ran.all.queued == 0.0).all()
    assert len(ran.all) == len(service.requests)
