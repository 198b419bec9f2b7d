"""Figures in words."""

from __future__ import annotations

import pytest

from velro_gate.analysis.rows.wording import figure, figure_with_interval, limit
from velro_gate.model.metrics import MetricKind
from velro_gate.model.record import Estimate


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (MetricKind.SECONDS, 0.075, "75 ms"),
        (MetricKind.SECONDS, 1.5, "1.5 s"),
        (MetricKind.SECONDS, 0.0125, "12.5 ms"),
        (MetricKind.SECONDS, 2.0, "2 s"),
        (MetricKind.PER_SECOND, 1000.0, "1,000/s"),
        (MetricKind.PER_SECOND, 12.5, "12.5/s"),
        (MetricKind.SHARE, 0.95, "95 %"),
        (MetricKind.SHARE, 0.01, "1 %"),
        (MetricKind.COUNT, 10_000.0, "10,000"),
        (MetricKind.BYTES, 2.0**29, "512 MiB"),
        (MetricKind.BYTES_PER_MINUTE, 5.0 * 2**20, "5 MiB/min"),
    ],
)
def test_a_limit_reads_as_the_round_number_it_is(kind: MetricKind, value: float, text: str) -> None:
    assert limit(kind, value) == text


def test_every_kind_has_words() -> None:
    assert all(figure(kind, 1.0) for kind in MetricKind)


@pytest.mark.parametrize(
    ("kind", "parts", "text"),
    [
        (MetricKind.SECONDS, (0.0612, 0.0601, 0.0629), "61.2 ms (60.1 to 62.9 ms)"),
        (MetricKind.SECONDS, (0.0009, 0.00085, 0.0012), "900 µs (850 µs to 1.20 ms)"),
        (MetricKind.SHARE, (0.952, 0.941, 0.961), "95.2 % (94.1 to 96.1 %)"),
        (MetricKind.PER_SECOND, (1103.0, 1090.0, 1110.0), "1,103/s (1,090 to 1,110/s)"),
        (MetricKind.COUNT, (10.0, 10.0, 10.0), "10"),
        (MetricKind.SECONDS, (0.0200001, 0.02, 0.0200002), "20.0 ms"),
    ],
)
def test_an_interval_stands_behind_its_value_and_names_a_shared_unit_once(
    kind: MetricKind, parts: tuple[float, float, float], text: str
) -> None:
    value, low, high = parts
    assert figure_with_interval(kind, Estimate(value=value, low=low, high=high, n=1)) == text
