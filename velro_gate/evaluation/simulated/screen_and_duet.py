"""Screen and duet together, as in a pull request: simulated jobs through the whole procedure (decision.md, 4).

A job begins with a run that is compared with stored baselines. When a figure of it is suspicious or open, both builds are
measured side by side, and the duet's answer replaces the screen's. Eight figures, correlation .6, K = 10, H = 30.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from velro_gate.analysis.duet.looks import look_by_look
from velro_gate.analysis.rows.noise import noise_over
from velro_gate.analysis.rows.shifts import shifts_over
from velro_gate.analysis.stored.rules import judged_alone
from velro_gate.arrays import Bools, Floats
from velro_gate.evaluation.bounds import amount_of, figure_of
from velro_gate.evaluation.results import Aim, Evaluated
from velro_gate.evaluation.simulated import simulation
from velro_gate.evaluation.simulated.simulation import Tails
from velro_gate.model.duet import LOOKS
from velro_gate.model.scenario import Policy
from velro_gate.units import tight_percent

POLICY = Policy()
HISTORY = 30
AT_ONCE = 200
PRIOR_SD = 0.05
WORSE = 0.10
CHANGED = 1
"""The figure that a change is put into: p95 of all steps."""

SCREEN_MINUTES = 1.5
"""The ``pr`` profile's load."""
PILOT_MINUTES = 0.25
"""One block of 10 s with ramp and restart, as for a service that settles within the shortest warm-up."""
PAIR_MINUTES = 40.0 / 60.0
"""Two blocks of 15 s with 5 s of warm-up each."""

FALSE_FAILS, BLOCKED, FOUND = 0.005, 0.02, 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerKind:
    """A kind of runner."""

    name: str
    run_sd: float
    """The noise from run to run."""
    pair_sd: float
    """The noise of a pair's difference, both without outliers."""
    tails: Tails = Tails.NORMAL
    odd: float = 0.05
    """Share of outlier jobs, in which all runs are equally slow."""
    odd_blocks: float = 0.0
    """Share of outlier blocks; the other block of the pair is not affected."""
    rising: float = 1.0
    """How much larger the noise is at the end of the history than at its beginning."""
    day: float = 0.0
    """By how many sd the job is slower than the nights that the baselines are from."""
    minutes: float | None = None
    """Minutes of load that an unchanged build may take."""
    judged: bool = True
    """Whether there are targets."""


QUIET = RunnerKind(name="quiet (2 / 1.5 %)", run_sd=0.02, pair_sd=0.015, minutes=2.0)
HOSTED = RunnerKind(name="hosted (6.6 / 3.4 %)", run_sd=0.066, pair_sd=0.034, minutes=6.0)


def _variants(plain: RunnerKind, name: str) -> tuple[RunnerKind, ...]:
    """The runner, the same with heavy tails, and with what else goes on in the field, which no target is set for."""
    worse = replace(plain, judged=False, minutes=None)
    return (
        plain,
        replace(plain, name=f"{name}, t3", tails=Tails.T3),
        replace(worse, name=f"{name}, one block in ten odd", odd_blocks=0.1),
        replace(worse, name=f"{name}, noise that doubles", rising=2.0),
        replace(worse, name=f"{name}, night baselines, job by day", day=2.0),
    )


RUNNERS = (*_variants(QUIET, "quiet"), *_variants(HOSTED, "hosted"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JobOutcomes:
    """How jobs ended, one element a job."""

    failed: Bools
    blocked: Bools
    undecided: Bools
    asked: Bools
    """Whether a duet was measured."""
    minutes: Floats
    """Minutes of load."""


def together_figures(count: int, seed: int) -> Iterator[Evaluated]:
    """Each runner with ``count`` jobs without a change, and as many with +10 % of p95."""
    for number, runner in enumerate(RUNNERS):
        name = f"screen and duet, {runner.name}"
        same = _jobs(count, np.random.Generator(np.random.PCG64([seed, number, 0])), runner)
        slow = _jobs(count, np.random.Generator(np.random.PCG64([seed, number, 1])), runner, worse=WORSE)
        fails, blocked, found = (FALSE_FAILS, BLOCKED, FOUND) if runner.judged else (None, None, None)
        yield figure_of(name, "false fails", int(same.failed.sum()), count, Aim.AT_MOST, fails)
        yield figure_of(name, "blocked (exit code 3) unchanged", int(same.blocked.sum()), count, Aim.AT_MOST, blocked)
        yield figure_of(name, "inconclusive unchanged", int(same.undecided.sum()), count, Aim.AT_MOST)
        yield figure_of(name, "a duet was asked unchanged", int(same.asked.sum()), count, Aim.AT_MOST)
        yield figure_of(
            name, f"found {tight_percent(WORSE, signed=True)} of p95", int(slow.failed.sum()), count, Aim.AT_LEAST, found
        )
        yield amount_of(name, "load of an unchanged build", same.minutes, "min", Aim.AT_MOST, runner.minutes)


def _jobs(count: int, random: np.random.Generator, runner: RunnerKind, worse: float = 0.0) -> JobOutcomes:
    parts = [_some(min(AT_ONCE, count - begin), random, runner, math.log1p(worse)) for begin in range(0, count, AT_ONCE)]

    return JobOutcomes(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in JobOutcomes.__slots__})


def _some(jobs: int, random: np.random.Generator, runner: RunnerKind, worse: float) -> JobOutcomes:
    runs = simulation.runs(random, jobs, HISTORY + 1, sd=runner.run_sd, outlying=runner.odd, tails=runner.tails)
    runs *= np.linspace(1.0, runner.rising, HISTORY + 1)[:, None]
    runs[:, HISTORY] += runner.day * runner.run_sd
    runs[:, HISTORY, CHANGED] += worse
    before = np.swapaxes(runs[:, :HISTORY], 1, 2)
    noise = noise_over(before, before, POLICY, prior_sd=PRIOR_SD)
    screen = judged_alone(shifts_over(runs[:, HISTORY, :, None], noise, POLICY), POLICY)
    asked: Bools = np.asarray((screen.failed | screen.suspicious | screen.merely_open).any(axis=1))
    failed, undecided = np.zeros(jobs, bool), np.zeros(jobs, bool)
    minutes = np.full(jobs, SCREEN_MINUTES)
    if asked.any():
        many = int(asked.sum())
        made = simulation.duets(
            random,
            many,
            LOOKS[-1].pairs,
            sd=runner.pair_sd,
            memory=0.5,
            worse=worse,
            outlying=runner.odd_blocks,
            tails=runner.tails,
        )
        ended = look_by_look(made.d, made.orders, seed=int(random.integers(2**31)), policy=POLICY)
        failed[asked], undecided[asked] = ended.failed, ended.undecided
        minutes[asked] += PILOT_MINUTES + PAIR_MINUTES * ended.pairs
    # Whatever the duet leaves open counts as blocked here, although a figure that looks no worse blocks nothing.
    return JobOutcomes(failed=failed, blocked=undecided, undecided=undecided, asked=asked, minutes=minutes)
