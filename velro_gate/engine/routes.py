"""Where the connections of a phase go: names resolved once, one TLS context shared by all."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import trio

from velro_gate.model.scenario import Target

_RESOLVE_SECONDS = 10.0
_RESOLVE_AGAIN = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One address of the service. host, port: for people; sockaddr: for connect()."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


@dataclass(slots=True, kw_only=True)
class Route:
    """All addresses of the service and how to speak to it. preferred: index of the address that was last reached."""

    addresses: tuple[Address, ...]
    server_name: str
    tls: ssl.SSLContext | None = None
    preferred: int = field(default=0)

    def __post_init__(self) -> None:
        if not self.addresses:
            raise ValueError("a route needs an address")

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """The (IP address, port) pairs."""
        return tuple((address.sockaddr[0], address.sockaddr[1]) for address in self.addresses)


def tls_context(target: Target) -> ssl.SSLContext | None:
    """The context for all connections to an https target, None for http."""
    if urlsplit(target.url).scheme != "https":
        return None
    context = ssl.create_default_context()
    if not target.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


async def find_route(target: Target, tls: ssl.SSLContext | None) -> Route | str:
    """The route to a target, or in words why its name leads nowhere. Tried again for a while: name servers hiccup."""
    parts = urlsplit(target.url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    reason = "no answer from the name server"
    with trio.move_on_after(_RESOLVE_SECONDS):
        while True:
            try:
                found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                return Route(addresses=_addresses(found), server_name=host, tls=tls)
            except OSError as error:
                reason = error.strerror or str(error)
                if isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME:
                    break
            except UnicodeError as error:
                reason = str(error)
                break
            await trio.sleep(_RESOLVE_AGAIN)
    return f"the name {host!r} cannot be resolved: {reason}"


def _addresses(
    found: Sequence[tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]],
) -> tuple[Address, ...]:
    seen: dict[Address, None] = {}
    for family, _, _, _, sockaddr in found:
        if family in (socket.AF_INET, socket.AF_INET6):
            seen[Address(family=int(family), sockaddr=sockaddr)] = None  # type: ignore[arg-type]
    return tuple(seen)
