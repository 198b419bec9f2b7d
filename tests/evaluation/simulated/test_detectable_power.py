"""The printed size of a change keeps its promise, and clumps of errors fail no unchanged build."""

from __future__ import annotations

import pytest

from velro_gate.evaluation.simulated.detectable_power import detectable_figures, error_figures


@pytest.mark.slow
def test_a_change_of_exactly_the_printed_size_fails_in_95_of_100_runs() -> None:
    figures = list(detectable_figures(1200, 7))
    assert len({figure.experiment for figure in figures}) == 16
    # 1,200 jobs leave an sd of .6 points about 93 to 97 %.
    assert {figure.experiment: figure.rate for figure in figures if not 0.92 <= figure.rate <= 0.98} == {}


@pytest.mark.slow
def test_errors_in_clumps_do_not_make_unchanged_builds_look_worse() -> None:
    figures = list(error_figures(300, 7))
    assert len(figures) == 12
    # Each may come up in .75 %: 27 of these 3,600, and chance adds 10 at most.
    assert sum(figure.hits for figure in figures) <= 37
