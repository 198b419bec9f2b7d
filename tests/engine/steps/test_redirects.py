"""Redirects: answers like any other unless the scenario says how many are followed, and then within the service only."""

from __future__ import annotations

import pytest
import trio

from tests.engine.peers import OK, Handler, Line, Peer, serving
from tests.engine.runs import Ran, phase, running
from velro_gate.engine.http.parsing.headers import HeaderKinds
from velro_gate.engine.http.parsing.responses import Response, ResponseState
from velro_gate.engine.steps.redirects import Chain, Redirects
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import Body, Capture, OpenArrivals, Step

URL = "http://api.test:81/base"
GET = b"GET /base/old?x=1 HTTP/1.1\r\nHost: api.test:81\r\nX-A: 1\r\nCookie: a=1\r\n\r\n"
POST = b"POST /base/old HTTP/1.1\r\nHost: api.test:81\r\nContent-Type: a/b\r\nX-A: 1\r\nContent-Length: 7\r\n\r\na\r\n\r\nbc"
CHUNKED = b"POST /old HTTP/1.1\r\nHost: api.test:81\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"


def answer(status: int, location: str | None) -> Response:
    made = Response(HeaderKinds({b"location"}), 1 << 20)
    made.start(0.0)
    where = f"Location: {location}\r\n".encode() if location is not None else b""
    assert made.feed(b"HTTP/1.1 %d x\r\n%bContent-Length: 0\r\n\r\n" % (status, where)) is ResponseState.COMPLETE
    return made


def onward(request: bytes, status: int, location: str | None, *, hops: int = 0, most: int = 3) -> bytes | None:
    made = Redirects(URL, most).onward(Chain(request=request, hops=hops), answer(status, location), None)
    return None if made is None else made.request


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/new", b"/new"),
        ("new", b"/base/new"),
        ("../new?y=%202#part", b"/new?y=%202"),
        ("?page=2", b"/base/old?page=2"),
        ("http://api.test:81/new", b"/new"),
        ("HTTP://API.test:81", b"/"),
        ("//api.test:81/new", b"/new"),
        ("/a b/ü", b"/a%20b/%C3%BC"),
    ],
)
def test_a_location_is_read_from_where_the_request_stood(location: str, target: bytes) -> None:
    made = onward(GET, 302, location)
    assert made is not None
    assert made.split(b" ")[1] == target
    assert made.endswith(GET.split(b" ", 2)[2])


@pytest.mark.parametrize(
    "location",
    [
        "https://api.test:81/new",
        "http://api.test/new",
        "http://elsewhere.test:81/new",
        "//elsewhere.test:81/",
        "http://api.test:99999/",
        "mailto:someone",
        None,
    ],
)
def test_a_redirect_that_leaves_the_service_or_leads_nowhere_is_the_answer(location: str | None) -> None:
    assert onward(GET, 302, location) is None


@pytest.mark.parametrize("status", [200, 300, 304, 305, 306, 404])
def test_only_redirects_are_followed(status: int) -> None:
    assert onward(GET, status, "/new") is None


def test_the_default_port_may_be_written_or_not() -> None:
    made = Redirects("https://api.test", 1).onward(
        Chain(request=b"GET / HTTP/1.1\r\n\r\n"), answer(308, "https://api.test:443/new"), None
    )
    assert made is not None


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_post_that_is_sent_elsewhere_becomes_a_get_without_its_body(status: int) -> None:
    assert onward(POST, status, "/new") == b"GET /new HTTP/1.1\r\nHost: api.test:81\r\nX-A: 1\r\n\r\n"
    assert onward(CHUNKED, status, "/new") == b"GET /new HTTP/1.1\r\nHost: api.test:81\r\n\r\n"


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("request_", [POST, CHUNKED])
def test_a_temporary_and_a_permanent_redirect_keep_method_and_body(status: int, request_: bytes) -> None:
    made = onward(request_, status, "/new")
    assert made == request_.replace(request_.split(b" ")[1], b"/new", 1)


def test_a_put_keeps_its_method_where_only_post_may_change() -> None:
    put = POST.replace(b"POST", b"PUT")
    assert (onward(put, 302, "/new") or b"").startswith(b"PUT /new")
    assert (onward(put, 303, "/new") or b"").startswith(b"GET /new")


def test_a_head_stays_a_head() -> None:
    assert (onward(GET.replace(b"GET", b"HEAD"), 303, "/new") or b"").startswith(b"HEAD /new")


def test_cookies_are_those_for_the_new_place() -> None:
    begun: list[bytes] = []

    def line(begin: bytes) -> bytes:
        begun.append(begin)
        return b"Cookie: b=2\r\n"

    made = Redirects(URL, 1).onward(Chain(request=GET), answer(302, "/new"), line)
    assert made is not None
    assert made.request == b"GET /new HTTP/1.1\r\nHost: api.test:81\r\nX-A: 1\r\nCookie: b=2\r\n\r\n"
    assert begun[0].startswith(b"GET /new ")


def test_the_chain_ends_at_the_allowed_number() -> None:
    assert onward(GET, 302, "/new", hops=2, most=3) is not None
    assert onward(GET, 302, "/new", hops=3, most=3) is None


# With real servers


def redirecting(*places: str) -> Handler:
    """Sends /0 to the first place, /1 to the second, and so on; answers everything else."""

    async def handler(line: Line) -> None:
        while (request := await line.request()) is not None:
            path = request.split(b" ")[1].decode()
            number = int(path[1:]) if path[1:].isdigit() else len(places)
            if number < len(places):
                head = f"HTTP/1.1 302 Found\r\nLocation: {places[number]}\r\nSet-Cookie: seen={number}\r\n"
                await line.say(head.encode() + b"Content-Length: 0\r\n\r\n")
            else:
                await line.say(OK)

    return handler


def ran(handler: Handler, *steps: Step, follow: int = 0) -> tuple[Ran, Peer]:
    found: list[tuple[Ran, Peer]] = []

    async def main() -> None:
        async with serving(handler) as peer:
            plan = phase(users=3, ramp=0.1, duration=0.3, arrivals=OpenArrivals(rate=100.0))
            found.append((await running(peer.url, plan, steps=steps, follow_redirects=follow), peer))

    trio.run(main)
    return found[0]


FIRST = Step(name="first", method="GET", path="/0", probability=1.0, timeout=2.0)


@pytest.mark.real
def test_by_default_a_redirect_is_counted_and_not_followed() -> None:
    made, peer = ran(redirecting("/1"), FIRST)
    assert made.outcomes() == {"STATUS": len(peer.requests)}
    assert set(made.samples().status.tolist()) == {302}
    assert made.run.redirects_followed == 0


@pytest.mark.real
def test_a_redirect_that_is_expected_is_a_good_answer() -> None:
    expected = Step(name="first", method="GET", path="/0", probability=1.0, expect_status=frozenset({302}))
    assert set(ran(redirecting("/1"), expected)[0].outcomes()) == {"OK"}


@pytest.mark.real
def test_a_chain_is_one_sample_with_the_last_status_and_the_books_know_every_request() -> None:
    made, peer = ran(redirecting("/1", "/2"), FIRST, follow=2)
    run = made.run
    assert set(made.outcomes()) == {"OK"}
    assert set(made.samples().status.tolist()) == {200}
    assert run.redirects_followed == 2 * run.sent_total
    assert run.delivered_total + run.redirects_followed == len(peer.requests)
    # Three answers, of which two hold headers only.
    assert int(made.samples().received.min()) > 2 * len(b"HTTP/1.1 302 Found\r\n") + len(OK)
    assert any(b"Cookie: seen=1" in request for request in peer.requests if request.startswith(b"GET /2"))
    assert peer.accepted == 3


@pytest.mark.real
def test_a_loop_ends_at_the_allowed_number_with_its_own_status() -> None:
    made, peer = ran(redirecting("/0"), FIRST, follow=4)
    assert set(made.outcomes()) == {"STATUS"}
    assert set(made.samples().status.tolist()) == {302}
    assert len(peer.requests) == 5 * made.run.sent_total


@pytest.mark.real
def test_another_origin_is_never_asked() -> None:
    async def main() -> None:
        async with serving() as elsewhere, serving(redirecting(f"{elsewhere.url}/new")) as peer:
            made = await running(peer.url, phase(users=2, ramp=0.1, duration=0.2), steps=(FIRST,), follow_redirects=5)
            assert set(made.outcomes()) == {"STATUS"}
            assert elsewhere.accepted == 0

    trio.run(main)


@pytest.mark.real
def test_a_service_that_closes_with_each_redirect_is_followed_on_a_new_connection() -> None:
    async def closing(line: Line) -> None:
        if (request := await line.request()) is not None:
            old = request.startswith(b"GET /0")
            await line.say(b"HTTP/1.1 307 x\r\nLocation: /1\r\nContent-Length: 0\r\n" if old else b"HTTP/1.1 200 OK\r\n")
            await line.say(b"Connection: close\r\n\r\n" if old else b"Content-Length: 0\r\nConnection: close\r\n\r\n")

    made, peer = ran(closing, FIRST, follow=1)
    assert set(made.outcomes()) == {"OK"}
    assert len(peer.requests) == peer.accepted == 2 * made.run.sent_total


@pytest.mark.real
def test_a_post_is_followed_to_its_result_and_the_result_is_what_is_looked_at() -> None:
    async def created(line: Line) -> None:
        while (request := await line.request()) is not None:
            if request.startswith(b"POST"):
                await line.say(b"HTTP/1.1 303 See Other\r\nLocation: /result\r\nContent-Length: 0\r\n\r\n")
            else:
                await line.say(b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"id":7}')

    post = Step(
        name="post",
        method="POST",
        path="/post",
        probability=1.0,
        body=Body(template="{}", content_type="application/json"),
        captures=(Capture(name="id", source="json", path="$.id"),),
    )
    made, peer = ran(created, post, follow=1)
    assert set(made.outcomes()) == {"OK"}
    results = [request for request in peer.requests if request.startswith(b"GET /result")]
    assert len(results) == made.run.redirects_followed == made.run.sent_total
    assert all(b"Content-" not in request for request in results)


@pytest.mark.real
def test_a_chain_as_a_whole_has_the_steps_timeout() -> None:
    async def slow(line: Line) -> None:
        while (request := await line.request()) is not None:
            if request.startswith(b"GET /0"):
                await line.say(b"HTTP/1.1 302 x\r\nLocation: /1\r\nContent-Length: 0\r\n\r\n")
            else:
                await trio.sleep_forever()

    made, _ = ran(slow, Step(name="first", method="GET", path="/0", probability=1.0, timeout=0.2), follow=1)
    assert Outcome.TIMEOUT in made.samples().outcome
    assert not set(made.outcomes()) - {"TIMEOUT", "CANCELLED"}


@pytest.mark.parametrize("location", [b"http://xn--/", b"http://\xc2\xad/", b"//\xff", b"http://[::/"])
def test_a_location_that_is_no_address_is_itself_the_answer(location: bytes) -> None:
    made = Response(HeaderKinds({b"location"}), 1 << 20)
    made.start(0.0)
    made.feed(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % location)
    assert Redirects(URL, 5).onward(Chain(request=GET), made, None) is None
