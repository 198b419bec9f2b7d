"""Units: what people write is understood, what is printed can be read back, and nothing is rounded into its opposite."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate import units

SECONDS = st.floats(min_value=1e-6, max_value=86_400.0)
SHARES = st.floats(min_value=0.0, max_value=1.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("500 ms", 0.5),
        ("7.5 min", 450.0),
        ("1h 30m", 5_400.0),
        ("1 h 5 min", 3_900.0),
        ("850 µs", 0.00085),
        ("850us", 0.00085),
        ("10", 10.0),
        ("1,200 ms", 1.2),
        ("1_200ms", 1.2),
        (".5s", 0.5),
        ("2 MIN", 120.0),
        (45, 45.0),
        (0.075, 0.075),
    ],
)
def test_durations_are_read_in_every_usual_spelling(text: str | float, seconds: float) -> None:
    assert units.parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "  ", "soon", "10 parsecs", "-5s", "1.2.3s", "inf", -1.0, math.inf, math.nan, "5 s -", True]
)
def test_what_is_no_duration_is_refused_with_a_reason(text: str | float) -> None:
    with pytest.raises(ValueError, match=r".+"):
        units.parse_seconds(text)


@given(st.floats(min_value=1e-6, max_value=3_600.0))
def test_a_printed_time_reads_back_within_its_three_digits(seconds: float) -> None:
    assert units.parse_seconds(units.format_seconds(seconds)) == pytest.approx(seconds, rel=0.006)


@given(st.integers(min_value=0, max_value=3_599))
def test_a_printed_duration_of_whole_seconds_reads_back_exactly(seconds: int) -> None:
    assert units.parse_seconds(units.format_duration(seconds)) == seconds


def test_a_share_of_more_than_the_whole_has_no_digits_that_matter_to_nobody() -> None:
    assert units.format_share(1.354_7) == "135 %"
    assert units.format_share(1.001) == "101 %", "not the whole"
    assert units.format_share(12.345) == "1,234 %"


def test_a_number_agrees_with_its_noun() -> None:
    assert [units.format_counted(count, "request") for count in (0, 1, 2, 1_103)] == [
        "0 requests",
        "1 request",
        "2 requests",
        "1,103 requests",
    ]


@given(st.floats(min_value=3_600.0, max_value=1e7))
def test_a_printed_duration_above_an_hour_reads_back_to_the_minute(seconds: float) -> None:
    assert units.parse_seconds(units.format_duration(seconds)) == pytest.approx(seconds, abs=30.5)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1,100/s", 1_100.0),
        ("60/min", 1.0),
        ("1000 rps", 1_000.0),
        ("250 req/s", 250.0),
        ("3600/h", 1.0),
        ("12.5", 12.5),
        (800, 800.0),
    ],
)
def test_rates_are_read_in_every_usual_spelling(text: str | float, rate: float) -> None:
    assert units.parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize("text", ["", "fast", "10/fortnight", "-1/s", "ten/s", "1/s/s", math.nan])
def test_what_is_no_rate_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError, match=r".+"):
        units.parse_rate(text)


@given(st.floats(min_value=0.5, max_value=1e6))
def test_a_printed_rate_reads_back_within_half_of_its_last_digit(rate: float) -> None:
    assert units.parse_rate(units.format_rate(rate)) == pytest.approx(rate, abs=0.5 if rate >= 99.5 else 0.0501)


@pytest.mark.parametrize(
    ("text", "share"), [("95 %", 0.95), ("95%", 0.95), ("0.95", 0.95), (0.95, 0.95), ("0.5 %", 0.005), (1, 1.0)]
)
def test_shares_are_read_as_percent_or_as_a_fraction(text: str | float, share: float) -> None:
    assert units.parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["95", "101 %", "-1 %", "most", "", 1.01])
def test_what_is_no_share_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError, match=r".+"):
        units.parse_share(text)


@given(SHARES)
def test_a_printed_share_reads_back_within_its_digits_or_says_that_it_is_beyond_them(share: float) -> None:
    shown = units.format_share(share)
    if shown.startswith(("<", ">")):
        assert 0.0 < min(share, 1.0 - share) < 0.00005 + 1e-9 or share > 0.99994
    else:
        assert units.parse_share(shown) == pytest.approx(share, abs=0.00051)


@given(SHARES)
def test_only_nothing_prints_as_nothing_and_only_everything_as_everything(share: float) -> None:
    shown = units.format_share(share)
    assert (units.format_share(0.0) == shown) is (share == 0.0)
    assert (units.format_share(1.0) == shown) is (share * 100.0 == 100.0)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("512 MiB", 512 * 2**20),
        ("2GB", 2 * 10**9),
        ("1.5 GiB", 1_610_612_736),
        ("100", 100),
        ("10 kB", 10_000),
        (7, 7),
        ("3 b", 3),
    ],
)
def test_amounts_of_memory_are_read_in_binary_and_decimal_units(text: str | int, count: int) -> None:
    assert units.parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "much", "10 XB", "MiB"])
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        units.parse_bytes(text)


@given(st.integers(min_value=0, max_value=2**39))
def test_a_printed_amount_of_memory_reads_back_within_its_three_digits(count: int) -> None:
    assert units.parse_bytes(units.format_bytes(count)) == pytest.approx(count, rel=0.006)


@pytest.mark.parametrize(
    ("text", "growth"), [("5 MiB/min", 5 * 2**20), ("1 GiB/h", 2**30 / 60), ("20 KiB / s", 20 * 2**10 * 60), ("0 B/min", 0)]
)
def test_growth_of_memory_is_read_by_the_minute(text: str, growth: float) -> None:
    assert units.parse_growth(text) == pytest.approx(growth)


@pytest.mark.parametrize("text", ["5 MiB", "5 MiB/week", "/min", "much/min"])
def test_what_is_no_growth_of_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        units.parse_growth(text)


def test_memory_may_shrink() -> None:
    assert units.format_growth(-120.0 * 2**10) == "-120 KiB/min"
    assert units.format_growth(None) == units.MISSING


@pytest.mark.parametrize(
    "show",
    [
        units.format_seconds,
        units.format_rate,
        units.format_count,
        units.format_share,
        units.format_bytes,
        units.format_change,
        units.format_magnitude,
        units.format_points,
        units.format_probability,
    ],
)
def test_a_missing_figure_prints_as_not_measured(show: object) -> None:
    assert show(None) == "not measured"  # type: ignore[operator]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"),
        (0.00085, "850 µs"),
        (0.0124, "12.4 ms"),
        (0.075, "75.0 ms"),
        (1.25, "1.25 s"),
        (0.9996, "1.00 s"),
        (450.0, "7 min 30 s"),
    ],
)
def test_times_print_with_three_digits_in_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert units.format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.5, "4.5 s"), (45.0, "45 s"), (60.0, "1 min"), (3_600.0, "1 h"), (3_900.0, "1 h 5 min"), (59.7, "1 min")],
)
def test_durations_print_as_people_say_them(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.952, "95.2 %"),
        (0.9997, "99.97 %"),
        (0.0004, "0.04 %"),
        (0.00001, "< 0.01 %"),
        (0.999999, "> 99.99 %"),
        (0.0, "0 %"),
        (1.0, "100 %"),
    ],
)
def test_shares_print_with_the_digits_that_matter(share: float, text: str) -> None:
    assert units.format_share(share) == text


@pytest.mark.parametrize(
    ("change", "text"), [(0.31, "+31 %"), (-0.042, "-4.2 %"), (0.0004, "no change"), (-0.0001, "no change"), (1.5, "+150 %")]
)
def test_changes_print_with_their_sign(change: float, text: str) -> None:
    assert units.format_change(change) == text


@given(st.floats(min_value=-0.9, max_value=9.0))
def test_a_magnitude_is_the_change_without_its_sign(change: float) -> None:
    assert units.format_magnitude(change) == units.format_change(abs(change)).lstrip("+")


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.012, "+1.2 points"), (-0.0005, "-0.05 points"), (0.00001, "no change"), (0.00996, "+1.0 points")],
)
def test_differences_of_shares_print_in_points(difference: float, text: str) -> None:
    assert units.format_points(difference) == text


@pytest.mark.parametrize(
    ("p", "text"), [(0.0002, "< 0.001"), (0.0021, "0.0021"), (0.04, "0.04"), (0.31, "0.31"), (1.0, "1.00")]
)
def test_probabilities_print_with_two_digits(p: float, text: str) -> None:
    assert units.format_probability(p) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        ("79.1 ms", "88.4 ms", "79.1 to 88.4 ms"),
        ("850 µs", "1.20 ms", "850 µs to 1.20 ms"),
        ("1,093/s", "1,102/s", "1,093 to 1,102/s"),
        ("-1.1 %", "+18 %", "-1.1 to +18 %"),
        ("7 min 30 s", "8 min", "7 min 30 s to 8 min"),
        ("200", "240", "200 to 240"),
    ],
)
def test_a_range_names_a_shared_unit_once(low: str, high: str, text: str) -> None:
    assert units.join_range(low, high) == text


@pytest.mark.parametrize(
    ("text", "trimmed"),
    [
        ("75.0 ms", "75 ms"),
        ("1.50 s", "1.5 s"),
        ("0.05 %", "0.05 %"),
        ("1,000/s", "1,000/s"),
        ("100 ms", "100 ms"),
        ("2.00 s", "2 s"),
    ],
)
def test_a_chosen_figure_loses_the_zeros_that_claim_precision(text: str, trimmed: str) -> None:
    assert units.trim_zeros(text) == trimmed


@given(SECONDS)
def test_trimming_never_changes_a_value(seconds: float) -> None:
    text = units.format_seconds(seconds)
    assert units.parse_seconds(units.trim_zeros(text)) == pytest.approx(units.parse_seconds(text), rel=1e-12)


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (1_234_567, "1,234,567"), (12.34, "12.3"), (99.96, "100"), (3.0, "3")])
def test_counts_print_with_thousands_apart(count: float, text: str) -> None:
    assert units.format_count(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1_023, "1,023 B"), (97 * 2**20, "97.0 MiB"), (1_610_612_736, "1.50 GiB")]
)
def test_memory_prints_in_binary_units(count: float, text: str) -> None:
    assert units.format_bytes(count).replace("1023", "1,023") == text


@pytest.mark.parametrize(
    ("change", "half", "shown"),
    [
        (0.304, 0.04, "+30 %"),
        (0.304, 0.004, "+30.4 %"),
        (0.304, 0.12, "+30 %"),
        (0.34, 0.6, "+30 %"),
        (-0.023, 0.002, "-2.3 %"),
        (0.004, 0.02, "no change"),
        (1.0, 0.0, "+100.0 %"),
    ],
)
def test_a_change_has_no_more_digits_than_its_interval_allows(change: float, half: float, shown: str) -> None:
    assert units.format_change_within(change, change - half, change + half) == shown


@given(st.floats(-0.9, 5.0), st.floats(0.001, 0.5))
def test_a_rounded_change_stays_within_half_a_step_of_it(change: float, half: float) -> None:
    shown = units.format_change_within(change, change - half, change + half)
    value = 0.0 if shown == "no change" else float(shown.removesuffix(" %")) / 100.0
    assert abs(value - change) <= max(half, 0.001) / 2.0 + 1e-9


@pytest.mark.parametrize(
    ("seconds", "uncertainty", "shown"),
    [(0.01234, 0.002, "12 ms"), (0.01234, 0.0002, "12.3 ms"), (0.1, 0.01, "100 ms"), (1.26, 0.3, "1.3 s"), (0.0, 0.0, "0 ms")],
)
def test_a_time_has_no_more_digits_than_its_uncertainty_allows(seconds: float, uncertainty: float, shown: str) -> None:
    assert units.format_seconds_within(seconds, uncertainty) == shown


@given(st.floats(min_value=1e-9, max_value=1e9))
def test_ticks_are_few_round_and_below_the_top(top: float) -> None:
    ticks = units.round_ticks(top)
    assert ticks[0] == 0.0
    assert 2 <= len(ticks) <= 6
    assert ticks[-1] <= top * 1.000001
    assert ticks[-1] >= top * 0.5


@given(st.one_of(st.just(0.0), st.floats(1e-9, 1e9), st.floats(-1e9, -1e-9)))
def test_the_ends_of_an_axis_hold_what_lies_between_and_have_three_digits(number: float) -> None:
    low, high = units.round_down(number), units.round_up(number)
    trifle = 1e-9 * abs(number)
    assert low - trifle <= number <= high + trifle
    assert high - low <= 0.011 * abs(number)


@given(st.floats(0.0, 10.0), st.integers(0, 2))
def test_a_ceiling_covers_the_share_that_it_is_made_of(share: float, decimals: int) -> None:
    shown = float(units.format_share_up(share, decimals=decimals).removesuffix(" %"))
    assert share * 100.0 - 1e-5 <= shown <= share * 100.0 + 10.0**-decimals


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (units.format_whole_duration(7.6), "8 s"),
        (units.format_duration_up(90.1), "1 min 35 s"),
        (units.format_duration_up(90.0), "1 min 30 s"),
        (units.format_whole(1_102.7), "1,103"),
        (units.format_whole_up(1_102.1), "1,103"),
        (units.format_whole_down(2.9), "2"),
        (units.format_number(2.0), "2"),
        (units.format_number(1.25), "1.25"),
        (units.format_number(123.456, digits=4), "123.5"),
        (units.format_decimal(1_234.5, 3), "1234.500"),
        (units.format_percent(0.3), "30 %"),
        (units.format_percent(12.0), "1,200 %"),
        (units.tight_percent(0.1, signed=True), "+10%"),
        (units.tight_percent(0.015, decimals=1), "1.5%"),
    ],
)
def test_a_number_for_a_sentence_is_rounded_as_its_place_asks(text: str, shown: str) -> None:
    assert text == shown


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_numbers_of_few_digits_keep_their_order(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert units.significant(low, 6) <= units.significant(high, 6)
