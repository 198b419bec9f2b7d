"""The commands as users call them, on a real service."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.cli.command import ROOT, Ended, tiny_scenario, velro_gate
from tests.service import service
from velro_gate.cli.app import app

PRD = ROOT / "scenarios/velro-prd.yaml"
COMMANDS = ("demo", "check", "run", "calibrate-generator", "judge", "gate", "report", "sandbox", "schema", "baseline")


def _commands(group: Any, *before: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, *before, name)
        else:
            yield (*before, name)


EVERY_COMMAND = sorted(_commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
def test_the_help_of_every_command_has_an_example_and_names_no_type_of_the_code(words: tuple[str, ...]) -> None:
    ended = CliRunner().invoke(app, [*words, "--help"])
    assert ended.exit_code == 0
    assert f"Example: velro-gate {' '.join(words)}" in ended.output
    assert not [inner for inner in ("<bool>", "list[", " range>") if inner in ended.output]


def test_the_overall_help_names_every_command_and_every_exit_code(tmp_path: Path) -> None:
    ended = velro_gate("--help", cwd=tmp_path)
    assert all(name in ended.out for name in COMMANDS)
    assert all(f" {code} " in " ".join(ended.out.split()) for code in (0, 1, 2, 3, 4, 5, 70, 130))


def test_completion_can_be_shown_for_a_shell(tmp_path: Path) -> None:
    # Told which shell, it need not find one among its parents, where a test has none.
    env = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    ended = velro_gate("--show-completion", "bash", cwd=tmp_path, env=env)
    assert "velro" in ended.out


def test_an_unknown_option_is_a_usage_error(tmp_path: Path) -> None:
    ended = velro_gate("gate", "--nonsense", cwd=tmp_path)
    assert ended.code == 2
    assert "--nonsense" in ended.err


def test_the_dry_run_prints_the_plan_and_sends_nothing(tmp_path: Path) -> None:
    with service() as running:
        ended = velro_gate("check", tiny_scenario(tmp_path), "--url", running.url, cwd=tmp_path)
        assert running.requests == 0
    assert ended.code == 0
    assert "nothing was sent" in ended.out
    assert "open files" in ended.out
    assert not (tmp_path / "velro-results").exists()


def test_the_dry_run_shows_the_plan_and_what_is_watched_also_while_the_key_is_missing_and_names_it(tmp_path: Path) -> None:
    env = {"SUPABASE_SERVICE_KEY": "", "REDIS_URL": "redis://:hunter2@cache", "DATABASE_URL": ""}
    ended = velro_gate("check", PRD, "--url", "http://127.0.0.1:1", cwd=tmp_path, env=env)
    assert ended.code == 2
    assert "prd_compliance_validation" in ended.out
    assert "Watched: this machine, the service's processes, its metrics page /metrics, Redis." in ended.out
    assert "SUPABASE_SERVICE_KEY" in ended.err
    assert "hunter2" not in ended.out + ended.err


@pytest.mark.parametrize("words", [("run", "--dry-run"), ("gate", "--dry-run")])
def test_a_dry_run_of_dead_services_does_not_say_that_it_can_be_carried_out(tmp_path: Path, words: tuple[str, ...]) -> None:
    env = {"REDIS_URL": "redis://127.0.0.1:1", "DATABASE_URL": "postgres://127.0.0.1:1/x"}
    ended = velro_gate(*words, tiny_scenario(tmp_path), "--url", "http://127.0.0.1:1", cwd=tmp_path, env=env)
    assert ended.code == 4
    assert "can carry it out" not in ended.out
    assert "Redis: no connection" in ended.out
    assert "PostgreSQL: it cannot be read" in ended.out
    assert "refused the connection" in ended.err


def test_a_dry_run_asks_each_step_and_names_the_one_that_is_refused(tmp_path: Path) -> None:
    path = tiny_scenario(tmp_path)
    with service() as running:
        ended = velro_gate("run", "--dry-run", path, "--url", running.url, cwd=tmp_path)
        assert (ended.code, 2 <= running.requests <= 4) == (0, True)
        assert "Step look: 200 in" in ended.out
        assert "This machine can carry it out.\n" in ended.out
        path.write_text(path.read_text(encoding="utf-8").replace("$.allowed", "$.nothing"), encoding="utf-8")
        ended = velro_gate("gate", "--dry-run", path, "--url", running.url, cwd=tmp_path)
        assert "look: a check on its body failed" in ended.err
        path.write_text(path.read_text(encoding="utf-8").replace("timeout: 2 s", "expect: [201, 404]"), encoding="utf-8")
        assert (
            "look: answered 200, expected 201 or 404"
            in velro_gate("run", "--dry-run", path, "--url", running.url, cwd=tmp_path).err
        )
    assert ended.code == 4
    assert not (tmp_path / "velro-results").exists()


def test_without_a_command_the_help_is_printed_and_nothing_else(tmp_path: Path) -> None:
    for words in ((), ("baseline",)):
        ended = velro_gate(*words, cwd=tmp_path)
        assert (ended.code, ended.err) == (2, "")
        assert "Usage: velro-gate" in ended.out


def test_without_a_name_the_scenario_of_the_folder_is_read_and_never_the_shipped_one(tmp_path: Path) -> None:
    ended = velro_gate("check", cwd=tmp_path)
    assert ended.code == 2
    assert "there is no velro-scenario.yaml in this folder" in ended.err
    tiny_scenario(tmp_path, name="velro-scenario.yaml")
    assert "Scenario tiny" in velro_gate("check", "--url", "http://127.0.0.1:1", cwd=tmp_path).out


def test_the_full_prd_plan_is_described_for_scripts(tmp_path: Path) -> None:
    key = {"SUPABASE_SERVICE_KEY": "a-key-of-some-length"}
    ended = velro_gate("check", PRD, "--profile", "full", "--format", "json", cwd=tmp_path, env=key)
    plan = json.loads(ended.out)
    assert [phase["users"] for phase in plan["forecast"]["phases"]] == [500, 2_500, 5_000, 10_000, 15_000, 8_000]
    assert plan["forecast"]["requests"] > 3_000_000


def test_the_dry_run_shows_by_how_many_shards_a_plan_would_be_sent(tmp_path: Path) -> None:
    path = tiny_scenario(tmp_path)
    for words, count in (((), 1), (("--shards", "auto"), 1), (("--shards", "3"), 3)):
        place = (path, "--url", "http://127.0.0.1:1", *words)
        assert json.loads(velro_gate("check", *place, "--format", "json", cwd=tmp_path).out)["shards"] == count
        assert ("Sent by 3 shards" in velro_gate("check", *place, cwd=tmp_path).out) is (count == 3)


def test_quick_test_is_the_quick_profile_and_contradicts_another(tmp_path: Path) -> None:
    key = {"SUPABASE_SERVICE_KEY": "a-key-of-some-length"}
    ended = velro_gate("check", PRD, "--quick-test", "--format", "json", cwd=tmp_path, env=key)
    assert json.loads(ended.out)["profile"] == "quick"
    assert velro_gate("check", PRD, "--quick-test", "--profile", "full", cwd=tmp_path, env=key).code == 2


def test_the_printed_schema_is_the_shipped_one(tmp_path: Path) -> None:
    ended = velro_gate("schema", cwd=tmp_path)
    assert ended.out == (ROOT / "scenarios/velro-prd.schema.json").read_text(encoding="utf-8")


def test_verdicts_have_a_schema_too_and_other_things_have_none(tmp_path: Path) -> None:
    assert "$schema" in json.loads(velro_gate("schema", "--of", "verdict", cwd=tmp_path).out)
    assert "$schema" in json.loads(velro_gate("schema", "--of", "record", cwd=tmp_path).out)
    assert velro_gate("schema", "--of", "weather", cwd=tmp_path).code == 2


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A folder in which a tiny run was calibrated twice, and one gate of it."""
    folder = tmp_path_factory.mktemp("kept")
    scenario = tiny_scenario(folder)
    with service() as running:
        url = ("--url", running.url)
        assert velro_gate("baseline", "calibrate", scenario, "--runs", "2", "--no-calibration", *url, cwd=folder).code == 0
        ended = velro_gate("gate", scenario, *url, "--format", "json", "--verbose", cwd=folder)
    return folder, ended


def gated_folder(folder: Path) -> Path:
    """The results of the gate: the only run with a verdict."""
    (found,) = (path.parent for path in folder.glob("velro-results/*/verdict.json"))
    return found


def test_a_gate_for_scripts_prints_its_verdict_as_json_and_nothing_else(kept: tuple[Path, Ended]) -> None:
    verdict = json.loads(kept[1].out)
    assert verdict["verdict"] in {"pass", "warn", "no-baseline", "inconclusive", "broken"}
    assert kept[1].code in (0, 3, 4)
    assert "short" in kept[1].err, "progress goes to standard error"


def test_a_gate_measures_the_generator_alone_and_a_calibration_without_it_says_so(kept: tuple[Path, Ended]) -> None:
    alone = json.loads(kept[1].out)["run"]["generator_alone"]
    assert (alone["rate"], alone["users"], alone["seconds"]) == (50.0, 60, 5.0)
    places = [path for path in kept[0].glob("velro-results/*/record.json") if path.parent != gated_folder(kept[0])]
    calibrated = [json.loads(path.read_text(encoding="utf-8")) for path in places]
    assert [record["generator_noise"] for record in calibrated] == [None, None]
    assert all(any("no null run" in note for note in record["notes"]) for record in calibrated)


def test_the_generator_alone_is_measured_without_a_service_and_without_a_secret(tmp_path: Path) -> None:
    ended = velro_gate("calibrate-generator", PRD, "--quick-test", "--seconds", "1", "--json", cwd=tmp_path)
    made = json.loads(ended.out)
    assert ended.code == (4 if made["broken"] else 0)
    assert made["counts"]["ok"] == made["counts"]["due"] == made["generator_alone"]["requests"]
    assert not (tmp_path / "velro-results").exists()


def test_a_limit_within_the_generators_own_noise_ends_the_calibration_as_broken(tmp_path: Path) -> None:
    path = tiny_scenario(tmp_path, rate="400/s", requirements='{p95: "< 0.1 ms"}')
    ended = velro_gate("calibrate-generator", path, "--seconds", "1", cwd=tmp_path)
    assert ended.code == 4
    assert "response time" in ended.out
    assert "broken: the generator alone, at 400/s, shows p95" in ended.out
    assert ended.out.count("do: A limit so close to the generator's own noise") == 1


def test_a_gate_leaves_every_file_it_promises(kept: tuple[Path, Ended]) -> None:
    names = {path.name for path in gated_folder(kept[0]).iterdir()}
    assert names == {
        "record.json", "facts.npz", "samples.npz", "verdict.json", "verdict.md", "verdict.txt", "report.csv", "junit.xml",
        "report.html", "log.txt", "openmetrics.txt", "executive_summary.html", "executive_summary.json",
    }  # fmt: skip


def test_a_verbose_log_holds_the_progress(kept: tuple[Path, Ended]) -> None:
    assert "Progress(" in (gated_folder(kept[0]) / "log.txt").read_text(encoding="utf-8")


def test_judging_again_offline_comes_to_the_same_verdict(kept: tuple[Path, Ended]) -> None:
    ended = velro_gate("judge", gated_folder(kept[0]), "--format", "json", cwd=kept[0])
    again, before = json.loads(ended.out), json.loads(kept[1].out)
    assert again["verdict"] == before["verdict"]
    assert ended.code == kept[1].code


def test_another_policy_can_turn_a_kept_run_into_a_failure(kept: tuple[Path, Ended]) -> None:
    stricter = tiny_scenario(kept[0], rate="60/s", requirements='{throughput: ">= 58/s"}', name="stricter.yaml")
    ended = velro_gate("judge", gated_folder(kept[0]), "--scenario", stricter, cwd=kept[0])
    assert ended.code == 1


def test_a_scenario_without_the_phases_of_the_run_cannot_judge_it(kept: tuple[Path, Ended]) -> None:
    foreign = tiny_scenario(kept[0], name="foreign.yaml")
    foreign.write_text(foreign.read_text(encoding="utf-8").replace("name: short", "name: long"), encoding="utf-8")
    env = {"VELRO_API_URL": "http://127.0.0.1:1"}
    ended = velro_gate("judge", gated_folder(kept[0]), "--scenario", foreign, cwd=kept[0], env=env)
    assert ended.code == 2
    assert "no phase 'short', which the run holds" in ended.err


@pytest.mark.parametrize(
    ("wanted", "start"),
    [("markdown", "<!-- velro-gate:"), ("html", "<!doctype html>"), ("csv", "run,scenario,profile,"), ("json", "{")],
)
def test_a_report_is_printed_in_the_format_asked_for(kept: tuple[Path, Ended], wanted: str, start: str) -> None:
    ended = velro_gate("report", gated_folder(kept[0]), "--as", wanted, cwd=kept[0])
    assert ended.code == 0
    assert ended.out.lower().startswith(start.lower())


def test_a_report_is_the_verdict_that_was_given_whatever_has_changed_since(kept: tuple[Path, Ended], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(gated_folder(kept[0]), folder)
    given = velro_gate("report", folder, cwd=kept[0]).out
    record = folder / "record.json"
    record.write_text(
        record.read_text(encoding="utf-8").replace('"interrupted": false', '"interrupted": true'), encoding="utf-8"
    )
    assert velro_gate("report", folder, cwd=kept[0]).out == given
    assert "velro-gate: " in given
    assert velro_gate("judge", folder, cwd=kept[0]).code == 4
    for file in folder.glob("verdict.*"):
        file.unlink()
    ended = velro_gate("report", folder, cwd=kept[0])
    assert ended.code == 2
    assert "this run has no verdict" in ended.err


def test_reports_of_the_newest_run_are_written_into_a_folder(kept: tuple[Path, Ended], tmp_path: Path) -> None:
    runs = tmp_path / "velro-results"
    shutil.copytree(gated_folder(kept[0]), runs / "29991231T000000.000000Z-newest")
    ended = velro_gate("report", "--formats", "json,html", "--into", "reports", cwd=tmp_path)
    assert ended.code == 0
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == ["report.html", "verdict.json"]
    assert velro_gate("report", "--formats", "json", cwd=tmp_path).code == 2
    assert velro_gate("report", cwd=tmp_path).out == velro_gate("report", gated_folder(kept[0]), cwd=kept[0]).out


def test_an_unknown_report_format_is_a_usage_error(kept: tuple[Path, Ended]) -> None:
    assert velro_gate("report", gated_folder(kept[0]), "--as", "pdf", cwd=kept[0]).code == 2


def test_baselines_are_listed_shown_and_pruned(kept: tuple[Path, Ended]) -> None:
    listed = json.loads(velro_gate("baseline", "list", "--format", "json", cwd=kept[0]).out)
    assert len(listed["baselines"]) == 2
    assert "tiny" in velro_gate("baseline", "list", cwd=kept[0]).out
    shown = velro_gate("baseline", "show", listed["baselines"][0]["file"], cwd=kept[0])
    assert "short" in shown.out
    for place in (listed["baselines"][0]["file"], gated_folder(kept[0])):
        assert json.loads(velro_gate("baseline", "show", place, "--format", "json", cwd=kept[0]).out)["phases"]
    copy = kept[0] / "copy"
    for row in listed["baselines"]:
        place = copy / Path(row["file"]).relative_to("baselines")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((kept[0] / row["file"]).read_bytes())
    assert velro_gate("baseline", "prune", "--baselines", copy, "--keep", "1", cwd=kept[0]).code == 0
    left = json.loads(velro_gate("baseline", "list", "--baselines", copy, "--format", "json", cwd=kept[0]).out)
    assert len(left["baselines"]) == 1


def test_a_kept_run_can_be_added_as_a_baseline(kept: tuple[Path, Ended]) -> None:
    ended = velro_gate("baseline", "add", gated_folder(kept[0]), "--baselines", kept[0] / "added", cwd=kept[0])
    assert ended.code == 0, ended.err
    assert list((kept[0] / "added").rglob("*.json"))


def test_a_damaged_or_foreign_baseline_is_skipped_with_its_name_and_never_stops_a_verdict(kept: tuple[Path, Ended]) -> None:
    (good, *_) = sorted(kept[0].glob("baselines/**/*.json"))
    others = kept[0] / "others"
    place = others / good.relative_to(kept[0] / "baselines")
    place.parent.mkdir(parents=True)
    place.write_text("{ not json", encoding="utf-8")
    newer = json.loads(good.read_text(encoding="utf-8")) | {"schema": 99}
    place.with_name("newer.json").write_text(json.dumps(newer), encoding="utf-8")
    elsewhere = json.loads(good.read_text(encoding="utf-8"))
    elsewhere["environment"]["cores"] = 1_024
    far = others / "tiny" / "other-environment" / "far.json"
    far.parent.mkdir(parents=True)
    far.write_text(json.dumps(elsewhere), encoding="utf-8")
    ended = velro_gate("judge", gated_folder(kept[0]), "--baselines", others, "--format", "json", cwd=kept[0])
    verdict = json.loads(ended.out)
    assert ended.code in (0, 4)
    said = json.dumps(verdict)
    assert place.name in said
    assert "newer" in said
    assert "cores" in said


def test_a_sandbox_refuses_a_slowdown_that_is_none(tmp_path: Path) -> None:
    ended = velro_gate("sandbox", "--slow", "authorization_check", cwd=tmp_path)
    assert ended.code == 2
    assert "STEP=FACTOR" in ended.err
