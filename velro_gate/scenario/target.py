"""TargetSpec -> Target, with ``${env.NAME}`` and ``${env.NAME:-default}`` read from the environment."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from velro_gate.errors import MissingVariableError, UsageError
from velro_gate.model.readings import CONNECTIONS, PAGE_SERIES, WATCHED, PageFamily, page_series
from velro_gate.model.scenario import Target
from velro_gate.scenario.certificates import check_authorities, check_client_certificate
from velro_gate.scenario.steps import check_path
from velro_gate.scenario.syntax.faults import Faults, did_you_mean
from velro_gate.scenario.syntax.quantities import VARIABLE_PATTERN, names_process
from velro_gate.scenario.syntax.shape import TargetSpec
from velro_gate.scenario.syntax.templates import PLACEHOLDER

_HTTP = ("http", "https")
_PROCESSES = ("port", "pid", "command")
_FILES = ("ca_file", "client_certificate", "client_key", "unix_socket")
_LONGEST_SOCKET_PATH = 107
"""Bytes: what the kernel's structure for such an address holds, its closing zero left out."""


def target_from(
    spec: TargetSpec, environ: Mapping[str, str], folder: Path, faults: Faults, missing: dict[str, list[str]]
) -> Target | None:
    """The target with every variable resolved, and its files looked at; None when it has faults.

    folder: what relative file names start from. missing: gets every unset variable that has no default, with what needs it.
    An unset one hides no other fault.
    """
    environment = EnvironmentTexts(environ, faults, missing)
    urls = _replicas(spec, environment, faults)
    url = urls[0] if urls else environment.resolve(spec, "url", spec.url)
    watch = _watched(spec, environment, faults)
    files = {key: environment.resolve(spec, key, getattr(spec, key) or "") for key in _FILES}
    sources = [environment.resolve(spec, "source_addresses", text) for text in spec.source_addresses]
    for key, path in (("health", spec.health), ("metrics", spec.metrics)):
        if path:
            check_path(path, spec.line(key), faults)
    if url is not None and not urls:
        _check_url("target.url", spec.url, url, _HTTP, faults.at(spec.line("url")), bare=True)
    paths = {key: str(folder / name) if name else None for key, name in files.items()}
    addresses = tuple(text for text in sources if text is not None)
    _check_files(spec, paths, faults)
    _check_sources(spec, addresses, url or "", faults)
    families = _families(spec, faults)
    # An unset variable is no fault of the file, so it is in ``missing`` and not in ``faults``; a target cannot be made without
    # it.
    if faults or url is None or None in urls or None in watch.values() or None in files.values() or None in sources:
        return None
    return Target(
        url=url.rstrip("/"),
        urls=tuple(each.rstrip("/") for each in urls if each is not None),
        health_path=spec.health,
        metrics_path=None if "prometheus" in watch else spec.metrics or None,
        connections_metric=spec.connections_metric,
        families=families,
        watch=tuple((key, url) for key in WATCHED if (url := watch.get(key))),
        verify=spec.verify_tls,
        http2=spec.http2,
        ca_file=paths["ca_file"],
        client_certificate=paths["client_certificate"],
        client_key=paths["client_key"],
        unix_socket=paths["unix_socket"],
        source_addresses=addresses,
        follow_redirects=spec.follow_redirects,
        compression=spec.compression,
    )


def _replicas(spec: TargetSpec, environment: EnvironmentTexts, faults: Faults) -> list[str | None]:
    """The URLs of replicas; None where a variable is missing."""
    found: list[str | None] = []
    for index, text in enumerate(spec.urls):
        line = spec.line("urls", index)
        url = environment.resolved(text, line, "target.urls")
        if url is not None:
            _check_url("target.urls", text, url, _HTTP, faults.at(line), bare=True)
            if url in found:
                faults.add(line, "a replica is given twice", "each replica has an address of its own")
        found.append(url)
    if not found:
        return found
    for key in ("url", "unix_socket", "http2"):
        if key in spec.model_fields_set:
            faults.add(spec.line(key), f"'{key}' and 'urls' exclude each other", "remove one of them")
    if len(found) == 1:
        faults.add(spec.line("urls"), "one URL makes no replicas", "write it under 'url'")
    if len({urlsplit(url.rstrip("/"))[::2] for url in found if url is not None}) > 1:
        faults.add(spec.line("urls"), "replicas differ in scheme or path", "give all of them the same")
    return found


def page_check(
    environ: Mapping[str, str], faults: Faults, missing: dict[str, list[str]]
) -> Callable[[str, int, str], str | None]:
    """Resolves and checks the URL of a metrics page: (text, line, where) -> URL, None where it has faults."""
    environment = EnvironmentTexts(environ, faults, missing)

    def resolve(text: str, line: int, where: str) -> str | None:
        """The URL with its variables put in; None where one is unset, which has been reported."""
        url = environment.resolved(text, line, where)
        if url is not None:
            _check_url(where, text, url, _HTTP, faults.at(line))
        return url

    return resolve


def _watched(spec: TargetSpec, environment: EnvironmentTexts, faults: Faults) -> dict[str, str | None]:
    """What is watched, by its key in the registry of sources: its URL, empty for none, None where a variable is missing.

    Named under ``watch``, or by the source's older key of the target.
    """
    found: dict[str, str | None] = {}
    for key in spec.watch:
        if key not in WATCHED:
            faults.add(spec.line("watch", key), f"nothing that can be watched is called {key!r}", did_you_mean(key, WATCHED))
    for key, source in WATCHED.items():
        if key in spec.watch:
            where, line, text = f"target.watch.{key}", spec.line("watch", key), spec.watch[key] or ""
            if source.alias in spec.model_fields_set:
                what = f"{source.label} is named twice, by 'watch.{key}' and by '{source.alias}'"
                faults.add(spec.line(source.alias), what, f"keep 'watch.{key}'")
        elif key == "prometheus" or not source.alias:
            continue  # the older key of the metrics page is a path on the service
        else:
            where, line = f"target.{source.alias}", spec.line(source.alias)
            text = getattr(spec, source.alias) or ""
        url = found[key] = environment.resolved(text, line, where)
        if url:
            _check_url(where, text, url, source.schemes, faults.at(line))
    return found


def _families(spec: TargetSpec, faults: Faults) -> tuple[PageFamily, ...]:
    """What series are called on the metrics page; a series that no page shows is a fault."""
    found = []
    for series, named in spec.families.items():
        if page_series(series) is None:
            what = f"no metrics page shows a series {series!r} of the service"
            faults.add(spec.line("families", series), what, did_you_mean(series, PAGE_SERIES) or "docs/data.md lists them")
            continue
        if series == CONNECTIONS and spec.connections_metric is not None:
            what = "the database connections are named twice, by 'families' and by 'connections_metric'"
            faults.add(spec.line("families", series), what, "keep one of them")
        found.append(PageFamily(series=series, family=named.family, labels=tuple(sorted(named.labels.items()))))
    if found and not spec.metrics and "prometheus" not in spec.watch:
        faults.add(spec.line("families"), "'families' belong to a metrics page", "name the page under 'metrics'")
    return tuple(found)


def _check_files(spec: TargetSpec, paths: Mapping[str, str | None], faults: Faults) -> None:
    authorities, certificate, key, socket = (paths[name] for name in _FILES)
    if authorities is not None:
        check_authorities(Path(authorities), faults.at(spec.line("ca_file")))
    if certificate is not None:
        own_key = None if key is None else Path(key)
        check_client_certificate(
            Path(certificate), own_key, faults.at(spec.line("client_certificate")), faults.at(spec.line("client_key"))
        )
    elif key is not None:
        faults.add(spec.line("client_key"), "'client_key' belongs to a 'client_certificate'")
    if socket is not None and len(socket.encode()) > _LONGEST_SOCKET_PATH:
        what = f"target.unix_socket is longer than the {_LONGEST_SOCKET_PATH} bytes that the path of a socket may have"
        faults.add(spec.line("unix_socket"), what, "choose a folder with a shorter name")


def _check_sources(spec: TargetSpec, sources: tuple[str, ...], url: str, faults: Faults) -> None:
    """Whether they are addresses. Whether they are this machine's is asked later: a file may be checked elsewhere."""
    families = set()
    for index, text in enumerate(sources):
        line = spec.line("source_addresses", index)
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            faults.add(line, f"the source address {text!r} is not an IP address", "for example 127.0.0.2, or fd00::2")
            continue
        # A wildcard would bind and let the kernel choose one address for all connections: the ports of one, not of several.
        if address.is_unspecified or address.is_multicast:
            faults.add(line, f"no connection can come from {text}", "name addresses of this machine")
        if text in sources[:index]:
            faults.add(line, f"the source address {text} is given twice")
        families.add(address.version)
    if sources and spec.unix_socket:
        faults.add(spec.line("source_addresses"), "a connection to a unix socket has no source address", "keep one of the two")
    try:
        # A name may have addresses of both families, which is found out when it is resolved.
        host = ipaddress.ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return
    if families and host.version not in families:
        what = f"target.url is an IPv{host.version} address, and none of the source addresses is"
        faults.add(spec.line("source_addresses"), what)


class EnvironmentTexts:
    """Puts variables into texts of the file. missing: gets every unset one that has no default, with what needs it."""

    def __init__(self, environ: Mapping[str, str], faults: Faults, missing: dict[str, list[str]]) -> None:
        self._environ, self._faults, self._missing = environ, faults, missing

    def resolve(self, spec: TargetSpec, key: str, text: str) -> str | None:
        """The text under a key of the target, see ``resolved``."""
        return self.resolved(text, spec.line(key), f"target.{key}")

    def resolved(self, text: str, line: int, where: str) -> str | None:
        """The text with its variables put in; None when one is missing or malformed. An empty variable counts as unset."""
        parts, end, whole = [], 0, True
        for match in PLACEHOLDER.finditer(text):
            value = self._value(match[1], line, where)
            whole = whole and value is not None
            parts += [text[end : match.start()], value or ""]
            end = match.end()
        rest = text[end:]
        if "${" in rest:
            self._faults.add(line, "'${' is never closed", "write ${env.NAME}")
            return None
        return "".join([*parts, rest]) if whole else None

    def _value(self, name: str, line: int, needed_by: str) -> str | None:
        variable, has_default, default = name.removeprefix("env.").partition(":-")
        if not name.startswith("env.") or not re.fullmatch(VARIABLE_PATTERN, variable):
            place = needed_by.partition(".")[0]
            hint = f"under '{place}' only ${{env.NAME}} and ${{env.NAME:-default}} do"
            self._faults.add(line, f"${{{name}}} means nothing here", hint)
            return None
        found = self._environ.get(variable, "")
        if not found and not has_default:
            self._missing.setdefault(variable, []).append(needed_by)
            return None
        return found or default


def _check_url(
    where: str,
    written: str,
    url: str,
    schemes: tuple[str, ...],
    report: Callable[[str, str | None], None],
    *,
    bare: bool = False,
) -> None:
    # The URL itself is not shown: it may hold a password from the environment.
    origin = f" (from {written})" if "${" in written else ""
    fault = _url_fault(url, schemes, bare=bare)
    if fault is not None:
        report(f"{where}{origin} {fault[0]}", fault[1])


def _url_fault(url: str, schemes: tuple[str, ...], *, bare: bool) -> tuple[str, str | None] | None:
    """What is wrong with a URL, and a suggestion; None when nothing is. bare: it is what the steps' paths are added to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL", None
    # Libraries write the driver into the scheme: postgresql+asyncpg://
    scheme = parts.scheme.partition("+")[0] if "postgresql" in schemes else parts.scheme
    if scheme not in schemes:
        return f"does not start with {schemes[0]}:{'' if schemes == _PROCESSES else '//'}", f"schemes: {', '.join(schemes)}"
    if scheme in _PROCESSES and not names_process(url):
        return "names no process", "port:8400, pid:4711 or command:gunicorn"
    if not parts.hostname and scheme in _HTTP:
        return "names no host", None
    if scheme == "unix" and (parts.netloc.rpartition("@")[2] or not parts.path.strip("/")):
        return "names no socket", "unix:///run/redis.sock"
    if port == 0:
        return "has port 0", None
    if bare and "@" in parts.netloc:
        return "holds a user or a password, which is never sent", "use 'auth', or a header with ${env.NAME}"
    if bare and ("?" in url or "#" in url):
        return "holds more than scheme, host, port and path", "a query belongs to the steps"
    if bare and any(ord(letter) <= 0x20 or ord(letter) >= 0x7F for letter in parts.path):
        return "has a path with a character that must be percent-encoded", "a blank is %20"
    return None


def service_url(text: str, given_as: str) -> str:
    """A service's URL from outside the scenario file, such as the command line, without a slash at its end.

    Raises:
        UsageError: it is not a valid one; it is not shown, since it may contain a password.
    """
    fault = _url_fault(text, _HTTP, bare=True)
    if fault is not None:
        what, suggestion = fault
        raise UsageError(
            f"{given_as} {what}" + (f" ({suggestion})" if suggestion else ""),
            hint="Write scheme, host, port and, where the service has one, its path: http://127.0.0.1:8400.",
        )
    return text.rstrip("/")


def missing_variables(missing: Mapping[str, list[str]], where: str | None = None) -> MissingVariableError:
    """The error that names every missing variable and what needs it."""
    needs = [f"{name} (needed by {', '.join(dict.fromkeys(places))})" for name, places in sorted(missing.items())]
    verb = "is" if len(needs) == 1 else "are"
    exports = "; ".join(f"export {name}=..." for name in sorted(missing))
    return MissingVariableError(
        f"{', '.join(needs)} {verb} not set in the environment",
        where=where,
        hint=f"{exports} (secrets are read from the environment only, never from a file)",
    )
