"""The process that carries out faults, as the run sees it: started, given orders, and gone when its use ends.

Orders wait for their reply. From a trio task they are given in a thread, so that no user waits for them.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from velro_gate import units
from velro_gate.engine.faults.actions import COMMAND_SECONDS
from velro_gate.engine.faults.messages import MOST_LINE, message_line, message_of
from velro_gate.errors import BrokenError
from velro_gate.hardening import bare
from velro_gate.model.resilience.network import ProxyCounts, WireProtocol

START_SECONDS = 60.0
"""How long the process may take to start: the machine may be busy with builds."""
STOP_SECONDS = 30.0
"""Seconds that it may take to undo what there is to undo."""
ORDER_SECONDS = COMMAND_SECONDS + 15.0
"""Seconds that it may take to reply: the longest action, and what a busy machine adds."""
_AWAKE_SECONDS = 5.0
"""How long a reply may take after a process that was stopped (SIGSTOP) has been made to go on."""


class Injector:
    """Gives orders, one at a time, from any thread. seconds: how long a reply may take."""

    def __init__(self, process: subprocess.Popen[bytes], *, seconds: float = ORDER_SECONDS) -> None:
        assert process.stdin is not None
        # A process that is stopped reads nothing, and a full pipe must not hold us either.
        os.set_blocking(process.stdin.fileno(), False)
        self._process = process
        self._seconds = seconds
        self._turn = threading.Lock()
        self._last = 0

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def open_proxy(
        self,
        name: str,
        host: str,
        port: int,
        *,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        protocol: WireProtocol = WireProtocol.TCP,
        seed: int = 1,
    ) -> int:
        """A proxy to a dependency; the port on which it listens.

        Raises:
            BrokenError: the port is taken or not ours.
        """
        reply = self.order(
            "open",
            name=name,
            host=host,
            port=port,
            listen_host=listen[0],
            listen_port=listen[1],
            protocol=protocol.value,
            seed=seed,
        )
        if "failed" in reply:
            raise BrokenError(
                f"the fault proxy {name} cannot listen on {listen[0]}:{listen[1] or 'a free port'}",
                why=reply["failed"],
                hint="Give it another address under 'listen', or stop what listens there ('ss -ltnp' shows it).",
            )
        taken: int = reply["port"]
        return taken

    def counts(self) -> dict[str, ProxyCounts]:
        """What has passed through each proxy."""
        reply = self.order("counts")
        return {name: ProxyCounts(**counted) for name, counted in reply["counts"].items()}

    def begin(self, key: str, action: Mapping[str, Any]) -> str | None:
        """Have an action carried out, to be undone by its key or at the end; why it could not be, None where it was."""
        failed: str | None = self.order("begin", key=key, action=dict(action)).get("failed")
        return failed

    def undo(self, key: str) -> str | None:
        """Have an action undone; why it could not be, None where it was."""
        failed: str | None = self.order("undo", key=key).get("failed")
        return failed

    def prepare(self) -> None:
        """Let it load what sends requests."""
        self.order("prepare")

    def watch(self, key: str, probes: Sequence[Mapping[str, Any]]) -> str | None:
        """Begin probes under the key of an action; why they could not be begun, None where they were."""
        failed: str | None = self.order("watch", key=key, probes=[dict(each) for each in probes]).get("failed")
        return failed

    def probed(self, key: str, *, now: bool = False) -> list[dict[str, Any]] | None:
        """What the probes of a key have seen, once they have finished, or ``now``; None before."""
        seen: list[dict[str, Any]] | None = self.order("probed", key=key, now=now)["probed"]
        return seen

    def order(self, do: str, **rest: Any) -> dict[str, Any]:
        """Have one order carried out; the reply.

        Raises:
            BrokenError: the process has ended, or does not reply.
        """
        with self._turn:
            self._last += 1
            line = self._said(message_line({"id": self._last, "do": do, **rest}))
            if line is None:
                # Whatever has stopped it: nothing that comes later is a reply to this.
                self._process.kill()
                raise BrokenError(
                    f"the process that carries out faults did not reply within {units.format_duration(self._seconds)}",
                    why="it was stopped from outside, or the machine is overloaded",
                    hint="See whether a command or an experiment stops processes that are not the service's.",
                )
            if not line.endswith(b"\n"):
                raise BrokenError(
                    "the process that carries out faults has ended",
                    why="it was killed, or the machine ran out of memory",
                    hint="See what it printed last, and run again.",
                )
            reply = message_of(line)
            assert reply.pop("id") == self._last
            return reply

    def _said(self, order: bytes) -> bytes | None:
        """What it replies; nothing where it has ended, None where it does not reply."""
        waiting = memoryview(order)
        held = bytearray()
        for seconds in (self._seconds, _AWAKE_SECONDS):
            deadline = time.monotonic() + seconds
            while (left := deadline - time.monotonic()) > 0.0:
                if waiting:
                    waiting = self._given(waiting, left)
                elif some := self._heard(left):
                    held += some
                    if held.endswith(b"\n") or len(held) > MOST_LINE:
                        return bytes(held)
                elif some is not None:
                    return b""
            # Where somebody has stopped it, it goes on now.
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)
        return None

    def _given(self, order: memoryview, seconds: float) -> memoryview:
        """What of an order has not been written yet."""
        assert self._process.stdin is not None
        try:
            sink = self._process.stdin.fileno()
            return order[os.write(sink, order) :] if _ready(sink, select.POLLOUT, seconds) else order
        except BlockingIOError:
            return order
        except (BrokenPipeError, ValueError):
            # It has ended, which its output says as well.
            return order[:0]

    def _heard(self, seconds: float) -> bytes | None:
        """Some bytes of a reply; none where it has ended, None where there is nothing yet."""
        assert self._process.stdout is not None
        try:
            source = self._process.stdout.fileno()
            return os.read(source, 1 << 16) if _ready(source, select.POLLIN, seconds) else None
        except ValueError:
            return b""


@contextmanager
def running_injector(*, seconds: float = ORDER_SECONDS) -> Iterator[Injector]:
    """A process that carries out faults, while the ``with`` block lasts; afterwards everything is undone. seconds: see there.

    Raises:
        BrokenError: it does not start.
    """
    process = _start()
    try:
        yield Injector(process, seconds=seconds)
    finally:
        _end(process)


def _start() -> subprocess.Popen[bytes]:
    try:
        # In a session of its own, since Ctrl-C is for us.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "velro_gate.engine.faults.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**bare(os.environ), "PYTHONPATH": os.pathsep.join(entry or os.curdir for entry in sys.path)},
            start_new_session=True,
        )
    except OSError as error:
        raise _not_started(error.strerror or str(error)) from error
    assert process.stdout is not None
    ready = _ready(process.stdout.fileno(), select.POLLIN, START_SECONDS)
    if not ready or process.stdout.readline() != b"{}\n":
        process.kill()
        _end(process)
        raise _not_started("it said nothing" if not ready else "it ended at once")
    return process


def _ready(descriptor: int, event: int, seconds: float) -> bool:
    """Whether it can be used within this time. Not by ``select``, which knows no descriptor above 1,023."""
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(seconds * 1000.0))


def _not_started(why: str) -> BrokenError:
    return BrokenError(
        "the process that carries out faults did not start",
        why=why,
        hint="Look for a limit of processes ('ulimit -u') or of memory.",
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let go of the leash: it undoes what there is to undo, and ends."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    # One that somebody has stopped could undo nothing.
    process.send_signal(signal.SIGCONT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
