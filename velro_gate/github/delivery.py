"""Delivers a text to somebody else's server: tried again where that may help, within bounds, and following no redirects.

The address may be a secret, since whoever knows it can write there: nothing here shows it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import httpx

from velro_gate.github.clock import Clock
from velro_gate.github.retrying import limited, pause
from velro_gate.units import format_count

TRIES = 4
"""Of one message."""
TIMEOUT = 10.0
"""Seconds that one try may take."""
LONGEST_WAIT = 30.0
"""Seconds; a receiver that asks for a longer wait is given up."""
_LATER = frozenset({0, 408, 429})
"""No response, and those that mean "later"."""


def whole_body(answer: httpx.Response, *, deadline: float, most: int) -> bytes:
    """The body of a response that is streamed: it may be dripped, or have no end.

    deadline: on ``time.monotonic``. most: bytes.

    Raises:
        httpx.ReadTimeout: it is not whole by then. httpx.DecodingError: it is longer.
    """
    content = bytearray()
    for piece in answer.iter_bytes():
        content += piece
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the response was not whole in time")
        if len(content) > most:
            raise httpx.DecodingError(f"more than {format_count(most)} bytes")
    return bytes(content)


def deliver(
    method: str,
    url: str,
    content: bytes,
    headers: Callable[[], Mapping[str, str]],
    *,
    clock: Clock,
    transport: httpx.BaseTransport | None,
) -> str | None:
    """Why it was not taken; None when it was. headers: made for each try, since a signature holds its time."""
    why = ""
    with httpx.Client(timeout=TIMEOUT, transport=transport) as client:
        for attempt in range(1, TRIES + 1):
            status, answered, why = _tried(client, method, url, content, headers())
            if 200 <= status < 300:
                return None
            again = status in _LATER or status >= 500 or limited(status, answered)
            # As after a server's failure also where a limit is not explained: a minute's wait is GitHub's own rule.
            wait = pause(0, answered, attempt=attempt, now=clock.now(), chance=clock.chance())
            if not again or attempt == TRIES or wait > LONGEST_WAIT:
                break
            clock.sleep(wait)
    return why


def _tried(
    client: httpx.Client, method: str, url: str, content: bytes, headers: Mapping[str, str]
) -> tuple[int, httpx.Headers, str]:
    """Status (0: no response), headers, and what went wrong."""
    try:
        # Only the head is read: a body may have no end.
        with client.stream(method, url, content=content, headers=dict(headers)) as answer:
            return answer.status_code, answer.headers, f"status {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return 0, httpx.Headers(), type(error).__name__


def is_http(url: str) -> bool:
    """Whether this is the address of an HTTP server."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def host_of(url: str) -> str:
    """All of an address that may be shown."""
    return urlsplit(url).hostname or ""
