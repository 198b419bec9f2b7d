"""Metrics pages over real sockets, from servers that behave and from servers that do not."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from velro_gate.monitor.sources import prometheus
from velro_gate.monitor.sources.page_connection import PageConnection, PageNotReadError, PageRoute, PageTooLongError
from velro_gate.monitor.sources.prometheus import PrometheusText
from velro_gate.monitor.watching import SourceError

pytestmark = [pytest.mark.real, pytest.mark.hostile("hostile HTTP servers")]

BODY = b"velro_db_pool_size 7\n"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Served:
    """What came in, and over how many connections."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0


@contextmanager
def pages(*connections: Sequence[bytes], path: Path | None = None) -> Iterator[tuple[str, Served]]:
    """A server that answers the requests of each connection with these bytes in turn, and then hangs up."""
    served = Served()
    family = socket.AF_INET if path is None else socket.AF_UNIX
    with socket.socket(family) as listener:
        listener.bind(("127.0.0.1", 0) if path is None else str(path))
        listener.listen()

        def serve() -> None:
            for answers in connections:
                line, _ = listener.accept()
                served.connections += 1
                with line:
                    for answer in answers:
                        request = line.recv(65536)
                        if not request:
                            break
                        served.requests.append(request)
                        line.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield ("http://s.test/m" if path else f"http://127.0.0.1:{listener.getsockname()[1]}/m"), served


def get(url: str, *, times: int = 1, most: int = 10_000, route: PageRoute | None = None, seconds: float = 30.0) -> bytes:
    connection = PageConnection(url, PageRoute() if route is None else route, most=most)
    try:
        found = [connection.get(seconds) for _ in range(times)]
    finally:
        connection.close()
    return found[-1].body


def test_one_connection_serves_many_readings() -> None:
    with pages([GOOD] * 3) as (url, served):
        assert get(url, times=3) == BODY
        assert served.connections == 1


def test_a_connection_that_the_server_closed_meanwhile_is_replaced() -> None:
    with pages([GOOD], [GOOD]) as (url, served):
        assert get(url, times=2) == BODY
        assert served.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nvelro\r\n10\r\n_db_pool_size 7\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY,
        b"HTTP/1.0 200 OK\r\n\r\n" + BODY,
        b"HTTP/1.1 103 Early Hints\r\nContent-Encoding: br\r\n\r\n" + GOOD,
        GOOD + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nout",
    ],
    ids=["chunked", "until closed", "HTTP/1.0", "early hints", "more than was asked for"],
)
def test_each_way_of_ending_a_response_is_read(answer: bytes) -> None:
    with pages([answer]) as (url, _):
        assert get(url) == BODY


def test_a_unix_socket_is_connected_to_and_the_urls_host_is_named(tmp_path: Path) -> None:
    with pages([GOOD], path=tmp_path / "s") as (url, served):
        assert get(url, route=PageRoute(unix_socket=str(tmp_path / "s"))) == BODY
        assert b"Host: s.test\r\n" in served.requests[0]


def test_the_request_has_the_urls_path_query_and_user() -> None:
    with pages([GOOD]) as (url, served):
        get(url.replace("http://", "http://me:p%40ss@") + "?a=1")
    assert served.requests[0].startswith(b"GET /m?a=1 HTTP/1.1\r\n")
    assert b"Authorization: Basic bWU6cEBzcw==\r\n" in served.requests[0]
    assert b"p%40ss" not in served.requests[0]


def test_the_connection_comes_from_the_address_that_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = []

        def serve() -> None:
            line, peer = listener.accept()
            with line:
                found.append(peer[0])
                line.recv(65536)
                line.sendall(GOOD)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        get(f"http://127.0.0.1:{listener.getsockname()[1]}/", route=PageRoute(source_address="127.0.0.9"))
        thread.join(10.0)
    assert found == ["127.0.0.9"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", ConnectionResetError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", ConnectionResetError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000, PageTooLongError),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"a 1\n" * 5_000, PageTooLongError),
        (b"SSH-2.0-OpenSSH\r\n", PageNotReadError),
    ],
    ids=["hangs up", "half a page", "a head without end", "a page without end", "another protocol"],
)
def test_what_is_no_page_is_an_error(answer: bytes, error: type[Exception]) -> None:
    with pages([answer]) as (url, _), pytest.raises(error):
        get(url)


def test_a_page_that_comes_byte_by_byte_ends_at_the_deadline_of_the_whole() -> None:
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            line, _ = listener.accept()
            # The client hangs up in the middle.
            with line, contextlib.suppress(OSError):
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not done.wait(0.01):
                    line.sendall(b"x")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        try:
            with pytest.raises(TimeoutError):
                get(f"http://127.0.0.1:{listener.getsockname()[1]}/", seconds=0.3)
        finally:
            done.set()
            thread.join(10.0)


# The source that reads such pages


def read(url: str, **options: object) -> Mapping[str, float]:
    async def main() -> Mapping[str, float]:
        source = PrometheusText(url, **options)
        try:
            return await source.read()
        finally:
            await source.aclose()

    return trio.run(main)


def test_what_this_parser_refuses_is_read_by_httpx() -> None:
    lenient = GOOD.replace(b"\r\n", b"\n", 2)
    with pages([lenient], [lenient]) as (url, served):
        assert read(url) == {"database_pool_size": 7.0}
        assert served.connections == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "answers 503"),
        (b"", r"does not answer \(ConnectionResetError\)"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx", "packed in a way that was not asked for"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\nvelro_db_pool_size x\n", "is not Prometheus text"),
    ],
)
def test_a_source_says_why_a_page_cannot_be_read(answer: bytes, said: str) -> None:
    with pages([answer]) as (url, _), pytest.raises(SourceError, match=said) as caught:
        read(url)
    assert caught.value.of == "metrics page"


def test_a_packed_page_is_unpacked_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "MOST_BYTES", 100_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    packed: Callable[[bytes], bytes] = lambda page: head % len(gzip.compress(page)) + gzip.compress(page)  # noqa: E731
    with pages([packed(BODY)]) as (url, _):
        assert read(url) == {"database_pool_size": 7.0}
    with pages([packed(bytes(1_000_000))]) as (url, _), pytest.raises(SourceError, match="longer than"):
        read(url)
