"""Experiments with simulated duets: noises of every hostile kind, what one block leaves behind for the next, and the printed
MDE.

All of them run the procedure that judges duets, look by look (``duet.looks``). Equal arguments give equal figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from scipy import signal

from velro_gate.analysis.duet.looks import DuetOutcomes, look_by_look, random_orders
from velro_gate.analysis.duet.mde import duet_mde
from velro_gate.analysis.statistics.paired import Conclusion
from velro_gate.arrays import Floats
from velro_gate.evaluation.bounds import figure_of
from velro_gate.evaluation.results import Aim, Figure
from velro_gate.evaluation.simulated.simulation import METRICS
from velro_gate.model.duet import LOOKS
from velro_gate.model.scenario import Policy
from velro_gate.units import tight_percent

PAIRS = LOOKS[-1].pairs
CORRELATION = 0.6
"""Between the metrics of one block: latencies of one service rise together."""
AT_ONCE = 500
"""Duets that are simulated in one array: a bound on memory alone."""
POLICY = Policy()

Blocks = Floats
"""Logarithms of a job's blocks in the order in which they were measured, (jobs, 2 x pairs, metrics); + is worse."""

MakeBlocks = Callable[[np.random.Generator, int], Blocks]
"""Makes the blocks of a number of jobs; a pair's difference has an sd of about 1 where the noise has one."""


def _shared(jobs: int, draw: Callable[[tuple[int, ...]], Floats], correlation: float) -> Blocks:
    """Noise that the metrics of a block share to this degree; of variance 1/2, so that a pair's difference has 1."""
    common, own = draw((jobs, 2 * PAIRS, 1)), draw((jobs, 2 * PAIRS, METRICS))
    found: Floats = (math.sqrt(correlation) * common + math.sqrt(1.0 - correlation) * own) / math.sqrt(2.0)
    return found


def _normal(correlation: float) -> MakeBlocks:
    return lambda random, jobs: _shared(jobs, random.standard_normal, correlation)


def _heavy_tails(random: np.random.Generator, jobs: int) -> Blocks:
    """Student's t with three degrees of freedom: one block in fifty is farther off than three sd."""
    return _shared(jobs, lambda shape: random.standard_t(3.0, shape) / math.sqrt(3.0), CORRELATION)


def _drift(random: np.random.Generator, jobs: int) -> Blocks:
    """The runner becomes slower by ten times the noise of a pair during the job."""
    return _normal(CORRELATION)(random, jobs) + np.linspace(0.0, 10.0, 2 * PAIRS)[:, None]


def _steps(random: np.random.Generator, jobs: int) -> Blocks:
    """From some block on another level, six times the noise: a neighbour comes, and stays."""
    begin = random.integers(1, 2 * PAIRS, (jobs, 1, 1))
    return _normal(CORRELATION)(random, jobs) + 6.0 * (np.arange(2 * PAIRS)[None, :, None] >= begin)


def _periodic(random: np.random.Generator, jobs: int) -> Blocks:
    """A disturbance that comes back every four blocks: the one that pairs in a fixed alternating order would fall for."""
    phase = random.integers(0, 4, (jobs, 1, 1))
    return _normal(CORRELATION)(random, jobs) + 2.0 * (((np.arange(2 * PAIRS)[None, :, None] + phase) // 2) % 2)


def _autoregressive(random: np.random.Generator, jobs: int) -> Blocks:
    """Each block remembers nine tenths of the one before it."""
    kicks = _normal(CORRELATION)(random, jobs)
    found: Floats = signal.lfilter([1.0], [1.0, -0.9], kicks, axis=1)
    return found


def _odd_blocks(random: np.random.Generator, jobs: int) -> Blocks:
    """One block in ten is slow by up to ten times the noise, in all of its figures."""
    odd = random.random((jobs, 2 * PAIRS, 1)) < 0.1
    return _normal(CORRELATION)(random, jobs) + np.where(odd, random.exponential(3.0, odd.shape), 0.0)


def _rising_variance(random: np.random.Generator, jobs: int) -> Blocks:
    """The noise of the last blocks is four times that of the first."""
    return _normal(CORRELATION)(random, jobs) * np.linspace(0.4, 1.6, 2 * PAIRS)[:, None]


def _asymmetric(random: np.random.Generator, jobs: int) -> Blocks:
    """Blocks are never much faster than usual, and often much slower: an exponential."""
    return _shared(jobs, lambda shape: random.exponential(1.0, shape) - 1.0, CORRELATION)


def _discrete(random: np.random.Generator, jobs: int) -> Blocks:
    """Figures come in few values, as those of a coarse clock do, so that many differences are equal."""
    return np.round(_normal(CORRELATION)(random, jobs) * 1.5) / 1.5


def _slow_first_block(random: np.random.Generator, jobs: int) -> Blocks:
    """The first block of the job, and every first block of a pair, finds what the machine has forgotten."""
    made = _normal(CORRELATION)(random, jobs)
    made[:, 0] += 10.0
    made[:, ::2] += 1.0
    return made


def _two_moods(random: np.random.Generator, jobs: int) -> Blocks:
    """The machine is in one of two moods for some blocks at a time, four times the noise apart."""
    changes = random.random((jobs, 2 * PAIRS, 1)) < 0.25
    return _normal(CORRELATION)(random, jobs) + 4.0 * (np.cumsum(changes, axis=1) % 2)


HOSTILE: Mapping[str, MakeBlocks] = {
    "normal, unrelated figures": _normal(0.0),
    "normal, nearly equal figures": _normal(0.95),
    "heavy tails": _heavy_tails,
    "drift": _drift,
    "a step": _steps,
    "periodic": _periodic,
    "autoregressive": _autoregressive,
    "odd blocks": _odd_blocks,
    "rising variance": _rising_variance,
    "asymmetric": _asymmetric,
    "few values": _discrete,
    "slow first blocks": _slow_first_block,
    "two moods": _two_moods,
    "a noisier head build": _normal(CORRELATION),
}
"""By name; of the last one the head build's blocks alone have three times the noise, which no order of the builds hides."""
NOISIER_HEAD = "a noisier head build"

FALSE_FAILS = 0.01
"""To reach: the share of duets without a change that may fail, under each kind of noise."""


def hostile_figures(count: int, seed: int) -> Iterator[Figure]:
    """How many of ``count`` unchanged duets fail under each noise at 2, 4 and 8 %, and how many stay undecided."""
    for name, noise in HOSTILE.items():
        for sd in (0.02, 0.04, 0.08):
            failed, undecided = 0, 0
            random = _stream(seed, "hostile", name, sd)
            for jobs in _batches(count):
                drawn = random_orders(random, jobs)
                ended = _ended(_differences(noise(random, jobs) * sd, drawn, 3.0 if name == NOISIER_HEAD else 1.0), drawn)
                failed += int(ended.failed.sum())
                undecided += int(ended.undecided.sum())
            said = f"duet A/A, {name}, {tight_percent(sd)}"
            yield figure_of(said, "false fails", failed, count, Aim.AT_MOST, FALSE_FAILS)
            yield figure_of(said, "inconclusive", undecided, count, Aim.AT_MOST)


def carry_over_figures(count: int, seed: int) -> Iterator[Figure]:
    """How many of ``count`` unchanged duets fail whose head build is slower only where it comes second."""
    for sd in (0.01, 0.02, 0.04):
        for slower in (0.05, 0.07, 0.10, 0.15):
            random = _stream(seed, "carry-over", sd, slower)
            failed = 0
            for jobs in _batches(count):
                drawn = random_orders(random, jobs)
                d = _differences(_normal(CORRELATION)(random, jobs) * sd, drawn)
                d += np.where(drawn > 0.0, math.log1p(slower), 0.0)[..., None]
                failed += int(_ended(d, drawn).failed.sum())
            name = f"duet A/A, pair sd {tight_percent(sd)}, head second {tight_percent(slower, signed=True)}"
            yield figure_of(name, "false fails", failed, count, Aim.AT_MOST)


def mde_figures(count: int, seed: int) -> Iterator[Figure]:
    """How many of ``count`` duets fail with a change of exactly the MDE that another duet of that noise has printed."""
    m = METRICS
    least, bound = np.full(m, math.log1p(POLICY.margin)), np.full(m, math.log1p(POLICY.unchanged_below))
    for name, noise in (("normal", _normal(CORRELATION)), ("t3", _t3)):
        for sd in (0.01, 0.02, 0.04, 0.08):
            random = _stream(seed, "mde", name, sd)
            found = 0
            for jobs in _batches(count):
                drawn = random_orders(random, jobs)
                before = _differences(noise(random, jobs) * sd, drawn)
                ended = _ended(before, drawn).pairs
                printed = [
                    duet_mde(d[:pairs], LOOKS, least, bound, seed=job)[1]
                    for job, (d, pairs) in enumerate(zip(before, ended, strict=True))
                ]
                after = _differences(noise(random, jobs) * sd, drawn)
                after[:, :, 1] += np.array(printed)[:, None]
                found += int((_ended(after, drawn).outcomes[:, 1] == Conclusion.REGRESSION).sum())
            yield figure_of(
                f"duet, a change of the MDE, {name}, pair sd {tight_percent(sd)}",
                "failed",
                found,
                count,
                Aim.WITHIN,
                0.93,
                most=0.97,
            )


def _t3(random: np.random.Generator, jobs: int) -> Blocks:
    """Differences that are Student's t with three degrees of freedom, all figures of a pair outlying together."""
    made = _normal(CORRELATION)(random, jobs)
    odd = np.sqrt(random.chisquare(3.0, (jobs, PAIRS, 1)))
    found: Floats = made / np.repeat(odd, 2, axis=1)
    return found


def _ended(d: Floats, drawn: Floats) -> DuetOutcomes:
    return look_by_look(d, drawn, policy=POLICY)


def _differences(blocks: Blocks, drawn: Floats, head_noise: float = 1.0) -> Floats:
    """Head less base, (jobs, pairs, metrics). head_noise: what the noise of the head build's blocks is multiplied by."""
    first, second = blocks[:, ::2], blocks[:, 1::2]
    head_second = drawn[..., None] > 0.0
    head, base = np.where(head_second, second, first), np.where(head_second, first, second)
    found: Floats = head_noise * head - base
    return found


def _batches(count: int) -> Iterator[int]:
    for begin in range(0, count, AT_ONCE):
        yield min(AT_ONCE, count - begin)


def _stream(seed: int, *names: object) -> np.random.Generator:
    """A generator of its own for each experiment, so that one does not depend on which others ran."""
    return np.random.Generator(np.random.PCG64([seed, *"/".join(map(str, names)).encode()]))
