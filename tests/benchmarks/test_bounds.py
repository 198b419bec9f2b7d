"""The pure parts of the smaller benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.made_faults import CLEAN, Judged, clopper_pearson, figure
from benchmarks.nginx import Counters
from benchmarks.peers.rounds import answers_per_second
from benchmarks.ports import lingering
from benchmarks.profile import self_and_total
from benchmarks.reach import layout
from benchmarks.soak import Look, around, figures


def test_the_exact_interval_of_a_share_is_that_of_the_tables() -> None:
    # All and none have a closed form: (alpha / 2) ** (1 / n). 8 of 10: R, binom.test(8, 10)$conf.int.
    assert clopper_pearson(50, 50) == pytest.approx((0.025 ** (1 / 50), 1.0))
    assert clopper_pearson(0, 100) == pytest.approx((0.0, 1 - 0.025 ** (1 / 100)))
    assert clopper_pearson(8, 10) == pytest.approx((0.4439045, 0.9747893), abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "levels", "word"),
    [
        ("stall", ["broken", "broken"], "reached"),
        ("stall", ["broken", "pass"], "NOT reached"),
        ("stall", ["broken", ""], "NOT reached"),
        ("stall", ["", ""], "not measured"),
        (CLEAN, ["pass", "warn"], "reached"),
        (CLEAN, ["pass", "broken"], "NOT reached"),
    ],
)
def test_a_made_fault_has_to_break_every_run_and_nothing_a_clean_one(kind: str, levels: list[str], word: str) -> None:
    judged = [Judged(level=level, fault="" if level else "it could not be run") for level in levels]
    assert figure(kind, judged).word == word


def looks(resident: list[int], descriptors: list[int]) -> list[Look]:
    return [Look(at=60.0 * i, resident=r, descriptors=d) for i, (r, d) in enumerate(zip(resident, descriptors, strict=True))]


def test_memory_that_has_settled_and_descriptors_that_are_given_back_are_no_leak() -> None:
    found = figures(looks([50, 90, 100, 102, 103], [5, 20, 20, 21, 20]), 120.0, 240.0)
    assert [figure.word for figure in found] == ["reached"] * 3


def test_growth_after_the_second_minute_is_a_leak_at_the_end_and_at_the_most() -> None:
    found = figures(looks([50, 90, 100, 130, 104], [5, 20, 20, 21, 22]), 120.0, 240.0)
    assert [figure.word for figure in found] == ["reached", "NOT reached", "NOT reached"]


def test_a_moment_at_which_nobody_looked_has_no_figure() -> None:
    with pytest.raises(ValueError, match="nobody looked"):
        around(looks([1], [1]), 100.0)


def test_users_are_spread_over_as_many_processes_and_addresses_as_they_need() -> None:
    found = layout(100_000, descriptors=20_000, ports=28_000, memory=64e9)
    assert (found.users, found.shards, found.workers, len(found.sources)) == (100_000, 6, 6, 8)
    assert len(set(found.sources)) == 8
    assert all(most >= 100_000 for most in found.limits.values())


def test_users_that_do_not_fit_are_left_out_and_the_limit_is_named() -> None:
    found = layout(100_000, descriptors=20_000, ports=28_000, memory=16e6)
    assert found.users == 1_000
    assert found.limit.startswith("memory")
    assert layout(100_000, descriptors=20_000, ports=28_000, memory=64e9, shards=2).limit.startswith("descriptors: 2 generator")


def test_few_users_come_from_the_address_that_the_system_gives() -> None:
    assert layout(1_000, descriptors=20_000, ports=28_000, memory=64e9).sources == ()


def test_a_profile_counts_a_function_once_a_look_however_deep_it_recurs() -> None:
    own, total = self_and_total(
        "main (/x/site-packages/pkg/a.py:1);walk (/x/site-packages/pkg/a.py:2);walk (/x/site-packages/pkg/a.py:3) 3\n"
        "main (/x/site-packages/pkg/a.py:1) 1\n"
        "work (trio/_core/_thread_cache.py:9);wait (libc.so.6) 50\n"
        "not a line of a profile\n"
    )
    assert own == {"walk (pkg/a.py)": 3, "main (pkg/a.py)": 1}
    assert total == {"walk (pkg/a.py)": 3, "main (pkg/a.py)": 4}


def test_the_looks_at_the_counter_are_no_answers() -> None:
    before, after = Counters(at=10.0, active=5, requests=100), Counters(at=12.0, active=5, requests=301)
    assert answers_per_second(before, after) == 100.0


def test_sockets_that_linger_are_read_from_the_kernels_own_count(tmp_path: Path) -> None:
    table = tmp_path / "sockstat"
    table.write_text("sockets: used 90\nTCP: inuse 8 orphan 0 tw 3141 alloc 9 mem 1\nUDP: inuse 1 mem 0\n", encoding="ascii")
    assert lingering(table) == 3_141
