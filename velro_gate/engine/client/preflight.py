"""One polite request before the load: is the service there, is it healthy, and if not, what exactly stands in the way?"""

from __future__ import annotations

import errno
import json
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import trio

from velro_gate.engine.client.checking import CheckingTransport
from velro_gate.engine.http.tls import tls_fault
from velro_gate.errors import UnreachableError, UsageError, causes_of
from velro_gate.model.scenario import Target
from velro_gate.units import format_duration, format_seconds

_PAUSE_FIRST, _PAUSE_MOST = 0.1, 1.0
MOST_BODY = 1 << 20
"""Bytes of a response that are read."""
_CLOSED = re.compile("disconnected|closed the connection", re.IGNORECASE)
_SICK = frozenset({"unhealthy", "down", "error", "fail", "failed", "critical", "not ready", "not_ready"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What the health request learned."""

    url: str
    status: int
    seconds: float
    """Seconds until the successful response, connecting included."""
    server: str
    """What the service calls itself; empty where it does not say."""
    http_version: str
    attempts: int

    def __str__(self) -> str:
        server = f", server {self.server}" if self.server else ""
        tries = f", attempt {self.attempts}" if self.attempts > 1 else ""
        return f"{self.url} answered {self.status} in {format_seconds(self.seconds)}{server}{tries}"


class _HopelessError(UnreachableError):
    """Waiting will not fix this: a wrong certificate, a wrong protocol, a wrong path."""


async def preflight(
    target: Target,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = 5.0,
    wait_seconds: float = 0.0,
    pause_most: float = _PAUSE_MOST,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Preflight:
    """Ask for the target's health, again and again for up to ``wait_seconds`` while the service may still be starting.

    The request goes the way of the load: by the same rules of TLS, over the unix socket, from the first source address.

    Args:
        headers: sent along, for a health path that asks for credentials.
        timeout: seconds for one attempt.
        pause_most: seconds between two attempts at most; the pauses grow up to it.
        transport: what carries the request; the network when None.

    Raises:
        UsageError: the URL is invalid, or a certificate file cannot be used. UnreachableError: the last attempt
            failed, and why.
    """
    url = health_url(target)
    way = CheckingTransport(target) if transport is None else transport
    # trust_env off: the load goes straight to the service, so a proxy must not answer for it here.
    async with httpx.AsyncClient(headers=dict(headers or {}), timeout=timeout, trust_env=False, transport=way) as client:
        deadline, pause, attempt = trio.current_time() + wait_seconds, _PAUSE_FIRST, 1
        while True:
            try:
                return await _ask(client, url, attempt, timeout)
            except UnreachableError as error:
                if isinstance(error, _HopelessError) or trio.current_time() + pause > deadline:
                    raise _final(error, wait_seconds) from error.__cause__
            await trio.sleep(pause)
            pause, attempt = min(2.0 * pause, pause_most), attempt + 1


def health_url(target: Target) -> str:
    """Where to ask: the base URL's path, then the health path; without user, password and fragment.

    Raises:
        UsageError: the base URL is not an HTTP URL with a host.
    """
    parts = urlsplit(target.url)
    try:
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError as error:
        raise UsageError("the URL's port is not a number between 0 and 65535", where=_bare(target.url)) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"{_bare(target.url)!r} is not the URL of a service",
            hint="Write it with scheme and host, for example --url http://127.0.0.1:8000.",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}/{target.health_path.lstrip('/')}"


def _bare(url: str) -> str:
    """The URL without user and password, which must not reach a message."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


async def _ask(client: httpx.AsyncClient, url: str, attempt: int, timeout: float) -> Preflight:
    began = trio.current_time()
    try:
        with trio.fail_after(timeout):
            async with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
                body = await _beginning(answer)
    except (httpx.TimeoutException, trio.TooSlowError) as error:
        raise _timed_out(error, url, timeout) from error
    except httpx.TransportError as error:
        raise _explained(error, url) from error
    seconds = trio.current_time() - began
    _require_health(answer, body, url)
    return Preflight(
        url=url,
        status=answer.status_code,
        seconds=seconds,
        server=answer.headers.get("server", ""),
        http_version=answer.http_version,
        attempts=attempt,
    )


async def _beginning(answer: httpx.Response) -> bytes:
    """As much of the body as a health check can be about: a service may send without end, or gigabytes in a few bytes."""
    if answer.is_stream_consumed:  # its transport had it at once
        return answer.content
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > MOST_BODY:
            break
    return bytes(body)


def _final(error: UnreachableError, waited: float) -> UnreachableError:
    what = (
        f"{error.what} (waited {format_duration(waited)})" if waited and not isinstance(error, _HopelessError) else error.what
    )
    return UnreachableError(what, where=error.where, why=error.why, hint=error.hint)


def _timed_out(error: Exception, url: str, timeout: float) -> UnreachableError:
    if isinstance(error, httpx.ConnectTimeout):
        return UnreachableError(
            f"no connection to the service within {format_seconds(timeout)}",
            where=url,
            why="packets are dropped on the way: a firewall, a security group, or a host that is down",
            hint="Check that this machine may reach the host and port, for example with 'curl -v'.",
        )
    return UnreachableError(
        f"the service accepted the connection but did not respond within {format_seconds(timeout)}",
        where=url,
        why="it is still starting, stuck, or overloaded",
        hint="Look at the service's own log; 'curl -i' on the URL shows how long it takes.",
    )


def _explained(error: httpx.TransportError, url: str) -> UnreachableError:
    host, causes = urlsplit(url).hostname or "", list(causes_of(error))
    # The most specific cause first: a refused name also appears as a failed connection further up the chain.
    name_fault = next((cause for cause in causes if isinstance(cause, socket.gaierror)), None)
    if name_fault is not None:
        return UnreachableError(
            f"the host name {host!r} is not known",
            where=url,
            why=f"name resolution says: {name_fault.strerror or name_fault}",
            hint="Check the spelling of the URL, and that this machine's name server knows the host.",
        )
    tls_fault = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if tls_fault is not None:
        return _tls_fault(tls_fault, url)
    missing = next((cause for cause in causes if isinstance(cause, FileNotFoundError | PermissionError)), None)
    if missing is not None:
        return UnreachableError(
            "the service's unix socket cannot be opened",
            where=url,
            why=missing.strerror,
            hint="Start the service, or check target.unix_socket in the scenario.",
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return UnreachableError(
            "the service refused the connection",
            where=url,
            why="nothing listens on that port: the service has not been started, has crashed, or listens elsewhere",
            hint=f"Start the service, or check host and port of --url (VELRO_API_URL) until 'curl -i {url}' gets a response.",
        )
    unreachable = next(
        (c for c in causes if isinstance(c, OSError) and c.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)), None
    )
    if unreachable is not None:
        return UnreachableError(
            f"there is no route to the host {host!r}",
            where=url,
            why=f"the network says: {unreachable.strerror}",
            hint="Check the network of this machine, or the address in --url (VELRO_API_URL).",
        )
    if isinstance(error, httpx.RemoteProtocolError) and not _CLOSED.search(str(error)):
        return _no_http(str(error), url)
    return UnreachableError(
        "the service closed the connection without a response",
        where=url,
        why=str(error) or "the connection broke before the first byte; it may still be starting, or expect https://",
        hint="Look at the service's own log; try 'curl -v' on the URL.",
    )


def _no_http(said: str, url: str) -> UnreachableError:
    said = said.removeprefix("the response was refused: ")
    if "begin with HTTP/" in said:
        return _HopelessError(
            "the service at this address does not speak HTTP",
            where=url,
            why=f"its response was refused: {said}",
            hint="Check the port; if it expects TLS, write https:// instead of http://.",
        )
    return _HopelessError(
        "the service's answer is not valid HTTP",
        where=url,
        why=f"it was refused, and the load would refuse it too: {said}",
        hint="Look at what the service, or a proxy in front of it, sends: 'curl -iv --raw' on the URL shows it.",
    )


def _tls_fault(error: ssl.SSLError, url: str) -> UnreachableError:
    fault = tls_fault(error)
    untrusted = isinstance(error, ssl.SSLCertVerificationError)
    what = "the service's certificate is not trusted" if untrusted else "no TLS connection to the service"
    return _HopelessError(what, where=url, why=fault.words, hint=fault.hint)


def _require_health(answer: httpx.Response, body: bytes, url: str) -> None:
    status = answer.status_code
    if answer.is_success:
        sick = _own_word(body)
        if sick is None:
            return
        raise UnreachableError(
            f"the service answers, but calls itself {sick!r}",
            where=url,
            why="one of its dependencies may be missing",
            hint="Look at the rest of the response ('curl -i' on the URL) and at the service's own log.",
        )
    kind, why, hint = _STATUS_ADVICE.get(status) or _STATUS_ADVICE.get(status // 100, _STATUS_ADVICE[5])
    raise kind(f"the health check answered {status} {answer.reason_phrase}".rstrip(), where=url, why=why, hint=hint)


def _own_word(body: bytes) -> str | None:
    """The status a JSON answer gives itself, when it is a bad one."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    word = said.get("status") if isinstance(said, dict) else None
    return word if isinstance(word, str) and word.strip().lower() in _SICK else None


_STATUS_ADVICE: dict[int, tuple[type[UnreachableError], str, str]] = {
    1: (UnreachableError, "it never finished its response", "Look at the service's own log."),
    3: (
        _HopelessError,
        "it redirects, and the health check follows no redirects",
        "Use the final address in --url (VELRO_API_URL): often https:// instead of http://, or without a trailing slash.",
    ),
    4: (UnreachableError, "it does not accept the request", "Set target.health in the scenario to a path that answers 200."),
    5: (
        UnreachableError,
        "it is up but not healthy, or a proxy before it cannot reach it",
        "Look at the service's own log, and at the database and the cache it depends on.",
    ),
    401: (_HopelessError, "the health path asks for credentials", "Choose a public path as target.health in the scenario."),
    403: (_HopelessError, "the health path is not allowed for us", "Choose a public path as target.health in the scenario."),
    404: (
        UnreachableError,
        "there is no such path, so this may be another service",
        "Check --url, and set target.health in the scenario to a path that answers 200.",
    ),
}
