"""Figures of the metric registry as strings: the one step between base units and people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from velro_gate import units
from velro_gate.analysis.rows.family import LEAST_BEYOND, beyond, is_enough
from velro_gate.model.metrics import METRICS, FigureOrigin, Metric, MetricKind
from velro_gate.model.readings import Unit, unit_of
from velro_gate.model.record import Estimate
from velro_gate.model.scenario import ALL_STEPS, Comparator, Requirement
from velro_gate.model.verdict import Comparison
from velro_gate.report.text.phrase import Phrase, name, text

MISSING = units.MISSING
NOTHING = "–"
"""What stands where no figure is expected, as in a column that does not apply; a missing figure is 'not measured'."""

FEW_MARK = "*"
FEW_NOTE = f"{FEW_MARK} fewer than {LEAST_BEYOND} responses lie beyond this quantile, so chance alone may move it."
"""The mark behind such a quantile, and the line under a table that has one."""

_SIGNS = {Comparator.BELOW: "<", Comparator.AT_MOST: "≤", Comparator.ABOVE: ">", Comparator.AT_LEAST: "≥"}


def figure(metric: str, value: float | None) -> str:
    """A value of a metric with its unit; 'not measured' for None."""
    match METRICS[metric].kind:
        case MetricKind.SECONDS:
            return units.format_seconds(value)
        case MetricKind.PER_SECOND:
            return units.format_rate(value)
        case MetricKind.SHARE:
            return units.format_share(value)
        case MetricKind.BYTES:
            return units.format_bytes(value)
        case MetricKind.BYTES_PER_MINUTE:
            return units.format_growth(value)
        case MetricKind.SHARE_PER_MINUTE:
            return units.format_relative_growth(value)
        case MetricKind.COUNT:
            return units.format_count(value)


COARSE = 2.0
"""A smallest detectable change above which its size says nothing more than that there is next to no test."""


def detectable_words(mde: float) -> str:
    """The smallest detectable change; where it is huge, as with two pairs, no more than that."""
    return f"more than {units.format_magnitude(COARSE)}" if mde > COARSE else units.format_magnitude(mde)


def detectable_or_more(mde: float) -> str:
    """``12 % or more``, or ``more than 200 %``."""
    return detectable_words(mde) if mde > COARSE else f"{detectable_words(mde)} or more"


_NOTHING = 0.001
"""Of the resolution of a figure: what is smaller is a rounding error."""

_OUTSIDE = 0.025
"""The chance at either end of a 95 % interval."""


def estimate(metric: str, found: Estimate | None) -> str:
    """The value alone."""
    return figure(metric, found.value if found else None)


class Marked(Protocol):
    """A row of a table of figures. few: whether one of them is marked."""

    @property
    def few(self) -> bool:
        """Whether a quantile in it has few responses beyond it."""


def has_few(metric: str, found: Estimate | None) -> bool:
    """Whether it is a quantile beyond which too few responses lie to compare it."""
    return found is not None and not is_enough(found.n, METRICS[metric])


def marked(metric: str, found: Estimate | None) -> str:
    """The value alone, marked where few responses lie beyond it."""
    return estimate(metric, found) + FEW_MARK * has_few(metric, found)


_ORIGINS = {
    FigureOrigin.COUNTED: "counted by PostgreSQL",
    FigureOrigin.REPORTED: "reported by the service's metric",
    FigureOrigin.CONFIGURED: "configured pool size, not counted",
    FigureOrigin.LOWER_BOUND: "at least: the service carried every load that was tried",
}


def origin(found: Estimate) -> str:
    """How the figure was obtained, where that was noted: its blocks, or where it was read; empty otherwise.

    A record of an earlier version has it in its own words.
    """
    if found.blocks:
        return f"{found.blocks} block{'s' * (found.blocks > 1)}"
    return found.detail if found.origin is None else _ORIGINS[found.origin]


def detail(metric: str, found: Estimate) -> str:
    """How the figure came about, where that is not plain; of a quantile with few responses beyond it, how many those are."""
    quantile = METRICS[metric].quantile
    if (words := origin(found)) or quantile is None:
        return words
    few = beyond(found.n, quantile)
    counted = f"only {units.format_whole_down(few)} of {units.format_count(found.n)} responses lie beyond it"
    return counted if few < LEAST_BEYOND else ""


def footnote(rows: Iterable[Marked]) -> str:
    """The line that explains the mark to readers of these rows; empty where none has it."""
    return FEW_NOTE if any(row.few for row in rows) else ""


def interval(metric: str, found: Estimate | None) -> str:
    """The 95 % interval as a range; empty where the figure is exact or missing.

    Of so few responses that all of them may lie below the quantile, nothing is known of its upper end.
    """
    if found is None or found.low == found.high:
        return ""
    quantile = METRICS[metric].quantile
    # quantile ** n is the chance that all n responses lie below the quantile.
    if quantile is not None and quantile**found.n > _OUTSIDE:
        return f"{figure(metric, found.low)} or more"
    return units.join_range(figure(metric, found.low), figure(metric, found.high))


def with_interval(metric: str, found: Estimate | None) -> str:
    """``64.9 ms (63.1 to 66.8 ms)``, or the value alone where there is no interval."""
    spread = interval(metric, found)
    return f"{estimate(metric, found)} ({spread})" if spread else estimate(metric, found)


def limit(requirement: Requirement) -> str:
    """``< 75 ms``, ``≥ 1,000/s``."""
    return f"{_SIGNS[requirement.comparator]} {units.trim_zeros(figure(requirement.metric, requirement.target))}"


def critical(requirement: Requirement) -> str:
    """The critical level, or a dash where there is none."""
    return NOTHING if requirement.critical is None else units.trim_zeros(figure(requirement.metric, requirement.critical))


def headroom(share: float | None) -> str:
    """How far inside the limit the value lies, in percent of the limit; negative outside."""
    if share is None:
        return NOTHING
    return "0 %" if units.format_change(share) == "no change" else units.format_change(share)


def subject_phrase(metric: str, step: str) -> Phrase:
    """What a figure is of: ``p95 of authorization_check``, ``p95 of all requests``, ``throughput``."""
    label = METRICS[metric].label
    if step != ALL_STEPS:
        return (text(f"{label} of "), name(step))
    whole = METRICS[metric].of_service_time
    return (text(f"{label} of all requests" if whole else label),)


def change(row: Comparison) -> str:
    """How the figure moved: relative; in points for a share, whose percent of percent nobody reads right; and by its difference
    where the figure is coarse, and may be 0.
    """
    if METRICS[row.metric].resolution:
        return difference(row)
    if _in_points(METRICS[row.metric]):
        moved = None if row.current is None or row.baseline is None else row.current - row.baseline
        return units.format_points(moved)
    return units.format_change(row.change)


def change_interval(row: Comparison) -> str:
    """The 95 % interval of the change, in the same terms as ``change``; empty where there is none."""
    if row.change_low is None or row.change_high is None or METRICS[row.metric].resolution:
        return ""
    if _in_points(METRICS[row.metric]):
        if not row.baseline:
            return ""
        ends = (units.format_points(row.baseline * row.change_low), units.format_points(row.baseline * row.change_high))
    else:
        ends = (units.format_change(row.change_low), units.format_change(row.change_high))
    return units.join_range(*(end.replace("no change", "0") for end in ends))


def difference(row: Comparison) -> str:
    """How far the figure moved in its own unit, with its sign."""
    if row.current is None or row.baseline is None:
        return MISSING
    moved = row.current - row.baseline
    if abs(moved) < METRICS[row.metric].resolution * _NOTHING:
        return "no change"
    return f"{'+' if moved > 0.0 else '-'}{figure(row.metric, abs(moved))}"


def change_with_interval(row: Comparison) -> str:
    """``+31 % (+27 to +35 %)``."""
    spread = change_interval(row)
    return f"{change(row)} ({spread})" if spread else change(row)


def _in_points(metric: Metric) -> bool:
    return metric.kind is MetricKind.SHARE


def resource(source: str, name: str, value: float) -> str:
    """A reading's value, or what a counter rose by, in the unit that the monitor declares."""
    match unit_of(source, name):
        case Unit.BYTES:
            return units.format_bytes(value)
        case Unit.SHARE:
            return units.format_share(value)
        case Unit.SECONDS:
            return units.format_seconds(value)
    return units.format_count(value)


def resource_rate(source: str, name: str, rate: float) -> str:
    """What a counter rises by in a second."""
    if unit_of(source, name) is Unit.COUNT:
        return units.format_rate(rate)
    return f"{resource(source, name, rate)}/s"
