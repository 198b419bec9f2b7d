"""The fault matrix, through the whole engine: whatever a service does wrong has its kind and is in the books."""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from tests.engine.peers import OK, Handler, Line, Peer, after_request, answering, obedient
from tests.engine.runs import GET, POST, Ran, interpreter, phase, running, with_server
from tests.servers import free_port
from velro_gate.errors import UnreachableError
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import ClosedArrivals, OpenArrivals

pytestmark = pytest.mark.hostile("hostile HTTP servers")

PLAN = phase(users=30, ramp=0.0, duration=0.2, arrivals=OpenArrivals(rate=150.0, spacing="even"))
"""A request from each user, so that none waits for another."""

PATIENT = phase(users=30, ramp=0.0, duration=1.0, arrivals=ClosedArrivals(think_time=0.3, constant=True))
"""Every connection idles for a while between an answer and the next request."""

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def drip(line: Line) -> None:
    """Never quite silent, never done."""
    while await line.request() is not None:
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await line.say(b".")
            await trio.sleep(0.02)


async def unasked(line: Line) -> None:
    """Answers, and says something more when nobody has asked for it."""
    if await line.request() is not None:
        await line.say(OK)
        await trio.testing.wait_all_tasks_blocked()
        await line.say(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await line.request()


FAULTS: dict[str, tuple[Handler, Outcome]] = {
    "reset": (after_request("reset"), Outcome.RESET),
    "reset within the answer": (after_request(HEAD + b"12345", "reset"), Outcome.RESET),
    "closed without an answer": (after_request(), Outcome.RESET),
    "half closed without an answer": (after_request("half"), Outcome.RESET),
    "truncated head": (after_request(HEAD[:12]), Outcome.RESET),
    "truncated length": (after_request(HEAD + b"12345"), Outcome.RESET),
    "truncated chunk": (after_request(CHUNKED + b"5\r\nabc"), Outcome.RESET),
    "truncated chunks": (after_request(CHUNKED + b"3\r\nabc\r\n"), Outcome.RESET),
    "slow drip": (drip, Outcome.TIMEOUT),
    "silence": (after_request("wait"), Outcome.TIMEOUT),
    "429": (answering(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"), Outcome.STATUS),
    "503": (answering(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"), Outcome.STATUS),
    "garbage": (after_request(b"\x00\xffgarbage in, garbage out\r\n\r\n", "wait"), Outcome.PROTOCOL),
    "status 000": (after_request(b"HTTP/1.1 000 None\r\nContent-Length: 0\r\n\r\n", "wait"), Outcome.PROTOCOL),
    "a chunk of no length": (after_request(CHUNKED + b"xyz\r\n", "wait"), Outcome.PROTOCOL),
    "oversized head": (after_request(b"HTTP/1.1 200 OK\r\nX-Filler: " + b"x" * 300_000, "wait"), Outcome.PROTOCOL),
    "101": (
        after_request(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "wait"),
        Outcome.PROTOCOL,
    ),
    "an answer nobody asked for": (unasked, Outcome.OK),
}


def check(ran: Ran, outcome: Outcome, *, requests: int) -> None:
    """Every request has this outcome and is in all books: those of the measured stretch are checked by ``running``."""
    run, rows = ran.run, ran.samples()
    assert ran.outcomes() == {outcome.name: len(rows)}
    assert len(rows) == run.sent_total >= 30
    assert requests == run.delivered_total + run.retries
    assert sum(run.blocked.values()) == sum(run.missed.values()) == 0
    assert run.service_gone is None
    assert rows.lateness.min() >= 0.0


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_a_service_has_its_kind_and_nothing_is_lost(fault: str) -> None:
    handler, outcome = FAULTS[fault]
    timeout = 0.3 if outcome is Outcome.TIMEOUT else 20.0
    before = interpreter()

    async def main(peer: Peer) -> None:
        plan = PATIENT if handler is unasked else PLAN
        ran = await running(peer.url, plan, steps=(replace(GET, timeout=timeout), replace(POST, timeout=timeout)))
        check(ran, outcome, requests=len(peer.requests))
        assert ran.run.delivered_total == ran.run.sent_total
        assert ran.run.connections_opened == peer.accepted
        # What may not be sent twice is not, and what had no idle connection need not be.
        assert ran.run.retries <= (ran.samples().step == 0).sum()
        assert ran.run.retries == 0 or outcome is Outcome.RESET
        if outcome is Outcome.TIMEOUT:
            # At its deadline, whenever it was seen to have passed.
            assert ran.samples().service_time == pytest.approx(timeout)

    with_server(main, handler)
    assert interpreter() == before


def test_a_port_without_a_service_refuses_every_request() -> None:
    before = interpreter()
    ran = trio.run(running, f"http://127.0.0.1:{free_port()}", PLAN)
    check(ran, Outcome.REFUSED, requests=0)
    assert ran.run.connections_opened == 0
    assert interpreter() == before


def test_an_unknown_host_is_an_error_before_anything_is_measured() -> None:
    before = interpreter()
    with pytest.raises(UnreachableError, match="no-such-host"):
        trio.run(running, "http://no-such-host.invalid")
    assert interpreter() == before


# TLS


def presenting(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


LONG_AGO = dt.datetime(2001, 1, 1, tzinfo=dt.UTC), dt.datetime(2002, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize("fault", ["none", "expired", "another host", "unknown issuer", "garbage", "closed"])
def test_each_fault_of_tls_has_its_kind_and_no_request_is_sent(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = trustme.CA()
    trusted.cert_pem.write_to_path(tmp_path / "trusted.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    certificates = {
        "none": lambda: trusted.issue_cert("127.0.0.1"),
        "expired": lambda: trusted.issue_cert("127.0.0.1", not_before=LONG_AGO[0], not_after=LONG_AGO[1]),
        "another host": lambda: trusted.issue_cert("elsewhere.test"),
        "unknown issuer": lambda: trustme.CA().issue_cert("127.0.0.1"),
    }
    tls = presenting(certificates[fault]()) if fault in certificates else None

    async def plain(line: Line) -> None:
        """Does not speak TLS."""
        await line.stream.receive_some(1)
        if fault == "garbage":
            await line.say(b"HTTP/1.1 400 You speak TLS to a plain port\r\n\r\n")
            await trio.sleep_forever()

    before = interpreter()

    async def main(peer: Peer) -> None:
        ran = await running(peer.url.replace("http:", "https:"), PLAN)
        if fault == "none":
            check(ran, Outcome.OK, requests=len(peer.requests))
        elif fault == "closed":
            # With unread bytes the end is a reset: which of both it looks like is the kernel's choice.
            assert set(ran.outcomes()) <= {"TLS", "RESET"}
            assert ran.run.delivered_total == 0
        elif fault == "garbage":
            check(ran, Outcome.TLS, requests=0)
            assert ran.run.tls_fault == "what answers there does not speak TLS"
        else:
            check(ran, Outcome.CERTIFICATE, requests=0)
            assert fault.rsplit(maxsplit=1)[-1] in (ran.run.tls_fault or "")
        assert fault == "none" or (peer.requests == [] and ran.run.connections_opened == 0)

    with_server(main, plain if tls is None else obedient, tls)
    assert interpreter() == before
