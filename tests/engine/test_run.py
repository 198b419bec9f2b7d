"""The engine's front, from a plan to samples, against real services that behave well and badly."""

from __future__ import annotations

import socket
import ssl

import numpy as np
import pytest
import trio
import trustme

from tests.engine.scripted import Reply, Request, Script, answer, load, phase, run, scenario, scripted, step
from velro_gate.engine.run import resolve
from velro_gate.errors import UnreachableError
from velro_gate.model.run import Shard
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, NO_CACHE_HEADER, Outcome
from velro_gate.model.scenario import Body, Target
from velro_gate.pacing import open_schedule


@pytest.fixture(scope="module")
def tls() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1", "localhost").configure_cert(made)
    return made


# A service that behaves


def test_every_arrival_becomes_a_request_that_the_service_counted() -> None:
    with scripted(Reply()) as service:
        ran = run(load(scenario(service.url, step("one"), step("two", probability=0.5))))
    assert ran.outcomes == {Outcome.OK}
    assert len(ran.all) == ran.phase.sent_total == ran.phase.delivered_total == len(service.requests)
    assert sum(ran.phase.missed.values()) == sum(ran.phase.blocked.values()) == 0
    asked = sorted(request.line for request in service.requests)
    names = np.array(["GET /one", "GET /two"])[ran.all.step]
    assert asked == sorted(names.tolist())


def test_the_requests_are_those_of_the_schedule() -> None:
    plan = phase()
    with scripted(Reply()) as service:
        made = scenario(service.url, step("one"), step("two", probability=0.3))
        ran = run(load(made, plan))
    schedule = open_schedule(plan, made.steps, made.seed)
    order = np.lexsort((ran.all.user, ran.all.due))
    np.testing.assert_allclose(ran.all.due[order], schedule.due + ran.phase.started)
    assert ran.all.user[order].tolist() == schedule.user.tolist()
    assert ran.all.step[order].tolist() == schedule.step.tolist()


def test_each_user_keeps_its_one_connection() -> None:
    with scripted(Reply()) as service:
        ran = run(load(scenario(service.url)))
    assert service.connections == ran.phase.connections_opened == 4
    assert ran.phase.reconnects == ran.phase.retries == 0
    assert np.isnan(ran.all.connect).all()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_shards_together_send_what_one_process_would_have_sent(count: int) -> None:
    with scripted(Reply()) as service:
        made = scenario(service.url, step("one"), step("two", probability=0.5))
        plan = phase(users=9, ramp=0.0, duration=0.2)
        rows: list[tuple[float, int, int]] = []
        for index in range(count):
            ran = run(load(made, plan, shard=Shard(index=index, count=count)))
            assert set((ran.all.user % count).tolist()) <= {index}
            assert ran.phase.users == len(range(index, 9, count))
            due = np.round(ran.all.due - ran.phase.started, 9)
            rows += zip(due.tolist(), ran.all.user.tolist(), ran.all.step.tolist(), strict=True)
    schedule = open_schedule(plan, made.steps, made.seed)
    whole = zip(np.round(schedule.due, 9).tolist(), schedule.user.tolist(), schedule.step.tolist(), strict=True)
    assert sorted(rows) == sorted(whole)


def test_phases_follow_one_another_on_one_clock() -> None:
    with scripted(Reply()) as service:
        ran = run(load(scenario(service.url), phase("first"), phase("second")))
    first, second = ran.result.phases
    assert first.ended <= second.started
    assert (ran.samples["second"].due >= second.started).all()
    assert not ran.result.interrupted


def test_samples_tell_the_cache_layer_the_status_and_the_bytes() -> None:
    headers = ((b"X-Cache: HIT", b"X-Cache-Layer: memory"), (b"x-cache: hit", b"X-CACHE-LAYER: redis"), (b"X-Cache: MISS",), ())
    replies = [answer(b"{}", 200, *some) for some in headers]

    def script(request: Request) -> Reply:
        return Reply(replies[int(request.line[-1])])

    steps = [step(f"s{index}") for index in range(4)]
    with scripted(script) as service:
        ran = run(load(scenario(service.url, *steps)))
    codes = [set(ran.all.cache[ran.all.step == index].tolist()) for index in range(4)]
    layers = dict(zip(ran.result.layers, range(FIRST_CACHE_LAYER, 99), strict=False))
    assert codes == [{layers["memory"]}, {layers["redis"]}, {CACHE_MISS}, {NO_CACHE_HEADER}]
    assert set(ran.all.status.tolist()) == {200}
    for index in range(4):
        assert set(ran.all.received[ran.all.step == index].tolist()) == {len(replies[index])}


# Answers in every form


FORMS = {
    "by its length": Reply(answer(b"x" * 5000), piece=700),
    "in chunks": Reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n", piece=1),
    "up to the end of the connection": Reply(b"HTTP/1.1 200 OK\r\n\r\nas long as it lasts", then="close"),
    "after interim answers": Reply(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + answer(), piece=9),
    "and farewell": Reply(answer(b"{}", 200, b"Connection: close"), then="close"),
    "of the last century": Reply(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", then="close"),
    "with more than was asked for": Reply(answer() + answer(b"surplus", 500)),
    "with rubbish behind it": Reply(answer() + b"rubbish"),
    "with blank lines behind it": Reply(answer() + b"\r\n\r\n"),
    "and a silent farewell": Reply(then="close"),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_counts_in_whatever_form_it_comes(form: str) -> None:
    with scripted(FORMS[form]) as service:
        ran = run(load(scenario(service.url)))
    assert ran.outcomes == {Outcome.OK}
    assert set(ran.all.status.tolist()) == {200}
    assert len(ran.all) == ran.phase.delivered_total
    assert 0 <= len(service.requests) - len(ran.all) <= ran.phase.retries


@pytest.mark.parametrize("declared", [b"Content-Length: 9000", b"Transfer-Encoding: chunked", b"X-Nothing: 1"])
def test_an_answer_to_head_ends_with_its_headers(declared: bytes) -> None:
    then = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\n" + declared + b"\r\n\r\n"
    with scripted(Reply(then)) as service:
        ran = run(load(scenario(service.url, step(method="HEAD"), step("other", method="HEAD"))))
    assert ran.outcomes == {Outcome.OK}
    assert set(ran.all.status.tolist()) == {200}
    assert len(service.requests) == len(ran.all)
    if declared.startswith(b"Content"):
        assert service.connections == 4


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_ends_with_its_headers(status: int) -> None:
    with scripted(Reply(b"HTTP/1.1 %d Empty\r\nETag: x\r\n\r\n" % status)) as service:
        ran = run(load(scenario(service.url, step(expect_status=frozenset({status})))))
    assert ran.outcomes == {Outcome.OK}
    assert service.connections == 4


# Faults

CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nab"
FAULTS: dict[str, tuple[Reply, Outcome]] = {
    "another status": (Reply(answer(b"{}", 503)), Outcome.STATUS),
    "too many requests": (Reply(answer(b"{}", 429, b"Retry-After: 1")), Outcome.STATUS),
    "a reset amid the answer": (Reply(LONG, then="reset"), Outcome.RESET),
    "an end amid the answer": (Reply(LONG, then="close"), Outcome.RESET),
    "an end amid a chunk": (Reply(CHUNK, then="close"), Outcome.RESET),
    "an end amid the headers": (Reply(b"HTTP/1.1 200 OK\r\nContent-", then="close"), Outcome.RESET),
    "an end before the answer": (Reply(b"", then="close"), Outcome.RESET),
    "a reset before the answer": (Reply(b"", then="reset"), Outcome.RESET),
    "no HTTP": (Reply(b"SSH-2.0-OpenSSH_9.6\r\n"), Outcome.PROTOCOL),
    "rubbish for a chunk": (Reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), Outcome.PROTOCOL),
    "two lengths": (Reply(answer(b"{}", 200, b"Content-Length: 3")), Outcome.PROTOCOL),
    "another protocol": (Reply(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), Outcome.PROTOCOL),
    "silence": (Reply(b"", wait=30.0), Outcome.TIMEOUT),
    "a slow drip": (Reply(answer(), wait=30.0), Outcome.TIMEOUT),
    "an answer that stops": (Reply(LONG), Outcome.TIMEOUT),
}


@pytest.mark.parametrize(
    ("fault", "method"), [*((fault, "GET") for fault in FAULTS), ("a reset before the answer", "POST"), ("no HTTP", "POST")]
)
def test_a_fault_is_called_by_its_name_and_nothing_is_lost(fault: str, method: str) -> None:
    reply, outcome = FAULTS[fault]
    body = Body(template='{"a": 1}', content_type="application/json") if method == "POST" else None
    one = step(method=method, body=body, timeout=0.1)
    with scripted(reply) as service:
        ran = run(load(scenario(service.url, one)))
        seen = service.count(ran.phase.delivered_total)
    # Requests that began while the phase drained may be cut off by its end.
    assert ran.outcomes - {Outcome.CANCELLED} == {outcome}
    assert len(ran.all) == ran.phase.sent_total
    assert 0 <= seen - ran.phase.delivered_total <= ran.phase.retries
    assert (ran.all.status[ran.all.outcome != Outcome.STATUS] == 0).all()
    assert method == "GET" or ran.phase.retries == 0


def test_an_answer_larger_than_is_sensible_is_refused() -> None:
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"100000\r\n%s\r\n" % (b"x" * 2**20) * 70
    with scripted(Reply(endless)) as service:
        ran = run(load(scenario(service.url, step(timeout=20.0)), phase(users=1, ramp=0.0, rate=10.0, duration=0.1)))
    assert ran.outcomes == {Outcome.PROTOCOL}
    assert len(ran.all) == 1


def test_nothing_listens_so_every_request_is_refused_and_none_delivered() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        ran = run(load(scenario(f"http://127.0.0.1:{reserved.getsockname()[1]}")))
    assert ran.outcomes == {Outcome.REFUSED}
    assert ran.phase.delivered_total == ran.phase.connections_opened == 0
    assert ran.phase.sent_total == len(ran.all)


def test_a_service_that_does_not_accept_is_a_timeout() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        # The accept queue is filled, so that what follows is not even answered by the kernel.
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        made = scenario(f"http://127.0.0.1:{deaf.getsockname()[1]}", step(timeout=0.2))
        ran = run(load(made, phase(duration=0.4)))
        for filler in fillers:
            filler.close()
    assert ran.outcomes - {Outcome.CANCELLED} == {Outcome.TIMEOUT}
    assert ran.phase.delivered_total == 0


# Where and how to connect


def test_requests_go_over_tls_where_the_certificate_need_not_be_trusted(tls: ssl.SSLContext) -> None:
    with scripted(Reply(), tls=tls) as service:
        ran = run(load(scenario(service.url, verify=False)))
    assert ran.outcomes == {Outcome.OK}
    assert len(service.requests) == ran.phase.delivered_total == len(ran.all)
    assert service.connections == ran.phase.connections_opened == 4


def test_an_untrusted_certificate_is_a_fault_of_tls_and_nothing_is_delivered(tls: ssl.SSLContext) -> None:
    with scripted(Reply(), tls=tls) as service:
        ran = run(load(scenario(service.url)))
    assert ran.outcomes == {Outcome.TLS}
    assert ran.phase.delivered_total == len(service.requests) == 0


def test_tls_toward_a_service_that_speaks_plain_http_is_a_fault_of_tls() -> None:
    with scripted(Reply(), greeting=answer(b"{}", 400)) as service:
        ran = run(load(scenario(service.url.replace("http:", "https:"), verify=False)))
    assert ran.outcomes <= {Outcome.TLS, Outcome.RESET}
    assert Outcome.TLS in ran.outcomes
    assert ran.phase.delivered_total == 0


TLS_FAULTS = ["a reset amid the answer", "an end amid the answer", "no HTTP", "silence", "an answer that stops"]


@pytest.mark.parametrize("fault", TLS_FAULTS)
def test_faults_over_tls_have_the_same_names(fault: str, tls: ssl.SSLContext) -> None:
    reply, outcome = FAULTS[fault]
    with scripted(reply, tls=tls) as service:
        ran = run(load(scenario(service.url, step(timeout=0.3), verify=False)))
    # Connecting again over TLS may itself take longer than the little time that the step has here.
    assert outcome in ran.outcomes
    assert ran.outcomes <= {outcome, Outcome.TIMEOUT, Outcome.CANCELLED}


@pytest.mark.parametrize("form", ["by its length", "up to the end of the connection", "and a silent farewell", "and farewell"])
def test_answers_over_tls_end_in_every_form(form: str, tls: ssl.SSLContext) -> None:
    with scripted(FORMS[form], tls=tls) as service:
        ran = run(load(scenario(service.url, verify=False), phase(rate=30.0)))
    assert ran.outcomes == {Outcome.OK}


def test_a_service_on_ipv6_is_asked_by_its_bracketed_name() -> None:
    with scripted(Reply(), host="::1") as service:
        ran = run(load(scenario(service.url + "/base/")))
    assert ran.outcomes == {Outcome.OK}
    assert {request.headers["host"] for request in service.requests} == {service.url.removeprefix("http://")}
    assert {request.line for request in service.requests} == {"GET /base/list"}


def test_the_first_address_that_accepts_is_taken() -> None:
    with scripted(Reply()) as service:
        ran = run(load(scenario(service.url.replace("127.0.0.1", "localhost"))))
    assert ran.outcomes == {Outcome.OK}


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 70 + ".invalid", "a..b"])
def test_a_name_that_cannot_be_resolved_is_said_in_words(host: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        trio.run(resolve, Target(url=f"http://{host}:8000"))
    assert host in caught.value.what
    assert caught.value.where == f"http://{host}:8000"


@pytest.mark.parametrize(("url", "port"), [("http://127.0.0.1", 80), ("https://127.0.0.1", 443), ("http://127.0.0.1:81/x", 81)])
def test_the_port_is_the_urls_or_that_of_its_scheme(url: str, port: int) -> None:
    assert trio.run(resolve, Target(url=url)).addresses == (("127.0.0.1", port),)


# Connections that end between two requests


def closing_after(count: int) -> Script:
    return lambda request: Reply(then="close" if request.of_connection == count else "keep")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_the_service_closed_while_idle_is_replaced_without_a_failure(method: str) -> None:
    # A quarter of a second between two requests of a user: enough for the close to arrive, however busy the machine is.
    with scripted(closing_after(2)) as service:
        ran = run(load(scenario(service.url, step(method=method)), phase(users=2, rate=8.0, duration=1.5)))
    assert ran.outcomes == {Outcome.OK}
    assert ran.phase.reconnects > 0
    assert ran.phase.connections_opened == service.connections
    assert np.isfinite(ran.all.connect).sum() == ran.phase.reconnects


def test_only_a_safe_request_is_sent_again_and_only_once() -> None:
    def script(request: Request) -> Reply:
        return Reply(b"", then="reset") if request.of_connection == 2 else Reply()

    with scripted(script) as service:
        safe = run(load(scenario(service.url)))
        unsafe = run(load(scenario(service.url, step(method="POST"))))
    assert safe.outcomes == {Outcome.OK}
    assert safe.phase.retries > 0
    assert unsafe.outcomes == {Outcome.OK, Outcome.RESET}
    assert unsafe.phase.retries == 0


def test_what_a_service_says_unasked_is_not_taken_for_the_next_answer() -> None:
    farewell = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    def script(request: Request) -> Reply:
        return Reply(answer() + farewell if request.of_connection == 3 else answer())

    with scripted(script) as service:
        ran = run(load(scenario(service.url, step(method="POST"))))
    assert ran.outcomes == {Outcome.OK}
    assert len(service.requests) == len(ran.all)
