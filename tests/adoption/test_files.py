"""The files that a repository begins with: right by the linters and by the doctor, and never over somebody's work."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.adoption import (
    Choices,
    WriteOutcome,
    examine_workflows,
    ignore_results,
    read_workflows,
    render_files,
    unguarded,
    write_files,
)
from velro_gate.adoption.choices import STORES
from velro_gate.adoption.files import WAIVERS, WORKFLOWS, yaml_text
from velro_gate.analysis.rows.family import needed_answers
from velro_gate.errors import OutputError, UsageError
from velro_gate.gate.action.inputs import Inputs
from velro_gate.gate.action.stores import ARTIFACT
from velro_gate.model.metrics import METRICS
from velro_gate.scenario import load_scenario
from velro_gate.scenario.waivers import read_waivers

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
ACTION = f"acme/velro-gate@{'1' * 40}"

OWN = Choices(
    action="./",
    start="scripts/serve-sandbox.sh",
    url="http://127.0.0.1:8400",
    scenario="scenarios/velro-prd.yaml",
    resilience="scenarios/velro-resilience.yaml:sandbox",
    variables={"SUPABASE_SERVICE_KEY": "steps.service.outputs.key"},
)
"""This repository's own answers."""

USERS = [
    Choices(action=ACTION),
    Choices(action=ACTION, store="push", main="trunk", labels=("fast",), start="docker compose up --detach --wait"),
    Choices(action=ACTION, store="pull-request", bearer="TOKEN", variables={"TOKEN": "secrets.TOKEN"}, status="perf gate"),
    Choices(action=ACTION, store="artifact", url="https://staging.example.org/api", profile="full", health="/up"),
    Choices(action=ACTION, store="none", start='sh -c "echo: #1"'),
    Choices(action=ACTION, labels=("self-hosted", "load"), cluster_workers=4, cluster_head="head.example", bearer="TOKEN"),
    Choices(
        action=ACTION,
        duet=True,
        start="exec ./serve --port $PORT",
        build="make -j2",
        status="perf duet",
        resilience="broken.yaml",
    ),
]


def laid_out(folder: Path, choices: Choices) -> Path:
    write_files(folder, render_files(choices), lambda _: False)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


def test_our_own_workflows_are_what_init_writes() -> None:
    written = {path: text for path, text in render_files(OWN).items() if path.startswith(".github/")}
    assert len(written) == len(WORKFLOWS) + 1
    assert {path: (ROOT / path).read_text(encoding="utf-8") for path in written} == written


@pytest.mark.parametrize(
    "choices", USERS, ids=lambda choices: "duet" if choices.duet else "cluster" if choices.cluster_workers else choices.store
)
def test_linters_find_nothing_in_what_init_writes(tmp_path: Path, choices: Choices) -> None:
    root = laid_out(tmp_path, choices)
    workflows = sorted(map(str, root.glob(".github/workflows/*.yml")))
    assert len(workflows) == len(WORKFLOWS) + bool(choices.cluster_workers)
    for command in (
        [BIN / "zizmor", "--offline", "--quiet", "--strict-collection", "--persona=pedantic", root / ".github"],
        [BIN / "actionlint", "-shellcheck", BIN / "shellcheck", "-config-file", root / ".github/actionlint.yaml", *workflows],
    ):
        result = subprocess.run(list(map(str, command)), cwd=root, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


def test_what_init_writes_keeps_the_schema_of_workflows(tmp_path: Path) -> None:
    # All in one call: it takes longer to start than to read a file.
    roots = [laid_out(tmp_path / str(number), choices) for number, choices in enumerate(USERS)]
    workflows = sorted(str(path) for root in roots for path in root.glob(".github/workflows/*.yml"))
    assert len(workflows) >= len(USERS) * len(WORKFLOWS)
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *workflows]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "choices",
    [*USERS, OWN],
    ids=lambda choices: f"{choices.store}-{choices.action[:2]}-{choices.duet}-{choices.cluster_workers}",
)
def test_the_doctor_finds_nothing_in_what_init_writes(tmp_path: Path, choices: Choices) -> None:
    workflows, unreadable = read_workflows(laid_out(tmp_path, choices))
    assert len(workflows) == len(WORKFLOWS) + bool(choices.cluster_workers)
    assert [*unreadable, *examine_workflows(workflows)] == []
    # What only settings on GitHub can guard is said once of a repository with a machine of its own.
    assert [one.rule for one in unguarded(workflows)] == ["fork-approval"]


@pytest.mark.parametrize(
    "choices", USERS, ids=lambda choices: "duet" if choices.duet else "cluster" if choices.cluster_workers else choices.store
)
def test_the_scenario_and_the_waivers_can_be_read(tmp_path: Path, choices: Choices) -> None:
    laid_out(tmp_path, choices)
    scenario = load_scenario(tmp_path / choices.scenario, {})
    assert scenario.target.url == (choices.url or "http://127.0.0.1:8000")
    assert read_waivers(tmp_path / WAIVERS) == ()


def test_a_cluster_has_a_workflow_with_a_head_and_that_many_workers_and_without_one_there_is_none() -> None:
    name = ".github/workflows/perf-cluster.yml"
    assert name not in render_files(Choices(action=ACTION))
    jobs = yaml.safe_load(render_files(Choices(action=ACTION, cluster_workers=3, cluster_head="head.example"))[name])["jobs"]
    assert jobs["worker"]["strategy"]["matrix"]["number"] == [1, 2, 3]
    assert "tls://head.example:8786" in jobs["worker"]["steps"][-1]["run"]
    assert "--cluster-workers 3" in jobs["head"]["steps"][-2]["run"]
    assert "velro-head" in jobs["head"]["runs-on"]


@pytest.mark.parametrize(("workers", "head"), [(3, ""), (0, "head.example"), (257, "head.example"), (2, "head; rm -rf")])
def test_a_cluster_without_a_number_or_a_head_is_refused(workers: int, head: str) -> None:
    with pytest.raises(UsageError):
        Choices(action=ACTION, cluster_workers=workers, cluster_head=head)


def test_only_the_refresh_may_write_contents() -> None:
    files = render_files(Choices(action=ACTION))
    assert [path for path, text in files.items() if re.search(r"contents: write", text)] == [
        ".github/workflows/perf-baseline.yml"
    ]


def test_archives_of_baselines_are_kept_by_the_refresh_and_may_be_read_by_whoever_measures() -> None:
    files = render_files(Choices(action=ACTION, store="artifact"))
    found = {name: yaml.safe_load(files[f".github/workflows/{name}.yml"])["jobs"] for name in ("perf-baseline", "perf-gate")}
    (upload,) = [step for step in found["perf-baseline"]["baseline"]["steps"] if step.get("with", {}).get("name") == ARTIFACT]
    assert upload["with"]["path"] == Inputs().store_path
    assert "baseline-updated == 'true'" in upload["if"]
    assert found["perf-baseline"]["baseline"]["permissions"]["contents"] == "read"
    assert {job["permissions"]["actions"] for jobs in found.values() for job in jobs.values()} == {"read"}


def test_whom_the_gate_skips_the_reporter_shows() -> None:
    """By the fork, by Dependabot as the actor, and by its branch where a person has added a commit."""
    files = render_files(Choices(action=ACTION))
    gate, report = (
        yaml.safe_load(files[f".github/workflows/{name}.yml"])["jobs"] for name in ("perf-gate", "perf-report-fork")
    )
    assert "head.repo.full_name == github.repository" in gate["gate"]["if"]
    assert "user.login != 'dependabot[bot]'" in gate["gate"]["if"]
    assert "user.login == 'dependabot[bot]'" in gate["fork"]["if"]
    for part in ("head_repository.full_name != github.repository", "actor.login == 'dep", "head_branch, 'dependabot/'"):
        assert part in report["report"]["if"]


def test_a_repository_whose_service_we_start_has_a_base_build_to_measure_next_to_and_every_workflow_starts_it_itself() -> None:
    files = render_files(Choices(action=ACTION, duet=True, start="exec ./serve --port $PORT", build="make"))
    given = {
        name: [
            step["with"]
            for job in yaml.safe_load(files[f".github/workflows/{name}.yml"])["jobs"].values()
            for step in job["steps"]
            if step.get("uses") == ACTION
        ]
        for name in ("perf-gate", "perf-baseline", "perf-dispatch", "perf-nightly")
    }
    starts = [step["start-command"] == "exec ./serve --port $PORT" for steps in given.values() for step in steps]
    assert len(starts) == 5
    assert all(starts)
    # The screen comes first, and what it leaves open goes to the base build: no second job is needed.
    assert not any("duet" in step or "second-job" in step for steps in given.values() for step in steps)
    assert "Start the service under test" not in "".join(files.values())


def test_without_a_base_build_a_second_job_of_the_same_run_confirms_what_looks_worse() -> None:
    jobs = yaml.safe_load(render_files(Choices(action=ACTION))[".github/workflows/perf-gate.yml"])["jobs"]
    gate, confirm = jobs["gate"], jobs["confirm"]
    assert gate["outputs"] == {"needs-confirmation": "${{ steps.gate.outputs.needs-confirmation }}"}
    (handed,) = [step for step in gate["steps"] if step.get("with", {}).get("name") == Inputs().first_artifact]
    assert handed["with"]["path"] == "${{ steps.gate.outputs.confirmation-path }}"
    assert confirm["needs"] == "gate"
    assert "needs.gate.outputs.needs-confirmation == 'true'" in confirm["if"]
    assert "head.repo.full_name == github.repository" in confirm["if"]
    assert [step["with"]["mode"] for step in confirm["steps"] if step.get("uses") == ACTION] == ["confirm"]
    assert confirm["permissions"]["actions"] == "read"


def test_every_action_of_others_is_pinned_by_commit() -> None:
    used = re.findall(r"\buses: (\S+@\S+)", "".join(render_files(Choices(action=ACTION)).values()))
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each)] == []


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff"), min_size=1)
)
def test_any_text_comes_back_from_its_yaml(text: str) -> None:
    assert yaml.safe_load(f"key: {yaml_text(text)}") == {"key": text}


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "velro-gate"},
        {"action": f"{ACTION} # x"},
        {"main": "a b"},
        {"main": "${{ github.token }}"},
        {"url": "http://x/${{ secrets.A }}"},
        {"url": "ftp://x"},
        {"health": "health"},
        {"scenario": "../other.yaml"},
        {"scenario": "/etc/scenario.yaml"},
        {"labels": ()},
        {"labels": ("a, b]",)},
        {"variables": {"low": "secrets.X"}},
        {"variables": {"X": "secrets.X }} ${{ github.token"}},
        {"bearer": "two words"},
        {"store": "disk"},
        {"status": "a: b\n"},
        {"duet": True},
        {"duet": True, "start": "./serve", "url": "http://127.0.0.1:8000"},
        {"build": "make", "start": "./serve"},
    ],
    ids=str,
)
def test_an_answer_that_could_break_out_of_its_place_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        Choices(**{"action": ACTION, **wrong})  # type: ignore[arg-type]
    assert caught.value.hint


def test_every_store_that_can_be_chosen_is_one_that_the_gate_knows() -> None:
    from velro_gate.gate.action.store_kind import StoreKind

    assert set(STORES) == {kind.value for kind in StoreKind}


def test_a_file_that_differs_stays_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine", encoding="utf-8")
    (tmp_path / "lost").write_text("mine", encoding="utf-8")
    (tmp_path / "same").write_text("new", encoding="utf-8")
    asked = []

    def overwrite(path: str) -> bool:
        asked.append(path)
        return path == "lost"

    written = write_files(tmp_path, dict.fromkeys(("kept", "lost", "same", "deep/new"), "new"), overwrite)
    assert [each.outcome for each in written] == [
        WriteOutcome.KEPT,
        WriteOutcome.OVERWRITTEN,
        WriteOutcome.UNCHANGED,
        WriteOutcome.WRITTEN,
    ]
    assert asked == ["kept", "lost"]
    assert (tmp_path / "kept").read_text(encoding="utf-8") == "mine"
    assert (tmp_path / "lost").read_text(encoding="utf-8") == (tmp_path / "deep/new").read_text(encoding="utf-8") == "new"


def test_an_answer_by_ctrl_c_leaves_everything_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("mine", encoding="utf-8")

    def interrupted(_: str) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_files(tmp_path, {"first": "new", "old": "new"}, interrupted)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]


def test_a_place_that_cannot_be_written_is_reported_with_its_name(tmp_path: Path) -> None:
    (tmp_path / ".github").write_text("a file", encoding="utf-8")
    with pytest.raises(OutputError) as caught:
        write_files(tmp_path, {".github/workflows/x.yml": "new"}, lambda _: True)
    assert str(caught.value.where).endswith(".github/workflows/x.yml")


def test_what_runs_leave_is_ignored_by_git_and_nothing_of_the_file_is_lost(tmp_path: Path) -> None:
    assert ignore_results(tmp_path).outcome is WriteOutcome.WRITTEN
    assert ignore_results(tmp_path).outcome is WriteOutcome.UNCHANGED
    file = tmp_path / ".gitignore"
    file.write_bytes(b"caf\xe9\nvelro-results/")
    assert ignore_results(tmp_path).outcome is WriteOutcome.EXTENDED
    assert file.read_bytes() == b"caf\xe9\nvelro-results/\nvelro-gate-crash-*.txt\n"


@pytest.mark.parametrize("action", ["acme/velro-gate@v1", "acme/velro-gate@main", f"acme/velro-gate@{'a' * 39}"])
def test_an_action_that_the_doctor_would_fault_is_refused(action: str) -> None:
    with pytest.raises(UsageError, match="40 digits"):
        Choices(action=action)


def test_the_scenario_says_from_how_many_answers_on_a_step_is_compared() -> None:
    text = render_files(Choices(action=ACTION))["velro-scenario.yaml"]
    assert f"compared from {needed_answers(METRICS['p95'])} successful responses on" in text
