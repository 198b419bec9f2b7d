"""What the process that carries out faults does to processes, control groups and control endpoints, and how it is undone.

An action is begun by a coroutine that hands back how to undo it. How to undo it is known before anything is done, so that an
action which fails half way is undone as well.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import trio

from velro_gate import units
from velro_gate.engine.faults.requests import ActionError, status_of

Undo = Callable[[], Awaitable[None]]
_Order = Mapping[str, Any]

COMMAND_SECONDS = 60.0
"""How long a command of an experiment may take: a service that is started again counts as started when its command returns."""
_LAST_WORDS = 0.5  # seconds
_END_SECONDS = 5.0
"""How long a killed command is waited for: SIGKILL acts at once, but not on a process in an uninterruptible wait for a disk."""
_TAIL = 400
"""Bytes of a command's output that its error shows: the last ones, where a shell says why it failed."""
_GROUPS = Path("/sys/fs/cgroup")
_PERIOD = 100_000
"""Microseconds over which the kernel counts a group's CPU time."""


async def begin(order: _Order, arm: Callable[[Undo], None]) -> None:
    """Carry out one action. arm: gets how to undo it, before anything is done.

    Raises:
        ActionError: it could not be carried out.
    """
    match order["kind"]:
        case "process":
            await _begin_process(order, arm)
        case "pressure":
            _begin_pressure(order, arm)
        case "request":
            if order["undo"] is not None:
                arm(lambda: _request(order["undo"]))
            await _request(order["begin"])
        case "command":
            if order["undo"]:
                arm(lambda: _command(order["undo"], order))
            await _command(order["run"], order)
        case other:
            raise ActionError(f"there is no action {other!r}")


async def _begin_process(order: _Order, arm: Callable[[Undo], None]) -> None:
    born = {pid: _born(pid) for pid in order["pids"]}

    def each(number: signal.Signals) -> None:
        """Signal every process of the order that is still the one that was meant."""
        for pid, when in born.items():
            # A number that has gone to another process since is left alone.
            if when is not None and _born(pid) == when:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    async def go_on() -> None:
        """Undoes the freeze."""
        each(signal.SIGCONT)

    try:
        if order["blow"] == "freeze":
            arm(go_on)
            each(signal.SIGSTOP)
            return
        if order["start"]:
            arm(lambda: _command(order["start"], order))
        each(signal.SIGTERM if order["blow"] == "stop" else signal.SIGKILL)
    except PermissionError as error:
        raise ActionError("a process of another user cannot be signalled") from error


def _born(pid: int) -> str | None:
    """When a process was started, in the kernel's ticks; None where the process is gone."""
    try:
        # The name in brackets may hold anything.
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _begin_pressure(order: _Order, arm: Callable[[Undo], None]) -> None:
    group = _group_of(order["pid"])
    wanted: dict[Path, str] = {}
    if order["cpu"] is not None:
        # The kernel refuses a quota under 1 ms in cpu.max.
        quota = max(round(order["cpu"] * _PERIOD), 1_000)
        wanted[group / "cpu.max"] = f"{quota} {_PERIOD}"
    if order["memory"] is not None:
        wanted[group / "memory.high"] = str(order["memory"])
    try:
        before = {path: path.read_text("ascii") for path in wanted}
    except OSError as error:
        raise ActionError(f"the control group {group} has no limit of this kind: {error.strerror}") from error

    async def restore() -> None:
        """Write back what stood there."""
        _write(before)

    arm(restore)
    _write(wanted)


def _group_of(pid: int) -> Path:
    """The control group of a process, if it can be pressed without pressing anything of ours."""
    if not (_GROUPS / "cgroup.controllers").exists():
        raise ActionError("this machine has no unified control groups (cgroup v2)")
    found, ours = _name_of(str(pid)), _name_of("self")
    if found is None:
        raise ActionError(f"process {pid} is gone")
    if found == "/":
        raise ActionError("the process is in no control group of its own: start it in one, in a container for example")
    # A limit of a group binds its descendants as well.
    if ours is not None and (ours == found or ours.startswith(f"{found}/")):
        raise ActionError("the process shares its control group with the generator, which would be slowed down as well")
    return _GROUPS / found.strip("/")


def _name_of(pid: str) -> str | None:
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)


def _write(values: Mapping[Path, str]) -> None:
    for path, text in values.items():
        try:
            path.write_text(text, "ascii")
        except OSError as error:
            raise ActionError(f"{path} cannot be written: {error.strerror}") from error


async def _request(asked: _Order) -> None:
    # Of the response only the status counts, so its body, which may have no end, is not read.
    status = await status_of(asked)
    if not 200 <= status < 300:
        raise ActionError(f"{asked['method']} {asked['shown']} was answered {status}")


async def _command(line: str, order: _Order) -> None:
    """Run a line of the shell until it returns."""
    other: _Order | None = order.get("user")
    process = await trio.lowlevel.open_process(
        ["/bin/sh", "-c", line] if other is None else other["line"],
        stdin=subprocess.DEVNULL if other is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(order["environ"]) if other is None else {"PATH": os.environ.get("PATH", os.defpath)},
        cwd=order["folder"] if other is None else "/",
        start_new_session=True,
        **({} if other is None else other["rights"]),
    )
    said, heard = bytearray(), trio.Event()

    async def listen() -> None:
        """Hand over the script, and keep the last of what is said."""
        assert process.stdout is not None
        if process.stdin is not None:
            # Another user's shell reads its variables: as arguments everybody could read them.
            with contextlib.suppress(trio.BrokenResourceError):
                async with process.stdin as script:
                    await script.send_all(_script(line, order).encode("utf-8", "surrogateescape"))
        async for some in process.stdout:
            said.extend(some)
            del said[:-_TAIL]
        heard.set()

    try:
        with trio.move_on_after(COMMAND_SECONDS) as waited:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen)
                await process.wait()
                # Its last words may still be in the pipe, which what it has left running may hold open.
                with trio.move_on_after(_LAST_WORDS):
                    await heard.wait()
                nursery.cancel_scope.cancel()
    finally:
        if process.returncode is None:
            # Another user's is ended with the job.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with trio.move_on_after(_END_SECONDS, shield=True):
                await process.wait()
        assert process.stdout is not None
        if process.returncode == 0 and not heard.is_set():
            # A service that was started again goes on to print, and would end by a pipe that nobody reads.
            trio.lowlevel.spawn_system_task(_unheard, process.stdout)
        else:
            with trio.CancelScope(shield=True):
                await process.stdout.aclose()
    words = said.decode("utf-8", "replace").strip()
    if waited.cancelled_caught:
        raise ActionError(f"a command did not return within {units.format_duration(COMMAND_SECONDS)}")
    if process.returncode:
        raise ActionError(f"a command ended with exit code {process.returncode}" + (f": {words}" if words else ""))


def _script(line: str, order: _Order) -> str:
    settings = [
        f"export {name}={shlex.quote(value)}"
        for name, value in order["environ"].items()
        if name.isidentifier() and name.isascii()
    ]
    return "\n".join(
        [*settings, f"cd -- {shlex.quote(order['folder'])} || exit 126", f"exec /bin/sh -c {shlex.quote(line)} </dev/null", ""]
    )


async def _unheard(stream: trio.abc.ReceiveStream) -> None:
    with contextlib.suppress(trio.BrokenResourceError):
        async with stream:
            async for _ in stream:
                pass
