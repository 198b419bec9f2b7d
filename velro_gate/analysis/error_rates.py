"""Error rates against baselines: counts, not logarithms, since most healthy rates are zero (decision.md, 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from velro_gate.analysis.noise import margin
from velro_gate.analysis.shifts import Shift
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import Counts
from velro_gate.model.scenario import Policy

LEAST_INCREASE = 0.001
"""A tenth of a percentage point: the smallest rise of an error rate worth acting on."""

UNCHANGED_INCREASE = 0.005
"""Half of the 1 % that every phase may have at most: an upper bound under this shows that the error rate has not changed."""

ERROR_CAP = 0.05
"""The PRD's critical error rate. Where a plan names no limit of its own, more than this fails without any statistics."""

_MANY = 1e6  # degrees of freedom of a normal


def asked_and_failed(counts: Counts) -> tuple[int, int]:
    """(n, e): arrivals that could have had a good answer, and those that got none."""
    failed = counts.failed + counts.blocked
    return counts.ok + failed, failed


def dispersion(*groups: Sequence[tuple[int, int]]) -> float:
    """max(1, Pearson's chi-squared / its degrees of freedom): how much more than binomially the errors vary.

    groups: (n, e) of runs, or blocks, of one build each; what has no errors, or nothing else, cannot tell. McCullagh and Nelder
    1989, Generalized Linear Models, section 4.5.
    """
    chi_squared, df = 0.0, 0
    for group in groups:
        n = np.array([pair[0] for pair in group], float)
        e = np.array([pair[1] for pair in group], float)
        share = e.sum() / n.sum()
        if len(group) > 1 and share not in (0.0, 1.0):
            chi_squared += float((((e - n * share) ** 2) / (n * share * (1.0 - share))).sum())
            df += len(group) - 1
    return max(1.0, chi_squared / df) if df else 1.0


def error_shift(current: Sequence[Counts], before: Sequence[Counts], policy: Policy) -> Shift | None:
    """The move of an error rate against the last K baselines; None when nothing was asked of either.

    current: the books of the candidate, or of all its runs when it was confirmed.
    """
    asked = [counts for counts in before if asked_and_failed(counts)[0]]
    return counts_shift(current, asked[-policy.max_baselines :], policy)


def counts_shift(current: Sequence[Counts], before: Sequence[Counts], policy: Policy) -> Shift | None:
    """The move of an error rate, the runs or blocks of each build pooled; None when nothing was asked of either.

    Counts are divided by the dispersion before Fisher's exact one-sided test. The interval is Newcombe's (1998, method 10:
    two Wilson intervals). worse, least and bound are differences of shares; with few baselines ``least`` grows like the
    relative margins do, because the dispersion between runs is then hardly known.
    """
    own, pairs = ([pair for counts in side if (pair := asked_and_failed(counts))[0]] for side in (current, before))
    if not own or not pairs:
        return None
    n, e = sum(pair[0] for pair in own), sum(pair[1] for pair in own)
    pooled_n, pooled_e = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
    phi = dispersion(pairs, own)
    mine, theirs = (e / phi, n / phi), (pooled_e / phi, pooled_n / phi)
    rate, base = e / n, pooled_e / pooled_n
    worse = rate - base
    low, high = newcombe(mine, theirs, 1.959964)
    # The smoothed share keeps a noise of zero errors from being zero.
    share = (pooled_e + e + 0.5) / (pooled_n + n + 1.0)
    noise = math.sqrt(phi * share * (1.0 - share) / n)
    least = LEAST_INCREASE * margin(len(pairs), policy) / policy.margin
    return Shift(
        metric=METRICS["error_rate"],
        k=len(pairs),
        baseline=base,
        current=rate,
        change=worse / base if base else None,
        change_low=low / base if base else None,
        change_high=high / base if base else None,
        worse=worse,
        upper=newcombe(mine, theirs, 1.644854)[1],
        p=fisher(mine, theirs),
        p_better=fisher(theirs, mine),
        noise=noise,
        error=math.sqrt(phi * share * (1.0 - share) * (1.0 / n + 1.0 / pooled_n)),
        df=_MANY,
        least=least,
        bound=max(UNCHANGED_INCREASE, least),
    )


def fisher(mine: tuple[float, float], theirs: tuple[float, float]) -> float:
    """Fisher's exact one-sided p for "my share is the larger one", of (events, trials) rounded to whole counts: the upper tail
    of the hypergeometric distribution (Fisher 1935, Journal of the Royal Statistical Society 98:39).
    """
    (e, n), (base_e, base_n) = (tuple(map(round, pair)) for pair in (mine, theirs))
    if not e:
        return 1.0
    # Only where there are errors: to import it takes half a second, as long as the rest of a judgement.
    from scipy import stats

    return float(stats.hypergeom.sf(e - 1, n + base_n, e + base_e, n))


def newcombe(mine: tuple[float, float], theirs: tuple[float, float], z: float) -> tuple[float, float]:
    """(low, high) of my share less theirs by Newcombe's hybrid score method, for (events, trials).

    z: of the normal, 1.96 for 95 %. Newcombe 1998, Statistics in Medicine 17:873, method 10.
    """
    share, low, high = _wilson(*mine, z)
    base, base_low, base_high = _wilson(*theirs, z)
    difference = share - base
    below = math.hypot(share - low, base_high - base)
    above = math.hypot(high - share, base - base_low)
    return difference - below, difference + above


def _wilson(events: float, trials: float, z: float) -> tuple[float, float, float]:
    share = events / trials
    centre = (share + z * z / (2.0 * trials)) / (1.0 + z * z / trials)
    half = z / (1.0 + z * z / trials) * math.sqrt(share * (1.0 - share) / trials + z * z / (4.0 * trials**2))
    return share, max(0.0, centre - half), min(1.0, centre + half)
