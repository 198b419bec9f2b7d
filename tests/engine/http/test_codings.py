"""Chunks out, gzip in: what goes through comes back the same, and what is broken or endless is refused within bounds."""

from __future__ import annotations

import gzip
import json
import threading
import tracemalloc
import zlib
from typing import Any

import brotli
import h11
import httpx
import pytest
import trio
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from tests.engine.peers import Handler, Line, Peer, serving
from tests.engine.runs import Ran, phase, running
from velro_gate.engine.http.parsing.codings import LIGHT, MOST_CODINGS, MOST_DECODED, CodingError, chunked, decoded
from velro_gate.engine.http.parsing.headers import HeaderKinds
from velro_gate.engine.http.parsing.responses import Response
from velro_gate.engine.steps.checks import Inspection, Looked
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import Body, Capture, ContainsCheck, JsonCheck, OpenArrivals, Step

pytestmark = pytest.mark.hostile("hostile HTTP servers")

BOMB = gzip.compress(bytes(4 * MOST_DECODED))


def raw_deflate(body: bytes) -> bytes:
    return zlib.compress(body, wbits=-zlib.MAX_WBITS)


ENCODERS = {
    b"gzip": gzip.compress,
    b"x-gzip": gzip.compress,
    b" GZIP ": gzip.compress,
    b"deflate": zlib.compress,
    b"Deflate": raw_deflate,
    b"br": brotli.compress,
    b"zstd": zstandard.compress,
    b"gzip, br": lambda body: brotli.compress(gzip.compress(body)),
    b"": bytes,
    b"identity": bytes,
}


@given(st.binary(max_size=5_000), st.sampled_from(sorted(ENCODERS)))
def test_what_was_compressed_comes_back_as_httpx_decodes_it(body: bytes, coding: bytes) -> None:
    encoded = ENCODERS[coding](body)
    assert decoded(encoded, coding) == body
    assert httpx.Response(200, headers=[(b"content-encoding", coding)], content=encoded).content == body or b"x-" in coding


@given(st.lists(st.binary(max_size=300), max_size=4))
def test_several_members_are_one_body(parts: list[bytes]) -> None:
    assert decoded(b"".join(map(gzip.compress, parts)), b"gzip") == b"".join(parts)


@pytest.mark.parametrize("coding", [b"compress", b"gzip, aes128gcm", b"brotli"])
def test_a_coding_that_cannot_be_decoded_is_named(coding: bytes) -> None:
    with pytest.raises(CodingError, match=f"'{coding.split(b' ')[-1].decode()}' is not supported"):
        decoded(b"anything", coding)


@given(st.binary(min_size=1, max_size=300), st.sampled_from([b"gzip", b"deflate", b"br"]), st.data())
def test_a_body_that_ends_early_is_broken(body: bytes, coding: bytes, data: st.DataObject) -> None:
    whole = ENCODERS[coding](body)
    with pytest.raises(CodingError, match="the body"):
        decoded(whole[: data.draw(st.integers(1, len(whole) - 1))], coding)


@pytest.mark.parametrize("body", [b"{}", b"\x1f\x8b\x08", gzip.compress(b"{}", mtime=0) + b"rest"])
@pytest.mark.parametrize("coding", [b"gzip", b"br", b"zstd", b"deflate"])
def test_what_is_not_of_that_coding_is_broken(body: bytes, coding: bytes) -> None:
    with pytest.raises(CodingError, match="the body"):
        decoded(body, coding)


@given(st.integers(0, 50), st.integers(0, 100), st.sampled_from([b"gzip", b"deflate", b"br", b"zstd"]))
def test_the_limit_is_exact(most: int, size: int, coding: bytes) -> None:
    encoded = ENCODERS[coding](bytes(size))
    if size <= most:
        assert decoded(encoded, coding, most) == bytes(size)
    else:
        with pytest.raises(CodingError, match="longer than"):
            decoded(encoded, coding, most)


@pytest.mark.slow
@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd"])
def test_a_bomb_takes_little_more_memory_than_the_limit(coding: bytes) -> None:
    zeros = bytes(4 * MOST_DECODED)
    bomb = brotli.compress(zeros, quality=1) if coding == b"br" else ENCODERS[coding](zeros)
    tracemalloc.start()
    with pytest.raises(CodingError, match="longer than"):
        decoded(bomb, coding)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * MOST_DECODED


@given(st.binary(max_size=50_000))
def test_another_parser_reads_the_chunks_as_the_same_body(body: bytes) -> None:
    server = h11.Connection(h11.SERVER)
    server.receive_data(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body))
    assert isinstance(server.next_event(), h11.Request)
    found = b""
    while isinstance(event := server.next_event(), h11.Data):
        found += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert found == body


# With real servers


def answering(body: bytes, *, always: bool = False) -> Handler:
    """Compresses where the request asks for it, or always."""

    async def handler(line: Line) -> None:
        while (request := await line.request(chunks=True)) is not None:
            coded = always or b"accept-encoding: gzip" in request.lower()
            sent, coding = (body, b"Content-Encoding: gzip\r\n") if coded else (gzip.decompress(body), b"")
            await line.say(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (coding, len(sent), sent))

    return handler


def ran(handler: Handler, *steps: Step, compression: str = "gzip") -> tuple[Ran, Peer]:
    found: list[tuple[Ran, Peer]] = []

    async def main() -> None:
        async with serving(handler) as peer:
            plan = phase(users=2, ramp=0.1, duration=0.3, arrivals=OpenArrivals(rate=60.0))
            found.append((await running(peer.url, plan, steps=steps, compression=compression), peer))

    trio.run(main)
    return found[0]


# Without a time in it: a test's name holds its parameters, and both workers have to come to the same names.
DOCUMENT = gzip.compress(json.dumps({"items": [{"id": "seven"}], "rest": "x" * 500}).encode(), mtime=0)
LOOK = Step(
    name="look",
    method="GET",
    path="/look",
    probability=1.0,
    checks=(JsonCheck(path="$.items[0].id", equals="seven", has_expected=True), ContainsCheck(text='"rest"')),
    captures=(Capture(name="id", source="json", path="$.items[0].id"),),
)
LOOK_FOR_TEXT = Step(name="text", method="GET", path="/", probability=1.0, checks=(ContainsCheck(text=""),))
USE = Step(name="use", method="GET", path="/use/${id}", probability=1.0)


@pytest.mark.real
def test_checks_and_captures_read_what_was_compressed() -> None:
    made, peer = ran(answering(DOCUMENT), LOOK, USE)
    assert set(made.outcomes()) <= {"OK", "CAPTURE"}
    assert any(request.startswith(b"GET /use/seven") for request in peer.requests)
    assert all(b"Accept-Encoding: gzip\r\n" in request for request in peer.requests)
    # What came over the wire is counted, not what it became.
    assert int(made.samples().received.max()) < 300


@pytest.mark.real
def test_without_compression_nothing_is_asked_for_and_what_comes_compressed_is_read_all_the_same() -> None:
    made, peer = ran(answering(DOCUMENT, always=True), LOOK, compression="none")
    assert set(made.outcomes()) == {"OK"}
    assert not any(b"accept-encoding" in request.lower() for request in peer.requests)


@pytest.mark.real
def test_a_steps_own_header_wins() -> None:
    own = Step(name="own", method="GET", path="/", probability=1.0, headers=(("accept-encoding", "br"),))
    _, peer = ran(answering(DOCUMENT), own)
    assert all(b"accept-encoding: br\r\n" in request and b"gzip" not in request for request in peer.requests)


@pytest.mark.real
@pytest.mark.parametrize("body", [BOMB, DOCUMENT[:-9], b"no gzip at all"])
def test_a_body_that_cannot_be_read_is_a_fault_of_its_own_only_where_it_is_looked_at(body: bytes) -> None:
    blind = Step(name="blind", method="GET", path="/", probability=1.0)
    # On a busy machine the last of the long ones may not be unpacked when the run ends.
    assert set(ran(answering(body, always=True), LOOK)[0].outcomes()) - {"CANCELLED"} == {"PROTOCOL"}
    assert set(ran(answering(body, always=True), blind)[0].outcomes()) == {"OK"}


LONG = gzip.compress(b'{"items": [{"id": "seven"}], "rest": "' + bytes(8 * LIGHT).replace(b"\0", b"x") + b'"}', mtime=0)


@pytest.mark.real
def test_a_long_body_is_unpacked_by_another_thread_and_checked_and_captured_from_all_the_same() -> None:
    threads: list[bool] = []
    own = threading.current_thread()

    def noted(self: Inspection, *given: Any) -> Looked | CodingError:
        threads.append(threading.current_thread() is own)
        return look(self, *given)

    look = Inspection.look
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Inspection, "look", noted)
        made, peer = ran(answering(LONG, always=True), LOOK, USE)
        assert "OK" in made.outcomes()
        assert set(made.outcomes()) <= {"OK", "CAPTURE"}
        assert any(request.startswith(b"GET /use/seven") for request in peer.requests)
        assert threads
        assert not any(threads)
        threads.clear()
        ran(answering(DOCUMENT, always=True), LOOK)
        assert threads == []


@pytest.mark.real
def test_a_long_body_that_nothing_packed_is_read_by_another_process_too() -> None:
    made, peer = ran(answering(LONG), LOOK, USE, compression="none")
    assert "OK" in made.outcomes()
    assert set(made.outcomes()) <= {"OK", "CAPTURE"}
    assert any(request.startswith(b"GET /use/seven") for request in peer.requests)


@given(st.integers(0, 3 * LIGHT), st.sampled_from([b"gzip", b"deflate", b"zstd"]))
@example(LIGHT, b"gzip")
@example(LIGHT + 1, b"gzip")
def test_the_loop_unpacks_no_more_than_a_stated_size_whatever_comes(length: int, coding: bytes) -> None:
    packed = ENCODERS[coding](b"x" * length)
    head = b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding, len(packed))
    answer = Response(HeaderKinds([b"content-encoding"]), 1 << 24)
    answer.start(0.0, wants_body=True)
    answer.feed(b"HTTP/1.1 200 OK\r\n" + head + packed)
    inspect = Inspection(LOOK_FOR_TEXT)
    assert inspect(answer, {}) is (Outcome.OK if length <= LIGHT else None)
    assert inspect(answer, {}, inspect.look(answer)) is Outcome.OK


@pytest.mark.real
@pytest.mark.parametrize("text", ["", "x", '{"me": "${user.id}"}', "y" * 40_000])
def test_a_chunked_upload_reaches_the_service_whole(text: str) -> None:
    step = Step(
        name="up", method="POST", path="/", probability=1.0, body=Body(template=text, content_type="text/plain", chunked=True)
    )
    made, peer = ran(answering(DOCUMENT), step)
    assert set(made.outcomes()) == {"OK"}
    assert made.run.delivered_total == len(peer.requests)
    for request in peer.requests:
        head, _, body = request.partition(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head
        assert b"content-length" not in head.lower()
        assert len(body) == (len(text) if "${" not in text else len('{"me": ""}') + 36)


def test_a_coding_that_is_given_twice_is_a_list() -> None:
    packed = brotli.compress(gzip.compress(b"x"))
    head = b"Content-Encoding: gzip\r\nContent-Encoding: br\r\nContent-Length: %d\r\n\r\n" % len(packed)
    answer = Response(HeaderKinds([b"content-encoding"]), 1 << 20)
    answer.start(0.0, wants_body=True)
    answer.feed(b"HTTP/1.1 200 OK\r\n" + head + packed)
    assert Inspection(LOOK_FOR_TEXT).look(answer) == (b"x", [])


def test_a_body_with_more_codings_than_any_sensible_one_is_refused_unread() -> None:
    with pytest.raises(CodingError, match="it has 50,000 content codings"):
        decoded(b"x", b",".join([b"gzip"] * 50_000))
    body = b"x"
    for _ in range(MOST_CODINGS):
        body = gzip.compress(body)
    assert decoded(body, b",".join([b"gzip"] * MOST_CODINGS)) == b"x"


def test_a_body_of_many_empty_members_is_refused_at_once() -> None:
    with pytest.raises(CodingError, match="more than 1,000 members"):
        decoded(gzip.compress(b"") * 400_000, b"gzip")
    assert decoded(gzip.compress(b"a") * 500, b"gzip") == b"a" * 500
    assert decoded(gzip.compress(bytes(100_000)) * 3, b"gzip") == bytes(300_000)
