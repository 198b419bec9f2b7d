"""Simulated services of known capacity: Poisson arrivals, exponential or constant service times, c workers, one queue (M/G/c).

Their measured stretches go through the same summary, scores and search as those of a real service; only time is simulated.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from velro_gate.analysis.capacity.estimate import capacity_of
from velro_gate.analysis.capacity.scoring import trial_of
from velro_gate.analysis.capacity.search import Done, SearchRules, next_trial
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.arrays import Floats
from velro_gate.evaluation.bounds import amount_of, figure_of
from velro_gate.evaluation.results import Aim, Evaluated
from velro_gate.model.capacity import Trial
from velro_gate.model.record import Estimate
from velro_gate.model.run import GeneratorHealth, PhaseRun, Tick
from velro_gate.model.samples import COLUMNS, Samples
from velro_gate.model.scenario import Comparator, OpenArrivals, Phase, Requirement
from velro_gate.units import format_decimal, format_number, format_percent

STEP = "work"
RAMP = 2.0
NEAR_TRUTH = 0.05
FOUND = 0.9
"""The share of searches that must come within NEAR_TRUTH of the known capacity."""

MINUTES = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A service of some workers behind one queue, in the notation of Kendall: M/M/c, or M/D/c where ``constant``."""

    workers: int
    """Requests that are served at a time."""
    service: float
    """Mean seconds that a worker takes for a request."""
    limit: float
    """On p95, in seconds."""
    constant: bool = False
    """Every request takes exactly the mean."""

    @property
    def name(self) -> str:
        """``M/M/4, 10 ms, p95 < 50 ms``."""
        kind = "D" if self.constant else "M"
        return f"M/{kind}/{self.workers}, {format_number(1e3 * self.service)} ms, p95 < {format_number(1e3 * self.limit)} ms"

    @property
    def saturation(self) -> float:
        """Requests a second that keep all workers busy."""
        return self.workers / self.service

    @property
    def requirement(self) -> Requirement:
        """The limit on p95."""
        return Requirement(metric="p95", comparator=Comparator.BELOW, target=self.limit)


QUEUES = (
    Queue(workers=4, service=0.010, limit=0.050),
    Queue(workers=8, service=0.020, limit=0.100),
    Queue(workers=2, service=0.005, limit=0.030),
    Queue(workers=8, service=0.020, limit=0.080, constant=True),
)


def response_times(due: Floats, service: Floats, workers: int) -> Floats:
    """Seconds from each arrival to its end, first come first served. due, service: shape (requests,), due rising."""
    free = [0.0] * workers
    ends = np.empty(len(due))
    for i, (at, seconds) in enumerate(zip(due.tolist(), service.tolist(), strict=True)):
        done = max(at, free[0]) + seconds
        heapq.heapreplace(free, done)
        ends[i] = done
    return ends - due


def stretch(queue: Queue, load: float, seconds: float, random: np.random.Generator) -> Trial:
    """One simulated stretch at this rate, summarised and scored as a measured one."""
    whole = RAMP + seconds
    count = random.poisson(load * whole)
    due = np.sort(random.uniform(0.0, whole, count))
    service = np.full(count, queue.service) if queue.constant else random.exponential(queue.service, count)
    samples = samples_of(due, response_times(due, service, queue.workers))
    inside = due >= RAMP
    phase = Phase(name="search", users=1_000, ramp=RAMP, duration=seconds, arrivals=OpenArrivals(rate=load), requirements=())
    ran = facts_of(samples, int(inside.sum()), seconds)
    return trial_of(load, (queue.requirement,), summarise(phase, (STEP,), ran, samples, (), ()), ran)


def samples_of(due: Floats, response: Floats) -> Samples:
    """Successful requests with these due and response times, seconds, (n,) each."""
    n = len(due)
    filled = {"due": due, "sent": due, "done": due + response, "connect": np.nan, "status": 200}
    columns = {name: np.broadcast_to(np.asarray(filled.get(name, 0), dtype), n).copy() for name, dtype in COLUMNS.items()}
    return Samples(**columns)


HEALTHY = GeneratorHealth(
    cpu_share=0.1,
    steal_share=0.0,
    loop_lag_p99=0.0,
    loop_lag_max=0.0,
    gc_full_collections=0,
    gc_pause_max=0.0,
    rss_start=0,
    rss_peak=0,
    descriptors_free=None,
    ports_free=None,
)
"""A generator that was never in trouble."""


def facts_of(samples: Samples, due: int, seconds: float) -> PhaseRun:
    """What the engine would say of them. due: in the measured stretch."""
    moments = np.arange(1.0, RAMP + seconds)
    began, ended = np.sort(samples.due), np.sort(samples.done)
    sent, ok = np.searchsorted(began, moments), np.searchsorted(ended, moments)
    ticks = tuple(
        Tick(at=at, connected=1_000, in_flight=int(s - o), sent=int(s), ok=int(o), failed=0)
        for at, s, o in zip(moments.tolist(), sent, ok, strict=True)
    )
    return PhaseRun(
        name="search",
        started=0.0,
        measured_from=RAMP,
        measured_until=RAMP + seconds,
        ended=RAMP + seconds,
        users=1_000,
        due={STEP: due},
        blocked={},
        missed={},
        sent_total=len(samples),
        delivered_total=len(samples),
        connections_opened=1_000,
        reconnects=0,
        retries=0,
        ticks=ticks,
        health=HEALTHY,
    )


@cache
def true_capacity(queue: Queue, *, seconds: float = 2_000.0, seed: int = 1) -> float:
    """The rate at which p95 is at its limit in the long run, by bisection over long simulated runs of the same arrivals."""
    random = np.random.default_rng(seed)
    # The same draws at every rate (common random numbers), so that p95 rises with the rate and bisection cannot be misled by
    # chance.
    count = int(queue.saturation * seconds)
    gaps, draws = random.exponential(1.0, count), random.exponential(1.0, count)
    service = np.full(count, queue.service) if queue.constant else draws * queue.service

    def p95(rate: float) -> float:
        """At this rate, without the first twentieth, in which the queue fills."""
        times = response_times(np.cumsum(gaps / rate), service, queue.workers)
        return float(np.quantile(times[count // 20 :], 0.95))

    low, high = 0.2 * queue.saturation, queue.saturation
    while high / low > 1.002:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if p95(middle) > queue.limit else (middle, high)
    return math.sqrt(low * high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """One search: what it found, how many minutes of load it took, and in how many stretches."""

    capacity: Estimate | None
    minutes: float
    trials: int


def search(queue: Queue, seed: int) -> Searched:
    """One whole search on a simulated service, from a third of its saturation."""
    random = np.random.default_rng(seed)
    rules = SearchRules(
        start=queue.saturation / 3.0, least=queue.saturation / 100.0, most=10.0 * queue.saturation, seconds=60.0 * MINUTES
    )
    trials: list[Trial] = []
    spent = 0.0
    while not isinstance(step := next_trial(trials, rules, spent=spent), Done):
        trials.append(stretch(queue, step.load, step.seconds, random))
        spent += step.seconds + rules.overhead
    return Searched(capacity=capacity_of(trials), minutes=spent / 60.0, trials=len(trials))


def is_near(found: Estimate | None, truth: float) -> bool:
    """Whether an estimate is within NEAR_TRUTH of the known capacity."""
    return found is not None and abs(found.value / truth - 1.0) <= NEAR_TRUTH


def simulated_capacities(count: int, seed: int, *, say: Callable[[str], None] = lambda _: None) -> Iterator[Evaluated]:
    """``count`` searches on each simulated service: how many come near the truth, and how often the interval holds it."""
    for queue in QUEUES:
        truth = true_capacity(queue)
        found = [search(queue, seed + 1_000 * number) for number in range(count)]
        yield from capacity_figures(f"capacity, simulated {queue.name}, true {format_decimal(truth, 0)}/s", found, truth)
        values = ["none" if one.capacity is None else format_decimal(one.capacity.value, 0) for one in found]
        say(f"{queue.name}: {', '.join(values)}")


def capacity_figures(name: str, found: list[Searched], truth: float) -> Iterator[Evaluated]:
    """The figures of some searches on one service."""
    near = sum(is_near(one.capacity, truth) for one in found)
    held = sum(one.capacity is not None and one.capacity.low <= truth <= one.capacity.high for one in found)
    yield figure_of(name, f"within {format_percent(NEAR_TRUTH)} of the truth", near, len(found), Aim.AT_LEAST, FOUND)
    yield figure_of(name, "interval holds the truth", held, len(found), Aim.AT_LEAST)
    minutes = np.array([one.minutes for one in found])
    yield amount_of(name, "one search takes", minutes, "min", Aim.AT_MOST, MINUTES)
