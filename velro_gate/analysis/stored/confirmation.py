"""A suspicion becomes a regression only when further runs show it again (decision.md, 4).

One run may be an outlier: a neighbour, a cache that started cold, another machine state. So the screen alone fails nothing
here. The phases with a suspicious figure, and no others, are run twice more, and the figure is judged by the mean of all three
runs. The whole error rate is spent at this second look; the first one only chooses what is looked at again. The further runs,
which nothing has selected, speak for themselves, too: a suspicion that they do not repeat is refuted, and the figure unchanged
if they show that, else open; one that they repeat without being overwhelming stays a suspicion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from velro_gate.analysis.rows.family import confirm_level
from velro_gate.analysis.rows.noise import SHARED, SHARED_BY_TWO_JOBS
from velro_gate.analysis.rows.shifts import FURTHER_RUNS, Shift
from velro_gate.analysis.stored.comparison import shift_of
from velro_gate.analysis.stored.elsewhere import NoiseSources
from velro_gate.analysis.stored.rules import ROUNDING, confirms_over, repeats_screen
from velro_gate.model.facts.doubts import Worded
from velro_gate.model.facts.reasons import Again, NoFigureAgain, NotMeasuredAgain, Reason, RunsAgain
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import PhaseSummary, RunRecord
from velro_gate.model.scenario import Phase, Policy
from velro_gate.model.verdict import Change, Comparison, Confirmation, Level

SETTLING_SECONDS = 5.0
"""Seconds of a phase in addition to ramp and measured stretch: connecting, the last responses, the pause before the next."""

_SUSPECTED = (Change.REGRESSION, Change.SUSPICIOUS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """What is to be run again: these phases, in the plan's order, each ``runs`` times; about ``seconds`` in all."""

    phases: tuple[str, ...]
    runs: int
    seconds: float
    left_out: tuple[str, ...] = ()
    """Suspicious phases for which there is no time."""


def needed_repeats(
    rows: Sequence[Comparison], planned: Sequence[Phase], *, runs: int = FURTHER_RUNS, limit: float | None = None
) -> Repeats:
    """The phases with a suspicious primary figure, the least probable ones first where ``limit`` (seconds) allows not all."""
    least: dict[str, float] = {}
    for row in rows:
        if suspected(row) and row.p is not None:
            least[row.phase] = min(row.p, least.get(row.phase, 1.0))
    cost = {phase.name: seconds_again(phase, runs) for phase in planned if phase.name in least}
    spent, taken = 0.0, set()
    # Greedy, and not only up to the first that is too long: a shorter phase may fit into what is left.
    for name in sorted(cost, key=lambda name: least[name]):
        if limit is None or spent + cost[name] <= limit:
            spent += cost[name]
            taken.add(name)
    return Repeats(
        phases=tuple(name for name in cost if name in taken),
        runs=runs,
        seconds=spent,
        left_out=tuple(name for name in cost if name not in taken),
    )


def seconds_again(phase: Phase, runs: int = FURTHER_RUNS) -> float:
    """About how long it takes to run one phase ``runs`` times."""
    return runs * (phase.ramp + phase.duration + SETTLING_SECONDS)


def suspected(row: Comparison) -> bool:
    """Whether a figure may fail the run and looks worse; not when its worsening is waived, since then nothing hangs on it."""
    return row.primary and row.verdict in _SUSPECTED and row.level >= Level.INCONCLUSIVE


def confirm(
    rows: Sequence[Comparison],
    candidate: RunRecord,
    repeats: Mapping[str, Sequence[PhaseSummary]],
    baselines: Sequence[RunRecord],
    policy: Policy,
    *,
    missing: Mapping[str, Reason | str] | None = None,
    other_profiles: Sequence[RunRecord] = (),
    second_job: bool = False,
) -> tuple[Comparison, ...]:
    """The comparisons of a run after its suspicious phases were run again (``rules.judged_again``).

    Args:
        rows: what the screen found (``compare``).
        repeats: the further runs of each phase, whole and trusted ones only.
        baselines, other_profiles: those that ``rows`` were compared with, newest last.
        missing: phase -> why it was not run again, or not twice, where that is known.
        second_job: whether another job made the further runs.
    """
    why = missing or {}
    sources = NoiseSources(selftest=candidate.selftest, others=other_profiles)
    shared = SHARED_BY_TWO_JOBS if second_job else SHARED
    family = [row for row in rows if row.primary and row.p is not None]
    moves = {
        i: found
        for i, row in enumerate(family)
        if suspected(row) and (found := _moves(row, candidate, repeats.get(row.phase, ()), baselines, policy, sources, shared))
    }
    again = _repeated(family, moves, policy)
    level = confirm_level(policy, len(family), second_job=second_job)
    confirmed = {id(family[i]): _confirmed(family[i], found, level, again[i]) for i, found in moves.items()}
    return tuple(
        confirmed.get(id(row)) or (_left(row, repeats.get(row.phase, ()), why.get(row.phase)) if suspected(row) else row)
        for row in rows
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moves:
    """The move of the mean of all runs, of the mean of the further ones, and of each run."""

    whole: Shift
    alone: Shift
    singles: tuple[float, ...]


def _moves(
    row: Comparison,
    candidate: RunRecord,
    again: Sequence[PhaseSummary],
    baselines: Sequence[RunRecord],
    policy: Policy,
    sources: NoiseSources,
    shared: float,
) -> _Moves | None:
    """None where there are too few further runs, or one of them has no such figure. shared: of all runs together."""
    first, further = candidate.phase(row.phase), list(again[:FURTHER_RUNS])
    assert first is not None, "a suspicious row has a figure"

    def shift(*runs: PhaseSummary, shared: float = SHARED) -> Shift | None:
        """The move of the row's figure in these runs, against the same baselines."""
        return shift_of(row.step, METRICS[row.metric], runs, baselines, policy, sources, shared)

    if len(further) < FURTHER_RUNS:
        return None
    whole, alone = shift(first, *further, shared=shared), shift(*further)
    singles = tuple(move.worse for each in (first, *further) if (move := shift(each)) is not None)
    return None if whole is None or alone is None else _Moves(whole=whole, alone=alone, singles=singles)


def _repeated(family: Sequence[Comparison], moves: Mapping[int, _Moves], policy: Policy) -> npt.NDArray[np.bool_]:
    """Which rows of the family the further runs alone make suspicious, by the screen."""
    p, alone, worse = (np.full(len(family), np.nan) for _ in range(3))
    least = np.zeros(len(family))
    for i, row in enumerate(family):
        p[i] = row.p
        if (found := moves.get(i)) is not None:
            alone[i], worse[i], least[i] = found.alone.p, found.alone.worse, found.alone.least
    return repeats_screen(p, alone, worse, least, policy)


def reason_given(reason: Reason | str) -> Reason:
    """A reason from outside, which may come in words."""
    return Worded(code="not-measured-again", sentence=reason) if isinstance(reason, str) else reason


def _left(row: Comparison, again: Sequence[PhaseSummary], missing: Reason | str | None) -> Comparison:
    said = reason_given(missing) if missing else (NoFigureAgain() if again else NotMeasuredAgain())
    return replace(row, verdict=Change.SUSPICIOUS, level=Level.INCONCLUSIVE, reasons=(said,))


def _confirmed(row: Comparison, moves: _Moves, level: float, repeated: bool) -> Comparison:
    whole, alone, singles = moves.whole, moves.alone, moves.singles
    found = Confirmation(
        runs=len(singles),
        worse=sum(move >= whole.least - ROUNDING for move in singles),
        confirmed=not whole.few and confirms(whole.p, singles, whole.least, level),
    )
    combined = replace(_with_figures(row, whole), runs=len(singles), confirmation=found)
    if found.confirmed:
        again, change, its_level = Again.CONFIRMED, Change.REGRESSION, Level.FAIL
    elif repeated:
        again, change, its_level = Again.REPEATED, Change.SUSPICIOUS, Level.INCONCLUSIVE
    # The further runs decide by themselves, so the row shows their figures: the first was selected for being bad.
    elif alone.upper < alone.bound:
        combined = replace(_with_figures(combined, alone), runs=FURTHER_RUNS)
        again, change, its_level = Again.UNCHANGED, Change.UNCHANGED, Level.PASS
    else:
        again, change, its_level = Again.NOT_REPEATED, Change.INCONCLUSIVE, Level.INCONCLUSIVE
    reason = RunsAgain(worse=found.worse, runs=found.runs, margin=row.margin, found=again)
    return replace(combined, verdict=change, level=its_level, reasons=(reason,))


def confirms(p: float, moves: Sequence[float], least: float, level: float) -> bool:
    """Whether p <= level, the median run reaches the margin and the least of them half of it.

    moves: of each run against the level, signed so that + is worse; least: the margin, on the same scale.
    """
    return bool(confirms_over(np.array(p), np.asarray(moves, float), np.array(least), level))


def _with_figures(row: Comparison, shift: Shift) -> Comparison:
    """The row with the figures of other runs; what the screen could have seen stays as it was."""
    return replace(
        row,
        current=shift.current,
        change=shift.change,
        change_low=shift.change_low,
        change_high=shift.change_high,
        worse=shift.worse,
        p=shift.p,
    )
