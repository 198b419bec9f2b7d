"""Pins and quarantine: what is kept beside the baselines that are used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.analysis.runs import run
from velro_gate.errors import BaselineError, RecordError
from velro_gate.model.record import RunRecord
from velro_gate.report.sentences.baselines import unused_words
from velro_gate.store.baselines import add_baseline, list_baselines, load_baselines, prune_baselines, quarantine
from velro_gate.store.pins import PIN, pin_baseline, pinned_as, unpin_baseline
from velro_gate.store.records import read_record


def loaded(root: Path, like: RunRecord) -> tuple[list[str], str | None, tuple[str, ...]]:
    found = load_baselines(root, plan=like.plan, environment=like.environment)
    return (
        [one.id for one in found.accepted],
        found.release.name if found.release else None,
        tuple(map(unused_words, found.skipped)),
    )


def test_a_quarantined_run_is_listed_and_not_used(tmp_path: Path) -> None:
    add_baseline(tmp_path, run(number=1))
    path = quarantine(tmp_path, run(number=2), "p95 is worse")
    assert [record.quarantined for _, record in list_baselines(tmp_path).found] == ["", "p95 is worse"]
    ids, _, skipped = loaded(tmp_path, run())
    assert ids == ["run-1"]
    assert skipped == ("1 baseline not used: quarantined ('velro-gate baseline list' says why)",)
    assert read_record(path).id == "run-2"


def test_an_incomplete_run_can_be_quarantined(tmp_path: Path) -> None:
    quarantine(tmp_path, replace(run(number=2), interrupted=True), "interrupted")
    assert loaded(tmp_path, run())[0] == []


def test_quarantining_a_run_twice_keeps_it_once(tmp_path: Path) -> None:
    first = quarantine(tmp_path, run(number=2), "worse")
    assert quarantine(tmp_path, run(number=2), "worse") == first
    assert len(list_baselines(tmp_path).found) == 1


def test_a_quarantined_run_that_is_accepted_later_is_a_baseline_from_then_on(tmp_path: Path) -> None:
    path = quarantine(tmp_path, run(number=2), "worse")
    assert add_baseline(tmp_path, run(number=2)) == path
    assert loaded(tmp_path, run())[0] == ["run-2"]
    with pytest.raises(BaselineError, match="is a baseline already"):
        add_baseline(tmp_path, run(number=2))


def test_an_accepted_run_is_not_quarantined_behind_its_back(tmp_path: Path) -> None:
    add_baseline(tmp_path, run(number=2))
    with pytest.raises(BaselineError, match="is a baseline already"):
        quarantine(tmp_path, run(number=2), "worse")
    assert loaded(tmp_path, run())[0] == ["run-2"]


def test_the_newest_pinned_run_is_the_release(tmp_path: Path) -> None:
    paths = [add_baseline(tmp_path, run(number=number)) for number in range(3)]
    assert loaded(tmp_path, run())[1] is None
    assert pin_baseline(paths[1], "v1.2") == "v1.2"
    pin_baseline(paths[0], "v1.1")
    assert loaded(tmp_path, run())[1] == "v1.2"
    assert read_record(paths[1]) == read_record(paths[1]), "pinning does not touch the baseline"
    unpin_baseline(paths[1])
    assert loaded(tmp_path, run())[1] == "v1.1"


def test_a_pin_without_a_name_has_that_of_the_revision(tmp_path: Path) -> None:
    path = add_baseline(tmp_path, run(number=7))
    assert pin_baseline(path) == f"{7:040x}"[:12]
    assert pinned_as(path) == f"{7:040x}"[:12]


def test_pinning_changes_no_byte_of_the_baseline(tmp_path: Path) -> None:
    path = add_baseline(tmp_path, run(number=7))
    before = path.read_bytes()
    pin_baseline(path, "v1\n")
    assert path.read_bytes() == before
    assert path.with_suffix(PIN).read_text(encoding="utf-8") == "v1\n"


def test_only_a_baseline_that_is_used_can_be_pinned(tmp_path: Path) -> None:
    path = quarantine(tmp_path, run(number=2), "worse")
    with pytest.raises(BaselineError, match="cannot be pinned"):
        pin_baseline(path)
    with pytest.raises(RecordError):
        pin_baseline(tmp_path / "nothing.json")


def test_what_is_not_pinned_cannot_be_unpinned(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="not pinned"):
        unpin_baseline(add_baseline(tmp_path, run(number=2)))


def test_a_pin_that_cannot_be_read_still_holds(tmp_path: Path) -> None:
    path = add_baseline(tmp_path, run(number=2))
    path.with_suffix(PIN).write_bytes(b"\xff\xfe")
    assert pinned_as(path) == path.stem
    path.with_suffix(PIN).write_text("", encoding="utf-8")
    assert pinned_as(path) == path.stem


def test_pruning_keeps_what_is_pinned_and_counts_the_quarantined_apart(tmp_path: Path) -> None:
    paths = [add_baseline(tmp_path, run(number=number)) for number in range(5)]
    outside = [quarantine(tmp_path, run(number=number), "worse") for number in range(5, 8)]
    pin_baseline(paths[0], "v1")
    removed = prune_baselines(tmp_path, 2)
    assert set(removed) == {paths[1], paths[2], outside[0]}
    assert {path for path, _ in list_baselines(tmp_path).found} == {paths[0], *paths[3:], *outside[1:]}
