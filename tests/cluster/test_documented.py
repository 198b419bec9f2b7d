"""The ways to start a cluster in docs/cluster.md: Dask knows each command, scripts and manifests are well formed."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import distributed
import pytest
import yaml
from dask_jobqueue import SLURMCluster
from distributed.cli import dask_scheduler, dask_ssh, dask_worker

from velro_gate.cluster.local.process import QUIET

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
TEXT = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
COMMANDS: dict[str, Any] = {"worker": dask_worker.main, "scheduler": dask_scheduler.main, "ssh": dask_ssh.main}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def documents() -> list[dict[str, Any]]:
    return [yaml.safe_load(block) for block in blocks("yaml")]


def manifest() -> dict[str, Any]:
    (found,) = (each for each in documents() if each.get("kind") == "DaskCluster")
    return found


def containers() -> list[list[str]]:
    spec = manifest()["spec"]
    return [one["args"] for part in ("worker", "scheduler") for one in spec[part]["spec"]["containers"]]


def commands() -> list[list[str]]:
    lines = re.findall(r"\bdask (?:worker|scheduler|ssh) (?=[\w$\"{-])[^|&`'\n]*", TEXT)
    return [shlex.split(line) for line in lines] + containers()


def test_every_command_is_one_that_dask_understands() -> None:
    found = commands()
    assert {words[1] for words in found} == set(COMMANDS)
    assert len(found) >= 7
    for dask, name, *arguments in found:
        assert dask == "dask"
        # Raises where an option does not exist, or has no such value.
        COMMANDS[name].make_context(f"dask {name}", arguments)


def test_every_worker_has_one_thread() -> None:
    for words in commands():
        if words[1] in ("worker", "ssh") and len(words) > 3:
            assert words[words.index("--nthreads") + 1] == "1"


@pytest.mark.parametrize("script", blocks("bash"), ids=lambda script: script.splitlines()[1])
def test_scripts_are_clean_for_shellcheck(script: str) -> None:
    said = subprocess.run([BIN / "shellcheck", "-"], input=script, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout


def test_the_script_for_slurm_submits_eight_jobs_of_one_worker_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (script,) = blocks("python")
    (tmp_path / "sbatch").write_text(
        f'#!/bin/sh\ncp "$1" "{tmp_path}/$$" && mv "{tmp_path}/$$" "{tmp_path}/$$.job"\necho Submitted batch job $$\n',
        encoding="utf-8",
    )
    (tmp_path / "scancel").write_text("#!/bin/sh\n", encoding="utf-8")
    for name in ("sbatch", "scancel"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    said: list[str] = []

    def submitted() -> None:
        """Instead of waiting for a signal: until all jobs are there, on the loop of the cluster."""
        until = time.monotonic() + 30.0
        while len(list(tmp_path.glob("*.job"))) < 8 and time.monotonic() < until:
            time.sleep(0.01)

    monkeypatch.setattr(signal, "pause", submitted)
    names: dict[str, Any] = {"print": lambda line, **_: said.append(line)}
    exec(compile(script, "slurm.py", "exec"), names)
    assert isinstance(names["cluster"], SLURMCluster)
    jobs = [file.read_text(encoding="utf-8") for file in tmp_path.glob("*.job")]
    assert len(jobs) == 8
    for job in jobs:
        assert "#SBATCH -n 1\n#SBATCH --cpus-per-task=1\n" in job
        (line,) = (line for line in job.splitlines() if "distributed.cli.dask_worker" in line)
        arguments = shlex.split(line)[3:]
        assert arguments[0] == said[0]
        assert arguments[arguments.index("--nthreads") + 1] == "1"
        COMMANDS["worker"].make_context("dask worker", arguments)


def test_the_service_of_the_manifest_leads_to_its_scheduler() -> None:
    scheduler = manifest()["spec"]["scheduler"]
    (container,) = scheduler["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in scheduler["service"]["ports"]} <= ports
    labels = {"dask.org/cluster-name": manifest()["metadata"]["name"], "dask.org/component": "scheduler"}
    assert scheduler["service"]["selector"] == labels


def settings_of(block: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Every setting by its full name."""
    found: dict[str, Any] = {}
    for key, value in block.items():
        found |= settings_of(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return found


def test_settings_have_keys_that_dask_knows_and_those_of_a_quiet_worker_are_those_of_a_local_one() -> None:
    quiet, tls = (settings_of(each) for each in documents() if "distributed" in each)
    known = settings_of({"distributed": distributed.config["distributed"]})
    assert {*tls, *quiet} <= known.keys()
    assert "distributed.comm.require-encryption" in tls
    assert quiet == QUIET
    assert QUIET.items().isdisjoint(known.items())
