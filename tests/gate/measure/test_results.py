"""The results folder: made before the load, never overwriting another run's."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.store.values import some_samples
from velro_gate.errors import BrokenError, OutputError
from velro_gate.gate.measure.results import Results, RunLog, append_log, make_results, refuse_links, require_as_measured, run_id
from velro_gate.store import files
from velro_gate.store.samples import SampleWriter, read_samples

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


def test_a_run_id_sorts_by_time_and_is_safe_as_a_name() -> None:
    assert run_id(NOON, "a b/c", "full:x+y") == "20260102T120000.000000Z-a-b-c-full-x-y"


def test_jobs_that_begin_in_one_second_give_their_runs_names_of_their_own_wherever_the_results_lie() -> None:
    names = [run_id(NOON.replace(microsecond=microsecond), "shop", "pr") for microsecond in (5, 700_000)]
    assert names == ["20260102T120000.000005Z-shop-pr", "20260102T120000.700000Z-shop-pr"] == sorted(names)


def test_two_runs_of_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    first, second = make_results(tmp_path, "run"), make_results(tmp_path, "run")
    assert first.folder != second.folder
    assert first.log.exists()
    assert second.log.exists()


def test_a_file_in_the_way_is_an_output_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError) as caught:
        make_results(tmp_path / "taken", "run")
    assert "taken" in (caught.value.where or "")


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    results = make_results(tmp_path, "run")
    assert results.write("verdict.md", "größer ≥ 5").read_text(encoding="utf-8") == "größer ≥ 5"


def test_a_folder_that_went_away_during_the_run_is_made_again_so_that_the_verdict_is_not_lost(tmp_path: Path) -> None:
    assert Results(folder=tmp_path / "gone").write("verdict.md", "pass").read_text(encoding="utf-8") == "pass"


def test_a_place_in_which_nothing_can_be_made_is_an_output_error() -> None:
    with pytest.raises(OutputError):
        make_results(Path("/proc/velro-results"), "run")


def test_no_secret_gets_into_the_log_by_a_message_or_by_a_traceback(tmp_path: Path) -> None:
    results = make_results(tmp_path, "run")
    with RunLog(results, ["hunter2-and-more"]) as log:
        log.warning("asked with %s", "hunter2-and-more")
        try:
            raise RuntimeError("postgresql://velro:a-password@db/velro?key=hunter2-and-more")
        except RuntimeError as error:
            log.warning("reading failed", exc_info=error)
    text = results.log.read_text(encoding="utf-8")
    assert "RuntimeError: postgresql://velro:***@db" in text
    assert "hunter2" not in text
    assert "a-password" not in text


def test_a_log_that_cannot_be_written_prints_no_traceback(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    results = make_results(tmp_path, "run")
    results.log.unlink()
    results.log.symlink_to("/dev/full")
    with RunLog(results) as log:
        log.warning("lost")
    assert "Traceback" not in capfd.readouterr().err


def test_the_log_holds_what_was_logged_within_the_block_only(tmp_path: Path) -> None:
    results = make_results(tmp_path, "run")
    with RunLog(results) as log:
        log.warning("inside")
    logging.getLogger("velro_gate").warning("outside")
    text = results.log.read_text(encoding="utf-8")
    assert "inside" in text
    assert "outside" not in text


def test_lines_are_added_to_the_log_of_a_run_that_has_ended_and_masked(tmp_path: Path) -> None:
    results = make_results(tmp_path, "run")
    with RunLog(results) as log:
        log.warning("before")
    append_log(results, [(logging.ERROR, "verdict: fail, postgresql://velro:a-password@db/velro")])
    first, second = results.log.read_text(encoding="utf-8").splitlines()
    assert first.endswith("WARNING velro_gate: before")
    assert second.endswith("ERROR velro_gate: verdict: fail, postgresql://velro:***@db/velro")


@pytest.mark.hostile("runner")
@pytest.mark.parametrize("left", [os.mkfifo, lambda log: log.symlink_to("elsewhere")], ids=["fifo", "link"])
def test_lines_are_added_to_nothing_that_only_has_the_logs_name(tmp_path: Path, left: Callable[[Path], None]) -> None:
    results = make_results(tmp_path, "run")
    elsewhere = results.folder / "elsewhere"
    elsewhere.write_text("as it was", encoding="utf-8")
    results.log.unlink()
    left(results.log)
    append_log(results, [(logging.ERROR, "verdict: fail")])
    assert elsewhere.read_text(encoding="utf-8") == "as it was"


@pytest.mark.hostile("runner")
def test_a_link_in_the_workspace_leads_no_results_away(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "velro-results").symlink_to(tmp_path / "elsewhere")
    for output in (Path("velro-results"), Path("velro-results/deeper")):
        with pytest.raises(OutputError, match="symbolic link"):
            refuse_links(output, workspace)
    refuse_links(Path("results"), workspace)


def fewer_failures(folder: Path) -> None:
    path = folder / "record.json"
    path.write_text(path.read_text("utf-8").replace("1", "0"), encoding="utf-8")


def other_samples(folder: Path) -> None:
    with SampleWriter(folder / "samples.npz") as writer:
        writer.append("steady", some_samples(5))


def more_data(folder: Path) -> None:
    (folder / "confirmation.json").write_text("{}", encoding="utf-8")


def a_link(folder: Path) -> None:
    (folder / "record.json").rename(folder / "elsewhere.txt")
    (folder / "record.json").symlink_to("elsewhere.txt")


@pytest.mark.hostile("statuses and comments")
@pytest.mark.parametrize(
    "change", [fewer_failures, other_samples, more_data, a_link, lambda folder: (folder / "samples.npz").unlink()]
)
def test_results_that_anybody_but_their_writer_has_changed_are_refused(
    change: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_ACCOUNT", files._Account())
    files.keep_account()
    results = make_results(tmp_path, "run")
    results.write("record.json", '{"failed": 1}')
    with SampleWriter(results.samples) as writer:
        writer.append("steady", some_samples(6))
    written = files.accounted(results.folder)
    require_as_measured(results.folder, written)
    assert len(read_samples(results.samples)["steady"]) == 6
    monkeypatch.setattr(files._ACCOUNT, "kept", dict(files._ACCOUNT.kept or {}))
    change(results.folder)
    with pytest.raises(BrokenError, match="is not what was measured"):
        require_as_measured(results.folder, written)
