"""The responder: every request that a client can make is answered once, however its bytes are split; it outlives nobody."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from velro_gate.engine.responder import server
from velro_gate.engine.responder.server import LONGEST_HEAD, Responder, ResponderConnection, answer

PLAIN = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
LAST = b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
WAIT = 30.0


# What a client makes, by h11


@dataclass(frozen=True)
class Asked:
    method: bytes
    framing: str
    chunks: tuple[bytes, ...]
    extra: tuple[tuple[bytes, bytes], ...]


# Bodies and values that look like what ends a request, or says how it ends.
tricky = st.sampled_from([b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"0\r\n\r\n", b"Content-Length: 5", b"\r", b"\n", b""])
bodies = st.lists(st.binary(max_size=20) | tricky, max_size=4).map(tuple)
fields = st.sampled_from(
    [
        (b"X-Length", b"content-length: 99"),
        (b"Accept", b"*/*"),
        (b"Connection", b"keep-alive"),
        (b"connection-like", b"close"),
        (b"X-Content-Length", b"7"),
        (b"Cookie", b"transfer-encoding=chunked; connection=close"),
    ]
)
requests = st.builds(
    Asked,
    method=st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"]),
    framing=st.sampled_from(["none", "length", "chunked"]),
    chunks=bodies,
    extra=st.lists(fields, max_size=3).map(tuple),
)


def made(asked: Asked, *, last: bool = False) -> bytes:
    """The bytes of one request, as an independent client writes them."""
    client = h11.Connection(h11.CLIENT)
    body = b"".join(asked.chunks)
    headers = [(b"Host", b"h"), *asked.extra]
    if asked.framing == "length":
        headers.append((b"Content-Length", str(len(body)).encode()))
    elif asked.framing == "chunked":
        headers.append((b"Transfer-Encoding", b"chunked"))
    if last:
        headers.append((b"Connection", b"close"))
    parts = [client.send(h11.Request(method=asked.method, target=b"/a?b=c", headers=headers))]
    if asked.framing == "length":
        parts.append(client.send(h11.Data(data=body)))
    elif asked.framing == "chunked":
        parts += [client.send(h11.Data(data=chunk)) for chunk in asked.chunks if chunk]
    parts.append(client.send(h11.EndOfMessage(headers=[(b"X-Sum", b"1")] if asked.framing == "chunked" else [])))
    return b"".join(part for part in parts if part)


def understood(methods: list[bytes], answers: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each answer, as an independent client reads them; all bytes must be used up."""
    found = []
    for method in methods:
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target=b"/", headers=[(b"Host", b"h")]))
        client.send(h11.EndOfMessage())
        client.receive_data(answers)
        status, body = 0, b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            assert event is not h11.NEED_DATA, "an answer is missing or cut off"
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
        found.append((status, body))
        answers = bytes(client.trailing_data[0])
    assert answers == b""
    return found


def expected(method: bytes) -> tuple[int, bytes]:
    return (200, b"" if method == b"HEAD" else b'{"ok":true}')


@settings(max_examples=150)
@given(st.lists(requests, min_size=1, max_size=5), st.data())
def test_every_request_is_answered_once_wherever_its_bytes_are_split(asked: list[Asked], data: st.DataObject) -> None:
    stream = b"".join(map(made, asked))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    exchange = ResponderConnection()
    answers = b"".join(
        exchange.feed(stream[start:end]) for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True) if end > start
    )
    methods = [one.method for one in asked]
    assert understood(methods, answers) == list(map(expected, methods))
    assert exchange.answered == len(asked)
    assert not exchange.closing


@given(requests)
def test_a_request_fed_byte_by_byte_is_answered_at_its_last_byte(asked: Asked) -> None:
    stream, exchange = made(asked), ResponderConnection()
    *before, last = [exchange.feed(stream[i : i + 1]) for i in range(len(stream))]
    assert b"".join(before) == b""
    assert understood([asked.method], last) == [expected(asked.method)]


@given(requests, requests)
def test_nothing_is_answered_after_a_request_that_ends_its_connection(last: Asked, more: Asked) -> None:
    exchange = ResponderConnection()
    answers = exchange.feed(made(last, last=True) + made(more))
    assert understood([last.method], answers) == [expected(last.method)]
    assert b"Connection: close" in answers
    assert exchange.closing
    assert exchange.answered == 1


@given(st.binary(max_size=200), st.integers(0, 200))
def test_no_bytes_crash_it(noise: bytes, cut: int) -> None:
    for stream in (noise, PLAIN + noise, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + noise):
        exchange = ResponderConnection()
        exchange.feed(stream[:cut])
        if not exchange.closing:
            exchange.feed(stream[cut:])


@pytest.mark.parametrize(
    "stream",
    [
        b"nonsense\r\n\r\n",
        b"GET /a\r\n\r\n",
        b"GET /a HTTP/2\r\n\r\n",
        b"GET /a HTTP/1.1\r\nContent-Length: five\r\n\r\n",
        b"GET /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /a HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /a HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET /a HTTP/1.1\r\nno colon\r\nContent-Length: 1\r\n\r\n",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"GET /" + b"a" * LONGEST_HEAD,
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * LONGEST_HEAD,
    ],
)
def test_what_is_no_http_is_refused_and_ends_the_connection(stream: bytes) -> None:
    exchange = ResponderConnection()
    assert exchange.feed(stream).startswith(b"HTTP/1.1 400 ")
    assert exchange.closing
    assert exchange.answered == 0


def test_what_came_whole_before_the_nonsense_is_answered() -> None:
    assert ResponderConnection().feed(PLAIN + b"nonsense\r\n\r\n").startswith(answer() + b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("stream", "closes"),
    [
        (b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False),
        (b"GET /a HTTP/1.1\r\nConnection: Keep-Alive, Close\r\n\r\n", True),
        (b"\r\n" + PLAIN, False),
    ],
)
def test_a_connection_is_kept_as_its_client_asks(stream: bytes, closes: bool) -> None:
    exchange = ResponderConnection()
    assert exchange.feed(stream) == answer(closes=closes)
    assert exchange.closing is closes


# The process


@contextmanager
def process() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A responder as its own process, and its port."""
    command = [sys.executable, "-I", "-S", server.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        try:
            yield child, json.loads(child.stdout.readline())["port"]
        finally:
            child.kill()


def receive(client: socket.socket, size: int) -> bytes:
    """So many bytes, or as many as come before the end."""
    received = b""
    while len(received) < size and (some := client.recv(size - len(received))):
        received += some
    return received


def test_a_pipeline_of_requests_on_many_connections_is_answered_and_counted() -> None:
    with process() as (child, port):
        clients = [socket.create_connection(("127.0.0.1", port), timeout=WAIT) for _ in range(20)]
        for client in clients:
            client.sendall(PLAIN * 50)
        assert all(receive(client, 50 * len(answer())) == answer() * 50 for client in clients)
        clients[0].close()
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        assert json.loads(child.stdout.readline()) == {"answered": 1_000}
        assert child.wait(WAIT) == 0
        for client in clients[1:]:
            assert client.recv(1) == b"", "connections end with the responder"
            client.close()


def test_the_last_answer_of_a_connection_is_followed_by_its_end() -> None:
    with process() as (_, port), socket.create_connection(("127.0.0.1", port), timeout=WAIT) as client:
        client.sendall(LAST)
        assert receive(client, 10_000) == answer(closes=True)


def test_a_client_that_reads_late_gets_every_answer() -> None:
    """More answers than the two sockets hold: the responder waits, and reads no further meanwhile."""
    count = 200_000
    with process() as (_, port), socket.create_connection(("127.0.0.1", port), timeout=WAIT) as client:
        sender = threading.Thread(target=client.sendall, args=(PLAIN * count,))
        sender.start()
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as other:
            other.sendall(PLAIN)
            assert receive(other, len(answer())) == answer(), "others are served meanwhile"
        received = 0
        while received < count * len(answer()):
            received += len(client.recv(1 << 20))
        sender.join()
    assert received == count * len(answer())


def test_a_client_that_vanishes_disturbs_nobody() -> None:
    with process() as (_, port), socket.create_connection(("127.0.0.1", port), timeout=WAIT) as stays:
        for _ in range(20):
            gone = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            gone.sendall(PLAIN * 100)
            gone.close()
        stays.sendall(PLAIN)
        assert receive(stays, len(answer())) == answer()


def test_it_ends_when_whoever_started_it_is_killed() -> None:
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-I', '-S', {server.__file__!r}], stdin=subprocess.PIPE,\n"
        "    start_new_session=True)\n"
        "child.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert b"port" in parent.stdout.readline()
        parent.send_signal(signal.SIGKILL)
        # The responder holds the other end of this pipe: its end is the responder's.
        assert b"answered" in parent.stdout.readline()
        assert parent.stdout.read() == b""


def test_served_in_a_thread_it_counts_what_it_answered() -> None:
    reading, leash = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        serving = Responder(listener, reading)
        thread = threading.Thread(target=serving.serve)
        thread.start()
        with socket.create_connection(listener.getsockname(), timeout=WAIT) as client:
            client.sendall(PLAIN[:10])
            client.sendall(PLAIN[10:] + PLAIN)
            assert receive(client, 2 * len(answer())) == answer() * 2
            assert serving.answered == 2
        os.close(leash)
        thread.join(WAIT)
    os.close(reading)
    assert serving.answered == 2
