"""The registry of sources: what a reading is, by its source and name."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from velro_gate.model.readings import SOURCES, WATCHED, ReadingSpec, SeriesKind, SourceSpec, Unit, declared, is_counter, unit_of


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.label)
def test_every_series_is_declared_with_its_meaning_and_counters_are_called_so(source: SourceSpec) -> None:
    for series in source.series:
        assert series.meaning
        assert (series.kind is SeriesKind.COUNTER) is series.name.endswith(("_total", "_seconds"))


def test_a_series_by_label_is_found_by_every_value_of_the_label() -> None:
    assert is_counter("service", "cache_redis_hits_total")
    assert declared("service", "cache__hits_total") is None
    assert not is_counter("redis", "cache_l1_hits_total")


def test_the_same_name_may_mean_another_unit_in_another_source() -> None:
    assert unit_of("redis", "memory") is Unit.BYTES
    assert unit_of("database", "memory") is Unit.COUNT


def test_what_nobody_declares_is_a_value_of_the_moment() -> None:
    assert (unit_of("mine", "things_total"), is_counter("mine", "things_total")) == (Unit.COUNT, False)


def test_the_sources_that_a_scenario_names_stand_under_their_keys() -> None:
    assert {"redis", "postgres", "prometheus"} <= set(WATCHED)
    assert all(source.example.partition(":")[0] in source.schemes for source in WATCHED.values())


def test_no_series_has_a_unit_or_kind_by_default() -> None:
    assert {each.name for each in fields(ReadingSpec)} == {"name", "unit", "kind", "meaning"}


def test_the_page_of_data_lists_every_series_with_its_unit_kind_and_meaning() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(\w+)` \| `([\w{}]+)` \| (\w+) \| (\w+) \| (.+) \|$", page, re.MULTILINE))
    assert listed == {
        (source.name, series.name, series.unit.value, series.kind.name.lower(), series.meaning)
        for source in SOURCES
        for series in source.series
    }
