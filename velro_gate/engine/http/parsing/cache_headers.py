"""What standard response headers say of the caches on the way: Cache-Status (RFC 9211), CF-Cache-Status and Age (RFC 9111)."""

from __future__ import annotations

import re

STATUS, CLOUDFLARE, AGE = b"cache-status", b"cf-cache-status", b"age"
STANDARD = (STATUS, CLOUDFLARE, AGE)
"""Names of headers whose values mean the same everywhere, the one that says most first."""

_MARK = b"\x00"
"""No header's value holds this byte, so a value with the name of its header before it is unlike any value alone."""

_MEMBERS = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_PARAMETERS = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*")+')
_CLOUDFLARE_HIT = frozenset({"hit", "stale", "updating", "revalidated"})
_CLOUDFLARE_MISS = frozenset({"miss", "expired"})
_NOT_LOOKED_UP = frozenset({"bypass", "method"})
_MOST_LETTERS = 24
"""Of a layer's name: it comes from the service, and stands in tables and comments."""

CacheReading = tuple[bool, str]
"""Whether it was a hit, and of which cache."""


def marked_header(name: bytes, value: bytes) -> bytes:
    """The value of a standard header, unlike that of any other header."""
    return name + _MARK + value


def joined_header(before: bytes, value: bytes) -> bytes:
    """A marked Cache-Status with the members of a second header of this name behind it."""
    return before + b", " + value


def is_standard(value: bytes) -> bool:
    """Whether ``marked_header`` made it."""
    return _MARK in value


def is_status(value: bytes) -> bool:
    """Whether ``marked_header`` made it of a Cache-Status."""
    return value.startswith(STATUS + _MARK)


def read(value: bytes) -> CacheReading | None:
    """What a marked value says; None where it says nothing of a hit or a miss."""
    name, _, text = value.partition(_MARK)
    said = text.decode("latin-1").strip()
    if name == STATUS:
        return _cache_status(said)
    if name == CLOUDFLARE:
        word = said.lower()
        return (word in _CLOUDFLARE_HIT, "cloudflare") if word in _CLOUDFLARE_HIT | _CLOUDFLARE_MISS else None
    # Age: 0 is a response that has just come from the origin (RFC 9111, 5.1).
    return (int(said) > 0, "shared") if said.isascii() and said.isdigit() and len(said) < 12 else None


def _cache_status(text: str) -> CacheReading | None:
    """The caches stand in the order in which the response went through them: the last is the nearest to the user."""
    answered = False
    for member in reversed(_MEMBERS.findall(text)):
        name, *parameters = (part.strip() for part in _PARAMETERS.findall(member))
        keys = {parameter.partition("=")[0].strip().lower(): parameter.partition("=")[2].strip() for parameter in parameters}
        # RFC 9211, 2.1; a boolean parameter may be written as ?0 (RFC 9651, 3.3.6).
        if "hit" in keys and keys["hit"] != "?0":
            return True, _layer_name(name)
        # What a cache does not handle is no look-up, as with Cloudflare's BYPASS and DYNAMIC.
        answered = answered or "hit" in keys or keys.get("fwd", "bypass").lower() not in _NOT_LOOKED_UP
    return (False, "") if answered else None


def _layer_name(name: str) -> str:
    return re.sub(r"[^a-z0-9._]+", "-", name.strip('"').lower()).strip("-.")[:_MOST_LETTERS] or "unnamed"
