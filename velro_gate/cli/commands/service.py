"""The sandbox command."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from velro_gate.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(epilog="Example: velro-gate sandbox --port 8400 --slow authorization_check=1.3")(sandbox)


def sandbox(
    port: Annotated[int, typer.Option(help="Port on the loopback address; 0: any free port.")] = 8400,
    slow: Annotated[
        list[str] | None, typer.Option(help="STEP=FACTOR: this step takes FACTOR times as long; may be repeated.")
    ] = None,
    no_work: Annotated[bool, typer.Option("--no-work", help="Respond at once, without simulated work.")] = False,
    no_control: Annotated[bool, typer.Option("--no-control", help="Without /control, which slows and breaks it.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the simulated work.")] = 1,
    print_key: Annotated[
        bool, typer.Option("--print-key", help="Print a service key for the secret in VELRO_SANDBOX_SECRET; serves nothing.")
    ] = False,
) -> int:
    """Serve the embedded stand-in for the Velro backend until interrupted."""
    return print_service_key() if print_key else serve_sandbox(port, slow or [], no_work, no_control, seed)


def serve_sandbox(port: int, slow: Sequence[str], no_work: bool, no_control: bool, seed: int) -> int:
    """Serve until interrupted; the signing secret and the addresses of Redis and PostgreSQL come from the environment."""
    from velro_gate.sandbox.server import serve
    from velro_gate.sandbox.settings import Settings

    serve(
        Settings(
            port=port,
            slow=dict(map(slowdown, slow)),
            work=not no_work,
            control=not no_control,
            secret=os.environ.get("VELRO_SANDBOX_SECRET"),
            seed=seed,
            redis_url=os.environ.get("REDIS_URL"),
            database_url=os.environ.get("DATABASE_URL"),
        )
    )
    return 0


def print_service_key() -> int:
    """Print a service key for the signing secret in the environment, for whoever starts the sandbox with the same secret.

    Raises:
        UsageError: there is no secret, or it is too short.
    """
    from velro_gate.sandbox.server import announce_key

    secret = os.environ.get("VELRO_SANDBOX_SECRET", "")
    if not secret:
        raise UsageError(
            "there is no secret to sign a key with",
            where="VELRO_SANDBOX_SECRET",
            hint="Set it to a random text, and start the sandbox with it: export VELRO_SANDBOX_SECRET=$(openssl rand -hex 32)",
        )
    announce_key(secret)
    return 0


def slowdown(text: str) -> tuple[str, float]:
    """Step and factor from ``authorization_check=1.3``.

    Raises:
        UsageError: it is not of that form.
    """
    step, _, factor = text.partition("=")
    try:
        value = float(factor)
    except ValueError:
        value = 0.0
    if not step or not value > 0.0:
        raise UsageError(f"--slow {text!r} is not STEP=FACTOR", hint="For example: --slow authorization_check=1.3")
    return step, value
