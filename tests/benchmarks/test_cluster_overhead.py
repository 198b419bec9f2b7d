"""What the benchmark of a cluster's overhead concludes, and when it concludes nothing."""

from __future__ import annotations

import math
import os
import random
import time

from benchmarks.cluster_overhead import cpu_clock, median_interval, verdict


def test_an_interval_of_the_median_holds_it_as_often_as_it_says() -> None:
    draw = random.Random(1)
    held = 0
    for _ in range(2_000):
        # Far from a normal distribution; the median of each is ln 2, cubed.
        found = median_interval([draw.expovariate(1.0) ** 3 for _ in range(12)])
        assert found is not None
        held += found[0] <= math.log(2.0) ** 3 <= found[1]
    # 12 values hold it in 96.1 % of cases.
    assert 0.94 < held / 2_000 < 0.98


def test_too_few_pairs_or_an_interval_over_the_limit_decide_nothing() -> None:
    assert median_interval([0.0] * 5) is None
    assert median_interval([0.0] * 6) == (0.0, 0.0)
    assert verdict(None).startswith("not decided")
    assert verdict((-0.3, 0.11)).startswith("not decided")
    assert verdict((-0.3, 0.1)) == "reached"
    assert verdict((0.11, 0.2)) == "NOT reached"


def test_the_cpu_clock_of_a_process_is_the_one_it_reads_itself() -> None:
    before = time.process_time()
    assert before <= cpu_clock(os.getpid()) <= time.process_time()
