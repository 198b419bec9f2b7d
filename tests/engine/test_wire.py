"""Reading answers as h11 does, byte by byte if need be; connections over real sockets."""

from __future__ import annotations

import errno
import resource
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile

import h11
import httptools
import pytest
import trio
import trio.testing
import trustme
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.scripted import Reply, answer, scripted
from velro_gate.engine.wire import MOST_ANSWER_BYTES, AnswerReader, Connection, Endpoint, LayerTable, ReaderPool, WireError
from velro_gate.errors import InfeasibleError
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, NO_CACHE_HEADER, Outcome

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


# Reading, against h11


@dataclass(frozen=True)
class Reading:
    """What a reader makes of an answer; body None: not whole."""

    status: int
    body: bytes | None
    reusable: bool


def read_by_h11(data: bytes, method: str, *, ended: bool) -> Reading | None:
    """What the oracle says; None for what it takes for no HTTP."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=2**20)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
    connection.send(h11.EndOfMessage())
    if data:
        connection.receive_data(data)
    if ended:
        connection.receive_data(b"")
    status, body = 0, b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                reusable = connection.their_state is h11.DONE and connection.our_state is h11.DONE
                return Reading(status, body, reusable and not connection.trailing_data[0])
            elif event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                return Reading(0, None, reusable=False)
    except h11.RemoteProtocolError:
        # An early end is no fault of protocol in our words.
        return Reading(0, None, reusable=False) if ended else None


def read_by_us(pieces: Sequence[bytes], method: str, *, ended: bool, reader: AnswerReader | None = None) -> Reading | None:
    """The same by the reader under test, fed piece by piece until it has enough."""
    reader = reader or AnswerReader(LayerTable())
    reader.begin(is_head=method == "HEAD", keep_body=True, wanted=frozenset())
    for piece in takewhile(lambda _: not reader.complete, pieces):
        try:
            reader.parser.feed_data(piece)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not reader.complete:
                return None
            reader.reusable = False
    if not reader.complete and ended:
        reader.at_end_of_stream()
    if not reader.complete:
        return Reading(0, None, reusable=False)
    return Reading(reader.status, b"".join(reader.body), reader.reusable)


def odd_case(draw: st.DrawFn, name: str) -> str:
    return "".join(letter.upper() if draw(st.booleans()) else letter.lower() for letter in name)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, str, bool]:
    """(the bytes of an answer, the method that it answers, whether the connection ends behind it)."""
    method = draw(st.sampled_from(["GET", "HEAD", "POST"]))
    status = draw(st.sampled_from([200, 201, 204, 304, 404, 500, 503]))
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.0"]))
    body = draw(st.binary(max_size=60))
    lines = [(name, value) for name, value in draw(st.lists(st.sampled_from(OTHERS), max_size=3))]
    framing = (
        draw(st.sampled_from(["length", "chunked", "none"])) if version == b"1.1" else draw(st.sampled_from(["length", "none"]))
    )
    if framing == "length":
        lines.append(("content-length", str(len(body))))
    elif framing == "chunked":
        lines.append(("transfer-encoding", "chunked"))
    if draw(st.booleans()):
        lines.append(
            ("connection", draw(st.sampled_from(["close", "Close", "keep-alive"] if version == b"1.1" else ["close"])))
        )
    lines = draw(st.permutations(lines))
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: </x>\r\n\r\n"]))
    head = b"HTTP/%s %d Some Words\r\n" % (version, status)
    head += b"".join(f"{odd_case(draw, name)}: {value}\r\n".encode() for name, value in lines) + b"\r\n"
    if method == "HEAD" or status in (204, 304):
        return interim + head, method, draw(st.booleans())
    tail = chunked(draw, body) if framing == "chunked" else body
    return interim + head + tail, method, draw(st.booleans())


OTHERS = (
    ("x-cache", "HIT"),
    ("x-cache", ""),
    ("x-cache-layer", "memory"),
    ("set-cookie", "a=1"),
    ("date", "x"),
    ("x-long", "y" * 300),
)


def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    """The body in chunks of drawn sizes, with extensions and trailers now and then."""
    made = b""
    while body:
        size = draw(st.integers(1, len(body)))
        made += b"%x%s\r\n%s\r\n" % (size, draw(st.sampled_from([b"", b";a=b"])), body[:size])
        body = body[size:]
    return made + b"0\r\n" + draw(st.sampled_from([b"", b"X-Cache: MISS\r\nX-T: 1\r\n"])) + b"\r\n"


def pieces_of(draw: st.DataObject, data: bytes) -> list[bytes]:
    """The bytes cut anywhere."""
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=5), label="cuts"))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]


@given(answers(), st.data())
def test_an_answer_cut_anywhere_reads_as_h11_reads_it(made: tuple[bytes, str, bool], data: st.DataObject) -> None:
    raw, method, ended = made
    expected = read_by_h11(raw, method, ended=ended)
    found = read_by_us(pieces_of(data, raw), method, ended=ended)
    assert expected is not None
    assert found is not None
    assert (found.status, found.body) == (expected.status, expected.body)
    # To give a connection up that could have been kept costs a handshake; the reverse would cost an answer.
    assert not found.reusable or expected.reusable


@given(answers(), st.data())
def test_an_answer_cut_short_is_never_taken_for_a_whole_one(made: tuple[bytes, str, bool], data: st.DataObject) -> None:
    raw, method, ended = made
    short = raw[: data.draw(st.integers(0, len(raw) - 1))]
    expected = read_by_h11(short, method, ended=ended)
    found = read_by_us(pieces_of(data, short), method, ended=ended)
    assert found is not None
    assert expected is not None
    assert (found.status, found.body) == (expected.status, expected.body)


@given(answers(), st.data())
def test_every_byte_on_its_own_gives_the_same_as_all_at_once(made: tuple[bytes, str, bool], data: st.DataObject) -> None:
    raw, method, ended = made
    single = [raw[at : at + 1] for at in range(len(raw))]
    assert read_by_us(single, method, ended=ended) == read_by_us([raw], method, ended=ended)


@given(st.binary(min_size=1, max_size=200), st.booleans())
def test_rubbish_is_refused_or_not_whole_but_never_an_answer(raw: bytes, ended: bool) -> None:
    found = read_by_us([raw], "GET", ended=ended)
    assert found is None or found.body is None


@given(st.lists(st.tuples(answers(), st.booleans()), min_size=1, max_size=6), answers(), st.data())
def test_whatever_a_reader_went_through_the_pool_gives_one_that_reads_the_next_answer_rightly(
    earlier: list[tuple[tuple[bytes, str, bool], bool]], made: tuple[bytes, str, bool], data: st.DataObject
) -> None:
    pool = ReaderPool(LayerTable())
    for (raw, method, ended), cut in earlier:
        reader = pool.take()
        surplus = data.draw(st.sampled_from([b"", b"\r\n", b"rubbish", b"HTTP/1.1 50", answer(b"more", 500)]), label="surplus")
        read_by_us([raw[: len(raw) // 2] if cut else raw + surplus], method, ended=ended, reader=reader)
        pool.give_back(reader)
    raw, method, ended = made
    assert read_by_us([raw], method, ended=ended, reader=pool.take()) == read_by_us([raw], method, ended=ended)


@pytest.mark.parametrize("surplus", [b"rubbish", b"HTTP/1.1 500 No", answer(b"more", 500), b"\x00"])
def test_what_follows_an_answer_changes_nothing_of_it_and_ends_the_connection(surplus: bytes) -> None:
    found = read_by_us([answer(b"whole", 200, b"X-Cache: HIT") + surplus], "GET", ended=False)
    assert found == Reading(200, b"whole", reusable=False)


def test_a_body_behind_an_answer_to_head_ends_the_connection() -> None:
    found = read_by_us([answer(b"should not be here")], "HEAD", ended=False)
    assert found == Reading(200, b"", reusable=False)


def test_an_answer_to_head_keeps_its_connection_but_not_its_reader() -> None:
    pool = ReaderPool(LayerTable())
    reader = pool.take()
    assert read_by_us([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"], "HEAD", ended=False, reader=reader) == Reading(
        200, b"", reusable=True
    )
    pool.give_back(reader)
    assert pool.take() is not reader


def test_a_reader_that_is_fine_is_used_again() -> None:
    pool = ReaderPool(LayerTable())
    reader = pool.take()
    read_by_us([answer()], "GET", ended=False, reader=reader)
    pool.give_back(reader)
    assert pool.take() is reader


def test_two_lengths_are_no_answer() -> None:
    assert read_by_us([answer(b"ab", 200, b"Content-Length: 3")], "GET", ended=True) is None


# Headers


def cache_of(*headers: bytes) -> int:
    reader = AnswerReader(LayerTable())
    reader.begin(is_head=False, keep_body=False, wanted=frozenset())
    reader.parser.feed_data(answer(b"", 200, *headers))
    return reader.cache


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ((), NO_CACHE_HEADER),
        ((b"X-Cache: MISS",), CACHE_MISS),
        ((b"X-Cache:",), CACHE_MISS),
        ((b"X-Cache: MISS", b"X-Cache-Layer: database"), CACHE_MISS),
        ((b"x-CACHE: hit",), FIRST_CACHE_LAYER),
        ((b"X-Cache: HIT from edge", b"X-Cache-Layer: memory"), FIRST_CACHE_LAYER),
    ],
)
def test_the_cache_headers_give_the_code_of_the_layer(headers: tuple[bytes, ...], code: int) -> None:
    assert cache_of(*headers) == code


def test_trailers_change_nothing() -> None:
    reader = AnswerReader(LayerTable())
    reader.begin(is_head=False, keep_body=False, wanted=frozenset({b"x-t"}))
    reader.parser.feed_data(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-T: 1\r\n\r\n0\r\nX-T: 2\r\nX-Cache: HIT\r\n\r\n"
    )
    assert reader.complete
    assert reader.captured == {b"x-t": b"1"}
    assert reader.cache == NO_CACHE_HEADER


def test_layers_are_numbered_as_they_come_and_made_up_names_fill_neither_the_column_nor_the_memory() -> None:
    table = LayerTable()
    codes = [table.code(b"layer %d" % number) for number in range(1000)]
    assert codes[:3] == [FIRST_CACHE_LAYER, FIRST_CACHE_LAYER + 1, FIRST_CACHE_LAYER + 2]
    assert max(codes) < 256
    assert codes == [table.code(b"layer %d" % number) for number in range(1000)]
    assert len(table.names) == len(set(codes))
    assert table.names[:2] == ("layer 0", "layer 1")


def test_a_body_is_kept_only_where_someone_reads_it() -> None:
    reader = AnswerReader(LayerTable())
    reader.begin(is_head=False, keep_body=False, wanted=frozenset())
    reader.parser.feed_data(answer(b"x" * 100))
    assert reader.complete
    assert reader.body == []


# Connections


@contextmanager
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    """A connection and the other end of it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    connection = Connection(ours)
    try:
        yield connection, theirs
    finally:
        theirs.close()
        ours.close()


async def exchange(connection: Connection) -> AnswerReader:
    reader = AnswerReader(LayerTable())
    with trio.fail_after(20):
        await connection.exchange(REQUEST, reader)
    return reader


def failing(connection: Connection) -> WireError:
    with pytest.raises(WireError) as caught:
        trio.run(exchange, connection)
    assert not connection.usable()
    return caught.value


def test_an_exchange_sends_the_request_and_leaves_the_connection_ready_for_the_next() -> None:
    with pair() as (connection, peer):
        for _ in range(3):
            peer.sendall(answer())
            assert trio.run(exchange, connection).status == 200
            assert peer.recv(1000) == REQUEST
            assert connection.usable()


def test_an_idle_connection_that_the_peer_ended_is_not_usable() -> None:
    with pair() as (connection, peer):
        assert connection.usable()
        peer.close()
        assert not connection.usable()


def test_an_idle_connection_on_which_something_came_unasked_is_not_usable() -> None:
    with pair() as (connection, peer):
        peer.sendall(b"H")
        assert not connection.usable()


def test_an_aborted_connection_is_not_usable_and_can_be_aborted_again() -> None:
    async def main() -> None:
        connection.abort()
        connection.abort()

    with pair() as (connection, _):
        trio.run(main)
        assert not connection.usable()


@pytest.mark.parametrize(
    ("said", "outcome", "answered"),
    [
        (b"", Outcome.RESET, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", Outcome.RESET, True),
        (b"rubbish\r\n", Outcome.PROTOCOL, True),
        (b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", Outcome.PROTOCOL, True),
    ],
)
def test_a_peer_that_ends_or_raves_is_told_apart(said: bytes, outcome: Outcome, answered: bool) -> None:
    with pair() as (connection, peer):
        peer.sendall(said)
        peer.shutdown(socket.SHUT_WR)
        error = failing(connection)
        assert (error.outcome, error.answered) == (outcome, answered)


def test_more_than_the_most_bytes_are_refused() -> None:
    async def main() -> WireError:
        reader = AnswerReader(LayerTable())
        async with trio.open_nursery() as nursery:
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(peer))
            nursery.start_soon(pour, stream)
            with pytest.raises(WireError) as caught:
                await connection.exchange(REQUEST, reader)
            nursery.cancel_scope.cancel()
        assert MOST_ANSWER_BYTES < reader.received < MOST_ANSWER_BYTES + 2**17
        assert not reader.body
        return caught.value

    async def pour(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send_all(b"x" * 2**16)

    with pair() as (connection, peer):
        assert trio.run(main).outcome is Outcome.PROTOCOL


def test_a_request_larger_than_the_sockets_memory_is_sent_whole() -> None:
    large = b"x" * 5_000_000

    async def main() -> bytes:
        got: list[bytes] = []

        async def take() -> None:
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(peer))
            while sum(map(len, got)) < len(large):
                got.append(bytes(await stream.receive_some()))
            await stream.send_all(answer())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await connection.exchange(large, AnswerReader(LayerTable()))
        return b"".join(got)

    with pair() as (connection, peer):
        assert trio.run(main) == large


@pytest.mark.parametrize("size", [10, 5_000_000], ids=["while receiving", "while sending"])
def test_abort_wakes_the_task_that_waits(size: int) -> None:
    async def main() -> WireError:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(abort)
            with pytest.raises(WireError) as caught:
                await connection.exchange(b"x" * size, AnswerReader(LayerTable()))
        return caught.value

    async def abort() -> None:
        await trio.testing.wait_all_tasks_blocked()
        connection.abort()

    with pair() as (connection, _):
        assert trio.run(main).outcome is Outcome.CANCELLED
        assert not connection.usable()


# Connecting


def endpoint(url: str, context: ssl.SSLContext | None = None, *before: tuple[int, tuple[str, int]]) -> Endpoint:
    port = int(url.rsplit(":", 1)[1])
    return Endpoint("localhost", [*before, (socket.AF_INET, ("127.0.0.1", port))], context)


def refused_address() -> tuple[int, tuple[str, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return (socket.AF_INET, probe.getsockname())


async def one_exchange(where: Endpoint, count: int = 1) -> list[int]:
    connection = await where.connect(5.0)
    statuses = []
    for _ in range(count):
        assert connection.usable()
        statuses.append((await exchange(connection)).status)
    connection.abort()
    assert not connection.usable()
    return statuses


def connecting(where: Endpoint, timeout: float = 5.0) -> Outcome:
    with pytest.raises(WireError) as caught:
        trio.run(where.connect, timeout)
    return caught.value.outcome


def test_an_address_that_refuses_is_passed_over_for_one_that_does_not() -> None:
    with scripted(Reply()) as service:
        assert trio.run(one_exchange, endpoint(service.url, None, refused_address())) == [200]


def test_without_any_address_that_accepts_the_kind_of_the_last_failure_is_told() -> None:
    assert connecting(Endpoint("h", [refused_address(), refused_address()], None)) is Outcome.REFUSED


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def tls_service(authority: trustme.CA, reply: Reply, name: str = "localhost") -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with scripted(reply, tls=context) as service:
        yield service.url


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_a_trusted_certificate_opens_the_way_and_the_connection_stays_usable(authority: trustme.CA) -> None:
    with tls_service(authority, Reply()) as url:
        assert trio.run(one_exchange, endpoint(url, trusting(authority)), 4) == [200] * 4


def test_a_certificate_of_a_strange_authority_or_another_name_is_a_fault_of_tls(authority: trustme.CA) -> None:
    with tls_service(authority, Reply()) as url:
        assert connecting(endpoint(url, ssl.create_default_context())) is Outcome.TLS
    with tls_service(authority, Reply(), "elsewhere.test") as url:
        assert connecting(endpoint(url, trusting(authority))) is Outcome.TLS


def test_an_idle_tls_connection_that_the_peer_ended_is_not_usable(authority: trustme.CA) -> None:
    async def main(url: str) -> None:
        connection = await endpoint(url, trusting(authority)).connect(5.0)
        await exchange(connection)
        # Wait for the farewell as for anything that comes.
        with trio.fail_after(10):
            await trio.lowlevel.wait_readable(connection._socket)
        assert not connection.usable()
        connection.abort()

    with tls_service(authority, Reply(then="close-later")) as url:
        trio.run(main, url)


def test_abort_wakes_a_task_that_waits_over_tls(authority: trustme.CA) -> None:
    async def main(url: str) -> WireError:
        connection = await endpoint(url, trusting(authority)).connect(5.0)
        async with trio.open_nursery() as nursery:

            async def abort() -> None:
                await trio.testing.wait_all_tasks_blocked()
                connection.abort()

            nursery.start_soon(abort)
            with pytest.raises(WireError) as caught:
                await connection.exchange(REQUEST, AnswerReader(LayerTable()))
        assert connection._socket.fileno() == -1
        return caught.value

    with tls_service(authority, Reply(wait=60.0)) as url:
        assert trio.run(main, url).outcome is Outcome.CANCELLED


def test_a_silent_handshake_is_a_timeout(autojump_clock: Callable[[], trio.abc.Clock], authority: trustme.CA) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        where = endpoint(f"https://127.0.0.1:{silent.getsockname()[1]}", trusting(authority))
        with pytest.raises(WireError) as caught:
            trio.run(where.connect, 30.0, clock=autojump_clock())
    assert caught.value.outcome is Outcome.TIMEOUT


@pytest.fixture
def autojump_clock() -> Callable[[], trio.abc.Clock]:
    return lambda: trio.testing.MockClock(autojump_threshold=0.2)


def test_a_machine_without_a_free_descriptor_is_not_a_service_that_fails() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def main(url: str) -> None:
        where = endpoint(url)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            await where.connect(5.0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    with scripted(Reply()) as service, pytest.raises(InfeasibleError) as caught:
        trio.run(main, service.url)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EMFILE
