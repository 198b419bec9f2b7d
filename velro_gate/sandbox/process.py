"""Runs a sandbox as a child process that never outlives its use."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any

from velro_gate.errors import UnreachableError, UsageError
from velro_gate.sandbox.__main__ import arguments_for
from velro_gate.sandbox.extra import require_extra
from velro_gate.sandbox.settings import Settings

START_SECONDS = 60.0
"""How long the sandbox may take to say where it listens: it fills its database first."""
STOP_SECONDS = 3.0
"""How long it may take to end after SIGTERM; then it is killed."""
ASK_SECONDS = 10.0
"""How long a request to it may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSandbox:
    """A running sandbox."""

    url: str
    key: str
    """The service key, for SUPABASE_SERVICE_KEY."""
    pid: int
    """The process that serves."""

    def control(self, payload: Mapping[str, object]) -> dict[str, Any]:
        """Give an order to /control; the state that it leads to.

        Raises:
            UsageError: the sandbox refuses the order, with its reason. UnreachableError: it does not answer.
        """
        return self._ask("POST", "/control", payload)

    def state(self) -> dict[str, Any]:
        """What /control says is in force."""
        return self._ask("GET", "/control")

    def counts(self) -> dict[str, Any]:
        """Requests received so far: ``received`` by step, ``total``, ``answered``, ``statuses``."""
        return self._ask("GET", "/control/counts")

    def _ask(self, method: str, path: str, payload: Mapping[str, object] | None = None) -> dict[str, Any]:
        status, body = _ask(self.url, method, path, None if payload is None else json.dumps(payload))
        said: dict[str, Any] = json.loads(body)
        if status >= 400:
            raise UsageError(f"the sandbox refuses the order: {said.get('error')}", where=self.url + path)
        return said


@contextlib.contextmanager
def running_sandbox(settings: Settings) -> Iterator[RunningSandbox]:
    """A sandbox in a process group of its own, on a free loopback port unless the settings name one; always stopped at the end.

    Raises:
        UsageError: the extra is not installed, or the settings cannot be used. UnreachableError: it did not start.
    """
    require_extra()
    with tempfile.TemporaryDirectory(prefix="velro-sandbox-") as folder, tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", "velro_gate.sandbox", "--json", "--parent", str(os.getpid()), *arguments_for(settings)],
            env=_environment(settings, folder, os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,
        )
        try:
            yield _started(process, complaints)
        finally:
            _stop(process)


def _environment(settings: Settings, folder: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Ours, with the child's own secrets and temporary folder, and with this package where Python looks for it."""
    ours = {"VELRO_SANDBOX_SECRET": settings.secret, "REDIS_URL": settings.redis_url, "DATABASE_URL": settings.database_url}
    kept = {name: value for name, value in environ.items() if name not in ours}
    path = [str(Path(__file__).resolve().parents[2]), *filter(None, [environ.get("PYTHONPATH")])]
    given = {name: value for name, value in ours.items() if value}
    return {**kept, **given, "PYTHONPATH": os.pathsep.join(path), "TMPDIR": folder, "PYTHONUNBUFFERED": "1"}


def _started(process: subprocess.Popen[bytes], complaints: IO[bytes]) -> RunningSandbox:
    line = _first_line(process, START_SECONDS)
    if not line:
        process.kill()
        code = process.wait()
        complaints.seek(0)
        said = complaints.read().decode(errors="replace").strip()
        if code == UsageError.exit_code:
            raise UsageError("the sandbox refuses to start", why=said)
        raise UnreachableError("the sandbox did not start", why=said or f"it ended with {code}", hint="Look at its output.")
    sandbox = RunningSandbox(**json.loads(line))
    _require_health(sandbox)
    return sandbox


def _first_line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """The line that the child prints once it answers; empty when it ended or time ran out before."""
    assert process.stdout is not None
    descriptor, line, deadline = process.stdout.fileno(), b"", time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return b""
            chunk = os.read(descriptor, 4_096)
            if not chunk:
                return b""
            line += chunk
    return line


def _require_health(sandbox: RunningSandbox) -> None:
    status, body = _ask(sandbox.url, "GET", "/health")
    if status != 200:
        raise UnreachableError("the sandbox is not healthy", where=sandbox.url, why=body.decode(errors="replace"))


def _ask(url: str, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    """Status and body. The standard library's client: it heeds no proxy and builds no TLS context for a loopback request."""
    connection = HTTPConnection(url.removeprefix("http://"), timeout=ASK_SECONDS)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException) as fault:
        raise UnreachableError("the sandbox does not answer", where=url + path, why=str(fault)) from fault
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(STOP_SECONDS)
            break
        except subprocess.TimeoutExpired:
            continue
    if process.stdout is not None:
        process.stdout.close()
