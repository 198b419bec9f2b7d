"""TargetSpec -> Target, with ``${env.NAME}`` and ``${env.NAME:-default}`` read from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from velro_gate.errors import MissingVariableError
from velro_gate.model.scenario import Target
from velro_gate.scenario.faults import Faults
from velro_gate.scenario.quantities import VARIABLE_PATTERN
from velro_gate.scenario.shape import TargetSpec
from velro_gate.scenario.steps import check_path
from velro_gate.scenario.templates import PLACEHOLDER

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
        ("url", url, ("http", "https")),
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
    line = spec.line(key)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        faults.add(line, f"target.{key}{origin} is no URL")
        return
    if parts.scheme not in schemes:
        faults.add(line, f"target.{key}{origin} does not start with {schemes[0]}://", f"schemes: {', '.join(schemes)}")
    elif port == 0 or (parts.scheme in ("http", "https") and not parts.hostname):
        faults.add(line, f"target.{key}{origin} names no host" if not parts.hostname else f"target.{key}{origin} has port 0")
    elif key == "url" and (parts.path.strip("/") or parts.query or parts.fragment):
        faults.add(line, f"target.url{origin} holds more than scheme, host and port", "paths belong to the steps")


def missing_variables(missing: Mapping[str, list[str]], where: str | None = None) -> MissingVariableError:
    """The error that names every missing variable and what needs it."""
    needs = [f"{name} (needed by {', '.join(dict.fromkeys(places))})" for name, places in sorted(missing.items())]
    verb = "is" if len(needs) == 1 else "are"
    exports = "; ".join(f"export {name}=..." for name in sorted(missing))
    return MissingVariableError(
        f"{', '.join(needs)} {verb} not set in the environment",
        where=where,
        hint=f"{exports}. Secrets are read from the environment only, never from a file.",
    )
