"""``python -m velro_gate.sandbox``: the sandbox as a program of its own, which is how the gate starts it.

Secrets and URLs with passwords come from the environment (VELRO_SANDBOX_SECRET, REDIS_URL, DATABASE_URL), never from the
command line, where every user of the machine could read them.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from velro_gate.errors import UsageError, VelroError
from velro_gate.sandbox.server import serve
from velro_gate.sandbox.settings import WRONG, Settings

_PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: the signal that this process gets when its parent ends (prctl(2))."""


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Serve until a signal; the exit code."""
    try:
        given = _parser().parse_args(arguments)
        if given.parent:
            die_with(given.parent)
        serve(settings_from(given, environ), for_programs=given.json)
    except VelroError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def settings_from(given: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """Settings from the parsed command line and the environment.

    Raises:
        UsageError: a value is not possible.
    """
    return Settings(
        host=given.host,
        port=given.port,
        secret=environ.get("VELRO_SANDBOX_SECRET") or None,
        redis_url=environ.get("REDIS_URL") or None,
        database_url=environ.get("DATABASE_URL") or None,
        work=not given.no_work,
        slow=dict(map(_slowdown, given.slow)),
        seed=given.seed,
        control=not given.no_control,
        workers=given.workers,
        users=given.users,
        pool_size=given.pool_size,
        memory_entries=given.memory_entries,
        memory_ttl=given.memory_ttl,
        shared_ttl=given.shared_ttl,
        token_ttl=given.token_ttl,
        breaker_failures=given.breaker_failures,
        breaker_recovery=given.breaker_recovery,
        database_deadline=given.database_deadline,
        wrong=tuple(given.wrong),
    )


def arguments_for(settings: Settings) -> list[str]:
    """The command line that gives these settings back; secrets are left to the environment."""
    arguments = ["--host", settings.host]
    for name in _NUMBERS:
        arguments += [_option(name), str(getattr(settings, name))]
    for step, factor in settings.slow.items():
        arguments += ["--slow", f"{step}={factor!r}"]
    for name in settings.wrong:
        arguments += ["--wrong", name]
    return arguments + ["--no-work"] * (not settings.work) + ["--no-control"] * (not settings.control)


_NUMBERS = {
    "port": "port; 0 takes a free one",
    "seed": "seed of the simulated work",
    "workers": "steps worked on at a time; 0: any number",
    "users": "people in the catalogue",
    "pool_size": "database connections",
    "memory_entries": "entries of the cache in the process",
    "memory_ttl": "seconds they live",
    "shared_ttl": "seconds entries live in Redis or its stand-in",
    "token_ttl": "seconds a verified token is not verified again",
    "breaker_failures": "failures in a row that open a breaker",
    "breaker_recovery": "seconds a breaker stays open",
    "database_deadline": "seconds after which a query is given up",
}


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _parser() -> argparse.ArgumentParser:
    usual = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m velro_gate.sandbox", description="Serve the stand-in for the Velro backend."
    )
    parser.add_argument("--host", default=usual.host, help="address to listen on")
    for name, text in _NUMBERS.items():
        default = getattr(usual, name)
        parser.add_argument(_option(name), type=type(default), default=default, help=f"{text} (default {default})")
    parser.add_argument("--slow", action="append", default=[], metavar="STEP=FACTOR", help="slow a step; may be repeated")
    parser.add_argument("--wrong", action="append", default=[], metavar="NAME", help=f"be wrong: {', '.join(WRONG)}")
    parser.add_argument("--no-work", action="store_true", help="answer at once")
    parser.add_argument("--no-control", action="store_true", help="leave /control out")
    parser.add_argument("--json", action="store_true", help="print URL, key and process id as one line of JSON")
    parser.add_argument("--parent", type=int, default=0, help="process id to end with (Linux)")
    return parser


def _slowdown(text: str) -> tuple[str, float]:
    step, _, factor = text.partition("=")
    with contextlib.suppress(ValueError):
        return step, float(factor)
    raise UsageError(f"--slow {text!r} is not STEP=FACTOR", hint="For example: --slow authorization_check=1.3")


def die_with(parent: int) -> None:
    """Have the kernel end this process when its parent ends, however that ends."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        # It ended before we asked.
        raise SystemExit(1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.environ))
