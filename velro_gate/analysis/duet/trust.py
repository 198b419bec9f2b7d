"""Whether the pairs of a duet can be trusted: those left out, builds that stopped, and whether the runner kept still."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from velro_gate import units
from velro_gate.analysis.duet.block_figures import unusable
from velro_gate.analysis.duet.comparison import LEFT_OUT_BROKEN
from velro_gate.analysis.duet.order import order_doubts
from velro_gate.analysis.statistics.sign_flip import Floats, bounds, middle, walsh_averages
from velro_gate.model.duet import Block, Duet, Pair, Side
from velro_gate.model.verdict import Comparison, Finding, Level, Trust, TrustFinding

CONTROL_METRIC = "p50"
"""What the control endpoint's answers are compared by."""

CONTROL_TAIL = 0.002
"""On either side of the interval that must exclude nought before the control endpoint counts as moved: a duet in which nothing
moved is broken by it in 4 of 1,000 cases at most. The smallest tail that ten pairs allow is .001.
"""

UNSTEADY = 4.0
"""So many margins the control endpoint may swing from pair to pair before that is a caveat: what swings alike beside both
builds makes the noise larger, which the smallest visible change tells, and deceives nobody.
"""


def doubt_findings(doubts: Iterable[TrustFinding]) -> Iterator[Finding]:
    """Reasons to doubt as findings."""
    for doubt in doubts:
        yield Finding(level=doubt.level, subject=doubt.phase or "duet", sentence=doubt.sentence, advice=doubt.advice)


def went_away(duet: Duet) -> Iterator[Finding]:
    """A head build that dies under the load fails by that alone; a base build that does is no yardstick."""
    for side, level in ((Side.BASE, Level.BROKEN), (Side.HEAD, Level.FAIL)):
        reasons = [gone for pair in duet.pairs if (gone := pair.block(side).gone) is not None]
        if reasons:
            yield Finding(
                level=level,
                subject="duet",
                sentence=f"the {side.value} build went away in {len(reasons)} of {len(duet.pairs)} blocks: {reasons[0]}",
                advice=f"Look into the {side.value} build's own log for the moment of its end, and mend it.",
            )


def duet_doubts(duet: Duet, rows: Sequence[Comparison]) -> Iterator[TrustFinding]:
    """Every reason to doubt the pairs: those left out, what the blocks left in say, the control endpoint, the builds' order.

    rows: what the pairs come to (``compare_pairs``).
    """
    left_out = [reason for pair in duet.pairs if (reason := unusable(pair))]
    usable = [pair for pair in duet.pairs if not unusable(pair)]
    if left_out or not duet.pairs:
        yield _left_out(left_out, len(duet.pairs))
    yield from _caveats(usable)
    yield from _control(usable, math.log1p(duet.policy.margin))
    yield from order_doubts(duet, rows)


def _left_out(reasons: Sequence[str], count: int) -> TrustFinding:
    share = len(reasons) / count if count else 1.0
    broken = share > LEFT_OUT_BROKEN
    why = f" ({'; '.join(dict.fromkeys(reasons))})" if reasons else ""
    return TrustFinding(
        code="pairs-left-out",
        trust=Trust.BROKEN if broken else Trust.CAVEAT,
        phase="",
        figure=share,
        limit=LEFT_OUT_BROKEN,
        sentence=f"{len(reasons)} of {count} pairs of blocks could not be used{why}" if count else "no pair was measured",
        advice="Mend what disturbed the generator or the runner in these blocks, then run the duet again.",
    )


def _caveats(pairs: Sequence[Pair]) -> Iterator[TrustFinding]:
    """What the blocks that are left say themselves, each reason once: the worst of its kind."""
    worst: dict[tuple[str, str], TrustFinding] = {}
    for pair in pairs:
        for doubt in (*pair.base.doubts, *pair.head.doubts):
            known = worst.get((doubt.code, doubt.phase))
            if known is None or (doubt.figure or 0.0) > (known.figure or 0.0):
                worst[doubt.code, doubt.phase] = doubt
    yield from worst.values()


def _control(pairs: Sequence[Pair], margin: float) -> Iterator[TrustFinding]:
    """The control endpoint serves the same answers beside both builds, so whatever moves it is the runner."""
    asked = [pair for pair in pairs if any(pair.block(side).control is not None for side in Side)]
    if not asked:
        return
    d = [_difference(pair) for pair in pairs]
    known = np.array([each for each in d if each is not None])
    missing = len(pairs) - len(known)
    if missing:
        yield TrustFinding(
            code="control-missing",
            trust=Trust.BROKEN if missing > LEFT_OUT_BROKEN * len(pairs) else Trust.CAVEAT,
            phase="",
            figure=float(missing),
            limit=0.0,
            sentence=f"the control endpoint was not answered in {missing} of {len(pairs)} pairs",
            advice="See in the log why the control endpoint could not be reached.",
        )
    if not len(known):
        return
    moved = _middle(known)
    low, high = _interval(known)
    change = f"{units.format_magnitude(math.expm1(moved))} {'slower' if moved > 0.0 else 'faster'}"
    limit = units.format_change(math.expm1(margin)).removeprefix("+")
    advice = "Run on a quieter machine, or again: something beside the builds differed between their blocks."
    # An endpoint that swings wildly has its middle anywhere; only one that has moved for certain speaks of the runner.
    if abs(moved) > margin and not low <= 0.0 <= high:
        yield TrustFinding(
            code="control-moved",
            trust=Trust.BROKEN,
            phase="",
            figure=moved,
            limit=margin,
            sentence=f"the control endpoint, which no build can change, was {change} beside the head build; at most {limit} "
            "may be: the runner changed, not the service",
            advice=advice,
        )
        return
    spread = float(np.median(np.abs(known - np.median(known)))) * 1.4826
    if spread > UNSTEADY * margin:
        yield TrustFinding(
            code="control-unsteady",
            trust=Trust.CAVEAT,
            phase="",
            figure=spread,
            limit=UNSTEADY * margin,
            sentence=f"the control endpoint varied by {units.format_change(spread).removeprefix('+')} from pair to pair",
            advice=advice,
        )


def control_change(duet: Duet) -> float | None:
    """By how much the control endpoint was slower beside the head build, relative; None where it was never answered."""
    d = [each for pair in duet.pairs if not unusable(pair) and (each := _difference(pair)) is not None]
    return math.expm1(_middle(np.array(d))) if d else None


def _middle(d: Floats) -> float:
    return float(middle(walsh_averages(d[:, None]))[0])


def _interval(d: Floats) -> tuple[float, float]:
    """The interval of the middle at CONTROL_TAIL; with too few pairs for one, all that they span."""
    low, high = (float(end[0]) for end in bounds(walsh_averages(d[:, None]), len(d), CONTROL_TAIL))
    return (low, high) if math.isfinite(low) else (float(d.min()), float(d.max()))


def _difference(pair: Pair) -> float | None:
    """ln(head / base) of the control endpoint's figure."""
    base, head = (_control_figure(pair.block(side)) for side in (Side.BASE, Side.HEAD))
    return None if base is None or head is None else math.log(head / base)


def _control_figure(block: Block) -> float | None:
    estimate = block.control.measurements.get(CONTROL_METRIC) if block.control is not None else None
    return estimate.value if estimate is not None and estimate.value > 0.0 else None
