"""The universal scalability law through measured points."""

from __future__ import annotations

import math

import numpy as np
import pytest

from velro_gate.analysis.capacity.scalability import fit_scalability

CONCURRENCIES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)


def points(rate: float, contention: float, coherence: float, noise: float = 0.0) -> list[tuple[float, float]]:
    random = np.random.default_rng(7)
    return [
        (n, rate * n / (1.0 + contention * (n - 1) + coherence * n * (n - 1)) * math.exp(noise * random.normal()))
        for n in CONCURRENCIES
    ]


def test_the_law_is_found_again_in_points_that_follow_it() -> None:
    # Gunther's own example of a knee: sqrt((1 - .02) / .0005) = 44.
    found = fit_scalability(points(100.0, 0.02, 0.0005))
    assert found is not None
    assert found.rate.value == pytest.approx(100.0, rel=0.01)
    assert found.contention.value == pytest.approx(0.02, abs=0.002)
    assert found.knee is not None
    assert found.peak is not None
    assert found.knee.value == pytest.approx(math.sqrt(0.98 / 0.0005), rel=0.02)
    assert found.peak.value == pytest.approx(found.throughput(found.knee.value), rel=1e-6)


def test_the_intervals_hold_the_truth_where_points_scatter() -> None:
    found = fit_scalability(points(100.0, 0.02, 0.0005, noise=0.02))
    assert found is not None
    assert found.knee is not None
    assert found.rate.low <= 100.0 <= found.rate.high * 1.02
    assert found.knee.low <= math.sqrt(0.98 / 0.0005) * 1.1
    assert found.knee.high >= math.sqrt(0.98 / 0.0005) * 0.9


def test_throughput_that_only_flattens_has_no_knee() -> None:
    found = fit_scalability(points(100.0, 0.05, 0.0))
    assert found is not None
    assert found.knee is None
    assert found.peak is None


@pytest.mark.parametrize("kept", [[], [(1.0, 100.0)] * 6, [(1.0, 100.0), (2.0, 190.0), (4.0, 350.0)], [(0.0, 0.0)] * 5])
def test_too_few_points_make_no_law(kept: list[tuple[float, float]]) -> None:
    assert fit_scalability(kept) is None
