"""How long a freshly started build takes to settle."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gate.duet.test_pilot import settling, window
from velro_gate.analysis.duet.warm_up import settled_after


@pytest.mark.parametrize("seconds", [0, 1, 2, 4])
def test_slow_windows_at_the_start_are_cut_off(seconds: int) -> None:
    assert settled_after(settling(seconds)) == seconds


def test_the_cut_of_the_plain_enumeration() -> None:
    """Recipe: the marginal standard error of every cut, by its definition."""
    made = [replace(window(float(i)), p50=2.718281828**y, p95=2.718281828**y) for i, y in enumerate((5, 3, 1, 1, 1, 1, 1, 2))]
    y = (5, 3, 1, 1, 1, 1, 1, 2)

    def error(d: int) -> float:
        rest = y[d:]
        mean = sum(rest) / len(rest)
        return sum((value - mean) ** 2 for value in rest) / len(rest) ** 2

    best = next(d for d in range(5) if error(d) <= 1.5 * min(map(error, range(5))))
    assert best == 2
    assert settled_after(made) == best


def test_too_few_windows_and_windows_without_answers_cut_nothing() -> None:
    assert settled_after(settling(3)[:5]) == 0.0
    assert settled_after([replace(window(float(i)), p50=None, p95=None) for i in range(8)]) == 0.0


@given(st.lists(st.floats(0.1, 10.0), min_size=6, max_size=40))
def test_at_most_half_is_cut_off(factors: list[float]) -> None:
    made = [window(float(i), factor) for i, factor in enumerate(factors)]
    assert 0.0 <= settled_after(made) <= len(factors) / 2
