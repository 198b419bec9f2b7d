"""How often figures of experiments warn although nothing has changed, and how often a change is seen, on simulated runs.

Such figures have few values: recovery is a whole number of seconds and mostly the same one, stale reads are nearly always none.
A run is drawn as a service behaves: a time to recover that varies from run to run, seen in windows of a second; a breaker that
opens after some failures; a share of failed requests that varies, counted on two hundred of them. It is judged by the code that
judges runs, against 1 to 20 accepted ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from velro_gate.analysis.statistics.intervals import wilson
from velro_gate.analysis.stored.comparison import compare
from velro_gate.evaluation.bounds import figure_of
from velro_gate.evaluation.results import Aim, Figure
from velro_gate.evaluation.simulated.stored_jobs import PHASE, plan_of, simulated_record
from velro_gate.model.metric.broken import name_of_experiment_metric
from velro_gate.model.record import Estimate, RunRecord
from velro_gate.model.resilience.experiment import CommandAction, Expected, Experiment
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change, Level
from velro_gate.units import format_number

FALSE_WARNINGS, SEEN = 0.05, 0.8
_REQUESTS, _READS = 200, 100
_COUNTS = (1, 2, 3, 5, 10, 20)
"""Accepted runs before the one that is judged."""
_EXPERIMENT = "outage"
_BROKEN = Experiment(name=_EXPERIMENT, at=1.0, lasts=1.0, action=CommandAction(run="true"))
_Draw = Callable[[np.random.Generator, float], Estimate]
"""(random, times worse) -> the figure of one run."""


def _varied(random: np.random.Generator, median: float, sd: float) -> float:
    """With heavy tails, as run-to-run noise has."""
    return median * math.exp(sd * float(random.standard_t(4.0)) / math.sqrt(2.0))


def _windows(random: np.random.Generator, seconds: float, sd: float) -> Estimate:
    """A time that is seen in windows of a second: the end of the last bad one, which half a bad second makes."""
    seen = math.floor(_varied(random, seconds, sd) + 0.5)
    return Estimate(value=float(seen), low=max(seen - 1.0, 0.0), high=float(seen), n=10)


def _drawn(median: float, sd: float) -> _Draw:
    return lambda random, worse: Estimate.exact(_varied(random, median * worse, sd), n=100)


def _share(of: int, usual: float, sd: float) -> _Draw:
    return lambda random, worse: wilson(int(random.binomial(of, min(_varied(random, usual * worse, sd), 0.95))), of)


def _last_stale(random: np.random.Generator, worse: float) -> Estimate:
    """Mostly none; now and then the first read comes too early."""
    late = random.random() < 0.05 or worse > 1.0
    return Estimate.exact(0.2 * worse * (1 + float(random.geometric(0.7))) if late else 0.0, n=_READS)


_FIGURES: Mapping[Expected, _Draw] = {
    Expected.BREAKER: _drawn(1.5, 0.2),
    Expected.RECOVERY: lambda random, worse: _windows(random, 1.1 * worse, 0.35),
    Expected.FAILOVER: lambda random, worse: _windows(random, 4.5 * worse, 0.15),
    Expected.HIT_RATE: lambda random, worse: _windows(random, 0.4 * worse, 0.4),
    Expected.ERRORS: _share(_REQUESTS, 0.01, 0.5),
    Expected.STALE: _share(_READS, 0.0005, 0.5),
    Expected.CONSISTENCY: _last_stale,
    Expected.RETRIES: _drawn(1.25, 0.12),
    Expected.LOAD: _drawn(0.95, 0.12),
    Expected.P95: _drawn(0.02, 0.15),
    Expected.LOST: lambda random, worse: Estimate.exact(float(random.poisson(3.0)) if worse > 1.0 else 0.0, n=20),
}
CHANGES: Mapping[Expected, float] = {
    Expected.BREAKER: 3.0,
    Expected.RECOVERY: 8.0,
    Expected.FAILOVER: 3.0,
    Expected.ERRORS: 30.0,
    Expected.RETRIES: 3.0,
    Expected.P95: 3.0,
}
"""Figures, and how many times worse they become in a run whose change has to be seen."""


def experiment_figure_figures(count: int, seed: int) -> Iterator[Figure]:
    """``count`` unchanged jobs for each number of accepted runs, then as many with one changed figure after ten."""
    for kept in _COUNTS:
        random = np.random.Generator(np.random.PCG64([seed, kept]))
        warned = failed = 0
        for _ in range(count):
            rows = compare(_run(random, {}), [_run(random, {}) for _ in range(kept)], Policy())
            failed += any(row.level is Level.FAIL for row in rows)
            warned += any(row.level is Level.WARN for row in rows)
        runs = f"{kept} accepted run{'s' if kept > 1 else ''}"
        yield figure_of(f"figures of experiments, unchanged, {runs}", "fails", failed, count, Aim.AT_MOST, 0.0)
        yield figure_of(f"figures of experiments, unchanged, {runs}", "warns", warned, count, Aim.AT_MOST, FALSE_WARNINGS)
    for kind, worse in CHANGES.items():
        random = np.random.Generator(np.random.PCG64([seed, len(kind.value), 99]))
        seen = 0
        for _ in range(count):
            rows = compare(_run(random, {kind: worse}), [_run(random, {}) for _ in range(10)], Policy())
            named = name_of_experiment_metric(_EXPERIMENT, kind)
            seen += any(row.metric == named and row.verdict in (Change.SUSPICIOUS, Change.REGRESSION) for row in rows)
        title = f"figures of experiments, {kind.value} {format_number(worse)} times as high"
        yield figure_of(title, "warns of it", seen, count, Aim.AT_LEAST, SEEN)


def _run(random: np.random.Generator, worse: Mapping[Expected, float]) -> RunRecord:
    """A run whose phase has an experiment, with every figure that there is."""
    figures = {
        name_of_experiment_metric(_EXPERIMENT, kind): draw(random, worse.get(kind, 1.0)) for kind, draw in _FIGURES.items()
    }
    made = simulated_record(np.zeros(8), 0, plan_of(Policy()))
    (summary,) = made.phases
    whole, *steps = summary.steps
    whole = replace(whole, measurements={**whole.measurements, **figures})
    plan = replace(made.plan, phases=(replace(PHASE, experiments=(_BROKEN,)),))
    return replace(made, plan=plan, phases=(replace(summary, steps=(whole, *steps)),))
