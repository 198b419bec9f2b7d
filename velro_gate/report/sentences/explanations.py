"""An explanation as one sentence: which steps are slower, how, since when, and what else changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from velro_gate import units
from velro_gate.model.facts.explanations import (
    CacheMoved,
    Companion,
    FigureMoved,
    NewAboveBase,
    NewAboveMain,
    NewWithBuild,
    ResourceMoved,
    ShareMoved,
    SinceRun,
)
from velro_gate.model.facts.regression import Explanation, QuantileMove, ShiftShape
from velro_gate.model.metrics import LATENCY_QUANTILES, METRICS
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.report.sentences.baselines import run_of_main
from velro_gate.report.text.words import joined

_MOST_STEPS = 3
"""Steps that a sentence names one by one."""


def explanation_sentence(one: Explanation) -> str:
    """All of an explanation, for a reviewer; without a full stop."""
    opening = _other(one) if one.shape is ShiftShape.NONE else _slow(one)
    also = ", ".join(map(companion_words, one.companions))
    return f"{opening}; {ORIGINS[type(one.origin)](one.origin)}{f'; also changed: {also}' if also else ''}"


def companion_words(companion: Companion) -> str:
    """What moved with a worsening, in a few words."""
    return COMPANIONS[type(companion)](companion)


def _slow(one: Explanation) -> str:
    of = f" of {one.steps[0]}" if len(one.steps) > 1 else ""
    return f"in {one.phase}, {_who(one)} slower, {_how(one.shape, one.quantiles)} ({', '.join(_moves(one.quantiles))}{of})"


def _who(one: Explanation) -> str:
    count = len(one.steps)
    if not count:
        return "no single step but all requests together are" if one.shown == ALL_STEPS else f"{one.shown} looks"
    if count == one.plan_steps and count > 1:
        return f"all {count} steps are"
    more = f" and {units.format_counted(count - _MOST_STEPS, 'more step')}" if count > _MOST_STEPS else ""
    return f"{', '.join(one.steps[:_MOST_STEPS])}{more} {'is' if count == 1 else 'are'}"


def _moves(quantiles: Sequence[QuantileMove]) -> Iterator[str]:
    for one in quantiles:
        yield f"{METRICS[one.metric].label} {units.format_change_within(one.change, one.low, one.high)}"


def _how(shape: ShiftShape, quantiles: Sequence[QuantileMove]) -> str:
    moved = [one for one in quantiles if one.moved]
    match shape:
        case ShiftShape.SAME_SHARE if len(quantiles) == 1:
            return f"as far as {METRICS[quantiles[0].metric].label} shows"
        case ShiftShape.SAME_SHARE:
            return f"all requests by about the same percentage{_sure_of(moved, quantiles)}"
        case ShiftShape.SAME_TIME:
            middle = sorted(one.seconds for one in quantiles)[len(quantiles) // 2]
            spread = max(one.seconds for one in quantiles) - min(one.seconds for one in quantiles)
            size = units.format_seconds_within(middle, max(spread / 2.0, middle / 10.0))
            return f"every request by about {size}{_sure_of(moved, quantiles)}"
        case ShiftShape.TAIL:
            return "only in the tail"
        case ShiftShape.NEW_MODE:
            jump = min(one.seconds for one in moved[-2:])
            return f"{_share_hit(quantiles)} of its requests by about {units.format_seconds_within(jump, jump / 10.0)}"
        case ShiftShape.MIDDLE:
            return "in the middle, not in the tail"
        case _:
            return "by a different percentage at each quantile" if moved else "though no single quantile is certain"


def _sure_of(moved: Sequence[QuantileMove], quantiles: Sequence[QuantileMove]) -> str:
    """Which quantiles certainly moved, where not all did."""
    labels = [METRICS[one.metric].label for one in moved]
    return "" if len(moved) == len(quantiles) else f", certain at {joined(labels)}"


def _share_hit(quantiles: Sequence[QuantileMove]) -> str:
    """How many requests are slower: between the lowest quantile that moved and the one below it."""
    lowest = next(i for i, one in enumerate(quantiles) if one.moved)
    least, most = (1.0 - LATENCY_QUANTILES[quantiles[i].metric] for i in (lowest, lowest - 1))
    return units.join_range(*(units.trim_zeros(units.format_share(share)) for share in (least, most)))


def _other(one: Explanation) -> str:
    figures = ", ".join(
        METRICS[each.metric].label + (f" of {each.step}" if each.step != ALL_STEPS else "") for each in one.worse
    )
    held = ", response times are not" if one.times_held else ""
    return f"in {one.phase}, {figures} {'is' if len(one.worse) == 1 else 'are'} worse{held}"


def _since_run(origin: SinceRun) -> str:
    return f"part of it came with {run_of_main(origin.day, origin.sha)} of main ({units.format_change(origin.change)})"


def _above_main(origin: NewAboveMain) -> str:
    return f"it is new with this build (the last {origin.runs} runs of main: {_range(origin)})"


def _above_base(origin: NewAboveBase) -> str:
    return f"it is new with this build (the {origin.blocks} blocks of the base build: {_range(origin)})"


def _range(origin: NewAboveMain | NewAboveBase) -> str:
    """Where response times were: ``p95 39.6 to 40.5 ms``."""
    ends = (units.format_seconds_within(value, origin.low / 100.0) for value in (origin.low, origin.high))
    return f"{METRICS[origin.metric].label} {units.join_range(*ends)}"


def _cache(moved: CacheMoved) -> str:
    what = "cache misses" if moved.layer == "miss" else f"responses from the {moved.layer} cache"
    of = f" of {moved.step}" if moved.step != ALL_STEPS else ""
    return f"{what}{of} {units.format_share(moved.before)} -> {units.format_share(moved.now)}"


def _resource(moved: ResourceMoved) -> str:
    name = moved.name.replace("_", " ")
    return f"{moved.source} {name} {units.format_count(moved.before)} -> {units.format_count(moved.now)}"


ORIGINS: Mapping[type, Callable[[Any], str]] = {
    SinceRun: _since_run,
    NewWithBuild: lambda _: "it is new with this build",
    NewAboveMain: _above_main,
    NewAboveBase: _above_base,
}
COMPANIONS: Mapping[type, Callable[[Any], str]] = {
    FigureMoved: lambda moved: (
        f"{METRICS[moved.metric].label} {units.format_change_within(moved.change, moved.low, moved.high)}"
    ),
    ShareMoved: lambda moved: f"{METRICS[moved.metric].label} {units.format_points(moved.difference)}",
    CacheMoved: _cache,
    ResourceMoved: _resource,
}
