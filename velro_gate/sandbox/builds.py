"""The sandbox as a build: the shell line that starts it on port ``PORT``, and the variables that it and its load need."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from velro_gate.sandbox.extra import require_extra
from velro_gate.sandbox.settings import STEPS

PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def build_line(slowdown: float = 0.0, *, step: str | None = None, core: int | None = None) -> str:
    """The line for a shell. slowdown: by what share the service's own time grows, in this step (None: in every one).

    core: the only one that it runs on; None: wherever the system puts it.

    The port is the seed, too: it differs from start to start, so the service's own chance does, as that of a real one.
    """
    slowed = [each for each in STEPS if slowdown and step in (None, each)]
    slow = [part for each in slowed for part in ("--slow", f"{each}={1.0 + slowdown!r}")]
    pinned = [] if core is None else ["taskset", "--cpu-list", str(core)]
    program = shlex.join([*pinned, sys.executable, "-P", "-m", "velro_gate.sandbox", "--no-control", *slow])
    return f'exec {program} --port "$PORT" --seed "$PORT"'


def build_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` without other services, with a fresh secret, the key that belongs to it, and the package's place.

    Raises:
        UsageError: the extra that the sandbox needs is not installed.
    """
    require_extra()
    # Only with the extra there is something to sign with.
    from velro_gate.sandbox.service.tokens import issue_key

    secret = secrets.token_urlsafe(32)
    kept = {name: value for name, value in environ.items() if name not in ("REDIS_URL", "DATABASE_URL")}
    path = [str(PACKAGE_ROOT), *filter(None, [environ.get("PYTHONPATH")])]
    given = {"VELRO_SANDBOX_SECRET": secret, "SUPABASE_SERVICE_KEY": issue_key(secret), "VELRO_API_URL": "http://127.0.0.1"}
    return {**kept, **given, "PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}
