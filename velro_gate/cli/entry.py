"""Start here: run the command, turn every error into its lines and its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from velro_gate import __version__
from velro_gate.cli.exhausted import exhausted
from velro_gate.cli.output import put, speak_utf8, talk
from velro_gate.cli.signals import end_by_sigterm_as_by_ctrl_c
from velro_gate.errors import InterruptedRunError, UsageError, VelroError
from velro_gate.hardening import harden, ignore_unreadable_cookies
from velro_gate.model.masking import mask, secret_values
from velro_gate.secrecy import hide, outgoing

INTERRUPTED = InterruptedRunError.exit_code
USAGE = UsageError.exit_code


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code (README, exit codes)."""
    # First of all: until then other processes of this user may read the token from this one.
    harden()
    ignore_unreadable_cookies()
    hide(secret_values(os.environ))
    speak_utf8()
    end_by_sigterm_as_by_ctrl_c()
    words = sys.argv[1:] if arguments is None else list(arguments)
    sys.exit(_guarded(lambda: _run(words)))


def _run(words: Sequence[str]) -> object:
    """What these words ask for. The two questions that are asked most often are answered before Typer is imported."""
    if words == ["--version"]:
        put(f"velro-gate {__version__}")
        return 0
    if words in (["--help"], ["-h"]):
        from velro_gate.cli.overview import overview

        put(overview())
        return 0
    return _run_command(words)


def _run_command(words: Sequence[str]) -> object:
    """Run a command, with Typer's errors as ours.

    Raises:
        UsageError: Typer does not understand the words.
        KeyboardInterrupt: a question was answered by Ctrl-C.
    """
    import typer
    from typer.exceptions import TyperException

    from velro_gate.cli.app import app

    try:
        return app(args=words, standalone_mode=False, prog_name="velro-gate")
    except typer.Exit as leave:
        return leave.exit_code
    except typer.Abort as abort:
        raise KeyboardInterrupt from abort
    except TyperException as error:
        if not error.format_message():
            # A group without a command: its help, which has been printed, says it all.
            return USAGE
        hint = "See 'velro-gate --help', or the command's own --help."
        raise UsageError(error.format_message(), hint=hint) from error


def _guarded(command: Callable[[], object]) -> int:
    try:
        code = command()
    except VelroError as error:
        _complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        known = exhausted(error) or _own_fault(error)
        _complain(known)
        return known.exit_code
    if code == INTERRUPTED:
        # Typer makes this code of a Ctrl-C and says nothing; a run that was under way has spoken by InterruptedRunError.
        print("interrupted", file=talk())
    return code if isinstance(code, int) else 0


def _complain(error: VelroError) -> None:
    """Say what went wrong, without any secret that a foreign error may have quoted."""
    print(outgoing(mask("\n".join(error.lines()), secret_values(os.environ))), file=talk())


def _own_fault(error: Exception) -> VelroError:
    """Keep the traceback in a file and say where: users get a sentence, we get the facts."""
    import tempfile
    import traceback

    text = outgoing(mask("".join(traceback.format_exception(error)), secret_values(os.environ)))
    summary = f"velro-gate itself failed: {' '.join(f'{type(error).__name__}: {error}'.split())}"
    try:
        handle, name = tempfile.mkstemp(prefix="velro-gate-crash-", suffix=".txt", dir=_place())
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as full:
        return VelroError(summary, why=f"its details could not be saved: {full.strerror}", hint=f"Please report this:\n{text}")
    return VelroError(summary, where=name, hint="This is an internal error of velro-gate: please report it with that file.")


def _place() -> str | None:
    """The working folder, when it is still there and may be written; None for the system's own temporary one."""
    return os.curdir if os.access(os.curdir, os.W_OK) else None
