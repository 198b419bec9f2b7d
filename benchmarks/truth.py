"""A server of known truth: it answers each request after a delay drawn from a seed, and logs what it really did.

``python -m benchmarks.truth --delay constant:0.02 --port 8080``

Delays, in seconds: ``constant:D``, ``lognormal:MEDIAN,SIGMA,MOST``, ``bimodal:FAST,SLOW,SHARE_OF_SLOW``. Request number n gets
draw number n. One thread, one epoll set, a heap of responses that are due. The set is waited for with ``select``, whose timeout
is in microseconds (epoll's is in whole milliseconds), with the kernel's timer slack off; so a response leaves some tens of
microseconds after its time, and the log says when.

``--capacity C``: it takes up C requests per second at most, one after the other, and the delay begins when its turn has come: a
queue of known speed, so that a backlog shrinks at a known rate.

Logged per request: when its last byte was read, which delay was drawn, when the response was written, and the user, which the
request names as the last part of its path. ``/health`` is answered at once and is not logged. GET only.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import heapq
import json
import select
import signal
import socket
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import numpy.typing as npt

from benchmarks.processes import Started, module, started

_PR_SET_TIMERSLACK = 29  # linux/prctl.h
_BODY = b'{"ok":true}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Cache: MISS\r\nContent-Length: %d\r\n\r\n%s" % (
    len(_BODY),
    _BODY,
)
_NOBODY = 0xFFFFFFFF
_DRAWN_AT_ONCE = 65_536

Times = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """A distribution of delays, as written on the command line."""

    kind: str
    parameters: tuple[float, ...]

    @classmethod
    def parse(cls, text: str) -> Delays:
        """Read ``KIND:PARAMETER,...``.

        Raises:
            ValueError: it is not one of the three kinds, or has another number of parameters.
        """
        kind, _, rest = text.partition(":")
        parameters = tuple(float(word) for word in rest.split(",") if word)
        wanted = {"constant": 1, "lognormal": 3, "bimodal": 3}.get(kind)
        if wanted != len(parameters) or min(parameters) < 0.0:
            raise ValueError(f"no such delay: {text!r}")
        return cls(kind=kind, parameters=parameters)

    def __str__(self) -> str:
        return f"{self.kind}:{','.join(f'{each:g}' for each in self.parameters)}"

    def draw(self, random: np.random.Generator, count: int) -> Times:
        """The next ``count`` delays in seconds."""
        match self.kind, self.parameters:
            case "constant", (delay,):
                return np.full(count, delay)
            case "lognormal", (median, sigma, most):
                return np.minimum(median * np.exp(sigma * random.standard_normal(count)), most)
            case _, (fast, slow, share):
                return np.where(random.random(count) < share, slow, fast)
        raise AssertionError(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What the server did, a row a request, in the order of arrival. Seconds on this machine's monotonic clock; delays too.

    answered is NaN where the client had gone before. user: NOBODY's number where the path names none.
    """

    arrived: Times
    answered: Times
    injected: Times
    user: npt.NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.arrived)

    @property
    def service_time(self) -> Times:
        """Seconds from reading a request to writing its response."""
        return self.answered - self.arrived

    def within(self, start: float, until: float) -> Log:
        """What arrived in [start, until)."""
        mask = (self.arrived >= start) & (self.arrived < until)
        return Log(arrived=self.arrived[mask], answered=self.answered[mask], injected=self.injected[mask], user=self.user[mask])

    def write(self, path: Path) -> None:
        """Keep it in a file."""
        np.savez(path, arrived=self.arrived, answered=self.answered, injected=self.injected, user=self.user)

    @classmethod
    def read(cls, path: Path) -> Log:
        """What ``write`` has kept."""
        with np.load(path) as kept:
            return cls(arrived=kept["arrived"], answered=kept["answered"], injected=kept["injected"], user=kept["user"])


class _Client:
    """One connection: what has been read of a request, and what has not been written of a response."""

    __slots__ = ("rest", "sock", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.rest = b""
        self.unsent = b""


class TruthServer:
    """See the module. now: the clock of the log."""

    def __init__(self, delays: Delays, seed: int, port: int = 0, *, keep: bool = True, capacity: float | None = None) -> None:
        self._delays = delays
        self._random = np.random.default_rng(seed)
        self._drawn: Iterator[float] = iter(())
        self._keep = keep
        self._pause = 0.0 if capacity is None else 1.0 / capacity
        self._free_at = 0.0
        self.counted = 0
        self._arrived, self._injected, self._answered, self._user = array("d"), array("d"), array("d"), array("L")
        self._due: list[tuple[float, int, _Client]] = []
        self._clients: dict[int, _Client] = {}
        self._listener = socket.create_server(("127.0.0.1", port), backlog=65_535)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self.port: int = self._listener.getsockname()[1]
        self._stopped = False

    def stop(self) -> None:
        """Let ``serve`` return at its next turn."""
        self._stopped = True

    def serve(self) -> None:
        """Answer until stopped."""
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1)
        epoll, due = self._epoll, self._due
        waits_on, listener = [epoll.fileno()], self._listener.fileno()
        while not self._stopped:
            wait = max(0.0, due[0][0] - monotonic()) if due else 0.5
            if wait > 0.0:
                select.select(waits_on, [], [], min(wait, 0.5))
            for number, events in epoll.poll(0.0):
                if number == listener:
                    self._accept()
                elif events & select.EPOLLOUT:
                    self._write(self._clients[number], b"")
                else:
                    self._read(self._clients[number])
            now = monotonic()
            while due and due[0][0] <= now:
                _, row, client = heapq.heappop(due)
                self._write(client, _ANSWER)
                now = monotonic()
                if self._keep and client.sock.fileno() >= 0:
                    self._answered[row] = now

    def log(self) -> Log:
        """Everything so far."""
        return Log(
            arrived=np.array(self._arrived),
            answered=np.array(self._answered),
            injected=np.array(self._injected),
            user=np.array(self._user, np.uint32),
        )

    def close(self) -> None:
        """Let go of everything."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._epoll.close()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock, _ = self._listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._clients[sock.fileno()] = _Client(sock)
                self._epoll.register(sock, select.EPOLLIN)

    def _read(self, client: _Client) -> None:
        try:
            read = client.sock.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            read = b""
        now = monotonic()
        if not read:
            self._drop(client)
            return
        *heads, client.rest = (client.rest + read).split(b"\r\n\r\n")
        for head in heads:
            path = head.split(b" ", 2)[1]
            if path == b"/health":
                self._write(client, _ANSWER)
            else:
                self._take(client, path, now)

    def _take(self, client: _Client, path: bytes, now: float) -> None:
        delay = next(self._drawn, None)
        if delay is None:
            self._drawn = iter(self._delays.draw(self._random, _DRAWN_AT_ONCE).tolist())
            delay = next(self._drawn)
        row, self.counted = self.counted, self.counted + 1
        if self._keep:
            self._arrived.append(now)
            self._injected.append(delay)
            self._answered.append(np.nan)
            last = path.rpartition(b"/")[2]
            self._user.append(int(last) if last.isdigit() else _NOBODY)
        turn = max(now, self._free_at)
        self._free_at = turn + self._pause
        heapq.heappush(self._due, (turn + delay, row, client))

    def _write(self, client: _Client, answer: bytes) -> None:
        if client.sock.fileno() < 0:
            return
        text = client.unsent + answer
        try:
            sent = client.sock.send(text)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(client)
            return
        if bool(client.unsent) != (sent < len(text)):
            self._epoll.modify(client.sock, select.EPOLLIN | (select.EPOLLOUT if sent < len(text) else 0))
        client.unsent = text[sent:]

    def _drop(self, client: _Client) -> None:
        self._clients.pop(client.sock.fileno(), None)
        client.sock.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTruth:
    """A truth server in a process of its own."""

    url: str
    started: Started
    log_file: Path

    def finish(self) -> Log:
        """Stop it and read its log; its length is the count of requests.

        Raises:
            FailedError: it did not end well.
        """
        self.started.process.send_signal(signal.SIGTERM)
        self.started.require_success(30.0)
        return Log.read(self.log_file)


@contextlib.contextmanager
def truth(
    delays: Delays, *, seed: int = 1, core: int | None = None, keep: bool = True, capacity: float | None = None
) -> Iterator[RunningTruth]:
    """Run a truth server until the block ends.

    Raises:
        FailedError: it did not start.
    """
    with tempfile.TemporaryDirectory(prefix="velro-truth-") as folder:
        log = Path(folder) / "log.npz"
        more = [*(["--log", log] if keep else []), *(["--capacity", capacity] if capacity is not None else [])]
        command = module("benchmarks.truth", "--delay", delays, "--seed", seed, *more)
        with started(command, core=core) as running:
            yield RunningTruth(url=json.loads(running.line())["url"], started=running, log_file=log)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C, then keep the log."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--delay", default="constant:0.02")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--log", type=Path)
    options.add_argument("--capacity", type=float, help="requests per second that are taken up at most")
    wanted = options.parse_args()
    try:
        delays = Delays.parse(wanted.delay)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    server = TruthServer(delays, wanted.seed, wanted.port, keep=wanted.log is not None, capacity=wanted.capacity)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    print(json.dumps({"url": f"http://127.0.0.1:{server.port}", "delay": str(delays), "seed": wanted.seed}), flush=True)
    try:
        server.serve()
    finally:
        if wanted.log is not None:
            server.log().write(wanted.log)
        server.close()


if __name__ == "__main__":
    main()
