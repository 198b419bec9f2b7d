"""Steps compiled once to bytes with slots, so that sending costs a join and no library call.

httpx builds each request (URL, query, headers, body) with a token in place of every ``${...}``; the bytes are cut at the
tokens. At send time a user's values fill the gaps, encoded for the place they stand in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, urldefrag, urlencode

import httpx

from velro_gate import __version__
from velro_gate.errors import UsageError
from velro_gate.model.scenario import Auth, BearerAuth, Feeder, LoginAuth, Scenario, Step

_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
_TOKEN = re.compile(rb"VGx(\d+)xGV")
_FORBIDDEN_IN_HEADER = re.compile(r"[\r\n\0]")


class MissingCaptureError(Exception):
    """A value that an earlier step should have captured is not there for this user."""


class Person(Protocol):
    """What a slot may ask of a virtual user."""

    @property
    def index(self) -> int:
        """Which of the scenario's users it is."""

    @property
    def identity(self) -> str:
        """A stable id."""

    @property
    def captured(self) -> Mapping[str, str]:
        """Values captured from earlier answers, by name."""


Value = Callable[[Person], str]
Encode = Callable[[str], bytes]


def _percent(text: str) -> bytes:
    # A value captured from JSON can hold half a surrogate pair, which no encoding of bytes can.
    return quote(text, safe="", errors="replace").encode("ascii")


def _json_text(text: str) -> bytes:
    return json.dumps(text)[1:-1].encode("ascii")


def _plain(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _header(text: str) -> bytes:
    return _FORBIDDEN_IN_HEADER.sub("", text).encode("latin-1", "replace")


@dataclass(frozen=True, slots=True)
class Pieces:
    """Bytes with gaps: ``fixed`` has one more entry than ``slots``."""

    fixed: tuple[bytes, ...]
    slots: tuple[tuple[Value, Encode], ...]

    def render(self, person: Person) -> bytes:
        """The bytes for one user."""
        if not self.slots:
            return self.fixed[0]
        parts = [self.fixed[0]]
        for (value, encode), after in zip(self.slots, self.fixed[1:], strict=True):
            parts.append(encode(value(person)))
            parts.append(after)
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """One step, ready to be sent. head ends before the blank line."""

    step: Step
    index: int
    head: Pieces
    body: Pieces | None
    is_head: bool
    safe: bool
    keep_body: bool
    wanted_headers: frozenset[bytes]

    def render(self, person: Person, cookies: bytes = b"") -> bytes:
        """The whole request for one user. cookies: a ready header line or nothing.

        Raises:
            MissingCaptureError: the user has not captured a value that this step needs.
        """
        head = self.head.render(person)
        if self.body is None:
            return head + cookies + b"\r\n"
        body = self.body.render(person)
        return b"%s%sContent-Length: %d\r\n\r\n%s" % (head, cookies, len(body), body)


class Compiler:
    """Compiles the steps of one scenario. secrets: values of the environment variables that the scenario names."""

    def __init__(self, scenario: Scenario, secrets: Mapping[str, str]) -> None:
        self._base = scenario.target.url.rstrip("/")
        self._feeders = {feeder.name: feeder for feeder in scenario.feeders}
        self._secrets = secrets
        self._auth = scenario.auth

    def compile(self, step: Step, index: int, *, authorized: bool = True) -> CompiledStep:
        """One step as pieces."""
        values: list[Value] = []
        encodings: list[Encode] = []

        def tokens(text: str, encode: Encode) -> str:
            def token(match: re.Match[str]) -> str:
                values.append(self._value(match[1], step))
                encodings.append(encode)
                return f"VGx{len(values) - 1}xGV"

            return _PLACEHOLDER.sub(token, text)

        headers = [(name, tokens(value, _header)) for name, value in step.headers]
        if authorized:
            headers += self._authorization(self._auth, tokens)
        url = self._base + tokens(step.path, _percent)
        query = [(name, tokens(value, _percent)) for name, value in step.query]
        body_text = None
        if step.body is not None:
            body_text = tokens(step.body.template, _encoding(step.body.content_type)).encode()
            headers.append(("Content-Type", step.body.content_type))
        head = _head(step, url, query, headers)
        slots = tuple(zip(values, encodings, strict=True))
        return CompiledStep(
            step=step,
            index=index,
            head=_cut(head, slots),
            body=None if body_text is None else _cut(body_text, slots),
            is_head=step.method == "HEAD",
            safe=step.method in ("GET", "HEAD", "OPTIONS"),
            keep_body=bool(step.checks) or any(capture.source == "json" for capture in step.captures),
            wanted_headers=frozenset(c.path.lower().encode() for c in step.captures if c.source == "header"),
        )

    def _authorization(self, auth: Auth, tokens: Callable[[str, Encode], str]) -> list[tuple[str, str]]:
        match auth:
            case BearerAuth(variable=variable):
                return [("Authorization", _header(f"Bearer {self._secrets[variable]}").decode("latin-1"))]
            case LoginAuth(token=token):
                return [("Authorization", tokens(f"Bearer ${{{token}}}", _header))]
            case _:
                return []

    def _value(self, name: str, step: Step) -> Value:
        first, dot, rest = name.partition(".")
        if name == "user.index":
            return lambda person: str(person.index)
        if name == "user.id":
            return lambda person: person.identity
        if first == "env" and dot:
            secret = self._secrets[rest]
            return lambda _: secret
        if dot and first in self._feeders:
            return _fed(self._feeders[first], rest)
        if dot:
            raise UsageError(f"step {step.name} asks for ${{{name}}}, which nothing provides")

        def captured(person: Person) -> str:
            try:
                return person.captured[name]
            except KeyError:
                raise MissingCaptureError(name) from None

        return captured


def _fed(feeder: Feeder, column: str) -> Value:
    place = feeder.columns.index(column)
    cells = tuple(row[place] for row in feeder.rows)
    return lambda person: cells[person.index % len(cells)]


def _encoding(content_type: str) -> Encode:
    if "json" in content_type:
        return _json_text
    return _percent if "urlencoded" in content_type else _plain


def _head(step: Step, url: str, query: Sequence[tuple[str, str]], headers: Sequence[tuple[str, str]]) -> bytes:
    """Request line and headers as httpx makes them, without the blank line and without the length of a body."""
    ours = {"accept": "*/*", "user-agent": f"velro-gate/{__version__}"}
    given = {name.lower() for name, _ in headers}
    full = [(name, value) for name, value in ours.items() if name not in given] + list(headers)
    address = urldefrag(url).url
    if query:
        # Not by way of httpx's params, which replace a query that stands in the path and move equal names together.
        address += ("&" if "?" in address else "?") + urlencode(query, quote_via=quote)
    try:
        request = httpx.Request(step.method, address, headers=[(name.encode(), _header(value)) for name, value in full])
    except httpx.InvalidURL as error:
        raise UsageError(f"step {step.name} asks for a URL that cannot be", where=url[:200], why=str(error)) from error
    lines = [b"%s %s HTTP/1.1" % (step.method.encode(), request.url.raw_path)]
    # httpx says "Content-Length: 0" for a POST without a body, which some servers insist on.
    lines += [b"%s: %s" % pair for pair in request.headers.raw if step.body is None or pair[0].lower() != b"content-length"]
    return b"\r\n".join(lines) + b"\r\n"


def _cut(text: bytes, slots: Sequence[tuple[Value, Encode]]) -> Pieces:
    parts = _TOKEN.split(text)
    return Pieces(fixed=tuple(parts[0::2]), slots=tuple(slots[int(number)] for number in parts[1::2]))
