"""The best that each figure can have been without the generator's own delays, from reduced samples.

What a request lost to a delay is not known of reduced samples, so all that it took counts as lost where it may have been under
way while the generator stood still, or right after. That is less than the best value that the samples themselves would give:
more failures are then in doubt, and none is less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from velro_gate.analysis.summaries.own_delay import recovered_after
from velro_gate.analysis.summaries.quantiles import sample_quantile
from velro_gate.analysis.summaries.reduced.bins import ERROR, bins_of
from velro_gate.analysis.summaries.reduced.histograms import entries_together, ranked
from velro_gate.analysis.summaries.reduced.tables import Entries, Kind, Reduced
from velro_gate.analysis.summaries.undelayed import rates_left
from velro_gate.arrays import Bools
from velro_gate.model.metrics import Times, quantiles_of
from velro_gate.model.record import Counts, Estimate
from velro_gate.model.run import PhaseRun


def undelayed_at_best(
    tables: Reduced, run: PhaseRun, books: Sequence[Counts], measured: Sequence[dict[str, Estimate]]
) -> list[dict[str, float]]:
    """For each step, then for all of them: metric -> the best value. Empty ones where the generator never stood still."""
    if not run.stalls:
        return [{} for _ in measured]
    found = []
    for group, known in enumerate(measured):
        seen = _Seen(tables, run, None if group == len(measured) - 1 else group)
        figures = {**_times(seen, known), **_shares(seen, books[group], known), **rates_left(run, known)}
        found.append({name: value for name, value in figures.items() if name in known})
    return found


@dataclass(frozen=True, slots=True)
class _Seen:
    """The requests of one step, or of all: those that a delay may have touched, and the others."""

    tables: Reduced
    run: PhaseRun
    step: int | None

    def of(self, kind: Kind) -> tuple[Entries, Bools]:
        """The counts of one kind, and which of them may have been touched."""
        found, frame = self.tables.of(kind, self.step), self.tables.frame
        slowest, touched = float(self.tables.slowest[1].max(initial=0.0)), np.zeros(len(found.count), np.bool_)
        for stall in self.run.stalls:
            edges = np.array([stall.start - slowest, recovered_after(stall)]) - frame.measured_from
            first, last = frame.cells(edges).tolist()
            touched |= (found.second >= first) & (found.second <= last)
        return found, touched

    def timed(self, found: Entries) -> Entries:
        """Failures that have no bin of their own, as slow as the slowest request of their step; others as they are."""
        slowest = bins_of(self.tables.slowest[1])[found.first]
        return replace(found, third=np.where(found.third > 0, found.third, slowest))


def _times(seen: _Seen, known: dict[str, Estimate]) -> dict[str, float]:
    failing = (Kind.RESPONSE, Kind.TIMEOUT, Kind.FAILED)
    best = {}
    for times, kinds in (
        (Times.RESPONSE, (Kind.RESPONSE,)),
        (Times.SERVICE, (Kind.SERVICE,)),
        (Times.WITH_FAILURES, failing),
    ):
        parts = [seen.of(kind) for kind in kinds]
        lost = sum(int(found.count[touched].sum()) for found, touched in parts)
        untouched = ranked(entries_together([seen.timed(found.where(~touched)) for found, touched in parts]))
        n = lost + len(untouched)
        for name, rank in quantiles_of(times).items():
            # As many of the fastest as were touched: they may all have taken no time.
            left = rank * n - lost
            best[name] = sample_quantile(untouched, left / len(untouched)) * (1.0 - ERROR) if left > 0.0 else 0.0
    response, touched = seen.of(Kind.RESPONSE)
    spent, of_touched = seen.of(Kind.NANOSECONDS)
    untouched = ranked(response.where(~touched))
    if len(response.count):
        best["mean"] = float(spent.count[~of_touched].sum()) / 1e9 / float(response.count.sum())
        best["max"] = untouched[len(untouched) - 1] * (1.0 - ERROR) if len(untouched) else 0.0
    return {name: min(value, known[name].value) for name, value in best.items() if name in known}


def _shares(seen: _Seen, counts: Counts, known: dict[str, Estimate]) -> dict[str, float]:
    doubtful = sum(int(found.count[touched].sum()) for found, touched in map(seen.of, (Kind.FAILED, Kind.TIMEOUT)))
    # Which users still waited because of a stall is not known of reduced samples: all blocked requests are in doubt.
    doubtful += counts.blocked
    asked = counts.ok + counts.failed + counts.blocked
    best = {}
    if asked:
        best["error_rate"] = max(counts.failed + counts.blocked - doubtful, 0) / asked
    if counts.due:
        best["achieved_share"] = min((counts.ok + doubtful) / counts.due, 1.0)
    if "hit_rate" in known:
        requests, touched = seen.of(Kind.LATENESS)
        excused = int(requests.count[touched].sum()) / known["hit_rate"].n
        best["hit_rate"] = min(known["hit_rate"].value + excused, 1.0)
    return best
