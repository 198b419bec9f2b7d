"""The machine a figure was measured on, and how noisy it was meanwhile."""

from __future__ import annotations

import statistics
import time

from velro_gate.monitor.environment import environment


def describe() -> str:
    """One line: CPU, cores, memory, kernel, Python."""
    here = environment("benchmark")
    return f"{here.cpu_model}, {here.cores} cores, {here.memory / 2**30:.0f} GiB, {here.kernel}, {here.python}"


def noise(rounds: int = 15) -> str:
    """The spread of a fixed piece of pure computation: how much of any figure here is the machine's own unrest."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        sum(i * i for i in range(300_000))
        taken.append(time.perf_counter() - started)
    middle = statistics.median(taken)
    return f"a fixed computation took {min(taken) / middle:.2f} to {max(taken) / middle:.2f} times its median ({rounds} rounds)"
