"""The whole decision on a million autocorrelated samples against 30 baselines. ``python -m benchmarks.decision``.

Nothing has changed, so it must not fail. Two times, each in fresh processes: of the decision, from files to verdict, and
of ``velro-gate judge`` as a whole, which first starts an interpreter and imports scipy.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import signal

from benchmarks import judge, machine
from velro_gate.model.samples import Samples
from velro_gate.store.baselines import add_baseline

MEMORY = 0.999
"""Of the slow part of a response time from one request to the next: about a second's worth of requests."""
SLOW_SHARE = 0.5
RUN_SD = 0.015
BASELINES = 30
DECIDE = """
import sys, time
from pathlib import Path
from velro_gate.gate.judge.verdict import reach_verdict, reread
began, root = time.perf_counter(), Path(sys.argv[1])
reach_verdict(reread(root / "run"), root / "baselines")
print(time.perf_counter() - began)
"""


def main() -> None:
    """Write the run and its baselines, judge in fresh processes, print seconds, memory and what was decided."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--samples", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    wanted = options.parse_args()
    if wanted.write is not None:
        write(wanted.write, wanted.samples, wanted.seed)
        return
    print(machine.describe())
    print(machine.noise())
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        # By a process of its own: the memory of whoever starts another one counts as that one's peak.
        writing = ["--write", place, "--samples", str(wanted.samples), "--seed", str(wanted.seed)]
        subprocess.run([sys.executable, "-m", "benchmarks.decision", *writing], check=True)
        alone = [decided(root) for _ in range(wanted.rounds)]
        ended = [judged(root) for _ in range(wanted.rounds)]
    taken = [seconds for seconds, _, _ in ended]
    peak = max(peak for _, peak, _ in ended)
    verdict = ended[0][2]
    changes = Counter(row["finding"] for row in verdict["comparisons"] if row["primary"])
    print(f"deciding on {wanted.samples:,} samples and {BASELINES} baselines, {wanted.rounds} rounds")
    for name, seconds in (("from the files to the verdict", alone), ("whole process", taken)):
        print(f"{name}: median {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
    print(f"memory of the whole process at most {peak / 10**6:.0f} MB")
    print(f"decided: {verdict['headline']}")
    print(f"primary figures: {', '.join(f'{n} {name}' for name, n in changes.items())}")
    print("target: no fail, under 2 s, under 300 MB")


def decided(root: Path) -> float:
    """Seconds of the decision alone, in a fresh process."""
    done = subprocess.run([sys.executable, "-c", DECIDE, root], stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def write(root: Path, samples: int, seed: int) -> None:
    """The run and the baselines before it."""
    write_baselines(root, samples, seed)
    judge.write(root / "run", partial(drawn, samples, np.random.default_rng([seed, BASELINES])))


def write_baselines(root: Path, count: int, seed: int) -> None:
    """Accepted runs before it, an hour apart."""
    for number in range(BASELINES):
        record = judge.write(root / f"baseline-{number}", partial(drawn, count, np.random.default_rng([seed, number])))
        add_baseline(root / "baselines", replace(record, started_at=f"2025-12-{1 + number // 24:02d}T{number % 24:02d}:00:00Z"))
        for path in (root / f"baseline-{number}").iterdir():
            path.unlink()


def judged(root: Path) -> tuple[float, int, dict[str, Any]]:
    """Seconds of one judgement, its peak of memory in bytes, and the verdict's document."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "velro_gate", "judge", root / "run", "--baselines", root / "baselines", "--format", "json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as out:
        document = out.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - started, usage.ru_maxrss * 1024, json.loads(document)


def drawn(count: int, random: np.random.Generator, start: float, seconds: float, steps: int, users: int) -> Samples:
    """Lognormal response times around 10 ms, half of whose variance moves slowly; the run's own level is a little off."""
    plain = judge.drawn(count, start, seconds, steps, users)
    kicks = random.standard_normal(count) * math.sqrt(1.0 - MEMORY**2)
    slow = signal.lfilter([1.0], [1.0, -MEMORY], kicks)
    log = 0.3 * (math.sqrt(SLOW_SHARE) * slow + math.sqrt(1.0 - SLOW_SHARE) * random.standard_normal(count))
    done = plain.sent + 0.01 * np.exp(log + random.normal(0.0, RUN_SD))
    return replace(plain, done=done, first_byte=(done - plain.sent).astype(np.float32))


if __name__ == "__main__":
    main()
