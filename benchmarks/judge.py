"""How long judging a kept record of a million samples takes. ``python -m benchmarks.judge``."""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import machine
from velro_gate.evaluation.simulated.queues import HEALTHY
from velro_gate.gate.measure.run import summaries
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.model.record import Plan, Revision, RunRecord
from velro_gate.model.run import PhaseRun, RunFacts, Tick
from velro_gate.model.samples import FIRST_CACHE_LAYER, Samples
from velro_gate.monitor.environment import environment
from velro_gate.scenario import load_scenario, profile_digest
from velro_gate.store.records import SampleWriter, read_samples, write_record

Drawn = Callable[[float, float, int, int], Samples]
"""Samples of a phase: from the start of its measured stretch, its seconds, the number of steps and of users."""

NOT_READ = frozenset({"database_connections"})
PROFILE, PHASE = "full", "prd_compliance_validation"


def main() -> None:
    """Write a record, judge it in fresh processes, print the seconds and the memory."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--samples", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=5)
    wanted = options.parse_args()
    print(machine.describe())
    print(machine.noise())
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "record"
        write(folder, partial(drawn, wanted.samples))
        taken = [judged(folder) for _ in range(wanted.rounds)]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(
        f"judging {wanted.samples:,} samples, whole process: median {statistics.median(taken):.2f} s "
        f"({min(taken):.2f} to {max(taken):.2f}, {wanted.rounds} rounds), at most {peak / 2**20:.0f} MiB"
    )
    print("target: 1,000,000 samples under 3 s")


def judged(folder: Path) -> float:
    """Seconds of one ``velro-gate judge``, start of the interpreter included."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "velro_gate", "judge", str(folder), "--baselines", str(folder.parent / "none")],
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return time.perf_counter() - started


def write(folder: Path, draw: Drawn) -> RunRecord:
    """A record of one phase, with the samples that are drawn for it."""
    scenario = load_scenario(shipped_scenario("velro-prd"), {})
    planned = next(phase for phase in scenario.profiles[PROFILE] if phase.name == PHASE)
    # A simulated run has no readings, and what is required and was not measured would break it.
    measured = tuple(wanted for wanted in planned.requirements if wanted.metric not in NOT_READ)
    phase = replace(planned, requirements=measured)
    names = tuple(step.name for step in scenario.steps)
    plan = Plan(
        scenario=scenario.name,
        digest=profile_digest(scenario, PROFILE),
        profile=PROFILE,
        steps=names,
        phases=(phase,),
        policy=scenario.policy,
    )
    samples = draw(phase.ramp, phase.duration, len(names), phase.users)
    count = len(samples)
    counts = np.bincount(samples.step, minlength=len(names))
    end = phase.ramp + phase.duration
    nobody = dict.fromkeys(names, 0)
    ran = PhaseRun(
        name=phase.name,
        started=0.0,
        measured_from=phase.ramp,
        measured_until=end,
        ended=end + 1.0,
        users=phase.users,
        due={name: int(found) for name, found in zip(names, counts, strict=True)},
        blocked=nobody,
        missed=nobody,
        sent_total=count,
        delivered_total=count,
        connections_opened=phase.users,
        reconnects=0,
        retries=0,
        ticks=tuple(
            Tick(at=float(second), connected=phase.users, in_flight=10, sent=0, ok=0, failed=0) for second in range(int(end))
        ),
        health=HEALTHY,
    )
    facts = RunFacts(phases=(ran,), readings=(), layers=("memory",))
    folder.mkdir()
    with SampleWriter(folder / "samples.npz") as writer:
        for start in range(0, count, 16_384):
            writer.append(phase.name, samples.where(slice_mask(count, start)))
    record = RunRecord(
        id=folder.name,
        started_at="2026-01-01T00:00:00Z",
        tool="benchmark",
        plan=plan,
        environment=environment("benchmark"),
        revision=Revision(),
        phases=summaries(plan, facts, read_samples(folder / "samples.npz")),
    )
    write_record(folder, record, facts)
    return record


def slice_mask(count: int, start: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows belong to the chunk that starts here."""
    mask = np.zeros(count, np.bool_)
    mask[start : start + 16_384] = True
    return mask


def drawn(count: int, start: float, seconds: float, steps: int, users: int) -> Samples:
    """Samples in order of their due time."""
    random = np.random.default_rng(1)
    due = np.sort(random.uniform(start, start + seconds, count))
    sent = due + random.exponential(0.0003, count)
    done = sent + random.lognormal(np.log(0.01), 0.3, count)
    return Samples(
        due=due,
        sent=sent,
        done=done,
        queued=np.zeros(count, np.float32),
        connect=np.full(count, np.nan, np.float32),
        first_byte=(done - sent).astype(np.float32),
        step=random.integers(0, steps, count).astype(np.uint16),
        user=random.integers(0, users, count).astype(np.uint32),
        status=np.full(count, 200, np.uint16),
        outcome=np.zeros(count, np.uint8),
        cache=np.full(count, FIRST_CACHE_LAYER, np.uint8),
        received=np.full(count, 300, np.uint32),
    )


if __name__ == "__main__":
    main()
