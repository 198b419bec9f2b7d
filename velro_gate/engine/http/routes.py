"""Where connections of a phase go and come from: names looked up now and then, one TLS context and newest session for all."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf
from urllib.parse import urlsplit

import trio

from velro_gate.engine.http.replicas import Replicas
from velro_gate.engine.http.tls import client_context
from velro_gate.model.scenario import Target

_RESOLVE_SECONDS = 10.0
"""How long a name may take to resolve, further tries included; the resolver itself gives a name server 5 s a try and tries
twice by default (resolv.conf(5)).
"""
_RESOLVE_AGAIN = 1.0
"""Seconds until a name that could not be resolved is looked up again: a name server may be busy, or just be starting."""
LOOK_UP_EVERY = 5.0
"""Seconds between two looks whether the service's name has other addresses."""
_LOOK_AGAIN = 1.0
"""Seconds between two looks for a TLS session while there is none."""
_RENEW = 10.0
"""Seconds after which a session is replaced by a newer one: services change the keys of their tickets."""
_HEAD_START, _PREFER_SECONDS = 0.25, 2.0
_LATE_PORT = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)
"""linux/in.h: choose the port on connecting, where it has to be free toward this target only, and not on binding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One address of the service."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int] | str
    """For connect(); a path where the family is AF_UNIX."""


@dataclass(slots=True, kw_only=True)
class Route:
    """All addresses of the service and how to speak to it."""

    addresses: tuple[Address, ...]
    server_name: str
    tls: ssl.SSLContext | None = None
    sources: tuple[str, ...] = ()
    """IP addresses that connections come from, in turn; empty: the system chooses."""
    preferred: int = field(default=0)
    """Index of the address that was last reached."""
    replicas: Replicas | None = None
    """Where the addresses are those of replicas: which connection goes to which."""
    names: tuple[tuple[str, int], ...] = ()
    """The names, with ports, that the addresses were looked up for, one for each replica; empty where none can change."""
    session: ssl.SSLSession | None = field(default=None)
    """The newest TLS session, which the next handshake takes up."""
    _looked_at: float = field(default=-inf)
    _sources: dict[int, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        if not self.addresses:
            raise ValueError("a route needs an address")
        families = (int(socket.AF_INET), int(socket.AF_INET6))
        self._sources = {family: tuple(s for s in self.sources if source_family(s) == family) for family in families}

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """The (IP address, port) pairs; a unix socket has none."""
        return tuple((a.sockaddr[0], a.sockaddr[1]) for a in self.addresses if not isinstance(a.sockaddr, str))

    def first_address(self, turn: int) -> int:
        """The index of the address that the connection of this number tries first."""
        return self.preferred if self.replicas is None else self.replicas.of(turn)

    def renew(self, found: Sequence[tuple[Address, ...]]) -> bool:
        """Take up the addresses that the names have now, an empty tuple where nothing was found; whether that changes where new
        connections go. Name servers give the same addresses in another order each time, so what is in use stays while it is
        still among them.
        """
        if self.replicas is None:
            (now,) = found
            if not now or set(now) == set(self.addresses):
                return False
            kept = self.addresses[self.preferred]
            self.addresses, self.preferred = now, now.index(kept) if kept in now else 0
            return kept not in now
        chosen = [old if old in new or not new else new[0] for old, new in zip(self.addresses, found, strict=True)]
        if tuple(chosen) == self.addresses:
            return False
        self.addresses = tuple(chosen)
        return True

    @property
    def path(self) -> str | None:
        """The unix socket's path, where it leads to one."""
        return next((a.sockaddr for a in self.addresses if isinstance(a.sockaddr, str)), None)

    def new_socket(self, family: int, turn: int) -> socket.socket:
        """A non-blocking socket of this family, bound to the source address whose turn it is.

        Raises:
            OSError: this machine has no descriptor left, or not that address.
        """
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setblocking(False)
        if family == socket.AF_UNIX:
            return made
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sources = self._sources[family]
        if sources:
            try:
                bind_to(made, sources[turn % len(sources)])
            except OSError:
                made.close()
                raise
        return made

    def wrapped(self, made: socket.socket) -> ssl.SSLSocket:
        """The socket as a TLS socket, its handshake not begun.

        Raises:
            OSError: the connection has ended already.
        """
        assert self.tls is not None
        return self.tls.wrap_socket(made, server_hostname=self.server_name, do_handshake_on_connect=False, session=self.session)

    def remember(self, made: ssl.SSLSocket, now: float) -> None:
        """Keep the session of a standing connection, where it can be taken up again: with TLS 1.3 that takes a ticket.

        Python 3.11 to 3.13 never free what a read of ``session`` makes (5 kB), so it is read now and then only.
        """
        if now - self._looked_at < (_LOOK_AGAIN if self.session is None else _RENEW):
            return
        self._looked_at = now
        found = made.session
        if found is not None and (found.has_ticket or (found.id and made.version() != "TLSv1.3")):
            self.session = found


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRoute:
    """The target's name leads nowhere. A value and no error: in the middle of a run it ends a phase, and is kept."""

    reason: str


def source_family(text: str) -> int:
    """The address family of an IP address."""
    return int(socket.AF_INET if ipaddress.ip_address(text).version == 4 else socket.AF_INET6)


def bind_to(made: socket.socket, source: str) -> None:
    """Let a socket's connection come from this address of ours, its port still open.

    So the limit is one port for each (source, target) pair, and not one for each source.

    Raises:
        OSError: it is not an address of this machine.
    """
    made.setsockopt(socket.IPPROTO_IP, _LATE_PORT, 1)
    made.bind((source, 0))


def foreign_sources(sources: Sequence[str]) -> tuple[str, ...]:
    """Those of the addresses that no connection can come from, because they are not this machine's."""
    foreign = []
    for source in sources:
        with socket.socket(source_family(source), socket.SOCK_STREAM) as probe:
            try:
                bind_to(probe, source)
            except OSError:
                foreign.append(source)
    return tuple(foreign)


def tls_context(target: Target) -> ssl.SSLContext | None:
    """The context for all connections to an https target, None for http.

    Raises:
        UsageError: a certificate file cannot be used.
    """
    return client_context(target) if urlsplit(target.url).scheme == "https" else None


async def find_route(target: Target, tls: ssl.SSLContext | None) -> Route | NoRoute:
    """The route to a target, or why its name leads nowhere. Tried again for a while: name servers hiccup."""
    if len(target.urls) > 1:
        return await _to_replicas(target, tls)
    parts = urlsplit(target.url)
    host = parts.hostname or ""
    if target.unix_socket is not None:
        local = Address(family=int(socket.AF_UNIX), sockaddr=target.unix_socket)
        return Route(addresses=(local,), server_name=host, tls=tls)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    reason = "no response from the name server"
    with trio.move_on_after(_RESOLVE_SECONDS):
        while True:
            try:
                found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                route = _route(_addresses(found), host, tls, target.source_addresses)
                if isinstance(route, Route):
                    route.names = () if _is_literal(host) else ((host, port),)
                    if len(route.addresses) > 1:
                        await _prefer(route)
                return route
            except OSError as error:
                reason = error.strerror or str(error)
                # The name server has answered that there is no such name: asking again changes nothing. Other errors may pass.
                if isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME:
                    break
            except UnicodeError as error:
                reason = str(error)
                break
            await trio.sleep(_RESOLVE_AGAIN)
    return NoRoute(reason=f"the name {host!r} cannot be resolved: {reason}")


async def _to_replicas(target: Target, tls: ssl.SSLContext | None) -> Route | NoRoute:
    """The route to several replicas: one address of each, in their order."""
    found = []
    for url in target.urls:
        each = await find_route(replace(target, url=url, urls=()), tls)
        if isinstance(each, NoRoute):
            return each
        found.append(each)
    health = [_health_request(url, target.health_path) for url in target.urls]
    places = [(each.server_name, each.endpoints[0][1]) for each in found]
    return Route(
        # One address each, since users are dealt over the addresses of a route, and each replica is to get an equal part.
        addresses=tuple(each.addresses[each.preferred] for each in found),
        server_name=found[0].server_name,
        tls=tls,
        sources=target.source_addresses,
        replicas=Replicas(health),
        names=tuple(places) if any(each.names for each in found) else (),
    )


async def keep_looking_up(route: Route) -> None:
    """Look again and again which addresses the route's names have, and let new connections go there. Those that stand stay
    until they end; idle ones of a replica are moved with the next health check.
    """
    while True:
        await trio.sleep(LOOK_UP_EVERY)
        route.renew([await _looked_up(host, port, route.sources) for host, port in route.names])


async def _looked_up(host: str, port: int, sources: tuple[str, ...]) -> tuple[Address, ...]:
    """The addresses of a name that can be reached; none where the name server gives none, which may be its own fault."""
    with trio.move_on_after(_RESOLVE_SECONDS), contextlib.suppress(OSError, UnicodeError):
        found = _addresses(await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        families = {source_family(source) for source in sources}
        return tuple(address for address in found if not families or address.family in families)
    return ()


def _is_literal(host: str) -> bool:
    """Whether a host is an IP address itself."""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return False


def _health_request(url: str, health_path: str) -> bytes:
    parts = urlsplit(url)
    path = f"{parts.path.rstrip('/')}/{health_path.lstrip('/')}"
    host = parts.netloc.rpartition("@")[2]
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("ascii")


async def _prefer(route: Route) -> None:
    """Prefer the address that takes a connection, each tried a little later than the one before it (RFC 8305, 5).

    ``localhost`` has two addresses of which a service may listen on one, and a host may drop packets to one of its own.
    """
    async with trio.open_nursery() as nursery:

        async def reach(index: int, address: Address) -> None:
            """Try one address; the first that takes a connection is preferred, and the others are not tried any further."""
            await trio.sleep(index * _HEAD_START)
            with contextlib.suppress(OSError), trio.socket.from_stdlib_socket(route.new_socket(address.family, 0)) as made:
                await made.connect(address.sockaddr)
                route.preferred = index
                nursery.cancel_scope.cancel()

        nursery.cancel_scope.deadline = trio.current_time() + _PREFER_SECONDS
        for index, address in enumerate(route.addresses):
            nursery.start_soon(reach, index, address)


def _route(addresses: tuple[Address, ...], host: str, tls: ssl.SSLContext | None, sources: tuple[str, ...]) -> Route | NoRoute:
    """A route over the addresses that can be reached from the sources."""
    families = {source_family(source) for source in sources}
    within = tuple(address for address in addresses if not families or address.family in families)
    if not within:
        said = f"{host!r} has no address that the source addresses {', '.join(sources)} can reach: one is IPv4, the other IPv6"
        return NoRoute(reason=said)
    return Route(addresses=within, server_name=host, tls=tls, sources=sources)


def _addresses(
    found: Sequence[tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]],
) -> tuple[Address, ...]:
    seen: dict[Address, None] = {}
    for family, _, _, _, sockaddr in found:
        if family in (socket.AF_INET, socket.AF_INET6):
            seen[Address(family=int(family), sockaddr=sockaddr)] = None  # type: ignore[arg-type]
    return tuple(seen)
