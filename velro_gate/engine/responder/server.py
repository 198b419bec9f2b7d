"""The responder: a process of its own that answers every request at once with one fixed, small response.

Loaded in place of the service, it shows what the generator itself adds to a response time. The rules of this module:

- It is started as a file and imports nothing but the standard library, so that it is there at once and nothing can be missing.
- One loop over an epoll set. A request costs one read, one search for its end and one write; what it asks for is not looked at
  beyond what ends it.
- It ends when its standard input does, so it never outlives whoever started it, however that one dies.

It prints ``{"port": PORT}``, and at its end ``{"answered": COUNT}``.
"""

from __future__ import annotations

import gc
import json
import os
import re
import resource
import select
import socket
import struct
import sys
from collections.abc import Callable

LONGEST_HEAD = 1 << 16
"""Bytes; a longer head, chunk-size line or trailer is refused."""

_READ_SIZE = 1 << 16
"""Bytes of requests that are read from a connection at a time."""
_ACCEPTS = 256  # at a time: those who are connected already are not kept waiting
_BATCH = 512
"""Sockets that are served for each call of epoll: the fewer calls, the less the responder adds to the times that it is there to
measure.
"""
_LOST = select.EPOLLERR | select.EPOLLHUP
"""Always reported, whether asked for or not (epoll_ctl(2))."""
_AT_ONCE = struct.pack("ii", 1, 0)

_BODY = b'{"ok":true}'
_REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_FRAMING = (b"\ncontent-length", b"\ntransfer-encoding", b"\nconnection")
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [\x21-\x7e\x80-\xff]+ HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*?)[ \t]*")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")


def answer(*, bare: bool = False, closes: bool = False) -> bytes:
    """The response. bare: without its body, as a HEAD request gets it; closes: the last one of its connection."""
    last = b"Connection: close\r\n" if closes else b""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n" % (len(_BODY), last)
    return head if bare else head + _BODY


_ANSWERS = {(bare, closes): answer(bare=bare, closes=closes) for bare in (False, True) for closes in (False, True)}


class _BadRequestError(Exception):
    """The stream is not HTTP/1.1, or no longer."""


class ResponderConnection:
    """What one connection has asked so far: bytes in, answers out. Knows no socket.

    Attributes:
        answered: requests that were answered.
        closing: the connection ends once the responses are written.
    """

    __slots__ = ("_bare", "_closes", "_held", "_out", "_part", "_rest", "answered", "closing")

    def __init__(self) -> None:
        self.answered = 0
        self.closing = False
        self._held = b""
        self._out: list[bytes] = []
        self._part: Callable[[bytes, int], int] = self._head
        self._rest = 0  # bytes of a body or a chunk that are still to come
        self._bare = self._closes = False  # of the request that is being read

    def feed(self, data: bytes) -> bytes:
        """The responses to all requests that these bytes complete, in their order; empty when they complete none."""
        if self._held:
            data, self._held = self._held + data, b""
        at, end = 0, len(data)
        try:
            while at < end and not self.closing:
                after = self._part(data, at)
                if after < 0:
                    self._held = data[at:]
                    break
                at = after
        except _BadRequestError:
            self._out.append(_REFUSAL)
            self.closing = True
        # Nearly always one: joining would copy it.
        made = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        return made

    # Each part of a request goes on from ``at`` and says where it ended; -1: its end has not come yet.

    def _head(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            return at + 2  # RFC 9112, 2.2: an empty line before a request is passed over
        end = _find(data, b"\r\n\r\n", at)
        if end < 0:
            return -1
        head = data[at:end]
        line, _, fields = head.partition(b"\r\n")
        if not _REQUEST_LINE.fullmatch(line):
            raise _BadRequestError
        self._bare, self._closes = line.startswith(b"HEAD "), line.endswith(b"0")
        lowered = head.lower()
        if any(name in lowered for name in _FRAMING):
            self._framing(fields)
        else:
            self._complete()
        return end + 4

    def _framing(self, fields: bytes) -> None:
        """How the request ends, and whether its connection ends with it (RFC 9112, 6.3 and 9.3)."""
        found: dict[bytes, list[bytes]] = {}
        for field in fields.split(b"\r\n"):
            split = _FIELD.fullmatch(field)
            if split is None:
                raise _BadRequestError
            found.setdefault(split[1].lower(), []).extend(word.strip() for word in split[2].lower().split(b","))
        options = found.get(b"connection", [])
        self._closes = b"close" in options or (self._closes and b"keep-alive" not in options)
        codings, lengths = found.get(b"transfer-encoding", []), found.get(b"content-length", [])
        if codings:
            # Both at once is how requests are smuggled past a proxy.
            if codings[-1] != b"chunked" or lengths:
                raise _BadRequestError
            self._part = self._chunk_size
        elif lengths:
            if len(set(lengths)) > 1 or not (lengths[0].isdigit() and len(lengths[0]) < 16):
                raise _BadRequestError
            self._rest = int(lengths[0])
            self._part = self._body
            if not self._rest:
                self._complete()
        else:
            self._complete()

    def _body(self, data: bytes, at: int) -> int:
        taken = min(self._rest, len(data) - at)
        self._rest -= taken
        if not self._rest:
            self._complete()
        return at + taken

    def _chunk_size(self, data: bytes, at: int) -> int:
        end = _find(data, b"\r\n", at)
        if end < 0:
            return -1
        size = _SIZE.fullmatch(data[at:end])
        if size is None:
            raise _BadRequestError
        self._rest = int(size[1], 16)
        self._part = self._chunk if self._rest else self._trailer
        return end + 2

    def _chunk(self, data: bytes, at: int) -> int:
        taken = min(self._rest, len(data) - at)
        self._rest -= taken
        if not self._rest:
            self._part = self._chunk_end
        return at + taken

    def _chunk_end(self, data: bytes, at: int) -> int:
        if len(data) - at < 2:
            return -1
        if not data.startswith(b"\r\n", at):
            raise _BadRequestError
        self._part = self._chunk_size
        return at + 2

    def _trailer(self, data: bytes, at: int) -> int:
        end = _find(data, b"\r\n", at)
        if end < 0:
            return -1
        if end == at:
            self._complete()
        return end + 2

    def _complete(self) -> None:
        self._out.append(_ANSWERS[self._bare, self._closes])
        self.answered += 1
        self.closing = self._closes
        self._part = self._head


def _find(data: bytes, what: bytes, at: int) -> int:
    end = data.find(what, at)
    if (len(data) if end < 0 else end) - at > LONGEST_HEAD:
        raise _BadRequestError
    return end


class Peer:
    """One connection: its socket, what it asked, and responses that the socket would not take yet."""

    __slots__ = ("exchange", "socket", "unsent")

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.exchange = ResponderConnection()
        self.unsent = b""


class Responder:
    """Serves a listening socket until ``leash``, a descriptor, has ended. answered: requests answered, of all connections."""

    def __init__(self, listener: socket.socket, leash: int) -> None:
        self._listener = listener
        self._leash = leash
        self._ready = select.epoll()
        self._peers: dict[int, Peer] = {}
        self._gone = 0

    @property
    def answered(self) -> int:
        """Requests answered so far."""
        return self._gone + sum(peer.exchange.answered for peer in self._peers.values())

    def serve(self) -> None:
        """Answer until the leash ends; then every connection is closed."""
        listening, leash = self._listener.fileno(), self._leash
        self._ready.register(listening, select.EPOLLIN)
        self._ready.register(leash, select.EPOLLIN)
        while True:
            for fd, events in self._ready.poll(-1, _BATCH):
                peer = self._peers.get(fd)
                if peer is not None:
                    self._talk(peer, events)
                elif fd == listening:
                    self._accept()
                elif fd == leash and not os.read(leash, 1):
                    return self._close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                accepted, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # it closed while it waited
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers[accepted.fileno()] = Peer(accepted)
            self._ready.register(accepted.fileno(), select.EPOLLIN)

    def _talk(self, peer: Peer, events: int) -> None:
        try:
            if events & select.EPOLLOUT:
                self._write(peer, peer.unsent)
            elif events & select.EPOLLIN:
                data = peer.socket.recv(_READ_SIZE)
                if not data:
                    # Without a state of waiting on either side: the run that comes after needs its ports, and counts them.
                    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                    self._drop(peer)
                elif made := peer.exchange.feed(data):
                    self._write(peer, made)
            elif events & _LOST:
                self._drop(peer)
        except BlockingIOError:
            return
        except OSError:
            self._drop(peer)

    def _write(self, peer: Peer, data: bytes) -> None:
        """Write what the socket takes. While it takes no more, nothing is read: who does not read gets no memory."""
        try:
            sent = peer.socket.send(data)
        except BlockingIOError:
            sent = 0
        rest, before = data[sent:], peer.unsent
        peer.unsent = rest
        if not rest and peer.exchange.closing:
            self._drop(peer)
        elif bool(rest) is not bool(before):
            self._ready.modify(peer.socket, select.EPOLLOUT if rest else select.EPOLLIN)

    def _drop(self, peer: Peer) -> None:
        del self._peers[peer.socket.fileno()]
        self._gone += peer.exchange.answered
        self._ready.unregister(peer.socket)
        peer.socket.close()

    def _close(self) -> None:
        for peer in list(self._peers.values()):
            self._drop(peer)
        self._ready.close()


def main() -> None:
    """Serve on a free loopback port until standard input ends."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.disable()  # nothing here refers to itself
    with socket.create_server(("127.0.0.1", 0), backlog=1 << 16) as listener:
        listener.setblocking(False)
        responder = Responder(listener, sys.stdin.fileno())
        _say(port=listener.getsockname()[1])
        responder.serve()
    _say(answered=responder.answered)


def _say(**what: int) -> None:
    # Nobody may be there to read it any more.
    try:
        os.write(sys.stdout.fileno(), json.dumps(what).encode() + b"\n")
    except OSError:
        return


if __name__ == "__main__":
    main()
