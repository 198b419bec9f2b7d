"""The capacity in words: how much load meets the requirements, what that means for the plan, and where the knee is."""

from __future__ import annotations

from collections.abc import Iterator

from velro_gate import units
from velro_gate.model.capacity import CapacityResult, Ending, LoadUnit, Scalability, Trial
from velro_gate.model.record import Estimate
from velro_gate.report.sentences.bottlenecks import bottleneck_words
from velro_gate.report.text.words import subject

CAPACITY_HEADINGS = ("load", "throughput", "p95", "in flight", "measured", "result", "decided by")


def capacity_title(found: CapacityResult) -> str:
    """``Capacity: 1,240/s (1,190 to 1,280/s)``, or why the capacity is unknown."""
    if found.capacity is not None:
        return f"Capacity: {_range(found, found.capacity)} meet the requirements of {found.phase}"
    match found.ending:
        case Ending.ALL_MET:
            return f"Capacity: at least {_load(found, found.met)}; no higher load was tried"
        case Ending.NONE_MET:
            return f"Capacity: below {_load(found, found.missed)}, the lowest load that was tried"
    return (
        "Capacity: not found"
        if found.met is None or found.missed is not None
        else f"Capacity: at least {_load(found, found.met)}"
    )


def capacity_rows(found: CapacityResult) -> list[tuple[str, ...]]:
    """One row a trial in the order of load, as ``CAPACITY_HEADINGS`` names the cells."""
    return [_cells(found, trial) for trial in sorted(found.trials, key=lambda one: one.load)]


def _cells(found: CapacityResult, trial: Trial) -> tuple[str, ...]:
    result = "falls behind" if trial.drowned else "missed" if trial.score > 0.0 else "met"
    return (
        _load(found, trial.load),
        units.format_rate(trial.throughput),
        units.format_seconds(trial.p95),
        "" if trial.concurrency is None else units.format_count(trial.concurrency),
        units.format_duration(trial.seconds),
        result,
        "" if trial.figure is None else subject(trial.figure.metric, trial.figure.step),
    )


def capacity_sentences(found: CapacityResult) -> list[str]:
    """What the table means."""
    limited = found.limited_by
    by = [] if limited is None else [f"limited by: {bottleneck_words(limited).sentence}"]
    unknown = f"whether the plan's {_load(found, found.wanted)} meet the requirements was not shown"
    open_ended = [unknown] if found.carries_plan is None else []
    return [*_headroom(found), *by, *_ending(found), *_no_help(found), *open_ended, *scalability_sentences(found.scalability)]


def _headroom(found: CapacityResult) -> Iterator[str]:
    if found.capacity is None or found.headroom is None:
        return
    plan = f"the plan's {_load(found, found.wanted)}"
    if found.headroom >= 0.0:
        yield f"headroom: {units.format_magnitude(found.headroom)} above {plan}"
    else:
        sure = "" if found.capacity.high < found.wanted else ", though its interval reaches it"
        yield f"no headroom: {units.format_magnitude(-found.headroom)} below {plan}{sure}"


def _ending(found: CapacityResult) -> Iterator[str]:
    match found.ending:
        case Ending.TIME:
            yield f"time ran out: {_within(found)}; allow more with --max-minutes"
        case Ending.GENERATOR:
            yield (
                f"the next load could not be measured ({found.reason}): use a quieter or larger machine, or more shards, to go "
                "higher"
            )
        case Ending.STOPPED:
            yield f"the search ended early: {found.reason or 'it was interrupted'}"
        case Ending.NONE_MET:
            yield "even the lowest load missed the requirements: fix what they miss before you look for a capacity"


def _no_help(found: CapacityResult) -> Iterator[str]:
    """Where less load changed nothing: a limit that an idle service misses too, or a figure that load makes better."""
    trials = sorted(found.trials, key=lambda one: one.load)
    if found.met is not None or len(trials) < 2:
        return
    low, high = trials[0], trials[-1]
    if low.figure is None or low.figure != high.figure or high.drowned or low.score < high.score:
        return
    figure = subject(low.figure.metric, low.figure.step)
    yield (
        f"less load did not help: {figure} misses its limit at {_load(found, low.load)} as at {_load(found, high.load)}; "
        "remove or change this requirement before you look for a capacity"
    )


def _within(found: CapacityResult) -> str:
    if found.met is not None and found.missed is not None:
        return f"the limit lies between {_load(found, found.met)} and {_load(found, found.missed)}"
    if found.missed is not None:
        return f"the limit lies below {_load(found, found.missed)}"
    return "no load could be measured" if found.met is None else f"the limit lies above {_load(found, found.met)}"


def scalability_sentences(law: Scalability | None) -> list[str]:
    """The universal scalability law in words: the knee, and what bends the curve."""
    if law is None:
        return []
    shares = (
        f"contention {units.format_share(law.contention.value)} (what only one request at a time can do), "
        f"coherence {units.format_share(law.coherence.value)} (what requests cost each other)"
    )
    lines = [f"universal scalability law over {law.points} loads: {shares}"]
    if law.knee is not None and law.peak is not None:
        lines.append(
            f"knee at {_whole(law.knee)} requests at a time: {units.format_rate(law.peak.value)} at most, less beyond it"
        )
    elif law.contention.value > 0.0:
        ceiling = units.format_rate(law.rate.value / law.contention.value)
        lines.append(f"no knee: throughput still grows with more requests at a time, towards {ceiling}")
    return lines


def _whole(found: Estimate) -> str:
    value, low, high = (units.format_whole(one) for one in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"


def _load(found: CapacityResult, load: float | None) -> str:
    if load is None:
        return units.MISSING
    return units.format_rate(load) if found.unit is LoadUnit.RATE else units.counted(units.format_whole(load), "user")


def _range(found: CapacityResult, capacity: Estimate) -> str:
    return f"{_load(found, capacity.value)} ({_load(found, capacity.low)} to {_load(found, capacity.high)})"
