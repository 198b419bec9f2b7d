"""Limits at any level of the control groups count, of version 2 and of version 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from velro_gate.engine.machine.control_group import ControlGroups

FREE = 8 * 2**30


def world(folder: Path, membership: str, files: dict[str, str]) -> ControlGroups:
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/cgroup").write_text(membership)
    for name, text in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return ControlGroups(proc=folder / "proc", cgroup=folder / "cgroup")


def test_this_machines_groups_can_be_read() -> None:
    groups = ControlGroups()
    assert 0 <= groups.memory_left(FREE) <= FREE
    assert groups.quota_cores() is None or groups.quota_cores() > 0.0
    assert groups.throttled_seconds() is None or groups.throttled_seconds() >= 0.0


def test_where_nothing_can_be_read_nothing_is_limited_and_nothing_known(tmp_path: Path) -> None:
    groups = ControlGroups(proc=tmp_path / "absent", cgroup=tmp_path / "absent")
    assert (groups.memory_left(FREE), groups.quota_cores(), groups.throttled_seconds()) == (FREE, None, None)


def test_the_tightest_limit_of_all_levels_counts(tmp_path: Path) -> None:
    files = {
        "a/b/memory.max": "max\n",
        "a/b/memory.current": "500\n",
        "a/memory.max": "1000\n",
        "a/memory.current": "700\n",
        "memory.max": "5000\n",
        "memory.current": "700\n",
        "a/b/cpu.max": "max 100000\n",
        "a/cpu.max": "150000 100000\n",
        "cpu.max": "300000 100000\n",
        "other/memory.max": "1\n",
        "other/memory.current": "1\n",
    }
    groups = world(tmp_path, "0::/a/b\n", files)
    assert groups.memory_left(FREE) == 300
    assert groups.memory_left(200) == 200
    assert groups.quota_cores() == 1.5


def test_file_cache_that_can_be_given_back_counts_as_left(tmp_path: Path) -> None:
    files = {"memory.max": "1000\n", "memory.current": "990\n", "memory.stat": "anon 400\ninactive_file 500\nactive_file 90\n"}
    assert world(tmp_path, "0::/\n", files).memory_left(FREE) == 510


def test_a_group_over_its_limit_has_nothing_left(tmp_path: Path) -> None:
    files = {"memory.max": "1000\n", "memory.current": "1200\n"}
    assert world(tmp_path, "0::/\n", files).memory_left(FREE) == 0


def test_a_group_that_is_named_but_cannot_be_seen_leaves_the_root(tmp_path: Path) -> None:
    files = {"cpu.stat": "usage_usec 9\nnr_throttled 3\nthrottled_usec 1500000\n"}
    assert world(tmp_path, "0::/docker/abc\n", files).throttled_seconds() == 1.5


def test_throttling_at_several_levels_adds_up(tmp_path: Path) -> None:
    files = {"a/cpu.stat": "throttled_usec 250000\n", "cpu.stat": "throttled_usec 500000\n"}
    assert world(tmp_path, "0::/a\n", files).throttled_seconds() == 0.75


def test_version_1_is_read_where_its_controllers_are_mounted(tmp_path: Path) -> None:
    files = {
        "memory/job/memory.limit_in_bytes": "1000\n",
        "memory/job/memory.usage_in_bytes": "900\n",
        "memory/job/memory.stat": "total_inactive_file 50\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.usage_in_bytes": "5000\n",
        "cpu,cpuacct/job/cpu.stat": "nr_periods 10\nnr_throttled 2\nthrottled_time 2000000000\n",
        "cpu,cpuacct/job/cpu.cfs_quota_us": "50000\n",
        "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
        "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    groups = world(tmp_path, "5:cpu,cpuacct:/job\n4:memory:/job\n1:name=systemd:/\n0::/\n", files)
    assert (groups.memory_left(FREE), groups.quota_cores(), groups.throttled_seconds()) == (150, 0.5, 2.0)


@pytest.mark.parametrize("text", ["", "garbage\n", "0::\n", "x:y\n\n"])
def test_a_membership_that_is_none_leaves_the_root(tmp_path: Path, text: str) -> None:
    assert world(tmp_path, text, {"cpu.max": "50000 100000\n"}).quota_cores() == 0.5
