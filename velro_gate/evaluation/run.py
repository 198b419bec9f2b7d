"""Evaluate the decision itself: on simulated jobs, whose truth is known, and on real series."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from velro_gate import units
from velro_gate.errors import UsageError
from velro_gate.evaluation.recorded.replay import replay_figures
from velro_gate.evaluation.recorded.series_files import read_series
from velro_gate.evaluation.results import Amount, CurvePoint, Evaluated, Figure
from velro_gate.evaluation.simulated.experiments import EXPERIMENTS
from velro_gate.evaluation.simulated.synthetic import OURS, curves


def synthetic_figures(
    which: Sequence[str], *, count: int, seed: int, say: Callable[[str], None] = lambda _: None
) -> Iterator[Evaluated]:
    """The figures of the named experiments (all without a name), one after another as they are ready.

    say: called with each experiment that has ended.

    Raises:
        UsageError: there is no experiment of that name.
    """
    unknown = [name for name in which if name not in EXPERIMENTS]
    if unknown:
        raise UsageError(f"there is no experiment {unknown[0]!r}", hint=f"Choose from: {', '.join(EXPERIMENTS)}.")
    for name, experiment in EXPERIMENTS.items():
        if not which or name in which:
            for figure in experiment(count, seed):
                came = (
                    f"{units.format_decimal(figure.value, 1)} {figure.unit}"
                    if isinstance(figure, Amount)
                    else f"{figure.hits} of {figure.count}"
                )
                say(f"{figure.experiment}: {figure.what} {came}")
                yield figure


def curve_points(count: int, seed: int, *, say: Callable[[str], None] = lambda _: None) -> Iterator[CurvePoint]:
    """How often each rule fails a job, noise by noise, without a change and with one. say: called with each as it is ready."""
    for point in curves(count, seed):
        change = units.format_change(point.worse) if point.worse else "nothing changed"
        say(f"noise {units.format_share(point.noise)}, {change}: {units.format_share(point.rates[OURS])} failed")
        yield point


def replayed_figures(folder: Path) -> Iterator[Figure]:
    """The decision replayed on the real series in a folder.

    Raises:
        RecordError: the folder holds no series, or one that cannot be read.
    """
    yield from replay_figures(read_series(folder))
