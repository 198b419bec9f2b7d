"""Links to devices, which a pull request can hold, and pipes, which a build can leave, are refused and not read without end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from velro_gate.bounded import MOST_WRITTEN
from velro_gate.errors import RecordError, ScenarioError, UsageError, VelroError
from velro_gate.gate.measure.results import sweep
from velro_gate.scenario import feeders, load_scenario
from velro_gate.scenario.waivers import read_waivers
from velro_gate.store.baselines import list_baselines
from velro_gate.store.further import read_missing
from velro_gate.store.records import read_facts, read_record, read_samples

pytestmark = pytest.mark.hostile("small inputs")


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


KEPT: dict[str, Callable[[Path], object]] = {
    "record.json": read_record,
    "facts.npz": read_facts,
    "facts.json": read_facts,
    "samples.npz": lambda folder: read_samples(folder / "samples.npz"),
    "confirmation.json": read_missing,
}


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("special", [endless, os.mkfifo, os.mkdir])
def test_in_the_folder_of_a_run_only_regular_files_are_read(name: str, special: Callable[[Path], None], tmp_path: Path) -> None:
    special(tmp_path / name)
    with pytest.raises(RecordError):
        KEPT[name](tmp_path)


@pytest.mark.parametrize("special", [endless, os.mkfifo])
def test_a_baseline_that_is_no_regular_file_is_skipped_by_name(special: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "shop" / "environment"
    folder.mkdir(parents=True)
    special(folder / "20261101T000000Z-abc.json")
    assert len(list_baselines(tmp_path).skipped) == 1


@pytest.mark.parametrize(
    ("read", "refused"), [(lambda path: load_scenario(path, {}), ScenarioError), (read_waivers, UsageError)]
)
def test_what_is_written_by_hand_is_read_up_to_a_size(
    read: Callable[[Path], object], refused: type[VelroError], tmp_path: Path
) -> None:
    for make in (endless, lambda path: path.write_bytes(b"#" * (MOST_WRITTEN + 1))):
        path = tmp_path / f"{make.__name__.strip('<>')}.yaml"
        make(path)
        with pytest.raises(refused, match="longer than 8 MiB"):
            read(path)


def test_a_feeder_that_is_a_device_is_read_up_to_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeders, "MOST_BYTES", 2_000_000)
    endless(tmp_path / "users.csv")
    scenario = tmp_path / "s.yaml"
    scenario.write_text(
        "name: s\ntarget: {url: 'http://127.0.0.1:1'}\nfeeders: {u: {file: users.csv}}\nsteps: [{name: a, path: /a}]\n"
        "profiles: {pr: [{name: p, users: 1, duration: 5 s, rate: 1/s}]}\n",
        encoding="utf-8",
    )
    with pytest.raises(ScenarioError, match="larger than 2 MB"):
        load_scenario(scenario, {})


def test_what_is_too_long_to_be_masked_does_not_stay(tmp_path: Path) -> None:
    with (tmp_path / "core.txt").open("wb") as file:
        file.truncate(1 << 40)
    os.mkfifo(tmp_path / "pipe")
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
