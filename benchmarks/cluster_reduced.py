"""Samples that workers reduce: what that costs them and the head, and how far the figures are from those of all samples.

Each worker is a process that makes samples, ten seconds' worth at a time, and reduces them to the messages that would travel.
The head is another one, which takes them in turn, keeps them, and summarises the phase from its file. The truth is the exact
quantile of all response times, which the workers leave in files for a third process.
"""

from __future__ import annotations

import json
import pickle
import resource
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.processes import module, our_environment
from benchmarks.table import Page, Table, at_most, figures_table
from velro_gate.analysis.summaries.reduced.bins import ERROR
from velro_gate.analysis.summaries.reduced.frame import Frame
from velro_gate.analysis.summaries.reduced.phase import summarise_reduced
from velro_gate.analysis.summaries.reduced.reduce import reduced
from velro_gate.analysis.summaries.reduced.tables import Kind
from velro_gate.engine.shards.encoding import packed_message, unpacked_message
from velro_gate.engine.shards.lost import Received
from velro_gate.engine.shards.merge import LayerNames
from velro_gate.engine.shards.messages import ReducedChunk
from velro_gate.evaluation.simulated.queues import HEALTHY
from velro_gate.model.record import PhaseSummary
from velro_gate.model.run import PhaseRun
from velro_gate.model.samples import COLUMNS, Outcome, Samples
from velro_gate.model.scenario import OpenArrivals, Phase
from velro_gate.store.records import SampleWriter
from velro_gate.store.samples import read_kept

HEAD_SECONDS, HEAD_MEMORY, WORKER_COST = 30.0, 2e9, 1e-6
STEPS = tuple(f"step {index}" for index in range(8))
RAMP, AT_A_TIME = 10.0, 10.0
RANKS = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "p999": 0.999}
_LAYERS = ("memory", "redis")


def show_reduced(page: Page, workers: int, rows: int, seconds: float) -> None:
    """The costs and the errors. rows: of each worker; seconds: of the phase."""
    with tempfile.TemporaryDirectory() as folder:
        # Two at a time would measure each other.
        costs = [_asked("worker", folder, index, rows, seconds) for index in range(workers)]
        head = _asked("head", folder, workers, rows, seconds)
        truth = _asked("truth", folder, workers, rows, seconds)
    every = workers * rows
    page.show(
        figures_table(
            f"Samples of {workers} workers x {rows:,} in {seconds:,.0f} s, reduced on the workers",
            (
                at_most(
                    "CPU of a worker for one sample",
                    max(one["cpu"] for one in costs) / rows * 1e6,
                    WORKER_COST * 1e6,
                    "{:.3f} µs",
                ),
                at_most("CPU of the head", head["cpu"], HEAD_SECONDS, "{:.1f} s"),
                at_most("seconds of the head", head["seconds"], HEAD_SECONDS, "{:.1f} s"),
                at_most("memory of the head's whole process", head["memory"] / 1e6, HEAD_MEMORY / 1e6, "{:,.0f} MB"),
                at_most("greatest error of a quantile", _error(head, truth), ERROR, "{:.3%}"),
                at_most("samples that were lost", every - head["counted"], 0.0, "{:,.0f}"),
                at_most("error of the mean", abs(head["mean"] / truth["mean"] - 1.0), 1e-6, "{:.1e}"),
            ),
        )
    )
    page.show(
        Table(
            title="Quantiles of the response times of all requests",
            columns=("quantile", "of all samples", "reduced", "95 % interval, bins included", "error"),
            rows=tuple(
                (
                    name,
                    f"{truth[name] * 1e3:.4f} ms",
                    f"{head[name][0] * 1e3:.4f} ms",
                    f"{head[name][1] * 1e3:.4f} to {head[name][2] * 1e3:.4f} ms",
                    f"{head[name][0] / truth[name] - 1.0:+.3%}",
                )
                for name in RANKS
            ),
        )
    )
    raw = every * sum(kind().itemsize for kind in COLUMNS.values()) / 1e6
    page.say(
        f"{head['travelled'] / 1e6:,.0f} MB travelled instead of {raw:,.0f} MB, and {head['kept'] / 1e6:,.0f} MB are kept. "
        f"The busiest worker's whole process took {max(one['memory'] for one in costs) / 1e6:,.0f} MB."
    )


def _error(head: dict, truth: dict) -> float:
    return max(abs(head[name][0] / truth[name] - 1.0) for name in RANKS)


def _asked(*arguments: object) -> dict:
    said = subprocess.run(
        module("benchmarks.cluster", "--only-reduced", *arguments),
        env=our_environment(),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(said.stdout)


def only_reduced(what: str, folder: str, number: str, rows: str, seconds: str) -> None:
    """What ``show_reduced`` starts."""
    made = {"worker": _worker, "head": _head, "truth": _truth}[what]
    found = made(Path(folder), int(number), int(rows), float(seconds))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**found, "memory": peak}))


def _pieces(rows: int, seconds: float) -> list[int]:
    edges = np.linspace(0, rows, round(seconds / AT_A_TIME) + 1).astype(int)
    return np.diff(edges).tolist()


def _some(random: np.random.Generator, count: int, begin: float) -> Samples:
    """Response times of two kinds, a third of them hits, with a tail and a few failures."""
    step = random.integers(0, len(STEPS), count)
    cache = random.choice([1, 2, 3], count, p=[0.4, 0.5, 0.1])
    service = random.lognormal(np.where(cache == 1, -3.3, -5.5) + 0.1 * step, 0.45)
    service += np.where(random.random(count) < 0.004, random.pareto(2.0, count), 0.0)
    outcome = np.where(random.random(count) < 0.001, Outcome.STATUS, Outcome.OK)
    due = np.sort(random.uniform(begin, begin + AT_A_TIME, count))
    sent = due + random.exponential(2e-4, count)
    columns = {
        "due": due,
        "sent": sent,
        "done": sent + service,
        "queued": np.zeros(count),
        "connect": np.full(count, np.nan),
        "first_byte": service,
        "step": step,
        "user": random.integers(0, 10_000, count),
        "status": np.where(outcome == Outcome.OK, 200, 503),
        "outcome": outcome,
        "cache": cache,
        "received": random.integers(300, 20_000, count),
    }
    return Samples(**{name: columns[name].astype(kind) for name, kind in COLUMNS.items()})


def _worker(folder: Path, index: int, rows: int, seconds: float) -> dict:
    random = np.random.default_rng(index)
    frame = Frame(measured_from=RAMP, planned=seconds, steps=len(STEPS))
    spent = 0.0
    with (folder / f"{index}.messages").open("wb") as out, (folder / f"{index}.times").open("wb") as times:
        for number, count in enumerate(_pieces(rows, seconds)):
            some = _some(random, count, RAMP + number * AT_A_TIME)
            began = time.process_time()
            data = packed_message(ReducedChunk(phase="p", samples=reduced(some, frame), layers=_LAYERS))
            spent += time.process_time() - began
            pickle.dump(data, out, protocol=5)
            times.write(some.response_time[some.ok].tobytes())
    return {"cpu": spent}


def _head(folder: Path, workers: int, rows: int, seconds: float) -> dict:
    began, spent = time.perf_counter(), time.process_time()
    layers, received, travelled = LayerNames(), Received(), 0
    kept = folder / "samples.npz"
    with SampleWriter(kept) as writer:
        streams = [(folder / f"{index}.messages").open("rb") for index in range(workers)]
        for _ in _pieces(rows, seconds):
            for stream in streams:
                data = pickle.load(stream)
                travelled += len(data)
                came = unpacked_message(data)
                assert isinstance(came, ReducedChunk)
                received.add_reduced(came.samples)
                writer.add_reduced("p", came.samples.renumbered(layers.codes(came.layers)))
    tables = read_kept(kept)[1]["p"]
    due = {name: int(tables.of(Kind.LATENESS, index).count.sum()) for index, name in enumerate(STEPS)}
    found = summarise_reduced(
        _phase(workers * rows / seconds, seconds), STEPS, _run(due, seconds), tables, (), tuple(layers.names)
    )
    return {
        "cpu": time.process_time() - spent,
        "seconds": time.perf_counter() - began,
        "travelled": travelled,
        "kept": kept.stat().st_size,
        "counted": found.steps[0].counts.sent,
        "mean": _value(found, "mean")[0],
        **{name: _value(found, name) for name in RANKS},
    }


def _value(found: PhaseSummary, metric: str) -> tuple[float, float, float]:
    estimate = found.measurement(metric)
    assert estimate is not None
    return estimate.value, estimate.low, estimate.high


def _truth(folder: Path, workers: int, _rows: int, _seconds: float) -> dict:
    times = np.concatenate([np.fromfile(folder / f"{index}.times") for index in range(workers)])
    found = np.quantile(times, list(RANKS.values()), overwrite_input=True).tolist()
    return {**dict(zip(RANKS, found, strict=True)), "mean": float(times.mean())}


def _phase(rate: float, seconds: float) -> Phase:
    return Phase(name="p", users=10_000, ramp=RAMP, duration=seconds, arrivals=OpenArrivals(rate=rate))


def _run(due: dict[str, int], seconds: float) -> PhaseRun:
    total = sum(due.values())
    return PhaseRun(
        name="p",
        started=0.0,
        measured_from=RAMP,
        measured_until=RAMP + seconds,
        ended=RAMP + seconds + 1.0,
        users=10_000,
        due=due,
        blocked={},
        missed={},
        sent_total=total,
        delivered_total=total,
        connections_opened=10_000,
        reconnects=0,
        retries=0,
        ticks=(),
        health=HEALTHY,
    )
