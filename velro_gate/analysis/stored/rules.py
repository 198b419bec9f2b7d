"""The rules of the comparison with stored baselines, for any number of jobs at once (decision.md, 4).

``comparison`` and ``confirmation`` judge one run by them, simulations and replays tens of thousands. One job is::

    noise = noise_over(values, history, policy, prior_sd=prior)  # values: (jobs, rows, runs), NaN where there is none
    first = shifts_over(current[..., None], noise, policy, sign=sign)  # current: (jobs, rows)
    screen = judged_alone(first, policy)
    again = judged_again(screen, current, further, noise, policy, sign=sign)  # further: (jobs, rows, 2)

All of it is on each metric's comparison scale. A row that was not compared is NaN in ``worse`` and p, counts in no family, and
is true in no field of the result. The last axis holds the rows of one run, all of them primary; every axis before is free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from velro_gate.analysis.rows.family import confirm_level, holm_over
from velro_gate.analysis.rows.noise import SHARED, SHARED_BY_TWO_JOBS, Noises
from velro_gate.analysis.rows.shifts import Shifts, shifts_over
from velro_gate.arrays import Bools, Floats
from velro_gate.model.scenario import Policy

# A ratio of exactly 1 + margin must count as the margin in spite of binary fractions.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """The outcome of each row of each run; at most one field is true of a row, none of one that was not compared."""

    failed: Bools
    """A regression."""
    suspicious: Bools
    """Looks worse, neither confirmed nor refuted; blocks."""
    warned: Bools
    """Looks worse, and the baselines are too few for more than a warning."""
    improved: Bools
    """Rows that are shown to be better."""
    unchanged: Bools
    """Rows that are shown not to have changed."""
    merely_open: Bools
    """None of these; blocks nothing."""


def judged_alone(found: Shifts, policy: Policy) -> Judged:
    """The screen: Holm at ``screen_alpha`` over the rows of a run, and the margin. Only what is overwhelming fails at once.

    A row whose noise nobody knows (fewer than five baselines, ``Shifts.few``) fails never and warns at most.
    """
    large = found.worse >= found.least - ROUNDING
    looks_worse = (holm_over(found.p) <= policy.screen_alpha) & large
    level = levels(found.p, policy)
    failed = looks_worse & (found.p <= level) & ~found.few
    warned = looks_worse & found.few
    improved = (
        (holm_over(found.p_better) <= policy.screen_alpha)
        & (found.p_better <= level)
        & (found.worse <= ROUNDING - found.least)
        & ~found.few
    )
    return _judged(found, failed=failed, suspicious=looks_worse & ~failed & ~warned, warned=warned, improved=improved)


def _judged(found: Shifts, *, failed: Bools, suspicious: Bools, warned: Bools, improved: Bools) -> Judged:
    settled = failed | suspicious | warned | improved
    unchanged = ~settled & (found.upper < found.bound)
    compared = ~np.isnan(found.p)
    return Judged(
        failed=failed,
        suspicious=suspicious,
        warned=warned,
        improved=improved,
        unchanged=unchanged,
        merely_open=compared & ~settled & ~unchanged,
    )


def levels(p: Floats, policy: Policy, *, second_job: bool = False) -> Floats:
    """``confirm_level`` of each run, by the number of its rows that were compared: shape (..., 1)."""
    counts = (~np.isnan(p)).sum(axis=-1, keepdims=True)
    found: Floats = np.array([confirm_level(policy, m, second_job=second_job) for m in range(p.shape[-1] + 1)])[counts]
    return found


def judged_again(
    first: Judged,
    current: Floats,
    further: Floats,
    noise: Noises,
    policy: Policy,
    *,
    sign: int | npt.NDArray[np.int_] = 1,
    shared: float = SHARED,
    second_job: bool = False,
) -> Judged:
    """What becomes of a run when its suspicious rows were measured twice more; the other rows stay as the screen left them.

    A row that was suspicious, or failed alone, now *fails* if the mean of the three runs has p <= ``confirm_level``, the median
    run reaches the margin and the least of them half of it. Else it is *suspicious* still if the further runs, which nothing
    has selected, are so by the same screen; *unchanged* if they show that by themselves; and merely open otherwise.

    Args:
        first: the screen's (``judged_alone``). current: (..., rows), the run. further: (..., rows, 2); NaN: not measured again,
            which leaves the row suspicious.
        sign, shared: as in ``shifts_over``; shared by runs of one job. second_job: as in ``confirm_level``.
    """
    runs = np.concatenate([current[..., None], further], axis=-1)
    of_all = shared * SHARED_BY_TWO_JOBS / SHARED if second_job else shared
    whole = shifts_over(runs, noise, policy, sign=sign, shared=of_all)
    alone, screen = (shifts_over(each, noise, policy, sign=sign, shared=shared) for each in (further, current[..., None]))
    # All three runs, the first included: that one alone was selected for being bad, and the median and the least undo the
    # selection.
    moves = np.asarray(sign)[..., None] * (runs - noise.level[..., None])
    confirmed = confirms_over(whole.p, moves, whole.least, levels(screen.p, policy, second_job=second_job))
    looked = first.failed | first.suspicious
    # The further runs alone: nothing has selected them, so their p needs no correction for the first screen.
    measured = np.where(looked, alone.p, np.nan)
    repeated = repeats_screen(screen.p, measured, alone.worse, alone.least, policy)
    failed = looked & confirmed & ~whole.few
    suspicious = looked & ~failed & (repeated | np.isnan(measured))
    unchanged = looked & ~failed & ~suspicious & (alone.upper < alone.bound)
    return Judged(
        failed=failed,
        suspicious=suspicious,
        warned=first.warned,
        improved=first.improved,
        unchanged=first.unchanged | unchanged,
        merely_open=first.merely_open | (looked & ~failed & ~suspicious & ~unchanged),
    )


def repeats_screen(p: Floats, alone: Floats, worse: Floats, least: Floats, policy: Policy) -> Bools:
    """Whether the further runs by themselves are suspicious by the screen.

    All of shape (..., rows). p: of the first run; alone, worse, least: p, move and margin of the mean of the further runs. Rows
    whose ``alone`` is NaN were not measured again: they keep their p in the family and are never true.
    """
    there = ~np.isnan(alone)
    again = holm_over(np.where(there, alone, p)) <= policy.screen_alpha
    found: Bools = there & again & (worse >= least - ROUNDING)
    return found


def confirms_over(p: Floats, moves: Floats, least: Floats, level: float | Floats) -> Bools:
    """Whether p <= level, the median run reaches the margin and the least of them half of it; NaN confirms nothing.

    p, least: (...); moves: (..., runs), of each run against the level, signed so that + is worse.
    """
    middle = np.median(moves, axis=-1) >= least - ROUNDING
    found: Bools = (p <= level) & middle & (moves.min(axis=-1) >= least / 2.0 - ROUNDING)
    return found
