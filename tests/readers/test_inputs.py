"""Nothing that people write ends with an internal error: scenario, rows, waivers, event, environment are read or refused."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.github.test_event import environ as job_environ
from tests.github.test_event import pull_request, run_of
from tests.readers.damage import damaged, fuzzed, in_words, junk, put
from tests.scenario.files import shop
from velro_gate.cli.action.app import event_payload
from velro_gate.engine.machine.limits import MachineLimits
from velro_gate.errors import VelroError
from velro_gate.gate.action.inputs import read_inputs
from velro_gate.gate.measure.dry_run import dry_run
from velro_gate.gate.measure.setup import RunOptions, prepare
from velro_gate.gate.onboarding.doctor import examine_repository
from velro_gate.github.event import read_event
from velro_gate.scenario.feeders import feeder_from
from velro_gate.scenario.syntax.faults import Faults
from velro_gate.scenario.syntax.shape import FeederSpec
from velro_gate.scenario.syntax.tree import LinedDict
from velro_gate.scenario.waivers import read_waivers
from velro_gate.store.further import read_missing
from velro_gate.store.records import read_facts, read_record

pytestmark = [pytest.mark.hostile("small inputs"), pytest.mark.slow]

WHOLE = shop() | {
    "auth": {
        "login": {"step": {"name": "in", "method": "POST", "path": "/in", "json": {"a": 1.5}, "capture": {"token": "$.t"}}}
    },
    "headers": {"X-Version": 1.10, "X-User": "${user.id}"},
    "feeders": {
        "ids": {"file": "ids.csv"},
        "made": {"rows": 3, "columns": {"id": "uuid", "n": {"integer": [1, 9]}, "c": {"choice": [1, "b"]}, "t": {"text": 4}}},
    },
    "policy": {"margin": "5 %", "primary": ["p95", "list.p95"]},
    "requirements": {"p95": "< 75 ms", "list.error_rate": {"target": "< 1 %", "critical": "< 5 %", "source": "PRD"}},
}
WHOLE["steps"][0] |= {
    "query": {"q": "${ids.id}", "n": 5},
    "checks": [{"json": "$.items", "equals": 1}],
    "limits": {"p95": "< 1 s"},
}
WHOLE["profiles"] |= {
    "pr": {"from": "full", "scale": {"users": 0.5}, "phases": ["load"]},
    "other": [
        {"name": "x", "users": "1,000", "ramp": 1, "duration": "1 min", "think_time": "1 s", "requirements": {"p50": "< 1 s"}}
    ],
}
MACHINE = MachineLimits(descriptors_reachable=4096, ports=28_000, memory=2**32, cores=2.0)


@fuzzed
def test_any_scenario_is_planned_or_refused(tmp_path: Path, chance: random.Random) -> None:
    scenario, rows = damaged(WHOLE, chance), damaged("id,name\n1,a\n2,b\n", chance)
    put(tmp_path / "ids.csv", rows)
    put(tmp_path / "scenario.yaml", scenario)
    with in_words(scenario, rows):
        asked = RunOptions(scenario=tmp_path / "scenario.yaml", profile=chance.choice(["full", "pr", "other", None]))
        dry_run(prepare(asked, {}, need_secrets=False), MACHINE, {}).sentences()


FEEDER = "name: shop\ntarget: {url: http://x}\nsteps: [{name: a, path: '/${ids.id}'}]\nfeeders: {ids: {file: ids.json}}\n"
FEEDER += "profiles: {full: [{name: load, users: 1, duration: 1, rate: 1}]}\n"


def feeder_in(kind: str) -> FeederSpec:
    """A feeder with a file of this kind, as it stands in a scenario."""
    written = LinedDict(1)
    written.update(file=f"ids.{kind}")
    written.lines = {"file": 1}
    return FeederSpec.model_validate(written)


FEEDERS = {kind: feeder_in(kind) for kind in ("json", "csv")}


@pytest.mark.parametrize(
    ("kind", "rows"),
    [("json", [{"id": 1.10, "b": "x"}, {"id": 2, "b": True}]), ("csv", 'id,name\n1,"a b"\n2,b\n')],
    ids=["json", "csv"],
)
@fuzzed
def test_any_rows_are_read_or_refused(tmp_path: Path, kind: str, rows: Any, chance: random.Random) -> None:
    text, faults = damaged(rows, chance), Faults("scenario.yaml")
    put(tmp_path / f"ids.{kind}", text)
    with in_words(text):
        feeder = feeder_from(FEEDERS[kind], name="ids", folder=tmp_path, seed=1, faults=faults, line=1)
        assert (feeder is None) is bool(faults)


ROW = {
    "phase": "steady",
    "step": "all",
    "metric": "p95",
    "ceiling": "30 %",
    "expires": "2026-12-31",
    "issue": "#7",
    "reason": "r",
}


@fuzzed
def test_any_waivers_are_read_or_refused(tmp_path: Path, chance: random.Random) -> None:
    rows = damaged([ROW, {**ROW, "phase": "peak", "ceiling": 0.3, "issue": 7}], chance)
    put(tmp_path / "velro-waivers.yaml", rows)
    with in_words(rows):
        read_waivers(tmp_path / "velro-waivers.yaml")


WORKFLOW: Any = {
    "on": {"pull_request": {"paths": ["src/**"]}, "push": {"branches": ["main"]}},
    "permissions": {"contents": "read"},
    "jobs": {
        "gate": {
            "runs-on": ["self-hosted", "perf"],
            "if": "github.event.pull_request.head.repo.full_name == github.repository",
            "permissions": {"statuses": "write"},
            "strategy": {"matrix": {"runner": ["a", "b"]}},
            "concurrency": {"group": "x", "cancel-in-progress": True},
            "steps": [
                {"uses": "actions/checkout@v4", "with": {"ref": "x"}},
                {"uses": "acme/velro-gate@v1", "with": {"url": "u"}},
            ],
        }
    },
}


@fuzzed
def test_any_workflow_is_examined_or_named(tmp_path: Path, chance: random.Random) -> None:
    file = tmp_path / ".github/workflows/gate.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    text = damaged(WORKFLOW, chance)
    put(file, text)
    with in_words(text):
        examine_repository(tmp_path)


EVENTS: Mapping[str, Any] = {
    "pull_request": pull_request(),
    "workflow_run": run_of(),
    "push": {"ref": "refs/heads/main", "after": "a" * 40},
    "workflow_dispatch": {"inputs": {"profile": "pr", "pull-request": "7"}, "ref": "refs/heads/main"},
}


@fuzzed
def test_any_event_is_understood_or_refused(tmp_path: Path, chance: random.Random) -> None:
    path = tmp_path / "event.json"
    name = chance.choice([*EVENTS])
    payload = damaged(EVENTS[name], chance)
    put(path, payload)
    environ = {**job_environ(name), "GITHUB_EVENT_PATH": str(path)}
    with in_words(name, payload):
        read_inputs(environ, read_event(environ, event_payload(environ)).inputs)


INPUTS = (
    *("SCENARIO", "PHASES", "URL", "SHARDS", "KEEP", "STORE_PATH"),
    *("DUET", "PAIRS", "BLOCK_SECONDS", "MAX_MINUTES", "HEALTH_PATH"),
)


@fuzzed
def test_any_environment_is_taken_or_refused(tmp_path: Path, chance: random.Random) -> None:
    scenario = tmp_path / "scenario.yaml"
    if not scenario.exists():
        tree = shop()
        del tree["target"]
        scenario.write_text(json.dumps(tree), encoding="utf-8")
    environ = {name: str(junk(chance)) for name in ("VELRO_API_URL", "REDIS_URL", "DATABASE_URL") if chance.random() < 0.7}
    environ |= {f"VELRO_{name}": str(junk(chance)) for name in chance.sample(INPUTS, 2)}
    with in_words(environ):
        dry_run(prepare(RunOptions(scenario=scenario), environ), MACHINE, environ).sentences()
    with in_words(environ):
        read_inputs(environ)


@pytest.mark.parametrize("deep", ["[" * 20_000, '{"a":' * 20_000, "- " * 3_000])
def test_a_deep_bracket_is_refused_by_every_reader(tmp_path: Path, deep: str) -> None:
    for name in ("record.json", "facts.json", "confirmation.json", "velro-waivers.yaml", "ids.json", "event.json"):
        (tmp_path / name).write_text(deep, encoding="utf-8")
    (tmp_path / "scenario.yaml").write_text(FEEDER, encoding="utf-8")
    for read in (read_record, read_facts, read_missing):
        with pytest.raises(VelroError):
            read(tmp_path)
    for refused in (
        lambda: read_waivers(tmp_path / "velro-waivers.yaml"),
        lambda: prepare(RunOptions(scenario=tmp_path / "scenario.yaml"), {}),
        lambda: prepare(RunOptions(scenario=tmp_path / "velro-waivers.yaml"), {}),
        lambda: event_payload({"GITHUB_EVENT_PATH": str(tmp_path / "event.json")}),
    ):
        with pytest.raises(VelroError):
            refused()
