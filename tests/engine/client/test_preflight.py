from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from tests.engine.authority import Authority
from velro_gate.engine.client.preflight import MOST_BODY, Preflight, health_url, preflight
from velro_gate.engine.http.parsing.headers import HeaderKinds
from velro_gate.engine.http.parsing.responses import Response, ResponseState
from velro_gate.errors import UnreachableError, UsageError
from velro_gate.model.scenario import Target

pytestmark = pytest.mark.hostile("hostile HTTP servers")

Handler = Callable[[trio.abc.Stream], Awaitable[None]]


def answering(data: bytes) -> Handler:
    """A peer that reads one request and answers with these bytes, whatever they are."""

    async def handle(stream: trio.abc.Stream) -> None:
        await stream.receive_some(65536)
        await stream.send_all(data)

    return handle


async def silent(stream: trio.abc.Stream) -> None:
    """A peer that takes the connection and never answers."""
    async for _ in stream:
        pass


@contextlib.asynccontextmanager
async def peer(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A real loopback server with this behaviour; yields its port."""

    async def handle(stream: trio.abc.Stream) -> None:
        wrapped = trio.SSLStream(stream, context, server_side=True) if context else stream
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError):
            async with wrapped:
                await handler(wrapped)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            lambda task_status: trio.serve_tcp(handle, 0, host="127.0.0.1", task_status=task_status)
        )
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def ask_peer(handler: Handler, *, scheme: str = "http", context: ssl.SSLContext | None = None, **options: object) -> Preflight:
    to = {name: options.pop(name) for name in list(options) if name in {field.name for field in fields(Target)}}

    async def main() -> Preflight:
        result = None
        async with peer(handler, context) as port:
            result = await preflight(Target(url=f"{scheme}://127.0.0.1:{port}", **to), **options)
        assert result is not None
        return result

    return run(main)


def run(main: Callable[[], Awaitable[Preflight]]) -> Preflight:
    """trio.run, with the one error of a nursery's group raised as itself."""
    try:
        return trio.run(main)
    except BaseExceptionGroup as group:
        found = group.subgroup((UnreachableError, UsageError))
        assert found is not None
        raise next(leaf for leaf in leaves(found)) from group


def leaves(group: BaseExceptionGroup) -> list[BaseException]:
    return [
        leaf for inner in group.exceptions for leaf in (leaves(inner) if isinstance(inner, BaseExceptionGroup) else [inner])
    ]


def ask(url: str, **options: object) -> Preflight:
    return run(lambda: preflight(Target(url=url), **options))


def fake(*answers: httpx.Response | Exception) -> httpx.MockTransport:
    """A service that gives these answers in turn, the last one for ever."""
    left = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return httpx.MockTransport(handle)


def ask_fake(*answers: httpx.Response | Exception, **options: object) -> Preflight:
    """Ask a fake service, in simulated time that jumps over every wait."""

    async def main() -> Preflight:
        return await preflight(Target(url="http://service.test"), transport=fake(*answers), **options)

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder: Path = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


GOOD = b'HTTP/1.1 200 OK\r\nServer: velro\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'


def test_a_healthy_service_is_learned_from() -> None:
    result = ask_peer(answering(GOOD))
    assert (result.status, result.server, result.http_version, result.attempts) == (200, "velro", "HTTP/1.1", 1)
    assert result.seconds > 0.0
    assert "answered 200" in str(result)


def test_a_name_that_nobody_knows_is_reported_as_such() -> None:
    with pytest.raises(UnreachableError, match="is not known") as caught:
        ask("http://velro-gate-test.invalid")
    assert "velro-gate-test.invalid" in caught.value.what
    assert caught.value.exit_code == 4


def test_a_refused_port_is_reported_as_such() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take it, and it refuses
        with pytest.raises(UnreachableError, match="refused") as caught:
            ask(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert "Start the service" in caught.value.hint
    assert caught.value.where is not None


def test_a_service_that_takes_the_connection_and_says_nothing_times_out() -> None:
    with pytest.raises(UnreachableError, match="did not respond within 200 ms"):
        ask_peer(silent, timeout=0.2)


def test_an_answer_that_drips_is_cut_off_at_the_deadline() -> None:
    async def drip(stream: trio.abc.Stream) -> None:
        await stream.receive_some(65_536)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            await stream.send_all(b".")
            await trio.sleep(0.02)  # the fault under test: every byte comes before a timeout of its own

    with pytest.raises(UnreachableError, match="did not respond within"):
        ask_peer(drip, timeout=0.3)


def test_a_certificate_that_nobody_vouches_for_is_reported_as_such(self_signed: ssl.SSLContext) -> None:
    with pytest.raises(UnreachableError, match="certificate is not trusted") as caught:
        ask_peer(answering(GOOD), scheme="https", context=self_signed, wait_seconds=60.0)
    assert "verify_tls: false" in caught.value.hint


def test_the_scenario_may_waive_the_certificate(self_signed: ssl.SSLContext) -> None:
    assert ask_peer(answering(GOOD), scheme="https", context=self_signed, verify=False).status == 200


def test_https_to_a_plain_port_names_the_scheme_to_use() -> None:
    with pytest.raises(UnreachableError, match="no TLS connection") as caught:
        ask_peer(answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), scheme="https")
    assert "http://" in caught.value.hint


def test_http_to_a_tls_port_does_not_look_like_a_healthy_service(self_signed: ssl.SSLContext) -> None:
    with pytest.raises(UnreachableError):
        ask_peer(answering(GOOD), context=self_signed)


def test_what_speaks_no_http_is_reported_as_such() -> None:
    with pytest.raises(UnreachableError, match="does not speak HTTP"):
        ask_peer(answering(b"220 mail.test ESMTP ready\r\n\r\n"))


def test_a_connection_closed_without_an_answer_is_reported_as_such() -> None:
    with pytest.raises(UnreachableError, match="closed the connection"):
        ask_peer(answering(b""))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (500, "not healthy"),
        (503, "not healthy"),
        (404, "no such path"),
        (401, "credentials"),
        (418, "accept"),
        (307, "redirects"),
    ],
)
def test_a_bad_status_is_reported_with_its_number_and_what_it_means(status: int, said: str) -> None:
    with pytest.raises(UnreachableError, match=str(status)) as caught:
        ask_fake(httpx.Response(status))
    assert said in (caught.value.why or "")


@pytest.mark.parametrize("status", [200, 204])
def test_any_success_is_health(status: int) -> None:
    assert ask_fake(httpx.Response(status)).status == status


@pytest.mark.parametrize("word", ["unhealthy", "DOWN", "error"])
def test_a_service_that_calls_itself_sick_is_believed(word: str) -> None:
    with pytest.raises(UnreachableError, match="calls itself"):
        ask_fake(httpx.Response(200, json={"status": word}))


@pytest.mark.parametrize("body", [{"status": "ok"}, {"status": "degraded"}, {"status": 1}, ["down"], {}])
def test_any_other_answer_is_taken_as_health(body: object) -> None:
    assert ask_fake(httpx.Response(200, json=body)).status == 200


def test_a_service_that_is_still_starting_is_waited_for() -> None:
    result = ask_fake(
        httpx.ConnectError("refused"), httpx.Response(503), httpx.ReadTimeout("slow"), httpx.Response(200), wait_seconds=30.0
    )
    assert result.attempts == 4


def test_a_real_port_that_opens_late_is_waited_for() -> None:
    async def main() -> Preflight:
        result = None
        with trio.socket.socket() as listening:
            await listening.bind(("127.0.0.1", 0))  # bound and not listening yet: it refuses
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with pytest.raises(UnreachableError, match="refused"):
                await preflight(Target(url=url))

            async def start_late() -> None:
                listening.listen()
                stream, _ = await listening.accept()
                async with trio.SocketStream(stream) as accepted:
                    await answering(GOOD)(accepted)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(start_late)
                result = await preflight(Target(url=url), wait_seconds=30.0)
        assert result is not None
        return result

    assert run(main).status == 200


def test_without_patience_one_attempt_is_all() -> None:
    with pytest.raises(UnreachableError, match="503"):
        ask_fake(httpx.Response(503), httpx.Response(200))


def test_patience_ends_and_the_last_obstacle_is_reported_with_the_time_waited() -> None:
    with pytest.raises(UnreachableError, match=r"503.*waited 30 s") as caught:
        ask_fake(httpx.ConnectError("refused"), httpx.Response(503), wait_seconds=30.0)
    assert type(caught.value) is UnreachableError


def test_a_fault_that_waiting_cannot_fix_is_not_waited_for() -> None:
    async def main() -> float:
        began = trio.current_time()
        with pytest.raises(UnreachableError):
            await preflight(Target(url="http://s.test"), transport=fake(httpx.Response(403)), wait_seconds=600.0)
        return trio.current_time() - began

    assert trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)) == 0.0


def test_headers_reach_the_health_path() -> None:
    seen = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.path, request.headers["authorization"]))
        return httpx.Response(200)

    async def main() -> None:
        target = Target(url="http://s.test/api/", health_path="/ready")
        await preflight(target, headers={"Authorization": "Bearer t"}, transport=httpx.MockTransport(handle))

    trio.run(main)
    assert seen == [("/api/ready", "Bearer t")]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.test", "http://a.test/health"),
        ("https://a.test:8443/v1/", "https://a.test:8443/v1/health"),
        ("http://[::1]:80", "http://[::1]:80/health"),
        ("http://user:secret@a.test", "http://a.test/health"),
    ],
)
def test_the_health_url_keeps_the_base_path_and_drops_credentials(url: str, expected: str) -> None:
    assert health_url(Target(url=url)) == expected


@pytest.mark.parametrize("url", ["", "a.test", "ftp://a.test", "http://", "http://a.test:99999", "http://user:secret@:80"])
def test_what_is_no_service_url_is_a_usage_error_without_its_password(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        health_url(Target(url=url))
    assert caught.value.exit_code == 2
    assert "secret" not in str(caught.value)


# The way of the load


def test_the_own_authority_and_the_client_certificate_are_those_of_the_load(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.client()
    to = {"ca_file": authority.file(), "client_certificate": certificate, "client_key": key}
    server = authority.server(asks_client=True)
    assert ask_peer(answering(GOOD), scheme="https", context=server, **to).status == 200


@pytest.mark.parametrize(
    ("server", "why", "hint"),
    [
        ({"expired": True}, "has expired", "Fix the service's certificate"),
        ({"name": "elsewhere.test"}, "is for another host", "in the URL"),
    ],
)
def test_why_a_certificate_is_not_trusted_is_reported_in_words(
    tmp_path: Path, server: dict[str, Any], why: str, hint: str
) -> None:
    authority = Authority(tmp_path)
    with pytest.raises(UnreachableError, match="certificate is not trusted") as caught:
        ask_peer(answering(GOOD), scheme="https", context=authority.server(**server), ca_file=authority.file())
    assert why in (caught.value.why or "")
    assert hint in caught.value.hint


def test_the_health_check_comes_from_the_first_source_address() -> None:
    seen: list[str] = []

    async def note(stream: trio.abc.Stream) -> None:
        assert isinstance(stream, trio.SocketStream)
        seen.append(stream.socket.getpeername()[0])
        await answering(GOOD)(stream)

    assert ask_peer(note, source_addresses=("127.0.0.7", "127.0.0.8")).status == 200
    assert seen == ["127.0.0.7"]


# httpx does not close the generators of a body that is not read to its end; trio does, and says so.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_health_answer_without_end_is_read_in_part_only() -> None:
    sent = [0]

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await trio.lowlevel.checkpoint()
                sent[0] += 65_536
                yield bytes(65_536)

    assert ask_fake(httpx.Response(200, stream=Endless())).status == 200
    assert sent[0] <= MOST_BODY + 65_536


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_the_health_check_refuses_what_the_load_refuses_and_nothing_else(head: bytes) -> None:
    async def answer(stream: trio.abc.Stream) -> None:
        await stream.receive_some(65_536)
        await stream.send_all(head)

    loaded = Response(HeaderKinds(), 1 << 20)
    if loaded.feed(head) is ResponseState.COMPLETE:
        assert ask_peer(answer).status == 200
    else:
        with pytest.raises(UnreachableError, match="the service's answer is not valid HTTP") as caught:
            ask_peer(answer)
        assert loaded.fault in (caught.value.why or "")
