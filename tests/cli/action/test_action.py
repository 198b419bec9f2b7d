"""``velro-gate action`` as a workflow runs it: a process, its variables, a service, the API, a git server, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cli.command import Ended, command, environment, tiny_scenario, velro_gate
from tests.gate.jobs import HEAD, World, world
from tests.gate.programs import service as program
from tests.github.git_server import git
from tests.github.test_commands import read_outputs
from tests.service import Service, service

TOKEN = "good-token"
PULL_REQUEST = {
    "action": "opened",
    "repository": {"default_branch": "main"},
    "pull_request": {
        "number": 7,
        "head": {"sha": HEAD, "ref": "feature", "repo": {"full_name": "acme/shop"}},
        "base": {"sha": "b" * 40, "ref": "main", "repo": {"full_name": "acme/shop"}},
    },
}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def shop() -> Iterator[Service]:
    with service() as running:
        yield running


def variables(here: World, name: str, payload: Mapping[str, Any], url: str, **more: str) -> dict[str, str]:
    """What GitHub and the action set for the step."""
    event = here.folder / "event.json"
    event.write_text(json.dumps(payload), encoding="utf-8")
    temporary = here.folder / "temporary"
    temporary.mkdir(exist_ok=True)
    for file in ("outputs", "summary.md"):
        (here.folder / file).write_text("", encoding="utf-8")
    given = {name: more.pop(name) for name in ("duration", "requirements") if name in more}
    scenario = tiny_scenario(here.folder, **given)  # type: ignore[arg-type]
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": name,
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "acme/shop",
        "GITHUB_API_URL": here.api.url,
        "GITHUB_SERVER_URL": here.git_url,
        "GITHUB_SHA": HEAD,
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_RUN_ID": "77",
        "GITHUB_OUTPUT": str(here.folder / "outputs"),
        "GITHUB_STEP_SUMMARY": str(here.folder / "summary.md"),
        "RUNNER_TEMP": str(temporary),
        "VELRO_TOKEN": TOKEN,
        "VELRO_CALIBRATION": "false",
        "VELRO_SCENARIO": str(scenario),
        "VELRO_URL": url,
        **more,
    }


def action(here: World, name: str, payload: Mapping[str, Any], url: str, **more: str) -> Ended:
    return velro_gate("action", cwd=here.folder, env=variables(here, name, payload, url, **more))


def test_a_pull_request_is_measured_and_reported(here: World, shop: Service) -> None:
    ended = action(here, "pull_request", PULL_REQUEST, shop.url)
    assert ended.code == 0, ended.err
    assert [state for _, state, _ in here.lights] == ["pending", "success"]
    assert len(here.api.state.comments) == 1
    assert here.outputs["verdict"] == "no-baseline"
    assert TOKEN not in ended.out + ended.err
    assert list((here.folder / "temporary").iterdir()) == []


def test_a_push_to_main_leaves_a_baseline_that_the_next_pull_request_finds(here: World, shop: Service) -> None:
    pushed = {"after": HEAD, "repository": {"default_branch": "main"}}
    ended = action(here, "push", pushed, shop.url)
    assert ended.code == 0, ended.err
    assert here.outputs["baseline-updated"] == "true"
    assert git("rev-list", "--count", "velro-baselines", cwd=here.bare) == "1"
    ended = action(here, "pull_request", PULL_REQUEST, shop.url)
    assert "1 used" in here.api.state.comments[0]["body"]
    # What was measured can be told once more, and stored by hand.
    folder = here.outputs["result-path"]
    env = variables(here, "pull_request", PULL_REQUEST, shop.url)
    again = velro_gate("publish", folder, cwd=here.folder, env=env)
    assert again.code == 0, again.err
    assert read_outputs((here.folder / "outputs").read_text(encoding="utf-8"))["comment-url"]
    assert len(here.api.state.comments) == 1
    stored = velro_gate("baseline", "push", folder, "--store", "branch", cwd=here.folder, env=env)
    assert (stored.code, stored.out[:23]) == (0, "stored velro-baselines@"), stored.err
    brought = velro_gate("baseline", "pull", "--to", "brought", cwd=here.folder, env=env)
    assert brought.code == 0, brought.err
    assert len(list((here.folder / "brought").rglob("*.json"))) == 2


def test_a_service_that_is_not_there_is_an_error_status_and_exit_code_4(here: World) -> None:
    ended = action(here, "pull_request", PULL_REQUEST, "http://127.0.0.1:9")
    assert ended.code == 4
    assert here.lights[-1][1] == "error"
    assert "no verdict, please read" in here.summary


def test_an_event_that_asks_for_nothing_ends_at_once(here: World) -> None:
    ended = action(here, "push", {"after": HEAD, "repository": {"default_branch": "other"}}, "http://127.0.0.1:9")
    assert ended.code == 0
    assert here.api.state.calls == []
    assert "mode none" in ended.err


@pytest.mark.hostile("statuses and comments")
def test_an_empty_token_is_said_before_anything_is_measured_where_a_status_was_asked_for(here: World) -> None:
    for words in (["publish", here.folder], ["action"]):
        env = variables(here, "pull_request", PULL_REQUEST, "http://127.0.0.1:9", VELRO_TOKEN="")
        ended = velro_gate(*words, cwd=here.folder, env=env)
        assert ended.code == 2
        assert "the input token is empty" in ended.err
    assert "the input token is empty" in here.summary
    assert here.outputs["verdict"] == "broken"


@pytest.mark.hostile("statuses and comments")
def test_pull_request_target_is_refused_before_anything_is_sent(here: World) -> None:
    ended = action(here, "pull_request_target", PULL_REQUEST, "http://127.0.0.1:9")
    assert ended.code == 2
    assert here.api.state.calls == []


@pytest.mark.parametrize("payload", ["", "[]", "{", "[" * 100_000])
def test_a_payload_that_is_none_is_a_usage_error(here: World, payload: str) -> None:
    env = variables(here, "pull_request", {}, "http://127.0.0.1:9")
    Path(env["GITHUB_EVENT_PATH"]).write_text(payload, encoding="utf-8")
    ended = velro_gate("action", cwd=here.folder, env=env)
    assert ended.code == 2
    assert "payload" in ended.err


def test_outside_of_github_actions_it_says_so(tmp_path: Path) -> None:
    ended = velro_gate("action", cwd=tmp_path, env={"GITHUB_EVENT_NAME": "", "GITHUB_REPOSITORY": ""})
    assert ended.code == 2
    assert "velro-gate gate" in ended.err


def members_of(group: int) -> list[psutil.Process]:
    """The processes of a group."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(process.pid) == group:
                found.append(process)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.hostile("statuses and comments")
def test_a_cancelled_job_keeps_its_record_sets_an_error_status_and_leaves_no_process(
    here: World, shop: Service, number: signal.Signals
) -> None:
    env = environment(variables(here, "pull_request", PULL_REQUEST, shop.url, duration="60 s"))
    child = subprocess.Popen(
        command("action"), cwd=here.folder, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 (no threads in the child)
    )  # fmt: skip
    assert child.stderr is not None
    first = next(line for line in iter(child.stderr.readline, "") if line.startswith("[1/1]"))
    child.send_signal(number)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130, first + err
    assert here.lights[-1] == (HEAD, "error", "no verdict: cancelled")
    assert list(here.folder.glob("velro-results/*/record.json"))
    # Whoever was ended last may still be there for the moment that it takes to be reaped.
    _, alive = psutil.wait_procs(members_of(child.pid), timeout=10.0)
    assert not alive


# Side by side.


def proposal(here: World) -> tuple[Path, dict[str, Any]]:
    """A shallow checkout of a change, and the event that proposes it."""
    workspace = here.folder / "workspace"
    git("clone", "--quiet", "--depth=1", here.bare.as_uri(), str(workspace))
    base = git("rev-parse", "HEAD", cwd=workspace)
    (workspace / "changed").touch()
    git("add", ".", cwd=workspace)
    git("commit", "--quiet", "--message", "A change", cwd=workspace)
    git("push", "--quiet", "origin", "HEAD:feature", cwd=workspace)
    head = git("rev-parse", "HEAD", cwd=workspace)
    here.api.state.pulls[0]["head_sha"] = head
    pull = {**PULL_REQUEST["pull_request"], "head": {**PULL_REQUEST["pull_request"]["head"], "sha": head}}  # type: ignore[dict-item,index]
    pull["base"] = {**pull["base"], "sha": base}
    return workspace, {**PULL_REQUEST, "pull_request": pull}


def test_a_base_that_cannot_be_built_leaves_a_run_of_the_started_head_and_its_comment_says_why(here: World) -> None:
    workspace, payload = proposal(here)
    more = {
        "VELRO_DUET": "true",
        "VELRO_BUILD_COMMAND": "test -e changed || { echo no compiler; exit 9; }",
        "VELRO_START_COMMAND": program(here.folder, 0.0),
    }
    ended = velro_gate("action", cwd=workspace, env=variables(here, "pull_request", payload, "", **more))
    assert ended.code == 0, ended.out + ended.err
    (comment,) = here.api.state.comments
    assert "No duet, so this run is compared with stored baselines: the base build's build-command" in comment["body"]
    assert "no compiler" in comment["body"]
    outputs = read_outputs((here.folder / "outputs").read_text(encoding="utf-8"))
    assert {"build-base.log", "build-head.log", "head.log", "record.json"} <= {
        path.name for path in Path(outputs["result-path"]).iterdir()
    }
    assert list((here.folder / "temporary").iterdir()) == []
    assert TOKEN not in ended.out + ended.err + "".join(
        path.read_text("utf-8", "replace") for path in workspace.rglob("velro-results/**/*") if path.is_file()
    )


def test_what_looks_worse_on_a_started_service_goes_to_its_base_build_and_without_one_a_single_baseline_fails_nothing(
    here: World, shop: Service
) -> None:
    pushed = {"after": HEAD, "repository": {"default_branch": "main"}}
    # Six seconds hold enough requests for p50 to be compared.
    assert action(here, "push", pushed, shop.url, duration="6 s").code == 0
    workspace, payload = proposal(here)
    more = {
        "VELRO_BUILD_COMMAND": "test -e changed || { echo no compiler; exit 9; }",
        "VELRO_START_COMMAND": program(here.folder, 60.0),
    }
    ended = velro_gate("action", cwd=workspace, env=variables(here, "pull_request", payload, "", duration="6 s", **more))
    reported = " ".join(ended.err.split())
    assert "measuring it side by side with the base build" in reported
    assert "no duet, using stored baselines: the base build's build-command ended with exit code 9" in reported
    assert "confirmation run" not in reported
    assert ended.code == 0, ended.out + ended.err
    outputs = read_outputs((here.folder / "outputs").read_text(encoding="utf-8"))
    assert outputs["verdict"] != "pass"
    row = next(
        row
        for row in json.loads((Path(outputs["result-path"]) / "verdict.json").read_text("utf-8"))["comparisons"]
        if (row["step"], row["metric"]) == ("all", "p50")
    )
    assert "one baseline does not show how much" in row["reason"]


@pytest.mark.hostile("runner")
def test_a_cancelled_build_of_the_base_leaves_no_process_and_no_checkout(here: World) -> None:
    workspace, payload = proposal(here)
    pid = here.folder / "pid"
    more = {
        "VELRO_DUET": "true",
        "VELRO_BUILD_COMMAND": f"test -e changed && exit; echo $$ > {pid}.part; mv {pid}.part {pid}; sleep 600; true",
        "VELRO_START_COMMAND": "exit 1",
    }
    child = subprocess.Popen(
        command("action"), cwd=workspace, env=environment(variables(here, "pull_request", payload, "", **more)),
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 (no threads in the child)
    )  # fmt: skip
    while not pid.exists():
        assert child.poll() is None, child.communicate()
        time.sleep(0.02)
    assert list((here.folder / "temporary").glob("*/base/README.md"))
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 130, out + err
    assert here.lights[-1][1:] == ("error", "no verdict: cancelled")
    assert list((here.folder / "temporary").iterdir()) == []
    assert not psutil.pid_exists(int(pid.read_text("utf-8")))


def test_a_duet_without_a_start_command_is_refused_with_what_to_do(here: World) -> None:
    ended = action(here, "pull_request", PULL_REQUEST, "", VELRO_DUET="true")
    assert ended.code == 2
    assert "the input duet needs the input start-command" in ended.err
    assert "serves on the port in PORT" in ended.err
    assert here.api.state.statuses == []
