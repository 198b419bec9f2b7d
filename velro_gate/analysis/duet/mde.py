"""The change that a whole duet, with all of its looks, would have failed with 95 % probability (MDE), from its own pairs.

Reference duets without a change, of noise 1, are drawn once. For each of them the least change is known with which it fails:
at one of its looks the statistic has to reach its critical value and the estimates the margin, and at no look before may
everything be shown to be unchanged. The 95 % quantile of these changes, times the noise, is the MDE. The noise is known from
few pairs, so each reference duet has its own, drawn around that of the pairs as a variance with its degrees of freedom is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from velro_gate.analysis.rows.noise import t_above, t_quantile
from velro_gate.analysis.statistics.sign_flip import bounds, middle, scaled, sign_vectors, student_of, walsh_averages
from velro_gate.arrays import Floats
from velro_gate.model.duet import Look

REFERENCES = 4000
"""Reference duets: the error of a 95 % quantile of them is about a third of a percentile point (sqrt(.95 x .05 / 4000))."""
PROBABILITY = 0.95
"""Of failing, with a change of the MDE's size."""

TAILS = 0.75
"""Share of the degrees of freedom that the sd of pairs is given: with heavier tails than the normal's, an sd is known less
exactly. Between those of a normal and of a t with three degrees of freedom, as the ``mde`` experiment shows.
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _AtLook:
    """Reference duets at one look: each array has one figure of each of them, in units of the noise."""

    mean: Floats
    sd: Floats
    estimate: Floats
    weaker: Floats
    """The estimate of that order of the builds in which the head build looks better."""
    upper: Floats


def duet_mde(d: Floats, looks: Sequence[Look], least: Floats, bound: Floats, *, seed: int) -> Floats:
    """The MDE of each metric on its scale, from the differences of one duet, (pairs, metrics); infinite with one pair.

    looks: the duet's. least, bound: what counts as worse, and what "unchanged" lies under, of each metric.
    """
    n, m = d.shape
    if n < 2:
        return np.full(m, math.inf)
    sd: Floats = d.std(axis=0, ddof=1)
    return mde_of(sd, TAILS * (n - 1.0), looks, least, bound, family=effective_family(d, seed))


def mde_of(sd: Floats, df: float, looks: Sequence[Look], least: Floats, bound: Floats, *, family: float) -> Floats:
    """The same from the noise of a pair, sd (metrics,), known from ``df`` degrees of freedom (infinite: it is known).

    family: how many independent metrics the family counts for.
    """
    found = np.empty(len(sd))
    known = _known_noise(df)
    for j in range(len(sd)):
        noise = known * sd[j]
        wanted = np.full(REFERENCES, math.inf)
        not_stopped = np.zeros(REFERENCES)
        for look in looks:
            at = _references(look.pairs, look.beta)
            if look.alpha > 0.0:
                critical = t_quantile(1.0 - look.alpha / family, look.pairs - 1)
                significant = critical * at.sd / math.sqrt(look.pairs) - at.mean
                fails = np.maximum(significant * noise, least[j] - np.minimum(at.estimate, at.weaker) * noise)
                wanted = np.minimum(wanted, np.maximum(fails, not_stopped))
            is_open = np.minimum(least[j] - at.estimate * noise, bound[j] - at.upper * noise)
            # It stops only if the other figures are shown to be unchanged as well; they count as noisy as this one.
            others_stop = _chances() < (is_open > 0.0).mean() ** (family - 1.0)
            not_stopped = np.where(others_stop, np.maximum(not_stopped, is_open), not_stopped)
        found[j] = np.quantile(wanted, PROBABILITY)
    return found


def effective_family(d: Floats, seed: int) -> float:
    """How many independent metrics have the largest T that the flipped differences show, at a level that they can reach."""
    n, m = d.shape
    flipped = np.sort((sign_vectors(n, seed) @ scaled(d - middle(walsh_averages(d)))).max(axis=1))
    # The least level that the sign vectors of so few pairs can show, but for the identity alone.
    level = 0.05 if n >= 6 else 2.0 ** (1 - n)
    reached = float(student_of(np.minimum(flipped[[math.ceil((1.0 - level) * len(flipped)) - 1]], 1.0 - 1e-9), n)[0])
    # A single metric exceeds it with this chance; m independent ones would with about m times that.
    alone = t_above(reached, n - 1.0)
    return float(min(max(level / alone if alone > 0.0 else m, 1.0), m))


@lru_cache(maxsize=1)
def _chances() -> Floats:
    """One number in [0, 1) for each reference duet."""
    return np.random.default_rng(20_262).random(REFERENCES)


@lru_cache(maxsize=8)
def _known_noise(df: float) -> Floats:
    """What the noise may be where it was found to be 1: sqrt(df / chi-squared), for each reference duet."""
    if math.isinf(df):
        return np.ones(REFERENCES)
    random = np.random.default_rng(20_261)
    return np.sqrt(df / random.chisquare(df, REFERENCES))


@lru_cache(maxsize=16)
def _references(pairs: int, beta: float) -> _AtLook:
    d = _reference_noise(pairs)[..., None]
    walsh = walsh_averages(d)
    order = np.tile([True, False], pairs)[:pairs]
    one, other = (middle(walsh_averages(d[:, chosen]))[:, 0] for chosen in (order, ~order))
    return _AtLook(
        mean=d.mean(axis=1)[:, 0],
        sd=d.std(axis=1, ddof=1)[:, 0],
        estimate=middle(walsh)[:, 0],
        weaker=np.minimum(one, other),
        upper=bounds(walsh, pairs, beta)[1][:, 0],
    )


def _reference_noise(pairs: int) -> Floats:
    """The first pairs of the reference duets, (references, pairs); of sd 1."""
    random = np.random.default_rng(20_260)
    most = max(pairs, 16)
    drawn = random.standard_normal((REFERENCES, most))
    return drawn[:, :pairs]
