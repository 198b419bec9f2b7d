"""Parsing and formatting: what is written is read back, what is no figure is refused, what is missing is said."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate import units

positive = st.floats(1e-6, 1e6, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("7.5 min", 450.0),
        ("1h 30m", 5400.0),
        ("1 h 5 min 10 s", 3910.0),
        ("250 us", 250e-6),
        ("250 µs", 250e-6),
        ("12", 12.0),
        (12, 12.0),
        (0.25, 0.25),
        ("0", 0.0),
    ],
)
def test_a_duration_is_read_in_every_unit_people_write(text: str | float, seconds: float) -> None:
    assert units.parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "   ", "soon", "5 parsecs", "-1 s", "nan", "1 s,", "inf", math.inf, -2.0, "s"])
def test_what_is_no_duration_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError):
        units.parse_seconds(text)


@pytest.mark.parametrize(
    ("text", "rate"), [("1,100/s", 1100.0), ("60/min", 1.0), ("1000 rps", 1000.0), ("3600/h", 1.0), (5, 5.0), ("12.5/s", 12.5)]
)
def test_a_rate_is_read_per_any_stretch_of_time(text: str | float, rate: float) -> None:
    assert units.parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize("text", ["", "fast", "10/day", "-5/s", "/s", -1.0])
def test_what_is_no_rate_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError):
        units.parse_rate(text)


@pytest.mark.parametrize(
    ("text", "share"), [("95 %", 0.95), ("95%", 0.95), ("0.5 %", 0.005), (0.95, 0.95), ("0.95", 0.95), (1, 1.0)]
)
def test_a_share_is_read_from_percent_or_from_a_bare_share(text: str | float, share: float) -> None:
    assert units.parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["95", 95, "101 %", "-1 %", "half", "", "%"])
def test_percent_without_its_sign_is_refused_and_not_guessed_at(text: str | float) -> None:
    with pytest.raises(ValueError):
        units.parse_share(text)


@pytest.mark.parametrize(
    ("text", "count"), [("512 MiB", 512 * 2**20), ("2GB", 2 * 10**9), ("1.5 KiB", 1536), (7, 7), ("7", 7), ("3 b", 3)]
)
def test_an_amount_of_memory_is_read_in_binary_and_decimal_units(text: str | int, count: int) -> None:
    assert units.parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "many", "5 apples", "MiB"])
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        units.parse_bytes(text)


@given(positive)
def test_a_time_that_is_written_is_read_back_within_its_three_digits(seconds: float) -> None:
    shown = units.format_seconds(seconds)
    # Whole seconds from two minutes on.
    assert (
        units.parse_seconds(shown) == pytest.approx(seconds, rel=6e-3, abs=0.5 if seconds >= 120.0 else 0.0)
        or seconds >= 3600.0
    )


@given(st.integers(0, 10**7))
def test_a_whole_duration_under_an_hour_is_read_back_exactly(seconds: int) -> None:
    shown = units.format_duration(float(seconds))
    assert units.parse_seconds(shown) == (seconds if seconds < 3600 else seconds // 60 * 60)


@given(st.floats(0.0, 1.0))
def test_a_share_that_is_written_is_read_back_within_its_digits(share: float) -> None:
    assert units.parse_share(units.format_share(share).removeprefix("<").removeprefix(">").strip()) == pytest.approx(
        share, abs=6e-4
    )


@given(st.floats(0.0, 1.0))
def test_only_nothing_is_shown_as_nothing_and_only_everything_as_everything(share: float) -> None:
    assert (units.format_share(share) == "0 %") is (share == 0.0)
    if units.format_share(share) == "100 %":
        assert share == 1.0


@given(st.integers(0, 10**12))
def test_a_count_that_is_written_is_read_back_exactly(count: int) -> None:
    assert units.parse_bytes(units.format_count(count).replace(",", "")) == count


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0 ms"), (850e-6, "850 µs"), (0.0124, "12.4 ms"), (0.9996, "1.00 s"), (1.25, "1.25 s"), (450.0, "7 min 30 s")],
)
def test_a_time_is_shown_in_the_unit_that_suits_it(seconds: float, shown: str) -> None:
    assert units.format_seconds(seconds) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 B"), (97 * 2**20, "97.0 MiB"), (1.5 * 2**30, "1.50 GiB"), (999, "999 B")])
def test_memory_is_shown_in_binary_units(count: float, shown: str) -> None:
    assert units.format_bytes(count) == shown


@pytest.mark.parametrize(("change", "shown"), [(0.31, "+31 %"), (-0.042, "-4.2 %"), (0.0004, "no change"), (-0.0, "no change")])
def test_a_change_is_shown_with_its_sign_unless_it_rounds_to_nothing(change: float, shown: str) -> None:
    assert units.format_change(change) == shown


@pytest.mark.parametrize(
    "format_figure",
    [units.format_seconds, units.format_rate, units.format_count, units.format_share, units.format_bytes, units.format_change],
)
def test_what_was_not_measured_is_said_and_never_shown_as_zero(format_figure: object) -> None:
    assert callable(format_figure)
    assert format_figure(None) == "not measured"
