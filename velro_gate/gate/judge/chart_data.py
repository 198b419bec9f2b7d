"""What the charts of a run's report show in addition to its record: read from its folder and from the stored baselines."""

from __future__ import annotations

import logging
from pathlib import Path

from velro_gate.analysis.timeline.lines import timeline
from velro_gate.errors import VelroError
from velro_gate.model.capacity import CapacityResult
from velro_gate.model.charts.timeline import ChartData, Timeline
from velro_gate.model.record import RunRecord
from velro_gate.model.run import RunFacts
from velro_gate.report.charts.library import library
from velro_gate.secrecy import leave_as_is
from velro_gate.store.baselines import Baselines
from velro_gate.store.capacity import CAPACITY, read_capacity
from velro_gate.store.duets import read_duet
from velro_gate.store.records import read_facts, read_kept

log = logging.getLogger(__name__)


def chart_data(folder: Path, record: RunRecord, stored: Baselines | None = None) -> ChartData:
    """What there is; a file that is missing, damaged or of another run leaves its charts out, and no verdict depends on it.

    stored: what it can be compared with.
    """
    script = library()
    if script is not None:
        leave_as_is(script)
    pairs = None
    try:
        pairs = read_duet(folder)
    except VelroError as error:
        log.warning("no charts of pairs: %s", error)
    return ChartData(
        timeline=_timeline(folder, record),
        pairs=() if pairs is None else pairs.duet.pairs,
        history=() if stored is None else tuple(run for run in stored.accepted if run.id != record.id),
        capacity=_capacity(folder),
        releases={} if stored is None or stored.release is None else {stored.release.record.id: stored.release.name},
    )


def _capacity(folder: Path) -> CapacityResult | None:
    if not (folder / CAPACITY).exists():
        return None
    try:
        return read_capacity(folder)
    except VelroError as error:
        log.warning("no chart of the capacity: %s", error)
        return None


def _timeline(folder: Path, record: RunRecord) -> Timeline | None:
    samples = folder / "samples.npz"
    if not samples.exists():
        return None
    try:
        facts = read_facts(folder)
        if facts is None or not _fits(facts, record):
            return None
        return timeline(facts, record.plan.steps, *read_kept(samples))
    except VelroError as error:
        log.warning("charts of the record alone: %s", error)
        return None


def _fits(facts: RunFacts, record: RunRecord) -> bool:
    """Whether the facts are of this record: a file from elsewhere may claim any length of time."""
    ran = {phase.name: phase.measured_seconds for phase in record.phases}
    return all(
        phase.name in ran and abs(phase.measured_until - phase.measured_from - ran[phase.name]) < 1.0 for phase in facts.phases
    )
