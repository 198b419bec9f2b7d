"""Where a shard runs, as the run sees it: a process of this machine, or of another one (``cluster``)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Protocol

import trio

from velro_gate.engine.shards.encoding import unpacked_message
from velro_gate.engine.shards.messages import Link, pickled
from velro_gate.hardening import bare
from velro_gate.model.run import PhaseRun, WorkerRun

_EXIT_SECONDS = 2.0
"""How long a shard may take to end after its link is closed; then it is killed."""
_STANDARD_ERROR = 2
"""The descriptor of this process's standard error."""


class ShardHost(Protocol):
    """What a shard runs in. It ends when its link closes."""

    @property
    def name(self) -> str:
        """What the shard is called in reports."""

    @property
    def link(self) -> Link:
        """The way to it."""

    def kill(self) -> None:
        """End it at once; never waits."""

    async def how_it_ended(self) -> str:
        """What became of it, in words that follow its name; called when the link has closed, and waits until it is gone."""

    def about(self, run: PhaseRun, begin: float, started: float | None) -> WorkerRun | None:
        """What is known of a phase there in addition to its counts; None on this machine. begin: when it was to begin;
        started: when it began, on the shard's clock.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long shards are waited for. In looks, of which there is one a second, and not in seconds: this process may have been
    stopped itself.
    """

    silent: int = 10
    """Looks in a row at which a shard has said nothing, after which it is taken for lost."""
    start: int = 60
    """Likewise before its first word."""
    lead: float = 0.2
    """Seconds from announcing a phase's start to the shards until the start itself."""
    alive: bool = False
    """Whether the shards are sent signs of life, without which they end."""


HERE = Patience()
"""For shards of this machine."""


@dataclass(slots=True, kw_only=True)
class LocalHost:
    """A process of this machine."""

    name: str
    link: Link
    process: subprocess.Popen[bytes] = field(repr=False)

    def kill(self) -> None:
        """See ShardHost."""
        self.process.kill()

    async def how_it_ended(self) -> str:
        """See ShardHost."""
        return how_it_ended(await trio.to_thread.run_sync(exit_code, self.process))

    def about(self, run: PhaseRun, begin: float, started: float | None) -> None:
        """See ShardHost."""


def start_here(name: str, zero: float) -> LocalHost:
    """A new process for a shard. zero: the start of the run on the system's monotonic clock."""
    process, ours = start_process(zero)
    ours.setblocking(False)
    return LocalHost(name=name, link=Link(ours, pack=pickled, unpack=unpacked_message), process=process)


def start_process(zero: float) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A shard's process, and our end of the link to it.

    Not by ``multiprocessing``: its processes can be hit by a Ctrl-C before they ignore it, run the caller's main module again,
    and leave a tracker behind. Here the signals are blocked before the process exists, and a mask is inherited.
    """
    ours, theirs = socket.socketpair()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "velro_gate.engine.shards.process", str(theirs.fileno()), repr(zero)],
                stdin=subprocess.DEVNULL,
                # What a journey prints must not get into a document on our standard output.
                stdout=_STANDARD_ERROR,
                env={**bare(os.environ), "PYTHONPATH": os.pathsep.join(entry or os.curdir for entry in sys.path)},
                pass_fds=(theirs.fileno(),),
            )
    except BaseException:
        ours.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    return process, ours


def how_it_ended(code: int) -> str:
    """What an exit code says of a process, in words that follow its name."""
    names = {number.value: number.name for number in signal.Signals}
    return f"was killed by {names.get(-code, f'signal {-code}')}" if code < 0 else f"ended with exit code {code}"


def exit_code(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a process that is about to end; one that does not is killed. Waits, so it belongs in a thread."""
    try:
        return process.wait(_EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
