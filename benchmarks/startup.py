"""How long ``velro-gate --help`` takes. ``python -m benchmarks.startup``."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks import machine

ROUNDS = 15


def main() -> None:
    """Time fresh processes."""
    print(machine.describe())
    print(machine.noise())
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "velro_gate", "--help"], stdout=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - started)
    print(f"velro-gate --help: median {statistics.median(taken):.3f} s ({min(taken):.3f} to {max(taken):.3f}, {ROUNDS} rounds)")
    print("target: under 0.15 s")


if __name__ == "__main__":
    main()
