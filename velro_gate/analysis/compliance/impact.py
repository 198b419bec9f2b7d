"""What the measured shares would mean under the load that the PRD promises.

With R requests per second, U users, e the share of requests that failed and s the share of responses slower than the limit:

- affected share  a = e + (1 - e) s
- requests per hour  3,600 R a
- users per minute  U (1 - (1 - a)^(60 R / U)), the users with at least one such request if requests are affected independently

s lies between the ranks of the two kept quantiles around the limit; the value between them is interpolated, the logarithm of
the share over the response time. Above the highest kept quantile it is at most the rest, which then stands for it.

R and U are the largest that a PRD requirement asks for, as stated before any scaling; without one, those of the phase itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

from velro_gate.model.compliance.assessment import Impact
from velro_gate.model.compliance.rules import PRD
from velro_gate.model.metrics import LATENCY_QUANTILES, TAIL
from velro_gate.model.record import PhaseSummary, Plan, RunRecord
from velro_gate.model.scenario import ALL_STEPS, Phase, Requirement

_THROUGHPUT = ("sustained_throughput", "throughput")


def impact_of(record: RunRecord) -> Impact | None:
    """The impact by the complete phase with the most PRD requirements, then the most users; None without such a phase."""
    complete = [(wanted, phase) for wanted in record.plan.phases if (phase := _complete(record, wanted)) is not None]
    if not complete:
        return None
    wanted, phase = max(complete, key=lambda pair: (_stated(pair[0]), pair[0].users))
    rate = _most(record.plan, _THROUGHPUT) or _own_rate(phase)
    users = _most(record.plan, ("users_held",)) or float(phase.users)
    failed = phase.measurement("error_rate")
    if failed is None or rate is None:
        return None
    limit = _latency_limit(wanted)
    low, slow, high = (0.0, 0.0, 0.0) if limit is None else slower_share(phase, limit)
    # Slow ones among those that succeeded: a request is not counted twice.
    affected = failed.value + (1.0 - failed.value) * slow
    return Impact(
        phase=phase.name,
        users=users,
        rate=rate,
        failed=failed.value,
        limit=limit,
        slow=slow,
        slow_low=low,
        slow_high=high,
        requests_per_hour=3600.0 * rate * affected,
        # A user sends 60 rate / users requests a minute and is affected if any of them is, each by itself.
        users_per_minute=users * (1.0 - (1.0 - affected) ** (60.0 * rate / users)),
    )


def slower_share(phase: PhaseSummary, limit: float) -> tuple[float, float, float]:
    """The share of responses slower than a limit: at least, interpolated, at most. All of [0, 1] where no quantile is kept."""
    kept = sorted((found.value, 1.0 - rank) for name, rank in LATENCY_QUANTILES.items() if (found := phase.measurement(name)))
    if not kept:
        return 0.0, 1.0, 1.0
    if limit < kept[0][0]:
        return kept[0][1], kept[0][1], 1.0
    if limit >= kept[-1][0]:
        return 0.0, kept[-1][1], kept[-1][1]
    for (below, more), (above, less) in pairwise(kept):
        if below <= limit < above:
            # Between two quantiles the tail is taken as exponential: the logarithm of the share falls linearly with time.
            way = (limit - below) / (above - below)
            return less, more * math.exp(way * math.log(less / more)), more
    raise AssertionError("quantiles are sorted")


def _complete(record: RunRecord, wanted: Phase) -> PhaseSummary | None:
    phase = record.phase(wanted.name)
    return phase if phase is not None and phase.complete else None


def _stated(wanted: Phase) -> int:
    return sum(one.source == PRD for one in wanted.requirements)


def _own_rate(phase: PhaseSummary) -> float | None:
    found = phase.measurement("throughput")
    return phase.offered_rate or (found.value if found is not None and found.value > 0.0 else None)


def _most(plan: Plan, metrics: Iterable[str]) -> float | None:
    stated: list[Requirement] = [*plan.unproven, *(one for phase in plan.phases for one in phase.requirements)]
    asked = [one.scaled_from or one.target for one in stated if one.source == PRD and one.metric in metrics]
    return max(asked, default=None)


def _latency_limit(wanted: Phase) -> float | None:
    limits = [one for one in wanted.requirements if one.metric == TAIL and one.step == ALL_STEPS]
    return limits[0].target if limits else None
