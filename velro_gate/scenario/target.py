"""TargetSpec -> Target, with ``${env.NAME}`` and ``${env.NAME:-default}`` read from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from velro_gate.errors import MissingVariableError, UsageError
from velro_gate.model.scenario import Target
from velro_gate.scenario.faults import Faults
from velro_gate.scenario.quantities import VARIABLE_PATTERN
from velro_gate.scenario.shape import TargetSpec
from velro_gate.scenario.steps import check_path
from velro_gate.scenario.templates import PLACEHOLDER

_HTTP = ("http", "https")
_REDIS = ("redis", "rediss", "unix")
_POSTGRES = ("postgres", "postgresql")


def target_from(spec: TargetSpec, environ: Mapping[str, str], faults: Faults, missing: dict[str, list[str]]) -> Target | None:
    """The target with every variable resolved; None when it has faults.

    missing: gets every unset variable that has no default, with what needs it. An unset one hides no other fault.
    """
    environment = _Environment(environ, faults, missing)
    url = environment.resolve(spec, "url", spec.url)
    redis = environment.resolve(spec, "redis_url", spec.redis_url or "")
    database = environment.resolve(spec, "database_url", spec.database_url or "")
    for key, path in (("health", spec.health), ("metrics", spec.metrics)):
        if path:
            check_path(path, spec.line(key), faults)
    for key, text, schemes in (
        ("url", url, _HTTP),
        ("redis_url", redis, _REDIS),
        ("database_url", database, _POSTGRES),
    ):
        if text or (key == "url" and text is not None):
            _check_url(spec, key, text or "", schemes, faults)
    if url is None or redis is None or database is None:
        return None
    return Target(
        url=url.rstrip("/"),
        health_path=spec.health,
        metrics_path=spec.metrics or None,
        redis_url=redis or None,
        database_url=database or None,
        verify=spec.verify_tls,
        http2=spec.http2,
    )


class _Environment:
    def __init__(self, environ: Mapping[str, str], faults: Faults, missing: dict[str, list[str]]) -> None:
        self._environ, self._faults, self._missing = environ, faults, missing

    def resolve(self, spec: TargetSpec, key: str, text: str) -> str | None:
        """The text with its variables put in; None when one is missing or malformed. An empty variable counts as unset."""
        parts, end, whole = [], 0, True
        for match in PLACEHOLDER.finditer(text):
            value = self._value(match[1], spec.line(key), f"target.{key}")
            whole = whole and value is not None
            parts += [text[end : match.start()], value or ""]
            end = match.end()
        rest = text[end:]
        if "${" in rest:
            self._faults.add(spec.line(key), "'${' is never closed", "write ${env.NAME}")
            return None
        return "".join([*parts, rest]) if whole else None

    def _value(self, name: str, line: int, needed_by: str) -> str | None:
        variable, has_default, default = name.removeprefix("env.").partition(":-")
        if not name.startswith("env.") or not re.fullmatch(VARIABLE_PATTERN, variable):
            self._faults.add(
                line, f"${{{name}}} means nothing here", "under 'target' only ${env.NAME} and ${env.NAME:-default} do"
            )
            return None
        found = self._environ.get(variable, "")
        if not found and not has_default:
            self._missing.setdefault(variable, []).append(needed_by)
            return None
        return found or default


def _check_url(spec: TargetSpec, key: str, url: str, schemes: tuple[str, ...], faults: Faults) -> None:
    # The URL itself is not shown: it may hold a password from the environment.
    origin = f" (from {getattr(spec, key)})" if "${" in (getattr(spec, key) or "") else ""
    fault = _url_fault(url, schemes, bare=key == "url")
    if fault is not None:
        faults.add(spec.line(key), f"target.{key}{origin} {fault[0]}", fault[1])


def _url_fault(url: str, schemes: tuple[str, ...], *, bare: bool) -> tuple[str, str | None] | None:
    """What is wrong with a URL, and a suggestion; None when nothing is. bare: nothing may follow the port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is no URL", None
    # Libraries write the driver into the scheme: postgresql+asyncpg://
    scheme = parts.scheme.partition("+")[0] if schemes is _POSTGRES else parts.scheme
    if scheme not in schemes:
        return f"does not start with {schemes[0]}://", f"schemes: {', '.join(schemes)}"
    if not parts.hostname and scheme in _HTTP:
        return "names no host", None
    if port == 0:
        return "has port 0", None
    if bare and "@" in parts.netloc:
        return "holds a user or a password, which is never sent", "use 'auth', or a header with ${env.NAME}"
    if bare and (parts.path.strip("/") or parts.query or parts.fragment):
        return "holds more than scheme, host and port", "paths belong to the steps"
    return None


def service_url(text: str, given_as: str) -> str:
    """A service's URL from outside the scenario file, such as the command line, without a slash at its end.

    Raises:
        UsageError: it is none; it is not shown, since it may hold a password.
    """
    fault = _url_fault(text, _HTTP, bare=True)
    if fault is not None:
        what, suggestion = fault
        raise UsageError(
            f"{given_as} {what}" + (f" ({suggestion})" if suggestion else ""),
            hint="Write scheme, host and port, for example http://127.0.0.1:8400.",
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
