"""Reads folders of real performance series, in the formats in which their origins publish them.

spl_jdom/*.dat.gz: raw timings in ns, one a line, headers with #. hyper_bench, gha_bench: series.csv.gz with suite, bench,
date_ms, commit, value, unit. fastify: series.csv.gz with date, name, version, requests, latency (ms). influx_vm_duet:
app_history_*.csv with the relative changes of each run in %, app_bootstrap_*.csv with the labels.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from velro_gate.analysis.series import Commit, Group, Labelled, Line, SeriesFound
from velro_gate.errors import RecordError

HOSTS = (range(21), range(21, 36), range(36, 58))
"""The runs of spl_jdom, by the host that they were made on."""
FAMILY = 8
SHORTEST = 8
"""Runs of one server's version that make a series."""

_KINDS = {"diffInserts": "inserts", "diffQueries1": "simple queries", "diffQueries2": "group-by queries"}
T = TypeVar("T")


def read_series(root: Path) -> SeriesFound:
    """Everything that a folder holds; what it lacks is named in ``absent``.

    Raises:
        RecordError: there is no such folder, or a file in it cannot be read.
    """
    if not root.is_dir():
        raise RecordError(
            "there is no folder of series", where=str(root), hint="Name a folder that holds spl_jdom, fastify, ..."
        )
    absent: list[str] = []

    def read(name: str, reader: Callable[[Path], list[T]]) -> list[T]:
        folder = root / name
        try:
            found = reader(folder) if folder.is_dir() else []
        except (OSError, EOFError, ValueError, KeyError, zlib.error, csv.Error) as error:
            raise RecordError(
                f"the series of {name} cannot be read",
                where=str(folder),
                why=f"{type(error).__name__}: {error}",
                hint="Fetch the data anew, or take the folder away.",
            ) from error
        if not found:
            absent.append(name)
        return found

    return SeriesFound(
        dedicated=read("spl_jdom", _spl),
        hosted=[*read("hyper_bench", _benchmarks), *read("gha_bench", _benchmarks)],
        servers=read("fastify", _fastify),
        labelled=read("influx_vm_duet", _influx),
        absent=tuple(absent),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    packed = path.read_bytes()
    text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def _spl(folder: Path) -> list[Group]:
    groups = []
    for number, host in enumerate(HOSTS, 1):
        raw = []
        for path in (folder / f"{run:02d}.dat.gz" for run in host):
            if path.exists():
                with gzip.open(path, "rt", encoding="utf-8") as lines:
                    times = np.array([float(line) for line in lines if line.strip() and not line.startswith("#")]) / 1e9
                # The first quarter is warm-up.
                raw.append(times[len(times) // 4 :])
        if raw:
            lines_of = tuple(
                Line(name="all", metric=metric, values=tuple(float(np.quantile(times, p)) for times in raw))
                for metric, p in (("p50", 0.5), ("p95", 0.95))
            )
            least = min(len(times) for times in raw)
            groups.append(Group(name=f"host {number}", lines=lines_of, raw=tuple(times[:least] for times in raw)))
    return groups


def _benchmarks(folder: Path) -> list[Group]:
    """The benchmarks of one suite run together; up to eight of them are judged as one family."""
    suites: dict[str, dict[tuple[str, str], dict[tuple[int, str], float]]] = defaultdict(lambda: defaultdict(dict))
    for row in _rows(folder / "series.csv.gz"):
        value = _number(row["value"])
        if value:
            suites[row["suite"]][row["bench"], _metric(row["unit"])][int(row["date_ms"]), row["commit"]] = value
    groups = []
    for suite, benches in suites.items():
        moments = sorted({moment for values in benches.values() for moment in values})
        ordered = sorted(benches.items())
        for begin in range(0, len(ordered), FAMILY):
            lines = tuple(
                Line(name=name, metric=metric, values=tuple(values.get(moment) for moment in moments))
                for (name, metric), values in ordered[begin : begin + FAMILY]
            )
            groups.append(Group(name=f"{folder.name} {suite}", lines=lines))
    return groups


def _metric(unit: str) -> str:
    """Times are better when small, rates when large."""
    return "throughput" if unit.lower().split("/")[0] in ("ops", "iter") else "p50"


def _fastify(folder: Path) -> list[Group]:
    servers: dict[tuple[str, str], list[tuple[str, float, float]]] = defaultdict(list)
    for row in _rows(folder / "series.csv.gz"):
        rate, latency = _number(row["requests"]), _number(row["latency"])
        if rate and latency:
            servers[row["name"], row["version"]].append((row["date"], rate, latency / 1e3))
    groups = []
    for (name, version), measured in servers.items():
        if len(measured) >= SHORTEST:
            _, rates, latencies = zip(*sorted(measured), strict=True)
            lines = (
                Line(name="all", metric="throughput", values=rates),
                Line(name="all", metric="p50", values=latencies),
            )
            groups.append(Group(name=f"{name} {version}", lines=lines))
    return groups


def _influx(folder: Path) -> list[Labelled]:
    return [
        each
        for history, labels in (("influxdb", "influx"), ("vm", "vm"))
        for each in _labelled(folder / f"app_history_{history}.csv", folder / f"app_bootstrap_{labels}.csv")
    ]


def _labelled(history: Path, labels: Path) -> Iterator[Labelled]:
    label = {(int(row["commit"]), row["type"]): row["jump"] for row in _rows(labels)}
    rows = _rows(history)
    for column, kind in _KINDS.items():
        ratios: dict[int, list[float]] = defaultdict(list)
        for row in rows:
            ratios[int(row["number"])].append(1.0 + float(row[column]) / 100.0)
        if ratios:
            commits = tuple(
                Commit(number=number, ratios=tuple(ratios[number]), label=label.get((number, kind), ""))
                for number in sorted(ratios)
            )
            yield Labelled(name=f"{history.stem} {kind}", commits=commits)


def _number(text: str) -> float | None:
    """A positive number; None for what was not measured."""
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    return value if value > 0.0 else None
