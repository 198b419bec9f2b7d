"""Parse and format seconds, rates, bytes and shares. Base units inside; the one place that rounds for people.

Every ``parse_`` raises a ValueError that quotes the text and shows how it should be written.
"""

from __future__ import annotations

import math
import re

_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_PER = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
_NUMBER = r"([+-]?(?:\d+(?:[_,]\d{3})*|\d*)(?:\.\d+)?)"
_QUANTITY = re.compile(_NUMBER + r"\s*([^\d\s.,]*)")
_UNIT = re.compile(r"([+-]?[\d.,]+)(\s*\D*)")

MISSING = "not measured"
"""What stands where there is no figure; never 0, never empty."""


def parse_seconds(text: str | float) -> float:
    """Seconds from ``7.5 min``, ``500ms``, ``1h 30m`` or a bare number of seconds.

    Raises:
        ValueError: when the text is not a duration, or is negative or infinite.
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return _finite(float(text), text)
    total, position, cleaned = 0.0, 0, str(text).strip().lower()
    while position < len(cleaned):
        match = _QUANTITY.match(cleaned, position)
        if match is None or not match[1] or match.end() == position:
            raise ValueError(f"{text!r} is not a duration such as '500ms', '10s' or '7.5 min'")
        if match[2] not in _SECONDS and match[2] != "":
            raise ValueError(f"{text!r}: unknown unit {match[2]!r}; use us, ms, s, min or h")
        if (match[2] == "" and (position or match.end() < len(cleaned))) or (position and match[1][0] in "+-"):
            raise ValueError(f"{text!r}: give every part of a duration its unit, as in '1h 30min'")
        total += _number(match[1]) * _SECONDS.get(match[2], 1.0)
        position = match.end()
        while position < len(cleaned) and cleaned[position].isspace():
            position += 1
    if not cleaned:
        raise ValueError("a duration is missing")
    return _finite(total, text)


def parse_rate(text: str | float) -> float:
    """Requests per second from ``1,100/s``, ``60/min``, ``1000 rps`` or a bare number."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return _finite(float(text), text)
    match = re.fullmatch(_NUMBER + r"\s*(?:/\s*([a-z]+)|rps|req/s)?", str(text).strip().lower())
    if match is None or not match[1] or (match[2] is not None and match[2] not in _PER):
        raise ValueError(f"{text!r} is not a rate such as '1000/s' or '60/min'")
    return _finite(_number(match[1]) / _PER.get(match[2] or "s", 1.0), text)


def parse_share(text: str | float) -> float:
    """A share in [0, 1] from ``95 %`` or from a bare share such as ``0.95``."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        share = float(text)
    else:
        cleaned = str(text).strip()
        match = re.fullmatch(_NUMBER + r"\s*(%?)", cleaned)
        if match is None or not match[1]:
            raise ValueError(f"{text!r} is not a share such as '95 %' or 0.95")
        share = _number(match[1]) / (100.0 if match[2] else 1.0)
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"{text!r} is not between 0 and 100 % (write '95 %' or 0.95)")
    return share


def parse_bytes(text: str | int) -> int:
    """Bytes from ``512 MiB``, ``2GB`` or a bare number."""
    if isinstance(text, int):
        return text
    match = re.fullmatch(_NUMBER + r"\s*([a-z]*)", str(text).strip().lower())
    if match is None or not match[1] or (match[2] or "b") not in _BYTES:
        raise ValueError(f"{text!r} is not an amount of memory such as '512 MiB'")
    return round(_number(match[1]) * _BYTES[match[2] or "b"])


def parse_growth(text: str) -> float:
    """Bytes a minute from ``5 MiB/min``, ``1 GiB/h`` or ``20 KiB/s``."""
    amount, slash, span = str(text).strip().lower().rpartition("/")
    seconds = {"s": 1.0, "min": 60.0, "h": 3600.0}.get(span.strip())
    if not slash or seconds is None:
        raise ValueError(f"{text!r} is not a growth of memory such as '5 MiB/min'")
    return parse_bytes(amount) * 60.0 / seconds


def parse_relative_growth(text: str) -> float:
    """A share per minute from ``1 %/min`` or ``20 %/h``."""
    amount, slash, span = str(text).strip().lower().rpartition("/")
    seconds = {"s": 1.0, "min": 60.0, "h": 3600.0}.get(span.strip())
    if not slash or seconds is None:
        raise ValueError(f"{text!r} is not a relative growth such as '1 %/min'")
    return parse_share(amount) * 60.0 / seconds


def _number(text: str) -> float:
    return float(text.replace(",", "").replace("_", ""))


def _finite(value: float, text: object) -> float:
    if not math.isfinite(value) or value < 0.0:
        raise ValueError(f"{text!r} must be a finite number, zero or more")
    return value


def format_seconds(seconds: float | None) -> str:
    """A time with three significant digits in the unit that suits it: ``850 µs``, ``12.4 ms``, ``1.25 s``."""
    if seconds is None:
        return MISSING
    size = abs(seconds)
    if size == 0.0:
        return "0 ms"
    if size < 0.9995e-3:
        return f"{_significant(seconds * 1e6)} µs"
    if size < 0.9995:
        return f"{_significant(seconds * 1e3)} ms"
    return f"{_significant(seconds)} s" if size < 120.0 else format_duration(seconds)


def format_duration(seconds: float) -> str:
    """A stretch of time for people: ``45 s``, ``7 min 30 s``, ``1 h 5 min``."""
    if seconds < 10.0 and seconds != round(seconds):
        return f"{seconds:.1f} s"
    # Above an hour nobody asks for seconds.
    whole = round(seconds) if seconds < 3600.0 else round(seconds / 60.0) * 60
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{rest} s"


def format_whole_duration(seconds: float) -> str:
    """A stretch of time to the whole second, for time that passes or is forecast: ``8 s``."""
    return format_duration(round(seconds))


def format_duration_up(seconds: float, step: float = 5.0) -> str:
    """A stretch of time that is long enough, rounded up to what a person writes into a file: ``1 min 35 s``."""
    return format_duration(step * math.ceil(seconds / step - 1e-9))


def format_rate(rate: float | None) -> str:
    """Requests a second: ``1,103/s``, ``12.5/s``."""
    return MISSING if rate is None else f"{format_count(rate)}/s"


def format_count(count: float | None) -> str:
    """A number with thousands separators; one decimal below 100 unless it is whole."""
    if count is None:
        return MISSING
    if abs(count) < 99.95 and count != round(count):
        return f"{count:.1f}"
    return f"{round(count):,}"


def format_counted(count: float, noun: str) -> str:
    """A number with its noun: ``1 request``, ``1,103 requests``."""
    return counted(format_count(count), noun)


def counted(shown: str, noun: str) -> str:
    """The same of a number that is a text already, such as a rounded one."""
    return f"{shown} {noun if shown == '1' else noun + 's'}"


def format_whole(number: float) -> str:
    """A number without decimals, with thousands separators: ``1,103``."""
    return f"{round(number):,}"


def format_whole_up(number: float) -> str:
    """The next whole number at or above this one: ``1,104`` for 1,103.2."""
    return format_whole(math.ceil(number))


def format_whole_down(number: float) -> str:
    """The whole number at or below this one: how many there are of what is counted in one piece."""
    return format_whole(math.floor(number))


def format_number(number: float, *, digits: int = 6) -> str:
    """A number as short as possible, with at most that many significant digits: ``2``, ``1.5``."""
    return f"{number:.{digits}g}"


def format_decimal(number: float, decimals: int) -> str:
    """A number with that many decimals, without separators: for tables and for programs."""
    return f"{number:.{decimals}f}"


def format_percent(share: float) -> str:
    """A share in whole percent: ``30 %``; above 100 % for what is not part of something."""
    return f"{share * 100.0:,.0f} %"


def tight_percent(share: float, *, decimals: int = 0, signed: bool = False) -> str:
    """A share as part of a name, without a space: ``2%``, ``+10%``."""
    return f"{share * 100.0:{'+' if signed else ''}.{decimals}f}%"


def format_share(share: float | None) -> str:
    """A share as percent, with the digits that matter near 0 and near 1: ``95.2 %``, ``99.97 %``, ``0.04 %``.

    What is more than the whole, such as the CPU of several cores in cores, is in whole percent: ``135 %``.
    """
    if share is None:
        return MISSING
    percent = share * 100.0
    if percent > 100.0:
        return f"{max(percent, 101.0):,.0f} %"
    edge = min(percent, 100.0 - percent)
    if edge in (0.0, 100.0):
        return f"{percent:.0f} %"
    # What is not quite nothing must not read as nothing, nor what is not quite everything as everything.
    if 0.0 < edge < 0.005:
        return "< 0.01 %" if percent < 50.0 else "> 99.99 %"
    return f"{percent:.2f} %" if edge < 1.0 else f"{percent:.1f} %"


def format_share_up(share: float, *, decimals: int) -> str:
    """A share rounded up, for a ceiling that has to cover it: ``25 %``, ``1.25 %``."""
    scale = 10.0**decimals
    # Less a trifle, since a binary fraction may lie just above the decimal one that it stands for.
    return f"{math.ceil(share * 100.0 * scale - 1e-6) / scale:.{decimals}f} %"


def format_bytes(count: float | None) -> str:
    """Bytes in binary units: ``97 MiB``, ``1.5 GiB``."""
    if count is None:
        return MISSING
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024.0:
            break
        value, unit = value / 1024.0, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{_significant(value)} {unit}"


def format_growth(growth: float | None) -> str:
    """Bytes a minute: ``5.2 MiB/min``, ``-120 KiB/min``."""
    return MISSING if growth is None else f"{format_bytes(growth)}/min"


def format_relative_growth(growth: float | None) -> str:
    """A share per minute: ``1.25 %/min``, ``119 %/min``."""
    if growth is None:
        return MISSING
    percent = growth * 100.0
    return f"{percent:.{2 if abs(percent) < 10.0 else 0}f} %/min"


def format_change(change: float | None) -> str:
    """A relative change with its sign: ``+31 %``, ``-4.2 %``; ``no change`` for what rounds to nothing."""
    if change is None:
        return MISSING
    percent = change * 100.0
    text = f"{percent:+,.0f} %" if abs(percent) >= 9.95 else f"{percent:+.1f} %"
    return "no change" if text in ("+0.0 %", "-0.0 %") else text


def format_magnitude(change: float | None) -> str:
    """The size of a relative change without its sign, for prose that says "rose" or "fell": ``31 %``."""
    return format_change(change).lstrip("+-")


def format_change_within(change: float, low: float, high: float) -> str:
    """A relative change in steps of its own uncertainty: ``+30 %`` (26 to 34 %), ``+2.4 %`` (2.0 to 2.8 %).

    The step is the power of ten at or under half the width of the 95 % interval; at least a tenth of a percent, at most ten.
    """
    step = _step((high - low) / 2.0, 0.001, 0.1)
    percent = round(change / step) * step * 100.0
    decimals = 1 if step < 0.01 else 0
    return "no change" if percent == 0.0 else f"{percent:+,.{decimals}f} %"


def format_seconds_within(seconds: float, uncertainty: float) -> str:
    """A time in steps of its uncertainty (both in seconds): ``4 ms``, ``1.2 s``; at most three digits."""
    size = max(abs(seconds), 1e-9)
    step = _step(uncertainty, size / 100.0, size)
    return trim_zeros(format_seconds(round(seconds / step) * step))


def format_points(difference: float | None) -> str:
    """A difference of two shares: ``+1.2 points``, ``-0.05 points``; ``no change`` for what rounds to nothing."""
    if difference is None:
        return MISSING
    points = difference * 100.0
    text = f"{points:+.2f}" if abs(points) < 0.995 else f"{points:+.1f}"
    return "no change" if text in ("+0.00", "-0.00") else f"{text} points"


def format_percentage_points(difference: float) -> str:
    """The size of a difference of two shares, for prose: ``1.20 percentage points``."""
    return f"{abs(difference) * 100.0:.2f} percentage points"


def format_probability(p: float | None) -> str:
    """A p-value with two significant digits; below 0.001 only that it is."""
    if p is None:
        return MISSING
    if p < 0.001:
        return "< 0.001"
    return f"{p:.2f}" if p >= 0.1 else f"{p:.2g}"


def trim_zeros(text: str) -> str:
    """A formatted figure that was chosen, not measured, without the zeros that claim precision: ``75 ms``, not ``75.0 ms``."""
    return re.sub(r"(\d)\.0+(?=\D|$)|(\.\d*?[1-9])0+(?=\D|$)", r"\1\2", text)


def join_range(low: str, high: str) -> str:
    """Two formatted figures as a range that names a shared unit once: ``79.1 to 88.4 ms``, ``850 µs to 1.20 ms``."""
    first, second = _UNIT.fullmatch(low), _UNIT.fullmatch(high)
    if first and second and first[2] and first[2] == second[2]:
        return f"{first[1]} to {high}"
    return f"{low} to {high}"


def _significant(value: float, digits: int = 3) -> str:
    if value == 0.0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, digits - 1)}f}"


def _step(uncertainty: float, least: float, most: float) -> float:
    wanted = min(max(uncertainty, least), most)
    return float(10.0 ** math.floor(math.log10(wanted) + 1e-9))


def significant(number: float, digits: int) -> float:
    """A number with that many significant digits, as files keep it. Keeps the order of numbers."""
    return float(f"{number:.{digits}g}")


def round_down(number: float) -> float:
    """The end of an axis: three significant digits, at or below the number."""
    size = _third_digit(number)
    return math.floor(number / size) * size


def round_up(number: float) -> float:
    """The other end: at or above the number."""
    size = _third_digit(number)
    return math.ceil(number / size) * size


def _third_digit(number: float) -> float:
    return float(10.0 ** (math.floor(math.log10(abs(number))) - 2)) if number else 1.0


def round_ticks(top: float) -> list[float]:
    """Two to five round values from 0 to at most ``top``: the ticks of an axis."""
    raw = top / 4.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= raw * 0.999)
    return [index * step for index in range(math.floor(top / step + 1e-9) + 1)]


def round_coordinate(coordinate: float) -> float:
    """A place in a picture, to a tenth of its unit."""
    return round(coordinate, 1)


def format_about(number: float) -> str:
    """A number with two significant digits, for an estimate: ``410,000``, ``52``, ``3.1``."""
    if number <= 0.0:
        return "0"
    size = 10.0 ** (math.floor(math.log10(number)) - 1)
    return format_count(round(number / size) * size)
