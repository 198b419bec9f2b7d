"""Start here: run the command, turn every error into its lines and its exit code."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import typer
from typer.exceptions import TyperException

from velro_gate.cli.app import app
from velro_gate.errors import InterruptedRunError, UsageError, VelroError

INTERNAL_ERROR = 70
INTERRUPTED = InterruptedRunError.exit_code
USAGE = UsageError.exit_code


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code (README, exit codes)."""
    sys.exit(_guarded(lambda: app(args=arguments, standalone_mode=False, prog_name="velro-gate")))


def _guarded(command: Callable[[], object]) -> int:
    try:
        code = command()
    except VelroError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return error.exit_code
    except typer.Exit as leave:
        return leave.exit_code
    except TyperException as error:
        hint = "See 'velro-gate --help', or the command's own --help."
        print("\n".join(UsageError(error.format_message(), hint=hint).lines()), file=sys.stderr)
        return USAGE
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone: that is its right. Keep Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        print(_own_fault(error), file=sys.stderr)
        return INTERNAL_ERROR
    return code if isinstance(code, int) else 0


def _own_fault(error: Exception) -> str:
    """Keep the traceback in a file and say where: users get a sentence, we get the facts."""
    handle, name = tempfile.mkstemp(prefix="velro-gate-crash-", suffix=".txt", dir=Path.cwd() if _writable() else None)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        traceback.print_exception(error, file=file)
    fault = VelroError(f"velro-gate itself failed: {type(error).__name__}: {error}", where=name)
    return "\n".join(fault.lines())


def _writable() -> bool:
    return os.access(Path.cwd(), os.W_OK)
