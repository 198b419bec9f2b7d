"""What the use cases may do to the world, as one value that the command line builds from the real things."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from velro_gate.cluster.connect import Cluster
from velro_gate.model.record import Revision, RunnerSelftest
from velro_gate.model.run import Environment, Progress


def _nothing(_: object) -> None:
    """Say or show nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """The outside world."""

    environ: Mapping[str, str]
    """Where URLs and secrets come from."""
    environment: Callable[[], Environment]
    revision: Callable[[], Revision]
    utc_now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    say: Callable[[str], None] = _nothing
    """Shows one line to a person, at once."""
    observe: Callable[[Progress], None] = _nothing
    """Gets the state of the running load, about once a second."""
    signals: tuple[signal.Signals, ...] = ()
    """Which signals end a run gracefully (none where the caller is not the main thread)."""
    selftest: RunnerSelftest | None = None
    """What this runner's newest one found; None where it made none."""
    cluster: Cluster | None = None
    """Workers that are to send every load; None: this machine sends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The outside world of one command, before it is asked for anything."""

    environ: Mapping[str, str]
    """Where URLs and secrets come from."""
    open: Callable[[], AbstractContextManager[Effects]]
    """The effects of one run, whose progress is shown until they are closed."""
