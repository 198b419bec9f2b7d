"""Reduced samples as columns, to be kept in a file or sent, and back: from columns that may say anything."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from velro_gate.analysis.summaries.reduced.frame import Frame
from velro_gate.analysis.summaries.reduced.tables import BEFORE, OF_STEPS, OF_TIMES, Kind, Reduced
from velro_gate.arrays import Ints

REDUCED_COLUMNS: dict[str, Any] = {"keys": np.int64, "counts": np.int64, "slowest": np.float64, "about": np.float64}
"""Column -> dtype. about: when the measured stretch began, how long it was to be, steps, rows, rows delivered."""

_MOST_STEPS = 1 << 16
_MOST_BIN = 8_191
"""Of times: longer than any run."""
_LONGEST = 366 * 86_400.0
_MOST_COUNTED = 1 << 52


def columns_of(samples: Reduced) -> Iterator[tuple[str, np.ndarray]]:
    """What is written of them, each with its name."""
    frame = samples.frame
    yield "keys", samples.keys
    yield "counts", samples.counts
    yield "slowest", samples.slowest.ravel()
    yield "about", np.array([frame.measured_from, frame.planned, frame.steps, samples.rows, samples.delivered])


def reduced_from(column: Callable[[str], np.ndarray]) -> Reduced:
    """The samples whose columns these are, checked: a file may say anything.

    Raises:
        ValueError: they cannot be reduced samples.
    """
    about = column("about")
    if len(about) != 5 or not bool(np.isfinite(about).all()) or bool((np.abs(about) > _MOST_COUNTED).any()):
        raise ValueError("what it says about reduced samples is not what it should be")
    begin, planned, steps, rows, delivered = about.tolist()
    if not (0.0 < planned <= _LONGEST and abs(begin) <= _LONGEST and 1 <= steps < _MOST_STEPS and steps == math.floor(steps)):
        raise ValueError("the frame of reduced samples is impossible")
    keys, counts, slowest = column("keys"), column("counts"), column("slowest")
    if len(slowest) != 2 * int(steps) or not bool(np.isfinite(slowest).all()) or bool((slowest < 0.0).any()):
        raise ValueError("the slowest times of reduced samples are not those of its steps")
    _require_counts(keys, counts)
    samples = Reduced(
        frame=Frame(measured_from=begin, planned=planned, steps=int(steps)),
        keys=keys,
        counts=counts,
        slowest=slowest.reshape(2, int(steps)),
        rows=int(rows),
        delivered=int(delivered),
    )
    _require_in_range(samples)
    return samples


def _require_counts(keys: Ints, counts: Ints) -> None:
    if len(keys) != len(counts) or bool((keys < 0).any()) or bool((np.diff(keys) <= 0).any()):
        raise ValueError("the keys of reduced samples are not in order")
    if bool((counts < 0).any()) or float(counts.sum(dtype=np.float64)) > float(1 << 62):
        raise ValueError("the counts of reduced samples are impossible")


def _require_in_range(samples: Reduced) -> None:
    frame = samples.frame
    cells = (frame.planned / frame.window + 2.0) * frame.parts
    events = BEFORE + frame.planned / frame.event + 2.0
    for kind in Kind:
        found = samples.of(kind)
        if not len(found.count):
            continue
        step, second, third = (int(numbers.max()) for numbers in (found.first, found.second, found.third))
        by_event = kind in (Kind.SENT, Kind.ANSWERED, Kind.BROKEN, Kind.ASKED)
        of_cells = kind in OF_TIMES and kind is not Kind.CACHE
        if (
            (kind in OF_STEPS and step >= frame.steps)
            or (kind in OF_TIMES and third > _MOST_BIN)
            or (by_event and second > events)
            or (of_cells and second > cells)
        ):
            raise ValueError(f"the counts of {kind.name} in reduced samples are of what there was not")
    if int(samples.keys.max(initial=0)) >= int(samples.end):
        raise ValueError("reduced samples hold counts of an unknown kind")
