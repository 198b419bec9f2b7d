"""Where the phases of a run lie on the one time axis of its charts, and what is marked on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from velro_gate.model.charts.timeline import Timeline
from velro_gate.model.record import PhaseSummary, RunRecord
from velro_gate.report.charts.shapes import MarkedStretch, Stretch
from velro_gate.report.text.escape import visible

_LONGEST = 1e9
"""Seconds; beyond it milliseconds are no date that a browser knows."""
_MOST_MARKED = 0.8
"""Share of a phase beyond which a bottleneck is no event in it."""
_DRAIN = 1.0
"""Seconds between two phases where only the record is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A phase with its place on the time axis, in seconds since the start of the run."""

    phase: PhaseSummary
    ramp: float
    start: float

    @property
    def end(self) -> float:
        """Of the phase, in seconds of the picture."""
        return self.start + self.phase.measured_seconds


def placed(record: RunRecord, timeline: Timeline | None) -> tuple[Placed, ...]:
    """Where each measured phase lies: as it was, or one phase after the other where only the record is there."""
    found, now = [], 0.0
    for phase in record.phases:
        if not phase.windows:
            continue
        ran = None if timeline is None else timeline.phase(phase.name)
        ramp, start = (now, now + phase.ramp) if ran is None else (ran.started, ran.measured_from)
        found.append(Placed(phase=phase, ramp=ramp, start=start))
        now = found[-1].end + _DRAIN
    return tuple(found)


def stretches(phases: Sequence[Placed]) -> tuple[Stretch, ...]:
    """The phases as marks of the time axis."""
    return tuple(
        Stretch(
            name=visible(one.phase.name), ramp=milliseconds(one.ramp), start=milliseconds(one.start), end=milliseconds(one.end)
        )
        for one in phases
    )


def broken_stretches(phases: Sequence[Placed]) -> tuple[MarkedStretch, ...]:
    """What was broken on purpose, and when; of an experiment that was not undone, all that follows in its phase."""
    return tuple(
        MarkedStretch(
            name=visible(each.name),
            start=milliseconds(one.start + each.begun),
            end=milliseconds(one.end if each.ended is None else one.start + each.ended),
        )
        for one in phases
        for each in one.phase.experiments
        if each.begun < one.phase.measured_seconds
    )


def held_back_stretches(phases: Sequence[Placed]) -> tuple[MarkedStretch, ...]:
    """When a bottleneck was found; not of one that lasted through its phase, which would only paint all of it."""
    return tuple(
        MarkedStretch(
            name=found.code.replace("-", " "),
            start=milliseconds(one.start + found.start),
            end=milliseconds(one.start + found.end),
        )
        for one in phases
        for found in one.phase.bottlenecks
        if found.end - found.start < _MOST_MARKED * one.phase.measured_seconds
    )


def milliseconds(seconds: float) -> float:
    """Whole milliseconds of a time in seconds, as a chart has them on its axis."""
    # A record from elsewhere may name any time.
    return float(int(min(max(seconds, -_LONGEST), _LONGEST) * 1e3))
