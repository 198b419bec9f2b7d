"""What the live page adds is the difference to runs without it, round by round."""

from __future__ import annotations

import math

import pytest

from benchmarks.live import WAYS, Cost, added, table


def test_what_is_added_is_the_mean_of_the_rounds_with_its_interval() -> None:
    difference, reach = added([0.12, 0.14, 0.13, 0.15], [0.10, 0.12, 0.10, 0.12])
    assert difference == pytest.approx(0.025)
    # The rounds differ by .02 and .03: Student's quantile of one degree of freedom is 12.7.
    assert reach == pytest.approx(12.706 * 0.005, rel=1e-3)


def test_one_round_shows_nothing_and_is_not_called_reached() -> None:
    assert added([0.1, 0.1], [0.1, 0.1]) == (0.0, math.inf)
    made = table({way: [Cost(cpu=0.1, late=1e-3)] * 2 for way in WAYS}, "one round")
    assert [row[-1] for row in made.rows] == ["", *["not shown: more rounds, not shown: more rounds"] * 2]


def test_a_page_that_takes_more_than_it_may_is_missed() -> None:
    costs = {"without": 0.10, "page": 0.101, "browser": 0.15}
    found = {way: [Cost(cpu=cpu + 1e-5 * (run // 2), late=1e-3) for run in range(4)] for way, cpu in costs.items()}
    assert [row[-1] for row in table(found, "two rounds").rows] == ["", "reached, reached", "MISSED, reached"]
