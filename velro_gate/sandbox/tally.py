"""Plain counts, kept by the hot path and read by /metrics and /control; nothing is allocated to count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

MEMORY = "memory"
REDIS = "redis"
DATABASE = "database"
LAYERS = (MEMORY, REDIS, DATABASE)

OTHER = "other"
"""Stands for requests to no known endpoint."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts since the start."""

    received: Counter[str] = field(default_factory=Counter)
    """Requests received, by step."""
    answered: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By (step, status)"""
    hits: Counter[str] = field(default_factory=Counter)
    """Hits by layer."""
    misses: Counter[str] = field(default_factory=Counter)
    """Misses by layer."""

    def counts(self) -> dict[str, object]:
        """Requests received, by step and in all, and responses by status: health, metrics and control are not counted."""
        statuses: Counter[str] = Counter()
        for (_, status), count in self.answered.items():
            statuses[str(status)] += count
        return {
            "received": dict(sorted(self.received.items())),
            "total": self.received.total(),
            "answered": self.answered.total(),
            "statuses": dict(sorted(statuses.items())),
        }
