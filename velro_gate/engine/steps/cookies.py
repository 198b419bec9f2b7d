"""The cookies of one user: what a service sets, sent back as RFC 6265 says to one single host.

Domains are not looked at: a user speaks to one host only. Secure cookies are sent over TLS only.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from math import inf
from typing import NamedTuple

_AGE = re.compile(r"(-?)([0-9]+)")
_MOST_DIGITS = 15
"""Digits of a Max-Age that a float holds exactly; a longer one is for ever."""
_MOST = 200
"""Cookies of one user; what a service sets beyond is not kept."""

MOST_BYTES = 4_096
"""Of a cookie's name and value. Browsers keep no longer ones (RFC 6265bis, 5.7), and every request would carry them."""


class _Cookie(NamedTuple):
    value: str
    path: str
    until: float
    secure: bool


class Jar:
    """Name and path -> cookie. Times are seconds since the epoch."""

    __slots__ = ("_cookies", "fixed")

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str], _Cookie] = {}
        self.fixed: bytes | None = b""
        """The line that fits every request, where there is one."""

    def keep(self, header: bytes, default_path: str, now: float) -> None:
        """Take what one Set-Cookie header says; an expired cookie is a deletion. default_path: where it names none."""
        pair = cookie_pair(header)
        if pair is None or len(pair[0]) + len(pair[1]) > MOST_BYTES:
            return
        attributes = _attributes(header)
        path = attributes.get("path", "")
        # RFC 6265, 5.2.4: anything else counts as absent.
        if not path.startswith("/"):
            path = default_path
        until = _until(attributes, now)
        key = (pair[0], path)
        self.fixed = None
        if until <= now:
            self._cookies.pop(key, None)
        # A service that sets a new cookie each time must not fill memory; a known one is still renewed.
        elif key in self._cookies or len(self._cookies) < _MOST:
            self._cookies[key] = _Cookie(pair[1], path, until, "secure" in attributes)

    def line(self, request_path: str, now: float, *, secure: bool) -> bytes:
        """The Cookie header with its line end; nothing without cookies. Longer paths first."""
        if self.fixed is not None:
            return self.fixed
        fitting = [
            (key, cookie)
            for key, cookie in self._cookies.items()
            if _fits(request_path, cookie.path) and cookie.until > now and (secure or not cookie.secure)
        ]
        fitting.sort(key=lambda item: -len(item[1].path))
        text = "; ".join(f"{key[0]}={cookie.value}" for key, cookie in fitting)
        made = f"Cookie: {text}\r\n".encode("latin-1") if text else b""
        # Where every cookie goes everywhere and for ever, the line stays until another one is set.
        if all(cookie.path == "/" and cookie.until == inf for cookie in self._cookies.values()):
            self.fixed = made
        return made


def cookie_pair(header: bytes) -> tuple[str, str] | None:
    """Name and value of a Set-Cookie header; None when it has no name."""
    name, equals, value = header.partition(b";")[0].decode("latin-1").partition("=")
    name, value = name.strip(), value.strip()
    return (name, value) if equals and name else None


def _attributes(header: bytes) -> dict[str, str]:
    found = {}
    for part in header.decode("latin-1").split(";")[1:]:
        name, _, value = part.partition("=")
        found[name.strip().lower()] = value.strip()
    return found


def _until(attributes: dict[str, str], now: float) -> float:
    """Max-Age goes before Expires; what cannot be read is ignored."""
    if "max-age" in attributes:
        found = _AGE.fullmatch(attributes["max-age"])
        if found is None:
            return inf
        # Of any length: what lies beyond all calendars is for ever, or over.
        digits = found[2].lstrip("0")
        return now if found[1] or not digits else now + int(digits) if len(digits) <= _MOST_DIGITS else inf
    if "expires" in attributes:
        try:
            return parsedate_to_datetime(attributes["expires"]).timestamp()
        except (ValueError, OverflowError):
            return inf
    return inf


def _fits(request_path: str, path: str) -> bool:
    """RFC 6265, 5.1.4."""
    return request_path == path or (request_path.startswith(path) and (path.endswith("/") or request_path[len(path)] == "/"))
