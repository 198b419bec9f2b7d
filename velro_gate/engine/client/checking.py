"""A transport for single requests that reads responses as the load does, so that the two never disagree about what is HTTP."""

from __future__ import annotations

from contextlib import aclosing

import httpx
import trio

from velro_gate.engine.client.transport import WireTransport
from velro_gate.engine.http.connection import MOST_ANSWER, Wire
from velro_gate.engine.http.parsing.headers import HeaderKinds
from velro_gate.engine.http.poller import Poller
from velro_gate.engine.http.routes import NoRoute, find_route, tls_context
from velro_gate.engine.http.tls import client_context
from velro_gate.model.scenario import Target

MOST_READ = 1 << 20
"""Bytes of a body that are read."""


class CheckingTransport(httpx.AsyncBaseTransport):
    """Sends each request over a connection of its own, on the load's way to the service and with its reading of responses.

    Where no connection comes about, httpx's own transport tries as well: its errors give the system's reason. Where the load
    speaks HTTP/2, it is that transport which reads all responses.

    Raises:
        UsageError: a certificate file cannot be used.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._tls = tls_context(target)
        self._explaining = transport_to(target)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read its response, of a long body the beginning."""
        route = await find_route(self._target, self._tls)
        if self._target.http2 or isinstance(route, NoRoute):
            return await self._explaining.handle_async_request(request)
        poller = Poller(now=trio.current_time)
        wire = Wire(route, poller, trio.current_time, HeaderKinds())
        transport = WireTransport(wire, self._target.url, most_answer=MOST_ANSWER)
        try:
            return await self._exchanged(transport, poller, request)
        except httpx.ConnectError:
            return await self._explaining.handle_async_request(request)
        finally:
            poller.close()

    async def _exchanged(self, transport: WireTransport, poller: Poller, request: httpx.Request) -> httpx.Response:
        """The response. An error leaves the nursery alone, not in a group."""
        outcome: httpx.Response | httpx.TransportError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            try:
                response = await transport.handle_async_request(request)
                body = await _beginning(response)
                outcome = httpx.Response(
                    response.status_code,
                    headers=response.headers.raw,
                    stream=httpx.ByteStream(body),
                    extensions={key: response.extensions[key] for key in ("http_version", "reason_phrase")},
                )
            except httpx.TransportError as error:
                outcome = error
            finally:
                transport.close()
                nursery.cancel_scope.cancel()
        # The nursery, cancelled itself, takes a cancelling from outside for its own.
        await trio.lowlevel.checkpoint_if_cancelled()
        if isinstance(outcome, httpx.Response):
            return outcome
        assert outcome is not None
        raise outcome

    async def aclose(self) -> None:
        """Close what explains."""
        await self._explaining.aclose()


async def _beginning(response: httpx.Response) -> bytes:
    """The body, or as much of it as anybody who asks once looks at: a service may send without end."""
    body = bytearray()
    async with aclosing(response.aiter_raw()) as pieces:  # type: ignore[type-var]  # a generator
        async for piece in pieces:
            body += piece
            if len(body) > MOST_READ:
                break
    return bytes(body)


def transport_to(target: Target) -> httpx.AsyncHTTPTransport:
    """httpx's own transport to the service, for the monitor, on the way that the load takes.

    Raises:
        UsageError: a certificate file cannot be used.
    """
    source = target.source_addresses[0] if target.source_addresses else None
    return httpx.AsyncHTTPTransport(
        verify=client_context(target),
        # As the load of such a target: without TLS nothing distinguishes the two.
        http1=not target.http2,
        http2=target.http2,
        trust_env=False,
        uds=target.unix_socket,
        local_address=source,
    )
