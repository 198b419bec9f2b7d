"""The counts of a shard that was lost in a phase: what it had handed on, and what the plan says was due of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import trio

from velro_gate.analysis.summaries.reduced.tables import Kind, Reduced
from velro_gate.engine.load.scheduling import arrivals_by_step, total_by_name
from velro_gate.engine.shards.merge import added
from velro_gate.model.run import PhaseRun, Shard
from velro_gate.model.samples import Outcome, Samples
from velro_gate.model.scenario import Phase, Scenario
from velro_gate.pacing import needs_of, open_schedule

_NOT_DELIVERED = [outcome for outcome in Outcome if not outcome.delivered]


@dataclass(slots=True)
class Received:
    """What must be remembered of the samples that a shard hands on, for the case that its counts never come: 10 bytes a row."""

    rows: int = 0
    delivered: int = 0
    _dues: list[npt.NDArray[np.float64]] = field(default_factory=list)
    _steps: list[npt.NDArray[np.uint16]] = field(default_factory=list)
    _reduced: dict[int, int] = field(default_factory=dict)

    def add(self, samples: Samples) -> None:
        """Remember these as well."""
        self.rows += len(samples)
        self.delivered += len(samples) - int(np.isin(samples.outcome, _NOT_DELIVERED).sum())
        self._dues.append(samples.due)
        self._steps.append(samples.step)

    def add_reduced(self, samples: Reduced) -> None:
        """Remember these as well, of which a shard hands on none that may have fallen due after the measured stretch."""
        self.rows += samples.rows
        self.delivered += samples.delivered
        for step in range(samples.frame.steps):
            self._reduced[step] = self._reduced.get(step, 0) + int(samples.of(Kind.LATENESS, step).count.sum())

    def by_step(self, steps: int, start: float, until: float) -> npt.NDArray[np.int64]:
        """How many fell due in [start, until), by step index; a login is not a step."""
        found = np.zeros(steps, np.int64)
        for step, count in self._reduced.items():
            found[step] += count
        if self._dues:
            found += arrivals_by_step(np.concatenate(self._dues), np.concatenate(self._steps), steps, start, until)[:steps]
        return found


async def with_lost(
    run: PhaseRun, lost: Sequence[tuple[Shard, str, Received]], phase: Phase, scenario: Scenario, begin: float
) -> PhaseRun:
    """The phase of the remaining shards together with what is known of the lost ones, and how each was lost.

    Of open arrivals everything that the plan made due and of which no sample came is missed. How many requests a closed loop or
    journeys written in Python would have made cannot be known: there, what was due is what came.
    """
    names = [step.name for step in scenario.steps]
    stretch = len(names), run.measured_from, run.measured_until
    due, missed = dict(run.due), dict(run.missed)
    schedule = None
    if phase.offered_rate is not None:
        schedule = await trio.to_thread.run_sync(open_schedule, phase, scenario.steps, scenario.seed, needs_of(scenario))
    for shard, _, received in lost:
        came = received.by_step(*stretch)
        # Where no plan says what was due, nothing is missed that nobody knows of.
        fell = came
        if schedule is not None:
            own = schedule.slice(shard)
            fell = arrivals_by_step(own.due + begin, own.step, *stretch)
        due = added((due, total_by_name(names, fell)))
        missed = added((missed, total_by_name(names, fell - came)))
    return replace(
        run,
        due=due,
        blocked={**dict.fromkeys(names, 0), **run.blocked},
        missed=missed,
        sent_total=run.sent_total + sum(received.rows for _, _, received in lost),
        delivered_total=run.delivered_total + sum(received.delivered for _, _, received in lost),
        shards_lost=tuple(how for _, how, _ in lost),
    )
