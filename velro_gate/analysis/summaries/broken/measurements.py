"""The figures of experiments as measurements of their phase, so that runs can be compared by them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from velro_gate.model.metric.broken import name_of_experiment_metric
from velro_gate.model.record import Estimate, ExpectedFigure, ExperimentSummary
from velro_gate.model.scenario import ALL_STEPS


def experiment_measurements(experiments: Sequence[ExperimentSummary], step: str = ALL_STEPS) -> dict[str, Estimate]:
    """What was measured of the requests of one step, or of all of them, by name in the registry; of repetitions the mean.

    A figure that one of the repetitions does not have is left out: the mean of the others would be of another experiment. What
    had not happened by the end counts with the time that was waited, its lower bound.
    """
    found: dict[str, list[ExpectedFigure]] = defaultdict(list)
    for experiment in experiments:
        for figure in experiment.figures:
            if figure.expectation.step == step:
                found[name_of_experiment_metric(experiment.name, figure.expectation.kind)].append(figure)
    return {name: mean for name, figures in found.items() if (mean := _mean(figures)) is not None}


def _mean(figures: Sequence[ExpectedFigure]) -> Estimate | None:
    known = [figure.estimate for figure in figures if figure.estimate is not None]
    if len(known) < len(figures):
        return None
    if len(known) == 1:
        return known[0]
    value, low, high = (fmean(getattr(one, end) for one in known) for end in ("value", "low", "high"))
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=sum(one.n for one in known))
