"""Files that another machine does not have reach the shard there: keys in memory only, sources for the length of the run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.engine.shards.test_run import phase, plan
from velro_gate.engine.run import Load
from velro_gate.engine.shards import shipped
from velro_gate.engine.shards.shipped import certificate_files, journey_sources, unpacked
from velro_gate.errors import UsageError
from velro_gate.model.scenario import Journey, Target


def load(target: Target, journey: Journey | None = None) -> Load:
    scenario = dataclasses.replace(plan("https://service.test"), target=target, journey=journey)
    return Load(scenario=scenario, phases=(phase(),))


def test_certificates_and_keys_are_read_from_memory_and_are_on_no_disk(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_bytes(name.encode())
    names = {"ca_file": "ca", "client_certificate": "cert", "client_key": "key"}
    target = Target(url="https://service.test", **{field: str(tmp_path / name) for field, name in names.items()})  # type: ignore[arg-type]
    files = certificate_files(target)
    for name in ("ca", "cert", "key"):
        (tmp_path / name).unlink()
    with unpacked(load(target), files, {}) as there:
        for field, name in names.items():
            place = getattr(there.scenario.target, field)
            assert Path(place).read_bytes() == name.encode()
            assert "memfd:" in str(Path(place).readlink())
    assert not Path(place).exists()


def test_a_certificate_that_cannot_be_read_is_named() -> None:
    with pytest.raises(UsageError, match="a file of the target cannot be read"):
        certificate_files(Target(url="https://service.test", ca_file="/nowhere/ca.pem"))


@pytest.mark.parametrize("module", ["shop", "pack.shop"])
def test_the_sources_next_to_a_journey_reach_a_folder_that_is_removed_afterwards(module: str, tmp_path: Path) -> None:
    own = {"shop.py": "a", "helper.py": "b", "pack/__init__.py": "", "pack/shop.py": "c", "pack/inner/more.py": "d"}
    for name in (*own, "pack/data.csv", "other/x.py", "pack/.hidden/y.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(own.get(name, "not sent"))
    journey = Journey(function=f"{module}:browse", folders=(str(tmp_path),))
    found = journey_sources(journey)
    wanted = own if module == "pack.shop" else {name: text for name, text in own.items() if "/" not in name}
    assert {name: content.decode() for name, content in found.items()} == wanted
    with unpacked(load(Target(url="https://service.test"), journey), {}, found) as there:
        (folder,) = there.scenario.journey.folders  # type: ignore[union-attr]
        assert {name: (Path(folder) / name).read_text() for name in wanted} == wanted
        assert Path(folder).stat().st_mode & 0o077 == 0
    assert not Path(folder).exists()


def test_a_journey_that_is_installed_is_not_sent_and_one_next_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert journey_sources(None) == journey_sources(Journey(function="installed:go", folders=(str(tmp_path),))) == {}
    (tmp_path / "shop.py").write_text("x" * 100)
    monkeypatch.setattr(shipped, "MOST_SOURCE", 99)
    with pytest.raises(UsageError, match="the Python files next to the journey shop:go are larger than"):
        journey_sources(Journey(function="shop:go", folders=(str(tmp_path),)))


def test_a_load_without_such_files_is_passed_on_as_it_is() -> None:
    whole = load(Target(url="https://service.test"))
    with unpacked(whole, {}, {}) as there:
        assert there is whole
