"""Requests of the process that carries out faults: to the service's own endpoints, and commands to Redis.

An order's request is a mapping: ``method``, ``url``, ``query``, ``headers``, ``body``, ``shown`` (its path, for people),
``socket`` and ``verify``. Placeholders that only this process can fill, ``${value}`` for example, still stand in it.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import trio

from velro_gate import units

if TYPE_CHECKING:
    import httpx

REQUEST_SECONDS = 10.0
"""How long a request of an experiment or a probe may take, its body included."""
MOST_BODY = 1 << 20
"""Bytes of a probe's response that are looked at: the value that is looked for stands near the beginning, and a body may be
endless.
"""
_MOST_LINE = 1 << 16
"""Bytes of Redis's first line: its replies to commands are short, and what has no line end is not Redis."""
_MOST_WORDS = 200
"""Characters of what Redis says for itself that are repeated."""
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
_PATH_PART = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[(\d+)\]")
_Request = Mapping[str, Any]


class ActionError(Exception):
    """An action could not be carried out; str() says why, in words."""


class ProbeResponse(NamedTuple):
    """A response, its body up to a bound."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether its status is 2xx."""
        return 200 <= self.status < 300


@asynccontextmanager
async def client_for(asked: _Request) -> AsyncIterator[httpx.AsyncClient]:
    """A client that reaches where this request goes."""
    # Only here: most experiments ask nobody, and the process is to be there at once.
    import httpx

    # Where nothing is encrypted, certificates need not be loaded.
    verify = asked["verify"] and asked["url"].startswith("https:")
    transport = httpx.AsyncHTTPTransport(uds=asked["socket"], verify=verify)
    async with httpx.AsyncClient(transport=transport, timeout=REQUEST_SECONDS, trust_env=False) as client:
        yield client


async def status_of(asked: _Request) -> int:
    """The status with which a request is answered; the body, which may have no end, is not read.

    Raises:
        ActionError: it is not answered.
    """
    import httpx

    shown = f"{asked['method']} {asked['shown']}"
    try:
        with trio.fail_after(REQUEST_SECONDS):
            async with client_for(asked) as client, _sent(client, asked, {}) as response:
                return response.status_code
    except trio.TooSlowError as error:
        raise ActionError(f"{shown} was not answered within {units.format_duration(REQUEST_SECONDS)}") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ActionError(f"{shown} failed: {str(error) or type(error).__name__}") from error


async def send(client: httpx.AsyncClient, asked: _Request, values: Mapping[str, str]) -> ProbeResponse | None:
    """The response; None if none came in time. values: of the placeholders."""
    import httpx

    body = bytearray()
    with trio.move_on_after(REQUEST_SECONDS):
        try:
            async with _sent(client, asked, values) as response:
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > MOST_BODY:
                        break
                return ProbeResponse(response.status_code, response.headers, bytes(body))
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return None
    return None


def _sent(client: httpx.AsyncClient, asked: _Request, values: Mapping[str, str]) -> AbstractAsyncContextManager[httpx.Response]:
    def filled(text: str) -> str:
        """For a query or a header, which httpx encodes."""
        return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)

    def in_path(text: str) -> str:
        """For a path: a value with a slash or a question mark in it must not change where the request goes."""
        return _PLACEHOLDER.sub(lambda match: quote(values.get(match[1], match[0]), safe=""), text)

    def in_json(text: str) -> str:
        """For a string in a JSON body: quotes and line ends in a value must not end the string."""
        return _PLACEHOLDER.sub(lambda match: json.dumps(values.get(match[1], match[0]))[1:-1], text)

    return client.stream(
        asked["method"],
        in_path(asked["url"]),
        params={name: filled(value) for name, value in asked["query"]} or None,
        content=in_json(asked["body"]) or None,
        headers={name: filled(value) for name, value in asked["headers"]},
    )


def said_at(response: ProbeResponse, place: str) -> str | None:
    """What a response says at a place, ``json:$.name`` or ``header:etag``; None where it says nothing there."""
    kind, _, where = place.partition(":")
    if kind == "header":
        return response.headers.get(where)
    try:
        value = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    for name, index in _PATH_PART.findall(where):
        key: str | int = name or int(index)
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    if value is None or isinstance(value, dict | list):
        return None
    # As JSON writes it, since it is compared with what the scenario says: str() would turn true into True.
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value)


async def order_redis(url: str, words: list[str]) -> None:
    """Give Redis one command.

    Raises:
        ActionError: it cannot be reached, or refuses.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or 6379
    except ValueError as error:
        raise ActionError("the URL of Redis names no port") from error
    commands = [words]
    if parts.path.strip("/").isdecimal():
        commands.insert(0, ["SELECT", parts.path.strip("/")])
    # First of all: Redis answers nothing else before AUTH.
    if parts.password:
        commands.insert(0, ["AUTH", *filter(None, [unquote(parts.username or "")]), unquote(parts.password)])
    try:
        with trio.fail_after(REQUEST_SECONDS):
            stream: trio.abc.Stream
            if parts.scheme == "rediss":
                stream = await trio.open_ssl_over_tcp_stream(
                    parts.hostname or "", port, ssl_context=ssl.create_default_context()
                )
            else:
                stream = await trio.open_tcp_stream(parts.hostname or "", port)
            async with stream:
                for command in commands:
                    await stream.send_all(_resp(command))
                    said = await _first_line(stream)
                    if said.startswith("-"):
                        raise ActionError(f"Redis refuses {command[0]}: {said[1:][:_MOST_WORDS]}")
    except trio.TooSlowError as error:
        raise ActionError("Redis did not answer in time") from error
    except (OSError, trio.BrokenResourceError) as error:
        raise ActionError(f"Redis cannot be reached: {error}") from error


def _resp(words: list[str]) -> bytes:
    """A command in the protocol of Redis (RESP2)."""
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


async def _first_line(stream: trio.abc.Stream) -> str:
    held = b""
    while b"\r\n" not in held:
        some = await stream.receive_some(4_096)
        if not some:
            raise ActionError("Redis closed the connection")
        held += some
        if len(held) > _MOST_LINE:
            raise ActionError("what Redis answers has no end")
    return held.partition(b"\r\n")[0].decode("utf-8", "replace")
