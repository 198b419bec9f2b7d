"""The action's inputs: from the workflow, over them those of a person, and a clear word for what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from velro_gate.cluster.options import ClusterOptions
from velro_gate.errors import UsageError
from velro_gate.gate.action.inputs import Inputs, read_inputs
from velro_gate.gate.action.store_kind import StoreKind


@pytest.mark.real
def test_nothing_given_is_the_defaults() -> None:
    assert read_inputs({}) == Inputs()
    assert read_inputs({"VELRO_PROFILE": "", "VELRO_COMMENT": " "}) == Inputs()


def test_every_input_has_its_variable() -> None:
    found = read_inputs(
        {
            "VELRO_MODE": "gate",
            "VELRO_SCENARIO": "perf/shop.yaml",
            "VELRO_PROFILE": "full",
            "VELRO_PHASES": "one, two\nthree",
            "VELRO_URL": "http://127.0.0.1:8400",
            "VELRO_SHARDS": "2",
            "VELRO_RUNNER": "perf-1",
            "VELRO_CALIBRATION": "false",
            "VELRO_OUTPUT": "out",
            "VELRO_WAIVERS": "w.yaml",
            "VELRO_ALLOW_INCONCLUSIVE": "true",
            "VELRO_STORE": "pull-request",
            "VELRO_STORE_BRANCH": "perf/data",
            "VELRO_STORE_PATH": "perf/baselines/",
            "VELRO_KEEP": "12",
            "VELRO_ACCEPT_CHANGE": "TRUE",
            "VELRO_COMMENT": "false",
            "VELRO_COMMENT_AUTHOR": "acme[bot]",
            "VELRO_STATUS": "false",
            "VELRO_STATUS_CONTEXT": "perf",
            "VELRO_STATUS_JOBS": "3",
            "VELRO_PULL_REQUEST": "7",
            "VELRO_ARTIFACT_URL": "https://x.example",
            "VELRO_ARTIFACT": "mine",
            "VELRO_CLUSTER": "tls://head:8786",
            "VELRO_CLUSTER_WORKERS": "4",
            "VELRO_CLUSTER_WAIT": "5 min",
            "VELRO_CLUSTER_LISTEN": "10.0.0.5:8790",
            "VELRO_CLUSTER_RAW": "1 GiB",
            "VELRO_DUET": "true",
            "VELRO_BUILD_COMMAND": "make build",
            "VELRO_START_COMMAND": "exec ./serve --port $PORT",
            "VELRO_SERVICE_USER": "nobody",
            "VELRO_HEALTH_PATH": "/up",
            "VELRO_BUILD_MINUTES": "5",
            "VELRO_PAIRS": "8",
            "VELRO_BLOCK_SECONDS": "2",
            "VELRO_WARM_UP_SECONDS": "1",
            "VELRO_MAX_MINUTES": "40",
        }
    )
    assert found == Inputs(
        mode="gate",
        scenario=Path("perf/shop.yaml"),
        profile="full",
        phases=("one", "two", "three"),
        url="http://127.0.0.1:8400",
        shards="2",
        cluster=ClusterOptions(address="tls://head:8786", workers=4, wait=300.0, listen=("10.0.0.5", 8790), raw=2**30),
        runner="perf-1",
        calibration=False,
        output=Path("out"),
        waivers=Path("w.yaml"),
        block_inconclusive=False,
        store=StoreKind.PULL_REQUEST,
        store_branch="perf/data",
        store_path="perf/baselines",
        keep=12,
        accept_change=True,
        comment=False,
        author="acme[bot]",
        status=False,
        context="perf",
        status_jobs=3,
        pull_request=7,
        artifact_url="https://x.example",
        artifact="mine",
        duet=True,
        build_command="make build",
        start_command="exec ./serve --port $PORT",
        health_path="/up",
        service_user="nobody",
        build_minutes=5,
        pairs=8,
        block_seconds=2,
        warm_up_seconds=1,
        max_minutes=40,
    )


def test_what_a_person_chose_stands_over_the_workflow_as_far_as_people_may_choose() -> None:
    found = read_inputs(
        {"VELRO_PROFILE": "pr", "VELRO_STORE": "none"},
        {"profile": "full", "pull-request": "9", "store": "push", "comment-author": "mallory"},
    )
    assert (found.profile, found.pull_request, found.store, found.author) == ("full", 9, StoreKind.NONE, Inputs().author)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VELRO_COMMENT", "yes"),
        ("VELRO_CLUSTER", "nowhere"),
        ("VELRO_CLUSTER_WORKERS", "0"),
        ("VELRO_CLUSTER_WAIT", "long"),
        ("VELRO_CLUSTER_RAW", "much"),
        ("VELRO_CLUSTER_RAW", "-1 GiB"),
        ("VELRO_STORE", "cloud"),
        ("VELRO_KEEP", "0"),
        ("VELRO_KEEP", "-1"),
        ("VELRO_PULL_REQUEST", "seven"),
        ("VELRO_STORE_BRANCH", "--force"),
        ("VELRO_STORE_BRANCH", "a..b"),
        ("VELRO_STORE_BRANCH", "a b"),
        ("VELRO_STORE_BRANCH", "a:refs/heads/main"),
        ("VELRO_STORE_PATH", "../up"),
        ("VELRO_STORE_PATH", "/etc"),
        ("VELRO_HEALTH_PATH", "up"),
        ("VELRO_PAIRS", "ten"),
        ("VELRO_BLOCK_SECONDS", "1"),
        ("VELRO_WARM_UP_SECONDS", "0"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_input(name: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_inputs({name: value})
    assert caught.value.where == name
    assert value in caught.value.what


@pytest.mark.parametrize("needs", [{"VELRO_DUET": "true"}, {"VELRO_BUILD_COMMAND": "make"}], ids=str)
def test_what_is_built_or_measured_side_by_side_has_to_be_started(needs: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        read_inputs(needs)
    assert caught.value.exit_code == 2
    assert caught.value.where == "VELRO_START_COMMAND"
    assert "serves on the port in PORT" in caught.value.hint
    read_inputs({**needs, "VELRO_START_COMMAND": "./serve"})


def test_a_person_who_starts_a_dispatch_cannot_choose_what_is_run_on_the_machine() -> None:
    found = read_inputs({"VELRO_START_COMMAND": "./serve"}, {"start-command": "curl evil", "build-command": "curl evil"})
    assert (found.start_command, found.build_command) == ("./serve", "")


@pytest.mark.parametrize(
    ("text", "found"), [("", ""), (".github/velro-templates/", ".github/velro-templates"), ("./perf/tpl", "perf/tpl")]
)
def test_templates_lie_in_a_folder_of_the_repository(text: str, found: str) -> None:
    assert read_inputs({"VELRO_TEMPLATE_DIR": text}).template_dir == found


@pytest.mark.parametrize("text", ["/etc", "../other", "perf/../..", "a?ref=evil", "a\nb", "."])
def test_a_folder_that_leads_out_of_the_repository_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="template-dir"):
        read_inputs({"VELRO_TEMPLATE_DIR": text})
