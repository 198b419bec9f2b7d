"""How a failed request and its response are shown, as text that can stand in a report."""

from __future__ import annotations

import contextlib
import re
from urllib.parse import urlsplit

from velro_gate.engine.http.parsing.codings import CONTENT_ENCODING, LIGHT, CodingError, decoded
from velro_gate.model.masking import MASK

_MOST_READ = 4_000
"""Bytes of a response that become text: more than are shown in the end, since secrets are masked first."""

_COOKIE = re.compile(r"(?im)^((?:set-)?cookie:\s*[^=;\r\n]*=)[^;\r\n]*")
_CONTROL = re.compile(r"[^\S \n]|[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_CHUNK = re.compile(rb"\A\s*([0-9A-Fa-f]+)[^\n]*\n")


def seen_of(raw: bytes, *, whole: bool) -> str:
    """What can be shown of a response's first bytes. whole: it could be read, so its body is shown and not its head."""
    data = raw
    if whole:
        head, _, body = raw.partition(b"\r\n\r\n")
        fields = dict(_fields(head))
        data = _first_chunk(body) if b"chunked" in fields.get(b"transfer-encoding", b"").lower() else body
        with contextlib.suppress(CodingError):
            data = decoded(data, fields.get(CONTENT_ENCODING, b""), LIGHT)
    return shown_text(data)


def shown_text(data: bytes) -> str:
    """Bytes as text that can stand in a report, control characters and values of cookies left out."""
    text = data[:_MOST_READ].decode("utf-8", "replace")
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _COOKIE.sub(rf"\g<1>{MASK}", text.replace("\r\n", "\n"))).strip()


def shown_origin(url: str) -> str:
    """Scheme and authority of a URL, without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def request_line(request: bytes, origin: str) -> str:
    """Method and URL of a request as it was sent. origin: scheme and authority."""
    method, target = request.split(b" ", 2)[:2]
    return f"{method.decode('latin-1')} {origin}{target.decode('latin-1')}"


def _fields(head: bytes) -> list[tuple[bytes, bytes]]:
    lines = (line.partition(b":") for line in head.split(b"\n")[1:])
    return [(name.strip().lower(), value.strip()) for name, colon, value in lines if colon]


def _first_chunk(body: bytes) -> bytes:
    found = _CHUNK.match(body)
    return body if found is None else body[found.end() : found.end() + int(found[1], 16)]
