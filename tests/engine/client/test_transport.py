"""The wire as a transport of httpx: whatever httpx can do works over it, seen through httpx's public API only."""

from __future__ import annotations

import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
import trustme

from tests.engine.peers import OK, Handler, Line, Peer, obedient, route_to, serving, wired
from velro_gate.engine.client.transport import MOST_WAITING, WireTransport
from velro_gate.engine.http.replicas import Replicas

pytestmark = pytest.mark.real


class Endless:
    """A body without an end; no generator, so that nothing minds when it is left in the middle."""

    def __init__(self, piece: bytes) -> None:
        self.piece = piece

    def __aiter__(self) -> Endless:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        return self.piece


Main = Callable[[httpx.AsyncClient, Peer], Awaitable[None]]


def answer(body: bytes = b"", status: str = "200 OK", *headers: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status}".encode(), *headers, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*pieces: bytes, status: str = "200 OK") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + body + b"0\r\n\r\n"


def saying(*answers: bytes) -> Handler:
    """Answers the requests of a connection with these, in turn, then ends it."""

    async def handler(line: Line) -> None:
        for each in answers:
            if await line.request() is None:
                return
            await line.say(each)

    return handler


def by_path(**answers: bytes | Callable[[bytes], bytes]) -> Handler:
    """Answers by the first word of the path; a function is given the request."""

    async def handler(line: Line) -> None:
        while (request := await line.request()) is not None:
            found = answers[request.split(b" ")[1].decode().strip("/").partition("/")[0].partition("?")[0]]
            await line.say(found if isinstance(found, bytes) else found(request))

    return handler


@asynccontextmanager
async def client_of(
    handler: Handler, *, tls: ssl.SSLContext | None = None, trust: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Peer]]:
    most = {key: options.pop(key) for key in ("most_connections", "most_answer") if key in options}
    async with serving(handler, tls=tls) as peer, wired(route_to(peer.host, peer.port, tls=trust)) as wire:
        transport = WireTransport(wire, peer.url, **most)
        async with httpx.AsyncClient(transport=transport, base_url=peer.url, trust_env=False, **options) as client:
            yield client, peer


def with_client(main: Main, handler: Handler = obedient, **options: Any) -> None:
    async def whole() -> None:
        with trio.fail_after(20):
            async with client_of(handler, **options) as (client, peer):
                await main(client, peer)

    trio.run(whole)


# Requests and answers


def test_an_answer_is_what_the_service_said_with_its_headers_as_it_wrote_them() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        found = await client.get("/a/b?x=1&y=%20z")
        assert (found.status_code, found.reason_phrase, found.http_version) == (299, "Odd But Fine", "HTTP/1.1")
        assert found.headers.raw == [
            (b"X-MiXeD", b"One"),
            (b"x-mixed", b"two"),
            (b"Set-Cookie", b"a=1"),
            (b"Set-Cookie", b"b=2"),
            (b"Content-Length", b"5"),
        ]
        assert found.text == "hello"
        assert found.elapsed.total_seconds() >= 0
        assert peer.requests[0].startswith(b"GET /a/b?x=1&y=%20z HTTP/1.1\r\nHost: ")

    odd = answer(b"hello", "299 Odd But Fine", b"X-MiXeD: One", b"x-mixed: two", b"Set-Cookie: a=1", b"Set-Cookie: b=2")
    with_client(main, saying(odd))


def test_headers_of_a_request_go_out_in_the_order_and_case_in_which_they_were_given() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        await client.get("/", headers=[("X-B", "1"), ("x-a", "2"), ("X-b", "3")])
        lines = peer.requests[0].split(b"\r\n")
        assert [line for line in lines if line[:2].lower() == b"x-"] == [b"X-B: 1", b"x-a: 2", b"X-b: 3"]

    with_client(main)


@pytest.mark.parametrize(
    "options",
    [
        {"content": b"raw \x00 bytes"},
        {"content": "text"},
        {"json": {"a": [1, None]}},
        {"data": {"a": "1", "b": ["2", "3"]}},
        {"files": {"file": ("name.txt", b"content")}},
    ],
    ids=lambda options: next(iter(options)),
)
def test_every_kind_of_body_arrives_whole(options: dict[str, Any]) -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        request = client.build_request("POST", "/", **options)
        assert (await client.send(request)).status_code == 200
        assert peer.requests[0].partition(b"\r\n\r\n")[2] == await request.aread()

    with_client(main)


def test_requests_in_turn_share_one_connection() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        for _ in range(5):
            assert (await client.get("/")).text == "ok"
        assert (peer.accepted, len(peer.requests)) == (1, 5)

    with_client(main)


def test_requests_at_once_get_connections_of_their_own_up_to_the_bound() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(client.get, f"/{number}")
        assert peer.accepted == 3
        assert {request.split(b" ")[1] for request in peer.requests} == {f"/{n}".encode() for n in range(20)}

    with_client(main, most_connections=3)


@pytest.mark.parametrize("said", [b"", b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_an_answer_to_head_ends_with_its_headers(said: bytes) -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        found = await client.head("/")
        assert (found.status_code, found.content) == (200, b"")
        assert (await client.get("/")).text == "ok"

    async def handler(line: Line) -> None:
        while (request := await line.request()) is not None:
            await line.say(b"HTTP/1.1 200 OK\r\n%b\r\n" % said if request.startswith(b"HEAD") else OK)

    with_client(main, handler)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_without_a_body_needs_no_length_and_keeps_the_connection(status: str) -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        assert (await client.get("/")).status_code == int(status[:3])
        assert (await client.get("/")).text == "ok"
        assert peer.accepted == 1

    with_client(main, saying(f"HTTP/1.1 {status}\r\n\r\n".encode(), OK))


def test_informational_answers_are_passed_over_with_their_headers() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        found = await client.get("/")
        assert (found.status_code, found.reason_phrase, found.text) == (200, "OK", "ok")
        assert "link" not in found.headers

    hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    with_client(main, saying(hints + OK))


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        assert (await client.get("/")).text == "to the end"
        assert (await client.get("/")).text == "to the end"
        assert peer.accepted == 2

    with_client(main, saying(b"HTTP/1.1 200 OK\r\n\r\nto the end"))


def test_compressed_answers_are_unpacked_by_httpx() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        assert (await client.get("/")).text == "much " * 100

    with_client(main, saying(answer(gzip.compress(b"much " * 100), "200 OK", b"Content-Encoding: gzip")))


def test_tls_is_spoken_where_the_origin_says_so() -> None:
    authority, server, trust = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(trust)

    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        big = await client.get("/")
        assert (len(big.content), peer.scheme) == (300_000, "https")
        assert isinstance(big.extensions["network_stream"].get_extra_info("ssl_object"), ssl.SSLSocket)
        assert (await client.get("/")).text == "ok"

    with_client(main, saying(answer(b"x" * 300_000), OK), tls=server, trust=trust)


def test_an_answer_describes_its_connection_while_it_stands() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        stream = (await client.get("/")).extensions["network_stream"]
        assert stream.get_extra_info("server_addr") == (peer.host, peer.port)
        assert stream.get_extra_info("client_addr")[0] == "127.0.0.1"
        assert stream.get_extra_info("ssl_object") is None
        assert stream.get_extra_info("is_readable") is None
        await client.aclose()
        assert stream.get_extra_info("server_addr") is None

    with_client(main)


# What httpx builds on a transport


def test_basic_auth_is_sent() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        await client.get("/", auth=("ada", "secret"))
        assert b"Authorization: Basic YWRhOnNlY3JldA==" in peer.requests[0]

    with_client(main)


def test_digest_auth_answers_the_challenge_on_the_same_connection() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        found = await client.post("/", content=b"body", auth=httpx.DigestAuth("ada", "secret"))
        assert found.status_code == 200
        assert [b"Authorization: Digest" in request for request in peer.requests] == [False, True]
        assert peer.accepted == 1

    challenge = b'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
    with_client(main, saying(answer(b"who?", "401 Unauthorized", challenge), OK))


def test_an_auth_flow_of_ones_own_may_send_requests_and_read_answers() -> None:
    class Token(httpx.Auth):
        requires_response_body = True

        def auth_flow(self, request: httpx.Request) -> Any:
            found = yield httpx.Request("POST", request.url.copy_with(path="/login"))
            request.headers["Authorization"] = f"Bearer {found.json()['token']}"
            yield request

    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        assert (await client.get("/me", auth=Token())).text == "ok"
        assert b"Authorization: Bearer abc" in peer.requests[1]

    with_client(main, by_path(login=answer(b'{"token": "abc"}'), me=OK))


def test_cookies_are_kept_and_sent_back() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        await client.get("/set")
        await client.get("/me")
        assert client.cookies["session"] == "1"
        assert b"Cookie: session=1" in peer.requests[1]

    with_client(main, by_path(set=answer(b"", "200 OK", b"Set-Cookie: session=1; Path=/"), me=OK))


def test_redirects_are_followed_where_the_client_says_so() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        assert (await client.get("/a")).status_code == 302
        found = await client.post("/a", content=b"x", follow_redirects=True)
        assert (found.text, found.url.path, [each.status_code for each in found.history]) == ("ok", "/c", [302, 307])
        assert peer.accepted == 1
        with pytest.raises(httpx.TooManyRedirects):
            await client.get("/loop", follow_redirects=True)

    with_client(
        main,
        by_path(
            a=answer(b"", "302 Found", b"Location: /b"),
            b=answer(b"", "307 Temporary Redirect", b"Location: c"),
            c=OK,
            loop=answer(b"", "302 Found", b"Location: /loop"),
        ),
    )


def test_a_request_to_another_origin_is_refused_without_being_sent() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        with pytest.raises(httpx.UnsupportedProtocol, match=r"http://elsewhere\.test/ is not where"):
            await client.get("http://elsewhere.test/path?secret=1")
        assert not peer.requests

    with_client(main)


# Streams


def test_an_upload_streams_in_chunks() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one", b"", b"three"):
            await trio.lowlevel.checkpoint()
            yield piece

    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        assert (await client.post("/", content=pieces())).text == "ok"
        assert (await client.get("/")).text == "ok"
        assert peer.accepted == 1

    async def handler(line: Line) -> None:
        await line.request()
        while not line.rest.endswith(b"0\r\n\r\n"):
            assert await line._more()
        assert line.rest == b"3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"
        line.rest = b""
        await line.say(OK)
        await obedient(line)

    with_client(main, handler)


def test_an_upload_of_known_length_streams_as_it_is() -> None:
    big = b"0123456789" * 500_000

    async def pieces() -> AsyncIterator[bytes]:
        for first in range(0, len(big), 700_000):
            yield big[first : first + 700_000]

    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        await client.put("/", content=pieces(), headers={"Content-Length": str(len(big))})
        assert peer.requests[0].partition(b"\r\n\r\n")[2] == big

    with_client(main)


@pytest.mark.parametrize(("length", "said"), [(2, "longer"), (9, "has 6 bytes")])
def test_an_upload_that_is_not_as_long_as_it_says_is_refused_and_its_connection_closed(length: int, said: str) -> None:
    class Once(Endless):
        async def __anext__(self) -> bytes:
            if not self.piece:
                raise StopAsyncIteration
            piece, self.piece = self.piece, b""
            return piece

    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        with pytest.raises(httpx.LocalProtocolError, match=said):
            await client.post("/", content=Once(b"six by"), headers={"Content-Length": str(length)})
        with pytest.raises(httpx.LocalProtocolError, match="has 6 bytes"):
            await client.post("/", content=b"six by", headers={"Content-Length": str(length)})
        await client.get("/")
        assert peer.accepted == 2

    with_client(main)


def test_a_fault_of_the_uploads_source_is_raised_and_the_connection_closed() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"begun"
        raise KeyError("lost")

    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        with pytest.raises(KeyError):
            await client.post("/", content=pieces())
        assert (await client.get("/")).text == "ok"
        assert peer.accepted == 2

    with_client(main)


def test_an_answer_that_does_not_wait_for_the_rest_of_an_upload_ends_it() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        assert (await client.post("/", content=Endless(b"x" * 10_000))).status_code == 413
        assert (await client.post("/", content=Endless(b"x" * 10_000))).status_code == 413
        assert peer.accepted == 2

    async def handler(line: Line) -> None:
        await line.request()
        await line.say(answer(b"too much", "413 Content Too Large"))
        while await line._more():
            line.rest = b""

    with_client(main, handler)


def test_a_download_comes_piece_by_piece_while_the_service_is_still_sending() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        async with client.stream("GET", "/") as found:
            pieces = found.aiter_bytes()
            assert await anext(pieces) == b"first"
            go.set()
            assert [piece async for piece in pieces] == [b"second"]
        assert (await client.get("/")).text == "ok"
        assert peer.accepted == 1

    go = trio.Event()

    async def handler(line: Line) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await go.wait()
        await line.say(b"6\r\nsecond\r\n0\r\n\r\n")
        await obedient(line)

    with_client(main, handler)


@pytest.mark.parametrize("secure", [False, True])
def test_a_download_that_nobody_reads_is_held_back(secure: bool) -> None:
    block, blocks, sent = b"x" * 1_000_000, 100, [0]

    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        async with client.stream("GET", "/") as found:
            pieces = found.aiter_raw()
            count = len(await anext(pieces))
            # Whatever the kernel buffers on either side, it is far from all.
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert sent[0] < blocks // 2
            async for piece in pieces:
                count += len(piece)
        assert count == blocks * len(block)
        assert (await client.get("/")).text == "ok"
        assert peer.accepted == 1

    async def handler(line: Line) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (blocks * len(block)))
        for _ in range(blocks):
            await line.say(block)
            sent[0] += 1
        await obedient(line)

    if not secure:
        with_client(main, handler)
        return
    authority, server, trust = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(trust)
    with_client(main, handler, tls=server, trust=trust)


def test_an_answer_that_is_not_read_to_its_end_gives_its_connection_up() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        async with client.stream("GET", "/") as found:
            assert found.status_code == 200
        assert (await client.get("/")).status_code == 200
        assert peer.accepted == 2

    with_client(main, saying(answer(b"x" * (4 * MOST_WAITING))))


def test_an_answer_that_has_come_whole_keeps_its_connection_though_nobody_reads_it() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        async with client.stream("GET", "/") as found:
            await trio.testing.wait_all_tasks_blocked()
        assert found.status_code == 200
        await client.get("/")
        assert peer.accepted == 1

    with_client(main)


def test_an_answer_larger_than_allowed_is_a_fault() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        with pytest.raises(httpx.RemoteProtocolError, match="refused: it is longer than 50,000 bytes"):
            await client.get("/")

    with_client(main, saying(answer(b"x" * 100_000)), most_answer=50_000)


# Timeouts


async def silent(line: Line) -> None:
    """Reads nothing and says nothing."""
    await trio.sleep_forever()


def test_a_connection_that_does_not_come_about_in_time_is_a_connect_timeout() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        # The service takes the connection, and never its part in the handshake.
        with pytest.raises(httpx.ConnectTimeout):
            await client.get("/", timeout=httpx.Timeout(None, connect=0.05))

    async def whole() -> None:
        trust = ssl.create_default_context()
        async with serving(silent) as peer, wired(route_to(peer.host, peer.port, tls=trust)) as wire:
            url = peer.url.replace("http:", "https:")
            async with httpx.AsyncClient(transport=WireTransport(wire, url), base_url=url, trust_env=False) as client:
                await main(client, peer)

    trio.run(whole)


def test_silence_after_a_request_is_a_read_timeout_and_its_connection_is_closed() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/", timeout=httpx.Timeout(None, read=0.05))
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/", timeout=httpx.Timeout(None, read=0.05))
        assert peer.accepted == 2

    with_client(main, silent)


def test_silence_within_a_body_is_a_read_timeout() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        async with client.stream("GET", "/", timeout=httpx.Timeout(None, read=0.05)) as found:
            pieces = found.aiter_bytes()
            assert await anext(pieces) == b"half"
            with pytest.raises(httpx.ReadTimeout):
                await anext(pieces)

    async def handler(line: Line) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        await trio.sleep_forever()

    with_client(main, handler)


def test_a_service_that_takes_no_bytes_is_a_write_timeout() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        for content in (b"x" * 50_000_000, Endless(b"x" * 1_000_000)):
            with pytest.raises(httpx.WriteTimeout):
                await client.post("/", content=content, timeout=httpx.Timeout(None, write=0.05))

    with_client(main, silent)


def test_no_free_connection_in_time_is_a_pool_timeout() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        async with client.stream("GET", "/"):
            with pytest.raises(httpx.PoolTimeout):
                await client.get("/", timeout=httpx.Timeout(None, pool=0.05))

    async def handler(line: Line) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        await trio.sleep_forever()

    with_client(main, handler, most_connections=1)


# Faults


async def resetting(line: Line) -> None:
    await line.request()
    await line.reset()


async def leaving(line: Line) -> None:
    await line.request()


@pytest.mark.parametrize(
    ("handler", "error", "said"),
    [
        (resetting, httpx.ReadError, "was reset"),
        (leaving, httpx.RemoteProtocolError, "without a response"),
        (saying(b"SSH-2.0-OpenSSH\r\n\r\n"), httpx.RemoteProtocolError, "does not begin with HTTP/"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf"), httpx.RemoteProtocolError, "within its response"),
        (
            saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            httpx.RemoteProtocolError,
            "refused: illegal chunk header",
        ),
        (
            saying(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
            httpx.RemoteProtocolError,
            "switches to another protocol",
        ),
    ],
    ids=["reset", "closed", "garbage", "cut short", "bad chunk", "upgrade"],
)
def test_a_broken_answer_is_the_error_that_httpx_has_for_it(handler: Handler, error: type[Exception], said: str) -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        with pytest.raises(error, match=said) as caught:
            await client.post("/")
        assert isinstance(caught.value, httpx.TransportError)
        assert caught.value.request.url.path == "/"

    with_client(main, handler)


def test_a_refused_connection_is_a_connect_error() -> None:
    async def whole() -> None:
        async with serving() as peer:
            port = peer.port
        async with wired(route_to("127.0.0.1", port)) as wire:
            url = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(transport=WireTransport(wire, url), base_url=url, trust_env=False) as client:
                for _ in range(3):
                    with pytest.raises(httpx.ConnectError, match="refused"):
                        await client.get("/")

    trio.run(whole)


def test_a_certificate_that_is_not_trusted_is_a_connect_error() -> None:
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)

    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        with pytest.raises(httpx.ConnectError, match="a certificate is not accepted"):
            await client.get("/")

    with_client(main, tls=server, trust=ssl.create_default_context())


@pytest.mark.parametrize(("method", "tries"), [("GET", 2), ("POST", 1)])
def test_only_a_safe_request_is_repeated_when_an_idle_connection_turns_out_to_be_closed(method: str, tries: int) -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        await client.get("/")
        if method == "GET":
            assert (await client.request(method, "/")).text == "ok"
        else:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.request(method, "/")
        assert len(peer.requests) == 1 + tries

    async def handler(line: Line) -> None:
        await line.request()
        await line.say(OK)
        # It reads the second request and leaves instead of answering, as one does that closes in that moment.
        await line.request()
        if line.peer.accepted > 1:
            await line.say(OK)

    async def second_connection_answers(line: Line) -> None:
        await (obedient if line.peer.accepted > 1 else handler)(line)

    with_client(main, second_connection_answers)


def test_a_connection_that_the_service_closed_while_it_idled_is_replaced() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        for count in range(1, 4):
            assert (await client.post("/")).text == "ok"
            while client._transport.connected:
                await trio.testing.wait_all_tasks_blocked()
            assert peer.accepted == count

    with_client(main, saying(OK))


def test_a_header_that_would_begin_another_one_is_refused() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        for headers in ({"X-A": "secret\r\nX-B: 2"}, {"X A": "1"}, {"Content-Length": "-1"}, {"Transfer-Encoding": "gzip"}):
            with pytest.raises(httpx.LocalProtocolError) as caught:
                await client.post("/", headers=headers)
            assert "secret" not in str(caught.value)
        with pytest.raises(httpx.LocalProtocolError, match="path"):
            await client.get("/", extensions={"target": b"/a b"})
        assert not peer.requests

    with_client(main)


# Cancelling


def test_a_cancelled_request_closes_its_connection_and_hinders_no_other() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        with trio.move_on_after(0.05) as scope:
            await client.get("/")
        assert scope.cancelled_caught
        while peer.open:
            await trio.testing.wait_all_tasks_blocked()
        slow.clear()
        assert (await client.get("/")).text == "ok"

    slow = ["slow"]

    async def handler(line: Line) -> None:
        while await line.request() is not None:
            if not slow:
                await line.say(OK)

    with_client(main, handler, most_connections=1)


def test_a_cancelled_download_closes_its_connection() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        with trio.CancelScope() as scope:
            async with client.stream("GET", "/") as found:
                async for _ in found.aiter_bytes():
                    scope.cancel()
        while peer.open:
            await trio.testing.wait_all_tasks_blocked()

    with_client(main, saying(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf", OK))


def test_closing_the_transport_ends_what_is_under_way() -> None:
    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        async def ask() -> None:
            with pytest.raises(httpx.ReadError):
                await client.get("/")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await asked.wait()
            await client._transport.aclose()

    asked = trio.Event()

    async def handler(line: Line) -> None:
        await line.request()
        asked.set()
        await trio.sleep_forever()

    with_client(main, handler)


# Traces


def test_a_trace_hears_what_happens_in_order() -> None:
    heard: list[tuple[str, dict[str, Any]]] = []

    async def trace(name: str, info: dict[str, Any]) -> None:
        await trio.lowlevel.checkpoint()
        heard.append((name, info))

    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        for _ in range(2):
            await client.get("/", extensions={"trace": trace})
        both = [name for name, _ in heard]
        exchange = [
            f"http11.{what}.{state}"
            for what in (
                "send_request_headers",
                "send_request_body",
                "receive_response_headers",
                "receive_response_body",
                "response_closed",
            )
            for state in ("started", "complete")
        ]
        assert both == ["connection.connect_tcp.started", "connection.connect_tcp.complete", *exchange, *exchange]
        said = dict(heard)["http11.receive_response_headers.complete"]["return_value"]
        assert said == (b"HTTP/1.1", 200, b"OK", [(b"Content-Length", b"2")])

    with_client(main)


def test_a_trace_hears_of_failures() -> None:
    heard: dict[str, dict[str, Any]] = {}

    async def trace(name: str, info: dict[str, Any]) -> None:
        heard[name] = info

    async def main(client: httpx.AsyncClient, peer: Peer) -> None:
        with pytest.raises(httpx.ReadError) as caught:
            await client.get("/", extensions={"trace": trace})
        assert heard["http11.receive_response_headers.failed"] == {"exception": caught.value}

    with_client(main, resetting)


def test_a_connection_opened_ahead_is_used_by_the_first_request() -> None:
    async def whole() -> None:
        async with serving() as peer, wired(route_to(peer.host, peer.port)) as wire:
            for wait in (True, False):
                transport, reported = WireTransport(wire, peer.url), list[bool]()
                before = peer.accepted
                transport.connect_ahead(reported.append)
                assert transport.connected
                while wait and not reported:
                    await trio.testing.wait_all_tasks_blocked()
                async with httpx.AsyncClient(transport=transport, base_url=peer.url, trust_env=False) as client:
                    assert json.dumps((await client.get("/")).text) == '"ok"'
                assert (reported, peer.accepted - before, transport.connected) == ([True], 1, False)

    trio.run(whole)


def test_connections_return_to_a_replica_that_is_back() -> None:
    def named(name: bytes) -> Handler:
        return saying(*[answer(name)] * 5)

    async def asked() -> list[str]:
        async with serving(named(b"one")) as one, serving(named(b"two")) as two:
            route = route_to(one.host, one.port, two.port)
            route.replicas = Replicas([b"", b""])
            async with wired(route) as wire:
                carriers = [WireTransport(wire, f"http://{one.host}:{one.port}") for _ in range(2)]

                async def ask() -> str:
                    said = ""
                    for carrier in carriers:
                        carrier.move()
                        async with httpx.AsyncClient(transport=carrier) as client:
                            said += (await client.get(f"http://{one.host}:{one.port}/")).text + " "
                            # The client must not close what the next one goes on with.
                            client._transport = httpx.MockTransport(lambda _: httpx.Response(200))
                    return said

                seen = [await ask()]
                for well in (False, False):
                    route.replicas.checked(0, well=well)
                seen.append(await ask())
                route.replicas.checked(0, well=True)
                seen.append(await ask())
                for carrier in carriers:
                    carrier.close()
        return seen

    assert trio.run(asked) == ["one two ", "two two ", "one two "]
