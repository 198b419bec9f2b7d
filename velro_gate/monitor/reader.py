"""The sources read by a process of their own, as the run sees it.

Reading takes some milliseconds of CPU each second, and a thread of the load's process that does it holds Python's lock: some
requests are then sent late. So the sources have an interpreter of their own, which gives way to the load. Its death is a
caveat, and ends nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from velro_gate.hardening import bare
from velro_gate.model.run import Reading
from velro_gate.monitor.reader_process import NOTE, READINGS, READY, SIZE, START, ReadingOrder
from velro_gate.monitor.watching import MONITOR

READY_SECONDS = 5.0
"""How long a run waits for its reader before it begins; the readings then begin later."""
SILENCE = 15.0
"""Seconds beyond the interval between two readings after which a process that says nothing is noted: it hangs, or was stopped.
The runner is read whatever else is not.
"""
_END_SECONDS = 4.0
"""How long it may take to end, its sources closed; then it is killed."""
_STANDARD_ERROR = 2
"""The descriptor of this process's standard error."""
_PIECE = 1 << 16
"""Bytes that are received at a time."""


class SourceReader:
    """A reader that was started, or that could not be. process, stream: None where it could not."""

    def __init__(self, order: ReadingOrder, process: trio.Process | None, stream: trio.SocketStream | None) -> None:
        self._sources = tuple((each.name, each.key) for each in order.sources())
        self._process = process
        self._stream = stream
        self._rest = bytearray()
        self._silence = SILENCE + order.every

    @property
    def pid(self) -> int | None:
        """The number of its process."""
        return None if self._process is None else self._process.pid

    async def ready(self) -> None:
        """Wait until it has made its sources, or is gone."""
        line = await self._line()
        assert line is None or line[0] == READY

    async def read(
        self, *, zero: float, now: Callable[[], float], emit: Callable[[Reading], None], note: Callable[[str], None]
    ) -> None:
        """Have the sources read on the run's clock, until cancelled or until the process is gone, which is noted.

        zero: the start of the run on the system's monotonic clock, in seconds. now: seconds since then.
        """
        if self._stream is not None:
            with contextlib.suppress(trio.BrokenResourceError):
                await self._stream.send_all(START.pack(zero))
        noted = False
        while True:
            line = None
            with trio.move_on_after(self._silence) as silent:
                line = await self._line()
            if silent.cancelled_caught:
                if not noted:
                    noted = True
                    self._give_up("says nothing", now, emit, note)
                continue
            if line is None:
                break
            kind, said = line
            if kind == READINGS:
                for at, source, name, value in said:
                    emit(Reading(at=at, source=source, name=name, value=value))
            elif kind == NOTE:
                note(said)
        how = "could not be started" if self._process is None else _how_it_ended(await self._process.wait())
        self._give_up(how, now, emit, note)

    def _give_up(
        self, how: str, now: Callable[[], float], emit: Callable[[Reading], None], note: Callable[[str], None]
    ) -> None:
        """Say that no source is read, and why."""
        for name in dict.fromkeys(name for name, _ in self._sources):
            note(f"{name} is not watched: the process that reads it {how}")
        for _, key in self._sources:
            emit(Reading(at=now(), source=MONITOR, name=f"{key}_up", value=0.0))

    async def _line(self) -> tuple[str, Any] | None:
        """The next that it says; None at the end."""
        if self._stream is None:
            return None
        while (end := self._rest.find(b"\n")) < 0:
            try:
                piece = await self._stream.receive_some(_PIECE)
            except trio.BrokenResourceError:
                return None
            if not piece:
                return None
            self._rest += piece
        kind, said = json.loads(self._rest[:end])
        del self._rest[: end + 1]
        return kind, said

    async def aclose(self) -> None:
        """Hang up, and wait until it is gone."""
        with trio.CancelScope(shield=True):
            if self._stream is not None:
                await trio.aclose_forcefully(self._stream)
            if self._process is not None:
                with trio.move_on_after(_END_SECONDS):
                    await self._process.wait()
                if self._process.returncode is None:
                    self._process.kill()
                    await self._process.wait()


@asynccontextmanager
async def started_reader(order: ReadingOrder) -> AsyncIterator[SourceReader]:
    """A process that reads what is ordered, ready or not; gone with the block, and with this process however that ends."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    try:
        with theirs:
            process = await _started(theirs)
    except OSError:
        await trio.aclose_forcefully(stream)
        yield SourceReader(order, None, None)
        return
    reader = SourceReader(order, process, stream)
    try:
        data = pickle.dumps(order)
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(SIZE.pack(len(data)) + data)
        yield reader
    finally:
        await reader.aclose()


async def _started(theirs: socket.socket) -> trio.Process:
    places = os.pathsep.join(entry or os.curdir for entry in sys.path)
    return await trio.lowlevel.open_process(
        [sys.executable, "-P", "-m", "velro_gate.monitor.reader_process", str(theirs.fileno())],
        stdin=subprocess.DEVNULL,
        # What a client library prints must not get into a document on our standard output.
        stdout=_STANDARD_ERROR,
        env={**bare(os.environ), "PYTHONPATH": places},
        pass_fds=(theirs.fileno(),),
        # Ctrl-C is for us.
        start_new_session=True,
    )


def _how_it_ended(code: int) -> str:
    names = {number.value: number.name for number in signal.Signals}
    return f"was killed by {names.get(-code, f'signal {-code}')}" if code < 0 else f"ended with exit code {code}"
