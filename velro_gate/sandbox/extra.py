"""Whether the packages of the sandbox extra are installed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.util import find_spec

from velro_gate.errors import UsageError

PACKAGES = ("cachetools", "jwt", "prometheus_client", "psycopg", "pydantic", "redis", "uvicorn", "uvloop")


def _is_installed(package: str) -> bool:
    return find_spec(package) is not None


def require_extra(packages: Iterable[str] = PACKAGES, is_installed: Callable[[str], bool] = _is_installed) -> None:
    """Do nothing when everything that serving needs is installed.

    Raises:
        UsageError: a package is missing; names it and the command that installs it.
    """
    missing = [package for package in packages if not is_installed(package)]
    if missing:
        raise UsageError(
            "the sandbox cannot be started: it needs packages that are not installed",
            why=f"missing: {', '.join(missing)}",
            hint="Install them with velro-gate's own checkout: pip install './velro-gate[sandbox]'.",
        )
