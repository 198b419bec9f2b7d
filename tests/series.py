"""A folder of series in the formats of their origins, small and made up."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np


def packed(path: Path, rows: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(rows) + "\n"
    path.write_bytes(gzip.compress(text.encode())) if path.suffix == ".gz" else path.write_text(text, encoding="utf-8")


def write_spl(root: Path, *, runs: int = 12, sd: float = 0.003, seed: int = 1) -> None:
    random = np.random.default_rng(seed)
    for run in range(runs):
        times = 3e7 * np.exp(random.normal(0.0, sd) + random.normal(0.0, 0.1, 400))
        packed(root / f"spl_jdom/{run:02d}.dat.gz", ["#a header", "#begin", *(f"{time:.0f}" for time in times)])


def write_benchmarks(
    root: Path, name: str = "gha_bench", *, runs: int = 20, factors: Mapping[int, float] | None = None
) -> None:
    random = np.random.default_rng(2)
    rows = ["suite,bench,date_ms,commit,value,range,unit"]
    for run in range(runs):
        slow = (factors or {}).get(run, 1.0)
        for bench, unit in (("fib", "ns/iter"), ("rate", "ops/sec")):
            value = 1000.0 * np.exp(random.normal(0.0, 0.01)) * (slow if unit == "ns/iter" else 1.0 / slow)
            rows.append(f'suite,{bench},{run},c{run},"{value:,.1f}",+/- 1,{unit}')
    packed(root / name / "series.csv.gz", rows)


def write_fastify(root: Path, *, runs: int = 12) -> None:
    random = np.random.default_rng(3)
    rows = ["date,commit,name,version,requests,latency,throughput"]
    for run in range(runs):
        rows.append(f"2024-01-{run + 1:02d},c,plain,1.0.0,{50_000 * np.exp(random.normal(0.0, 0.01)):.1f},1.52,9")
        rows.append(f"2024-01-{run + 1:02d},c,gone,2.0.0,N/A,N/A,N/A")
    packed(root / "fastify/series.csv.gz", rows)


def write_otel(root: Path, *, jobs: int = 12) -> None:
    random = np.random.default_rng(5)
    rows = ["job_time,arm,request_avg_ms,request_p95_ms,iteration_avg_ms,iteration_p95_ms"]
    for job in range(jobs):
        for arm in ("none", "latest", "snapshot"):
            values = np.array([10.0, 30.0, 140.0, 210.0]) * np.exp(random.normal(0.0, 0.02, 4))
            rows.append(f"{1_600_000_000 + job * 86_400},{arm},{','.join(f'{value:.3f}' for value in values)}")
    packed(root / "otel_java/series.csv.gz", rows)


def write_mountpoint(root: Path, *, jobs: int = 12) -> None:
    random = np.random.default_rng(6)
    rows = ["family,suite,time_ms,commit,figure,kind,value"]
    for job in range(jobs):
        for figure, kind in (("read", "throughput"), ("latency", "p50")):
            rows.append(f'0,suite,{job},c{job},"{figure}, four threads",{kind},{3.0 * np.exp(random.normal(0.0, 0.02)):.4f}')
    packed(root / "mountpoint_s3/series.csv.gz", rows)


def write_influx(root: Path, *, commits: int = 20, jump: int = 12) -> None:
    random = np.random.default_rng(4)
    history = [",run,number,diffInserts,diffQueries1,diffQueries2"]
    labels = [",commit,type,min,med,max,jump,trend"]
    for number in range(1, commits + 1):
        for run in range(3):
            a, b, c = random.normal(0.0, 0.4, 3) + (8.0 if number >= jump else 0.0) * np.array([1, -1, 0])
            history.append(f"0,run{run},{number},{a},{b},{c}")
        if number == jump:
            labels += [f"0,{number},inserts,7,8,9,definite up,", f"1,{number},simple queries,-9,-8,-7,definite down,"]
    packed(root / "influx_vm_duet/app_history_influxdb.csv", history)
    packed(root / "influx_vm_duet/app_bootstrap_influx.csv", labels)


def write_all(root: Path) -> None:
    write_spl(root)
    write_benchmarks(root)
    write_benchmarks(root, "hyper_bench")
    write_fastify(root)
    write_influx(root)
    write_otel(root)
    write_mountpoint(root)
