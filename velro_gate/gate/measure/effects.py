"""What the use cases may do to the world, as one value that the command line builds from the real things."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from velro_gate.model.record import Revision, RunnerSelftest
from velro_gate.model.run import Environment, Progress


def _nothing(_: object) -> None:
    """Say or show nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """The outside world.

    environ: where URLs and secrets come from. say: one line for a person, now. observe: the state of the running load, about
    once a second. signals: which signals end a run gracefully (none where the caller is not the main thread). selftest: what
    this runner's newest one found; None where it made none.
    """

    environ: Mapping[str, str]
    environment: Callable[[], Environment]
    revision: Callable[[], Revision]
    utc_now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    say: Callable[[str], None] = _nothing
    observe: Callable[[Progress], None] = _nothing
    signals: tuple[signal.Signals, ...] = ()
    selftest: RunnerSelftest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The outside world of one command, before it is asked for anything.

    environ: where URLs and secrets come from. open: the effects of one run, whose progress is shown until they are closed.
    """

    environ: Mapping[str, str]
    open: Callable[[], AbstractContextManager[Effects]]
