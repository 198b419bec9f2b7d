"""Rules over the requests themselves: errors, stalls, saturation, one step's tail, cache misses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from velro_gate.analysis.bottlenecks.densest import densest
from velro_gate.analysis.bottlenecks.observed import Observed
from velro_gate.arrays import Bools
from velro_gate.model.facts.bottlenecks import Bottleneck, CacheMisses, ErrorBurst, Saturation, ServiceStall, StepTail
from velro_gate.model.samples import CACHE_MISS, NO_CACHE_HEADER, Outcome

LEAST_REQUESTS = 200
"""Of one kind, below which its tail is chance."""

LEAST_ERRORS = 10
"""Requests that have to show a thing: of fewer, chance alone makes shares of any size."""
ERROR_SHARE = 0.02
"""Of the requests within the stretch in which errors of one kind came."""

STALL = 1.0
"""Seconds without any answer, with requests waiting."""

SLOWEST = 0.05
"""The share of requests that a tail is."""

TAIL_RATIO = 4.0
"""Times its own median: a step's p95 from which on it has a tail of its own; and OTHERS times the ratio of the others."""

OTHERS = 2.5
"""Times the ratio p95 / p50 of the other steps."""
MISSES = 0.10
"""Share of look-ups that found nothing."""

KEEPS_UP = 0.95
"""Share of the offered rate that counts as keeping up: the last requests of a stretch are still under way at its end."""


def error_bursts(seen: Observed) -> Iterator[Bottleneck]:
    """Requests that failed in one way, in the stretch of time in which they were most dense, commonest kinds first."""
    rows = seen.rows
    failed = (rows.outcome != Outcome.OK) & (rows.outcome != Outcome.CANCELLED)
    if not bool(failed.any()):
        return
    # One number for each kind: statuses as they are, other outcomes negative.
    kinds = np.where(rows.outcome == Outcome.STATUS, rows.status.astype(np.int64), -rows.outcome.astype(np.int64))
    names, counts = np.unique(kinds[failed], return_counts=True)
    for kind in names[np.argsort(-counts)][:3].tolist():
        mine = failed & (kinds == kind)
        start, end = densest(rows.due, mine, seen.run.measured_from, seen.run.measured_until)
        within = (rows.due >= start) & (rows.due <= end)
        count, of = int((mine & within).sum()), int(within.sum())
        if count < LEAST_ERRORS or count < ERROR_SHARE * of:
            continue
        steps = np.unique(rows.step[mine & within])
        yield Bottleneck(
            start=seen.since(start),
            end=seen.since(end),
            strength=min(0.5 + count / of, 1.0),
            series=("requests/outcome",),
            facts=ErrorBurst(
                kind=str(kind) if kind > 0 else Outcome(-kind).name,
                count=count,
                of=of,
                step=seen.steps[int(steps[0])] if len(steps) == 1 else "",
                elsewhere=int(mine.sum()) - count,
            ),
        )


def service_stall(seen: Observed) -> Iterator[Bottleneck]:
    """The longest time without any answer while requests were waiting; not where the generator itself stood still."""
    rows = seen.rows
    answered = (rows.outcome <= Outcome.CHECK) | (rows.outcome == Outcome.CAPTURE)
    done = np.sort(rows.done[answered])
    # The ends of the stretch are edges as well: a stall that reaches over one of them is a gap too.
    edges = np.concatenate([[seen.run.measured_from], done[done < seen.run.measured_until], [seen.run.measured_until]])
    gaps = np.diff(edges)
    if not len(gaps):
        return
    at = int(np.argmax(gaps))
    start, end = float(edges[at]), float(edges[at + 1])
    waiting = int(((rows.sent < end) & (rows.done >= end) & (rows.sent >= start - STALL)).sum())
    # What the generator did not read in that time it cannot have seen answered.
    ours = sum(max(min(stall.end, end) - max(stall.start, start), 0.0) for stall in seen.run.stalls)
    if end - start < STALL or waiting < LEAST_ERRORS or ours > 0.3 * (end - start):
        return
    yield Bottleneck(
        start=seen.since(start),
        end=seen.since(end),
        strength=min(0.5 + (end - start) / 4.0, 1.0),
        series=("requests/done",),
        facts=ServiceStall(seconds=end - start, waiting=waiting),
    )


def saturation(seen: Observed) -> Iterator[Bottleneck]:
    """Requests in flight grow through the phase while fewer succeed than are offered.

    Users that are too few for the offered rate even at the service's quickest say nothing of what the service can carry.
    """
    offered = seen.phase.offered_rate
    ticks = [tick for tick in seen.run.ticks if seen.run.measured_from <= tick.at < seen.run.measured_until]
    if offered is None or len(ticks) < 6 or (seen.quick is not None and offered * seen.quick >= seen.phase.users):
        return
    # The ends of the phase, not its middle, show growth; medians over a third, since requests in flight jump from tick to tick.
    third = len(ticks) // 3
    flight = np.array([tick.in_flight for tick in ticks], float)
    before, after = float(np.median(flight[:third])), float(np.median(flight[-third:]))
    late = ticks[-third - 1 :]
    seconds = late[-1].at - late[0].at
    answered = (late[-1].ok - late[0].ok) / seconds if seconds > 0.0 else offered
    blocked = sum(seen.run.blocked.values())
    falls_behind = answered < KEEPS_UP * offered
    # A user has one request in flight, so where half of the users wait the number cannot double any more, however far behind
    # the service is.
    full = after >= 0.5 * seen.phase.users and blocked >= LEAST_ERRORS
    if not falls_behind or not (full or after >= 1.5 * before + 10.0):
        return
    yield Bottleneck(
        start=0.0,
        end=seen.seconds,
        strength=min(0.5 + (1.0 - answered / offered), 1.0),
        series=("requests/in_flight", "requests/rate"),
        facts=Saturation(offered=offered, answered=answered, before=before, after=after),
    )


def step_tail(seen: Observed) -> Iterator[Bottleneck]:
    """One step whose slowest requests are far slower than its own median, unlike those of the other steps."""
    rows = seen.rows
    good = rows.ok
    times = rows.service_time
    quantiles = {}
    for step in range(len(seen.steps)):
        mine = times[good & (rows.step == step)]
        if len(mine) >= LEAST_REQUESTS:
            p50, p95 = np.quantile(mine, (0.5, 0.95)).tolist()
            quantiles[step] = (p50, p95)
    if not quantiles:
        return
    step = max(quantiles, key=lambda one: quantiles[one][1] / quantiles[one][0])
    p50, p95 = quantiles[step]
    others = [high / low for other, (low, high) in quantiles.items() if other != step]
    usual = float(np.median(others)) if others else 2.0
    # A step that is a small part of all requests can have a tail that is less than the slowest of all.
    slow = _slowest(times, good) & (times >= p95 / 2.0)
    share = float((rows.step[slow] == step).mean()) if bool(slow.any()) else 0.0
    if p95 / p50 < max(TAIL_RATIO, OTHERS * usual) or share < 0.5:
        return
    if _in_one_go(seen, rows.due[slow & (rows.step == step)]) or _by_misses(seen, slow & (rows.step == step)):
        return
    yield Bottleneck(
        start=0.0,
        end=seen.seconds,
        strength=min(share, 1.0),
        series=(f"requests/{seen.steps[step]}",),
        facts=StepTail(step=seen.steps[step], p50=p50, p95=p95, share=share),
    )


def _slowest(times: npt.NDArray[np.float64], good: Bools) -> Bools:
    if not bool(good.any()):
        return good
    slow: Bools = good & (times >= np.quantile(times[good], 1.0 - SLOWEST))
    return slow


def _in_one_go(seen: Observed, due: npt.NDArray[np.float64]) -> bool:
    """Whether slow requests are those of one moment: a stall, and no tail."""
    if len(due) < 2:
        return True
    low, high = np.quantile(due, (0.1, 0.9)).tolist()
    return bool(high - low < 0.3 * seen.seconds)


def _by_misses(seen: Observed, slow: Bools) -> bool:
    """Whether slow requests are slow because a cache held nothing for them."""
    cache = seen.rows.cache[slow]
    return bool(len(cache)) and float((cache == CACHE_MISS).mean()) > 0.7


def cache_misses(seen: Observed) -> Iterator[Bottleneck]:
    """Misses are many, slower than hits of the same step, and make the slowest requests."""
    rows = seen.rows
    known = rows.ok & (rows.cache != NO_CACHE_HEADER)
    if int(known.sum()) < LEAST_REQUESTS:
        return
    missed = known & (rows.cache == CACHE_MISS)
    share = float(missed.sum() / known.sum())
    if share < MISSES:
        return
    hit = known & ~missed
    times = rows.service_time
    ratios = []
    for step in range(len(seen.steps)):
        mine = rows.step == step
        hits, misses = times[hit & mine], times[missed & mine]
        if len(hits) >= LEAST_ERRORS and len(misses) >= LEAST_ERRORS:
            ratios.append(float(np.median(misses) / np.median(hits)))
    explained = float(missed[_slowest(times, known)].mean())
    slower = float(np.median(ratios)) if ratios else None
    if slower is not None and (slower < 1.2 or explained < share):
        return
    moments = rows.due[missed]
    yield Bottleneck(
        start=seen.since(float(moments.min())),
        end=seen.since(float(moments.max())),
        strength=max(explained, share),
        series=("requests/cache",),
        facts=CacheMisses(share=share, slower=slower, explained=explained),
    )
