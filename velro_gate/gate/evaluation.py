"""Evaluate the decision itself: on made-up jobs, whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from velro_gate.analysis.synthetic import EXPERIMENTS
from velro_gate.errors import UsageError
from velro_gate.model.evaluation import Figure


def synthetic_figures(
    which: Sequence[str], *, count: int, seed: int, say: Callable[[str], None] = lambda _: None
) -> Iterator[Figure]:
    """The figures of the named experiments (all without a name), one after another as they are ready.

    say: told each experiment that has ended.

    Raises:
        UsageError: there is no experiment of that name.
    """
    unknown = [name for name in which if name not in EXPERIMENTS]
    if unknown:
        raise UsageError(f"there is no experiment {unknown[0]!r}", hint=f"Choose from: {', '.join(EXPERIMENTS)}.")
    for name, experiment in EXPERIMENTS.items():
        if not which or name in which:
            for figure in experiment(count, seed):
                say(f"{figure.experiment}: {figure.what} {figure.hits} of {figure.count}")
                yield figure
