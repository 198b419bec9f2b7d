"""What sending costs is found again from the shares of a core that the forecast's formula makes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.costs import RATES, fitted


def share(rate: float, idle: float, per_request: float, waking: float) -> float:
    # s = b + r (c + w (1 - s)), solved for s by going round until it stands still.
    found = 0.0
    for _ in range(500):
        found = 0.5 * found + 0.5 * (idle + rate * (per_request + waking * (1.0 - found)))
    return found


@given(st.floats(0.001, 0.1), st.floats(5e-6, 20e-6), st.floats(10e-6, 80e-6))
def test_the_constants_that_made_the_shares_are_found_again(idle: float, per_request: float, waking: float) -> None:
    shares = {rate: share(rate, idle, per_request, waking) for rate in RATES}
    assert fitted(shares, per_request) == pytest.approx((idle, waking), rel=1e-3, abs=1e-6)
