"""How often main is said to be on its way to a limit: histories in which nothing changed, and histories that get slower.

The noise of a run is that of an ordinary runner: 1 to 10 %, more or less like that of the run before, now and then a run that
is far too slow. The limit lies 5 to 60 % above the level at which a history begins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from velro_gate.analysis.stored.outlook import outlook
from velro_gate.arrays import Floats
from velro_gate.evaluation.bounds import figure_of
from velro_gate.evaluation.results import Aim, Figure
from velro_gate.evaluation.simulated.stored_jobs import PHASE, plan_of, simulated_record
from velro_gate.model.facts.outlook import Outlook
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import Comparator, Policy, Requirement

FALSE, FOUND, HELD = 0.01, 0.9, 0.9
"""Shares to reach: of unchanged histories with a forecast, of slowing ones without, and of intervals that hold the truth."""

LEVEL = 0.05
"""Seconds of p95 at which a history begins (``stored_jobs.phase_of``)."""

_RUNS = (15, 20, 30, 40, 60)
_COLUMNS = 8


def forecast_figures(count: int, seed: int) -> Iterator[Figure]:
    """``count`` unchanged histories, and 15 % of that of histories that get slower by 1 % a merge at a noise of 2 %."""
    random = np.random.Generator(np.random.PCG64([seed, 83]))
    said = 0
    for _ in range(count):
        runs = int(random.choice(_RUNS))
        noise = np.exp(random.uniform(np.log(0.01), np.log(0.10)))
        said += _forecast(runs_noise(random, runs, float(noise)), random.uniform(0.05, 0.6)) is not None
    yield figure_of("forecast", "nothing changed: forecast", said, count, Aim.AT_MOST, FALSE)
    changed = math.ceil(0.15 * count)
    found = held = 0
    for _ in range(changed):
        slope, runs = 0.01, 30
        distance = slope * runs + random.uniform(0.05, 0.4)
        one = _forecast(slope * np.arange(runs) + runs_noise(random, runs, 0.02), distance)
        found += one is not None
        truth = distance / slope - (runs - 1)
        held += one is not None and one.merges.low <= truth <= one.merges.high
    yield figure_of("forecast", "1 % slower with each merge: forecast", found, changed, Aim.AT_LEAST, FOUND)
    if found:
        yield figure_of("forecast", "its interval holds the true number of merges", held, found, Aim.AT_LEAST, HELD)


def runs_noise(random: np.random.Generator, runs: int, sd: float) -> Floats:
    """Logarithms around zero, (runs,): an AR(1) of a correlation of up to .5, and one run in twenty slower by up to half."""
    rho = random.uniform(0.0, 0.5)
    values = random.normal(0.0, sd, runs)
    for i in range(1, runs):
        values[i] = rho * values[i - 1] + math.sqrt(1.0 - rho * rho) * values[i]
    slow: Floats = np.where(random.random(runs) < 0.05, random.uniform(0.05, 0.4, runs), 0.0)
    return values + slow


def _forecast(levels: Floats, distance: float) -> Outlook | None:
    """levels: logarithms of p95 over its first level, a run each. distance: the logarithm of the limit over it."""
    limit = Requirement(metric="p95", comparator=Comparator.BELOW, target=LEVEL * math.exp(distance))
    return outlook(_history(levels), PHASE.name, limit, Policy())


def _history(levels: Floats) -> list[RunRecord]:
    plan = plan_of(Policy())
    rows = np.repeat(levels[:, None], _COLUMNS, axis=1)
    return [replace(simulated_record(row, 0, plan), id=f"run {number}") for number, row in enumerate(rows)]
