"""The process that carries out faults, as the run sees it: started, given orders, and gone when its use ends.

Orders wait for their reply. From a trio task they are given in a thread, so that no user waits for them.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from velro_gate.engine.faults.messages import MOST_LINE, line_of, message_of, packed_fault
from velro_gate.errors import BrokenError
from velro_gate.hardening import bare
from velro_gate.model.resilience.network import NetworkFault, ProxyCounts, WireProtocol

START_SECONDS = 60.0
STOP_SECONDS = 30.0
"""Seconds that it may take to undo what there is to undo."""


class Injector:
    """Gives orders, one at a time, from any thread."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
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

    def set_network(self, name: str, fault: NetworkFault | None) -> None:
        """Begin a fault of a proxy, in place of the one before; None: it passes everything on again."""
        self.order("network", name=name, fault=packed_fault(fault))

    def counts(self) -> dict[str, ProxyCounts]:
        """What has passed through each proxy."""
        reply = self.order("counts")
        return {name: ProxyCounts(**counted) for name, counted in reply["counts"].items()}

    def begin(self, key: str, action: Mapping[str, Any]) -> str:
        """Have an action carried out, to be undone by its key or at the end; why it could not be, empty where it was."""
        failed: str = self.order("begin", key=key, action=dict(action)).get("failed", "")
        return failed

    def undo(self, key: str) -> str:
        """Have an action undone; why it could not be, empty where it was."""
        failed: str = self.order("undo", key=key).get("failed", "")
        return failed

    def order(self, do: str, **rest: Any) -> dict[str, Any]:
        """Have one order carried out; the reply.

        Raises:
            BrokenError: the process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            self._last += 1
            line = b""
            with suppress(BrokenPipeError, ValueError):
                self._process.stdin.write(line_of({"id": self._last, "do": do, **rest}))
                self._process.stdin.flush()
                line = self._process.stdout.readline(MOST_LINE)
            if not line.endswith(b"\n"):
                raise BrokenError(
                    "the process that carries out faults has ended",
                    why="it was killed, or the machine ran out of memory",
                    hint="See what it printed last, and run again.",
                )
            reply = message_of(line)
            assert reply.pop("id") == self._last
            return reply


@contextmanager
def running_injector() -> Iterator[Injector]:
    """A process that carries out faults, while the ``with`` block lasts; afterwards everything is undone.

    Raises:
        BrokenError: it does not start.
    """
    process = _start()
    try:
        yield Injector(process)
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
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    if not ready or process.stdout.readline() != b"{}\n":
        process.kill()
        _end(process)
        raise _not_started("it said nothing" if not ready else "it ended at once")
    return process


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
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
