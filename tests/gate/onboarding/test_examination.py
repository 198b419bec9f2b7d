"""The doctor's whole examination, of what it is asked for and nothing else."""

from __future__ import annotations

from pathlib import Path

from velro_gate.gate.onboarding.doctor import examine_repository
from velro_gate.gate.onboarding.examination import examine

WORKFLOW = """
on: pull_request
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: acme/velro-gate@main
"""


def test_without_machine_and_cluster_only_the_repository_is_examined(tmp_path: Path) -> None:
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    (folder / "perf.yml").write_text(WORKFLOW, encoding="utf-8")
    found = examine(tmp_path, 10, machine=False, cluster=None)
    assert found.findings == tuple(examine_repository(tmp_path)) != ()
    assert found.workers == ()
