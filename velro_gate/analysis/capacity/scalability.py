"""The universal scalability law, fitted to throughput at several concurrencies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from velro_gate.arrays import Floats
from velro_gate.model.capacity import Scalability
from velro_gate.model.record import Estimate

_Law = tuple[float, float, float]

LEAST_POINTS = 4
"""Of three parameters; one more than these."""

_DRAWS = 300
"""Fits to resampled residuals, each a non-negative least squares."""
_LEAST_COHERENCE = 1e-7
"""Below it, the most throughput lies at thousands of requests at a time: that is no knee but the end of what was measured."""


def fit_scalability(points: Sequence[tuple[float, float]], *, seed: int = 1) -> Scalability | None:
    """The law through (concurrency, throughput); None with fewer than ``LEAST_POINTS`` points that differ.

    Each point counts by its relative deviation. Intervals: a bootstrap of the residuals, 95 %.
    """
    kept = [(n, x) for n, x in points if n > 0.0 and x > 0.0]
    if len({round(math.log(n), 2) for n, _ in kept}) < LEAST_POINTS:
        return None
    ns, xs = (np.array(column, float) for column in zip(*kept, strict=True))
    law = _fit(ns, xs)
    predicted = np.log(_throughput(ns, law))
    residuals = np.log(xs) - predicted
    # Three parameters are fitted, which makes residuals smaller than the deviations are.
    residuals *= math.sqrt(len(ns) / max(len(ns) - 3, 1))
    random = np.random.default_rng(seed)
    drawn = [_fit(ns, np.exp(predicted + random.choice(residuals, len(ns)))) for _ in range(_DRAWS)]
    columns = list(zip(*drawn, strict=True))
    rate, contention, coherence = (_estimate(value, column, len(ns)) for value, column in zip(law, columns, strict=True))
    knee = peak = None
    # Where coherence is 0 the law has no maximum: throughput grows at every concurrency.
    if law[2] > _LEAST_COHERENCE:
        bent = [one for one in drawn if one[2] > _LEAST_COHERENCE]
        knee = _estimate(_knee(law), [_knee(one) for one in bent], len(ns))
        peak = _estimate(_peak(law), [_peak(one) for one in bent], len(ns))
    return Scalability(rate=rate, contention=contention, coherence=coherence, knee=knee, peak=peak, points=len(ns))


def _throughput(n: Floats, law: _Law) -> Floats:
    rate, contention, coherence = law
    return rate * n / (1.0 + contention * (n - 1.0) + coherence * n * (n - 1.0))


def _knee(law: _Law) -> float:
    # Where the law's derivative is 0 (Gunther 1993).
    return math.sqrt(max(1.0 - law[1], 0.0) / law[2])


def _peak(law: _Law) -> float:
    return float(_throughput(np.array([max(_knee(law), 1.0)]), law)[0])


def _fit(ns: Floats, xs: Floats) -> _Law:
    """Least squares of the relative deviations: N / X is linear in 1 / rate, contention / rate and coherence / rate."""
    # Not at the top: only this needs it.
    from scipy.optimize import nnls

    terms = np.stack([np.ones_like(ns), ns - 1.0, ns * (ns - 1.0)], axis=1)
    # Non-negative: a negative contention or coherence would say that requests speed each other up, which noise alone suggests.
    (one, contention, coherence), _ = nnls(terms * (xs / ns)[:, None], np.ones_like(ns))
    # Where not even one request at a time has a rate of its own, the first point is all that is known of it.
    one = max(float(one), 1e-12)
    return 1.0 / one, float(contention) / one, float(coherence) / one


def _estimate(value: float, drawn: Sequence[float], n: int) -> Estimate:
    low, high = np.quantile(drawn, (0.025, 0.975)) if len(drawn) else (value, value)
    return Estimate(value=value, low=min(float(low), value), high=max(float(high), value), n=n)
