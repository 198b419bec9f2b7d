"""GitHub's REST API: every page, patient retries, writes one at a time.

Rules. The token travels in one header and nowhere else: no error, log line, argument or address holds it, and no host but the
API's sees it, whatever a list names as its next page. A write that may have been carried out is repeated only when doing it
twice is the same as doing it once. What tries that failed and the waits between them take together is no longer than
``patience``, for all requests of a job.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType, TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import httpx

from velro_gate import __version__
from velro_gate.errors import PublishError, UsageError
from velro_gate.github.clock import Clock
from velro_gate.github.delivery import whole_body
from velro_gate.github.network import network_variables_in_words
from velro_gate.github.refusals import UncertainError, refusal
from velro_gate.github.retrying import limited, pause, transient
from velro_gate.secrecy import outgoing
from velro_gate.units import format_count, format_whole

API_VERSION = "2022-11-28"
BETWEEN_WRITES = 1.0
"""Seconds from one request that writes to the next; GitHub asks for them. What a response takes is part of them."""
TRIES = 5
"""Of one request."""
PATIENCE = 300.0
"""Seconds that tries without success and the waits after them may take, all requests together."""
TIMEOUT = 30.0
"""Seconds that one try may take."""
LEAST_TRY = 2.0
"""Seconds that a try gets even when all patience is spent."""
LARGEST_ANSWER = 50_000_000
"""Bytes of a response; a longer one is not what was asked for."""
PAGE = 100
"""Entries on a page: the most that GitHub gives."""
MOST_PAGES = 200
"""Pages of one list: a list that goes on after 20,000 entries is taken for a loop."""
_NONE: Mapping[str, str] = MappingProxyType({})
_MOVED = frozenset({301, 302, 307, 308})
_LATER = 429
"""Too Many Requests (RFC 6585, 4)."""


class Api:
    """The client of one repository's API. Use it in a ``with`` block.

    Args:
        base_url: as GITHUB_API_URL says; Enterprise Server has a path in it.
        repository: ``owner/name``.
        token: never shown. Empty: none is sent.
        patience: seconds that all tries without success may take, with the waits after them; few in a job that is cancelled.
        timeout: seconds that one try may take.

    Raises:
        UsageError: the token is not a token, or a variable of the network (a proxy, a file of authorities) cannot be used.
    """

    def __init__(
        self,
        *,
        base_url: str,
        repository: str,
        token: str,
        clock: Clock | None = None,
        patience: float = PATIENCE,
        timeout: float = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        # httpx would quote a header that it cannot send in its error, and the token with it.
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise UsageError(
                "the input token is malformed",
                why="it contains spaces, line breaks or characters that no token has",
                hint="Store the secret again, without what was copied with it by mistake.",
            )
        self._base = base_url.rstrip("/")
        self._repository = repository
        self._clock = clock or Clock()
        self._patience = patience
        self._timeout = timeout
        self._written_at = float("-inf")
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": API_VERSION,
            "User-Agent": f"velro-gate/{__version__}",
        }
        if token:
            headers["Authorization"] = f"Bearer {token}"
        with network_variables_in_words(os.environ):
            # Reading all authorities takes longer than a request; both clients trust the same ones.
            trusted = httpx.create_ssl_context()
            self._client = httpx.Client(headers=headers, timeout=timeout, transport=transport, verify=trusted)
            # What a response sends us to elsewhere, such as a store of archives, must not see the token.
            self._stranger = httpx.Client(timeout=timeout, transport=transport, verify=trusted)

    @property
    def repository(self) -> str:
        """``owner/name``."""
        return self._repository

    def hurry(self, seconds: float) -> None:
        """From now on wait no longer than this for anything: the job is being cancelled."""
        self._patience = min(self._patience, seconds)
        self._timeout = min(self._timeout, seconds)
        self._stranger.timeout = httpx.Timeout(self._timeout)

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """Spend no more than this part of the patience in the ``with`` block: for what must not use up that of what follows."""
        kept = max(0.0, self._patience - seconds)
        self._patience -= kept
        try:
            yield
        finally:
            self._patience += kept

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()
        self._stranger.close()

    def get(self, path: str, parameters: Mapping[str, str] = _NONE) -> Any:
        """The JSON at a path below the repository.

        Raises:
            PublishError: see ``send``.
        """
        return _parsed(self._asked("GET", self._address(path), parameters=parameters, repeatable=True))

    def pages(self, path: str, parameters: Mapping[str, str] = _NONE, *, key: str | None = None) -> Iterator[Any]:
        """Every item of a list, to its last page. key: where the list lies in each response, if it is not a list itself.

        Raises:
            PublishError: see ``send``; also when the list has no end.
        """
        address, wanted = self._address(path), {"per_page": str(PAGE), **parameters}
        for _ in range(MOST_PAGES):
            answer = self._asked("GET", address, parameters=wanted, repeatable=True)
            found = _parsed(answer)
            items = found.get(key) if key is not None and isinstance(found, Mapping) else found
            if not isinstance(items, list):
                raise PublishError("GitHub's response is not a list", where=f"GET {path}")
            yield from items
            following = answer.links.get("next", {}).get("url")
            if following is None:
                return
            # Of its address the query alone: a server behind a proxy may spell its own name and path in another way.
            wanted = dict(parse_qsl(urlsplit(following).query))
        raise PublishError("GitHub's list has no end", where=f"GET {path}", why=f"more than {MOST_PAGES} pages")

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, repeatable: bool = True) -> Any:
        """Write, and return what GitHub answers (None for an empty response).

        repeatable: whether doing it twice is the same as doing it once.

        Raises:
            RefusedError: GitHub said no. UncertainError: it may have been done, and must not be repeated blindly.
            PublishError: GitHub cannot be reached, or stays at its limit.
        """
        since = self._clock.elapsed() - self._written_at
        if since < BETWEEN_WRITES:
            self._clock.sleep(BETWEEN_WRITES - since)
        shown = None if body is None else _without_secrets(body)
        answer = self._asked(method, self._address(path), body=shown, repeatable=repeatable)
        return _parsed(answer) if answer.content else None

    def download(self, path: str, *, limit: int) -> bytes:
        """The bytes that a path leads to, at most ``limit``; the host that it leads to does not see the token.

        Raises:
            PublishError: it is larger, or see ``send``.
        """
        for attempt in range(1, TRIES + 1):
            answer = self._asked("GET", self._address(path), repeatable=True, leads_on=True)
            if answer.status_code not in _MOVED:
                return _capped(answer.content, limit, path)
            try:
                return self._stored(answer.headers.get("location", ""), limit, path)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                # The address holds for a minute, so each try begins with asking for a new one.
                status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else 0
                if attempt == TRIES or not (status in (0, _LATER) or transient(status)):
                    why = f"status {status}" if status else _reason(error)
                    raise PublishError("the archive cannot be read", where=f"GET {path}", why=why) from error
                chance = self._clock.chance()
                wait = pause(0, _NONE, attempt=attempt, now=self._clock.now(), chance=chance)
                self._wait(wait, "GET", path, f"status {status}" if status else _reason(error))
        raise AssertionError("the last try returns or raises")

    def _stored(self, address: str, limit: int, path: str) -> bytes:
        """What another host keeps for us, read no further than the limit."""
        content = bytearray()
        with self._stranger.stream("GET", address, follow_redirects=True) as stream:
            stream.raise_for_status()
            for chunk in stream.iter_bytes():
                content += chunk
                _capped(content, limit, path)
        return bytes(content)

    def _address(self, path: str) -> str:
        return f"{self._base}/repos/{self._repository}{path}"

    def _asked(
        self,
        method: str,
        address: str,
        *,
        parameters: Mapping[str, str] = _NONE,
        body: Mapping[str, Any] | None = None,
        repeatable: bool,
        leads_on: bool = False,
    ) -> httpx.Response:
        """A response that is a success, after as many tries as it takes and patience allows. leads_on: or a redirection."""
        path = urlsplit(address).path
        for attempt in range(1, TRIES + 1):
            last = attempt == TRIES
            began = self._clock.elapsed()
            if method != "GET":
                self._written_at = began
            try:
                answer = self._tried(method, address, parameters, body)
                if answer.is_success and answer.content and "json" in answer.headers.get("content-type", ""):
                    # A body without a length that is cut off looks whole until it is read.
                    _parsed(answer)
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                self._patience -= self._clock.elapsed() - began
                self._after_silence(error, method, path, attempt=attempt, last=last, repeatable=repeatable)
                continue
            if answer.is_success or (leads_on and answer.status_code in _MOVED):
                return answer
            self._after_refusal(answer, method, path, attempt=attempt, last=last, repeatable=repeatable)
        raise AssertionError("the last try returns or raises")

    def _tried(
        self, method: str, address: str, parameters: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> httpx.Response:
        """One try, whole within the time for it: a server that sends a byte now and then is no better than a silent one."""
        # A job that has lost all patience still asks once, and briefly: the server may be back.
        seconds = min(self._timeout, max(self._patience, LEAST_TRY))
        # Real time, unlike that of the waits: a connection knows no other.
        deadline = time.monotonic() + seconds
        request = self._client.build_request(
            method, address, params=parameters or None, json=body, timeout=httpx.Timeout(seconds)
        )
        answer = self._client.send(request, stream=True)
        try:
            content = whole_body(answer, deadline=deadline, most=LARGEST_ANSWER)
        finally:
            answer.close()
        # Of the headers only those of the body's own form would be wrong now.
        kept_headers = [
            (name, value) for name, value in answer.headers.items() if name not in ("content-encoding", "content-length")
        ]
        return httpx.Response(answer.status_code, headers=kept_headers, content=content, request=request)

    def _after_silence(self, error: Exception, method: str, path: str, *, attempt: int, last: bool, repeatable: bool) -> None:
        """No whole answer: wait for the next try, or give up."""
        never_sent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
        if not never_sent and not repeatable:
            raise UncertainError("GitHub's answer did not arrive", where=f"{method} {path}", why=_reason(error)) from error
        if last:
            raise PublishError(
                "GitHub cannot be reached" if never_sent else "GitHub does not answer",
                where=f"{method} {path}",
                why=_reason(error),
            ) from error
        wait = pause(0, _NONE, attempt=attempt, now=self._clock.now(), chance=self._clock.chance())
        self._wait(wait, method, path, _reason(error))

    def _after_refusal(
        self, answer: httpx.Response, method: str, path: str, *, attempt: int, last: bool, repeatable: bool
    ) -> None:
        """A refusal: wait for the next try where it means "later", or give up."""
        status, headers, message = answer.status_code, answer.headers, _message(answer)
        later = limited(status, headers, message)
        if not later and not transient(status):
            raise refusal(method, path, status, headers, message)
        if not later and not repeatable:
            raise UncertainError("GitHub failed while it worked", where=f"{method} {path}", why=f"{status}: {message}")
        if last:
            what = "GitHub's rate limit does not let this job through" if later else "GitHub fails again and again"
            raise PublishError(what, where=f"{method} {path}", why=f"{status}: {message}")
        wait = pause(status, headers, attempt=attempt, now=self._clock.now(), chance=self._clock.chance())
        self._wait(wait, method, path, f"{status}: {message}", limit=later)

    def _wait(self, seconds: float, method: str, path: str, why: str, *, limit: bool = False) -> None:
        if seconds > self._patience:
            raise PublishError(
                "GitHub's limit lasts longer than this job waits" if limit else "GitHub does not answer",
                where=f"{method} {path}",
                why=f"{why}; the next try would be in {format_whole(seconds)} s, and "
                f"{format_whole(max(self._patience, 0.0))} s are left",
                hint="The verdict is not affected. Publish again later with 'velro-gate publish', or use another token.",
            )
        self._patience -= seconds
        self._clock.sleep(seconds)


def _without_secrets(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: outgoing(value) if isinstance(value, str) else value for name, value in body.items()}


def _parsed(answer: httpx.Response) -> Any:
    return json.loads(answer.content)


def _message(answer: httpx.Response) -> str:
    """GitHub's own words on one line, with what it says of each field."""
    try:
        found = _parsed(answer)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return ""
    if not isinstance(found, Mapping):
        return ""
    parts = [found.get("message")]
    errors = found.get("errors")
    for error in errors if isinstance(errors, list) else []:
        parts.append(error.get("message") or error.get("code") if isinstance(error, Mapping) else error)
    return "; ".join(" ".join(part.split())[:300] for part in parts if isinstance(part, str))


def _reason(error: Exception) -> str:
    """What went wrong below HTTP; the text of such an error holds addresses at most."""
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _capped(content: bytes | bytearray, limit: int, path: str) -> bytes:
    if len(content) > limit:
        raise PublishError("the archive is too large", where=f"GET {path}", why=f"it has more than {format_count(limit)} bytes")
    return bytes(content)
