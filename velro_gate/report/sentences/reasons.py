"""Why comparisons have the result that they have, in words: clauses without a full stop, joined by semicolons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from velro_gate import units
from velro_gate.model.facts.doubts import Worded
from velro_gate.model.facts.reasons import (
    AboveWaiver,
    Again,
    BlocksNotMeasured,
    BuildSilent,
    BuildStopped,
    ChanceAgrees,
    DuetDoubted,
    FellToZero,
    FurtherRunCut,
    FurtherRunDoubted,
    ImpossibleShare,
    MoreErrors,
    NoBaselineFigure,
    NoComparableBaseline,
    NoFigureAgain,
    NoiseOfProfile,
    NoiseOfSelftest,
    NoiseUnknown,
    NoPairFigure,
    NothingSucceeded,
    NotMeasured,
    NotMeasuredAgain,
    NotRuledOut,
    OnePair,
    OrderMatters,
    PairsAgain,
    PairsWorse,
    PhaseIncomplete,
    Reason,
    RequirementOnly,
    RoseFromZero,
    RunsAgain,
    StandsIn,
    StaysZero,
    TooFewPairs,
    TooFewResponses,
    Waived,
    ZeroFigure,
)
from velro_gate.model.metrics import METRICS, Scale
from velro_gate.model.verdict import Comparison, Confirmation
from velro_gate.model.waiver import Waiver
from velro_gate.report.sentences.kinds.trust import trust_words
from velro_gate.report.sentences.order import order_words, worsening_size
from velro_gate.report.text import figures
from velro_gate.report.text.words import subject


def reason_words(reason: Reason) -> str:
    """One reason."""
    return SENTENCES[type(reason)](reason)


def reasons_words(reasons: Iterable[Reason]) -> str:
    """All of them; empty for none."""
    return "; ".join(map(reason_words, reasons))


def row_reason(row: Comparison) -> str:
    """Why a row has its result; empty where its figures say it all."""
    return reasons_words(row.reasons)


def confirmation_words(found: Confirmation) -> str:
    """``confirmed 3 of 3``, ``not confirmed: 1 of 3``, ``confirmed 10 of 10 pairs``."""
    counted = f"{found.worse} of {found.runs}{' pairs' if found.side_by_side else ''}"
    return f"confirmed {counted}" if found.confirmed else f"not confirmed: {counted}"


def confirmation_counted(found: Confirmation) -> str:
    """The same with what is counted: ``confirmed: 3 of 3 runs are worse``."""
    unit = "pairs" if found.side_by_side else "runs"
    counted = f"{found.worse} of {found.runs} {unit} are worse"
    if found.confirmed or found.worse < found.runs:
        return f"{'confirmed' if found.confirmed else 'not confirmed'}: {counted}"
    return f"not confirmed, although {counted}: the difference may be noise"


def build_stopped(facts: BuildStopped) -> str:
    """That a build of a duet stopped responding."""
    return f"the {facts.side} build stopped responding in {facts.blocks} of {facts.of} blocks: {facts.how}"


def _further_run_doubted(facts: FurtherRunDoubted) -> str:
    return f"a further run of it cannot be trusted: {trust_words(facts.because).sentence.rstrip('.')}"


def _duet_doubted(facts: DuetDoubted) -> str:
    because = facts.because
    return build_stopped(because) if isinstance(because, BuildStopped) else trust_words(because).sentence


def _no_baseline_figure(facts: NoBaselineFigure) -> str:
    return f"no baseline holds {subject(facts.figure.metric, facts.figure.step)}"


def _too_few_answers(facts: TooFewResponses) -> str:
    label = METRICS[facts.metric].label
    said = (
        f"only {units.format_counted(facts.answers, 'successful response')}, {units.format_count(facts.needed)} are needed to "
        f"compare {label}"
    )
    if facts.needed_seconds is not None:
        said += f" ({units.format_duration_up(facts.needed_seconds)} would be enough)"
    if facts.others_had_enough:
        said += f"; the {'base build' if facts.side_by_side else 'baselines'} had enough"
    if facts.before is not None and facts.now is not None:
        before, now = (figures.figure(facts.metric, value) for value in (facts.before, facts.now))
        said += (
            f"; {before} in the base build, {now} in the head build" if facts.side_by_side else f"; {before} before, {now} now"
        )
    if facts.stand_in is not None:
        said += f"; {METRICS[facts.stand_in].label} is compared instead"
    return said


def _build_silent(facts: BuildSilent) -> str:
    return f"no request to the {facts.side} build succeeded in {facts.blocks} of {facts.of} blocks"


def _blocks_not_measured(facts: BlocksNotMeasured) -> str:
    label = METRICS[facts.metric].label
    return f"{label} was not measured in {facts.blocks} of {facts.of} blocks of the {facts.side} build"


def _noise_unknown(facts: NoiseUnknown) -> str:
    count = "one baseline does" if facts.baselines == 1 else f"{facts.baselines} baselines do"
    return f"{count} not show how much this figure varies on this runner"


def _not_ruled_out(facts: NotRuledOut) -> str:
    if METRICS[facts.metric].scale is Scale.LINEAR:
        return f"an error rate higher by {units.format_percentage_points(facts.worsening)} cannot be ruled out"
    return f"a worsening of {units.format_magnitude(facts.worsening)} cannot be ruled out"


def _above_waiver(facts: AboveWaiver) -> str:
    return f"more than the {ceiling(facts.waiver)} that is waived ({facts.waiver.issue})"


def _waived(facts: Waived) -> str:
    waiver = facts.waiver
    return f"waived up to {ceiling(waiver)} until {waiver.expires.isoformat()} ({waiver.issue}): {waiver.reason}"


def ceiling(waiver: Waiver) -> str:
    """The worsening that a waiver allows."""
    if METRICS[waiver.metric].scale is Scale.LINEAR:
        return units.format_percentage_points(waiver.ceiling)
    return units.format_magnitude(waiver.ceiling)


def _margin(margin: float | None) -> str:
    """The worsening that counts: ``5 %``; of an error rate it is a difference."""
    return "0.1 percentage points" if margin is None else units.trim_zeros(units.format_magnitude(margin))


def _again(facts: RunsAgain | PairsAgain, of: int, unit: str) -> str:
    opening = "confirmed" if facts.found is Again.CONFIRMED else "not confirmed"
    verb = "is" if of == 1 else "are"
    return f"{opening}: {facts.worse} of {of} {unit} {verb} at least {_margin(facts.margin)} worse"


def _runs_again(facts: RunsAgain) -> str:
    said, one = _again(facts, facts.runs, "runs"), facts.runs == 2
    further = "the further run" if one else f"the {facts.runs - 1} further runs"
    match facts.found:
        case Again.REPEATED:
            return f"{said}; {further} {'looks' if one else 'look'} worse too, but not by enough to be certain"
        case Again.UNCHANGED:
            return f"{said}, and {further} {'shows' if one else 'show'} it unchanged"
        case Again.CONFIRMED:
            return said
    if facts.worse > 1:
        # At least one of them is worse by the margin: what is missing is certainty, not a worsening.
        return f"{said}; {further} by {'itself lies' if one else 'themselves lie'} within the noise between runs"
    return f"{said}; {further} by {'itself does' if one else 'themselves do'} not look worse"


def _pairs_again(facts: PairsAgain) -> str:
    said = _again(facts, facts.pairs, "pairs")
    match facts.found:
        case Again.UNCHANGED:
            return f"{said}: it is unchanged compared with the base build"
        case Again.BETTER:
            return f"{said}: it is better than in the base build"
    return said


def _pairs_worse(facts: PairsWorse) -> str:
    of = f"all {facts.pairs}" if facts.worse == facts.pairs else f"{facts.worse} of {facts.pairs}"
    return f"{of} pairs are at least {worsening_size(facts.metric, facts.least)} worse"


SENTENCES: Mapping[type, Callable[[Any], str]] = {
    Worded: lambda facts: facts.sentence,
    FurtherRunDoubted: _further_run_doubted,
    FurtherRunCut: lambda _: "the phase was run again, and that run did not finish",
    NotMeasuredAgain: lambda _: "the phase was not run again",
    NoFigureAgain: lambda _: "its further runs hold no figure to compare",
    DuetDoubted: _duet_doubted,
    NoPairFigure: lambda _: "the pairs of blocks hold no such figure",
    NoComparableBaseline: lambda _: "no comparable baseline",
    NoBaselineFigure: _no_baseline_figure,
    PhaseIncomplete: lambda facts: f"phase {facts.phase} did not run to its planned end",
    RequirementOnly: lambda facts: f"{METRICS[facts.metric].label} has requirements, but is not compared with baselines",
    NothingSucceeded: lambda _: "all requests failed",
    NotMeasured: lambda facts: f"{METRICS[facts.metric].label} was not measured in this run",
    ZeroFigure: lambda facts: f"{METRICS[facts.metric].label} is not above zero, so there is no ratio to compare",
    StaysZero: lambda facts: f"{METRICS[facts.metric].label} is zero, as in every baseline",
    FellToZero: lambda facts: f"{METRICS[facts.metric].label} fell to zero",
    RoseFromZero: lambda facts: (
        f"{METRICS[facts.metric].label} was zero in every baseline and is {figures.figure(facts.metric, facts.now)} now"
    ),
    ImpossibleShare: lambda facts: f"{METRICS[facts.metric].label} is not between 0 % and 100 %, as a share has to be",
    TooFewResponses: _too_few_answers,
    BuildSilent: _build_silent,
    BlocksNotMeasured: _blocks_not_measured,
    NoiseUnknown: _noise_unknown,
    NotRuledOut: _not_ruled_out,
    MoreErrors: lambda facts: (
        f"not called an improvement, because more requests failed ({units.format_share(facts.error_rate)} now)"
    ),
    StandsIn: lambda facts: f"compared instead of {METRICS[facts.metric].label}, beyond which too few responses lie",
    NoiseOfProfile: lambda facts: f"noise taken from {units.format_count(facts.runs)} runs of profile {facts.profile}",
    NoiseOfSelftest: lambda facts: f"noise taken from this runner's selftest of {facts.day}",
    Waived: _waived,
    AboveWaiver: _above_waiver,
    RunsAgain: _runs_again,
    PairsAgain: _pairs_again,
    OnePair: lambda _: "one pair of blocks is not enough to decide",
    OrderMatters: lambda facts: order_words(facts.metric, facts.head_second, facts.head_first),
    PairsWorse: _pairs_worse,
    ChanceAgrees: lambda facts: (
        f"so few pairs agree by chance as often as once in {units.format_count(facts.ways)}: at least {facts.enough} pairs are "
        "needed"
    ),
    TooFewPairs: lambda _: "too few pairs of blocks to decide",
}
