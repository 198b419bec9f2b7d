"""How soon a step of +10 % on main is detected, compared with Apache Otava. ``python -m benchmarks.change_points DIR``.

DIR holds real series (docs/evidence.md). From each data set histories of 30 runs are drawn; the last runs of each are made 10 %
worse. *Seen*: a change for the worse, of 5 % or more, within a run of where it was put. *Without a step*: a change for the
worse among the last ten runs of the history as it is, some of which are real. Otava needs other versions of numpy and scipy
than ours and brings clients of several databases, so it runs in an environment of its own:

    python -m venv otava && otava/bin/pip install apache-otava
    python -m benchmarks.change_points DIR --otava otava/bin/python
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from velro_gate.analysis.stored.drift import change_points
from velro_gate.evaluation.recorded.series_files import read_series
from velro_gate.model.metrics import METRICS

RUNS, STEP, MARGIN, RECENT = 30, math.log(1.10), math.log(1.05), 10
LONG = 60
"""Runs that a series must have to be drawn from."""
AFTER = (3, 5)
History = list[float]
Finder = Callable[[Sequence[History]], list[list[int]]]

OTAVA = """
import json, math, sys
from otava.analysis import compute_change_points
for line in sys.stdin:
    points, _ = compute_change_points([math.exp(y) for y in json.loads(line)], window_len=50, max_pvalue=0.001)
    print(json.dumps([int(point.index) for point in points]))
"""


def main() -> None:
    """Draw, find, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--count", type=int, default=300, help="histories drawn from each data set")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--otava", help="a Python that can import otava")
    wanted = options.parse_args()
    finders: dict[str, Finder] = {"velro-gate": lambda histories: [list(change_points(each)) for each in histories]}
    if wanted.otava:
        finders["Apache Otava"] = lambda histories: _by_otava(wanted.otava, histories)
    print(f"{'data set':16} {'':14} {'without a step':>15}" + "".join(f"{f'seen after {n}':>14}" for n in AFTER))
    for source, histories in drawn(wanted.folder, wanted.count, wanted.seed).items():
        for name, find in finders.items():
            shares = [_worse(histories, find(histories), RUNS - RECENT, RUNS)]
            for n in AFTER:
                stepped = [[y + STEP * (i >= RUNS - n) for i, y in enumerate(each)] for each in histories]
                shares.append(_worse(stepped, find(stepped), RUNS - n - 1, RUNS - n + 2))
            print(f"{source:16} {name:14} {shares[0]:>15.1%}" + "".join(f"{share:>14.1%}" for share in shares[1:]), flush=True)


def drawn(folder: Path, count: int, seed: int) -> dict[str, list[History]]:
    """Histories of each data set: logarithms, signed so that + is worse, oldest first."""
    random = np.random.default_rng(seed)
    columns: dict[str, list[History]] = {}
    for series in read_series(folder).series:
        for arm in range(len(series.arms)):
            for j, metric in enumerate(series.metrics):
                values = series.values[:, arm, j]
                kept = METRICS[metric].worse_sign * np.log(values[~np.isnan(values)])
                if len(kept) >= LONG:
                    columns.setdefault(series.source, []).append(kept.tolist())
    found: dict[str, list[History]] = {}
    for source, every in columns.items():
        for _ in range(count):
            column = every[int(random.integers(len(every)))]
            begin = int(random.integers(len(column) - RUNS + 1))
            found.setdefault(source, []).append(column[begin : begin + RUNS])
    return found


def _worse(histories: Sequence[History], points: Sequence[Sequence[int]], low: int, high: int) -> float:
    """The share of histories with a change for the worse at one of the runs from ``low`` to before ``high``."""

    def steps(values: History, found: Sequence[int]) -> list[tuple[int, float]]:
        ends = [0, *found, len(values)]
        middle = [float(np.median(values[a:b])) for a, b in itertools.pairwise(ends)]
        return [(point, b - a) for point, (a, b) in zip(found, itertools.pairwise(middle), strict=True)]

    hits = [any(low <= p < high and size >= MARGIN for p, size in steps(*each)) for each in zip(histories, points, strict=True)]
    return sum(hits) / len(hits)


def _by_otava(python: str, histories: Sequence[History]) -> list[list[int]]:
    lines = "\n".join(map(json.dumps, histories))
    done = subprocess.run([python, "-c", OTAVA], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    main()
