"""The whole procedure of a duet over arrays: look after look until every figure is decided, for any number of jobs at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from velro_gate.analysis.duet.pair_order import all_orders, balance_of
from velro_gate.analysis.statistics.paired import Conclusion, conclusions, paired
from velro_gate.analysis.statistics.sign_flip import Orders
from velro_gate.arrays import Codes, Floats
from velro_gate.model.duet import LOOKS, Look
from velro_gate.model.scenario import Policy


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DuetOutcomes:
    """How duets ended."""

    outcomes: Codes
    """``Conclusion`` of each figure, as numbers, (jobs, metrics)."""
    pairs: npt.NDArray[np.int64]
    """How many pairs were measured, (jobs,)."""

    @property
    def failed(self) -> npt.NDArray[np.bool_]:
        """Jobs with a regression."""
        found: npt.NDArray[np.bool_] = (self.outcomes == Conclusion.REGRESSION).any(axis=1)
        return found

    @property
    def undecided(self) -> npt.NDArray[np.bool_]:
        """Jobs with an inconclusive figure and no regression."""
        found: npt.NDArray[np.bool_] = (self.outcomes == Conclusion.INCONCLUSIVE).any(axis=1) & ~self.failed
        return found


def random_orders(random: np.random.Generator, jobs: int, looks: Sequence[Look] = LOOKS) -> Floats:
    """Orders as ``jobs`` duets draw them, (jobs, pairs): +1 where the head build comes second."""
    possible = all_orders(balance_of(looks))
    if possible is None or not possible.shape[1]:
        return np.where(random.random((jobs, looks[-1].pairs)) < 0.5, 1.0, -1.0)
    return possible[random.integers(0, len(possible), jobs)]


def look_by_look(
    d: Floats,
    drawn: Floats | None = None,
    *,
    seed: int = 1,
    looks: Sequence[Look] = LOOKS,
    policy: Policy | None = None,
) -> DuetOutcomes:
    """How duets end whose pairs differ by ``d``, (jobs, pairs, metrics), logarithms, + is worse.

    drawn: their orders (``random_orders``); None: each pair drawn by itself. seed: of sampled sign vectors.
    """
    rules = policy if policy is not None else Policy()
    m = d.shape[-1]
    least, bound = np.full(m, math.log1p(rules.margin)), np.full(m, math.log1p(rules.unchanged_below))
    possible = all_orders(balance_of(looks)) if drawn is not None else None
    outcomes = np.zeros((len(d), m), np.int8)
    pairs = np.zeros(len(d), np.int64)
    waiting = np.arange(len(d))
    for look in looks:
        n = look.pairs
        orders = (
            Orders(possible=possible[:, :n], drawn=drawn[waiting, :n]) if possible is not None and drawn is not None else None
        )
        found = paired(d[waiting, :n], seed, orders, beta=look.beta)
        outcomes[waiting] = conclusions(found, look.alpha, least, bound)
        pairs[waiting] = n
        # A duet goes on only while something is inconclusive, as a real one does: later looks cannot undo a conclusion.
        waiting = waiting[(outcomes[waiting] == Conclusion.INCONCLUSIVE).any(axis=1)]
        if not len(waiting):
            break
    return DuetOutcomes(outcomes=outcomes, pairs=pairs)
