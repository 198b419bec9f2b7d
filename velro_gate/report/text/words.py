"""A sentence with the advice that goes with it, and the phrases that sentences share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from velro_gate.report.text import figures
from velro_gate.report.text.phrase import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is the matter, and what to do about it ('' for nothing). Neither begins with a capital for its own sake."""

    sentence: str
    advice: str = ""


def subject(metric: str, step: str) -> str:
    """What a figure is of, in plain words: ``p95 of login``, ``p95 of all requests``, ``throughput``."""
    return plain(figures.subject_phrase(metric, step))


def listed(names: Sequence[str], most: int = 5, *, between: str = ", ") -> str:
    """The first names, and how many more there are."""
    shown = between.join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def joined(names: Sequence[str]) -> str:
    """All of them, at least one: ``p50``, ``p50 and p90``, ``p50, p90 and p95``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
