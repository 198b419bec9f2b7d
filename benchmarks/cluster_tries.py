"""Faults of a cluster, each made many times, side by side and one after the other. Used by ``benchmarks.cluster``.

Every try is kept as a line of a file as soon as it is over. So a measurement that was interrupted goes on where it ended, and
what a lane could not do is tried again by a fresh one.
"""

from __future__ import annotations

import fcntl
import json
import logging
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.cluster_faults import DETECTED, VICTIM, Try, all_faults
from benchmarks.cluster_load import against
from benchmarks.cluster_local import LOST
from benchmarks.cluster_site import Site, site
from benchmarks.processes import module, our_environment
from benchmarks.table import Page, Table

_ROUNDS = 3
_COLUMNS = ("fault", "within 5 s", "median", "longest", "no load after", "named", "samples kept", "requests after the end")


def names() -> tuple[str, ...]:
    """All faults."""
    return (*all_faults(_nobody), *LOST)


def _nobody(*_: object) -> Any:
    """Stands for a load where only names are wanted."""


def faults(page: Page, folder: Path, tries: int, lanes: int, words: Sequence[str]) -> None:
    """Make each fault until the folder holds this many tries of it, in several clusters at once.

    lanes: how many clusters. words: of the names of those that are wanted; empty: all.
    """
    wanted = [name for name in names() if not words or any(word in name for word in words)]
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(_ROUNDS):
        missing = [name for name in wanted if len(kept_tries(folder, name)) < tries]
        command = module("benchmarks.cluster", "--only-lane", "--kept", folder, "--tries", tries, "--faults", *missing)
        running = [subprocess.Popen(command, env=our_environment()) for _ in missing[:lanes]]
        try:
            for each in running:
                each.wait()
        finally:
            for each in running:
                each.terminate()
    page.show(table({name: kept_tries(folder, name) for name in wanted}, tries))
    for name in wanted:
        for last in kept_tries(folder, name)[-1:]:
            page.say(f"{name}: {last.said}")


def lane(folder: Path, tries: int, wanted: Sequence[str]) -> None:
    """Of exactly these faults those that no other lane makes, in a cluster of its own."""
    # What is lost on purpose, Dask reports at length.
    logging.disable(logging.ERROR)
    with ExitStack() as stack:
        running: Site | None = None
        for name in wanted:
            with _file(folder, name).open("a", encoding="utf-8") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                more = tries - len(kept_tries(folder, name))
                if more <= 0:
                    continue
                if name in LOST:
                    made = (LOST[name]() for _ in range(more))
                else:
                    running = running or stack.enter_context(site(2, spare=1, slow=(VICTIM,)))
                    made = all_faults(partial(against, running.service.url))[name](running, more)
                for each in made:
                    print(json.dumps(asdict(each)), file=file, flush=True)
                    print(f"{name}: {each.seconds:.2f} s", file=sys.stderr, flush=True)


def kept_tries(folder: Path, name: str) -> list[Try]:
    """Those that were made of a fault so far."""
    file = _file(folder, name)
    return [Try(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def _file(folder: Path, name: str) -> Path:
    return folder / f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}.jsonl"


def table(made: dict[str, list[Try]], tries: int) -> Table:
    """One row a fault."""
    rows = []
    for name, tried in made.items():
        if not tried:
            rows.append((name, "not measured", *[""] * (len(_COLUMNS) - 2)))
            continue
        seconds = [each.seconds for each in tried]
        rows.append(
            (
                name,
                f"{sum(each <= DETECTED for each in seconds)} of {len(tried)}",
                f"{statistics.median(seconds):.2f} s",
                f"{max(seconds):.2f} s",
                f"{max(each.alone for each in tried):.2f} s",
                f"{sum(each.named for each in tried)} of {len(tried)}",
                f"{sum(each.kept for each in tried)} of {len(tried)}",
                f"{sum(each.afterwards for each in tried)}",
            )
        )
    title = f"Seconds until a fault has ended the load, or had it refused: {tries} tries of each"
    return Table(title=title, columns=_COLUMNS, rows=tuple(rows))
