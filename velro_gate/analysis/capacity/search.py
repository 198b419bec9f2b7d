"""Which load to try next: a pure function of what was tried, so that it can be run against any service, real or simulated.

1. From the first load up by ``GROWTH`` while the requirements are certainly met, down by ``GROWTH`` twice while they are not.
2. Then the middle between the highest load that met them and the lowest that missed them, until these are as close as the
   precision asks for.
3. A load that is on neither side for certain is tried once more; after that its value decides. No load is tried more often.
4. Then loads around the estimate, in turn below and above it, until its interval is as narrow as the precision asks for or
   ``REFINING`` trials have been made.
5. A trial that the time does not allow ends the search with what is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from velro_gate.analysis.capacity.estimate import NEAR, LoadScore, by_load, crossing_of, monotone
from velro_gate.model.capacity import Ending, Trial

GROWTH = 1.5
"""Factor from one load to the next before the capacity is bracketed: doubling would drown the service for long where its knee
is steep.
"""
TRIES = 2
"""Trials of one load at most, before the estimate is refined."""

AROUND = (-0.03, 0.03, -0.06, 0.01, -0.01, 0.045)
"""Loads around the estimate that refine it, relative to it, in turn."""

LONGER = 3.0
"""Times the length of the others that these trials are measured for: a short one misses the rare slow moments in which a queue
is long, and so its quantiles are too good."""

FEWEST, REFINING = 5, 9
"""Of these trials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRules:
    """Bounds of a search."""

    start: float
    """The first load."""
    least: float
    """The lowest load that is tried."""
    most: float
    """The highest load that is tried."""
    seconds: float
    """Budget of all trials together."""
    precision: float = 0.04
    """Where a search ends: relative distance between the highest load that met the requirements and the lowest that missed
    them.
    """
    overhead: float = 3.0
    """Seconds of a trial in addition to its measured ones: the ramp, and the pause before it."""
    shortest: float = 6.0
    """Least seconds measured in one trial."""
    longest: float = 30.0
    """Most seconds measured in one trial."""
    requests: float = 3_000.0
    """How many requests a trial should measure where its length allows."""
    rate_of_one: float = 1.0
    """Requests a second that one unit of load offers."""
    whole: bool = False
    """Whether loads are whole numbers (users)."""

    def __post_init__(self) -> None:
        if not 0.0 < self.least <= self.start <= self.most < math.inf:
            raise ValueError(f"0 < {self.least} <= {self.start} <= {self.most} must hold")
        if not (0.0 < self.precision < 1.0 and 0.0 < self.shortest <= self.longest):
            raise ValueError("precision and the lengths of a trial must be positive")

    def length(self, load: float) -> float:
        """Seconds to measure at this load."""
        return min(max(self.requests / (load * self.rate_of_one), self.shortest), self.longest)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStep:
    """Try this load next, for that many measured seconds."""

    load: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """There is nothing more to try."""

    ending: Ending


def next_trial(trials: Sequence[Trial], rules: SearchRules, *, spent: float) -> TrialStep | Done:
    """What to do after these trials. spent: seconds since the search began."""
    load = _next_load(by_load(trials), rules)
    longer = 1.0
    if load is Ending.FOUND:
        load, longer = _refined(trials, rules), LONGER
    if isinstance(load, Ending):
        return Done(ending=load)
    seconds = longer * rules.length(load)
    if trials and spent + rules.overhead + seconds > rules.seconds:
        # Without the refining trials the capacity is known as well, only less exactly.
        return Done(ending=Ending.TIME if longer == 1.0 else Ending.FOUND)
    return TrialStep(load=load, seconds=seconds)


def _next_load(loads: Sequence[LoadScore], rules: SearchRules) -> float | Ending:
    if not loads:
        return _allowed(rules.start, rules)
    met, missed = load_bounds(loads)
    unclear = next((one for one in loads if one in (met, missed) and not one.certain and one.trials < TRIES), None)
    if met is None:
        assert missed is not None
        if missed.load <= rules.least:
            return Ending.NONE_MET
        # Down faster than up: a trial beyond the capacity shows little and leaves a queue behind.
        return _allowed(missed.load / GROWTH**2, rules)
    if missed is None:
        if met.load >= rules.most:
            return unclear.load if unclear is not None else Ending.ALL_MET
        return _allowed(met.load * GROWTH, rules)
    # Geometric: the precision is relative, and so are the steps on the way up.
    middle = _allowed(math.sqrt(met.load * missed.load), rules)
    if missed.load / met.load <= 1.0 + rules.precision or middle in (met.load, missed.load):
        return unclear.load if unclear is not None else Ending.FOUND
    return unclear.load if unclear is not None else middle


def _refined(trials: Sequence[Trial], rules: SearchRules) -> float | Ending:
    """A load near the estimate, or that it is good enough."""
    found = crossing_of(trials)
    if found is None:
        return _beyond(by_load(trials), rules)
    near = [one for one in trials if abs(math.log(one.load / found.value)) <= NEAR]
    fine = [one for one in near if one.drowned or one.seconds > 0.5 * (1.0 + LONGER) * rules.length(one.load)]
    narrow = math.log(found.high / found.low) <= rules.precision
    if len(fine) >= REFINING or (narrow and len(fine) >= FEWEST):
        return Ending.FOUND
    load = _allowed(found.value * (1.0 + AROUND[len(fine) % len(AROUND)]), rules)
    # Of few users there is nothing in between.
    return Ending.FOUND if sum(one.load == load for one in near) >= 2 * TRIES else load


def _beyond(loads: Sequence[LoadScore], rules: SearchRules) -> float | Ending:
    """A load beyond all that were tried, where trials that contradict each other lie on one side of the limit, put together."""
    apart = 1.0 + 2.0 * rules.precision
    level = monotone(np.array([one.score for one in loads]), np.array([one.error**-2 for one in loads]))
    if level[0] > 0.0:
        load = _allowed(loads[0].load / apart, rules)
        return load if load < loads[0].load else Ending.NONE_MET
    load = _allowed(loads[-1].load * apart, rules)
    return load if load > loads[-1].load else Ending.ALL_MET


def load_bounds(loads: Sequence[LoadScore]) -> tuple[LoadScore | None, LoadScore | None]:
    """The highest load that met the requirements, below the lowest that missed them, and that one.

    A miss that a higher load contradicts for certain was bad luck, unless it is certain itself.
    """
    contradicted = max((one.load for one in loads if not one.missed and one.certain), default=0.0)
    missed = next((one for one in loads if one.missed and (one.certain or one.load > contradicted)), None)
    below = [one for one in loads if not one.missed and (missed is None or one.load < missed.load)]
    return (below[-1] if below else None), missed


def _allowed(load: float, rules: SearchRules) -> float:
    within = min(max(load, rules.least), rules.most)
    if rules.whole:
        return float(max(round(within), 1))
    # Four digits: nobody needs 412.3391 requests per second.
    return round(within, 3 - math.floor(math.log10(within))) if within > 0.0 else within
