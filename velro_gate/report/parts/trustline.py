"""Why to believe the figures: where they were made, how well the generator kept time, what a comparison could have seen."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from velro_gate import units
from velro_gate.model.metrics import LATENESS, METRICS, Scale
from velro_gate.model.record import GeneratorNoise, Revision, RunnerSelftest, RunRecord
from velro_gate.model.run import seconds_apart
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Change, Comparison, SideBySide, Verdict
from velro_gate.report.text import figures
from velro_gate.report.text.phrase import plain
from velro_gate.report.text.words import listed

NOT_WATCHED = " is not watched: "
"""Between a source's name and why it cannot be read, in a record's notes."""

STALE_DAYS = 30
"""Days after which a selftest says little: a runner's neighbours, kernel and load change."""


def trust_facts(record: RunRecord, verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """(label, text) pairs; each figure is the worst over the phases, since the worst is what one must trust.

    What a finding says of a block of the duet counts with them: the line never contradicts the findings next to it.
    """
    place = record.environment
    lateness = [found.value for phase in record.phases if (found := phase.measurement(LATENESS))]
    steal = [phase.health.steal_share for phase in record.phases if phase.health.steal_share is not None]
    cpu = [phase.health.cpu_share for phase in record.phases]
    seen = smallest_seen(verdict.comparisons)
    silent = [*unwatched(record.notes), *_without_value(record)]
    facts = (
        (
            "runner",
            f"{place.runner} ({place.cpu_model}, {place.cores} cores, {units.trim_zeros(units.format_bytes(place.memory))})",
        ),
        ("lateness p99", units.format_seconds(max([*lateness, *_found(verdict, "lateness")], default=None))),
        ("generator CPU", _cpu([*cpu, *_found(verdict, "generator-cpu")], record.shards)),
        ("generator alone", noise_words(record.generator_noise)),
        *_cluster(record),
        *_reduced(record),
        ("CPU steal", units.format_share(max([*steal, *_found(verdict, "steal")], default=None))),
        *((("not watched", ", ".join(silent)),) if silent else ()),
        *((("baselines", _baselines(verdict)),) if verdict.duet is None else _side_by_side(verdict.duet)),
    )
    if seen:
        facts = (*facts, ("smallest worsening it could find (MDE)", seen))
    return (*facts, ("this runner", _selftest(record.selftest, record.started_at))) if record.selftest is not None else facts


def _found(verdict: Verdict, code: str) -> list[float]:
    """The figures of the trust findings of this code."""
    return [finding.figure for finding in verdict.trust if finding.code == code and finding.figure is not None]


def unwatched(notes: Iterable[str]) -> list[str]:
    """The sources that could not be read, each with the reason that the monitor noted first."""
    found: dict[str, str] = {}
    for note in notes:
        name, mark, why = note.partition(NOT_WATCHED)
        if mark:
            found.setdefault(name, why)
    return [f"{name} ({why})" for name, why in found.items()]


def _without_value(record: RunRecord) -> list[str]:
    """The scenario's own metrics that gave no figure, each with the phases in which it gave none: a misspelled name shows."""
    found = []
    for metric in record.plan.metrics:
        phases = [phase.name for phase in record.phases if phase.measurement(metric.metric) is None]
        if phases:
            found.append(
                f"{metric.name} (no value in {'any phase' if len(phases) == len(record.phases) else listed(phases, 3)})"
            )
    return found


def _selftest(found: RunnerSelftest, run_at: str) -> str:
    """What the newest selftest of the runner found, and how old it was at the time of the run."""
    day = found.measured_at[:10]
    age = (date.fromisoformat(run_at[:10]) - date.fromisoformat(day)).days
    if age > STALE_DAYS:
        return f"its selftest of {day} is stale ({age} days old): make a new one with 'velro-gate selftest'"
    noise = f"p95 noise {units.format_share(found.p95_noise)}"
    sees = "cannot see +20 %" if found.blind else f"a duet sees {units.format_change(found.p95_seen)}"
    return f"{noise}, {sees} (selftest of {day})"


def _cpu(shares: list[float], shards: int) -> str:
    if not shares:
        return figures.MISSING
    of = f" (the busiest of {shards} shards)" if shards > 1 else ""
    return f"{units.format_share(max(shares))} of a core{of}"


def _cluster(record: RunRecord) -> tuple[tuple[str, str], ...]:
    """How many workers of a cluster sent the load, and at most how far apart they began a phase."""
    skews = [seconds_apart(phase.workers) for phase in record.phases if phase.workers]
    if not skews:
        return ()
    # The record of a search for the capacity counts no shards.
    workers = max(record.shards, *(len(phase.workers) for phase in record.phases))
    return (("cluster", f"{workers} workers, start skew up to {units.format_seconds(max(skews))}"),)


def _reduced(record: RunRecord) -> tuple[tuple[str, str], ...]:
    """How well times are known where the workers passed on counts, and what was then not looked for."""
    names = [phase.name for phase in record.phases if phase.reduced is not None]
    if not names:
        return ()
    error = units.format_share(max(phase.reduced or 0.0 for phase in record.phases))
    said = f"reduced to counts on the workers in {listed(names, 3)}: quantiles are within {error} of themselves"
    return (("samples", f"{said}; not looked for: bottlenecks that show in single requests only"),)


def noise_words(noise: GeneratorNoise | None) -> str:
    """The figures of the null run, and at which load."""
    if noise is None:
        return figures.MISSING
    quantiles = zip(("p50", "p95", "p99"), (noise.p50, noise.p95, noise.p99), strict=True)
    shown = ", ".join(f"{name} {units.format_seconds(value)}" for name, value in quantiles)
    return f"{shown} at {units.format_rate(noise.rate)}"


def _side_by_side(duet: SideBySide) -> tuple[tuple[str, str], ...]:
    """What a duet rests on, and what its control endpoint says of the runner."""
    left_out = f", {duet.left_out} left out" if duet.left_out else ""
    length = (
        f" of {units.format_duration(duet.block_seconds)} blocks after {units.format_duration(duet.warm_up)} of warm-up, "
        f"order drawn by seed {duet.seed}"
    )
    moved = figures.MISSING if duet.control is None else f"{units.format_change(duet.control)} in the head build's blocks"
    return (
        ("base build", _build(duet.base)),
        ("pairs", f"{duet.pairs} used{left_out}{length if duet.block_seconds else ''}"),
        ("control endpoint", moved),
    )


def _build(revision: Revision) -> str:
    names = [part for part in (revision.label, revision.branch, revision.sha[:12]) if part]
    return " ".join(dict.fromkeys(names)) or "unknown revision"


def _baselines(verdict: Verdict) -> str:
    used = f"{verdict.baselines_used or 'none'} used"
    skipped = sum(one.runs for one in verdict.baselines_skipped)
    return f"{used}, {skipped} skipped" if skipped else used


def smallest_seen(rows: Iterable[Comparison]) -> str:
    """The minimal detectable effect of the primary rows, as a range with the metrics at its ends; empty without any.

    Response times of all requests stand for the rest where there are any; a rate near zero has no relative effect to speak of.
    """
    able = [row for row in rows if row.primary and row.mde is not None and row.verdict is not Change.NOT_COMPARED]
    able = [row for row in able if METRICS[row.metric].scale is Scale.LOG]
    whole = [row for row in able if row.step == ALL_STEPS and METRICS[row.metric].quantile is not None]
    known = sorted((row.mde or 0.0, _label(row)) for row in whole or able)
    if not known:
        return ""
    least, most = known[0], known[-1]
    # The headline names the row of which most could have been missed, which may be a step's.
    beyond = " of all requests" if whole and any((row.mde or 0.0) > most[0] for row in able) else ""
    if figures.detectable_words(least[0]) == figures.detectable_words(most[0]):
        # Of one figure only: without its name it would seem to speak for the others, which may show less or more.
        of = f" ({least[1]})" if len(known) == 1 else ""
        return f"{figures.detectable_words(least[0])}{of}{beyond}"
    return f"{figures.detectable_words(least[0])} ({least[1]}) to {figures.detectable_words(most[0])} ({most[1]}){beyond}"


def _label(row: Comparison) -> str:
    return METRICS[row.metric].label if row.step == ALL_STEPS else plain(figures.subject_phrase(row.metric, row.step))
