"""Plans for benchmarks: a scenario file as a user would write one, read by the real reader."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from velro_gate.gate.measure.setup import RunOptions, Setup, prepare

PHASE = "load"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One phase of one step. rate: None for a closed loop without think time, that is, as fast as answers come."""

    users: int
    seconds: float
    ramp: float
    rate: float | None = None
    even: bool = False
    path: str = "/"
    method: str = "GET"
    timeout: float = 10.0
    source_addresses: Sequence[str] = ()
    requirements: Mapping[str, str] = field(default_factory=dict)


def write_scenario(folder: Path, wanted: Wanted) -> Path:
    """The scenario file (JSON is YAML too)."""
    pace: dict[str, Any] = {"think_time": "0 s"} if wanted.rate is None else {"rate": f"{wanted.rate}/s"}
    if wanted.even:
        pace["spacing"] = "even"
    phase = {
        "name": PHASE,
        "users": wanted.users,
        "ramp": f"{wanted.ramp} s",
        "duration": f"{wanted.seconds} s",
        "requirements": dict(wanted.requirements),
        **pace,
    }
    target: dict[str, Any] = {"url": "${env.VELRO_API_URL}", "verify_tls": False}
    if wanted.source_addresses:
        target["source_addresses"] = list(wanted.source_addresses)
    path = folder / "scenario.yaml"
    scenario = {
        "name": "benchmark",
        "target": target,
        "steps": [{"name": "ask", "method": wanted.method, "path": wanted.path, "timeout": f"{wanted.timeout} s"}],
        "profiles": {"pr": [phase]},
    }
    path.write_text(json.dumps(scenario, indent=1), encoding="utf-8")
    return path


def setup(folder: Path, url: str, wanted: Wanted) -> Setup:
    """The plan, ready to run."""
    return prepare(RunOptions(scenario=write_scenario(folder, wanted), profile="pr", url=url), os.environ)
