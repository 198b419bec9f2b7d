"""What a null run says of the generator: its response times as the gate would see them, and how late it sent."""

from __future__ import annotations

import numpy as np

from velro_gate.model.metrics import LATENESS
from velro_gate.model.record import GeneratorNoise, PhaseSummary
from velro_gate.model.run import PhaseRun
from velro_gate.model.samples import Samples

RANKS = (0.5, 0.95, 0.99)
"""Of the quantiles that are compared with a run's own."""


def generator_noise(summary: PhaseSummary) -> GeneratorNoise | None:
    """The noise that a summarised null run shows; None when no request succeeded, so that nothing is known."""
    figures = [summary.measurement(name) for name in ("p50", "p95", "p99", LATENESS)]
    p50, p95, p99, lateness = figures
    everything = summary.step()
    if p50 is None or p95 is None or p99 is None or lateness is None or everything is None:
        return None
    rate = summary.offered_rate
    if rate is None:
        # Journeys were offered: how many requests that meant is known now.
        rate = everything.counts.due / summary.measured_seconds
    return GeneratorNoise(
        p50=p50.value,
        p95=p95.value,
        p99=p99.value,
        lateness_p99=lateness.value,
        rate=rate,
        users=summary.users,
        seconds=summary.measured_seconds,
        requests=p50.n,
    )


def lateness_quantiles(run: PhaseRun, samples: Samples) -> tuple[float, float, float] | None:
    """Lateness p50, p95 and p99 of the measured stretch, in seconds; None without a sample in it."""
    late = samples.lateness[(samples.due >= run.measured_from) & (samples.due < run.measured_until)]
    if not len(late):
        return None
    p50, p95, p99 = np.quantile(late, RANKS).tolist()
    return p50, p95, p99
