"""Error rates against baselines: counts, not logarithms, since most healthy rates are zero (decision.md, 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from velro_gate.analysis.rows.noise import ENOUGH_BASELINES, SHARED, margin, t_above, t_quantile
from velro_gate.analysis.rows.shifts import Shift
from velro_gate.analysis.statistics.finite import finite
from velro_gate.arrays import Floats
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import Counts
from velro_gate.model.scenario import Policy

LEAST_INCREASE = 0.001
"""A tenth of a percentage point: the smallest rise of an error rate worth acting on."""

UNCHANGED_INCREASE = 0.005
"""Half of the 1 % that every phase may have at most: an upper bound under this shows that the error rate has not changed."""


def asked_and_failed(counts: Counts) -> tuple[int, int]:
    """(n, e): arrivals that could have had a successful response, and those that got none."""
    failed = counts.failed + counts.blocked
    return counts.ok + failed, failed


def dispersion(*groups: Sequence[tuple[int, int]]) -> float:
    """max(1, Pearson's chi-squared / its degrees of freedom): how much more than binomially the errors vary.

    groups: (n, e) of runs, or blocks, of one build each; one without an error, or without a success, shows nothing. McCullagh
    and Nelder 1989, Generalized Linear Models, section 4.5.
    """
    chi_squared, df = 0.0, 0
    for group in groups:
        asked = [pair for pair in group if pair[0]]
        n = finite([pair[0] for pair in asked], "counts")
        e = finite([pair[1] for pair in asked], "counts")
        share = e.sum() / n.sum() if asked else 0.0
        # A single group has no spread, and one without an error (or a success) has none by necessity.
        if len(asked) > 1 and share not in (0.0, 1.0):
            chi_squared += float((((e - n * share) ** 2) / (n * share * (1.0 - share))).sum())
            df += len(asked) - 1
    return max(1.0, chi_squared / df) if df else 1.0


def error_shift(current: Sequence[Counts], before: Sequence[Counts], policy: Policy, *, shared: float = SHARED) -> Shift | None:
    """The move of an error rate against the last K baselines; None when nothing was asked of either.

    current: the counts of the candidate, or of all its runs when it was confirmed. shared: what these have in common of their
    variance; usually they are of one job and share its moment.
    """
    asked = [counts for counts in before if asked_and_failed(counts)[0]]
    return counts_shift(current, asked[-policy.max_baselines :], policy, shared=shared)


def counts_shift(
    current: Sequence[Counts], before: Sequence[Counts], policy: Policy, *, shared: float | None = None
) -> Shift | None:
    """The move of an error rate, the runs or blocks of each build pooled; None when nothing was asked of either.

    p is the larger of two: Fisher's exact one-sided test, which knows what chance does to counts, and Student's t on the
    empirical log-odds of the runs (``logit_p``), which knows how much more they vary from run to run. The interval is
    Newcombe's (1998, method 10) of counts divided by the dispersion, with t's quantile where there is any. worse, least and
    bound are differences of shares; with few baselines ``least`` grows like the relative margins do.

    shared: what the runs of ``current`` have in common of their variance; None: they are independent, as blocks are.
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
    k = len(pairs)
    df = max(k - 1 + (len(own) - 1 if shared is None else 0), 1)
    z95, z975 = (t_quantile(share, df) if phi > 1.0 else t_quantile(share, _MANY) for share in (0.95, 0.975))
    low, high = newcombe(mine, theirs, z975)
    p_of_runs, p_better_of_runs = logit_p(own, pairs, shared)
    # The smoothed share keeps a noise of zero errors from being zero.
    share = (pooled_e + e + 0.5) / (pooled_n + n + 1.0)
    variance = phi * share * (1.0 - share)
    least = LEAST_INCREASE * margin(k, policy) / policy.margin
    error = math.sqrt(variance * (1.0 / n + 1.0 / pooled_n))
    return Shift(
        metric=METRICS["error_rate"],
        k=k,
        baseline=base,
        current=rate,
        change=worse / base if base else None,
        change_low=low / base if base else None,
        change_high=high / base if base else None,
        worse=worse,
        upper=newcombe(mine, theirs, z95)[1],
        p=max(fisher((e, n), (pooled_e, pooled_n)), p_of_runs),
        p_better=max(fisher((pooled_e, pooled_n), (e, n)), p_better_of_runs),
        noise=math.sqrt(variance / n),
        error=error,
        df=df,
        least=least,
        bound=max(UNCHANGED_INCREASE, least),
        again=error,
        few=k < ENOUGH_BASELINES,
    )


_MANY = 1e6  # degrees of freedom of a normal


def logit_p(own: Sequence[tuple[int, int]], before: Sequence[tuple[int, int]], shared: float | None) -> tuple[float, float]:
    """(p for "my share is the larger one", p for "the smaller one") by Student's t on the empirical log-odds of runs.

    y = ln((e + .5) / (n - e + .5)) of each (n, e) (Haldane 1956); their spread from run to run, with K - 1 degrees of freedom,
    is measured, whether it is binomial or many times that. Clumps of errors make the odds far less skewed than the counts, so
    the test keeps its level where those divided by a dispersion do not. Zero where the runs do not vary, or are too few to
    show it: then the exact test decides.

    shared: as in ``counts_shift``; with None, the spread is estimated from both sides.
    """
    # The half keeps the odds of 0 and of n errors finite, and takes most of the bias of the logarithm away.
    mine, theirs = (np.array([math.log((e + 0.5) / (n - e + 0.5)) for n, e in side]) for side in (own, before))
    squares, df = float(((theirs - theirs.mean()) ** 2).sum()), len(theirs) - 1
    # The variance of the candidate's mean in units of one run's: what the runs share does not average out.
    of_own = 1.0 / len(mine) if shared is None else shared + (1.0 - shared) / len(mine)
    if shared is None:
        squares, df = squares + float(((mine - mine.mean()) ** 2).sum()), df + len(mine) - 1
    if df < 1 or squares <= 0.0:
        return 0.0, 0.0
    t = float(mine.mean() - theirs.mean()) / math.sqrt(squares / df * (of_own + 1.0 / len(theirs)))
    return t_above(t, df), t_above(-t, df)


def fisher(mine: tuple[float, float], theirs: tuple[float, float]) -> float:
    """Fisher's exact one-sided p for "my share is the larger one", of (events, trials) rounded to whole counts: the upper tail
    of the hypergeometric distribution (Fisher 1935, Journal of the Royal Statistical Society 98:39).

    Raises:
        ValueError: events of no trial, or more than there are trials, or no numbers.
    """
    (e, n), (base_e, base_n) = (tuple(map(round, _share_of(pair))) for pair in (mine, theirs))
    if not e:
        return 1.0
    # scipy.stats has it (a test compares the two), but importing that takes as long as the rest of a judgement,
    # and its sum goes over all trials instead of all events.
    events = np.arange(e, min(n, e + base_e) + 1)
    log_p = _log_choose(n, events) + _log_choose(base_n, e + base_e - events) - _log_choose(n + base_n, np.array(e + base_e))
    return min(float(np.exp(log_p).sum()), 1.0)


def _log_choose(n: int, k: npt.NDArray[np.int_]) -> Floats:
    found: Floats = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return found


def newcombe(mine: tuple[float, float], theirs: tuple[float, float], z: float) -> tuple[float, float]:
    """(low, high) of my share less theirs by Newcombe's hybrid score method, for (events, trials).

    z: of the normal, 1.96 for 95 %. Newcombe 1998, Statistics in Medicine 17:873, method 10.

    Raises:
        ValueError: as ``fisher``.
    """
    share, low, high = _wilson(*_share_of(mine), z)
    base, base_low, base_high = _wilson(*_share_of(theirs), z)
    difference = share - base
    below = math.hypot(share - low, base_high - base)
    above = math.hypot(high - share, base - base_low)
    return difference - below, difference + above


def _share_of(pair: tuple[float, float]) -> tuple[float, float]:
    """(events, trials), if they can be."""
    events, trials = pair
    if not 0.0 <= events <= trials < math.inf or trials <= 0.0:
        raise ValueError(f"{events} of {trials} is not a share")
    return pair


def _wilson(events: float, trials: float, z: float) -> tuple[float, float, float]:
    share = events / trials
    centre = (share + z * z / (2.0 * trials)) / (1.0 + z * z / trials)
    half = z / (1.0 + z * z / trials) * math.sqrt(share * (1.0 - share) / trials + z * z / (4.0 * trials**2))
    return share, max(0.0, centre - half), min(1.0, centre + half)
