"""The table of what was watched: units that are declared, and counters by what they rose."""

from __future__ import annotations

from dataclasses import replace

from tests.analysis.runs import run, summary
from velro_gate.model.record import ResourceSummary
from velro_gate.report.parts.measured import resource_rows


def watched(name: str, least: float, most: float, *, source: str = "service", rate: float | None = None) -> list[str]:
    found = ResourceSummary(source=source, name=name, least=least, median=least, most=most, n=9, rate=rate)
    (row,) = resource_rows(run(replace(summary(), resources=(found,))))
    return [row.name, row.least, row.most]


def test_a_size_of_a_pool_is_a_count_and_memory_is_bytes() -> None:
    assert watched("database_pool_size", 200.0, 200.0) == ["database pool size", "200", "200"]
    assert watched("hit_rate_of_mine", 3.0, 3.0) == ["hit rate of mine", "3", "3"]
    assert watched("rss", 2.0**20, 2.0**20)[1] == "1.00 MiB"


def test_a_counter_is_shown_by_what_it_rose_and_never_as_a_total() -> None:
    assert watched("commands_total", 1_000_000.0, 1_000_250.0, source="redis") == ["commands, rise", "–", "250"]
    assert watched("cpu_seconds", 100.0, 101.5)[2] == "1.50 s"


def test_the_rate_of_a_counter_is_shown_in_its_unit() -> None:
    assert watched("commands_total", 0.0, 6000.0, source="redis", rate=100.0)[2] == "6,000 (100/s)"
    assert watched("network_sent_total", 0.0, 2.0**20, source="runner", rate=2.0**10)[2] == "1.00 MiB (1.00 KiB/s)"


def test_what_no_source_declares_is_a_value_of_the_moment() -> None:
    assert watched("commands_total", 1.0, 5.0) == ["commands", "1", "5"]
