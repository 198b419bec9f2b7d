"""Equal digests mean equal load: what changes the load changes the digest, and nothing else does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scenario.files import SHIPPED, load, shop
from velro_gate.scenario import load_scenario, profile_digest

FULL: dict[str, Any] = {
    **shop(),
    "description": "A shop.",
    "auth": "bearer",
    "headers": {"X-A": "1", "X-B": "2"},
    "feeders": {"things": {"rows": 5, "columns": {"id": "uuid", "n": {"integer": [1, 9]}}}},
    "requirements": {"error_rate": "< 1 %"},
    "policy": {"margin": "5 %"},
}
FULL["profiles"] = {**FULL["profiles"], "other": [{"name": "o", "users": 1, "duration": 1, "rate": 1}]}


def digest(data: dict[str, Any], folder: Path, environ: dict[str, str] | None = None) -> str:
    """The digest of the profile 'full'."""
    return profile_digest(load(data, folder, environ), "full")


def changed(change: Callable[[Any], object]) -> dict[str, Any]:
    """The full example with a change made to a copy of it."""
    data = copy.deepcopy(FULL)
    change(data)
    return data


ALIKE: dict[str, Callable[[Any], object]] = {
    "url": lambda data: data["target"].update(url="https://elsewhere.example"),
    "unix socket": lambda data: data["target"].update(unix_socket="service.sock"),
    "source addresses": lambda data: data["target"].update(source_addresses=["127.0.0.2"]),
    "certificates": lambda data: data["target"].update(verify_tls=False),
    "reach as it is by default": lambda data: data["target"].update(compression="none", follow_redirects=0),
    "description": lambda data: data.update(description="Another."),
    "name": lambda data: data.update(name="store"),
    "requirements": lambda data: data.update(requirements={"p95": "< 1 s"}),
    "step limits": lambda data: data["steps"][0].update(limits={"p95": "< 1 s"}),
    "policy": lambda data: data.update(policy={"margin": "3 %"}),
    "token variable": lambda data: data.update(auth={"bearer": "OTHER_KEY"}),
    "another profile": lambda data: data["profiles"]["other"][0].update(users=2),
    "a new profile": lambda data: data["profiles"].update(third={"from": "full"}),
    "spelling of a quantity": lambda data: data["profiles"]["full"][0].update(duration=10, rate="1,200/min"),
    "a default written out": lambda data: data["steps"][0].update(method="GET", expect=[200], timeout="10 s"),
    "a percent": lambda data: data["steps"][0].update(probability="100 %"),
}
DIFFERENT: dict[str, Callable[[Any], object]] = {
    "users": lambda data: data["profiles"]["full"][0].update(users=11),
    "rate": lambda data: data["profiles"]["full"][0].update(rate="21/s"),
    "spacing": lambda data: data["profiles"]["full"][0].update(spacing="even"),
    "duration": lambda data: data["profiles"]["full"][0].update(duration="11 s"),
    "ramp": lambda data: data["profiles"]["full"][0].update(ramp="1 s"),
    "phase name": lambda data: data["profiles"]["full"][0].update(name="lode"),
    "path": lambda data: data["steps"][0].update(path="/things"),
    "probability": lambda data: data["steps"][1].update(probability=0.5),
    "step order": lambda data: data["steps"].append({"name": "last", "path": "/"}),
    "body": lambda data: data["steps"][1].update(json={"a": 1}),
    "query": lambda data: data["steps"][1].update(query={"a": 1}),
    "compression": lambda data: data["target"].update(compression="gzip"),
    "redirects": lambda data: data["target"].update(follow_redirects=1),
    "header": lambda data: data["headers"].update({"X-B": "3"}),
    "timeout": lambda data: data["steps"][1].update(timeout="1 s"),
    "expected status": lambda data: data["steps"][1].update(expect=[200, 404]),
    "check": lambda data: data["steps"][1].update(checks=[{"json": "$.id"}]),
    "kind of authorisation": lambda data: data.update(auth="none"),
    "cookies": lambda data: data.update(cookies=False),
    "feeder rows": lambda data: data["feeders"]["things"].update(rows=6),
    "generated content": lambda data: data.update(seed=2),
}


@pytest.mark.parametrize("name", ALIKE)
def test_what_offers_the_same_load_has_the_same_digest(name: str, tmp_path: Path) -> None:
    assert digest(changed(ALIKE[name]), tmp_path) == digest(FULL, tmp_path)


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_changes_the_load_changes_the_digest(name: str, tmp_path: Path) -> None:
    assert digest(changed(DIFFERENT[name]), tmp_path) != digest(FULL, tmp_path)


@given(st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(tmp_path_factory: pytest.TempPathFactory, order: Any) -> None:
    folder = tmp_path_factory.mktemp("digest")

    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = list(value)
            order.shuffle(keys)
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    assert digest(shuffled(FULL), folder) == digest(FULL, folder)


def test_comments_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    bare = "\n".join(line for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))
    (tmp_path / "bare.yaml").write_text(bare, encoding="utf-8")
    assert load_scenario(tmp_path / "bare.yaml", {}).digest == load_scenario(SHIPPED, {}).digest


def test_without_generated_data_the_seed_does_not_matter(tmp_path: Path) -> None:
    assert digest({**shop(), "seed": 1}, tmp_path) == digest({**shop(), "seed": 2}, tmp_path)


def test_a_feeder_file_counts_by_its_content_and_not_by_its_name(tmp_path: Path) -> None:
    def with_file(name: str, content: str) -> str:
        (tmp_path / name).write_text(content, encoding="utf-8")
        return digest({**shop(), "feeders": {"f": {"file": name}}}, tmp_path)

    first = with_file("a.csv", "id,n\n1,x\n2,y\n")
    assert with_file("b.csv", "n,id\nx,1\ny,2\n") == first
    assert with_file("c.json", '[{"id": 1, "n": "x"}, {"id": 2, "n": "y"}]') == first
    assert with_file("d.csv", "id,n\n1,x\n2,z\n") != first


def test_the_environment_does_not_matter(tmp_path: Path) -> None:
    data = changed(lambda data: data["target"].update(url="${env.VELRO_API_URL:-http://a}"))
    environ = {"VELRO_API_URL": "http://b", "REDIS_URL": "redis://c", "SUPABASE_SERVICE_KEY": "key"}
    assert digest(data, tmp_path, environ) == digest(data, tmp_path) == digest(FULL, tmp_path)


def test_the_whole_scenario_has_a_digest_over_all_its_profiles(tmp_path: Path) -> None:
    whole = load(FULL, tmp_path).digest
    assert len(whole) == 64
    assert load(changed(ALIKE["another profile"]), tmp_path).digest != whole
    assert load(changed(ALIKE["policy"]), tmp_path).digest == whole


def test_a_digest_of_an_unknown_profile_is_a_key_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        profile_digest(load(shop(), tmp_path), "fall")


def test_chunks_are_another_load_and_a_declared_length_is_the_old_one(tmp_path: Path) -> None:
    def with_body(**more: object) -> str:
        return digest(changed(lambda data: data["steps"][1].update(method="POST", json={"a": 1}, **more)), tmp_path)

    assert with_body() == with_body(chunked=False) != with_body(chunked=True)
