"""Keep secrets out of whatever is shown or stored. Pure text in, text out; the last step before any text leaves the process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

MASK = "***"
SHORTEST = 4
"""Shorter values guard nothing, and masking them would eat ordinary words."""

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# What has the shape of a credential is masked even if nobody named it: tokens that a login step captured, for example.
_SHAPES = (
    (re.compile(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{2,}(?:\.[A-Za-z0-9_-]*)?"), MASK),
    (re.compile(r"(?i)\b(bearer\s+)(?!\*\*\*)[A-Za-z0-9._~+/-]{12,}=*"), rf"\g<1>{MASK}"),
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"']*:)[^\s/@\"']+(?=@)"), rf"\g<1>{MASK}"),
)

_PASSWORD = re.compile(r"://[^\s/:@]*:([^\s/@]+)@")
_PARAMETER = re.compile(r"[?&]([^=&#\s]+)=([^&#\s]+)")
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_SECRET_NAME = re.compile(r"(?i)key|token|secret|passw|pwd|credential")


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret replaced by ``***``: as it is, percent-encoded, and escaped as JSON.

    Also masked: JSON web tokens, long bearer tokens and passwords in URLs, whoever they belong to. Secrets shorter than
    SHORTEST characters are left alone. Masking twice changes nothing more.
    """
    spellings = {spelling for secret in secrets if len(secret) >= SHORTEST for spelling in _spellings(secret)}
    if spellings:
        # The longest first, so that a secret which holds another one leaves no rest behind.
        pattern = "|".join(re.escape(spelling) for spelling in sorted(spellings, key=len, reverse=True))
        text = re.sub(pattern, MASK, text)
    for shape, replacement in _SHAPES:
        text = shape.sub(replacement, text)
    return text


def secret_values(environ: Mapping[str, str]) -> list[str]:
    """What an environment holds that nobody should read: by the names of its variables, and passwords inside of URLs.

    For texts whose origin nobody knows, such as that of an unforeseen error. A path is no secret, whatever its variable's name.
    """
    found: list[str] = []
    for name, value in environ.items():
        if "://" in value:
            found += _inside_url(value)
        elif _SECRET_NAME.search(name) and not value.startswith(("/", "./")):
            found.append(value.strip())
    return found


def _inside_url(url: str) -> Iterator[str]:
    """The password before the host, and the values of query parameters that are named like a secret; decoded ones, too."""
    found = [match[1] for match in _PASSWORD.finditer(url)]
    found += [value for name, value in _PARAMETER.findall(url) if _SECRET_NAME.search(name)]
    for value in found:
        yield value
        decoded = _ESCAPED.sub(lambda escape: bytes([int(escape[1], 16)]), value.encode("utf-8", "surrogatepass"))
        yield decoded.decode("utf-8", "replace")


def _spellings(secret: str) -> set[str]:
    encoded = secret.encode("utf-8", "surrogatepass")
    percent = "".join(chr(byte) if chr(byte) in _UNRESERVED else f"%{byte:02X}" for byte in encoded)
    return {
        secret,
        percent,
        percent.replace("%20", "+"),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    }
