"""Answers: what httptools and our rules make of bytes is what h11, an implementation of its own, makes of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import h11
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from velro_gate.engine.http.parsing.cache_layers import CacheLayers
from velro_gate.engine.http.parsing.headers import HeaderKinds
from velro_gate.engine.http.parsing.known_heads import KnownHeads
from velro_gate.engine.http.parsing.responses import MOST_HEAD, Response, ResponseState
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, NO_CACHE_HEADER
from velro_gate.model.scenario import CacheHeaders

pytestmark = pytest.mark.hostile("hostile HTTP servers")


@dataclass(frozen=True)
class Made:
    """An answer as bytes. ends: whether the server closes after it."""

    data: bytes
    method: str
    ends: bool


def fresh(captured: tuple[bytes, ...] = (), most: int = 1 << 20) -> Response:
    return Response(HeaderKinds(captured), most)


def read(made: Made, cuts: list[int]) -> tuple[ResponseState, Response]:
    answer = fresh()
    answer.start(0.0, head=made.method == "HEAD", wants_body=True)
    places = sorted({0, len(made.data), *(cut % (len(made.data) + 1) for cut in cuts)})
    progress = ResponseState.INCOMPLETE
    for start, end in itertools.pairwise(places):
        progress = answer.feed(made.data[start:end])
        if progress is not ResponseState.INCOMPLETE:
            break
    if progress is ResponseState.INCOMPLETE and made.ends:
        progress = answer.end()
        if progress is ResponseState.COMPLETE:
            answer.finish()
    return progress, answer


def oracle(made: Made) -> tuple[int, bytes] | None:
    """Status and body as h11 reads them; None where it finds no whole answer."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=made.method, target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(made.data)
    if made.ends:
        client.receive_data(b"")
    status, body = 0, b""
    try:
        while True:
            event = client.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return status, body
            elif event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return None
    except h11.RemoteProtocolError:
        return None


tokens = st.text("abcdefghijklmnopqrstuvwxyzABCDEF-", min_size=1, max_size=12).map(lambda t: f"X-{t}")
values = st.text("abc XYZ,;=/\"'0189", max_size=20).map(str.strip)


@st.composite
def answers(draw: st.DrawFn) -> Made:
    status = draw(st.sampled_from([200, 200, 201, 204, 304, 404, 429, 500, 503]))
    method = draw(st.sampled_from(["GET", "GET", "HEAD"]))
    body = draw(st.binary(max_size=300))
    framing = draw(st.sampled_from(["length", "chunked", "close", "truncated"]))
    lines = [f"HTTP/1.1 {status} Whatever"]
    lines += [f"{name}: {value}" for name, value in draw(st.lists(st.tuples(tokens, values), max_size=6))]
    if draw(st.booleans()):
        lines.append("Connection: close")
    bodiless = method == "HEAD" or status in (204, 304)
    data, ends = body, framing in ("close", "truncated")
    if framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        size = draw(st.integers(1, 80))
        pieces = [body[i : i + size] for i in range(0, len(body), size)]
        data = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    elif framing == "length":
        lines.append(f"Content-Length: {len(body)}")
    elif framing == "truncated":
        lines.append(f"Content-Length: {len(body) + draw(st.integers(0, 3))}")
    informational = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" if draw(st.booleans()) else b""
    head = informational + "\r\n".join(lines).encode() + b"\r\n\r\n"
    return Made(head + (b"" if bodiless else data), method, ends)


@given(answers(), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_answer_split_anywhere_reads_as_h11_reads_it(made: Made, cuts: list[int]) -> None:
    progress, answer = read(made, cuts)
    expected = oracle(made)
    if expected is None:
        assert progress is not ResponseState.COMPLETE
    else:
        assert progress is ResponseState.COMPLETE
        assert (answer.status, b"".join(answer.body or ())) == expected
        assert answer.received == len(made.data)


@given(st.binary(min_size=1, max_size=200), st.lists(st.integers(0, 300), max_size=4))
def test_no_bytes_whatever_raise_anything(data: bytes, cuts: list[int]) -> None:
    progress, _ = read(Made(data, "GET", ends=True), cuts)
    assert progress in ResponseState


@given(answers(), st.binary(min_size=1, max_size=40))
def test_bytes_after_a_whole_answer_leave_it_whole_and_the_connection_unused(made: Made, extra: bytes) -> None:
    alone, _ = read(Made(made.data, made.method, ends=False), [])
    if alone is not ResponseState.COMPLETE:
        return
    progress, answer = read(Made(made.data + extra, made.method, ends=False), [])
    assert progress is ResponseState.COMPLETE
    # llhttp passes over blank lines between messages.
    assert not answer.reusable or not extra.strip(b"\r\n")


@given(st.lists(answers(), min_size=2, max_size=5))
def test_a_clean_answer_can_be_used_again(several: list[Made]) -> None:
    answer = fresh()
    for made in several:
        answer.start(0.0, head=made.method == "HEAD", wants_body=True)
        progress = answer.feed(made.data)
        assert (progress is ResponseState.COMPLETE) is (oracle(Made(made.data, made.method, ends=False)) is not None)
        if progress is not ResponseState.COMPLETE or not answer.clean:
            answer = fresh()


def seen(answer: Response) -> tuple[object, ...]:
    """All that anybody asks of a complete answer."""
    return (
        answer.status,
        answer.received,
        answer.first_at,
        answer.reusable,
        answer.cache,
        answer.cache_layer,
        answer.cookies,
        answer.captured,
        b"".join(answer.body or ()),
    )


@given(st.lists(answers(), min_size=1, max_size=4), st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 3)), max_size=12))
def test_a_known_head_says_what_parsing_it_again_would_say(several: list[Made], order: list[tuple[int, int]]) -> None:
    heads = KnownHeads()
    for number, change in [(index, 0) for index in range(len(several))] + order:
        made = several[number % len(several)]
        data = made.data[:change] if change < 0 else made.data + b"ab\r"[:change]
        parsed, recalled = fresh(), fresh()
        parsed.start(1.0, head=made.method == "HEAD", wants_body=True)
        progress = parsed.feed(data)
        if made.method != "HEAD" and heads.recall(data, recalled, 1.0, wants_body=True):
            assert progress is ResponseState.COMPLETE
            assert seen(recalled) == seen(parsed)
        elif progress is ResponseState.COMPLETE:
            heads.learn(data, parsed)


def test_the_same_head_with_another_body_is_recalled_and_one_that_is_not_whole_is_not() -> None:
    heads, answer = KnownHeads(), fresh((b"x-id",))
    head = b"HTTP/1.1 200 OK\r\nX-Cache: HIT\r\nX-Id: 7\r\nSet-Cookie: a=1\r\nContent-Length: 2\r\n\r\n"
    answer.start(0.0)
    answer.feed(head + b"ab")
    heads.learn(head + b"ab", answer)
    again = fresh()
    assert heads.recall(head + b"cd", again, 2.0, wants_body=True)
    assert seen(again) == (200, len(head) + 2, 2.0, True, b"HIT", None, [b"a=1"], [(b"x-id", b"7")], b"cd")
    assert not heads.recall(head + b"c", again, 2.0, wants_body=True)
    assert not heads.recall(head + b"cde", again, 2.0, wants_body=True)
    assert not heads.recall(head[:-1], again, 2.0, wants_body=True)
    assert heads.hits == 1


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 3_000 + b"\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_head_that_does_not_show_the_end_alone_is_not_learnt(data: bytes) -> None:
    heads, answer = KnownHeads(), fresh()
    assert answer.feed(data) is ResponseState.COMPLETE
    heads.learn(data, answer)
    assert not heads


def test_heads_are_kept_within_a_bound_and_given_up_where_each_is_unlike_any_other() -> None:
    heads = KnownHeads()
    for number in range(3 * KnownHeads.MOST):
        data, answer = b"HTTP/1.1 200 OK\r\nX-Id: %d\r\nContent-Length: 0\r\n\r\n" % number, fresh()
        answer.feed(data)
        heads.learn(data, answer)
    assert not heads
    assert not heads.worthwhile


def test_heads_that_come_again_and_again_are_kept_although_they_change_now_and_then() -> None:
    heads = KnownHeads()
    for number in range(KnownHeads.MOST + 1):
        data, answer = b"HTTP/1.1 200 OK\r\nDate: %d\r\nContent-Length: 0\r\n\r\n" % number, fresh()
        for _ in range(2):
            if not heads.recall(data, answer, 0.0, wants_body=False):
                answer.start(0.0)
                answer.feed(data)
                heads.learn(data, answer)
    assert heads.worthwhile
    assert len(heads) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_faulty_and_says_why_in_words(data: bytes) -> None:
    answer = fresh()
    assert answer.feed(data) is ResponseState.FAULTY
    assert len(answer.fault.split()) > 1
    assert "bytearray" not in answer.fault


UNUSUAL = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2 \t\r\n\r\nok",
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    b"HTTP/1.1 200 OK\r\nX-Note: one\r\n two\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nok\r\n0  \r\n\r\n",
]


@pytest.mark.parametrize("data", UNUSUAL)
@pytest.mark.parametrize("early", [b"", b"HTTP/1.1 103 Early Hints\r\nSet-Cookie: early=1\r\nX-Cache: HIT\r\n\r\n"])
def test_what_rfc_9112_lets_a_client_accept_is_read_wherever_it_is_split(data: bytes, early: bytes) -> None:
    whole = early + data
    for cut in range(1, len(whole)):
        progress, answer = read(Made(whole, "GET", ends=False), [cut])
        assert progress is ResponseState.COMPLETE, cut
        assert (answer.status, b"".join(answer.body or ()), answer.cookies, answer.cache) == (200, b"ok", None, None)
        assert answer.reusable


def test_an_answer_whose_length_stands_there_twice_is_remembered_by_its_head() -> None:
    answer, heads = fresh(), KnownHeads()
    answer.start(0.0)
    assert answer.feed(UNUSUAL[1]) is ResponseState.COMPLETE
    heads.learn(UNUSUAL[1], answer)
    assert heads.recall(UNUSUAL[1], fresh(), 0.0, wants_body=False)


def test_of_an_interim_answer_nothing_is_left() -> None:
    answer = fresh((b"x-trace",))
    answer.start(1.0, wants_body=True)
    assert (
        answer.feed(b"HTTP/1.1 103 Early Hints\r\nSet-Cookie: hint=1\r\nX-Cache: HIT\r\nX-Trace: a\r\n\r\n")
        is ResponseState.INCOMPLETE
    )
    answer.read_at = 2.0
    assert answer.feed(b"HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n") is ResponseState.INCOMPLETE
    answer.read_at = 3.0
    assert answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no") is ResponseState.INCOMPLETE
    answer.read_at = 4.0
    assert answer.feed(b"k") is ResponseState.COMPLETE
    assert (answer.cookies, answer.cache, answer.captured, answer.first_at) == (None, None, None, 3.0)


def test_blanks_behind_a_value_are_no_part_of_it() -> None:
    answer = fresh((b"x-trace", b"location"))
    answer.start(0.0)
    head = b"HTTP/1.1 302 Found\r\nLocation: /plain \t\r\nX-Trace: abc  \r\nX-Cache: HIT \r\nContent-Length: 0\r\n\r\n"
    assert answer.feed(head) is ResponseState.COMPLETE
    assert (answer.captured, answer.cache) == ([(b"location", b"/plain"), (b"x-trace", b"abc")], b"HIT")


def test_an_answer_beyond_the_limit_is_faulty() -> None:
    answer = fresh(most=1_000)
    assert answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n") is ResponseState.INCOMPLETE
    assert answer.feed(b"x" * 1_001) is ResponseState.FAULTY


def test_headers_without_end_are_faulty() -> None:
    answer = fresh()
    progress = answer.feed(b"HTTP/1.1 200 OK\r\n")
    for _ in range(MOST_HEAD // 1_000 + 2):
        if progress is ResponseState.INCOMPLETE:
            progress = answer.feed(b"X-Long: " + b"a" * 990 + b"\r\n")
    assert progress is ResponseState.FAULTY


def test_only_the_named_headers_are_kept_whatever_their_spelling() -> None:
    answer = fresh((b"x-id",))
    answer.feed(
        b"HTTP/1.1 200 OK\r\nX-CACHE: HIT\r\nx-Cache-layer: redis\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n"
        b"X-Id: 7\r\nX-Other: 8\r\nContent-Length: 0\r\n\r\n"
    )
    assert (answer.cache, answer.cache_layer) == (b"HIT", b"redis")
    assert answer.cookies == [b"a=1", b"b=2"]
    assert answer.captured == [(b"x-id", b"7")]


def test_a_body_that_nobody_wants_is_not_kept() -> None:
    answer = fresh()
    assert answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab") is ResponseState.COMPLETE
    assert answer.body is None


def test_header_spellings_are_remembered_within_a_bound() -> None:
    kinds = HeaderKinds()
    for number in range(5_000):
        assert kinds[b"x-%d" % number] == 0
    assert len(kinds) <= 1_000


@pytest.mark.parametrize(
    ("cache", "layer", "code", "names"),
    [
        (None, None, NO_CACHE_HEADER, []),
        (b"MISS", b"database", CACHE_MISS, []),
        (b"HIT", b"Redis", FIRST_CACHE_LAYER, ["redis"]),
        (b"Hit from cloudfront", None, FIRST_CACHE_LAYER, ["unnamed"]),
        (None, b"memory", FIRST_CACHE_LAYER, ["memory"]),
        (None, b"none", CACHE_MISS, []),
        (b"EXPIRED", None, CACHE_MISS, []),
    ],
)
def test_cache_headers_become_codes(cache: bytes | None, layer: bytes | None, code: int, names: list[str]) -> None:
    layers = CacheLayers()
    assert layers.code(cache, layer) == code
    assert layers.names == names


@pytest.mark.parametrize(
    ("headers", "code", "names"),
    [
        ("Cache-Status: edge; hit; ttl=30", FIRST_CACHE_LAYER, ["edge"]),
        ('Cache-Status: origin; hit, "CDN Company; Here"; fwd=uri-miss', FIRST_CACHE_LAYER, ["origin"]),
        ('Cache-Status: origin; fwd=miss, "CDN, Inc."; hit', FIRST_CACHE_LAYER, ["cdn-inc"]),
        ("Cache-Status: origin; hit\r\nCache-Status: edge; fwd=miss", FIRST_CACHE_LAYER, ["origin"]),
        ("Cache-Status: edge; fwd=miss; stored", CACHE_MISS, []),
        ("Cache-Status: edge; hit=?0; fwd=stale", CACHE_MISS, []),
        ("Cache-Status: edge; fwd=bypass", NO_CACHE_HEADER, []),
        ("Cache-Status: edge; fwd=method", NO_CACHE_HEADER, []),
        ("Cache-Status: origin; fwd=miss, edge; fwd=Bypass", CACHE_MISS, []),
        ("Cache-Status: edge; detail=nothing", NO_CACHE_HEADER, []),
        ("CF-Cache-Status: HIT", FIRST_CACHE_LAYER, ["cloudflare"]),
        ("CF-Cache-Status: EXPIRED", CACHE_MISS, []),
        ("CF-Cache-Status: DYNAMIC", NO_CACHE_HEADER, []),
        ("CF-Cache-Status: HIT\r\nCache-Status: edge; fwd=miss", CACHE_MISS, []),
        ("Cache-Status: edge; fwd=miss\r\nCF-Cache-Status: HIT", CACHE_MISS, []),
        ("Cache-Status: edge; fwd=miss\r\nX-Cache: HIT", FIRST_CACHE_LAYER, ["unnamed"]),
        ("X-Cache: MISS\r\nCache-Status: edge; hit", CACHE_MISS, []),
        ("Age: 12", NO_CACHE_HEADER, []),
    ],
)
def test_standard_headers_show_how_a_cache_answered(headers: str, code: int, names: list[str]) -> None:
    made = Response(HeaderKinds(), 1 << 20)
    assert made.feed(f"HTTP/1.1 204 No Content\r\n{headers}\r\n\r\n".encode()) is ResponseState.COMPLETE
    layers = CacheLayers()
    assert (layers.code(made.cache, made.cache_layer), layers.names) == (code, names)
    shown = CacheLayers()
    folded = httpx.Headers([(name, value) for name, _, value in (line.partition(": ") for line in headers.split("\r\n"))])
    assert shown.shown(lambda name: found.encode() if (found := folded.get(name)) is not None else None) == code


@pytest.mark.parametrize(("layers", "names"), [(("proxy",), ["proxy"]), ((), ["unnamed"]), (("a", "b"), ["a", "b", "unnamed"])])
def test_a_hit_that_names_no_layer_belongs_to_the_only_one_that_the_scenario_names(
    layers: tuple[str, ...], names: list[str]
) -> None:
    found = CacheLayers(CacheHeaders(layers=layers))
    found.code(b"HIT", None)
    assert found.names == names


@pytest.mark.parametrize(
    ("headers", "code"),
    [("Age: 12", FIRST_CACHE_LAYER), ("Age: 0", CACHE_MISS), ("Age: soon", NO_CACHE_HEADER), ("X-Other: 1", CACHE_MISS)],
)
def test_an_age_counts_where_the_scenario_says_so(headers: str, code: int) -> None:
    named = CacheHeaders(age=True)
    made = Response(HeaderKinds((), named), 1 << 20)
    made.feed(f"HTTP/1.1 204 No Content\r\n{headers}\r\n\r\n".encode())
    assert CacheLayers(named).code(made.cache, made.cache_layer) == code


def test_a_service_may_name_its_own_headers_and_the_order_of_its_layers() -> None:
    named = CacheHeaders(hit="x-proxy", layer="x-tier", layers=("l1", "l2"))
    made = Response(HeaderKinds((), named), 1 << 20)
    made.feed(b"HTTP/1.1 204 No Content\r\nX-Proxy: hit\r\nX-Tier: L2\r\nX-Cache: MISS\r\n\r\n")
    layers = CacheLayers(named)
    assert layers.code(made.cache, made.cache_layer) == FIRST_CACHE_LAYER + 1
    assert layers.names == ["l1", "l2"]


def test_a_standard_header_that_a_step_captures_is_captured() -> None:
    made = Response(HeaderKinds([b"cache-status"]), 1 << 20)
    made.feed(b"HTTP/1.1 204 No Content\r\nCache-Status: edge; hit\r\n\r\n")
    assert (made.cache, made.captured) == (None, [(b"cache-status", b"edge; hit")])


def test_a_cache_header_that_is_captured_still_shows_how_the_cache_answered() -> None:
    made = Response(HeaderKinds([b"x-cache-layer"]), 1 << 20)
    made.feed(b"HTTP/1.1 204 No Content\r\nX-Cache: HIT\r\nX-Cache-Layer: redis\r\n\r\n")
    assert (made.cache, made.cache_layer, made.captured) == (b"HIT", b"redis", [(b"x-cache-layer", b"redis")])


def test_layers_get_their_codes_in_the_order_they_are_seen_and_never_too_many() -> None:
    layers = CacheLayers()
    codes = [layers.code(b"HIT", b"layer-%d" % number) for number in range(400)]
    assert codes[:3] == [2, 3, 4]
    assert max(codes) <= 255
    assert layers.code(b"HIT", b"layer-1") == 3


@given(st.integers(1_000, 70_000), st.sampled_from((-40, 0, 1, 100, 64_000)))
@settings(max_examples=20)
def test_a_head_is_too_long_or_not_however_it_comes_in_pieces(piece: int, beyond: int) -> None:
    begin, end = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ", b"\r\n\r\n"
    whole = begin + b"a" * (MOST_HEAD + beyond - len(begin)) + end
    made = Response(HeaderKinds(), 1 << 24)
    made.start(0.0)
    reported = ResponseState.INCOMPLETE
    for at in range(0, len(whole), piece):
        reported = made.feed(whole[at : at + piece])
        if reported is not ResponseState.INCOMPLETE:
            break
    assert reported is (ResponseState.FAULTY if beyond > 3 else ResponseState.COMPLETE) or 0 < beyond <= 3


@pytest.mark.parametrize("status", [b"000", b"001", b"099"])
def test_a_status_that_is_none_makes_no_answer(status: bytes) -> None:
    made = Response(HeaderKinds(), 1 << 20)
    made.start(0.0)
    assert made.feed(b"HTTP/1.1 %b x\r\nContent-Length: 0\r\n\r\n" % status) is not ResponseState.COMPLETE
    made.start(0.0)
    other = Response(HeaderKinds(), 1 << 20)
    other.start(0.0)
    other.feed(b"HTTP/1.1 %b x\r\n\r\nabc" % status)
    assert other.end() is ResponseState.INCOMPLETE
