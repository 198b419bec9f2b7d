from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from velro_gate import __version__
from velro_gate.model.record import Revision, comparable, fingerprint
from velro_gate.monitor.checkout import checkout
from velro_gate.monitor.environment import cpu_model, cpu_quota, environment, revision, runner_label


def test_this_machine_is_described_in_full() -> None:
    here = environment(environ={})
    assert here.cpu_model
    assert here.cores >= 1
    assert here.memory > 2**20
    assert here.tool == __version__
    assert platform.python_version() in here.python


def test_two_looks_at_one_machine_have_one_fingerprint() -> None:
    assert fingerprint(environment("box", environ={})) == fingerprint(environment("box", environ={}))


def test_another_label_is_another_environment() -> None:
    assert fingerprint(environment("box", environ={})) != fingerprint(environment("other", environ={}))


def test_a_quota_makes_another_environment_of_the_same_machine(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text("1000000\n")
    limited = environment(None, environ={}, cgroup=tmp_path)
    assert limited.extra == {"cpu_quota": "1.5"}
    assert limited.memory == 1_000_000
    assert fingerprint(limited) != fingerprint(environment(None, environ={}, cgroup=tmp_path / "absent"))


HOSTED = {"RUNNER_NAME": "GitHub Actions 12", "RUNNER_ENVIRONMENT": "github-hosted"}


@pytest.mark.parametrize(
    ("given", "environ", "label"),
    [
        ("mine", {"RUNNER_NAME": "velro-1"}, "mine"),
        (None, {"RUNNER_NAME": "velro-1", "RUNNER_ENVIRONMENT": "self-hosted"}, "velro-1"),
        (
            None,
            {
                "RUNNER_NAME": "GitHub Actions 12",
                "RUNNER_ENVIRONMENT": "github-hosted",
                "ImageOS": "ubuntu24",
                "RUNNER_ARCH": "X64",
            },
            "github-hosted-ubuntu24-x64",
        ),
        (
            None,
            {**HOSTED, "RUNNER_OS": "Linux"},
            "github-hosted-linux",
        ),
    ],
)
def test_the_label_names_a_kind_of_machine_and_not_one_job(given: str | None, environ: dict[str, str], label: str) -> None:
    assert runner_label(given, environ) == label


def test_without_anything_else_the_host_gives_its_name() -> None:
    assert runner_label(None, {}) == platform.node()


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("processor : 0\nmodel name\t: AMD  EPYC 7763   64-Core\nmodel : 1\n", "AMD EPYC 7763 64-Core"),
        ("processor : 0\nModel\t\t: Raspberry Pi 5\n", "Raspberry Pi 5"),
        ("processor : 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n", f"{platform.machine()} 0x41 0xd0c"),
        ("", platform.machine()),
    ],
)
def test_the_cpu_has_a_name_whatever_the_kernel_calls_it(tmp_path: Path, text: str, model: str) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu_model(tmp_path) == model


def test_without_the_kernels_file_the_platform_names_the_cpu(tmp_path: Path) -> None:
    assert cpu_model(tmp_path / "absent")


@pytest.mark.parametrize(("text", "quota"), [("200000 100000", 2.0), ("max 100000", None), ("", None)])
def test_a_quota_is_read_in_cores(tmp_path: Path, text: str, quota: float | None) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert cpu_quota(tmp_path) == quota


def git(folder: Path, *words: str) -> str:
    command = [
        "git",
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.test",
        "-c",
        "commit.gpgsign=false",
        "-C",
        str(folder),
        *words,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "topic")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_outside_ci_git_says_which_build_it_is(repository: Path) -> None:
    found = revision(repository, environ={})
    assert found.sha == git(repository, "rev-parse", "HEAD")
    assert found.branch == "topic"
    assert found.sha.startswith(found.label)


def test_uncommitted_changes_show_in_the_label(repository: Path) -> None:
    (repository / "file").write_text("two")
    assert revision(repository, environ={}).label.endswith("-dirty")


def test_asking_leaves_the_index_as_it_is_even_where_a_file_only_looks_changed(repository: Path) -> None:
    os.utime(repository / "file", (0, 0))
    index = repository / ".git" / "index"
    before = index.read_bytes(), index.stat().st_ino
    assert not revision(repository, environ={}).label.endswith("-dirty")
    assert (index.read_bytes(), index.stat().st_ino) == before


def test_a_tag_is_the_label(repository: Path) -> None:
    git(repository, "tag", "v1.2.3")
    assert revision(repository, environ={}).label == "v1.2.3"


def test_a_detached_checkout_has_no_branch(repository: Path) -> None:
    git(repository, "checkout", "-q", "--detach")
    assert revision(repository, environ={}).branch == ""


def test_outside_a_repository_nothing_is_claimed(tmp_path: Path) -> None:
    assert revision(tmp_path, environ={}) == Revision()


def test_what_is_checked_out_is_what_is_measured_whatever_the_ci_job_is_about(repository: Path) -> None:
    here = git(repository, "rev-parse", "HEAD")
    found = revision(repository, environ={"GITHUB_SHA": "abc123" * 6, "GITHUB_REF": "refs/heads/main"})
    assert (found.sha, found.branch) == (here, "topic")
    agreed = revision(repository, environ={"GITHUB_SHA": here, "GITHUB_REF": "refs/heads/main"})
    assert (agreed.sha, agreed.branch) == (here, "main")


def test_without_a_checkout_the_ci_job_is_believed(tmp_path: Path) -> None:
    found = revision(tmp_path, environ={"GITHUB_SHA": "abc123" * 6, "GITHUB_REF": "refs/heads/main"})
    assert (found.sha, found.branch, found.label) == ("abc123" * 6, "main", "abc123abc123")


def test_a_shallow_checkout_names_its_parents_and_a_repository_further_up_does_not_count(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "commit", "-q", "--allow-empty", "-m", "second")
    shallow = repository / "shallow"
    git(repository, "clone", "-q", "--depth=1", repository.as_uri(), str(shallow))
    assert checkout(shallow).parents == (first,)
    (repository / "below").mkdir()
    found = checkout(repository / "below")
    assert (found.sha, "not a git repository" in found.why) == ("", True)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_workspace_of_another_owner_can_be_read(repository: Path) -> None:
    here = git(repository, "rev-parse", "HEAD")
    for path in (repository, *repository.rglob("*")):
        os.chown(path, 65_534, 65_534)
    assert checkout(repository).sha == revision(repository, environ={}).sha == here


def test_a_pull_request_is_known_by_its_head_branch(tmp_path: Path) -> None:
    environ = {"GITHUB_SHA": "a" * 40, "GITHUB_REF": "refs/pull/7/merge", "GITHUB_HEAD_REF": "faster-login"}
    assert revision(tmp_path, environ=environ).branch == "faster-login"


def test_a_given_label_names_a_pool_of_machines_whose_kernels_do_not_matter() -> None:
    one = environment("box", environ={})
    assert fingerprint(one) == fingerprint(replace(one, kernel="another"))
    named = environment(None, environ={"RUNNER_NAME": "box"})
    assert fingerprint(named) != fingerprint(replace(named, kernel="another"))
    assert comparable(named, one), "what was stored before it was a pool"
