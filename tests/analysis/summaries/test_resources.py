"""What the monitor read, over the measured stretch only."""

from __future__ import annotations

import math

import pytest

from tests.analysis.phases import run_of
from velro_gate.analysis.summaries.resources import resource_measurements, resource_summaries, series_of
from velro_gate.model.metric.definition import FigureOrigin
from velro_gate.model.record import Estimate, ResourceSummary
from velro_gate.model.run import Reading
from velro_gate.model.samples import Samples

RUN = run_of(Samples.empty())
"""Measured from 10 to 70 s."""


def readings(name: str, *pairs: tuple[float, float], source: str = "service") -> list[Reading]:
    return [Reading(at=at, source=source, name=name, value=value) for at, value in pairs]


def measured(found: list[Reading], ok: int = 6000) -> dict[str, Estimate]:
    series = series_of(found)
    return resource_measurements(series, resource_summaries(series, RUN), RUN, ok)


def test_only_readings_of_the_measured_stretch_count() -> None:
    series = series_of(readings("rss", (9.0, 1e9), (10.0, 100.0), (20.0, 300.0), (30.0, 200.0), (70.0, 1e9)))
    assert resource_summaries(series, RUN) == (
        ResourceSummary(source="service", name="rss", least=100.0, median=200.0, most=300.0, n=3),
    )


def test_the_order_of_the_readings_does_not_matter() -> None:
    pairs = [(float(at), float(at % 7)) for at in range(10, 70)]
    forward, backward = series_of(readings("rss", *pairs)), series_of(readings("rss", *reversed(pairs)))
    assert resource_summaries(forward, RUN) == resource_summaries(backward, RUN)


def test_a_value_that_is_no_number_is_not_a_reading() -> None:
    assert series_of(readings("rss", (20.0, math.nan), (21.0, math.inf))) == {}


def test_what_was_never_read_in_the_stretch_is_absent() -> None:
    assert resource_summaries(series_of(readings("rss", (5.0, 1.0))), RUN) == ()
    assert measured([]) == {}


def test_sources_are_kept_apart() -> None:
    found = [*readings("rss", (20.0, 1.0)), *readings("rss", (20.0, 2.0), source="redis")]
    assert [(r.source, r.median) for r in resource_summaries(series_of(found), RUN)] == [("redis", 2.0), ("service", 1.0)]


def test_memory_is_the_services_median() -> None:
    found = measured(
        [*readings("rss", (20.0, 10.0), (30.0, 30.0), (40.0, 20.0)), *readings("rss", (20.0, 9e9), source="runner")]
    )
    assert found["rss"] == Estimate.exact(20.0, n=3)


def test_cpu_is_the_difference_over_the_stretch_for_1000_good_answers() -> None:
    found = measured(readings("cpu_seconds", (0.0, 100.0), (10.0, 105.0), (70.0, 117.0), (80.0, 200.0)))
    assert found["cpu_per_1000"].value == pytest.approx(2.0)
    assert found["cpu_per_1000"].n == 6000


def test_cpu_at_the_ends_of_the_stretch_is_interpolated() -> None:
    found = measured(readings("cpu_seconds", *((at + 0.5, 0.2 * at) for at in range(0, 90, 3))))
    assert found["cpu_per_1000"].value == pytest.approx(0.2 * 60 / 6)


def test_cpu_readings_that_cover_most_of_the_stretch_are_scaled_to_it() -> None:
    found = measured(readings("cpu_seconds", (20.0, 0.0), (60.0, 8.0)))
    assert found["cpu_per_1000"].value == pytest.approx(12.0 / 6)


@pytest.mark.parametrize(
    "pairs",
    [
        [(20.0, 1.0)],
        [(20.0, 1.0), (45.0, 2.0)],
        [(10.0, 50.0), (40.0, 60.0), (50.0, 1.0), (70.0, 3.0)],
    ],
    ids=["one reading", "less than half of the stretch", "a restarted service"],
)
def test_cpu_that_cannot_be_reported_is_absent(pairs: list[tuple[float, float]]) -> None:
    assert "cpu_per_1000" not in measured(readings("cpu_seconds", *pairs))


def test_cpu_without_a_good_answer_is_absent() -> None:
    assert measured(readings("cpu_seconds", (10.0, 0.0), (70.0, 6.0)), ok=0) == {}


def test_connections_are_counted_by_postgresql_then_read_from_a_metric_and_a_configured_size_is_shown_as_that() -> None:
    pool = readings("database_pool_size", (20.0, 200.0), (30.0, 220.0))
    reported = readings("database_connections", (20.0, 60.0))
    counted = readings("connections", (20.0, 48.0), source="database")
    found = [measured(given)["database_connections"] for given in ([*pool, *reported, *counted], [*pool, *reported], pool)]
    assert [one.value for one in found] == [48.0, 60.0, 210.0]
    assert [one.origin for one in found] == [FigureOrigin.COUNTED, FigureOrigin.REPORTED, FigureOrigin.CONFIGURED]
