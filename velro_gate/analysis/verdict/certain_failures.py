"""Whether a run fails whatever the generator's own delays did to its figures.

A delay breaks a run because without it the run might have passed. Where something else fails that no delay explains, it fails
either way, and the delay is only a caveat on the figures that it may have changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from velro_gate.analysis.verdict.generator_delay import Decided
from velro_gate.analysis.verdict.trust.checks import trust_findings
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import Phase
from velro_gate.model.verdict import Change, Level, Trust, TrustFinding

DELAYS = frozenset({"lateness", "loop-lag", "gc-pause", "stalled", "generator-noise"})
"""The codes of doubts that are about a delay of the generator."""


def doubts_that_count(planned: Sequence[Phase], record: RunRecord, decided: Decided) -> tuple[TrustFinding, ...]:
    """The doubts in a run, of which those about delays are caveats where the run fails without them, too."""
    found = tuple(trust_findings(planned, record, decided=decided))
    if not any(_breaks_by_delay(doubt) for doubt in found) or not _fails_without_delays(planned, record, decided):
        return found
    return tuple(replace(doubt, trust=Trust.CAVEAT) if _breaks_by_delay(doubt) else doubt for doubt in found)


def _breaks_by_delay(doubt: TrustFinding) -> bool:
    return doubt.trust is Trust.BROKEN and doubt.code in DELAYS


def _fails_without_delays(planned: Sequence[Phase], record: RunRecord, decided: Decided) -> bool:
    """Whether the service ended the run, or one failure by itself leaves no delay to doubt it by."""
    if record.ended_by_service:
        return True
    each = (trust_findings(planned, record, decided=alone) for alone in _one_by_one(decided))
    return any(not any(map(_breaks_by_delay, doubts)) for doubts in each)


def _one_by_one(decided: Decided) -> Iterator[Decided]:
    """Each measured failure as if it were the only one."""
    for result in decided.requirements:
        if result.level is Level.FAIL and result.estimate is not None:
            yield Decided(requirements=(result,))
    for row in decided.comparisons:
        if row.level is Level.FAIL and row.verdict is Change.REGRESSION:
            yield Decided(comparisons=(row,))
