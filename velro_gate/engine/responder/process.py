"""Runs a responder as a child process that is ready on entry and ended when its use ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from velro_gate.engine.responder import server
from velro_gate.errors import BrokenError
from velro_gate.hardening import bare

START_SECONDS = 10.0
"""How long the responder may take to name its port."""
STOP_SECONDS = 3.0
"""How long the responder may take to end by itself after its standard input is closed; then it is killed."""

COMMAND = (sys.executable, "-I", "-S", server.__file__)
"""Isolated and without site-packages: neither the user's environment nor what is installed there has a say."""


@dataclass(slots=True, kw_only=True)
class RunningResponder:
    """A responder that answers."""

    url: str
    pid: int
    answered: int | None = None
    """Its own count of the requests that it answered; None until it has ended."""


@asynccontextmanager
async def running_responder(
    command: Sequence[str] = COMMAND, *, stop_seconds: float = STOP_SECONDS
) -> AsyncIterator[RunningResponder]:
    """A responder on a free loopback port, ended with the ``async with`` block; killed when that takes too long.

    Raises:
        BrokenError: it did not start.
    """
    process = await _start(command)
    try:
        port = None
        with trio.move_on_after(START_SECONDS):
            port = await _reported(process, "port")
        if port is None:
            raise _not_started("it named no port")
        running = RunningResponder(url=f"http://127.0.0.1:{port}", pid=process.pid)
        yield running
        assert process.stdin is not None
        await process.stdin.aclose()
        with trio.move_on_after(stop_seconds):
            running.answered = await _reported(process, "answered")
            await process.wait()
    finally:
        await _end(process)


async def _start(command: Sequence[str]) -> trio.Process:
    try:
        # In a session of its own, since Ctrl-C is for us.
        return await trio.lowlevel.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=bare(os.environ),
            start_new_session=True,
        )
    except OSError as error:
        raise _not_started(error.strerror or str(error)) from error


async def _reported(process: trio.Process, name: str) -> int | None:
    """The figure in the next line that the process prints; None when it ends without one."""
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        some = await process.stdout.receive_some()
        if not some:
            return None
        line += some
    return int(json.loads(line)[name])


async def _end(process: trio.Process) -> None:
    """Whatever happened: no process and no pipe is left behind."""
    with trio.CancelScope(shield=True):
        if process.returncode is None:
            process.kill()
            await process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                await pipe.aclose()


def _not_started(why: str) -> BrokenError:
    return BrokenError(
        "the responder, against which the generator alone is measured, did not start",
        why=why,
        hint="Look for a limit of processes ('ulimit -u'), or leave the null run out with --no-calibration.",
    )
