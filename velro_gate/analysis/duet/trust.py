"""Whether the pairs of a duet can be trusted: those left out, builds that stopped, and whether the runner kept still."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from velro_gate.analysis.duet.block_figures import unusable
from velro_gate.analysis.duet.comparison import LEFT_OUT_BROKEN
from velro_gate.analysis.duet.order import order_doubts
from velro_gate.analysis.statistics.sign_flip import bounds, middle, walsh_averages
from velro_gate.arrays import Floats
from velro_gate.model.duet import Block, Duet, Pair, Side
from velro_gate.model.facts.doubts import (
    ControlMissing,
    ControlMoved,
    ControlUnsteady,
    PairsLeftOut,
    PhaseDoubt,
    TrustFacts,
    Worded,
)
from velro_gate.model.facts.reasons import BuildStopped
from velro_gate.model.metrics import MEDIAN
from velro_gate.model.verdict import Comparison, Finding, Level, Trust, TrustFinding

CONTROL_TAIL = 0.002
"""On either side of the interval that must exclude zero before the control endpoint counts as moved: a duet in which nothing
moved is broken by it in 4 of 1,000 cases at most. The smallest tail that ten pairs allow is .001.
"""

UNSTEADY = 4.0
"""The control endpoint may vary by this many margins from pair to pair before that is a caveat. What varies alike for both
builds only makes the noise larger, and the smallest detectable change shows that.
"""


def doubt_findings(doubts: Iterable[TrustFinding]) -> Iterator[Finding]:
    """Reasons to doubt as findings."""
    for doubt in doubts:
        yield Finding(level=doubt.level, subject=doubt.phase or "duet", facts=doubt.facts)


def stopped_builds(duet: Duet) -> Iterator[Finding]:
    """A head build that stops under the load fails by that alone; a base build that does is nothing to compare with."""
    for level, facts in builds_stopped(duet):
        yield Finding(level=level, subject="duet", facts=facts)


def builds_stopped(duet: Duet) -> Iterator[tuple[Level, BuildStopped]]:
    """The builds that stopped responding in some block, and what that means for the run."""
    for side, level in ((Side.BASE, Level.BROKEN), (Side.HEAD, Level.FAIL)):
        how = [gone for pair in duet.pairs if (gone := pair.block(side).gone) is not None]
        if how:
            yield level, BuildStopped(side=side.value, blocks=len(how), of=len(duet.pairs), how=how[0])


def duet_doubts(duet: Duet, rows: Sequence[Comparison]) -> Iterator[TrustFinding]:
    """Every reason to doubt the pairs: those left out, what the blocks left in say, the control endpoint, the builds' order.

    rows: the result of the pairs (``compare_pairs``).
    """
    left_out = [reason for pair in duet.pairs if (reason := unusable(pair)) is not None]
    usable = [pair for pair in duet.pairs if not unusable(pair)]
    if left_out or not duet.pairs:
        yield _left_out(left_out, len(duet.pairs))
    yield from _caveats(usable)
    yield from _control(usable, math.log1p(duet.policy.margin))
    yield from order_doubts(duet, rows)


def _left_out(reasons: Sequence[TrustFacts], count: int) -> TrustFinding:
    share = len(reasons) / count if count else 1.0
    known = tuple(dict.fromkeys(reason for reason in reasons if isinstance(reason, PhaseDoubt | Worded)))
    return TrustFinding(
        trust=Trust.BROKEN if share > LEFT_OUT_BROKEN else Trust.CAVEAT,
        phase="",
        figure=share,
        limit=LEFT_OUT_BROKEN,
        facts=PairsLeftOut(left_out=len(reasons), pairs=count, reasons=known),
    )


def _caveats(pairs: Sequence[Pair]) -> Iterator[TrustFinding]:
    """The doubts of the blocks that are used, each once: the worst of its kind."""
    worst: dict[tuple[str, str], TrustFinding] = {}
    for pair in pairs:
        for doubt in (*pair.base.doubts, *pair.head.doubts):
            known = worst.get((doubt.code, doubt.phase))
            if known is None or (doubt.figure or 0.0) > (known.figure or 0.0):
                worst[doubt.code, doubt.phase] = doubt
    yield from worst.values()


def _control(pairs: Sequence[Pair], margin: float) -> Iterator[TrustFinding]:
    """The control endpoint serves the same responses whichever build is measured, so whatever moves it is the runner."""
    asked = [pair for pair in pairs if any(pair.block(side).control is not None for side in Side)]
    if not asked:
        return
    d = [_difference(pair) for pair in pairs]
    known = np.array([each for each in d if each is not None])
    missing = len(pairs) - len(known)
    if missing:
        yield TrustFinding(
            trust=Trust.BROKEN if missing > LEFT_OUT_BROKEN * len(pairs) else Trust.CAVEAT,
            phase="",
            figure=float(missing),
            limit=0.0,
            facts=ControlMissing(missing=missing, pairs=len(pairs)),
        )
    if not len(known):
        return
    moved = _middle(known)
    low, high = _interval(known)
    # An endpoint that swings wildly has its middle anywhere; only one that has moved for certain speaks of the runner.
    if abs(moved) > margin and not low <= 0.0 <= high:
        facts = ControlMoved(change=math.expm1(moved), most=math.expm1(margin))
        yield TrustFinding(trust=Trust.BROKEN, phase="", figure=moved, limit=margin, facts=facts)
        return
    spread = float(np.median(np.abs(known - np.median(known)))) * 1.4826
    if spread > UNSTEADY * margin:
        unsteady = ControlUnsteady(spread=spread)
        yield TrustFinding(trust=Trust.CAVEAT, phase="", figure=spread, limit=UNSTEADY * margin, facts=unsteady)


def control_change(duet: Duet) -> float | None:
    """By how much the control endpoint was slower in the head build's blocks, relative; None where it was never answered."""
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
    estimate = block.control.measurements.get(MEDIAN) if block.control is not None else None
    return estimate.value if estimate is not None and estimate.value > 0.0 else None
