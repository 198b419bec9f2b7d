"""How often a change of exactly the printed size fails: what ``shifts.failing_worsening`` promises, checked by simulation.

Simulated jobs of eight primary rows, one of which is worse by what the whole procedure is said to fail with 95 %. Everything
runs through the arrays that judge runs (``stored.rules``). The three runs of a job share its noise as the procedure assumes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from velro_gate.analysis.rows.error_rates import counts_shift
from velro_gate.analysis.rows.noise import ENOUGH_BASELINES, SHARED, Noises, noise_over
from velro_gate.analysis.rows.shifts import FURTHER_RUNS, failing_worsening, shifts_over
from velro_gate.analysis.stored.rules import judged_again, judged_alone
from velro_gate.arrays import Floats
from velro_gate.evaluation.bounds import figure_of
from velro_gate.evaluation.results import Aim, Figure
from velro_gate.model.record import Counts
from velro_gate.model.scenario import Policy

ROWS = 8
NOISES = ("normal", "t3")
KEPT = ((1, 30), (5, 5), (10, 10), (10, 30))
"""K runs behind the level and H behind the noise; with K = 1 the noise is known from H runs under another profile."""
SDS = (0.01, 0.02, 0.04, 0.08)
POLICY = Policy()
PRIOR_SD = 0.06
LEAST, MOST = 0.93, 0.97
"""The share of changes of the printed size that should fail."""


def detectable_figures(count: int, seed: int) -> Iterator[Figure]:
    """The share of changes of the printed size that fail, for each number of baselines and each kind of noise; ``count`` each.

    Pooled over run-to-run sd of 1 to 8 %, judged with two further runs and alone.
    """
    for kind in NOISES:
        for k, history in KEPT:
            random = np.random.Generator(np.random.PCG64([seed, k, history, len(kind)]))
            for repeated in (True, False):
                failed = sum(failing_jobs(random, count // len(SDS), kind, k, history, sd=sd, repeated=repeated) for sd in SDS)
                how = "two further runs" if repeated else "alone"
                name = f"stored, a change of exactly the printed size, K {k}, H {history}, {kind} noise, {how}"
                total = len(SDS) * (count // len(SDS))
                yield figure_of(name, "fails", failed, total, Aim.WITHIN, LEAST, most=MOST)


def failing_jobs(random: np.random.Generator, jobs: int, kind: str, k: int, history: int, *, sd: float, repeated: bool) -> int:
    """How many of these jobs fail when the first of their rows is worse by the printed size."""
    noise = _noise(random, jobs, kind, k, history, sd)
    own = math.sqrt(SHARED) * draws(random, (jobs, ROWS, 1), kind) * sd
    own = own + math.sqrt(1.0 - SHARED) * draws(random, (jobs, ROWS, 1 + FURTHER_RUNS), kind) * sd
    own[:, 0, :] += printed(noise, repeated=repeated)[:, None]
    screen = judged_alone(shifts_over(own[..., :1], noise, POLICY), POLICY)
    found = judged_again(screen, own[..., 0], own[..., 1:], noise, POLICY) if repeated else screen
    return int(found.failed[:, 0].sum())


def printed(noise: Noises, *, repeated: bool) -> Floats:
    """What the report says of the first row of each job, on the scale."""
    alone, again = noise.error(1)[:, 0], noise.error(1 + FURTHER_RUNS)[:, 0]
    return np.array(
        [
            failing_worsening(
                float(error),
                float(df),
                math.log1p(POLICY.margin),
                ROWS,
                POLICY,
                again=float(three) if repeated else None,
                few=bool(kept < ENOUGH_BASELINES),
            )
            for error, three, df, kept in zip(alone, again, noise.df[:, 0], noise.k[:, 0], strict=True)
        ]
    )


def _noise(random: np.random.Generator, jobs: int, kind: str, k: int, history: int, sd: float) -> Noises:
    past = draws(random, (jobs, ROWS, history), kind) * sd
    if k >= ENOUGH_BASELINES:
        return noise_over(past[..., -k:], past, POLICY, prior_sd=PRIOR_SD)
    # Few baselines take their noise from a history whose level they do not share.
    other = noise_over(past, past, POLICY, prior_sd=PRIOR_SD)
    values = draws(random, (jobs, ROWS, k), kind) * sd
    own = noise_over(values, values, POLICY, prior_sd=other.sd, prior_df=other.df)
    return replace(own, known=np.ones_like(own.known), measured=np.ones_like(own.known))


def draws(random: np.random.Generator, shape: tuple[int, ...], kind: str) -> Floats:
    """Noise of standard deviation 1: normal, or Student's t with three degrees of freedom."""
    if kind == "normal":
        return random.standard_normal(shape)
    found: Floats = random.standard_t(3, shape) / math.sqrt(3.0)
    return found


# Error rates

DISPERSIONS = (1, 5, 20, 80)
ERROR_RATE = 0.05
REQUESTS = 6_000
SIDES = ((5, 1), (10, 1), (10, 10))
"""Baselines and runs, or blocks of the base and of the head build."""
ERROR_P = 0.005
FALSE_ERRORS = 0.0075


def error_figures(count: int, seed: int) -> Iterator[Figure]:
    """How often the error rate of an unchanged build has p <= .005 where errors come in bursts, ``count`` builds each."""
    for dispersion in DISPERSIONS:
        for k, runs in SIDES:
            random = np.random.Generator(np.random.PCG64([seed, dispersion, k, runs]))
            before, own = clumped(random, (count, k), dispersion), clumped(random, (count, runs), dispersion)
            # Blocks of a duet are as independent as its pairs; one run of a job stands alone.
            shared = SHARED if runs == 1 else None
            found = (
                counts_shift(_books(mine), _books(theirs), POLICY, shared=shared)
                for mine, theirs in zip(own, before, strict=True)
            )
            hits = sum(shift is not None and shift.p <= ERROR_P for shift in found)
            name = f"error rate A/A, dispersion {dispersion}, {k} against {runs}"
            yield figure_of(name, "p at or under .005", hits, count, Aim.AT_MOST, FALSE_ERRORS)


def _books(failed: Floats) -> list[Counts]:
    return [
        Counts(due=REQUESTS, sent=REQUESTS, ok=REQUESTS - e, failed=e, cancelled=0, blocked=0, missed=0)
        for e in failed.astype(int).tolist()
    ]


def clumped(random: np.random.Generator, shape: tuple[int, ...], dispersion: float) -> Floats:
    """Counts of errors among ``REQUESTS`` whose variance is ``dispersion`` times the binomial one (beta-binomial)."""
    if dispersion == 1:
        return random.binomial(REQUESTS, ERROR_RATE, shape).astype(float)
    correlation = (dispersion - 1.0) / (REQUESTS - 1.0)
    total = (1.0 - correlation) / correlation
    share = random.beta(ERROR_RATE * total, (1.0 - ERROR_RATE) * total, shape)
    return random.binomial(REQUESTS, share).astype(float)
