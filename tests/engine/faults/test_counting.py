"""Requests are counted whatever the pieces are in which they come, and a strange stream is given up on."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.engine.faults.counting import Counter, counter_for
from velro_gate.model.resilience.network import WireProtocol


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


STARTUP = struct.pack("!II", 8 + 9, 3 << 16) + b"user\0me\0\0"
SSL = struct.pack("!II", 8, 80877103)

STREAMS = {
    WireProtocol.REDIS: (command(b"GET", b"key") + command(b"SET", b"key", b"*9\r\n" * 50) + b"PING\r\n", 3),
    WireProtocol.POSTGRES: (
        SSL
        + STARTUP
        + message(b"Q", b"select 1\0")
        + message(b"P", b"\0select $1\0\0\0")
        + message(b"B", b"Q" * 300)
        + message(b"E", b"\0\0\0\0\0")
        + message(b"S", b"")
        + message(b"X", b""),
        2,
    ),
    WireProtocol.HTTP: (
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /x HTTP/1.1\r\nContent-Length: 40\r\n\r\n"
        + b"GET / HTTP/1.1\r\n\r\n" * 2
        + b"....GET /y HTTP/1.1\r\n\r\n",
        3,
    ),
    WireProtocol.TCP: (b"anything", 0),
}


def fed(counter: Counter, stream: bytes, cuts: list[int]) -> int:
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in itertools.pairwise(places):
        counter.feed(memoryview(stream)[start:end])
    return counter.requests


@pytest.mark.parametrize("protocol", WireProtocol)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=40))
def test_pieces_of_any_length_count_the_same_requests(protocol: WireProtocol, cuts: list[int]) -> None:
    stream, requests = STREAMS[protocol]
    assert fed(counter_for(protocol), stream, cuts) == requests


@pytest.mark.parametrize("protocol", WireProtocol)
@given(stream=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=5))
def test_no_stream_breaks_a_counter(protocol: WireProtocol, stream: bytes, cuts: list[int]) -> None:
    assert fed(counter_for(protocol), stream, cuts) >= 0


def test_an_encrypted_connection_to_postgresql_is_given_up_on() -> None:
    counter = counter_for(WireProtocol.POSTGRES)
    assert fed(counter, SSL + b"\x16\x03\x01" + message(b"Q", b"x") * 50, []) == 0


def test_a_command_that_is_no_array_of_strings_ends_the_counting() -> None:
    counter = counter_for(WireProtocol.REDIS)
    assert fed(counter, command(b"GET", b"a") + b"*1\r\n:5\r\n" + command(b"GET", b"b") * 9, []) == 2


@pytest.mark.hostile("experiments")
@pytest.mark.parametrize(
    ("protocol", "stream"),
    [
        (WireProtocol.REDIS, b"*" + b"9" * 5_000 + b"\r\n"),
        (WireProtocol.REDIS, b"*1\r\n$" + b"9" * 5_000 + b"\r\n"),
        (WireProtocol.HTTP, b"GET / HTTP/1.1\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n"),
    ],
)
def test_a_length_of_thousands_of_digits_ends_the_counting_and_nothing_else(protocol: WireProtocol, stream: bytes) -> None:
    assert fed(counter_for(protocol), stream + command(b"GET", b"a") * 9, []) <= 1
