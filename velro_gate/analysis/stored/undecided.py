"""Which phases of a screened run are measured again side by side with the base build (decision.md, 3).

The screen lets through what it has shown to be unchanged or better. Everything else that may fail the run goes to the duet:
what looks worse, what is open, and what there is no baseline for.
"""

from __future__ import annotations

from collections.abc import Sequence

from velro_gate.model.scenario import Phase
from velro_gate.model.verdict import Change, Comparison, Level


def undecided_phases(rows: Sequence[Comparison], planned: Sequence[Phase]) -> tuple[str, ...]:
    """The phases with a primary figure that the screen did not decide, in the plan's order."""
    found = {row.phase for row in rows if is_undecided(row)}
    return tuple(phase.name for phase in planned if phase.name in found)


def is_undecided(row: Comparison) -> bool:
    """Whether a figure that may fail the run looks worse, is open, or had no baseline; not where its worsening is waived."""
    if not row.primary or row.waived:
        return False
    match row.verdict:
        case Change.REGRESSION | Change.SUSPICIOUS:
            return True
        case Change.INCONCLUSIVE | Change.NOT_COMPARED:
            return row.level in (Level.NO_BASELINE, Level.INCONCLUSIVE)
        case _:
            return False
