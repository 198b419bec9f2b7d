"""Once a second: the generator's state for the record, a view of it for people, and whether the service is still there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

from velro_gate.engine.load.context import PhaseContext
from velro_gate.engine.load.population import ConnectionCounts
from velro_gate.engine.load.times import PhaseTimes
from velro_gate.model.run import Progress, Stage, Tick
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, Outcome
from velro_gate.model.scenario import ALL_STEPS, Phase
from velro_gate.units import format_count, format_seconds, format_share

GONE_AFTER = 5.0
"""Seconds without any response, every attempt failing at its connection, after which the service is taken for gone."""

HOPELESS_AFTER = 10.0
"""Seconds for which a phase must be without hope before it is ended."""

_LEAST_FAILURES = 3
"""One failed connection is an accident of the network, and so may be the retry."""
_RECENT_SECONDS = 5.0
"""The figures of the live view are over this long."""
_RATE_SECONDS = 3
"""Ticks that the shown rate is averaged over: in one second of a slow plan there may be no request at all."""
_AWAY = {
    Outcome.REFUSED: "connection refused",
    Outcome.RESET: "connection reset",
    Outcome.TLS: "TLS failed",
    Outcome.CERTIFICATE: "certificate not accepted",
    Outcome.DNS: "name not resolved",
}


class LivenessCheck:
    """Decides from counts alone whether the service is gone. A service that answers errors, or nothing in time, is not."""

    def __init__(self, began: float, gone_after: float = GONE_AFTER) -> None:
        self._gone_after = gone_after
        self._quiet_since = began
        self._seen = [0] * (max(Outcome) + 1)
        self._failures: dict[str, int] = {}
        self._answered = False

    @property
    def doubts(self) -> bool:
        """Whether everything has failed since the last response, though not for long enough to be certain."""
        return self._answered and sum(self._failures.values()) >= _LEAST_FAILURES

    def update(self, now: float, outcomes: list[int], *, unsent: int, joined: int, failed_joins: int) -> str | None:
        """Look at what happened since the last look; a sentence when the service is gone. Counts only ever grow.

        unsent: samples with outcome CAPTURE that were never sent. joined: connections that stand. failed_joins: users that
        could not connect ahead of a request.
        """
        counts = [*outcomes, unsent, joined, failed_joins]
        self._seen += [0] * (len(counts) - len(self._seen))
        new = [count - seen for count, seen in zip(counts, self._seen, strict=True)]
        self._seen = counts
        *by_outcome, unsent, joined, failed_joins = new
        by_outcome[Outcome.CAPTURE] -= unsent
        failures = {text: by_outcome[outcome] for outcome, text in _AWAY.items()}
        failures["could not connect"] = failed_joins
        others = sum(by_outcome) - sum(by_outcome[outcome] for outcome in _AWAY) - by_outcome[Outcome.CANCELLED]
        failed = sum(failures.values())
        self._answered = self._answered or others > 0
        # Only where nothing was asked does a mere connection show that the service is alive: a proxy accepts connections for a
        # dead service.
        if others or (joined and not failed):
            self._quiet_since, self._failures = now, {}
            return None
        if not failed and not self._failures:
            self._quiet_since = now
            return None
        for text, count in failures.items():
            if count:
                self._failures[text] = self._failures.get(text, 0) + count
        silent = now - self._quiet_since
        if silent < self._gone_after or sum(self._failures.values()) < _LEAST_FAILURES:
            return None
        kinds = ", ".join(f"{format_count(count)} x {text}" for text, count in self._failures.items())
        return f"no response for {format_seconds(silent)} and every attempt failed: {kinds}"


class Hopelessness:
    """Decides from counts alone that a phase can only fail, though the service is there.

    That is so when, for ``HOPELESS_AFTER`` seconds on end, every response since the phase began was a refusal of credentials
    (401, 403), or when errors have been above the critical level in every second for a while and have become so frequent that
    the phase's error rate would be above that level even if everything that is still to come succeeded. So no verdict is
    changed.

    Args:
        critical: the critical error rate of all steps; None: there is none.
        due: requests of the measured stretch; None: not known in advance.
    """

    def __init__(self, critical: float | None, due: float | None) -> None:
        self._critical, self._due = critical, due
        self._since: float | None = None
        self._refused_since: float | None = None
        self._before = (0, 0)
        self._start: tuple[int, int] | None = None

    @classmethod
    def of(cls, phase: Phase) -> Self:
        """For one phase, of which each shard has a part: what a shard alone has failed must be too much for all of them.

        Where something is broken on purpose, errors are no reason to end it.
        """
        levels = [
            wanted.critical
            for wanted in (() if phase.experiments else phase.requirements)
            if wanted.definition.of_counts and wanted.step == ALL_STEPS and wanted.critical is not None
        ]
        due = None if phase.offered_rate is None else phase.offered_rate * phase.duration
        # A Poisson count is above this but once in a billion phases.
        return cls(min(levels, default=None), None if due is None else due + 6.0 * math.sqrt(due))

    def update(
        self, now: float, *, good: int, failed: int, refused: Mapping[int, int], in_flight: int, measuring: bool
    ) -> str | None:
        """Look at the counts, which only ever grow; a sentence when there is no hope.

        good, failed: requests of the phase that were sent. refused: of the failed ones, those answered 401 and 403, by status.
        in_flight: requests that wait for their response. measuring: whether the measured stretch has begun.
        """
        new_good, new_failed = good - self._before[0], failed - self._before[1]
        self._before = (good, failed)
        if measuring and self._start is None:
            # What was under way then may have fallen due in the ramp.
            self._start = (good, failed + in_flight)
        return self._refused(now, good, failed, refused) or self._above(now, failed, new_good, new_failed)

    def _refused(self, now: float, good: int, failed: int, refused: Mapping[int, int]) -> str | None:
        count = sum(refused.values())
        # One success, or one failure of another kind, shows that not only the credentials are at fault.
        if good or not count or count < failed:
            self._refused_since = None
            return None
        if self._refused_since is None:
            self._refused_since = now
        if now - self._refused_since < HOPELESS_AFTER:
            return None
        kinds = " and ".join(f"{format_count(n)} x {status}" for status, n in sorted(refused.items()) if n)
        return f"every response refused the credentials: {kinds}"

    def _above(self, now: float, failed: int, new_good: int, new_failed: int) -> str | None:
        critical = self._critical
        if critical is None or self._start is None or new_failed <= critical * (new_good + new_failed):
            self._since = None
            return None
        if self._since is None:
            self._since = now
        so_far = failed - self._start[1]
        if self._due is None or now - self._since < HOPELESS_AFTER or so_far <= critical * self._due:
            return None
        return (
            f"errors stayed above the critical {format_share(critical)} for {format_seconds(now - self._since)}, and "
            f"{format_count(so_far)} requests had failed, more than the whole phase may have"
        )


@dataclass(slots=True, kw_only=True)
class PhaseProgress:
    """Makes ticks and progress of one phase."""

    times: PhaseTimes
    number: int
    count: int
    users: int
    share: float
    """The share of the offered load that this process sends."""
    origin: float
    """When the run started."""
    context: PhaseContext
    connections: Callable[[], ConnectionCounts]
    steps: Sequence[str] = ()
    """Names by index."""
    layers: Sequence[str] = ()
    """Names of the cache layers as far as they were seen, by code."""
    ticks: list[Tick] = field(default_factory=list)

    def tick(self) -> Tick:
        """The state now; kept."""
        context, recorder = self.context, self.context.recorder
        ok, cancelled = recorder.outcomes[Outcome.OK], recorder.outcomes[Outcome.CANCELLED]
        made = Tick(
            at=context.now() - self.origin,
            connected=self.connections().established,
            in_flight=len(context.buckets),
            sent=recorder.rows,
            ok=ok,
            failed=recorder.rows - ok - cancelled,
        )
        self.ticks.append(made)
        return made

    def progress(self, stage: Stage) -> Progress:
        """What a live view shows, as of the last tick."""
        times, now, tick = self.times, self.context.now(), self.ticks[-1]
        recent = self.context.recorder.recent(now - _RECENT_SECONDS)
        offered = times.phase.offered_rate
        ended = tick.ok + tick.failed
        return Progress(
            phase=times.phase.name,
            phase_number=self.number,
            phase_count=self.count,
            stage=stage,
            users=self.users,
            connected=tick.connected,
            rate=self._rate(),
            offered_rate=None if offered is None else offered * self.share,
            p50=recent.p50,
            p95=recent.p95,
            p99=recent.p99,
            errors=tick.failed,
            error_rate=tick.failed / ended if ended else 0.0,
            hit_rate=recent.hit_rate,
            lateness_p99=recent.lateness_p99,
            elapsed=now - times.began,
            remaining=max(times.end - now, 0.0),
            steps=tuple((self.steps[step], p95) for step, p95 in recent.steps if step < len(self.steps)),
            layers=tuple((self._layer(code), share) for code, share in recent.cache),
        )

    def _layer(self, code: int) -> str:
        index = code - FIRST_CACHE_LAYER
        if code == CACHE_MISS:
            return "miss"
        return self.layers[index] if index < len(self.layers) else f"layer {index + 1}"

    def _rate(self) -> float | None:
        """Successful responses per second over the last few ticks; None before the second one: 0 would be a figure."""
        last = self.ticks[-_RATE_SECONDS - 1 :]
        seconds = sum(after.at - before.at for before, after in pairwise(last))
        return (last[-1].ok - last[0].ok) / seconds if seconds > 0.0 else None
