"""``journey: package.module:function``: found, imported once, and every fault of it told where it is."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.scenario.files import faults, load, schema, shop
from velro_gate.model.scenario import OpenArrivals, Scenario
from velro_gate.scenario import required_variables
from velro_gate.scenario.journeys import check

pytestmark = pytest.mark.real

_numbers = itertools.count()

GOOD = """
async def browse(user):
    await user.client.get("/")
"""


def written(folder: Path, source: str = GOOD, *, package: bool = False) -> str:
    """A module of a name that no other test has; its dotted name."""
    name = f"journey_{next(_numbers)}"
    if package:
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
        (folder / name / "inner.py").write_text(source, encoding="utf-8")
        return f"{name}.inner"
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    return name


def with_journey(function: str, **more: Any) -> dict[str, Any]:
    return {**shop(), "steps": [{"name": "list"}, {"name": "open"}], "journey": function, **more}


def journey_of(scenario: Scenario) -> tuple[str, str, str]:
    assert scenario.journey is not None
    return scenario.journey.module, scenario.journey.name, scenario.journey.source


@pytest.mark.parametrize("package", [False, True])
def test_a_journey_lies_next_to_the_scenario_file_or_in_a_package_there(tmp_path: Path, package: bool) -> None:
    module = written(tmp_path, package=package)
    scenario = load(with_journey(f"{module}:browse"), tmp_path)
    assert journey_of(scenario)[:2] == (module, "browse")
    (phase,) = scenario.profiles["full"]
    assert phase.arrivals == OpenArrivals(rate=20.0, journeys=True)
    assert (phase.journey_rate, phase.arrival_rate, phase.offered_rate) == (20.0, 20.0, None)


def test_looking_at_a_good_journey_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(with_journey(f"{written(tmp_path)}:browse"), tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_journey_is_found_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    module = written(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    assert journey_of(load(with_journey(f"{module}:browse"), tmp_path / "there"))[0] == module


def test_a_changed_source_is_another_plan_and_a_plan_without_a_journey_keeps_its_digest(tmp_path: Path) -> None:
    first, second = written(tmp_path), written(tmp_path, GOOD + "# changed\n")
    digests = {load(with_journey(f"{module}:browse"), tmp_path).digest for module in (first, second)}
    assert len(digests) == 2
    sources = {journey_of(load(with_journey(f"{module}:browse"), tmp_path))[2] for module in (first, written(tmp_path))}
    assert len(sources) == 1
    # Of the version before journeys: stored baselines must stay comparable.
    assert load(shop(), tmp_path).digest.startswith("296e0d581c2f")


def test_steps_are_labels_with_statuses_timeouts_headers_and_limits(tmp_path: Path) -> None:
    module = written(tmp_path)
    steps = [
        {"name": "list", "timeout": "3 s", "limits": {"p95": "< 1 s"}},
        {"name": "create", "expect": 201, "headers": {"X-Key": "${env.KEY}"}},
    ]
    data = with_journey(f"{module}:browse", steps=steps, headers={"X-All": "1"})
    scenario = load(data, tmp_path)
    first, second = scenario.steps
    assert first.expect_status == frozenset(range(200, 400))
    assert (first.timeout, second.expect_status) == (3.0, frozenset({201}))
    assert (dict(first.headers), dict(second.headers)) == ({"X-All": "1"}, {"X-All": "1", "X-Key": "${env.KEY}"})
    assert required_variables(scenario) == {"KEY"}
    schema().validate(data)


def test_an_editor_asks_for_a_path_only_where_there_is_no_journey() -> None:
    data = with_journey("a:b")
    assert schema().is_valid(data)
    del data["journey"]
    assert not schema().is_valid(data)
    login = {"login": {"step": {"name": "login", "capture": {"token": "$.t"}}}}
    assert not schema().is_valid({**shop(), "auth": login})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"journey": "no colon"}, "'no colon' does not name a journey (write package.module:function)"),
        ({"journey": "MODULE:brows"}, "has no function 'brows' (did you mean 'browse'?)"),
        ({"journey": "MODULEX:browse"}, "there is no module 'MODULEX' in "),
        ({"journey": "json:dumps"}, "the function 'dumps' of"),
        ({"steps": [{"name": "a", "path": "/"}]}, "'path' has no meaning together with 'journey'"),
        ({"steps": [{"name": "a", "json": {}}]}, "'json' has no meaning together with 'journey'"),
        ({"steps": [{"name": "a", "headers": {"X-A": "${nothing}"}}]}, "unknown placeholder ${nothing}"),
        ({"steps": [{"name": "all"}]}, "no step may be called 'all'"),
        ({"auth": {"login": {"step": {"name": "l", "path": "/l", "capture": {"token": "$.t"}}}}}, "logs in itself"),
        ({"requirements": {"achieved_share": ">= 99 %"}}, "a journey's requests follow from its responses"),
        ({"target": {"url": "http://127.0.0.1:1", "http2": True}}, "HTTP/2 needs the package h2"),
        ({"target": {"url": "http://127.0.0.1:1", "follow_redirects": 2}}, "sets 'follow_redirects' itself"),
        ({"target": {"url": "http://127.0.0.1:1", "compression": "gzip"}}, "sets 'compression' itself"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_wrong_with_a_journey_is_reported_with_what_may_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], says: str
) -> None:
    monkeypatch.setattr("velro_gate.scenario.reader.find_spec", lambda _: None)
    module = written(tmp_path)
    data = with_journey(f"{module}:browse", **copy.deepcopy(change))
    data["journey"] = data["journey"].replace("MODULE", module)
    (found,) = faults(data, tmp_path)
    assert says.replace("MODULE", module).replace("the function 'dumps' of", "'dumps' is not an 'async def'") in found


def test_http2_is_for_journeys_only(tmp_path: Path) -> None:
    data = {**shop(), "target": {"url": "http://127.0.0.1:1", "http2": True}}
    assert faults(data, tmp_path) == ["scenario.yaml:5: 'http2' is for journeys written in Python only (remove it)"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def browse(user): ...", ":1: 'browse' is not an 'async def' function"),
        ("browse = 5", ":1: 'browse' is not an 'async def' function"),
        ("\nasync def browse(user, other): ...", ":2: browse(user, other) cannot be called with one argument"),
        ("async def browse(): ...", ":1: browse() cannot be called with one argument"),
        ("x = 1\nasync def browse(user:\n", "the journey cannot be read: "),
        ("\n\nraise KeyError('lost')", ":3: the journey cannot be imported: KeyError: 'lost'"),
        ("import nowhere_to_be_found", ":1: the journey cannot be imported: ModuleNotFoundError: No module named 'nowhere"),
        ("import sys\nsys.exit(3)", ":2: the journey cannot be imported: SystemExit: 3"),
    ],
)
def test_a_fault_of_the_code_is_reported_at_its_own_line(tmp_path: Path, source: str, says: str) -> None:
    module = written(tmp_path, source)
    (found,) = faults(with_journey(f"{module}:browse"), tmp_path)
    assert f"{module}.py" in found
    assert says in found


def test_a_name_that_another_module_has_already_is_refused(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(GOOD, encoding="utf-8")
    (found,) = faults(with_journey("json:browse"), tmp_path)
    assert "and not the journey's (give the journey's module a name of its own)" in found


def test_near_names_of_modules_are_offered(tmp_path: Path) -> None:
    module = written(tmp_path, package=True)
    (found,) = faults(with_journey(f"{module}r:browse"), tmp_path)
    assert f"(did you mean '{module}'?)" in found
    assert module in check._modules_in([str(tmp_path)])


@pytest.mark.parametrize("steps", [{}, {"steps": []}])
def test_a_journey_without_steps_has_that_one_fault(tmp_path: Path, steps: dict[str, Any]) -> None:
    tree = with_journey(f"{written(tmp_path)}:browse", requirements={"list.p95": "< 75 ms"})
    del tree["steps"]
    (fault,) = faults(tree | steps, tmp_path)
    assert "steps" in str(fault)
