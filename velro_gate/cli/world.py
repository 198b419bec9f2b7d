"""Build the real world for the use cases: environment, clock, terminal."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.live import Live

from velro_gate.cli.live import live_page
from velro_gate.cli.output import people
from velro_gate.cluster.connect import connected
from velro_gate.cluster.options import ClusterOptions
from velro_gate.errors import RecordError
from velro_gate.gate.measure.effects import Effects, World
from velro_gate.model.record import CLUSTER, RunnerSelftest
from velro_gate.model.run import Environment, Progress
from velro_gate.monitor.environment import environment, revision
from velro_gate.report.printed.live import LiveView, progress_line
from velro_gate.store.selftests import known_selftest, selftest_folder

LINE_EVERY = 10.0
"""Seconds between two progress lines where there is no terminal."""

# The engine's loop shares this process with threads that draw and that serve the live page: let it have the interpreter back
# soon.
_SWITCH_INTERVAL = 0.0005


def real_world(runner: str | None, verbose: bool, cluster: ClusterOptions | None = None, *, live: int | None = None) -> World:
    """The world that this process is in. cluster: what sends the load; None: this machine. live: port of the live page, 0 for
    any free one; None: no page is served.
    """
    return World(environ=os.environ, open=partial(real_effects, runner, verbose, cluster=cluster, live=live))


@contextmanager
def real_effects(
    runner: str | None,
    verbose: bool,
    console: Console | None = None,
    cluster: ClusterOptions | None = None,
    live: int | None = None,
) -> Iterator[Effects]:
    """Effects on the real world, with a live view in a terminal and plain lines elsewhere. live: as above.

    Raises:
        UsageError, BrokenError: see ``cluster.connect.connected``; or the live page cannot be served.
    """
    shown = console or people()
    logging.getLogger("velro_gate").setLevel(logging.DEBUG if verbose else logging.INFO)
    here = environment(runner)
    # Before anything is built or started: what is checked out now is what will be measured.
    build = revision(Path.cwd())

    def say(line: str) -> None:
        """One line; only a page's address may be longer than the terminal, since a broken one cannot be clicked."""
        shown.print(line, markup=False, soft_wrap=line.startswith("live page: "))

    with ExitStack() as stack:
        workers = None if cluster is None else stack.enter_context(connected(cluster, say))
        if workers is not None:
            # Baselines of another cluster, or of one machine, are not compared with.
            here = replace(here, extra={**here.extra, CLUSTER: workers.shape})
        follow = None if live is None else stack.enter_context(live_page(live, f"Load from {here.runner}", say))
        if live is not None or shown.is_terminal:
            sys.setswitchinterval(_SWITCH_INTERVAL)
        observe = stack.enter_context(_progress(shown))
        yield Effects(
            environ=os.environ,
            environment=lambda: here,
            revision=lambda: build,
            say=say,
            observe=observe if follow is None else partial(_both, observe, follow),
            signals=(signal.SIGINT, signal.SIGTERM),
            selftest=_selftest(here, shown),
            cluster=workers,
        )


def _selftest(here: Environment, console: Console) -> RunnerSelftest | None:
    """What the newest selftest of this runner found. One that cannot be read is reported, and does not cost the verdict."""
    folder = selftest_folder(os.environ)
    try:
        found = None if folder is None else known_selftest(folder, here)
    except RecordError as error:
        console.print(f"the runner's selftest is not used: {error.why} ({error.where})", markup=False)
        return None
    return None if found is None else found.quote


def _both(one: Callable[[Progress], None], other: Callable[[Progress], None], progress: Progress) -> None:
    one(progress)
    other(progress)


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[Progress], None]]:
    if not console.is_terminal:
        yield _line_printer(console)
        return
    with Live(console=console, refresh_per_second=2, transient=True) as live:
        view = LiveView()
        yield lambda progress: live.update(view.update(progress))


def _line_printer(console: Console) -> Callable[[Progress], None]:
    last_at, last_phase = -LINE_EVERY, ""

    def show(progress: Progress) -> None:
        """A line now and then, and one for each new phase: a log has no live view."""
        nonlocal last_at, last_phase
        now = time.monotonic()
        if now - last_at >= LINE_EVERY or progress.phase != last_phase:
            last_at, last_phase = now, progress.phase
            console.print(progress_line(progress), markup=False, soft_wrap=True)

    return show
