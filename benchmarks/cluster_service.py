"""Answers every request at once, and remembers which came. Used by ``benchmarks.cluster``, where a service has a process.

``count`` on standard input: how many came so far; ``take``: which, since the last time. Ends with it.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from functools import partial

import trio

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Requests:
    """What came."""

    def __init__(self, *, keep: bool) -> None:
        self._keep, self._kept, self._count = keep, Counter[bytes](), 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection."""
        rest = b""
        async with stream:
            try:
                while data := await stream.receive_some(65_536):
                    *heads, rest = (rest + data).split(b"\r\n\r\n")
                    self._count += len(heads)
                    if self._keep:
                        self._kept.update(heads)
                    await stream.send_all(RESPONSE * len(heads))
            except trio.BrokenResourceError:
                return

    def answer(self, order: str) -> str:
        """To a line of standard input."""
        if order == "count":
            return str(self._count)
        kept, self._kept = self._kept, Counter[bytes]()
        return json.dumps({head.decode("latin-1"): times for head, times in kept.items()})


async def main(*arguments: str) -> None:
    """Serve until standard input closes. arguments: host, port, whether to keep what came."""
    host, port, keep = arguments
    requests = Requests(keep=keep == "keep")
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(int(port), host=host, backlog=4096)
        nursery.start_soon(partial(trio.serve_listeners, requests.serve, listeners))
        print("ready", flush=True)
        while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            print(requests.answer(line.strip()), flush=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
