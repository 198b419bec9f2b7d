"""Reduced samples: one table of counts, which is added to another one exactly.

A key packs what is counted: kind, then three whole numbers whose meaning the kind gives. The counts of many workers, and of
many pieces of one worker's samples, are added in any order, with the same result.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from velro_gate.analysis.summaries.reduced.frame import Frame
from velro_gate.arrays import Floats, Ints


class Kind(IntEnum):
    """What is counted, and by which three numbers. Unless it says every, only what fell due in the measured stretch counts."""

    RESPONSE = 0  # successful responses: step, cell of the due time, bin of the response time
    SERVICE = 1  # successful responses: step, cell, bin of the service time
    LATENESS = 2  # requests: step, cell, bin of the generator's delay
    TIMEOUT = 3  # timeouts: step, cell, bin of the response time
    FAILED = 4  # other failures: step, cell
    NANOSECONDS = 5  # sum of the response times of successful responses: step, cell
    BOOKS = 6  # requests: step, outcome << 8 | cache, status
    BYTES = 7  # sum of the bytes received: step
    CACHE = 8  # successful responses that say how a cache answered: step, cache, bin of the response time
    SENT = 9  # every request: none, part of the time it was sent
    ANSWERED = 10  # every successful response: step, part of the time it came
    BROKEN = 11  # every failure: status or outcome, part of the time it came
    ASKED = 12  # every answer that says how a cache answered: cache, part of the due time
    CACHED = 13  # successful responses that say how a cache answered: cache, cell, bin of the response time


OF_STEPS = frozenset(Kind) - {Kind.SENT, Kind.BROKEN, Kind.ASKED, Kind.CACHED}
"""Kinds whose first number is a step; and those whose third one is a bin of times."""
OF_TIMES = frozenset({Kind.RESPONSE, Kind.SERVICE, Kind.LATENESS, Kind.TIMEOUT, Kind.CACHE, Kind.CACHED})

_WIDE, _NARROW = 22, 16
BEFORE = 1 << (_WIDE - 1)
"""Added to parts of time, so that those before the measured stretch have a place too."""


def key_of(kind: Kind, first: Ints | int, second: Ints | int = 0, third: Ints | int = 0) -> Ints:
    """The packed key of each row."""
    found: Any = np.int64(kind) << _NARROW
    for number, width in ((first, _WIDE), (second, _NARROW), (third, 0)):
        found = found + number << width
    return np.asarray(found, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entries:
    """Some keys of one kind, unpacked: the three numbers and the count of each; columns of one length."""

    first: Ints
    second: Ints
    third: Ints
    count: Ints

    def where(self, mask: npt.NDArray[np.bool_]) -> Entries:
        """Those for which ``mask`` holds."""
        return Entries(first=self.first[mask], second=self.second[mask], third=self.third[mask], count=self.count[mask])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reduced:
    """The samples of one phase, or some of them, as counts."""

    frame: Frame
    keys: Ints
    """Ascending, none twice."""
    counts: Ints
    slowest: Floats
    """Seconds of the slowest successful response of each step, then of the slowest request of each; 0 without one. Shape (2,
    steps).
    """
    rows: int = 0
    """Samples that went into it, those of no step included; and how many of them can have reached the service."""
    delivered: int = 0

    @property
    def end(self) -> int:
        """The number after every key that there can be."""
        return int(key_of(max(Kind), 1 << _NARROW))

    def of(self, kind: Kind, first: int | None = None) -> Entries:
        """The counts of one kind; first: only those with this first number."""
        low, high = (
            (key_of(kind, 0), key_of(kind, 1 << _NARROW)) if first is None else (key_of(kind, first), key_of(kind, first + 1))
        )
        begin, end = np.searchsorted(self.keys, [low, high]).tolist()
        keys = self.keys[begin:end]
        return Entries(
            first=keys >> (_NARROW + _WIDE) & (1 << _NARROW) - 1,
            second=keys >> _NARROW & (1 << _WIDE) - 1,
            third=keys & (1 << _NARROW) - 1,
            count=self.counts[begin:end],
        )

    def renumbered(self, codes: npt.NDArray[np.uint8]) -> Reduced:
        """The same under other cache codes. codes: the new one of each."""
        new = codes.astype(np.int64)
        keys = self.keys.copy()
        for kind in (Kind.BOOKS, Kind.CACHE, Kind.ASKED, Kind.CACHED):
            found = self.of(kind)
            begin = int(np.searchsorted(self.keys, key_of(kind, 0)))
            place = slice(begin, begin + len(found.count))
            if kind in (Kind.ASKED, Kind.CACHED):
                keys[place] = key_of(kind, new[found.first], found.second, found.third)
            else:
                other = found.second & ~0xFF if kind is Kind.BOOKS else 0
                keys[place] = key_of(kind, found.first, other | new[found.second & 0xFF], found.third)
        keys, counts = keys_added(keys, self.counts)
        return replace(self, keys=keys, counts=counts)


def keys_added(keys: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """The keys in ascending order, none twice, with the sums of their counts."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    return ordered[starts], np.add.reduceat(counts[order], starts) if len(starts) else counts[:0]


def reduced_together(parts: Iterable[Reduced]) -> Reduced:
    """All of them together.

    Raises:
        ValueError: the sequence is empty, or the tables are of different phases.
    """
    every = list(parts)
    if not every or any(part.frame != every[0].frame for part in every):
        raise ValueError("reduced samples are put together phase by phase")
    keys, counts = keys_added(np.concatenate([part.keys for part in every]), np.concatenate([part.counts for part in every]))
    return Reduced(
        frame=every[0].frame,
        keys=keys,
        counts=counts,
        slowest=np.max([part.slowest for part in every], axis=0),
        rows=sum(part.rows for part in every),
        delivered=sum(part.delivered for part in every),
    )


class Gathered:
    """Reduced samples as they come in, put together now and then: when what waits is as much as what is done."""

    _LEAST = 1 << 20

    def __init__(self) -> None:
        self._whole: Reduced | None = None
        self._waiting: list[Reduced] = []
        self._keys = 0

    def add(self, part: Reduced) -> None:
        """These as well."""
        self._waiting.append(part)
        self._keys += len(part.keys)
        if self._keys > max(self._LEAST, 0 if self._whole is None else len(self._whole.keys)):
            self.whole()

    def whole(self) -> Reduced:
        """All that have come.

        Raises:
            ValueError: none have, or they are of different phases.
        """
        if self._waiting or self._whole is None:
            self._whole = reduced_together([*([] if self._whole is None else [self._whole]), *self._waiting])
            self._waiting, self._keys = [], 0
        return self._whole
