"""Probes against a service that keeps old values, loses writes, or degrades: what they see of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trio

from tests.servers import redis_server
from velro_gate.engine.faults.probes import Probe, probe_of
from velro_gate.engine.faults.requests import ActionError, ProbeResponse, order_redis, said_at
from velro_gate.model.resilience.probes import ProbeOutcome


class Shop:
    """A service with one name, whose readers may see an old one, and with items. away: everything is refused. answers: is
    called before each answer, and may wait.
    """

    def __init__(self) -> None:
        self.name, self.version, self.shown = "old", 1, ("old", 1)
        self.stale = self.loses = self.away = False
        self.items: dict[str, str] = {}
        self.asked = 0
        self.answers: Callable[[], object] = bool

    def answer(self, method: str, path: str, body: dict[str, str]) -> tuple[int, dict[str, object]]:
        self.asked += 1
        self.answers()
        if self.away:
            return 503, {"source": "fallback"}
        if method == "PUT":
            self.name, self.version = body["name"], self.version + 1
            if not self.stale:
                self.shown = (self.name, self.version)
            return 200, {}
        if method == "POST":
            number = str(len(self.items) + 1)
            self.items[number] = body["name"]
            return 201, {"made": {"ids": [number]}}
        if path.startswith("/items/"):
            return (404 if self.loses or path.removeprefix("/items/") not in self.items else 200), {}
        return 200, {"name": self.shown[0], "version": self.shown[1]}


@contextmanager
def serving(shop: Shop) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            status, said = shop.answer(self.command, self.path, json.loads(self.rfile.read(length) or b"{}"))
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Version", str(said.get("version", "")))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_GET  # noqa: N815 - the interface's

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def request(url: str, method: str, path: str, body: str = "") -> dict[str, Any]:
    return {
        "method": method,
        "url": f"{url}{path}",
        "shown": path,
        "query": [],
        "body": body,
        "headers": [],
        "socket": None,
        "verify": True,
    }


def invalidation(url: str, place: str = "json:$.name", *, by_version: bool = False) -> dict[str, Any]:
    read = {"request": request(url, "GET", "/name"), "place": place, "by_version": by_version, "readers": 2, "every": 0.01}
    write = request(url, "PUT", "/name", '{"name": "${value}"}')
    return {"kind": "reads", "write": write, "redis": None, "read": read}


def writes(url: str) -> dict[str, Any]:
    write, read = request(url, "POST", "/items", '{"name": "${value}"}'), request(url, "GET", "/items/${id}")
    return {"kind": "writes", "write": write, "read": read, "place": "json:$.made.ids[0]", "every": 0.01, "within": 0.05}


def seen(shop: Shop, order: dict[str, Any], *scenes: Callable[[], None]) -> dict[str, Any]:
    """What a probe sees: ten requests, then a scene after another with ten more each, until it has finished."""

    async def main() -> dict[str, Any]:
        with trio.fail_after(30.0):
            async with trio.open_nursery() as nursery:
                probe: Probe = probe_of(order)
                await probe.begin(nursery)
                for scene in (lambda: None, *scenes):
                    scene()
                    before = shop.asked
                    while shop.asked < before + 10:
                        await trio.sleep(0.005)
                probe.stop()
                while not probe.finished:
                    await trio.sleep(0.005)
                return probe.outcomes()

    return trio.run(main)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.mark.parametrize(
    ("place", "by_version"), [("json:$.name", False), ("json:$.version", True), ("header:x-version", True)]
)
def test_readers_see_old_values_until_the_cache_is_invalid(shop: Shop, place: str, by_version: bool) -> None:
    def invalidate() -> None:
        shop.shown = (shop.name, shop.version)

    shop.stale = True
    with serving(shop) as url:
        outcomes = seen(shop, invalidation(url, place, by_version=by_version), invalidate)
    judged = outcomes["seen"]
    assert judged[0] == ProbeOutcome.BAD
    assert judged[-1] == ProbeOutcome.GOOD
    assert set(outcomes["reader"]) == {0, 1}
    assert outcomes["since"] <= outcomes["sent"][0] <= outcomes["done"][0] <= outcomes["until"]


def test_readers_of_a_service_that_invalidates_see_the_new_value_at_once(shop: Shop) -> None:
    with serving(shop) as url:
        assert set(seen(shop, invalidation(url))["seen"]) == {ProbeOutcome.GOOD}


def test_reads_that_are_not_answered_show_nothing(shop: Shop) -> None:
    with serving(shop) as url:
        outcomes = seen(shop, invalidation(url), lambda: setattr(shop, "away", True))
    assert outcomes["seen"][-1] == ProbeOutcome.NONE


def test_what_cannot_be_read_or_written_at_first_is_a_reason(shop: Shop) -> None:
    shop.away = True
    with serving(shop) as url:
        for order, said in (
            (invalidation(url), "GET /name was answered 503, so there is nothing to compare"),
            (writes(url), "POST /items was answered 503 before anything was broken"),
        ):
            with pytest.raises(BaseExceptionGroup) as refused:
                seen(shop, order)
            assert refused.group_contains(ActionError, match=said)


def test_acknowledged_writes_are_read_back_and_refused_ones_are_not_missed(shop: Shop) -> None:
    with serving(shop) as url:
        outcomes = seen(shop, writes(url), lambda: setattr(shop, "away", True), lambda: setattr(shop, "away", False))
    assert set(outcomes["seen"]) == {ProbeOutcome.GOOD, ProbeOutcome.NONE}
    # All but the first one, which comes before the fault, and one that may have been under way when it was over.
    assert len(shop.items) - 2 <= outcomes["seen"].count(ProbeOutcome.GOOD) <= len(shop.items) - 1


def test_acknowledged_writes_that_are_not_there_afterwards_are_lost(shop: Shop) -> None:
    shop.loses = True
    with serving(shop) as url:
        # The last one may have been under way when it was over.
        assert set(seen(shop, writes(url))["seen"]) - {ProbeOutcome.NONE} == {ProbeOutcome.BAD}


def test_a_write_that_is_never_answered_was_tried_and_not_acknowledged(shop: Shop) -> None:
    released = threading.Event()

    async def main(url: str) -> dict[str, Any]:
        with trio.fail_after(30.0):
            async with trio.open_nursery() as nursery:
                probe: Probe = probe_of(writes(url))
                shop.answers = lambda: shop.asked == 1 or released.wait(20.0)
                await probe.begin(nursery)
                while shop.asked < 2:
                    await trio.sleep(0.005)
                probe.stop()
                while not probe.finished:
                    await trio.sleep(0.005)
                released.set()
                return probe.outcomes()

    with serving(shop) as url:
        assert trio.run(main, url)["seen"] == [ProbeOutcome.NONE]


def test_answers_of_a_declared_kind_are_distinguished_by_what_they_say(shop: Shop) -> None:
    with serving(shop) as url:
        order = {"kind": "degraded", "request": request(url, "GET", "/name"), "statuses": [503], "every": 0.01}
        order |= {"place": "json:$.source", "equals": "fallback"}
        outcomes = seen(shop, order, lambda: setattr(shop, "away", True))
    assert outcomes["seen"][0] == ProbeOutcome.BAD
    assert outcomes["seen"][-1] == ProbeOutcome.GOOD


def test_redis_gets_a_command_and_its_refusal_is_a_reason() -> None:
    with redis_server("--requirepass", "se:cret") as redis:
        url = f"redis://:se%3Acret@{redis.host}:{redis.port}/3"
        trio.run(order_redis, url, ["SET", "model:4", "a b"])
        with pytest.raises(ActionError, match="Redis refuses INCR: ERR value is not an integer"):
            trio.run(order_redis, url, ["INCR", "model:4"])
        with pytest.raises(ActionError, match="NOAUTH"):
            trio.run(order_redis, f"redis://{redis.host}:{redis.port}", ["GET", "model:4"])
    with pytest.raises(ActionError, match="cannot be reached"):
        trio.run(order_redis, url, ["GET", "model:4"])


@pytest.mark.hostile("experiments")
@pytest.mark.parametrize("body", [b"[" * 500_000, b'{"name":' * 100_000, b"1" * 5_000, b"\xff", b'{"name": {}}'])
def test_a_response_that_is_nested_without_end_says_nothing_and_ends_no_probe(body: bytes) -> None:
    assert said_at(ProbeResponse(200, {}, body), "json:$.name") is None


@pytest.mark.hostile("experiments")
@pytest.mark.parametrize(
    ("said", "becomes"),
    [(b"-" + b"x" * 9_000 + b"\r\n", "Redis refuses SET: " + "x" * 200), (b"x" * 200_000, "what Redis answers has no end")],
)
def test_of_what_redis_says_without_end_a_part_is_repeated(said: bytes, becomes: str) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()
            await stream.send_all(said)

    async def main() -> str:
        async with trio.open_nursery() as nursery:
            listener, *_ = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
            try:
                await order_redis(f"redis://127.0.0.1:{listener.socket.getsockname()[1]}", ["SET", "a", "b"])
            except ActionError as error:
                return str(error)
            finally:
                nursery.cancel_scope.cancel()
        return ""

    assert trio.run(main) == becomes
