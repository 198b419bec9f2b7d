"""What the live view shows of the service's own use."""

from __future__ import annotations

from tests.report.records import progress
from velro_gate.gate.measure.newest import NewestReadings
from velro_gate.model.run import Reading


def reading(at: float, name: str, value: float) -> Reading:
    return Reading(at=at, source="service", name=name, value=value)


def test_nothing_is_shown_before_anything_was_read() -> None:
    seen = NewestReadings().shown(progress())
    assert (seen.service_cpu, seen.pool) == (None, None)


def test_cpu_is_what_was_used_between_the_last_two_readings() -> None:
    newest = NewestReadings()
    for at, used in ((0.0, 10.0), (1.0, 10.2), (3.0, 11.4)):
        newest.keep(reading(at, "cpu_seconds", used))
    newest.keep(reading(3.0, "database_pool_in_use", 4.0))
    newest.keep(reading(3.0, "database_pool_size", 20.0))
    seen = newest.shown(progress())
    assert seen.service_cpu is not None
    assert abs(seen.service_cpu - 0.6) < 1e-9
    assert seen.pool == (4.0, 20.0)


def test_a_service_that_was_restarted_has_no_use_of_cpu_for_a_moment() -> None:
    newest = NewestReadings()
    newest.keep(reading(0.0, "cpu_seconds", 10.0))
    newest.keep(reading(1.0, "cpu_seconds", 0.1))
    assert newest.shown(progress()).service_cpu is None
