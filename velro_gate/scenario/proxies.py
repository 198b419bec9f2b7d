"""ProxySpec -> Proxy: where a dependency is, and where the service is to find it instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from velro_gate.model.resilience.experiment import Proxy
from velro_gate.model.resilience.network import WireProtocol
from velro_gate.scenario.syntax.experiment_shape import ProxySpec
from velro_gate.scenario.syntax.faults import Faults
from velro_gate.scenario.syntax.shape import FileSpec
from velro_gate.scenario.target import EnvironmentTexts

_Report = Callable[[str, str | None], None]
_SCHEMES = {
    "redis": (6379, WireProtocol.REDIS),
    "postgresql": (5432, WireProtocol.POSTGRES),
    "postgres": (5432, WireProtocol.POSTGRES),
    "http": (80, WireProtocol.HTTP),
    # Encrypted: nothing can be counted in it.
    "rediss": (6379, WireProtocol.TCP),
    "https": (443, WireProtocol.TCP),
}
_EVERYWHERE = re.compile(r"0+(\.0+){0,3}|[0:]+|\*")
_PLACE = re.compile(r"(?:(?P<host>[^\s:/@\[\]]+|\[[0-9a-fA-F:.]+\]):)?(?P<port>\d{1,5})")


def proxies_from(
    draft: FileSpec, environ: Mapping[str, str], faults: Faults, missing: dict[str, list[str]]
) -> tuple[Proxy, ...]:
    """The proxies of a file, in its order; those with faults are left out."""
    environment = EnvironmentTexts(environ, faults, missing)
    found: dict[str, Proxy] = {}
    for name, spec in draft.proxies.items():
        proxy = _proxy(name, spec, environment, faults)
        if proxy is None:
            continue
        same = next((other for other in found.values() if other.address == proxy.address), None)
        if same is not None:
            faults.add(
                spec.line("listen"), f"the proxies {same.name!r} and {name!r} listen on one address", "give each its own"
            )
        found[name] = proxy
    return tuple(found.values())


def _proxy(name: str, spec: ProxySpec, environment: EnvironmentTexts, faults: Faults) -> Proxy | None:
    to = environment.resolved(spec.to, spec.line("to"), f"proxies.{name}.to")
    listen = environment.resolved(spec.listen, spec.line("listen"), f"proxies.{name}.listen")
    dependency = None if to is None else _dependency(to, faults.at(spec.line("to")))
    own = None if listen is None else _own(listen, faults.at(spec.line("listen")))
    if dependency is None or own is None:
        return None
    # Each connection that the proxy accepts would open the next one to itself, until the descriptors run out.
    if dependency[:2] == own:
        hint = "'to' is where the dependency itself is: only the service gets the address under 'listen'"
        faults.add(spec.line("listen"), f"the proxy {name!r} would pass on to itself, at {own[0]}:{own[1]}", hint)
        return None
    host, port, spoken = dependency
    protocol = spoken if spec.protocol is None else WireProtocol(spec.protocol)
    return Proxy(name=name, to_host=host, to_port=port, listen_host=own[0], listen_port=own[1], protocol=protocol)


def _dependency(text: str, report: _Report) -> tuple[str, int, WireProtocol] | None:
    # The text itself is not shown: it may hold a password from the environment.
    if "://" not in text:
        place = _place(text)
        if place is None or not place[0]:
            report("'to' is no host:port and no URL", "for example 127.0.0.1:6379 or redis://127.0.0.1:6379/0")
            return None
        return place[0], place[1], WireProtocol.TCP
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        report("'to' is no URL", None)
        return None
    # Libraries write the driver into the scheme: postgresql+asyncpg://
    usual, spoken = _SCHEMES.get(parts.scheme.partition("+")[0], (None, WireProtocol.TCP))
    port = port or usual
    if not host or not port:
        report("'to' names no host and port", "for example redis://127.0.0.1:6379/0")
        return None
    return host, port, spoken


def _own(text: str, report: _Report) -> tuple[str, int] | None:
    place = _place(text)
    if place is None:
        report(f"'listen' is {text!r}, which is no host:port", "for example 127.0.0.1:16379")
        return None
    if _EVERYWHERE.fullmatch(place[0]):
        what = "'listen' offers the dependency to the whole network"
        report(what, "name the address at which the service reaches this machine: 127.0.0.1, or that of a bridge")
        return None
    return place[0] or "127.0.0.1", place[1]


def _place(text: str) -> tuple[str, int] | None:
    match = _PLACE.fullmatch(text.strip())
    if match is None or not 0 < int(match["port"]) < 65_536:
        return None
    host = (match["host"] or "").strip("[]")
    return host, int(match["port"])
