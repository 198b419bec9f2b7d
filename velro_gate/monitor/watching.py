"""Read every source on its own beat. A source that fails is reported once and tried again; it never ends the run."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import trio

from velro_gate.model.run import Reading

_LEAST_DEADLINE = 5.0
_LONGEST_PAUSE = 30.0
_CLOSING_SECONDS = 2.0
_MOST_NOTES = 3

_log = logging.getLogger(__name__)


class SourceError(Exception):
    """A source cannot be read now; the message says why, without secrets."""


class ReadingSource(Protocol):
    """Something that can be read again and again. Whatever blocks happens in a worker thread."""

    @property
    def name(self) -> str:
        """The source of its readings."""

    async def read(self) -> Mapping[str, float]:
        """Values by name, as of now; what cannot be read is left out.

        Raises:
            SourceError: nothing can be read.
        """

    async def aclose(self) -> None:
        """Give back what it holds."""


async def watch(
    sources: Sequence[ReadingSource],
    *,
    every: float,
    now: Callable[[], float],
    emit: Callable[[Reading], None],
    note: Callable[[str], None] = _log.warning,
) -> None:
    """Read all sources every ``every`` seconds until cancelled.

    Each has a task of its own, so that a slow one delays no other. The beat is kept: a late reading does not move the ones
    after it. A failing source is tried again at growing intervals, up to half a minute apart.

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
    due, pause = trio.current_time(), every
    while True:
        try:
            with trio.fail_after(max(every, _LEAST_DEADLINE)):
                values = await source.read()
        except Exception as error:  # noqa: BLE001 (a watcher must not end the load; the gap in the readings stays visible)
            complaint = _complaint(source.name, error)
            if complaint not in noted and len(noted) < _MOST_NOTES:
                noted.add(complaint)
                note(complaint)
            pause = min(2.0 * pause, max(_LONGEST_PAUSE, every))
        else:
            at, pause = now(), every
            for name, value in values.items():
                if math.isfinite(value):
                    emit(Reading(at=at, source=source.name, name=name, value=float(value)))
        due = max(due + pause, trio.current_time() - pause)
        await trio.sleep_until(due)


def _complaint(name: str, error: Exception) -> str:
    if isinstance(error, trio.TooSlowError):
        return f"{name} is not watched: it did not answer in time"
    if isinstance(error, SourceError):
        return f"{name} is not watched: {error}"
    # The text of an unforeseen error might quote an address with a password in it.
    _log.debug("reading %s failed", name, exc_info=error)
    return f"{name} is not watched: {type(error).__name__}"
