"""``--cluster local:2`` as users call it: one run from start to end, and nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command import tiny_scenario, velro_gate
from tests.cluster.runs import shard_processes
from tests.service import service


def test_a_run_by_two_workers_keeps_who_sent_it_and_measures_the_generator_on_them(tmp_path: Path) -> None:
    with service() as running:
        before = running.requests
        ended = velro_gate("run", tiny_scenario(tmp_path), "--url", running.url, "--cluster", "local:2", cwd=tmp_path)
        assert running.requests > before
    assert ended.code == 0, ended.err
    record = json.loads((tmp_path / ended.folder / "record.json").read_text())
    assert record["shards"] == 2
    assert record["environment"]["extra"]["cluster"].startswith("1 x 2 on ")
    (phase,) = record["phases"]
    assert [worker["name"].split(" (")[0] for worker in phase["workers"]] == ["worker 1 of 2", "worker 2 of 2"]
    assert record["generator_noise"]["requests"] > 0
    assert phase["shards_lost"] == []
    log = (tmp_path / ended.folder / "log.txt").read_text()
    assert "sent by 2 workers of the cluster at tls://127.0.0.1:" in log
    assert "start skew" in log
    assert shard_processes() == []


def test_a_cluster_that_is_not_there_breaks_the_run_before_anything_is_sent(tmp_path: Path) -> None:
    with service() as running:
        cluster = ("--cluster", "127.0.0.1:9", "--cluster-workers", "2", "--cluster-wait", "1 s")
        ended = velro_gate("gate", tiny_scenario(tmp_path), "--url", running.url, *cluster, cwd=tmp_path)
        assert running.requests == 0
    assert ended.code == 4
    assert "error: no Dask scheduler answers" in ended.err
    assert "where: tcp://127.0.0.1:9" in ended.err


def test_a_plan_is_shown_as_its_workers_and_its_head_would_carry_it_and_nothing_is_sent(tmp_path: Path) -> None:
    scenario = tiny_scenario(tmp_path, users=1_000_000, rate="10000/s", requirements='{p95: "< 500 ms"}')
    asked = ("check", scenario, "--url", "http://service.test", "--cluster", "tls://head.example:8786")
    ended = velro_gate(*asked, "--cluster-workers", "200", cwd=tmp_path)
    assert ended.code == 0, ended.err
    said = " ".join(ended.out.split())
    assert "By 200 workers, each with a core of its own: at most 5,000 users and 50/s" in said
    assert "The head receives 10,000/s at most" in said
    refused = velro_gate(*asked, cwd=tmp_path)
    assert refused.code == 2
    assert "the number of workers is not known" in refused.err
