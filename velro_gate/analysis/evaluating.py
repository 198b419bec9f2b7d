"""Counts of right and wrong verdicts, with their exact bounds."""

from __future__ import annotations

from collections.abc import Mapping

from scipy import special

from velro_gate.model.evaluation import Aim, Figure

CONFIDENCE = 0.95


def figure_of(
    experiment: str,
    what: str,
    hits: int,
    count: int,
    aim: Aim,
    target: float | None = None,
    beside: Mapping[str, float] | None = None,
    forecast: float | None = None,
) -> Figure:
    """A figure with the bound on the side that its aim is afraid of."""
    bound = upper_bound(hits, count) if aim is Aim.AT_MOST else lower_bound(hits, count)
    return Figure(
        experiment=experiment,
        what=what,
        hits=hits,
        count=count,
        bound=bound,
        aim=aim,
        target=target,
        beside=dict(beside or {}),
        forecast=forecast,
    )


def upper_bound(hits: int, count: int) -> float:
    """The rate that is exceeded with at most 5 % (Clopper and Pearson 1934, one-sided)."""
    return 1.0 if hits == count else float(special.betaincinv(hits + 1, count - hits, CONFIDENCE))


def lower_bound(hits: int, count: int) -> float:
    """The rate that is undercut with at most 5 % (Clopper and Pearson 1934, one-sided)."""
    return 1.0 - upper_bound(count - hits, count)
