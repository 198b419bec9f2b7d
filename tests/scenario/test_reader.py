"""The reader as a whole: it tells every fault at once, and says plainly when there is nothing to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.scenario.files import SHIPPED, faults, load, shop
from velro_gate.errors import ScenarioError
from velro_gate.model.scenario import Policy
from velro_gate.scenario import load_scenario


def reported(path: Path) -> str:
    """The only fault of a file."""
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path, {})
    (fault,) = caught.value.faults
    return str(fault)


def test_an_absent_file_is_reported_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "velro-prd.yaml").touch()
    assert reported(tmp_path / "velro-prod.yaml").endswith("there is no such file (did you mean 'velro-prd.yaml'?)")
    assert reported(tmp_path / "nowhere" / "x.yaml").endswith("there is no such file")


def test_a_folder_or_bytes_are_no_scenario(tmp_path: Path) -> None:
    assert "cannot be read" in reported(tmp_path)
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8 text" in reported(tmp_path / "x.yaml")


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_text("\ufeff" + SHIPPED.read_text(encoding="utf-8"), encoding="utf-8")
    assert load_scenario(path, {}).digest == load_scenario(SHIPPED, {}).digest


def test_faults_of_shape_of_meaning_and_of_feeder_files_come_together(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("id\n1,2\n", encoding="utf-8")
    data: dict[str, Any] = {**shop(), "colour": "red", "feeders": {"f": {"file": "f.csv"}}, "policy": {"margin": "5 apples"}}
    data["steps"][0] |= {"timeout": "soon", "query": {"q": "${itm}"}}
    data["steps"][1] |= {"headers": {"X-Api-Key": "abcdef"}, "limits": {"p59": "< 1 s"}}
    data["profiles"]["full"][0] |= {"rate": "fast", "requirements": {"show.p95": "> 1 s"}}
    data["profiles"]["full"].append({"name": "two", "users": 1, "duration": 1, "rate": 1, "requirements": {"shw.p95": "< 1 s"}})
    data["profiles"]["quick"] = {"from": "ful"}
    found = "\n".join(faults(data, tmp_path))
    for part in (
        "unknown key 'colour'",
        "f.csv:2: 2 cells",
        "'5 apples' is not a share",
        "'soon' is not a duration",
        "${itm}",
        "X-Api-Key holds a literal credential",
        "'p59'",
        "'fast' is not a rate",
        "'shw'",
        "no profile 'ful'",
    ):
        assert part in found


def test_one_mistake_is_one_fault(tmp_path: Path) -> None:
    """What refers to a broken thing is not called unknown as well."""
    data = shop()
    data["steps"][0]["path"] = 5
    data["requirements"] = {"list.p95": "< 75 ms"}
    assert len(faults(data, tmp_path)) == 1
    data = shop()
    data["steps"][0]["capture"] = {"item": {"jsn": "$.id"}}
    assert all("${item}" not in fault for fault in faults(data, tmp_path))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, Policy()),
        ({"margin": "3 %", "unchanged_below": 0.06}, Policy(margin=0.03, unchanged_below=0.06)),
        ({"max_baselines": 5, "history": 12}, Policy(max_baselines=5, history=12)),
        ({"block_inconclusive": False}, Policy(block_inconclusive=False)),
        ({"block_inconclusive": "suspicious"}, Policy(block_inconclusive="suspicious")),
        ({"screen_alpha": "10 %", "confirm_alpha": "0.1 %"}, Policy(screen_alpha=0.1, confirm_alpha=0.001)),
        ({"primary": ["p95", "list.p99"]}, Policy(primary=(("all", "p95"), ("list", "p99")))),
    ],
)
def test_a_policy_changes_what_it_names_and_nothing_else(tmp_path: Path, policy: dict[str, Any], expected: Policy) -> None:
    found = load({**shop(), "policy": policy}, tmp_path).policy
    assert found.primary == expected.primary
    for field in ("margin", "unchanged_below", "screen_alpha", "confirm_alpha"):
        assert getattr(found, field) == pytest.approx(getattr(expected, field))
    assert (found.max_baselines, found.history) == (expected.max_baselines, expected.history)
    assert found.block_inconclusive == expected.block_inconclusive


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({"primary": [f"p{n}" for n in range(9)]}, "at most 8"),
        ({"primary": []}, "must not be empty"),
        ({"primary": ["p95", "all.p95"]}, "is given twice"),
        ({"primary": ["p96"]}, "did you mean"),
        ({"primary": ["users_held"]}, "never compared with other runs"),
        ({"confirm_alpha": "30 %"}, "confirm_alpha <= screen_alpha"),
        ({"margin": 0}, "must be more than 0"),
    ],
)
def test_a_policy_that_cannot_hold_is_refused(tmp_path: Path, policy: dict[str, Any], says: str) -> None:
    found = faults({**shop(), "policy": policy}, tmp_path)
    assert any(says in fault for fault in found), found


def test_reading_leaves_the_environment_and_the_file_alone(tmp_path: Path) -> None:
    environ = {"VELRO_API_URL": "http://here"}
    before = SHIPPED.read_bytes()
    assert load_scenario(SHIPPED, environ).target.url == "http://here"
    assert environ == {"VELRO_API_URL": "http://here"}
    assert SHIPPED.read_bytes() == before


@pytest.mark.parametrize(
    ("part", "reported"),
    [
        ({"requirements": [{"metric": "p95", "zzz": 1}]}, "known: critical, metric, required, source, step, target"),
        ({"requirements": 5}, "requirements: a mapping is expected"),
        ({"zebra": 1}, "known: auth, cache, compliance, cookies"),
    ],
)
def test_an_unknown_key_lists_the_known_ones_and_no_inner_name_is_reported(
    tmp_path: Path, part: dict[str, Any], reported: str
) -> None:
    found = " ".join(faults(shop() | part, tmp_path))
    assert reported in found
    assert not [inner for inner in ("in full", "by metric", "function-", "constrained") if inner in found]


def test_a_value_of_several_kinds_is_one_fault(tmp_path: Path) -> None:
    data = shop()
    data["steps"][0]["checks"] = [{"json": "$.a", "equals": [1]}]
    (found,) = faults(data, tmp_path)
    assert "checks.equals: a text, a number or true or false is expected, not a list" in found
