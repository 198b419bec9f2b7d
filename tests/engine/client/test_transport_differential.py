"""The same bytes through httpx's own transport and through ours: equal answers, or the same kind of error."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.peers import Line, route_to, serving, wired
from velro_gate.engine.client.transport import WireTransport

pytestmark = pytest.mark.slow

OTHERS = {"content-length", "transfer-encoding", "connection", "content-encoding", "upgrade", "proxy-connection", "trailer"}
"""Headers that say where a message ends, or what follows it: they are made with the body."""

names = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_-]{0,15}\Z").filter(lambda name: name.lower() not in OTHERS)
values = st.from_regex(r"\A([!-~\xa1-\xff]([ -~\xa1-\xff]{0,20}[!-~\xa1-\xff])?)?\Z")
headers = st.lists(st.tuples(names, values), max_size=6)
reasons = st.from_regex(r"\A([!-~]([ -~]{0,15}[!-~])?)?\Z")
bodies = st.binary(max_size=300)
statuses = st.sampled_from([200, 201, 204, 206, 299, 301, 304, 400, 404, 500, 503, 599])


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bool]:
    """An answer, perhaps behind informational ones, perhaps cut short; and whether the connection ends behind it."""
    status, body = draw(statuses), draw(bodies)
    bare = status in (204, 304)
    framing = "bare" if bare else draw(st.sampled_from(["length", "chunked", "close"]))
    lines = [f"HTTP/1.1 {status} {draw(reasons)}".encode("latin-1")]
    lines += [f"{name}: {value}".encode("latin-1") for name, value in draw(headers)]
    place = draw(st.integers(1, len(lines)))
    match framing:
        case "length":
            lines.insert(place, b"Content-Length: %d" % len(body))
        case "chunked":
            lines.insert(place, b"transfer-encoding: chunked")
            cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=4)))
            pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True) if a < b]
            body = b"".join(b"%X\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        case "bare":
            body = b""
    before = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * draw(st.integers(0, 2))
    whole = before + b"\r\n".join(lines) + b"\r\n\r\n" + body
    ends = framing == "close" or draw(st.booleans())
    if ends and draw(st.integers(0, 4)) == 0:
        whole = whole[: draw(st.integers(0, len(whole)))]
    return whole, ends


async def reported(client: httpx.AsyncClient, method: str) -> tuple[Any, ...]:
    """What came of a request."""
    try:
        found = await client.request(method, "/")
    except httpx.HTTPError as error:
        return (type(error),)
    return found.status_code, found.reason_phrase, found.http_version, found.headers.raw, found.content


@given(answers(), st.lists(st.integers(0, 600), max_size=5), st.sampled_from(["GET", "HEAD", "POST"]))
def test_both_transports_read_the_same_answer(answer: tuple[bytes, bool], cuts: list[int], method: str) -> None:
    whole, ends = answer
    places = sorted({min(cut, len(whole)) for cut in cuts})
    parts = [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]

    async def handler(line: Line) -> None:
        if await line.request() is None:
            return
        for part in parts:
            if part:
                await line.say(part)
            for _ in range(3):
                await trio.lowlevel.checkpoint()
        if not ends:
            await line.request()

    async def main() -> None:
        with trio.fail_after(10):
            async with serving(handler) as peer, wired(route_to(peer.host, peer.port)) as wire:
                found = []
                for transport in (httpx.AsyncHTTPTransport(trust_env=False), WireTransport(wire, peer.url)):
                    async with httpx.AsyncClient(transport=transport, base_url=peer.url, trust_env=False) as client:
                        found.append(await reported(client, method))
                assert found[1] == found[0]

    trio.run(main)


@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]),
    st.lists(st.tuples(names.filter(lambda name: name.lower() not in ("host", "expect", "te")), values), max_size=5),
    st.none() | bodies | st.lists(st.binary(max_size=50), max_size=4),
)
def test_both_transports_send_the_same_request(
    method: str, given_headers: list[tuple[str, str]], body: bytes | list[bytes] | None
) -> None:
    seen: list[bytes] = []

    async def handler(line: Line) -> None:
        while b"\r\n\r\n" not in line.rest and await line._more():
            pass
        head, _, _ = line.rest.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head.lower():
            while not line.rest.endswith(b"0\r\n\r\n") and await line._more():
                pass
            seen.append(line.rest)
        else:
            seen.append(await line.request() or b"")
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def content() -> Any:
        for piece in body or ():
            yield piece

    async def main() -> None:
        with trio.fail_after(10):
            async with serving(handler) as peer, wired(route_to(peer.host, peer.port)) as wire:
                for transport in (httpx.AsyncHTTPTransport(trust_env=False), WireTransport(wire, peer.url)):
                    async with httpx.AsyncClient(transport=transport, base_url=peer.url, trust_env=False) as client:
                        sent = content() if isinstance(body, list) else body
                        lines = [(name.encode(), value.encode("latin-1")) for name, value in given_headers]
                        await client.request(method, "/a?b=c", headers=lines, content=sent)
        assert seen[1] == seen[0]

    trio.run(main)
