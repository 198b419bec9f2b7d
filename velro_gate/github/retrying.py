"""When a response is worth another try, and how long to wait before it. Pure.

GitHub's rule: honour ``retry-after``; else, when nothing remains of the limit, wait until ``x-ratelimit-reset``; else, at a
secondary limit, wait a minute and longer each time. Jitter keeps many jobs from coming back at one moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

MINUTE = 60.0
"""First pause after a secondary rate limit without a Retry-After: GitHub asks for at least a minute, longer with each try."""
FIRST_PAUSE = 1.0
"""Seconds before the second try; each further pause is twice as long."""
LONGEST_PAUSE = 120.0
"""Seconds."""
_TRANSIENT = frozenset({408, 500, 502, 503, 504})
_LIMITED = frozenset({403, 429})


def limited(status: int, headers: Mapping[str, str], text: str = "") -> bool:
    """Whether a refusal means "later" and not "never": a 403 can be either. Such a request was not carried out."""
    if status == 429:
        return True
    announced = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
    return status == 403 and (announced or "rate limit" in text.lower())


def transient(status: int) -> bool:
    """Whether the server itself failed; the request may have been carried out all the same."""
    return status in _TRANSIENT


def pause(status: int, headers: Mapping[str, str], *, attempt: int, now: float, chance: float) -> float:
    """Seconds to wait before the next try. attempt: tries that failed, from 1. now: seconds since 1970. chance: in [0, 1).

    headers: names in lower case.
    """
    announced = _announced(headers, now)
    if announced is not None:
        return announced + chance
    if status in _LIMITED:
        return MINUTE * 2.0 ** (attempt - 1) + chance
    doubled = min(FIRST_PAUSE * 2.0 ** (attempt - 1), LONGEST_PAUSE)
    return doubled * (0.5 + chance / 2.0)


def _announced(headers: Mapping[str, str], now: float) -> float | None:
    """What the server itself says, never less than nothing; None when it says nothing."""
    after = headers.get("retry-after", "")
    if after:
        seconds = _seconds(after)
        if seconds is None:
            seconds = _until(after, now)
        if seconds is not None:
            return max(seconds, 0.0)
    reset = _seconds(headers.get("x-ratelimit-reset", ""))
    # The primary limit says in each response when it ends, but only with nothing left is it the reason.
    if headers.get("x-ratelimit-remaining") == "0" and reset is not None:
        return max(reset - now, 0.0)
    return None


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() else None


def _until(text: str, now: float) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError):
        return None
