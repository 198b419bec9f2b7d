"""Steps compiled once to bytes with gaps, so that sending one costs a format and no library call.

httpx builds each request (URL, query, headers, body) with a token in place of every ``${...}``; the bytes are cut at the
tokens. At send time a user's values fill the gaps; its cookies and the length of its body follow the other headers.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from secrets import token_hex
from typing import Protocol
from urllib.parse import quote, unquote, urlencode, urlsplit

import httpx

from velro_gate import __version__
from velro_gate.engine.http.parsing.codings import CONTENT_ENCODING, chunked
from velro_gate.engine.steps.checks import Inspection
from velro_gate.engine.steps.observed import Observation, observation_of, observed_metrics
from velro_gate.engine.steps.placeholders import Encode, Slot, ValueContext, ValueSources, body_encoding, in_header, in_url
from velro_gate.engine.steps.redirects import LOCATION, Redirects
from velro_gate.model.metric.own import MetricOrigin
from velro_gate.model.scenario import BearerAuth, LoginAuth, Scenario, Step

PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
"""What stands for a value in the texts of a step."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that may be sent again when it is unknown whether the service has seen them (RFC 9110, 9.2.1)."""


class Sender(ValueContext, Protocol):
    """What a request may ask of a virtual user."""

    def cookie_line(self, head: bytes) -> bytes:
        """The Cookie header for a request that begins like this, as a whole line, or nothing."""


class Pieces:
    """Bytes with gaps. Rendered by one ``%``, the fastest join for a handful of pieces."""

    __slots__ = ("_format", "slots")

    def __init__(self, fixed: list[bytes], slots: list[Slot]) -> None:
        self.slots = tuple(slots)
        self._format = b"%b".join(part.replace(b"%", b"%%") if slots else part for part in fixed)

    def render(self, person: ValueContext) -> bytes | None:
        """The bytes for one user; None when it lacks a value."""
        if not self.slots:
            return self._format
        values = tuple([slot(person) for slot in self.slots])
        return None if None in values else self._format % values


class CompiledStep:
    """One step, ready to be sent again and again.

    Attributes:
        index: its number in the scenario; a login has the one after the last.
        inspect: looks at an expected response; None where there is nothing to look at.
        observe: takes the values of the scenario's own metrics; None without any.
        head: whether its method is HEAD.
        safe: whether it may be sent twice where it is unknown if it was seen (RFC 9110, 9.2.1).
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_cookies",
        "_head",
        "_whole",
        "default_path",
        "expected",
        "head",
        "index",
        "inspect",
        "name",
        "needs_token",
        "observe",
        "safe",
        "timeout",
        "wants_body",
    )

    def __init__(
        self,
        step: Step,
        index: int,
        parts: tuple[Pieces, Pieces | None],
        inspect: Inspection | None,
        *,
        cookies: bool,
        observe: Observation | None = None,
    ) -> None:
        self._head, self._body = parts
        self._cookies = cookies
        self._chunked = step.body is not None and step.body.chunked
        self.index = index
        self.name = step.name
        self.timeout = step.timeout
        self.expected = step.expect_status
        self.head = step.method == "HEAD"
        self.safe = step.method in SAFE
        self.inspect = inspect
        self.observe = observe
        self.wants_body = (inspect is not None and inspect.wants_body) or (observe is not None and observe.wants_body)
        self.default_path = "/"
        self.needs_token = False
        # The whole request where nothing in it depends on the user: then sending costs no rendering.
        self._whole: bytes | None = None
        if not cookies and not self._head.slots and self._body is None:
            self._whole = self._head.render(_NOBODY) + b"\r\n"  # type: ignore[operator]

    def render(self, user: Sender) -> bytes | None:
        """The whole request for one user; None when it lacks a value that this step needs, or has one that cannot be sent."""
        if self._whole is not None:
            return self._whole
        head = self._head.render(user)
        if head is None:
            return None
        # By the head, since which cookies are sent depends on the path (RFC 6265, 5.4), and that may hold a value of the
        # user's.
        cookies = user.cookie_line(head) if self._cookies else b""
        if self._body is None:
            return b"%b%b\r\n" % (head, cookies)
        body = self._body.render(user)
        if body is None:
            return None
        if self._chunked:
            return b"%b%bTransfer-Encoding: chunked\r\n\r\n%b" % (head, cookies, chunked(body))
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, cookies, len(body), body)

    @property
    def takes_cookies(self) -> bool:
        """Whether the user's own cookies go with it: not where the scenario writes the header itself."""
        return self._cookies


class _Nobody:
    index, identity, captured = 0, "", {}  # type: ignore[var-annotated]


_NOBODY = _Nobody()


class Compiler:
    """Compiles the steps of one scenario. secrets: values of the environment variables that the scenario names."""

    def __init__(self, scenario: Scenario, secrets: Mapping[str, str]) -> None:
        self._scenario = scenario
        self._base = scenario.target.url.rstrip("/")
        self._sources = ValueSources(scenario.feeders, secrets)

    def steps(self) -> list[CompiledStep]:
        """Every step of the journey.

        Raises:
            UsageError, MissingVariableError: a placeholder has no value.
        """
        return [self._compile(step, index, authorized=True) for index, step in enumerate(self._scenario.steps)]

    def login(self) -> CompiledStep | None:
        """The login step, where there is one. It carries no credentials."""
        auth = self._scenario.auth
        if not isinstance(auth, LoginAuth):
            return None
        return self._compile(auth.step, len(self._scenario.steps), authorized=False)

    def headers(self, step: Step) -> list[tuple[str, Pieces]]:
        """The headers of a step, for whoever builds its requests otherwise.

        Raises:
            UsageError, MissingVariableError: a placeholder has no value.
        """
        cutter = _Cutter(self._sources, f"step {step.name}")
        return [(name, cutter.cut(cutter.mark(value, in_header).encode())) for name, value in step.headers]

    def bearer(self) -> str | None:
        """The Authorization header that all requests carry, where it is known before the load."""
        auth = self._scenario.auth
        return f"Bearer {self._sources.secret(auth.variable, 'auth')}" if isinstance(auth, BearerAuth) else None

    def captured_headers(self) -> frozenset[bytes]:
        """Lower-case names of the headers whose values are needed: what a step captures, how bodies are coded, where to go."""
        auth = self._scenario.auth
        steps = (*self._scenario.steps, auth.step) if isinstance(auth, LoginAuth) else self._scenario.steps
        names = {c.path.lower().encode() for step in steps for c in step.captures if c.source == "header"}
        seen = observed_metrics(self._scenario.metrics)
        names |= {metric.what.encode() for metric in seen if metric.origin is MetricOrigin.HEADER}
        if any(Inspection(step).wants_body for step in steps) or any(metric.origin is MetricOrigin.JSON for metric in seen):
            names.add(CONTENT_ENCODING)
        if self._scenario.target.follow_redirects:
            names.add(LOCATION)
        return frozenset(names)

    def redirects(self) -> Redirects | None:
        """What follows redirects; None where they are answers like any other."""
        target = self._scenario.target
        return Redirects(target.url, target.follow_redirects) if target.follow_redirects else None

    def _compile(self, step: Step, index: int, *, authorized: bool) -> CompiledStep:
        where = f"step {step.name}"
        cutter = _Cutter(self._sources, where)
        headers = {name.lower(): (name, cutter.mark(value, in_header)) for name, value in step.headers}
        if self._scenario.target.compression != "none":
            headers.setdefault("accept-encoding", ("Accept-Encoding", self._scenario.target.compression))
        if authorized:
            self._authorize(headers, cutter)
        url = self._base + cutter.mark(step.path, in_url)
        if step.query:
            # Encoded here: httpx would put parameters of one name together, and so change their order.
            pairs = [(cutter.mark(name, in_url), cutter.mark(value, in_url)) for name, value in step.query]
            url += ("&" if "?" in step.path else "?") + urlencode(pairs, quote_via=quote)
        body = None
        if step.body is not None:
            body = cutter.cut(cutter.mark(step.body.template, body_encoding(step.body.content_type)).encode())
            headers.setdefault("content-type", ("Content-Type", step.body.content_type))
        head = cutter.cut(_head(step.method, httpx.URL(url), headers, body))
        own_cookies = "cookie" in headers
        compiled = CompiledStep(
            step,
            index,
            (head, body),
            Inspection(step) if step.checks or step.captures else None,
            cookies=self._scenario.cookies and not own_cookies,
            observe=observation_of(step.name, self._scenario.metrics) if index < len(self._scenario.steps) else None,
        )
        # Where a cookie without a path belongs: the folder of the request, as far as it is the same for all users.
        compiled.default_path = (urlsplit(self._base).path + step.path).partition("${")[0].rpartition("/")[0] or "/"
        compiled.needs_token = authorized and isinstance(self._scenario.auth, LoginAuth)
        return compiled

    def _authorize(self, headers: dict[str, tuple[str, str]], cutter: _Cutter) -> None:
        auth, where = self._scenario.auth, "auth"
        user = urlsplit(self._base)
        if "authorization" in headers:
            return
        if isinstance(auth, BearerAuth):
            self._sources.secret(auth.variable, where)
            headers["authorization"] = ("Authorization", cutter.mark(f"Bearer ${{env.{auth.variable}}}", in_header))
        elif isinstance(auth, LoginAuth):
            headers["authorization"] = ("Authorization", cutter.mark(f"Bearer ${{{auth.token}}}", in_header))
        elif user.username or user.password:
            pair = f"{unquote(user.username or '')}:{unquote(user.password or '')}"
            headers["authorization"] = ("Authorization", f"Basic {b64encode(pair.encode()).decode()}")


class _Cutter:
    """Replaces placeholders by tokens that survive every encoding, and cuts bytes at them afterwards."""

    def __init__(self, sources: ValueSources, where: str) -> None:
        self._sources = sources
        self._where = where
        self._found: list[Slot | bytes] = []

    def mark(self, text: str, encode: Encode) -> str:
        """The text with a token for each placeholder."""

        def token(match: re.Match[str]) -> str:
            """A mark in place of one placeholder, which survives the encoding of what surrounds it."""
            self._found.append(self._sources.find(match[1], encode, self._where))
            return f"vG{len(self._found) - 1}x{_MARK}xGv"

        return PLACEHOLDER.sub(token, text)

    def cut(self, text: bytes) -> Pieces:
        """The bytes between the tokens, and the slots at them; what is known already is filled in."""
        parts = _TOKEN.split(text)
        fixed, slots = [parts[0]], list[Slot]()
        for number, after in zip(parts[1::2], parts[2::2], strict=True):
            found = self._found[int(number)]
            if isinstance(found, bytes):
                fixed[-1] += found + after
            else:
                slots.append(found)
                fixed.append(after)
        return Pieces(fixed, slots)


_MARK = token_hex(8)
"""Drawn in each process, so that no text can hold it by itself."""
_TOKEN = re.compile(rb"vG(\d+)x%bxGv" % _MARK.encode())


def _head(method: str, url: httpx.URL, headers: Mapping[str, tuple[str, str]], body: Pieces | None) -> bytes:
    """Request line and headers, without the blank line; without Content-Length where a body follows."""
    ours = {"user-agent": ("User-Agent", f"velro-gate/{__version__}"), "accept": ("Accept", "*/*")}
    lines = [(name.encode("ascii"), value.encode()) for name, value in {**ours, **headers}.values()]
    request = httpx.Request(method, url, headers=lines)
    shown = [b"%b %b HTTP/1.1" % (method.encode("ascii"), request.url.raw_path)]
    for name, value in request.headers.raw:
        if body is None or name.lower() != b"content-length":
            shown.append(b"%b: %b" % (name, value))
    return b"\r\n".join(shown) + b"\r\n"
