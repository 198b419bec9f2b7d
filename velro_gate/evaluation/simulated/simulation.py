"""Simulated jobs with known truth: what run-to-run noise looks like, as real series show it (decision.md, 1).

Values are logarithms, signed so that + is worse. ``sd`` is the noise of the undisturbed part. Eight metrics share most of their
noise (correlation .6), because they are measured in the same moments. Some blocks and runs are outliers, always slow ones, all
metrics together. Everything comes from the generator that is handed in, so equal seeds give equal jobs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
from scipy import signal

from velro_gate.analysis.duet.looks import random_orders
from velro_gate.arrays import Floats

METRICS = 8
CORRELATION = 0.6
OUTLIER_SIZE = 3.0
"""An outlier adds the size of a normal with this many sd."""
DRIFT = 0.10
"""What the runner's own speed changes by over a duet."""
WINDOWS = 60
WITHIN = 0.5
"""Share of a block's variance that comes from inside the block; the rest is its restart and its moment."""
REQUESTS = 3000
REQUEST_SD = 0.5
"""Of the logarithm of one response time."""


class Tails(Enum):
    """How noise is distributed."""

    NORMAL = "normal"
    T3 = "t3"  # Student's t with three degrees of freedom, of the same standard deviation


def common_noise(
    random: np.random.Generator, shape: tuple[int, ...], sd: float, metrics: int = METRICS, tails: Tails = Tails.NORMAL
) -> Floats:
    """Noise of shape (*shape, metrics), correlated between the metrics. With heavy tails an outlying moment is one for all of
    them."""
    shared = random.standard_normal((*shape, 1))
    own = random.standard_normal((*shape, metrics))
    own *= sd * math.sqrt(1.0 - CORRELATION)
    own += sd * math.sqrt(CORRELATION) * shared
    if tails is Tails.T3:
        # t3 has the variance 3.
        own /= np.sqrt(random.chisquare(3, (*shape, 1)))
    return own


def outliers(random: np.random.Generator, shape: tuple[int, ...], sd: float, share: float) -> Floats:
    """What outlier runs or blocks add to all of their metrics, shape (*shape, 1)."""
    hit = random.random((*shape, 1)) < share
    added: Floats = np.where(hit, np.abs(random.standard_normal((*shape, 1))) * (OUTLIER_SIZE * sd), 0.0)
    return added


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Duets:
    """Simulated duets."""

    d: Floats
    """(jobs, pairs, metrics)."""
    orders: Floats
    """+1 where the head build came second, (jobs, pairs)."""
    first_windows: Floats
    """Windows of both blocks of the first pair, (2, jobs, metrics, windows)"""
    first_blocks: Floats
    """Their figures, (2, jobs, metrics)."""


def duets(
    random: np.random.Generator,
    jobs: int,
    pairs: int,
    *,
    sd: float,
    memory: float,
    worse: float = 0.0,
    outlying: float = 0.10,
    tails: Tails = Tails.NORMAL,
) -> Duets:
    """Duets whose pairs differ by noise of ``sd``; the second metric of the head build is worse by ``worse`` (a logarithm).

    memory: the AR(1) coefficient of the windows inside a block.
    """
    of_block = sd / math.sqrt(2.0)
    # The mean of many windows is nearly normal whatever their tails are, so heavy ones belong to the restarts.
    inside = WITHIN if tails is Tails.NORMAL else 0.0
    within = _windows(random, (jobs, pairs, 2), of_block * math.sqrt(inside), memory)
    between = common_noise(random, (jobs, pairs, 2), of_block * math.sqrt(1.0 - inside), tails=tails)
    between += outliers(random, (jobs, pairs, 2), sd, outlying)
    # The runner drifts through the whole job, so the second block of a pair is a little later than the first.
    moments = np.linspace(0.0, DRIFT, 2 * pairs).reshape(pairs, 2)
    orders = random_orders(random, jobs)[:, :pairs]
    drift = np.where(orders[..., None] < 0.0, moments[:, ::-1], moments)
    between += drift[..., None]
    between[..., 1, 1] += worse
    blocks = between + within.mean(axis=-1)
    windows = between[:, 0, :, :, None] + within[:, 0]
    return Duets(
        d=blocks[:, :, 1] - blocks[:, :, 0],
        orders=orders,
        first_windows=np.moveaxis(windows, 1, 0),
        first_blocks=np.moveaxis(blocks[:, 0], 1, 0),
    )


def _windows(random: np.random.Generator, shape: tuple[int, ...], sd_of_mean: float, memory: float) -> Floats:
    """Stationary AR(1) windows, correlated between the metrics, (*shape, metrics, windows), whose mean has this sd."""
    kicks = np.moveaxis(common_noise(random, (*shape, WINDOWS), 1.0), -1, -2)
    kicks[..., 1:] *= math.sqrt(1.0 - memory**2)
    values = signal.lfilter([1.0], [1.0, -memory], kicks, axis=-1)
    scaled: Floats = values * (sd_of_mean / math.sqrt(variance_of_mean(memory, WINDOWS)))
    return scaled


def variance_of_mean(memory: float, n: int) -> float:
    """Of the mean of n values of an AR(1) of variance 1: (1 + 2 sum (1 - k/n) r^k) / n."""
    lag = np.arange(1, n)
    return (1.0 + 2.0 * float(((1.0 - lag / n) * memory**lag).sum())) / n


def runs(
    random: np.random.Generator,
    jobs: int,
    count: int,
    *,
    sd: float,
    outlying: float = 0.05,
    shared: float = 0.0,
    last: int = 0,
    tails: Tails = Tails.NORMAL,
) -> Floats:
    """Runs one after another, (jobs, count, metrics). The ``last`` ones share this part of their variance: one job's moment."""
    noise = common_noise(random, (jobs, count), sd, tails=tails)
    noise += outliers(random, (jobs, count), sd, outlying)
    if last and shared:
        together = common_noise(random, (jobs, 1), sd * math.sqrt(shared), tails=tails)
        noise[:, -last:] = noise[:, -last:] * math.sqrt(1.0 - shared) + together
    return noise


def requests(random: np.random.Generator, moved: Floats) -> Floats:
    """Logarithms of raw response times of runs whose level is ``moved``, shape (*moved.shape, REQUESTS)."""
    drawn: Floats = random.standard_normal((*moved.shape, REQUESTS)) * REQUEST_SD + moved[..., None]
    return drawn
