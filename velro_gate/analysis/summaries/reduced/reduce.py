"""From samples to counts."""

from __future__ import annotations

import numpy as np

from velro_gate.analysis.summaries.reduced.bins import bins_of
from velro_gate.analysis.summaries.reduced.frame import Frame
from velro_gate.analysis.summaries.reduced.tables import BEFORE, Kind, Reduced, key_of, keys_added
from velro_gate.arrays import Bools, Floats, Ints
from velro_gate.model.samples import NO_CACHE_HEADER, Outcome, Samples

_NOT_DELIVERED = [outcome for outcome in Outcome if not outcome.delivered]


def reduced(samples: Samples, frame: Frame, until: float | None = None) -> Reduced:
    """Samples of one phase as counts. until: where its measured stretch ended; None: not known yet, so as planned."""
    end = frame.measured_from + frame.planned if until is None else until
    known = samples.step < frame.steps
    every = samples if bool(known.all()) else samples.where(known)
    inside = (every.due >= frame.measured_from) & (every.due < end)
    rows = every if bool(inside.all()) else every.where(inside)
    slowest = np.zeros((2, frame.steps))
    for place, some in enumerate((rows.ok, np.ones(len(rows), np.bool_))):
        np.maximum.at(slowest[place], rows.step[some], rows.response_time[some])
    keys, counts = _counted([*_measured(rows, frame), *_events(every, frame, end)])
    sums, weights = _sums(rows, frame)
    keys, counts = keys_added(np.concatenate([keys, sums]), np.concatenate([counts, weights]))
    return Reduced(
        frame=frame,
        keys=keys,
        counts=counts,
        slowest=slowest,
        rows=len(samples),
        delivered=len(samples) - int(np.isin(samples.outcome, _NOT_DELIVERED).sum()),
    )


def _counted(keys: list[Ints]) -> tuple[Ints, Ints]:
    ordered = np.sort(np.concatenate(keys))
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    return ordered[starts], np.diff(starts, append=len(ordered))


def _measured(rows: Samples, frame: Frame) -> list[Ints]:
    """The keys of what fell due in the measured stretch: one for each row and kind."""
    step, cell = rows.step.astype(np.int64), frame.cells(rows.due - frame.measured_from)
    good, late = rows.ok, rows.outcome == Outcome.TIMEOUT
    failed = ~good & ~late & (rows.outcome != Outcome.CANCELLED)
    cached = good & (rows.cache != NO_CACHE_HEADER)
    response, service = bins_of(rows.response_time), bins_of(rows.service_time)
    books = rows.outcome.astype(np.int64) << 8 | rows.cache
    return [
        key_of(Kind.RESPONSE, step[good], cell[good], response[good]),
        key_of(Kind.SERVICE, step[good], cell[good], service[good]),
        key_of(Kind.LATENESS, step, cell, bins_of(rows.lateness)),
        key_of(Kind.TIMEOUT, step[late], cell[late], response[late]),
        key_of(Kind.FAILED, step[failed], cell[failed]),
        key_of(Kind.BOOKS, step, books, rows.status.astype(np.int64)),
        key_of(Kind.CACHED, rows.cache[cached].astype(np.int64), cell[cached], response[cached]),
        key_of(Kind.CACHE, step[cached], rows.cache[cached].astype(np.int64), response[cached]),
    ]


def _events(every: Samples, frame: Frame, end: float) -> list[Ints]:
    """The keys of what happened at a time: one for each row and kind."""
    good = every.ok
    bad = ~good & (every.outcome != Outcome.CANCELLED)
    sent, done = _within(every.sent, frame, end), _within(every.done, frame, end)
    answered, broken = good & done, bad & done
    kinds = np.where(every.outcome == Outcome.STATUS, every.status, every.outcome).astype(np.int64)
    cached = (every.cache != NO_CACHE_HEADER) & (every.due < end)
    return [
        key_of(Kind.SENT, 0, _part(every.sent[sent], frame)),
        key_of(Kind.ANSWERED, every.step[answered].astype(np.int64), _part(every.done[answered], frame)),
        key_of(Kind.BROKEN, kinds[broken], _part(every.done[broken], frame)),
        key_of(Kind.ASKED, every.cache[cached].astype(np.int64), _part(every.due[cached], frame)),
    ]


def _within(at: Floats, frame: Frame, end: float) -> Bools:
    found: Bools = (at >= frame.measured_from) & (at < end)
    return found


def _part(at: Floats, frame: Frame) -> Ints:
    return np.maximum(frame.events(at - frame.measured_from) + BEFORE, 0)


def _sums(rows: Samples, frame: Frame) -> tuple[Ints, Ints]:
    """Keys with sums instead of counts."""
    step = rows.step.astype(np.int64)
    received = np.bincount(step, weights=rows.received, minlength=frame.steps).astype(np.int64)
    steps = np.flatnonzero(received)
    good = rows.ok
    place = key_of(Kind.NANOSECONDS, step[good], frame.cells(rows.due[good] - frame.measured_from))
    times = np.rint(rows.response_time[good] * 1e9).astype(np.int64)
    places, which = np.unique(place, return_inverse=True)
    spent = np.zeros(len(places), np.int64)
    np.add.at(spent, which, times)
    return np.concatenate([key_of(Kind.BYTES, steps), places]), np.concatenate([received[steps], spent])
