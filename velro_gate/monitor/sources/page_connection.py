"""One page over HTTP/1.1 again and again, over a connection that is kept: what a metrics page needs and no more.

A general client takes several times as many calls for a page, and they are cold each time. It blocks: it belongs in a thread.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httptools
import httpx

_PIECE = 1 << 18
"""Bytes that are received at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRoute:
    """The way to a page: the usual one unless something is named."""

    tls: Callable[[], ssl.SSLContext] | None = None
    """Makes the context for a page over TLS: one cannot be sent to another process; None: the usual authorities."""
    unix_socket: str | None = None
    source_address: str | None = None
    """The address of this machine to connect from."""
    http2: bool = False
    """Whether the page speaks HTTP/2 alone."""

    def transport(self) -> httpx.AsyncHTTPTransport:
        """The same way for httpx."""
        return httpx.AsyncHTTPTransport(
            verify=True if self.tls is None else self.tls(),
            http1=not self.http2,
            http2=self.http2,
            trust_env=False,
            uds=self.unix_socket,
            local_address=self.source_address,
        )


class PageTooLongError(Exception):
    """The response has more bytes than are read."""


class PageNotReadError(Exception):
    """The parser refuses the response: another one may read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A response."""

    status: int
    coding: str
    """How its body is packed, as its head says; empty: it is not."""
    body: bytes


class PageConnection:
    """Asks for one URL. most: bytes of a response that are read."""

    def __init__(self, url: str, route: PageRoute, *, most: int) -> None:
        parts = httpx.URL(url)
        self._route, self._most = route, most
        self._secure = parts.scheme == "https"
        self._host = parts.raw_host.decode("ascii")
        self._port = parts.port or (443 if self._secure else 80)
        self._request = _request(parts)
        self._socket: socket.socket | None = None

    def get(self, seconds: float) -> Page:
        """The page as it is now, within this time once its name is resolved.

        Raises:
            OSError: no connection, or it broke; TimeoutError: it took too long.
            PageTooLongError: see there.
            PageNotReadError: see there.
        """
        deadline = time.monotonic() + seconds
        kept, self._socket = self._socket, None
        if kept is not None:
            try:
                return self._ask(kept, deadline)
            except (ConnectionError, EOFError):
                # Closed while nobody asked, as servers do after some seconds: on to a new one.
                kept.close()
        try:
            return self._ask(self._connected(deadline), deadline)
        except EOFError as error:
            raise ConnectionResetError from error

    def close(self) -> None:
        """Hang up."""
        kept, self._socket = self._socket, None
        if kept is not None:
            kept.close()

    def _ask(self, line: socket.socket, deadline: float) -> Page:
        response = _Response()
        received = 0
        try:
            line.settimeout(_left(deadline))
            line.sendall(self._request)
            while not response.complete:
                line.settimeout(_left(deadline))
                piece = line.recv(_PIECE)
                received += len(piece)
                if not piece:
                    response.end()
                    break
                if received > self._most:
                    raise PageTooLongError
                response.feed(piece)
        except BaseException:
            line.close()
            raise
        if response.stays_open:
            self._socket = line
        else:
            line.close()
        return Page(status=response.status, coding=response.coding, body=b"".join(response.body))

    def _connected(self, deadline: float) -> socket.socket:
        line = self._plain(deadline)
        if not self._secure:
            return line
        context = httpx.create_ssl_context(trust_env=False) if self._route.tls is None else self._route.tls()
        try:
            line.settimeout(_left(deadline))
            return context.wrap_socket(line, server_hostname=self._host)
        except BaseException:
            line.close()
            raise

    def _plain(self, deadline: float) -> socket.socket:
        if self._route.unix_socket is None:
            source = None if self._route.source_address is None else (self._route.source_address, 0)
            line = socket.create_connection((self._host, self._port), _left(deadline), source)
            with contextlib.suppress(OSError):
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return line
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.settimeout(_left(deadline))
            line.connect(self._route.unix_socket)
        except BaseException:
            line.close()
            raise
        return line


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0.0:
        raise TimeoutError
    return left


def _request(url: httpx.URL) -> bytes:
    user = ""
    if url.userinfo:
        plain = f"{url.username}:{url.password}".encode()
        user = f"Authorization: Basic {base64.b64encode(plain).decode()}\r\n"
    head = f"Host: {url.netloc.decode('ascii')}\r\nAccept: text/plain;version=0.0.4\r\nAccept-Encoding: identity\r\n{user}\r\n"
    return b"GET " + url.raw_path + b" HTTP/1.1\r\n" + head.encode("ascii")


class _Response:
    """Takes what httptools finds in the bytes of a response."""

    def __init__(self) -> None:
        self.body: list[bytes] = []
        self.coding = ""
        self.status = 0
        self.complete = self.stays_open = False
        self._measured = self._over = False
        self._parser: Any = httptools.HttpResponseParser(self)

    def feed(self, piece: bytes) -> None:
        """Take some bytes.

        Raises:
            PageNotReadError: they are no response.
        """
        try:
            self._parser.feed_data(piece)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                raise PageNotReadError from error
            self.stays_open = False

    def end(self) -> None:
        """The other side has hung up.

        Raises:
            EOFError: before the end of the response, or before its beginning.
        """
        if not self.status or self._measured:
            raise EOFError

    # What httptools calls. Of a second response, which nobody has asked for, nothing is kept.

    def on_message_begin(self) -> None:
        """Another response behind the end of this one: nothing of this connection can be trusted any more."""
        self._over = self.complete
        self.stays_open = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Remember what says how the body is packed, and whether its end is known."""
        lower = b"" if self._over else name.lower()
        if lower == b"content-encoding":
            self.coding = value.decode("latin-1").strip().lower()
        elif lower in (b"content-length", b"transfer-encoding"):
            self._measured = True

    def on_headers_complete(self) -> None:
        """The final head is there, or one that announces it."""
        status = self._parser.get_status_code()
        if status >= 200 and not self._over:
            self.status = status
        elif not self._over:
            self.coding, self._measured = "", False

    def on_body(self, body: bytes) -> None:
        """Keep a piece."""
        if not self._over:
            self.body.append(body)

    def on_message_complete(self) -> None:
        """The end, unless it was an announcement."""
        if self.status:
            self.complete = True
            self.stays_open = not self._over and self._parser.should_keep_alive()
