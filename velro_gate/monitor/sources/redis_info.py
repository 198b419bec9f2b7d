"""Redis, by its INFO command. One command needs no client library: the protocol's part for it is thirty lines."""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote, urlsplit

import trio

from velro_gate.monitor.watching import ShareSince, SourceError

_MOST_BYTES = 1 << 18
"""Bytes of one reply: INFO has some kilobytes."""
_MOST_DIGITS = 12
"""Bytes of the line that announces a string's length."""
_HERE, _PORT = "localhost", 6379

_NAMES = {
    "keyspace_hits": "hits_total",
    "keyspace_misses": "misses_total",
    "total_commands_processed": "commands_total",
    "evicted_keys": "evicted_total",
    "expired_keys": "expired_total",
    "rejected_connections": "rejected_total",
    "used_memory": "memory",
    "used_memory_rss": "memory_rss",
    "maxmemory": "memory_limit",
    "connected_clients": "clients",
    "maxclients": "clients_limit",
    "blocked_clients": "clients_blocked",
}
_CPU = ("used_cpu_user", "used_cpu_sys")


class RedisInfo:
    """Reads one Redis server over a connection that is kept open: ``redis://``, with TLS ``rediss://``, or over a unix socket
    ``unix:///path``. As with Redis' own clients a URL without a host means this machine, and of a socket's URL the password may
    stand in the query.
    """

    name = key = "redis"

    def __init__(self, url: str, *, verify: bool = True) -> None:
        self._url = url
        self._verify = verify
        self._stream: trio.abc.Stream | None = None
        self._received = bytearray()
        self._share = ShareSince("hits_total", "misses_total")

    async def read(self) -> Mapping[str, float]:
        """See ``velro_gate.model.readings``.

        Raises:
            SourceError: no connection, or not the response of a Redis.
        """
        try:
            if self._stream is None:
                self._stream = await self._connect()
            values = parse_info(await self._ask(b"INFO"))
        except (OSError, ssl.SSLError, trio.BrokenResourceError) as error:
            await self.aclose()
            raise SourceError(f"no connection to {self._place}") from error
        except BaseException:
            # Cancelled half way, a response may still be under way: the next one must not be taken for it.
            await self.aclose()
            raise
        return values | self._share.read("hit_share", values)

    async def aclose(self) -> None:
        """Close the connection, without waiting for the other side."""
        stream, self._stream = self._stream, None
        self._received.clear()
        if stream is not None:
            await trio.aclose_forcefully(stream)

    @property
    def _place(self) -> str:
        parts = urlsplit(self._url)
        return unquote(parts.path) if parts.scheme == "unix" else f"{parts.hostname or _HERE}:{parts.port or _PORT}"

    async def _connect(self) -> trio.abc.Stream:
        parts = urlsplit(self._url)
        stream: trio.abc.Stream
        if parts.scheme == "unix" and parts.path:
            stream = await trio.open_unix_socket(unquote(parts.path))
        elif parts.scheme in ("redis", "rediss"):
            stream = await trio.open_tcp_stream(parts.hostname or _HERE, parts.port or _PORT)
        else:
            raise SourceError("its URL is not of the form redis://host:port, rediss://host:port or unix:///path")
        if parts.scheme == "rediss":
            context = ssl.create_default_context()
            if not self._verify:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            stream = trio.SSLStream(stream, context, server_hostname=parts.hostname or _HERE)
        self._stream = stream
        password = parts.password and unquote(parts.password)
        # As redis-py writes it: the URL of a unix socket has no host before which a password could stand.
        if parts.scheme == "unix" and not password:
            password = parse_qs(parts.query).get("password", [None])[0]
        if password is not None:
            user = [unquote(parts.username).encode()] if parts.username else []
            await self._ask(b"AUTH", *user, password.encode())
        return stream

    async def _ask(self, *words: bytes) -> str:
        assert self._stream is not None
        request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        await self._stream.send_all(request)
        head = await self._line()
        match head[:1]:
            case b"+":
                return head[1:].decode(errors="replace")
            case b"$" if head[1:].isdigit() and len(head) <= _MOST_DIGITS:
                return (await self._exactly(int(head[1:]) + 2))[:-2].decode(errors="replace")
            case b"-":
                # Only the error's code: its text may repeat what was sent.
                code = re.match(rb"[A-Z]{0,20}", head[1:])
                said = code[0].decode() if code is not None else ""
                raise SourceError(f"{self._place} refuses {words[0].decode()}: {said or 'without a reason'}")
            case _:
                raise SourceError(f"{self._place} does not answer like a Redis")

    async def _line(self) -> bytes:
        while (end := self._received.find(b"\r\n")) < 0:
            await self._receive()
        line = bytes(self._received[:end])
        del self._received[: end + 2]
        return line

    async def _exactly(self, count: int) -> bytes:
        while len(self._received) < count:
            await self._receive()
        part = bytes(self._received[:count])
        del self._received[:count]
        return part

    async def _receive(self) -> None:
        assert self._stream is not None
        chunk = await self._stream.receive_some(65536)
        if not chunk:
            raise SourceError(f"{self._place} closed the connection")
        self._received += chunk
        if len(self._received) > _MOST_BYTES:
            raise SourceError(f"{self._place} does not answer like a Redis")


def source_at(url: str, *, verify: bool) -> RedisInfo:
    """The Redis at a URL."""
    return RedisInfo(url, verify=verify)


def parse_info(text: str) -> dict[str, float]:
    """Our names and values from the text of INFO: ``key:value`` lines under ``# Section`` headings."""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))
    values = {name: number for key, name in _NAMES.items() if (number := _number(fields.get(key))) is not None}
    if values.get("memory_limit") == 0.0:
        del values["memory_limit"]  # Redis writes 0 for "no limit"
    cpu = [number for key in _CPU if (number := _number(fields.get(key))) is not None]
    return values | ({"cpu_seconds": sum(cpu)} if len(cpu) == len(_CPU) else {})


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
