"""The control endpoint: the responder, requested lightly during every block by the same loop that sends the load.

No build can change its responses, so whatever moves their time is the runner, or the generator: not the service.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import trio

ASKED_EVERY = 0.02
"""Seconds between two requests: little compared with any load that is worth comparing."""

_TIMEOUT = 2.0
"""Seconds; a control that takes longer has failed."""
_QUESTION = b"GET / HTTP/1.1\r\nHost: control\r\n\r\n"
_END = b"}"


class Control:
    """Asks a responder until it is cancelled. times: seconds of every response so far; failed: questions without one."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._place = (parts.hostname or "", parts.port or 80)
        self.times: list[float] = []
        self.failed = 0

    async def ask(self) -> None:
        """Ask at fixed times, over one connection for as long as it stands."""
        due = trio.current_time()
        while True:
            try:
                async with await trio.open_tcp_stream(*self._place) as stream:
                    while True:
                        due = max(due + ASKED_EVERY, trio.current_time())
                        await trio.sleep_until(due)
                        self.times.append(await _answered(stream))
            except (OSError, trio.BrokenResourceError, trio.TooSlowError):
                self.failed += 1
                await trio.sleep(ASKED_EVERY)


async def _answered(stream: trio.SocketStream) -> float:
    began = trio.current_time()
    with trio.fail_after(_TIMEOUT):
        await stream.send_all(_QUESTION)
        while not (part := await stream.receive_some()).endswith(_END):
            if not part:
                raise trio.BrokenResourceError
    return trio.current_time() - began
