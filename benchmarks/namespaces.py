"""Network namespaces: several machines' networks on one machine, joined by a bridge. Linux, and only for root.

The bridge is in a namespace of its own, so nothing is left behind in this machine's network. A slow link leads through a
process that holds back each packet, since not every kernel has ``netem``.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from benchmarks.processes import FailedError, module, our_environment

BRIDGE_HOST = "10.77.0.1"
_MIDDLE = "velro-bridge"
_START_SECONDS = 10.0


def forbidden() -> str | None:
    """Why namespaces cannot be made here, in words; None where they can."""
    name = f"velro-try-{os.getpid()}"
    try:
        _ip("netns", "add", name)
        _ip("netns", "exec", name, "true")
        _ip("netns", "delete", name)
    except FailedError as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A machine's network, with one link to the bridge. number: from 2, the last number of its address."""

    name: str
    number: int
    slow: SlowLink | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """Its address."""
        return f"10.77.0.{self.number}"

    def command(self, command: Sequence[str], *, monotonic_ahead: float = 0.0) -> list[str]:
        """A command that is carried out in there. monotonic_ahead: seconds by which its monotonic clock differs from ours."""
        time_too = ["unshare", "--time", "--monotonic", f"{monotonic_ahead:.0f}"] if monotonic_ahead else []
        return ["ip", "netns", "exec", self.name, *time_too, *command]

    def cut_off(self) -> None:
        """Take its link down: nothing comes in or goes out, without a word to anybody."""
        _ip("-n", self.name, "link", "set", "eth0", "down")

    def join_again(self) -> None:
        """Bring the link up again."""
        _ip("-n", self.name, "link", "set", "eth0", "up")


@dataclass(slots=True, kw_only=True)
class SlowLink:
    """A process through which all packets of a link pass; they are held back when that is asked for."""

    orders: IO[bytes]

    def delay(self, seconds: float) -> None:
        """From now on every packet takes this much longer, either way."""
        self.orders.write(f"{seconds}\n".encode())
        self.orders.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A bridge at ``BRIDGE_HOST``, and who is joined to it."""

    bridge: str
    """The bridge's namespace, where a service can be."""
    head: Namespace
    others: tuple[Namespace, ...]


@contextmanager
def network(others: int, *, slow: Sequence[int] = ()) -> Iterator[Network]:
    """A network with a head and this many others; gone at the end of the block. slow: those whose link can be slowed down.

    Raises:
        FailedError: it cannot be made.
    """
    mark = os.getpid()
    middle = f"{_MIDDLE}-{mark}"
    with ExitStack() as stack:
        stack.enter_context(_namespace(middle))
        _ip("-n", middle, "link", "add", "bridge0", "type", "bridge")
        _ip("-n", middle, "address", "add", f"{BRIDGE_HOST}/16", "dev", "bridge0")
        _ip("-n", middle, "link", "set", "bridge0", "up")
        made = []
        for index in range(others + 1):
            name = f"velro-{'head' if index == 0 else index}-{mark}"
            stack.enter_context(_namespace(name))
            join = _slow_link if index - 1 in slow else _fast_link
            made.append(Namespace(name=name, number=index + 2, slow=join(stack, middle, name, index + 2)))
            _ip("-n", name, "address", "add", f"{made[-1].host}/16", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
        yield Network(bridge=middle, head=made[0], others=tuple(made[1:]))


@contextmanager
def _namespace(name: str) -> Iterator[None]:
    _ip("netns", "add", name)
    try:
        _ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        _ip("netns", "delete", name)


def _fast_link(_: ExitStack, middle: str, name: str, number: int) -> None:
    """A pair of virtual cards, one end of which is plugged into the bridge."""
    ours = f"port{number}"
    _ip("-n", middle, "link", "add", ours, "type", "veth", "peer", "name", "eth0", "netns", name)
    _ip("-n", middle, "link", "set", ours, "master", "bridge0", "up")


def _slow_link(stack: ExitStack, middle: str, name: str, number: int) -> SlowLink:
    """Two cards that a process of ours serves: what one of them sends, it gives to the other."""
    ours = f"port{number}"
    process = stack.enter_context(
        subprocess.Popen(
            module("benchmarks.slow_link", middle, ours, name, "eth0"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=our_environment(),
        )
    )
    stack.callback(process.kill)
    assert process.stdin is not None
    assert process.stdout is not None
    if process.stdout.readline() != b"ready\n":
        raise FailedError("the process of a slow link did not start")
    _ip("-n", middle, "link", "set", ours, "master", "bridge0", "up")
    return SlowLink(orders=process.stdin)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """This thread, and what it starts, is in that namespace until the end of the block. Other threads stay where they are."""
    with Path("/proc/thread-self/ns/net").open("rb") as back:
        _enter(Path("/run/netns") / name)
        try:
            yield
        finally:
            _set_namespace(back.fileno())


def _enter(path: Path) -> None:
    with path.open("rb") as there:
        _set_namespace(there.fileno())


def _set_namespace(descriptor: int) -> None:
    import ctypes

    # os.setns came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, 0):
        raise FailedError(f"a namespace cannot be entered: {os.strerror(ctypes.get_errno())}")


def _ip(*arguments: str) -> None:
    try:
        said = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise FailedError(f"ip: {error.strerror}") from error
    if said.returncode:
        raise FailedError(f"ip {' '.join(arguments)}: {said.stderr.strip()}")
