"""Reads folders of real performance series: the tidy format of docs/evidence.md, and the formats of a few public data sets.

The tidy format is a CSV file, packed by gzip or not, with the columns series, job, time, arm, figure, kind and value, one value
a row. ``series`` is what is judged together, ``time`` orders the jobs (a number, or text that sorts), ``arm`` is empty or names
one of several things that a job measured, ``kind`` is the name of a metric (p50, p95, throughput, ...), ``value`` is in base
units.

A public data set is recognised by the columns of its file. influx_vm_duet is two files for each program: app_history_*.csv
with the relative changes of each run in %, app_bootstrap_*.csv with the labels. spl_jdom is a folder of raw timings.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pandas import DataFrame

from velro_gate.arrays import Floats
from velro_gate.errors import RecordError
from velro_gate.evaluation.recorded.series import Commit, Labelled, RecordedSeries, SeriesFound
from velro_gate.model.metrics import METRICS

TIDY = ("series", "job", "time", "arm", "figure", "kind", "value")
HOSTS = (range(21), range(21, 36), range(36, 58))
"""The runs of spl_jdom, by the host that they were made on."""
FAMILY = 8
"""Figures that are judged together."""
SHORTEST = 8
"""Jobs that a series must have, so that something can be said of it."""

_KINDS = {"diffInserts": "inserts", "diffQueries1": "simple queries", "diffQueries2": "group-by queries"}


class TidyRow(NamedTuple):
    """One row of the tidy format, its time as it sorts."""

    series: str
    job: str
    time: tuple[float, str]
    arm: str
    figure: str
    kind: str
    value: float


def read_series(root: Path) -> SeriesFound:
    """Every series that a folder and the folders in it hold. CSV files with other columns are passed over.

    Raises:
        RecordError: there is no such folder, it holds no series, or a file of one cannot be read.
    """
    if not root.is_dir():
        raise RecordError("there is no folder of series", where=str(root), hint="Name a folder that holds series as CSV files.")
    series: list[RecordedSeries] = []
    labelled: list[Labelled] = []
    for folder in sorted((root, *(path for path in root.rglob("*") if path.is_dir()))):
        series += _spl(folder)
        labelled += _influx(folder)
        for path in sorted((*folder.glob("*.csv"), *folder.glob("*.csv.gz"))):
            series += _of_file(path)
    if not series and not labelled:
        raise RecordError(
            "the folder holds no series to replay",
            where=str(root),
            why="no CSV file in it has the columns of a known format",
            hint=f"Give it files with the columns {', '.join(TIDY)}; docs/evidence.md describes them.",
        )
    return SeriesFound(series=series, labelled=labelled)


# CSV files


def _of_file(path: Path) -> list[RecordedSeries]:
    """The series of one CSV file; none where its columns are of no known format."""
    lines = csv.DictReader(io.StringIO(_text(path)))
    try:
        columns = set(lines.fieldnames or ())
        reader = next((read for needed, read in _FORMATS.items() if columns.issuperset(needed)), None)
        values: list[TidyRow] = []
        if reader is not None:
            for row in lines:
                if None in row or None in row.values():
                    raise ValueError(f"{len(columns)} columns are needed")
                values += reader(row)
    except (csv.Error, ValueError) as error:
        raise _unreadable(f"{path}:{lines.line_num}", str(error)) from error
    by_name: dict[str, list[TidyRow]] = defaultdict(list)
    for value in values:
        by_name[value.series].append(value)
    source = path.parent.resolve().name
    return [each for name, rows in by_name.items() for each in _series_of(source, name, rows)]


def _series_of(source: str, name: str, rows: Sequence[TidyRow]) -> Iterator[RecordedSeries]:
    frame = DataFrame(rows, columns=list(TIDY)).drop_duplicates(["time", "job", "arm", "figure", "kind"], keep="last")
    wide = frame.set_index(["time", "job", "arm", "figure", "kind"])["value"].unstack(["arm", "figure", "kind"]).sort_index()
    # Of three levels: arm, figure, kind.
    columns = [(str(key[0]), str(key[1]), str(key[2])) for key in wide.columns]
    arms = sorted({arm for arm, _, _ in columns})
    figures = sorted({(figure, kind) for _, figure, kind in columns})
    if len(wide) < SHORTEST:
        return
    values = np.full((len(wide), len(arms), len(figures)), np.nan)
    for (arm, figure, kind), column in zip(columns, wide.to_numpy().T, strict=True):
        values[:, arms.index(arm), figures.index((figure, kind))] = column
    # As many as may fail a run are judged as one family.
    for begin in range(0, len(figures), FAMILY):
        chosen = figures[begin : begin + FAMILY]
        yield RecordedSeries(
            source=source,
            name=name,
            figures=tuple(figure for figure, _ in chosen),
            metrics=tuple(kind for _, kind in chosen),
            values=values[:, :, begin : begin + FAMILY],
            arms=tuple(arms),
        )


CsvRow = Mapping[str, str]


def _tidy(row: CsvRow) -> Iterator[TidyRow]:
    kind, value = _kind(row["kind"]), float(row["value"])
    if not (math.isfinite(value) and value > 0.0):
        raise ValueError(f"a value must be a positive number, not {row['value']!r}; leave out the row of what was not measured")
    yield TidyRow(row["series"], row["job"], _moment(row["time"]), row["arm"], row["figure"], kind, value)


def _otel(row: CsvRow) -> Iterator[TidyRow]:
    for column in ("request_avg_ms", "request_p95_ms", "iteration_avg_ms", "iteration_p95_ms"):
        value = _number(row[column])
        if value:
            kind = "p95" if "p95" in column else "p50"
            time = _moment(row["job_time"])
            yield TidyRow("load test", row["job_time"], time, row["arm"], column.removesuffix("_ms"), kind, value / 1e3)


def _mountpoint(row: CsvRow) -> Iterator[TidyRow]:
    value = _number(row["value"])
    if value:
        name, job = f"family {row['family']}", f"{row['time_ms']} {row['commit']}"
        yield TidyRow(name, job, _moment(row["time_ms"]), "", row["figure"], _kind(row["kind"]), value)


def _benchmarks(row: CsvRow) -> Iterator[TidyRow]:
    """Times are better when small, rates when large."""
    value = _number(row["value"])
    kind = "throughput" if row["unit"].lower().split("/")[0] in ("ops", "iter") else "p50"
    if value:
        yield TidyRow(row["suite"], row["commit"], _moment(row["date_ms"]), "", row["bench"], kind, value)


def _fastify(row: CsvRow) -> Iterator[TidyRow]:
    rate, latency = _number(row["requests"]), _number(row["latency"])
    if rate and latency:
        of = f"{row['name']} {row['version']}", row["date"], _moment(row["date"]), "", "all"
        yield TidyRow(*of, "throughput", rate)
        yield TidyRow(*of, "p50", latency / 1e3)


_FORMATS: dict[tuple[str, ...], Callable[[CsvRow], Iterable[TidyRow]]] = {
    TIDY: _tidy,
    ("job_time", "arm", "request_avg_ms", "request_p95_ms", "iteration_avg_ms", "iteration_p95_ms"): _otel,
    ("family", "time_ms", "commit", "figure", "kind", "value"): _mountpoint,
    ("suite", "bench", "date_ms", "commit", "value", "unit"): _benchmarks,
    ("date", "name", "version", "requests", "latency"): _fastify,
}
"""The columns by which a format is known, and what reads a row of it."""


def _kind(text: str) -> str:
    if text not in METRICS:
        raise ValueError(f"{text!r} is not a kind of figure; the kinds are {', '.join(METRICS)}")
    return text


def _moment(text: str) -> tuple[float, str]:
    """What a time sorts by: numbers by their size, anything else as text."""
    try:
        time = float(text)
    except ValueError:
        return math.inf, text
    # What is no number has no place among numbers, and is not even equal to itself.
    return (math.inf, text) if math.isnan(time) else (time, "")


def _number(text: str) -> float | None:
    """A positive number; None for what was not measured."""
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    return value if 0.0 < value < math.inf else None


# Formats of more than one file


def _spl(folder: Path) -> list[RecordedSeries]:
    """Raw timings in ns, one a line, headers with #; the runs of each host are a series."""
    found = []
    for number, host in enumerate(HOSTS, 1):
        paths = [path for path in (folder / f"{run:02d}.dat.gz" for run in host) if path.exists()]
        raw = [_timings(path) for path in paths]
        if not raw:
            continue
        quantiles = [[float(np.quantile(times, p)) for p in (0.5, 0.95)] for times in raw]
        least = min(len(times) for times in raw)
        found.append(
            RecordedSeries(
                source=folder.resolve().name,
                name=f"host {number}",
                figures=("p50", "p95"),
                metrics=("p50", "p95"),
                values=np.array(quantiles)[:, None, :],
                raw=tuple(times[:least] for times in raw),
            )
        )
    return found


def _timings(path: Path) -> Floats:
    """In seconds; the first quarter, which is warm-up, is left out."""
    try:
        lines = [line for line in _text(path).splitlines() if line.strip() and not line.startswith("#")]
        times = np.array([float(line) for line in lines]) / 1e9
    except ValueError as error:
        raise _unreadable(str(path), str(error)) from error
    if not len(times):
        raise _unreadable(str(path), "it holds no timing")
    if not bool(np.isfinite(times).all()):
        raise _unreadable(str(path), "a timing is not a number")
    return times[len(times) // 4 :]


def _influx(folder: Path) -> list[Labelled]:
    found: list[Labelled] = []
    for history, labels in (("influxdb", "influx"), ("vm", "vm")):
        paths = folder / f"app_history_{history}.csv", folder / f"app_bootstrap_{labels}.csv"
        if all(path.exists() for path in paths):
            try:
                found += _labelled(*paths)
            except (ValueError, TypeError, KeyError, csv.Error) as error:
                raise _unreadable(str(paths[0]), f"{type(error).__name__}: {error}") from error
    return found


def _labelled(history: Path, labels: Path) -> Iterator[Labelled]:
    label = {(int(row["commit"]), row["type"]): row["jump"] for row in csv.DictReader(io.StringIO(_text(labels)))}
    rows = list(csv.DictReader(io.StringIO(_text(history))))
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


def _text(path: Path) -> str:
    try:
        packed = path.read_bytes()
        return (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode("utf-8")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _unreadable(str(path), f"{type(error).__name__}: {error}") from error


def _unreadable(where: str, why: str) -> RecordError:
    return RecordError("the series cannot be read", where=where, why=why, hint="Fetch the data again, or remove the file.")
