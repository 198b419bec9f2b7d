"""Following redirects within the service (RFC 9110, 15.4), where the scenario asks for it.

The whole chain is one sample with the last response's status: what a client waits for is the response it can use. A redirect
that leads to another origin, or nowhere, or beyond the allowed number, is itself the response.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import httpx

from velro_gate.engine.http.parsing.responses import Response

LOCATION = b"location"
FOLLOWED = frozenset({301, 302, 303, 307, 308})

_OF_THE_BODY = (b"content-", b"transfer-encoding:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Where a chain of redirects stands."""

    request: bytes
    """The request under way."""
    hops: int = 0
    """Redirects so far."""
    received: int = 0
    """Bytes of their responses."""

    @property
    def safe(self) -> bool:
        """Whether the request under way may be sent again when it is unknown whether the service has seen it."""
        return self.request.startswith((b"GET ", b"HEAD ", b"OPTIONS "))


class Redirects:
    """Follows redirects of one service. most: of one request."""

    def __init__(self, url: str, most: int) -> None:
        self._base = httpx.URL(url)
        self._origin = _origin(self._base)
        self._most = most

    def onward(self, chain: Chain, answer: Response, cookie_line: Callable[[bytes], bytes] | None) -> Chain | None:
        """The chain with the request that the response sends us to; None where the response is the last.

        cookie_line: gives the Cookie header for a request that begins like its argument; None leaves that header as it is.
        """
        location = next((value for name, value in answer.captured or () if name == LOCATION), None)
        if location is None or answer.status not in FOLLOWED or chain.hops >= self._most:
            return None
        method, target, rest = chain.request.split(b" ", 2)
        there = self._target(target, location)
        if there is None:
            return None
        head, _, body = rest.partition(b"\r\n\r\n")
        version, *headers = head.split(b"\r\n")
        # RFC 9110, 15.4: 303 asks for a GET; after 301 and 302 clients may turn POST into GET, which all browsers do. 307 and
        # 308 keep method and body.
        if (answer.status == 303 and method != b"HEAD") or (answer.status in (301, 302) and method == b"POST"):
            method, body = b"GET", b""
            headers = [line for line in headers if not line.lower().startswith(_OF_THE_BODY)]
        if cookie_line is not None:
            # The redirect itself may have set cookies, and its path may ask for others.
            headers = [line for line in headers if not line.lower().startswith(b"cookie:")]
        begin = b"\r\n".join([b"%b %b %b" % (method, there, version), *headers, b""])
        cookies = b"" if cookie_line is None else cookie_line(begin)
        request = b"%b%b\r\n%b" % (begin, cookies, body)
        return Chain(request=request, hops=chain.hops + 1, received=chain.received + answer.received)

    def _target(self, target: bytes, location: bytes) -> bytes | None:
        """The request target that a location means, seen from the present one; None when it is not of this service."""
        try:
            there = self._base.join(target.decode("ascii")).join(location.decode("utf-8"))
            return there.raw_path if _origin(there) == self._origin else None
        except (httpx.InvalidURL, ValueError):  # text that is not UTF-8, or a bad international name
            return None


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
