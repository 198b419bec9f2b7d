"""The exported schema accepts what the reader accepts, and a scenario made of sound parts is read back as it was meant."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scenario.files import load, schema, shop
from velro_gate.errors import UsageError
from velro_gate.model.metrics import METRICS
from velro_gate.model.scenario import OpenArrivals
from velro_gate.scenario import json_schema
from velro_gate.scenario.syntax.quantities import METHODS
from velro_gate.scenario.syntax.shape import FileSpec

names = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_-]{0,12}\Z").filter(lambda name: name not in ("all", "user", "env"))
words = st.text("abc XYZ,.:-äß/\N{ROCKET}", max_size=12)
seconds = st.integers(1, 3600).flatmap(
    lambda n: st.sampled_from([(n, n), (f"{n} s", n), (f"{n}s", n), (f"{n} min", 60 * n), (f"{n * 1000} ms", n)])
)
counts = st.integers(1, 20_000).flatmap(lambda n: st.sampled_from([(n, n), (f"{n:,}", n), (str(n), n)]))
rates = st.integers(1, 5_000).flatmap(
    lambda n: st.sampled_from([(n, n), (f"{n}/s", n), (f"{n:,} /s", n), (f"{60 * n}/min", n)])
)
shares = st.integers(1, 100).flatmap(lambda n: st.sampled_from([(n / 100, n / 100), (f"{n} %", n / 100), (f"{n}%", n / 100)]))
scalars = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | words
bodies = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=6
)


@st.composite
def steps(draw: st.DrawFn, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A step as it is written, and what it must come to."""
    probability, meant_probability = draw(shares)
    timeout, meant_timeout = draw(seconds)
    written = {"name": name, "path": f"/{name}", "probability": probability, "timeout": timeout}
    meant: dict[str, Any] = {"name": name, "probability": meant_probability, "timeout": meant_timeout, "body": None}
    if draw(st.booleans()):
        written["method"] = draw(st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]))
        written["json"] = meant["body"] = draw(bodies)
    if draw(st.booleans()):
        written["checks"] = draw(st.lists(st.just({"json": "$.a[0]"}) | st.just({"contains": "x"}), max_size=2))
    if draw(st.booleans()):
        written["expect"] = draw(st.integers(100, 599) | st.lists(st.integers(100, 599), min_size=1, max_size=3))
    return written, meant


@st.composite
def phases(draw: st.DrawFn, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A phase as it is written, and what it must come to."""
    users, rate, duration, ramp = draw(counts), draw(rates), draw(seconds), draw(seconds)
    written = {"name": name, "users": users[0], "rate": rate[0], "duration": duration[0], "ramp": ramp[0]}
    spacing = draw(st.sampled_from([None, "poisson", "even"]))
    if spacing:
        written["spacing"] = spacing
    limit = draw(st.integers(1, 1000))
    written["requirements"] = draw(
        st.just({"p95": f"< {limit} ms"}) | st.just([{"metric": "p95", "target": f"<{limit}ms", "critical": f"{limit + 1} ms"}])
    )
    arrivals = OpenArrivals(rate=float(rate[1]), spacing=spacing or "poisson")
    return written, {"users": users[1], "duration": duration[1], "ramp": ramp[1], "arrivals": arrivals, "limit": limit / 1000}


@st.composite
def scenarios(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, dict[str, dict[str, Any]]]]:
    """A sound scenario as it is written, its steps and its phases by profile as they are meant."""
    made_steps = [draw(steps(name)) for name in draw(st.lists(names, min_size=1, max_size=4, unique=True))]
    profiles: dict[str, dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {}
    for profile in draw(st.lists(names, min_size=1, max_size=2, unique=True)):
        profiles[profile] = {name: draw(phases(name)) for name in draw(st.lists(names, min_size=1, max_size=3, unique=True))}
    written = {
        "name": draw(names),
        "description": draw(words),
        "target": {"url": "http://127.0.0.1:8400"},
        "seed": draw(st.integers(0, 2**31)),
        "cookies": draw(st.booleans()),
        "auth": draw(st.sampled_from(["none", "bearer", {"bearer": "TOKEN"}])),
        "steps": [step for step, _ in made_steps],
        "profiles": {profile: [phase for phase, _ in made.values()] for profile, made in profiles.items()},
    }
    meant = {profile: {name: phase for name, (_, phase) in made.items()} for profile, made in profiles.items()}
    return written, [step for _, step in made_steps], meant


@pytest.mark.slow
@given(scenarios())
def test_a_sound_scenario_is_read_as_it_was_meant_and_fits_the_schema(
    tmp_path_factory: pytest.TempPathFactory, made: tuple[Any, Any, Any]
) -> None:
    written, meant_steps, meant_profiles = made
    scenario = load(written, tmp_path_factory.mktemp("s"))
    schema().validate(written)
    assert (scenario.name, scenario.seed, scenario.cookies) == (written["name"], written["seed"], written["cookies"])
    for step, meant in zip(scenario.steps, meant_steps, strict=True):
        assert (step.name, step.path) == (meant["name"], f"/{meant['name']}")
        assert (step.probability, step.timeout) == pytest.approx((meant["probability"], meant["timeout"]))
        assert (step.body and json.loads(step.body.template)) == meant["body"]
    for profile, meant_phases in meant_profiles.items():
        for phase, (name, meant) in zip(scenario.profiles[profile], meant_phases.items(), strict=True):
            assert (phase.name, phase.users, phase.arrivals) == (name, meant["users"], meant["arrivals"])
            assert (phase.duration, phase.ramp) == pytest.approx((meant["duration"], meant["ramp"]))
            assert [one.target for one in phase.requirements] == [pytest.approx(meant["limit"])]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value below this one."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in [(*path, key), *places(item, (*path, key))]]


FULL: dict[str, Any] = {
    **shop(),
    "auth": {"bearer": "TOKEN"},
    "headers": {"X-A": 1},
    "feeders": {"f": {"rows": 20, "unique": True, "columns": {"id": "uuid", "n": {"integer": [1, 2]}}}},
    "requirements": {"error_rate": {"target": "< 1 %", "critical": "5 %"}, "show.p95": "< 1 s"},
    "policy": {"margin": "5 %", "max_baselines": 5, "primary": ["p95", "show.p95"], "block_inconclusive": False},
}
FULL["steps"][1] |= {"method": "POST", "json": {"a": ["${item}"]}, "expect": [200], "limits": {"p99": "< 1 s"}}
FULL["profiles"]["quick"] = {
    "from": "full",
    "scale": {"users": "50 %", "duration": {"factor": 0.1, "least": 1}},
    "phases": ["load"],
}
REPLACEMENTS: list[Any] = [
    None,
    True,
    0,
    1,
    -1,
    2.5,
    "",
    "x",
    "10 s",
    "5 %",
    "10,000",
    "< 75 ms",
    ">= 5/s",
    [],
    [1],
    {},
    {"a": 1},
    ["load"],
]


@given(st.data())
def test_whatever_the_reader_accepts_fits_the_schema(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    changed = copy.deepcopy(FULL)
    *path, last = data.draw(st.sampled_from(places(changed)))
    owner = changed
    for part in path:
        owner = owner[part]
    owner[last] = copy.deepcopy(data.draw(st.sampled_from(REPLACEMENTS)))
    try:
        load(changed, tmp_path_factory.mktemp("s"))
    except UsageError:
        return
    schema().validate(changed)


@given(st.data())
def test_any_damage_gives_faults_and_never_another_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    changed = copy.deepcopy(FULL)
    for path in data.draw(st.lists(st.sampled_from(places(FULL)), min_size=1, max_size=4)):
        owner: Any = changed
        for part in path[:-1]:
            exists = (isinstance(owner, dict) and part in owner) or (isinstance(owner, list) and part in range(len(owner)))
            owner = owner[part] if exists else None
        if isinstance(owner, dict):
            owner[path[-1]] = copy.deepcopy(data.draw(st.sampled_from(REPLACEMENTS)))
    with suppress(UsageError):
        load(changed, tmp_path_factory.mktemp("s"))


@pytest.mark.slow
def test_the_schema_is_a_sound_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"steps": []},
        {"name": "9 lives"},
        {"requirements": {"p59": "< 1 s"}},
        {"auth": "barer"},
        {"cookies": "yes"},
    ],
    ids=str,
)
def test_an_editor_marks_what_the_reader_would_refuse(change: dict[str, Any]) -> None:
    assert schema().is_valid(shop())
    assert not schema().is_valid({**shop(), **change})


def test_an_editor_can_complete_every_metric_and_method() -> None:
    text = json.dumps(json_schema())
    for word in [*METRICS, *METHODS]:
        assert f'"{word}"' in text


def test_every_key_at_the_top_and_of_a_step_is_described_or_describes_itself() -> None:
    definitions: Any = json_schema()
    top = definitions["properties"]
    assert set(top) == set(FileSpec.keys())
    for key in ("auth", "seed", "cookies", "headers", "requirements"):
        assert top[key]["description"]
    step = definitions["$defs"]["StepSpec"]["properties"]
    for key in ("probability", "path", "query", "json", "checks", "capture", "timeout", "limits"):
        assert "description" in json.dumps(step[key]) or "$ref" in json.dumps(step[key])


def test_the_schema_is_the_same_each_time(tmp_path: Path) -> None:
    assert json.dumps(json_schema()) == json.dumps(json_schema())
