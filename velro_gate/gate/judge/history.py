"""Main's history as it is stored: what a person looks at to see since when something is as it is. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from velro_gate.analysis.stored.drift import LEAST_RUNS, ChangePoint, Drift, changes_of, deciding_rows, drift_from
from velro_gate.analysis.stored.outlook import outlook
from velro_gate.model.facts.outlook import Outlook
from velro_gate.model.record import NewLevel, Release, RunRecord, fingerprint
from velro_gate.store.baselines import Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One stored run: the figure by phase, as far as it was measured, and what begins with this run."""

    run: RunRecord
    values: Mapping[str, float]
    release: str | None
    """The name under which it is pinned."""
    epochs: tuple[NewLevel, ...]
    points: tuple[ChangePoint, ...]
    """With ``epochs``: the accepted changes and the change points of this figure that begin with this run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The stored runs of one plan in one environment, oldest first, seen by one figure."""

    scenario: str
    profile: str
    digest: str
    environment: str
    runner: str
    phases: tuple[str, ...]
    lines: tuple[HistoryEntry, ...]
    points: tuple[ChangePoint, ...]
    """Change points of this figure in every phase."""
    release: Release | None
    drifts: tuple[Drift, ...]
    """Of every primary figure, compared with ``release``, the newest pinned run."""
    too_short: bool
    """Whether there are too few accepted runs to look for change points."""
    outlooks: tuple[Outlook, ...] = ()
    """When this figure reaches its limits."""


def histories(listing: Listing, metric: str, step: str) -> tuple[History, ...]:
    """The history of every plan and environment that is stored, the one with the newest run last."""
    groups: dict[tuple[str, ...], list[tuple[Path, RunRecord]]] = {}
    for path, run in sorted(listing.found, key=lambda pair: (pair[1].started_at, pair[1].id)):
        key = (run.plan.scenario, run.plan.digest, run.plan.profile, fingerprint(run.environment))
        groups.setdefault(key, []).append((path, run))
    made = [_history(stored, listing, metric, step) for stored in groups.values()]
    return tuple(sorted(made, key=lambda history: history.lines[-1].run.started_at))


def _history(stored: Sequence[tuple[Path, RunRecord]], listing: Listing, metric: str, step: str) -> History:
    newest = stored[-1][1]
    accepted = [run for _, run in stored if not run.quarantined and run.complete]
    policy = newest.plan.policy
    phases = tuple(phase.name for phase in newest.plan.phases)
    points = tuple(point for phase in phases for point in changes_of(accepted, phase, step, metric, policy))
    pinned = [Release(name=listing.pins[path], record=run) for path, run in stored if path in listing.pins]
    release = pinned[-1] if pinned else None
    drifts = drift_from(release, accepted, deciding_rows(accepted, policy), policy) if release is not None else ()
    return History(
        scenario=newest.plan.scenario,
        profile=newest.plan.profile,
        digest=newest.plan.digest,
        environment=fingerprint(newest.environment),
        runner=newest.environment.runner,
        phases=phases,
        lines=tuple(_line(path, run, listing, points, metric, step) for path, run in stored),
        points=points,
        release=release,
        drifts=drifts,
        too_short=len(accepted) < LEAST_RUNS,
        outlooks=tuple(
            found
            for phase in newest.plan.phases
            for wanted in phase.requirements
            if (wanted.metric, wanted.step) == (metric, step)
            and (found := outlook(accepted, phase.name, wanted, policy)) is not None
        ),
    )


def _line(path: Path, run: RunRecord, listing: Listing, points: Sequence[ChangePoint], metric: str, step: str) -> HistoryEntry:
    measured = {phase.name: phase.measurement(metric, step) for phase in run.phases}
    return HistoryEntry(
        run=run,
        values={name: found.value for name, found in measured.items() if found is not None},
        release=listing.pins.get(path),
        epochs=tuple(level for level in run.new_levels if (level.metric, level.step) == (metric, step)),
        points=tuple(point for point in points if point.run is run),
    )
