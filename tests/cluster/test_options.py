"""What names a cluster is understood, and what contradicts itself is refused in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import ROOT
from velro_gate.cli.asked import clustered
from velro_gate.cluster.connect import awaited_address, require_distributed
from velro_gate.cluster.options import MOST_WORKERS, ClusterOptions
from velro_gate.errors import UsageError


def asked(
    cluster: str | None,
    workers: int | None = None,
    *,
    wait: str = "1 min",
    listen: str | None = None,
    shards: str = "auto",
    raw: str | None = None,
) -> ClusterOptions | None:
    return clustered(cluster, workers, wait, listen, shards, raw)


def test_a_cluster_is_named_by_address_by_file_or_as_local(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    # As Dask writes it.
    file.write_text('{"type": "Scheduler", "id": "Scheduler-1", "address": "tcp://10.0.0.5:8786", "workers": {}}')
    assert asked(None) is None
    assert asked("local:3") == ClusterOptions(local=3, workers=3)
    assert asked("10.0.0.5:8786", 4) == ClusterOptions(address="tcp://10.0.0.5:8786", workers=4)
    assert asked("tls://head.example:8786", wait="2 min") == ClusterOptions(address="tls://head.example:8786", wait=120.0)
    assert asked("local:2", raw="1 GB") == ClusterOptions(local=2, workers=2, raw=10**9)
    assert asked(str(file), listen="[::1]:8790") == ClusterOptions(address="tcp://10.0.0.5:8786", listen=("::1", 8790))


@pytest.mark.parametrize(
    ("cluster", "more", "said"),
    [
        ("local:0", {}, "--cluster local:0 is not a number of workers"),
        (f"local:{MOST_WORKERS + 1}", {}, f"--cluster local:{MOST_WORKERS + 1} is not a number of workers"),
        ("local:3", {"workers": 2}, "--cluster local:3 and --cluster-workers 2 contradict each other"),
        ("somewhere", {}, "--cluster somewhere does not name a cluster"),
        ("http://head:8786", {}, "--cluster http://head:8786 does not name a cluster"),
        ("absent/scheduler.json", {}, "the scheduler file cannot be read"),
        ("name:word@head:8786", {}, r"--cluster \*\*\*@head:8786 does not name a cluster"),
        ("head:8786", {"workers": 0}, "--cluster-workers 0 is not a number of workers"),
        ("head:8786", {"listen": "8790"}, "--cluster-listen 8790 is not HOST:PORT"),
        ("head:8786", {"wait": "long"}, "--cluster-wait long is not a duration"),
        ("head:8786", {"shards": "2"}, "--cluster and --shards contradict each other"),
        ("head:8786", {"raw": "much"}, "--cluster-raw much is not a size"),
        ("head:8786", {"raw": "-1 MB"}, "--cluster-raw -1 MB is negative"),
        (None, {"workers": 2}, "--cluster-workers, --cluster-listen and --cluster-raw go with --cluster"),
        (None, {"raw": "1 GB"}, "--cluster-workers, --cluster-listen and --cluster-raw go with --cluster"),
    ],
)
def test_what_cannot_be_is_refused(cluster: str | None, more: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        asked(cluster, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"address":}', "the scheduler file cannot be read"),
        (b"\xff\xfe", "the scheduler file cannot be read"),
        (b"[" * 100_000, "the scheduler file cannot be read"),
        (b" " * 2_000_000, "the scheduler file cannot be read"),
        (b"[]", "the scheduler file holds no address"),
        (b'{"address": 5}', "the scheduler file holds no address"),
        (b'{"address": "inproc://10.0.0.5/1"}', "the scheduler file holds no address"),
    ],
)
def test_a_scheduler_file_that_is_none_is_refused_in_words(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=said) as refused:
        asked(str(file))
    assert refused.value.where == str(file)


@pytest.mark.parametrize("before", [None, b"", b'{"address": "tcp://10.0', b'{"type": "Scheduler",\n'])
def test_a_scheduler_file_that_is_not_written_yet_is_waited_for_and_no_longer_than_asked(
    before: bytes | None, tmp_path: Path
) -> None:
    file = tmp_path / "scheduler.json"
    if before is not None:
        file.write_bytes(before)
    assert asked(str(file), 2) == ClusterOptions(file=file, workers=2)
    said: list[str] = []

    def write(text: str) -> None:
        said.append(text)
        file.write_text('{"address": "tcp://10.0.0.5:8786"}')

    with pytest.raises(UsageError, match="the scheduler file cannot be read"):
        awaited_address(file, 0.0, said.append)
    assert awaited_address(file, 60.0, write) == "tcp://10.0.0.5:8786"
    assert said == [f"waiting up to {wait} for {file}, which the scheduler is to write" for wait in ("0 s", "1 min")]
    assert asked(str(file), 2) == ClusterOptions(address="tcp://10.0.0.5:8786", workers=2)


def test_without_the_extra_one_sentence_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match="--cluster needs Dask") as refused:
        require_distributed()
    assert "pip install 'velro-gate[cluster]'" in refused.value.hint
    assert refused.value.exit_code == 2


def test_dask_is_imported_only_when_a_cluster_is_asked_for() -> None:
    code = (
        "import sys, velro_gate.cli.app, velro_gate.cli.world, velro_gate.cluster.checkup; print('distributed' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert said == "False\n"
