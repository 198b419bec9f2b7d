"""A fault proxy passes everything on, breaks what it is asked to break, and works again afterwards, on the same port."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio

from velro_gate.engine.faults.carrying import Forwarders
from velro_gate.engine.faults.proxy import FaultProxy
from velro_gate.model.resilience.network import NetworkFault, Outage, WireProtocol

Test = Callable[["Between"], Awaitable[None]]
_USED: list[Forwarders | None] = []


@pytest.fixture(scope="module")
def thread() -> Forwarders:
    return Forwarders()


@pytest.fixture(autouse=True, params=["tasks", "thread"])
def carried_by(request: pytest.FixtureRequest, thread: Forwarders) -> None:
    """Every test is of both ways to carry a connection."""
    _USED[:] = [thread if request.param == "thread" else None]


def carriers_now() -> Forwarders | None:
    return _USED[0]


@dataclass
class Between:
    """A proxy to a dependency that sends back what comes."""

    proxy: FaultProxy
    port: int
    streams: list[trio.SocketStream] = field(default_factory=list)

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def dependency(self, number: int = 0) -> trio.SocketStream:
        """The dependency's end of a connection."""
        while len(self.streams) <= number:
            await trio.sleep(0)
        return self.streams[number]


@asynccontextmanager
async def between(protocol: WireProtocol = WireProtocol.TCP) -> AsyncIterator[Between]:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        proxy = FaultProxy("127.0.0.1", port, protocol=protocol, carriers=carriers_now())
        made = Between(proxy, proxy.listen())

        async def echo(stream: trio.SocketStream) -> None:
            made.streams.append(stream)
            try:
                async for some in stream:
                    await stream.send_all(some)
            except trio.BrokenResourceError:
                pass

        nursery.start_soon(trio.serve_listeners, echo, listeners)
        nursery.start_soon(proxy.serve)
        yield made
        nursery.cancel_scope.cancel()


def run(test: Test, protocol: WireProtocol = WireProtocol.TCP) -> None:
    async def main() -> None:
        with trio.fail_after(60.0):
            async with between(protocol) as made:
                await test(made)

    trio.run(main)


async def asked(stream: trio.SocketStream, said: bytes = b"hello") -> bytes:
    await stream.send_all(said)
    heard = b""
    while len(heard) < len(said):
        some = await stream.receive_some()
        assert some, "closed"
        heard += some
    return heard


async def read_into(heard: list[bytes | bytearray], stream: trio.SocketStream) -> None:
    while True:
        heard.append(await stream.receive_some())
        assert heard[-1], "closed"


async def is_silent(stream: trio.SocketStream) -> bool:
    with trio.move_on_after(0.1):
        await stream.receive_some()
        return False
    return True


def test_everything_passes_and_is_counted() -> None:
    async def test(made: Between) -> None:
        body = bytes(range(256)) * 20_000
        async with await made.connect() as stream, trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, body)
            heard = b""
            while len(heard) < len(body):
                heard += await stream.receive_some()
            assert heard == body
        assert made.proxy.counts.accepted == 1
        assert made.proxy.counts.sent == made.proxy.counts.received == len(body)
        assert made.proxy.counts.requests is None

    run(test)


def test_the_end_of_one_direction_leaves_the_other_open() -> None:
    async def test(made: Between) -> None:
        async with await made.connect() as stream:
            await stream.send_all(b"all of it")
            await stream.send_eof()
            assert b"".join([some async for some in stream]) == b"all of it"

    run(test)


def test_requests_of_connections_that_ended_are_counted_too() -> None:
    async def test(made: Between) -> None:
        for _ in range(2):
            async with await made.connect() as stream:
                await asked(stream, b"PING\r\nPING\r\n")
        async with await made.connect() as stream:
            await asked(stream, b"PING\r\n")
            assert made.proxy.counts.requests == 5

    run(test, WireProtocol.REDIS)


@pytest.mark.parametrize("outage", [Outage.REFUSE, Outage.RESET])
def test_connections_that_stand_are_reset_and_new_ones_fail_until_it_is_over(outage: Outage) -> None:
    async def test(made: Between) -> None:
        async with await made.connect() as stream:
            await asked(stream)
            made.proxy.set(NetworkFault(outage=outage))
            with pytest.raises(trio.BrokenResourceError) as broken:
                await stream.receive_some()
            assert isinstance(broken.value.__cause__, ConnectionResetError)
        for _ in range(3):
            with pytest.raises((OSError, trio.BrokenResourceError)) as failed:
                async with await made.connect() as stream:
                    await stream.receive_some()
            if outage is Outage.REFUSE:
                assert isinstance(failed.value, OSError)
        made.proxy.set(None)
        async with await made.connect() as stream:
            assert await asked(stream) == b"hello"

    run(test)


def test_nothing_passes_a_black_hole_and_afterwards_all_of_it_does() -> None:
    async def test(made: Between) -> None:
        async with await made.connect() as stream:
            await asked(stream)
            made.proxy.set(NetworkFault(outage=Outage.BLACK_HOLE))
            await stream.send_all(b"later")
            assert await is_silent(stream)
            async with await made.connect() as second:
                await second.send_all(b"new")
                assert await is_silent(second)
                made.proxy.set(None)
                assert await second.receive_some() == b"new"
            assert await stream.receive_some() == b"later"

    run(test)


def test_a_half_open_connection_is_silent_and_is_reset_at_the_first_byte_after_the_fault() -> None:
    async def test(made: Between) -> None:
        async with await made.connect() as stream:
            await asked(stream)
            made.proxy.set(NetworkFault(outage=Outage.HALF_OPEN))
            dependency = await made.dependency()
            while dependency.socket.fileno() >= 0:
                await trio.sleep(0)  # until the dependency has seen its end closed
            await stream.send_all(b"anybody there?")
            assert await is_silent(stream)
            async with await made.connect() as second:
                assert await is_silent(second)
            made.proxy.set(None)
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
        async with await made.connect() as stream:
            assert await asked(stream) == b"hello"

    run(test)


def test_responses_are_delayed_and_keep_their_order() -> None:
    async def test(made: Between) -> None:
        made.proxy.set(NetworkFault(delay=0.2, jitter=0.1))
        async with await made.connect() as stream:
            began = trio.current_time()
            await asked(stream)
            assert trio.current_time() - began >= 0.1
            words = [b"%04d" % number for number in range(50)]
            async with trio.open_nursery() as nursery:

                async def say() -> None:
                    for word in words:
                        await stream.send_all(word)
                        await trio.sleep(0)

                nursery.start_soon(say)
                heard = b""
                while len(heard) < 200:
                    heard += await stream.receive_some()
            assert heard == b"".join(words)

    run(test)


def test_a_narrow_link_takes_its_time_and_what_waits_passes_when_the_fault_is_over() -> None:
    async def test(made: Between) -> None:
        made.proxy.set(NetworkFault(bandwidth=100_000.0))
        async with await made.connect() as stream, trio.open_nursery() as nursery:
            began = trio.current_time()
            await asked(stream, bytes(20_000))
            assert trio.current_time() - began >= 0.2
            nursery.start_soon(stream.send_all, bytes(5_000_000))
            await stream.receive_some()
            made.proxy.set(None)
            left = 4_900_000
            while left > 0:
                left -= len(await stream.receive_some())
            assert trio.current_time() - began < 25.0
            nursery.cancel_scope.cancel()

    run(test)


def test_a_connection_is_cut_after_so_many_bytes_of_responses() -> None:
    async def test(made: Between) -> None:
        async with await made.connect() as stream:
            await asked(stream, bytes(1_000))
            made.proxy.set(NetworkFault(cut_after=10))
            await stream.send_all(bytes(8))
            await stream.receive_some()
            await stream.send_all(bytes(8))
            heard: list[bytes | bytearray] = []
            with pytest.raises(trio.BrokenResourceError):
                await read_into(heard, stream)
            assert sum(map(len, heard)) <= 2

    run(test)


def test_a_dependency_that_is_not_there_is_a_reset_and_is_counted() -> None:
    async def main() -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            proxy = FaultProxy("127.0.0.1", nobody.getsockname()[1])
            port = proxy.listen()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(proxy.serve)
                with pytest.raises(trio.BrokenResourceError):
                    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                        await stream.receive_some()
                assert (proxy.counts.accepted, proxy.counts.failed) == (1, 1)
                nursery.cancel_scope.cancel()

    trio.run(main)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"delay": 0.1, "jitter": 0.2},
        {"bandwidth": 0.0},
        {"cut_after": -1},
        {"outage": Outage.RESET, "delay": 0.1},
    ],
)
def test_a_network_fault_that_makes_no_sense_cannot_be_made(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        NetworkFault(**wrong)
