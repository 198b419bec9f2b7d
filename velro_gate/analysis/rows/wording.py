"""Figures in words: a value with its interval, and a limit, in the unit of the metric's kind; runs of main by name."""

from __future__ import annotations

import re

from velro_gate import units
from velro_gate.model.metrics import MetricKind
from velro_gate.model.record import Estimate, RunRecord

_FORMAT = {
    MetricKind.SECONDS: units.format_seconds,
    MetricKind.PER_SECOND: units.format_rate,
    MetricKind.SHARE: units.format_share,
    MetricKind.COUNT: units.format_count,
    MetricKind.BYTES: units.format_bytes,
    MetricKind.BYTES_PER_MINUTE: units.format_growth,
}


def figure(kind: MetricKind, value: float) -> str:
    """A measured value: ``61.2 ms``, ``1,103/s``, ``95.2 %``."""
    return _FORMAT[kind](value)


def limit(kind: MetricKind, value: float) -> str:
    """A limit, which is a round number and shown as one: ``75 ms``, not ``75.0 ms``."""
    return re.sub(r"(\.\d*?)0+(?=\D|$)", lambda match: match[1].rstrip("."), figure(kind, value), count=1)


def figure_with_interval(kind: MetricKind, estimate: Estimate) -> str:
    """A value with its 95 % interval, ``61.2 ms (60.1 to 62.9 ms)``; without one where it has no width on paper."""
    value, low, high = (figure(kind, part) for part in (estimate.value, estimate.low, estimate.high))
    return value if low == high else f"{value} ({units.join_range(low, high)})"


def named(run: RunRecord) -> str:
    """A run of main by its day and revision."""
    revision = f" ({run.revision.sha[:7]})" if run.revision.sha else ""
    return f"the run of {run.started_at[:10]}{revision}"
