"""What a duet will cost and see, from a pilot: block length, pairs, seconds, and the smallest change it could find.

The noise of a block's figure has two parts: one that a longer block makes smaller, since it has seen more requests, and one
that it does not, since a restarted build settles a little differently each time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np

from velro_gate.analysis.duet.mde import mde_of
from velro_gate.analysis.rows.family import Row, is_enough, needed_answers, phase_rows
from velro_gate.analysis.rows.noise import on_scale, t_quantile, to_scale
from velro_gate.analysis.statistics.intervals import Z, autocorrelation_time
from velro_gate.analysis.statistics.paired import chance_of
from velro_gate.model.duet import Block, Look, deciding
from velro_gate.model.metrics import Scale
from velro_gate.model.record import Estimate, Window
from velro_gate.model.scenario import Policy

BLOCK_SECONDS = (5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0)
"""Lengths of the measured stretch that a pilot chooses from."""

LEAST_MEMORIES = 5.0
"""No block is shorter than this many integrated autocorrelation times of p95: a shorter one observes a single moment."""

UNSEEN_SD = 0.005
"""Assumed of restarts, since a single pilot block does not show how much they differ."""

WANTED = 0.10
"""The worsening that a duet should be able to find: blocks are no longer than it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockNoise:
    """The sd of one block's figure on its comparison scale: within (at the pilot's length, shrinking) and between restarts."""

    within: float
    between: float

    def of_pair(self, stretch: float) -> float:
        """The sd of one pair's difference when blocks are ``stretch`` times as long as the pilot's."""
        return math.sqrt(2.0 * (self.between**2 + self.within**2 / stretch))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What blocks of the base build, measured in advance, have shown."""

    seconds: float
    """Their measured stretch in seconds."""
    overhead: float
    """Seconds a block takes in addition to its stretch (restart, waiting, warm-up)."""
    memory: float
    """The integrated autocorrelation time of p95 in seconds."""
    noise: Mapping[Row, BlockNoise]
    answers: Mapping[Row, float] = field(default_factory=dict)
    """Successful responses in one block behind each quantile that is to be compared."""

    def __post_init__(self) -> None:
        if self.seconds <= 0.0 or self.overhead < 0.0 or self.memory < 0.0:
            raise ValueError(f"a pilot of {self.seconds} s and {self.overhead} s of overhead is impossible")


@dataclass(frozen=True, slots=True, kw_only=True)
class LookForecast:
    """One look: after how many pairs and seconds, and the smallest relative worsening that each row could find then.

    No row where the look can call nothing changed.
    """

    pairs: int
    seconds: float
    mde: Mapping[Row, float]

    @property
    def worst(self) -> float:
        """The largest of the smallest changes; 0 without a row that has one."""
        return max(self.mde.values(), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DuetForecast:
    """The block length that the pilot chose, in seconds, and what each look will see."""

    block_seconds: float
    looks: tuple[LookForecast, ...]
    fits: bool
    """Whether the last look is in the budget."""
    lacking: Mapping[Row, float] = field(default_factory=dict)
    """Primary quantiles that cannot be compared at the first look that decides, with the block length that it would take."""

    @property
    def deciding(self) -> LookForecast:
        """The first look at which something may be called changed; the last one where no row can be forecast."""
        return next((look for look in self.looks if look.mde), self.looks[-1])


def pilot_of(blocks: Sequence[Block], steps: Sequence[str], policy: Policy, *, overhead: float) -> Pilot:
    """The noise that pilot blocks of the base build show, phase by phase and figure by figure.

    Raises:
        ValueError: there is no block, or one without a phase.
    """
    if not blocks or not all(block.phases for block in blocks):
        raise ValueError("a pilot needs at least one measured block")
    noise: dict[Row, BlockNoise] = {}
    answers: dict[Row, float] = {}
    for first in blocks[0].phases:
        measured = [phase for block in blocks if (phase := block.phase(first.name)) is not None]
        # repeats: a duet has about ten blocks a side, so a quantile that one block is too short for is compared in it all the
        # same.
        for row in phase_rows([first], measured, steps, policy, repeats=10):
            estimates = [found for phase in measured if (found := phase.measurement(row.metric.name, row.step)) is not None]
            if row.primary and row.metric.scale is not Scale.LINEAR and estimates:
                noise[row] = _block_noise(row, estimates)
                if row.metric.quantile is not None:
                    answers[row] = median(found.n for found in estimates)
    phases = [phase for block in blocks for phase in block.phases]
    return Pilot(
        seconds=sum(phase.measured_seconds for phase in blocks[0].phases),
        overhead=overhead,
        memory=max(memory_of(phase.windows) for phase in phases),
        noise=noise,
        answers=answers,
    )


def pilot_of_pairs(pairs: Sequence[tuple[Block, Block]], steps: Sequence[str], policy: Policy, *, overhead: float) -> Pilot:
    """The same from pairs of blocks of one build: in addition to the noise inside a block, the pairs show that between blocks.

    Raises:
        ValueError: there are fewer than two pairs, or a block without a phase.
    """
    if len(pairs) < 2:
        raise ValueError("the noise of pairs takes at least two of them")
    alone = pilot_of([block for pair in pairs for block in pair], steps, policy, overhead=overhead)
    noise = {}
    for row, known in alone.noise.items():
        d = np.array(differences(row, pairs))
        # A difference has twice the variance of a block.
        beyond = float(np.var(d, ddof=1)) / 2.0 - known.within**2 if len(d) > 1 else 0.0
        noise[row] = BlockNoise(within=known.within, between=max(math.sqrt(max(beyond, 0.0)), UNSEEN_SD))
    return replace(alone, noise=noise)


def differences(row: Row, pairs: Sequence[tuple[Block, Block]]) -> list[float]:
    """How much worse the second block of each pair is in one figure, on its scale; pairs without it are left out."""
    values = [(figure_of_block(row, one), figure_of_block(row, other)) for one, other in pairs]
    return [row.metric.worse_sign * (b - a) for a, b in values if a is not None and b is not None]


def figure_of_block(row: Row, block: Block) -> float | None:
    """One figure of a block on its comparison scale; None where it has none."""
    phase = block.phase(row.phase)
    estimate = phase.measurement(row.metric.name, row.step) if phase is not None else None
    return on_scale(estimate, row.metric) if estimate is not None else None


def memory_of(windows: Sequence[Window]) -> float:
    """The integrated autocorrelation time of p95 in seconds; 0 without windows."""
    tails = np.array([window.p95 for window in windows if window.p95 is not None and window.p95 > 0.0])
    if not len(tails):
        return 0.0
    return autocorrelation_time(np.log(tails)) * windows[0].seconds


def _block_noise(row: Row, estimates: Sequence[Estimate]) -> BlockNoise:
    values = [y for estimate in estimates if (y := on_scale(estimate, row.metric)) is not None]
    widths = [_width(row, estimate) for estimate in estimates]
    within = float(np.mean(widths)) / (2.0 * Z)
    if len(values) < 2:
        return BlockNoise(within=within, between=UNSEEN_SD)
    # What the blocks differ by beyond what sampling within a block explains; of two blocks that can come out negative.
    between = math.sqrt(max(float(np.var(values, ddof=1)) - within**2, 0.0))
    return BlockNoise(within=within, between=max(between, UNSEEN_SD))


def _width(row: Row, estimate: Estimate) -> float:
    """Of the estimate's interval on the comparison scale; 0 where an end has no place there."""
    inside = (estimate.low > 0.0) and (row.metric.scale is Scale.LOG or estimate.high < 1.0)
    return to_scale(estimate.high, row.metric) - to_scale(estimate.low, row.metric) if inside else 0.0


def forecast_duet(
    pilot: Pilot,
    looks: Sequence[Look],
    policy: Policy,
    *,
    budget: float = math.inf,
    choice: Sequence[float] = BLOCK_SECONDS,
) -> DuetForecast:
    """The shortest blocks of ``choice`` with which the first look finds ``WANTED`` in every response time and every rate; else
    the longest that the budget (seconds, up to the last look) allows; never fewer seconds than ``LEAST_MEMORIES`` memories.
    """
    least = LEAST_MEMORIES * pilot.memory
    lengths = [seconds for seconds in choice if seconds >= least] or [max(math.ceil(least), choice[-1])]
    forecasts = [_forecast(pilot, looks, policy, seconds, budget) for seconds in lengths]
    # Where nothing fits, the shortest: the looks that time allows are then still made.
    affordable = [each for each in forecasts if each.fits] or forecasts[:1]
    return next((each for each in affordable if each.deciding.worst <= WANTED), affordable[-1])


def _forecast(pilot: Pilot, looks: Sequence[Look], policy: Policy, seconds: float, budget: float) -> DuetForecast:
    stretch = seconds / pilot.seconds
    lacking = dict(_lacking(pilot, looks, stretch))
    noise = {row: each.of_pair(stretch) for row, each in pilot.noise.items() if row not in lacking}
    seen = []
    for number, look in enumerate(looks, start=1):
        # A look of level 0 can only stop a duet, never fail it.
        mde = _mde(noise, looks[:number], policy) if look.alpha > 0.0 else {}
        seen.append(LookForecast(pairs=look.pairs, seconds=2.0 * look.pairs * (seconds + pilot.overhead), mde=mde))
    return DuetForecast(block_seconds=seconds, looks=tuple(seen), fits=seen[-1].seconds <= budget, lacking=lacking)


def _lacking(pilot: Pilot, looks: Sequence[Look], stretch: float) -> Iterator[tuple[Row, float]]:
    """Quantiles that too few responses will lie beyond, with the seconds of a block that it would take."""
    pairs = deciding(looks)[0].pairs
    for row, answers in pilot.answers.items():
        if answers > 0.0 and not is_enough(answers * stretch * pairs, row.metric):
            yield row, pilot.seconds * needed_answers(row.metric) / (answers * pairs)


def _mde(noise: Mapping[Row, float], looks: Sequence[Look], policy: Policy) -> dict[Row, float]:
    """What a duet with these looks would fail with 95 %, as a relative worsening; infinite with too few pairs for anything.

    All figures count as unrelated (Bonferroni), since what they have in common only the pairs themselves can show.
    """
    if not noise or not math.isfinite(_critical(looks[-1], len(noise))):
        return dict.fromkeys(noise, math.inf)
    m = len(noise)
    least, bound = np.full(m, math.log1p(policy.margin)), np.full(m, math.log1p(policy.unchanged_below))
    found = mde_of(np.array(list(noise.values())), math.inf, looks, least, bound, family=m)
    return {row: math.expm1(worse) for row, worse in zip(noise, found.tolist(), strict=True)}


def _critical(look: Look, family: int) -> float:
    if look.pairs < 2 or look.alpha * 2.0**look.pairs < 1.0:
        return math.inf
    return t_quantile(1.0 - look.alpha / max(family, 1), look.pairs - 1)


def chance_to_find(pilot: Pilot, look: Look, policy: Policy, worse: Mapping[Row, float], seconds: float) -> float:
    """The probability that a look at blocks of ``seconds`` finds one of these worsenings: of the row that is found best.

    worse: relative worsenings (0.1: +10 %) of rows that the pilot knows. A lower bound: several rows may be found by chance.
    """
    critical, stretch = _critical(look, len(pilot.noise)), seconds / pilot.seconds
    least = math.log1p(policy.margin)
    chances = [
        chance_of(math.log1p(change), critical, pilot.noise[row].of_pair(stretch), look.pairs, least)
        for row, change in worse.items()
        if row in pilot.noise
    ]
    return max(chances, default=0.0)
