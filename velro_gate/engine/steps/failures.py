"""The first failed answer of each step and kind, so that a failure can be seen and not only counted.

A kind is a step, an outcome, a status and a reason. There are few of them; should a service think of many reasons, those beyond
the first few are counted together. Counting one costs a look-up, and an example is made of the first one only.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from velro_gate.engine.http.codings import CONTENT_ENCODING, LIGHT, CodingError, decoded
from velro_gate.model.masking import MASK, mask
from velro_gate.model.run import FailedAnswer
from velro_gate.model.samples import Outcome

MOST_SEEN = 500
"""Characters of an answer that are shown, once secrets are masked in the first _MOST_READ bytes."""

_MOST_READ = 8 * MOST_SEEN

MOST_REASONS = 4
"""Kinds of one step, outcome and status."""

OTHER = "other reasons"

_COOKIE = re.compile(r"(?im)^((?:set-)?cookie:\s*[^=;\r\n]*=)[^;\r\n]*")
_CONTROL = re.compile(r"[^\S \n]|[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_CHUNK = re.compile(rb"\A\s*([0-9A-Fa-f]+)[^\n]*\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureDetail:
    """What is shown of one failed answer, see ``FailedAnswer``. hidden: values to mask."""

    request: str
    came: str = ""
    seen: str = ""
    hidden: Sequence[str] = ()


class FailureLog:
    """Counts failures by kind and keeps the first of each.

    Args:
        names: of the steps, by index.
        hidden: values that must not be shown.
    """

    def __init__(self, names: Sequence[str], hidden: Sequence[str] = ()) -> None:
        self._names = names
        self._hidden = tuple(hidden)
        self._counts: dict[tuple[int, int, int, str], int] = {}
        self._kinds: dict[tuple[int, int, int], int] = {}
        self._shown: dict[tuple[int, int, int, str], tuple[float, FailureDetail]] = {}

    def note(self, step: int, outcome: Outcome, status: int, reason: str, at: float, show: Callable[[], FailureDetail]) -> None:
        """Count one. show: makes the example; called for the first of its kind only."""
        key = (step, int(outcome), status, reason)
        if key in self._counts:
            self._counts[key] += 1
            return
        alike = key[:3]
        self._kinds[alike] = number = self._kinds.get(alike, 0) + 1
        if number > MOST_REASONS:
            key = (*alike, OTHER)
            if key in self._counts:
                self._counts[key] += 1
                return
        self._counts[key] = 1
        self._shown[key] = (at, show())

    def by_status(self, statuses: Collection[int]) -> dict[int, int]:
        """How many requests failed with each of these statuses."""
        counts = dict.fromkeys(statuses, 0)
        for (_, _, status, _), count in self._counts.items():
            if status in counts:
                counts[status] += count
        return counts

    def found(self, origin: float) -> tuple[FailedAnswer, ...]:
        """Every kind, the commonest first. origin: the run's start on the clock of the times that were told."""
        made = []
        for key, count in sorted(self._counts.items(), key=lambda item: -item[1]):
            step, outcome, status, reason = key
            at, shown = self._shown[key]
            hidden = (*self._hidden, *shown.hidden)
            made.append(
                FailedAnswer(
                    step=self._names[step] if step < len(self._names) else f"step {step}",
                    outcome=Outcome(outcome).name,
                    status=status,
                    count=count,
                    at=max(at - origin, 0.0),
                    request=mask(shown.request, hidden),
                    reason=mask(reason, hidden),
                    came=mask(shown.came, hidden)[:MOST_SEEN],
                    seen=mask(shown.seen, hidden)[:MOST_SEEN],
                )
            )
        return tuple(made)


def seen_of(raw: bytes, *, whole: bool) -> str:
    """What can be shown of an answer's first bytes. whole: it could be read, so its body is shown and not its head."""
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


def origin_of(url: str) -> str:
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
