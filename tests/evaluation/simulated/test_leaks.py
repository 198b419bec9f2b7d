"""Leaks on simulated series: all that are injected are found, and none that is not there."""

from __future__ import annotations

from velro_gate.evaluation.simulated.leaks import leak_figures


def test_ten_of_ten_leaks_are_found_and_none_in_services_without_one() -> None:
    figures = list(leak_figures(20, seed=1))
    assert [(figure.experiment, figure.hits) for figure in figures] == [
        ("leak of memory", 20),
        ("no leak of memory", 0),
        ("leak of descriptors", 20),
        ("no leak of descriptors", 0),
    ]
    assert all(figure.reached for figure in figures)
