"""No input of any kind ends with an internal error: whatever stands in a file or a variable is read, or refused in words."""

from __future__ import annotations

import contextlib
import functools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.analysis.runs import run
from tests.github.test_event import environ as job_environ
from tests.github.test_event import pull_request, run_of
from tests.report import duets
from tests.scenario.files import shop
from tests.store.test_selftests import made as a_selftest
from velro_gate.analysis.verdict.judge import judge
from velro_gate.cli.action.app import event_payload
from velro_gate.engine.machine.limits import MachineLimits
from velro_gate.errors import VelroError
from velro_gate.gate.action.inputs import read_inputs
from velro_gate.gate.judge.verdict import judge_kept
from velro_gate.gate.measure.dry_run import dry_run
from velro_gate.gate.measure.setup import RunOptions, prepare
from velro_gate.github.event import read_event
from velro_gate.model.run import Reading, RunFacts
from velro_gate.report.formats.comment import markdown
from velro_gate.scenario.waivers import read_waivers
from velro_gate.store.baselines import load_baselines
from velro_gate.store.codec import encode_duet, encode_facts, encode_record, encode_selftest
from velro_gate.store.duets import read_duet
from velro_gate.store.further import read_missing
from velro_gate.store.records import read_facts, read_record
from velro_gate.store.selftests import known_selftest, place_of

pytestmark = [pytest.mark.hostile("small inputs"), pytest.mark.slow]

CASES = 50
"""Of each example: the readers are quick, and drawing every one by hypothesis would take ten times their time."""
examples = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
chances = given(st.integers(0, 2**48).map(random.Random))
# What has gone wrong somewhere in some reader: numbers at the edges, endless ones, half a character, what YAML makes of words.
NASTY: Sequence[object] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, -0.0, 1e308, 5e-324, float("inf"), float("nan")),
    *(
        "",
        " ",
        "\0",
        "\ud800",
        "\u2028",
        "a\nb",
        "1.10",
        "+49",
        "30",
        "-1 s",
        "1e999",
        "2026-02-30",
        "${",
        "${env.X}",
        "${user.id",
    ),
    *("é" * 50, "x" * 300, "../x", "/", "http://[::1", "http://x:99999", "http://\0", "< 5", "< -1 %", "NaN", "٣", "²"),
    *([], {}, [[]], {"": None}, [None], {"a": {"b": []}}),
)


def _places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from _places(value, (*path, key))


def junk(chance: random.Random) -> Any:
    """A value that something may choke on."""
    word = "".join(chance.choices("a0-+.:{}[]$%&*!|>'\"\\ \n\t\0é\ud83d", k=chance.randrange(12)))
    return chance.choice([chance.choice(NASTY), word, chance.uniform(-1e3, 1e12), chance.randrange(-(10**6), 10**12)])


def changed(tree: Any, chance: random.Random) -> Any:
    """The tree with up to three of its places set to other values, left out, renamed or doubled."""
    many = chance.randrange(4)
    # Quicker than a deep copy by far.
    tree = json.loads(json.dumps(tree)) if many else tree
    for _ in range(many):
        value, places = junk(chance), list(_places(tree))
        if not places:
            return value
        *path, last = chance.choice(places)
        owner = functools.reduce(lambda inner, key: inner[key], path, tree)
        how = chance.choice(["set", "set", "drop", "rename", "twice"])
        if how == "drop":
            del owner[last]
        elif how == "rename" and isinstance(owner, dict):
            owner[str(value)] = owner.pop(last)
        elif how == "twice" and isinstance(owner, list):
            owner.append(owner[last])
        else:
            owner[last] = value
    return tree


def damaged(tree: Any, chance: random.Random) -> bytes:
    """A file that was JSON of this tree, or this text, before somebody changed it; sometimes it never was."""
    text = tree if isinstance(tree, str) else json.dumps(changed(tree, chance))
    whole = text.encode("utf-8", "surrogatepass")
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(80))
    if chance.random() < 0.5:
        at = chance.randrange(len(whole) + 1)
        put = chance.choice([chance.randbytes(2), str(junk(chance)).encode("utf-8", "surrogatepass")])
        whole = whole[:at] + put + whole[at + chance.randrange(30) :]
    return whole


@contextlib.contextmanager
def in_words(*case: object) -> Iterator[None]:
    """Whatever is refused has a message and an exit code of its own."""
    try:
        yield
    except VelroError as error:
        if error.exit_code == VelroError.exit_code:
            raise AssertionError(f"given {case!r}") from error
    except Exception as error:
        error.add_note(f"given {case!r}")
        raise


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
MACHINE = MachineLimits(descriptors_soft=1024, descriptors_reachable=4096, ports=28_000, memory=2**32, cores=2.0)


@examples
@chances
def test_any_scenario_is_planned_or_refused(tmp_path: Path, chance: random.Random) -> None:
    for _ in range(CASES):
        scenario, rows = damaged(WHOLE, chance), damaged("id,name\n1,a\n2,b\n", chance)
        (tmp_path / "ids.csv").write_bytes(rows)
        (tmp_path / "scenario.yaml").write_bytes(scenario)
        with in_words(scenario, rows):
            asked = RunOptions(scenario=tmp_path / "scenario.yaml", profile=chance.choice(["full", "pr", "other", None]))
            dry_run(prepare(asked, {}, need_secrets=False), MACHINE, {}).sentences()


FEEDER = "name: shop\ntarget: {url: http://x}\nsteps: [{name: a, path: '/${ids.id}'}]\nfeeders: {ids: {file: ids.json}}\n"
FEEDER += "profiles: {full: [{name: load, users: 1, duration: 1, rate: 1}]}\n"


@examples
@chances
def test_any_json_of_rows_is_read_or_refused(tmp_path: Path, chance: random.Random) -> None:
    (tmp_path / "scenario.yaml").write_text(FEEDER, encoding="utf-8")
    for _ in range(CASES):
        rows = damaged([{"id": 1.10, "b": "x"}, {"id": 2, "b": True}], chance)
        (tmp_path / "ids.json").write_bytes(rows)
        with in_words(rows):
            prepare(RunOptions(scenario=tmp_path / "scenario.yaml"), {})


ROW = {
    "phase": "steady",
    "step": "all",
    "metric": "p95",
    "ceiling": "30 %",
    "expires": "2026-12-31",
    "issue": "#7",
    "reason": "r",
}


@examples
@chances
def test_any_waivers_are_read_or_refused(tmp_path: Path, chance: random.Random) -> None:
    for _ in range(CASES):
        rows = damaged([ROW, {**ROW, "phase": "peak", "ceiling": 0.3, "issue": 7}], chance)
        (tmp_path / "velro-waivers.yaml").write_bytes(rows)
        with in_words(rows):
            read_waivers(tmp_path / "velro-waivers.yaml")


RUN = run()
BESIDE: Any = json.loads(encode_record(run(), compact=True))


@examples
@chances
def test_any_record_is_judged_and_reported_or_refused(tmp_path: Path, chance: random.Random) -> None:
    tree = json.loads(encode_record(RUN))
    for _ in range(CASES):
        record = damaged(tree, chance)
        (tmp_path / "record.json").write_bytes(record)
        with in_words(record):
            read_record(tmp_path)
            if chance.random() < 0.2:
                markdown(*judge_kept(tmp_path, tmp_path / "baselines"))


@examples
@chances
def test_any_baseline_is_compared_with_or_skipped_by_name(tmp_path: Path, chance: random.Random) -> None:
    folder = tmp_path / RUN.plan.scenario / "environment"
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(CASES):
        record = damaged(BESIDE, chance)
        (folder / "20261101T000000Z-abc.json").write_bytes(record)
        with in_words(record):
            found = load_baselines(tmp_path, plan=RUN.plan, environment=RUN.environment)
            assert found.accepted or found.skipped
            if found.accepted and chance.random() < 0.2:
                judge(RUN, found.accepted)


FACTS = RunFacts(phases=(), readings=(Reading(at=1.0, source="service", name="rss", value=1.5),), layers=("L1",))


@examples
@chances
def test_any_facts_and_any_confirmation_are_read_or_refused(tmp_path: Path, chance: random.Random) -> None:
    tree = json.loads(encode_facts(FACTS))
    for _ in range(CASES):
        facts, confirmation = damaged(tree, chance), damaged({"schema": 1, "not_run_again": {"steady": "late"}}, chance)
        (tmp_path / "facts.json").write_bytes(facts)
        (tmp_path / "confirmation.json").write_bytes(confirmation)
        with in_words(facts):
            read_facts(tmp_path)
        with in_words(confirmation):
            read_missing(tmp_path)


PAIRS = duets.kept(pairs=1, sd=0.01)


@examples
@chances
def test_any_duet_is_judged_and_reported_or_refused(tmp_path: Path, chance: random.Random) -> None:
    (tmp_path / "record.json").write_text(encode_record(duets.record(PAIRS)), encoding="utf-8")
    tree = json.loads(encode_duet(PAIRS))
    for _ in range(CASES):
        pairs = damaged(tree, chance)
        (tmp_path / "duet.json").write_bytes(pairs)
        with in_words(pairs):
            read_duet(tmp_path)
            if chance.random() < 0.02:
                markdown(*judge_kept(tmp_path, tmp_path / "baselines"))


SELFTEST = a_selftest()


@examples
@chances
def test_any_selftest_is_read_or_refused(tmp_path: Path, chance: random.Random) -> None:
    tree = json.loads(encode_selftest(SELFTEST))
    for _ in range(CASES):
        selftest = damaged(tree, chance)
        place_of(tmp_path, SELFTEST.environment).write_bytes(selftest)
        with in_words(selftest):
            known_selftest(tmp_path, SELFTEST.environment)


EVENTS: Mapping[str, Any] = {
    "pull_request": pull_request(),
    "workflow_run": run_of(),
    "push": {"ref": "refs/heads/main", "after": "a" * 40},
    "workflow_dispatch": {"inputs": {"profile": "pr", "pull-request": "7"}, "ref": "refs/heads/main"},
}


@examples
@chances
def test_any_event_is_understood_or_refused(tmp_path: Path, chance: random.Random) -> None:
    path = tmp_path / "event.json"
    for _ in range(CASES):
        name = chance.choice([*EVENTS])
        payload = damaged(EVENTS[name], chance)
        path.write_bytes(payload)
        environ = {**job_environ(name), "GITHUB_EVENT_PATH": str(path)}
        with in_words(payload):
            read_inputs(environ, read_event(environ, event_payload(environ)).inputs)


INPUTS = (
    "SCENARIO",
    "PHASES",
    "URL",
    "SHARDS",
    "KEEP",
    "STORE_PATH",
    "DUET",
    "PAIRS",
    "BLOCK_SECONDS",
    "MAX_MINUTES",
    "HEALTH_PATH",
)


@examples
@chances
def test_any_environment_is_taken_or_refused(tmp_path: Path, chance: random.Random) -> None:
    tree = shop()
    del tree["target"]
    (tmp_path / "scenario.yaml").write_text(json.dumps(tree), encoding="utf-8")
    for _ in range(CASES):
        environ = {name: str(junk(chance)) for name in ("VELRO_API_URL", "REDIS_URL", "DATABASE_URL") if chance.random() < 0.7}
        environ |= {f"VELRO_{name}": str(junk(chance)) for name in chance.sample(INPUTS, 2)}
        with in_words(environ):
            setup = prepare(RunOptions(scenario=tmp_path / "scenario.yaml"), environ)
            dry_run(setup, MACHINE, environ).sentences()
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
