"""What the fault proxy costs while no fault is set: throughput, and latency that it adds. ``python -m benchmarks.fault_proxy``.

The proxy is the process that a run uses. Throughput: one connection from a sender to a receiver, each a process of its own;
bytes that arrived by seconds. Latency: round trips of 64 bytes one after the other, through the proxy and straight in turn, so
that both meet the same machine; what is added is the difference of the same quantile.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from benchmarks.table import Page, Table, at_least, at_most, figures_table, options
from velro_gate.engine.faults.injector import running_injector

LEAST_BYTES_PER_SECOND = 1e9
MOST_ADDED_P99 = 100e-6
TOXIPROXY = "Toxiproxy's README names less than 100 µs and 1.0 GB/s on a laptop (GOMAXPROCS=4), 2.4 GB/s on a desktop."
MESSAGE = b"x" * 64
_PIECE = 1 << 20
_CONTEXT = multiprocessing.get_context("spawn")


def main() -> None:
    """Measure both, several rounds of each, and print the medians next to the targets."""
    arguments = options(__doc__)
    arguments.add_argument("--seconds", type=float, default=3.0, help="of one measurement of throughput")
    arguments.add_argument("--trips", type=int, default=20_000, help="round trips of one measurement of latency")
    arguments.add_argument("--rounds", type=int, default=5)
    wanted = arguments.parse_args()
    Page(markdown=wanted.markdown).show(_measured(wanted))


def _measured(wanted: argparse.Namespace) -> Table:
    with _served(swallow) as sink, _served(echo) as echoing, running_injector() as injector:
        to_sink = injector.open_proxy("sink", "127.0.0.1", sink)
        to_echo = injector.open_proxy("echo", "127.0.0.1", echoing)
        rates = [_poured(to_sink, wanted.seconds) for _ in range(wanted.rounds)]
        straight = _poured(sink, wanted.seconds)
        added: list[tuple[float, ...]] = []
        for _ in range(wanted.rounds):
            through = round_trips(to_echo, wanted.trips)
            without = round_trips(echoing, wanted.trips)
            added.append(tuple(float(np.quantile(through, q) - np.quantile(without, q)) for q in (0.5, 0.99)))
    p50, p99 = np.median(np.array(added), axis=0).tolist()
    figures = [
        at_least("throughput, GB/s", float(np.median(rates)) / 1e9, LEAST_BYTES_PER_SECOND / 1e9, "{:.2f}"),
        at_most("added latency p99, µs", p99 * 1e6, MOST_ADDED_P99 * 1e6, "{:.0f}"),
        at_most("added latency p50, µs", p50 * 1e6, MOST_ADDED_P99 * 1e6, "{:.0f}"),
    ]
    notes = (f"Without the proxy {straight / 1e9:.2f} GB/s. Medians of {wanted.rounds} rounds.", TOXIPROXY)
    return figures_table("The fault proxy without a fault", figures, notes)


@contextmanager
def _served(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A process that answers one connection after the other; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = _CONTEXT.Process(target=_serve, args=(listener, answer), daemon=True)
        process.start()
        try:
            yield listener.getsockname()[1]
        finally:
            process.kill()
            process.join()


def _serve(listener: socket.socket, answer: Callable[[socket.socket], None]) -> None:
    while True:
        accepted, _ = listener.accept()
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with accepted:
            answer(accepted)


def swallow(peer: socket.socket) -> None:
    """Read to the end, and answer with the number of bytes."""
    buffer = bytearray(_PIECE)
    total = 0
    while count := peer.recv_into(buffer):
        total += count
    peer.sendall(b"%d" % total)


def echo(peer: socket.socket) -> None:
    """Send back what comes."""
    while some := peer.recv(4_096):
        peer.sendall(some)


def _poured(port: int, seconds: float) -> float:
    """Bytes per second that arrive."""
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=pour, args=(port, seconds, theirs), daemon=True)
    process.start()
    rate: float = ours.recv()
    process.join()
    return rate


def pour(port: int, seconds: float, result: object) -> None:
    """Send as fast as can be for some seconds; the rate at which it arrived goes into the pipe."""
    piece = bytes(_PIECE)
    with socket.create_connection(("127.0.0.1", port)) as peer:
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            peer.sendall(piece)
        peer.shutdown(socket.SHUT_WR)
        arrived = int(peer.recv(64))
        result.send(arrived / (time.perf_counter() - began))  # type: ignore[attr-defined]


def round_trips(port: int, count: int) -> npt.NDArray[np.float64]:
    """Seconds of each round trip."""
    times = np.empty(count)
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for index in range(count):
            began = time.perf_counter()
            peer.sendall(MESSAGE)
            left = len(MESSAGE)
            while left:
                left -= len(peer.recv(left))
            times[index] = time.perf_counter() - began
    return times


if __name__ == "__main__":
    main()
