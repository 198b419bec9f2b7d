"""Read every source on its own beat. A source that fails is reported once and tried again; it never ends the run."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

import trio

from velro_gate.model.readings import plausible
from velro_gate.model.run import Reading

_LEAST_DEADLINE = 5.0
"""Seconds that a reading may take at least, however often the source is read."""
_LONGEST_PAUSE = 30.0
"""Seconds until a source that fails is tried again at the latest: pauses double up to here."""
_CLOSING_SECONDS = 2.0
"""How long a source may take to close."""
_MOST_NOTES = 3
"""Different complaints of a source that get into the notes of a run."""
MOST_SERIES, MOST_LETTERS = 500, 200
"""Series of one source that are kept, and letters of a name: both may come from outside, as labels and names of processes."""

MONITOR = "monitor"
"""The source of what the watching shows of itself."""

_log = logging.getLogger(__name__)


class SourceError(Exception):
    """A source cannot be read now; the message says why, without secrets.

    of: what cannot be read, where its readings have the name of a source that others fill as well.
    """

    def __init__(self, why: str, *, of: str | None = None) -> None:
        super().__init__(why)
        self.of = of


class ReadingSource(Protocol):
    """Something that can be read again and again. Whatever blocks happens in a worker thread."""

    @property
    def name(self) -> str:
        """The source of its readings."""

    @property
    def key(self) -> str:
        """What distinguishes it from every other watched source: two may give readings under one name."""

    async def read(self) -> Mapping[str, float]:
        """Values by name, as of now; what cannot be read is left out.

        Raises:
            SourceError: nothing can be read.
        """

    async def aclose(self) -> None:
        """Give back what it holds."""


class ShareSince:
    """The share of one counter in the sum of it and another, since the values before."""

    def __init__(self, part: str, other: str) -> None:
        self._names = part, other
        self._before: tuple[float, float] | None = None

    def read(self, name: str, values: Mapping[str, float]) -> dict[str, float]:
        """The share under this name; nothing at first, when neither counter moved, or when one started again."""
        if not all(each in values for each in self._names):
            return {}
        now = values[self._names[0]], values[self._names[1]]
        before, self._before = self._before, now
        if before is None:
            return {}
        part, other = now[0] - before[0], now[1] - before[1]
        return {name: part / (part + other)} if part >= 0.0 and other >= 0.0 and part + other > 0.0 else {}


async def watch(
    sources: Sequence[ReadingSource],
    *,
    every: float,
    now: Callable[[], float],
    emit: Callable[[Reading], None],
    note: Callable[[str], None] = _log.warning,
) -> None:
    """Read all sources every ``every`` seconds until cancelled.

    Each has a task of its own, so that a slow one delays no other. They are read on whole multiples of ``every`` of the run's
    clock, and a late reading does not move the ones after it. A failing source is tried again at growing intervals, up to half
    a minute apart. Whether it could be read, and how long that took, are readings of the source ``monitor``.

    Args:
        now: seconds since the start of the run.
        emit: takes a reading; called in the loop's thread, so it must be quick.
        note: called once for each way in which a source fails.
    """
    try:
        async with trio.open_nursery() as nursery:
            for source in sources:
                nursery.start_soon(partial(_watch_one, source, every=every, now=now, emit=emit, note=note))
    finally:
        with trio.move_on_after(_CLOSING_SECONDS, shield=True):
            for source in sources:
                await source.aclose()


async def _watch_one(
    source: ReadingSource,
    *,
    every: float,
    now: Callable[[], float],
    emit: Callable[[Reading], None],
    note: Callable[[str], None],
) -> None:
    noted: set[str] = set()
    known: set[str] = set()
    pause = every
    # On the run's clock, so that the readings of all sources can be laid side by side.
    origin = trio.current_time() - now()
    due = origin + math.ceil(now() / every) * every
    await trio.sleep_until(due)
    while True:
        began = now()
        try:
            with trio.fail_after(max(every, _LEAST_DEADLINE)):
                values = await source.read()
        except Exception as error:  # noqa: BLE001 (a watcher must not end the load; the gap in the readings stays visible)
            complaint = _complaint(source.name, error)
            if complaint not in noted and len(noted) < _MOST_NOTES:
                noted.add(complaint)
                note(complaint)
            pause = min(2.0 * pause, max(_LONGEST_PAUSE, every))
            emit(Reading(at=began, source=MONITOR, name=f"{source.key}_up", value=0.0))
            if (ended := now()) - began >= every:
                # It was silent all the while: one attempt shows a stretch, not a moment.
                emit(Reading(at=ended, source=MONITOR, name=f"{source.key}_up", value=0.0))
        else:
            at, pause = now(), every
            for name, value in _kept(values, known):
                emit(Reading(at=at, source=source.name, name=name, value=value))
            if len(known) == MOST_SERIES and not known.issuperset(values) and _TOO_MANY not in noted:
                noted.add(_TOO_MANY)
                note(f"of {source.name} only the first {MOST_SERIES} series are kept")
            emit(Reading(at=began, source=MONITOR, name=f"{source.key}_up", value=1.0))
            emit(Reading(at=began, source=MONITOR, name=f"{source.key}_read_time", value=at - began))
        due += pause * max(math.ceil((trio.current_time() - due) / pause), 1)
        await trio.sleep_until(due)


_TOO_MANY = "too many"


def _kept(values: Mapping[str, float], known: set[str]) -> Iterator[tuple[str, float]]:
    """The readings whose names and values can be kept. known: the names so far, which grow."""
    for name, given in values.items():
        value = plausible(float(given))
        if value is None or len(name) > MOST_LETTERS or (name not in known and len(known) >= MOST_SERIES):
            continue
        known.add(name)
        yield name, value


def _complaint(name: str, error: Exception) -> str:
    if isinstance(error, trio.TooSlowError):
        return f"{name} is not watched: it did not answer in time"
    if isinstance(error, SourceError):
        return f"{error.of or name} is not watched: {error}"
    # The text of an unforeseen error might quote an address with a password in it.
    _log.debug("reading %s failed", name, exc_info=error)
    return f"{name} is not watched: {type(error).__name__}"
