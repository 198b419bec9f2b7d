"""Whole phases over real sockets: the books balance with the service's own count, whatever happens to either side."""

from __future__ import annotations

import errno
import gc
import json
import math
import ssl
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import trio
import trio.testing
import trustme

from tests.engine.peers import OK, Line, Peer, obedient, serving
from tests.engine.runs import GET, phase, running, with_server
from velro_gate.engine.http.routes import Route
from velro_gate.engine.load import phase as load_phase
from velro_gate.model.run import Shard
from velro_gate.model.samples import FIRST_CACHE_LAYER, Outcome
from velro_gate.model.scenario import (
    Arrivals,
    Capture,
    ClosedArrivals,
    LoginAuth,
    OpenArrivals,
    Step,
)

pytestmark = pytest.mark.real


@pytest.mark.parametrize(
    "arrivals",
    [
        OpenArrivals(rate=300.0),
        OpenArrivals(rate=300.0, spacing="even"),
        ClosedArrivals(think_time=0.05),
        ClosedArrivals(think_time=0.03, constant=True),
        ClosedArrivals(think_time=0.0),
    ],
)
def test_the_service_counts_exactly_what_was_delivered(arrivals: Arrivals) -> None:
    async def main(peer: Peer) -> None:
        ran = await running(peer.url, phase(arrivals=arrivals))
        run = ran.run
        assert run.sent_total == run.delivered_total == len(peer.requests) == len(ran.samples()) > 50
        assert ran.outcomes() == {"OK": run.sent_total}
        assert run.connections_opened == peer.accepted == 10
        assert (run.retries, run.reconnects, run.interrupted, run.service_gone) == (0, 0, False, None)
        assert run.blocked == {"get": 0, "post": 0}

    with_server(main)


def test_requests_are_those_of_the_plan_and_carry_their_users_values() -> None:
    async def main(peer: Peer) -> None:
        ran = await running(peer.url, phase(users=3))
        gets = [request.split(b" ")[1] for request in peer.requests if request.startswith(b"GET")]
        assert set(gets) == {b"/get/0", b"/get/1", b"/get/2"}
        bodies = {json.loads(r.partition(b"\r\n\r\n")[2])["me"] for r in peer.requests if r.startswith(b"POST")}
        assert len(bodies) == 3
        rows = ran.samples()
        assert Counter(rows.step.tolist()) == {0: len(gets), 1: len(peer.requests) - len(gets)}

    with_server(main)


def test_any_number_of_shards_sends_the_same_requests() -> None:
    async def asked(peer: Peer, count: int) -> Counter[bytes]:
        before = len(peer.requests)
        for index in range(count):
            await running(peer.url, phase(users=10, ramp=0.1, duration=0.15), shard=Shard(index=index, count=count))
        return Counter(peer.requests[before:])

    async def main(peer: Peer) -> None:
        whole = await asked(peer, 1)
        assert whole
        assert await asked(peer, 2) == whole
        assert await asked(peer, 7) == whole

    with_server(main)


def test_a_closed_loop_walks_the_same_steps_again() -> None:
    async def main(peer: Peer) -> None:
        closed = phase(users=4, arrivals=ClosedArrivals(think_time=0.05, constant=True))
        walks = []
        for _ in range(2):
            rows = (await running(peer.url, closed)).samples()
            walks.append([rows.step[rows.user == user].tolist() for user in range(4)])
        # How far a user gets is a matter of time; where it goes is not.
        for one, other in zip(*walks, strict=True):
            common = min(len(one), len(other))
            assert common
            assert one[:common] == other[:common]

    with_server(main)


def test_phases_follow_each_other_each_on_its_own_connections() -> None:
    async def main(peer: Peer) -> None:
        ran = await running(peer.url, phase("a", users=4), phase("b", users=6))
        first, second = ran.result.phases
        assert [first.connections_opened, second.connections_opened, peer.accepted] == [4, 6, 10]
        assert first.ended <= second.started
        assert len(ran.samples("a")) + len(ran.samples("b")) == len(peer.requests)

    with_server(main)


def test_users_hold_their_connections_and_ticks_say_so() -> None:
    async def main(peer: Peer) -> None:
        ran = await running(peer.url, phase(users=300, ramp=0.5, duration=1.8, arrivals=OpenArrivals(rate=50.0)))
        assert [tick.connected for tick in ran.run.ticks] == [300, 300]
        assert ran.run.connections_opened == 300
        assert [progress.stage for progress in ran.seen] == ["measure", "measure"]
        assert ran.seen[-1].p95 is not None
        assert ran.seen[-1].remaining < 1.0

    with_server(main)


# A service that does what it should not


def test_a_service_that_closes_after_every_third_answer_loses_nothing() -> None:
    async def forgetful(line: Line) -> None:
        for _ in range(3):
            if await line.request() is None:
                return
            await line.say(OK)

    async def main(peer: Peer) -> None:
        ran = await running(peer.url)
        run = ran.run
        assert ran.outcomes()["OK"] + ran.outcomes()["RESET"] == run.sent_total
        # Only what may not be sent again can end so: a safe request is sent once more, on a connection that is new.
        rows = ran.samples()
        assert set(rows.step[rows.outcome == Outcome.RESET].tolist()) <= {1}
        # A request that met the end of its connection may or may not have been read: at most these are in doubt.
        doubt = run.retries + ran.outcomes()["RESET"]
        assert run.delivered_total - doubt <= len(peer.requests) <= run.delivered_total + doubt
        assert run.reconnects > 10
        assert run.connections_opened == peer.accepted == run.reconnects + 10

    with_server(main, forgetful)


def test_a_service_that_says_close_every_time_is_met_on_new_connections() -> None:
    async def polite(line: Line) -> None:
        await line.request()
        await line.say(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    async def main(peer: Peer) -> None:
        ran = await running(peer.url)
        assert ran.outcomes() == {"OK": len(peer.requests)}
        assert ran.run.delivered_total == len(peer.requests)
        assert int((~np.isnan(ran.samples().connect)).sum()) == len(peer.requests)

    with_server(main, polite)


def test_answers_of_every_kind_in_one_run_get_their_outcome_and_their_cache_code() -> None:
    kinds = (
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        OK.replace(b"\r\n\r\n", b"\r\nX-Cache: HIT\r\nX-Cache-Layer: redis\r\n\r\n"),
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
    )
    count = 0

    async def moody(line: Line) -> None:
        nonlocal count
        while await line.request() is not None:
            count += 1
            kind = count % 4
            await line.say(kinds[kind])
            if kind >= 2:
                return

    async def main(peer: Peer) -> None:
        ran = await running(peer.url, steps=(GET,))
        found = ran.outcomes()
        assert set(found) == {"OK", "STATUS", "PROTOCOL", "RESET"}
        assert max(found.values()) - min(found.values()) <= 1
        assert ran.result.layers == ("redis",)
        rows = ran.samples()
        assert (rows.cache[rows.outcome == Outcome.OK] == FIRST_CACHE_LAYER).all()
        assert ran.run.delivered_total == len(peer.requests) == len(rows)

    with_server(main, moody)


def test_a_stall_makes_requests_wait_but_does_not_look_like_our_own_lateness() -> None:
    ends = math.inf

    async def stalling(line: Line) -> None:
        nonlocal ends
        while await line.request() is not None:
            # From its 15th answer on, for .6 s: by the requests and not by the clock, for a busy machine starts late.
            if ends == math.inf and len(line.peer.requests) >= 15:
                ends = trio.current_time() + 0.6
            if ends != math.inf:
                await trio.sleep_until(ends)
            await line.say(OK)

    async def main(peer: Peer) -> None:
        ran = await running(peer.url, phase(users=3, ramp=0.0, duration=1.2), steps=(GET,))
        rows = ran.samples()
        assert set(ran.outcomes()) == {"OK"}
        assert rows.queued.max() > 0.3
        assert float(np.median(rows.lateness)) < 0.05
        assert float(rows.lateness.max()) < float(rows.queued.max())
        assert ran.run.blocked == {"get": 0}

    with_server(main, stalling)


def test_what_still_waits_when_the_drain_ends_is_blocked() -> None:
    async def deaf(line: Line) -> None:
        while await line.request() is not None:
            await trio.sleep_forever()

    async def main(peer: Peer) -> None:
        stuck = Step(name="get", method="GET", path="/", probability=1.0, timeout=0.4)
        ran = await running(peer.url, phase(users=2, ramp=0.0, duration=0.5), steps=(stuck,))
        assert ran.run.blocked["get"] > 50
        assert set(ran.outcomes()) <= {"TIMEOUT", "CANCELLED"}

    with_server(main, deaf)


# Ends


@pytest.mark.parametrize("requests", [5, 50])
@pytest.mark.parametrize("arrivals", [OpenArrivals(rate=200.0), ClosedArrivals(think_time=0.05)])
def test_a_stop_ends_the_run_soon_and_keeps_what_was_measured(arrivals: Arrivals, requests: int) -> None:
    async def hold(line: Line) -> None:
        while (request := await line.request()) is not None:
            if is_held(request):
                await trio.sleep_forever()
            await line.say(OK)

    def is_held(request: bytes) -> bool:
        return request.startswith(b"POST")

    async def main(peer: Peer) -> None:
        stop = trio.Event()
        async with trio.open_nursery() as nursery:

            async def stopper() -> None:
                # Not before one of them is held.
                while len(peer.requests) < requests or not any(map(is_held, peer.requests)):
                    await trio.sleep(0.01)
                stop.set()

            nursery.start_soon(stopper)
            plan = phase(duration=60.0, arrivals=arrivals)
            ran = await running(peer.url, plan, phase("never"), stop=stop)
        assert ran.result.interrupted
        assert len(ran.result.phases) == 1
        assert ran.run.interrupted
        assert ran.run.ended - ran.run.started < 10.0
        assert ran.outcomes()["OK"] > 0
        assert ran.outcomes()["CANCELLED"] > 0
        assert ran.run.delivered_total == len(peer.requests)
        assert gc.isenabled()

    with_server(main, hold)


def test_a_stop_before_the_run_runs_nothing() -> None:
    async def main(peer: Peer) -> None:
        stop = trio.Event()
        stop.set()
        ran = await running(peer.url, stop=stop)
        assert (ran.result.phases, ran.result.interrupted) == ((), True)

    with_server(main)


@pytest.mark.parametrize(("code", "lacks"), [(errno.EADDRNOTAVAIL, "ports_free"), (errno.EMFILE, "descriptors_free")])
def test_what_this_machine_had_none_left_of_is_not_free_however_much_was_at_the_looks(
    monkeypatch: pytest.MonkeyPatch, code: int, lacks: str
) -> None:
    def none_left(*_: object) -> None:
        raise OSError(code, "none left")

    async def main(peer: Peer) -> None:
        monkeypatch.setattr(Route, "new_socket", none_left)
        run = (await running(peer.url, scarce=True)).run
        assert sum(run.missed.values()) > 0
        assert getattr(run.health, lacks) == 0
        others = {"ports_free", "descriptors_free"} - {lacks}
        assert all(getattr(run.health, name) > 0 for name in others)

    with_server(main)


class SilentNameServer(trio.abc.HostnameResolver):
    """Never answers; says when it was asked."""

    def __init__(self, asked: Callable[[], None]) -> None:
        self.asked = asked

    async def getaddrinfo(self, *_: object, **__: object) -> list[object]:
        self.asked()
        await trio.sleep_forever()
        raise AssertionError

    async def getnameinfo(self, *_: object) -> tuple[str, str]:
        raise NotImplementedError


def test_a_stop_is_heard_while_a_name_is_looked_up() -> None:
    async def main() -> None:
        stop = trio.Event()
        trio.socket.set_custom_hostname_resolver(SilentNameServer(stop.set))
        ran = await running("http://api.test", stop=stop)
        assert (ran.result.phases, ran.result.interrupted) == ((), True)

    # In simulated time: the look-up alone would give up after ten seconds, with another result.
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.0))


def test_a_service_that_goes_away_ends_the_phase_and_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    # That it is five seconds is shown in simulated time.
    monkeypatch.setattr(load_phase, "GONE_AFTER", 1.0)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            gone = trio.Event()

            async def serve() -> None:
                async with serving(obedient) as peer:
                    urls.append(peer.url)
                    ready.set()
                    while len(peer.requests) < 30:
                        await trio.sleep(0.01)
                gone.set()

            urls: list[str] = []
            ready = trio.Event()
            nursery.start_soon(serve)
            await ready.wait()
            ran = await running(urls[0], phase(duration=60.0), phase("never"))
            assert gone.is_set()
        assert len(ran.result.phases) == 1
        assert ran.run.service_gone is not None
        assert "connection refused" in ran.run.service_gone
        assert not ran.run.interrupted
        assert ran.outcomes()["OK"] >= 29
        assert ran.run.ended - ran.run.started < 15.0

    trio.run(main)


def test_a_service_that_answers_errors_only_is_not_gone() -> None:
    async def sick(line: Line) -> None:
        while await line.request() is not None:
            await line.say(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")

    async def main(peer: Peer) -> None:
        ran = await running(peer.url)
        assert ran.run.service_gone is None
        assert set(ran.outcomes()) == {"STATUS"}

    with_server(main, sick)


# Login, captures, TLS


def test_a_login_is_counted_and_is_no_step() -> None:
    login = Step(
        name="login",
        method="POST",
        path="/login",
        probability=1.0,
        captures=(Capture(name="token", source="json", path="$.token"),),
    )

    async def guarded(line: Line) -> None:
        while (request := await line.request()) is not None:
            if request.startswith(b"POST /login"):
                await line.say(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"token": "abc"}'.replace(b"15", b"16"))
            else:
                known = b"\r\nAuthorization: Bearer abc\r\n" in request
                await line.say(OK if known else b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")

    async def main(peer: Peer) -> None:
        ran = await running(peer.url, auth=LoginAuth(step=login, token="token"))
        rows = ran.samples()
        assert set(ran.outcomes()) == {"OK"}
        assert int((rows.step == 2).sum()) == 10
        assert ran.run.sent_total == ran.run.delivered_total == len(peer.requests) == len(rows)
        assert set(ran.run.due) == {"get", "post"}

    with_server(main, guarded)


def test_a_step_sends_what_an_earlier_one_captured() -> None:
    make = Step(
        name="make", method="POST", path="/make", probability=1.0, captures=(Capture(name="id", source="json", path="$.id"),)
    )
    use = Step(name="use", method="GET", path="/use/${id}", probability=1.0)

    async def maker(line: Line) -> None:
        while (request := await line.request()) is not None:
            made = request.startswith(b"POST")
            await line.say(b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"id": 7}' if made else OK)

    async def main(peer: Peer) -> None:
        ran = await running(peer.url, steps=(make, use))
        assert set(ran.outcomes()) == {"OK"}
        assert {r.split(b" ")[1] for r in peer.requests if r.startswith(b"GET")} == {b"/use/7"}
        assert ran.run.due["use"] > 0

    with_server(main, maker)


def test_https_works_with_a_certificate_that_is_not_verified() -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)

    async def main(peer: Peer) -> None:
        ran = await running(peer.url, verify=False)
        assert set(ran.outcomes()) == {"OK"}
        assert ran.run.delivered_total == len(peer.requests)

    with_server(main, tls=server)
