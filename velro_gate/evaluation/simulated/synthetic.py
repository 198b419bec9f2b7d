"""The experiments of decision.md, 8, on simulated jobs: how often the decision is wrong when nothing changed, and right when
something did.

Duets run through the arithmetic that judges them (``paired``), stored comparisons through ``compare`` and ``confirm`` on whole
records. Equal arguments give equal figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from velro_gate.analysis.duet.looks import look_by_look
from velro_gate.analysis.statistics.paired import Conclusion
from velro_gate.arrays import Codes, Floats
from velro_gate.evaluation import naive_rules
from velro_gate.evaluation.bounds import figure_of
from velro_gate.evaluation.results import Aim, CurvePoint, Figure
from velro_gate.evaluation.simulated import simulation
from velro_gate.evaluation.simulated.stored_jobs import StoredJobOutcome, stored_job
from velro_gate.model.duet import LOOKS
from velro_gate.model.scenario import Policy
from velro_gate.units import tight_percent

AT_ONCE = 200
"""Jobs that are simulated at one time, to bound the memory."""
PAIRS = LOOKS[-1].pairs
FALSE_FAILS = 12 / 2000
"""To reach: the share of jobs without a change that may fail."""
POLICY = Policy()
BASELINES, HISTORY = 10, 30


def share_of_changed(count: int) -> int:
    """How many jobs with a change belong to ``count`` jobs without one."""
    return max(1, round(count * 0.15))


# Side by side


@dataclass(slots=True, kw_only=True)
class _DuetTally:
    failed: int = 0
    inconclusive: int = 0
    passed: int = 0
    previous: int = 0
    windows: int = 0
    raw: int = 0


def duet_figures(count: int, seed: int) -> Iterator[Figure]:
    """All experiments with duets: ``count`` jobs without a change each, 15 % as many with one."""
    for sd in (0.02, 0.04, 0.06, 0.12):
        for memory in (0.5, 0.9):
            tally = _duet_jobs(count, _stream(seed, "A/A", sd, memory), sd=sd, memory=memory)
            name = f"duet A/A, pair sd {tight_percent(sd)}, AR(1) {memory}"
            yield figure_of(name, "false fails", tally.failed, count, Aim.AT_MOST, FALSE_FAILS, _naive(tally, count))
            bearable = 0.02 if sd <= 0.04 else None
            yield figure_of(name, "inconclusive", tally.inconclusive, count, Aim.AT_MOST, bearable)
    changed = share_of_changed(count)
    for sd, worse, target in ((0.03, 0.10, 292 / 300), (0.06, 0.20, 0.93)):
        tally = _duet_jobs(changed, _stream(seed, "A/B", sd, worse), sd=sd, memory=0.5, worse=worse)
        name = f"duet {tight_percent(worse, signed=True)} p95, pair sd {tight_percent(sd)}"
        yield figure_of(name, "found", tally.failed, changed, Aim.AT_LEAST, target, _naive(tally, changed))
    for sd in (0.03, 0.06, 0.12):
        tally = _duet_jobs(changed, _stream(seed, "pass", sd), sd=sd, memory=0.5, worse=0.15)
        yield figure_of(f"duet +15% p95, pair sd {tight_percent(sd)}", "passed", tally.passed, changed, Aim.AT_MOST, 0.01)


CURVE_SDS = (0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.10, 0.12)
CURVE_WORSE = 0.10
"""The change whose detection the second panel shows."""
OURS = "duet"


def curves(count: int, seed: int) -> Iterator[CurvePoint]:
    """How often each rule fails a run against the noise of a pair: without a change (false alarms) and at +10 % p95 (power)."""
    for sd in CURVE_SDS:
        for worse in (0.0, CURVE_WORSE):
            tally = _duet_jobs(count, _stream(seed, "curve", sd, worse), sd=sd, memory=0.5, worse=worse)
            yield CurvePoint(noise=sd, worse=worse, rates={OURS: tally.failed / count, **_naive(tally, count)})


def _duet_jobs(count: int, random: np.random.Generator, *, sd: float, memory: float, worse: float = 0.0) -> _DuetTally:
    tally = _DuetTally()
    for begin in range(0, count, AT_ONCE):
        jobs = min(AT_ONCE, count - begin)
        made = simulation.duets(random, jobs, PAIRS, sd=sd, memory=memory, worse=math.log1p(worse))
        outcomes = looked(made.d, int(random.integers(2**31)), made.orders)
        failed = (outcomes == Conclusion.REGRESSION).any(axis=1)
        undecided = (outcomes == Conclusion.INCONCLUSIVE).any(axis=1)
        tally.failed += int(failed.sum())
        tally.inconclusive += int((undecided & ~failed).sum())
        tally.passed += int((~undecided & ~failed).sum())
        base, head = made.first_blocks
        tally.previous += int(naive_rules.over_previous(base, head).sum())
        p = naive_rules.mann_whitney_worse(*made.first_windows)
        tally.windows += int((p < naive_rules.P).any(axis=-1).sum())
        raw = [simulation.requests(random, side[:, 1]) for side in (base, head)]
        tally.raw += int((naive_rules.mann_whitney_worse(*raw) < naive_rules.P).sum())
    return tally


def looked(d: Floats, seed: int, drawn: Floats | None = None) -> Codes:
    """The outcomes of duets (jobs, pairs, metrics) after their last look; those that are decided stop at an earlier one.

    drawn: their orders; None: each pair was drawn by itself.
    """
    return look_by_look(d, drawn, seed=seed, policy=POLICY).outcomes


# Stored baselines


def stored_figures(count: int, seed: int) -> Iterator[Figure]:
    """All experiments with stored baselines and two further runs of what looks suspicious."""
    for sd, bearable in ((0.01, 12), (0.02, 12), (0.03, 32)):
        name = f"stored A/A, K 10, H 30, run sd {tight_percent(sd)}"
        yield from _without_change(name, count, _stream(seed, "stored", sd), sd=sd, target=bearable / 2000)
    changed = share_of_changed(count)
    for sd, worse, missed in ((0.015, 0.10, 8), (0.03, 0.20, 15)):
        ended = _stored_jobs(changed, _stream(seed, "stored", sd, worse), sd=sd, worse=worse)
        name = f"stored {tight_percent(worse, signed=True)} p95, K 10, H 30, run sd {tight_percent(sd, decimals=1)}"
        found = sum(each.failed for each in ended)
        yield figure_of(name, "found", found, changed, Aim.AT_LEAST, 1.0 - missed / 300, _naive_rates(ended))
    yield from _without_change("stored A/A, K 0, run sd 5%", count, _stream(seed, "none"), sd=0.05, kept=0, target=0.0)
    for kept in (1, 2, 3, 4):
        name = f"stored A/A, K {kept}, run sd 5%"
        yield from _without_change(name, count, _stream(seed, "few", kept), sd=0.05, kept=kept, target=FALSE_FAILS)
    for sd in (0.01, 0.02, 0.03):
        name = f"stored A/A, run sd {tight_percent(sd)}, the three runs of one job share 80% of it"
        yield from _without_change(name, count, _stream(seed, "shared", sd), sd=sd, shared=0.8, target=None)


def _without_change(
    name: str,
    count: int,
    random: np.random.Generator,
    *,
    sd: float,
    target: float | None,
    kept: int = HISTORY,
    shared: float = 0.0,
) -> Iterator[Figure]:
    ended = _stored_jobs(count, random, sd=sd, kept=kept, shared=shared)
    failed = sum(each.failed for each in ended)
    yield figure_of(name, "false fails", failed, count, Aim.AT_MOST, target, _naive_rates(ended) if kept else {})
    if kept >= BASELINES:
        again = sum(each.repeated for each in ended)
        yield figure_of(name, "phases run again", again, count, Aim.AT_MOST)
        yield figure_of(name, "inconclusive", sum(each.inconclusive for each in ended), count, Aim.AT_MOST)


def _stored_jobs(
    count: int, random: np.random.Generator, *, sd: float, worse: float = 0.0, kept: int = HISTORY, shared: float = 0.0
) -> list[StoredJobOutcome]:
    ended = []
    for begin in range(0, count, AT_ONCE):
        jobs = min(AT_ONCE, count - begin)
        values = simulation.runs(random, jobs, kept + 3, sd=sd, shared=shared, last=3)
        values[:, kept:, 1] += math.log1p(worse)
        ended += [stored_job(job, kept, random, POLICY, second_job=not shared) for job in values]
    return ended


def _naive_rates(ended: list[StoredJobOutcome]) -> dict[str, float]:
    return {
        naive_rules.PREVIOUS: sum(each.over_previous for each in ended) / len(ended),
        naive_rules.RAW: sum(each.raw for each in ended) / len(ended),
    }


def _naive(tally: _DuetTally, count: int) -> dict[str, float]:
    return {
        naive_rules.PREVIOUS: tally.previous / count,
        naive_rules.RAW: tally.raw / count,
        naive_rules.WINDOWS: tally.windows / count,
    }


def _stream(seed: int, *names: object) -> np.random.Generator:
    """A generator of its own for each experiment, so that one does not depend on which others ran."""
    key = "/".join(map(str, names)).encode()
    return np.random.Generator(np.random.PCG64([seed, *key]))
