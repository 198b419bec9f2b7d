"""Nothing that ends leaves a cycle behind: garbage is not collected while the load is measured."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import trio

from tests.engine.authority import Authority
from tests.engine.journeys.test_api import RATE, travelling
from tests.engine.peers import Client, Handler, after_request, answering, serving, talking, wired
from tests.engine.runs import phase
from velro_gate.engine.http.routes import NoRoute, find_route
from velro_gate.engine.http.tls import client_context
from velro_gate.journeys import User
from velro_gate.model.scenario import Target

pytestmark = pytest.mark.hostile("hostile HTTP servers")

ROUNDS = 30


@contextmanager
def left_behind() -> Iterator[Counter[str]]:
    """What cycles of the block are made of: how many objects of each of our classes, and of those of the libraries we call."""
    found: Counter[str] = Counter()
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        for kind in map(type, gc.garbage):
            if kind.__module__.partition(".")[0] in ("velro_gate", "httptools", "httpx", "ssl", "_ssl"):
                found[f"{kind.__module__}.{kind.__qualname__}"] += 1
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        if was_on:
            gc.enable()


CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
KINDS: dict[str, Handler] = {
    "close": answering(CLOSE),
    "HTTP/1.0": after_request(b"HTTP/1.0 200 OK\r\n\r\nok"),
    "garbage": after_request(b"\0\1\2 no HTTP\r\n\r\n"),
    "cut short": after_request(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"),
    "error": answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"),
    "reset": after_request("reset"),
}


@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_no_request_leaves_a_cycle_whatever_becomes_of_it(kind: str, head: bool) -> None:
    async def once(client: Client) -> None:
        if not client.connection.state:
            assert await client.open() == "opened"
        await client.ask(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" if head else b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", head=head)
        client.connection.close()

    async def main() -> None:
        async with talking(KINDS[kind]) as (client, _):
            await once(client)
            with left_behind() as found:
                for _ in range(ROUNDS):
                    await once(client)
            assert not found, found

    trio.run(main)


def test_tls_sessions_are_looked_at_now_and_then_only(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    looks = [0]

    async def main() -> None:
        async with serving(answering(CLOSE), tls=authority.server()) as peer:
            target = Target(url=peer.url, ca_file=authority.file())
            route = await find_route(target, client_context(target))
            assert not isinstance(route, NoRoute)
            async with wired(route) as wire:
                client = Client(wire)
                sessions = []
                for _ in range(6):
                    assert await client.open() == "opened"
                    await client.ask()
                    sessions.append(route.session)
                    looks[0] += 1
                assert len({id(session) for session in sessions if session is not None}) <= 1

    trio.run(main)
    assert looks[0] == 6


async def careless(user: User) -> None:
    with user.step("list"):
        try:
            await user.client.get("/")
        except httpx.HTTPError:
            return


@pytest.mark.parametrize("kind", ["close", "garbage", "error"])
def test_no_request_of_a_journey_leaves_a_cycle(kind: str) -> None:
    async def main() -> None:
        async with serving(KINDS[kind]) as peer:
            sent = []
            with left_behind() as few:
                sent.append((await travelling(peer.url, careless, phase(users=2, duration=0.2, arrivals=RATE))).run.sent_total)
            with left_behind() as many:
                sent.append((await travelling(peer.url, careless, phase(users=2, duration=1.2, arrivals=RATE))).run.sent_total)
            # What a phase leaves once is not counted; what each request leaves is. Of stalls a busy machine makes many.
            many.pop("velro_gate.model.run.Stall", None)
            grown = {name: count - few[name] for name, count in many.items() if count - few[name] >= (sent[1] - sent[0]) / 2}
            assert sent[1] > sent[0] + 20
            assert not grown, grown

    trio.run(main)
