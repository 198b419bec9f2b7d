"""The decision replayed on real series: how often it would have failed a build that had not changed, and what it finds.

Every run of a series is judged by the accepted ones before it. What looks suspicious is judged again by two further runs: of
the same job, which share its noise, where the series has other arms (``FurtherRuns.SAME_JOB``: what ``gate`` does); or those of
the two jobs after it, as if they were further runs of the same build on other days (``FurtherRuns.LATER_JOBS``: what a second
job on another machine comes near to). A regression begins a new epoch, as it would if somebody had accepted it.

All jobs of a series are judged at once by the arrays of ``stored.rules``, again from each failed job on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from velro_gate.analysis.rows.noise import DEFAULT_PRIOR_SD, noise_over
from velro_gate.analysis.rows.shifts import scaled_shift, shifts_over
from velro_gate.analysis.stored.rules import Judged, judged_again, judged_alone
from velro_gate.arrays import Bools, Floats, Ints
from velro_gate.evaluation import naive_rules
from velro_gate.evaluation.bounds import figure_of
from velro_gate.evaluation.recorded.series import Commit, Labelled, RecordedSeries, SeriesFound
from velro_gate.evaluation.results import Aim, Figure
from velro_gate.model.metrics import METRICS, TAIL
from velro_gate.model.record import Estimate
from velro_gate.model.scenario import Policy
from velro_gate.units import tight_percent

POLICY = Policy()
MANY = 10_000
"""Observations taken to stand behind every figure of a series."""
AT_ONCE = 512
"""Jobs that are judged at one time: after a failed one the rest is judged again, by the new epoch."""
POWERS = (0.05, 0.10, 0.20)
"""Worsenings that are put into one figure of each run, to see how many are found."""
FEW = (1, 2, 3, 4)
"""Numbers of baselines with which a gate starts."""

FALSE_FAILS = {"spl_jdom": 0.0, "fastify": 0.02}
"""To reach, by data set; of all others DEFAULT_FALSE_FAILS."""
DEFAULT_FALSE_FAILS = 0.01
"""The share of unchanged runs that may fail, of every other data set."""
BLOCKED = 0.05
"""The share of unchanged runs that may end with exit code 3, where the data show what runs of one job have in common."""
FEW_FALSE_FAILS = 0.005
"""The same with few baselines: whoever has just begun must not meet a false alarm first."""
_BLOCKED_TARGETS = ("otel_java", "mountpoint_s3")

LABELLED_MARGIN = 0.005
"""The labelled changes are as small as 1 %, so the margin must not hide them."""
LABELLED_BASELINES = 3
"""Runs of the commit before."""
SETTLED = 6
"""Commits whose noise must be known before one is judged."""


class FurtherRuns(Enum):
    """Where the further runs of a suspicious phase come from."""

    SAME_JOB = "further runs of the same job"
    LATER_JOBS = "further runs of later jobs"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replayed:
    """Every run that had a baseline, one after another; each field one answer a run.

    failed, suspicious (and so blocked), undecided: how it ended.
    """

    failed: Bools
    blocked: Bools
    undecided: Bools
    """Whether a figure was left open, without a fail."""
    again: Bools
    """Whether it was measured again."""
    found: dict[float, Bools]
    """By worsening, whether it fails with that put into one of its figures."""
    over_previous: Bools
    """Whether the naive rule fails the run that compares it with the one before."""
    raw: Bools | None = None
    """Whether the naive rule fails it that compares response times (Mann and Whitney 1947); None without these."""


def replay_figures(found: SeriesFound, seed: int = 1) -> Iterator[Figure]:
    """The figures of every data set that is there. seed: of the figures that changes are put into."""
    sources = dict.fromkeys(series.source for series in found.series)
    for source in sources:
        mine = [series for series in found.series if series.source == source]
        for further in FurtherRuns:
            judged = [each for series in mine for each in replayed(series, further, seed=seed)]
            if judged:
                yield from _without_change(f"{source}, {further.value}", source, _joined(judged))
        if any(len(series.arms) > 1 for series in mine):
            yield from _few_baselines(source, mine)
    if found.labelled:
        yield from _labelled(found.labelled)


def replayed(
    series: RecordedSeries, further: FurtherRuns, *, kept: int | None = None, seed: int = 1, policy: Policy = POLICY
) -> Iterator[Replayed]:
    """The runs of each arm of a series; none where the jobs have no further runs of that kind, or no run a baseline.

    kept: as if only this number of accepted runs had ever been stored, and none of other epochs.
    """
    if further is FurtherRuns.SAME_JOB and len(series.arms) < 3:
        return
    rules = policy if kept is None else replace(policy, max_baselines=kept, history=kept)
    for number in range(len(series.arms)):
        arm = _Arm(series, number, rules)
        if kept is None:
            judged = arm.walk(further)
        else:
            jobs = np.arange(kept, series.jobs)
            judged = [arm.judged(jobs, np.zeros(len(jobs), np.int64), further)] if len(jobs) else []
        whole = _answers(series, arm, judged, further, seed)
        if whole is not None:
            yield whole


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Piece:
    """Jobs that were judged together, the first job of each one's epoch, what the screen and what the whole says of them."""

    jobs: Ints
    epochs: Ints
    screen: Judged
    whole: Judged

    def first(self, count: int) -> _Piece:
        """The same of the first ``count`` jobs alone."""
        screen, whole = (
            Judged(**{name: getattr(each, name)[:count] for name in Judged.__slots__}) for each in (self.screen, self.whole)
        )
        return _Piece(jobs=self.jobs[:count], epochs=self.epochs[:count], screen=screen, whole=whole)


class _Arm:
    """One arm of a series on the comparison scale, signed so that + is worse, its windows found by index."""

    def __init__(self, series: RecordedSeries, number: int, policy: Policy) -> None:
        kinds = [METRICS[name] for name in series.metrics]
        signs = np.array([kind.worse_sign for kind in kinds], np.float64)
        self._policy = policy
        self._prior = np.array([kind.prior_sd or DEFAULT_PRIOR_SD for kind in kinds])
        every = np.log(series.values) * signs
        self.y: Floats = every[:, number]
        others = [arm for arm in range(len(series.arms)) if arm != number]
        self._others = [_Windows(every[:, arm]) for arm in others]
        self._other_metrics = every[:, others]
        self._own = _Windows(self.y)

    def walk(self, further: FurtherRuns) -> list[_Piece]:
        """All jobs from the second on, piece by piece: with each failed job a new epoch begins."""
        pieces = []
        begin, epoch = 1, 0
        while begin < len(self.y):
            jobs = np.arange(begin, min(begin + AT_ONCE, len(self.y)))
            piece = self.judged(jobs, np.full(len(jobs), epoch), further)
            fails = np.flatnonzero(piece.whole.failed.any(axis=-1))
            if len(fails):
                piece = piece.first(int(fails[0]) + 1)
                epoch = int(piece.jobs[-1])
            pieces.append(piece)
            begin += len(piece.jobs)
        return pieces

    def judged(self, jobs: Ints, epochs: Ints, further: FurtherRuns, moved: Floats | None = None) -> _Piece:
        """These jobs by the values before them from their epoch on. moved: (jobs, figures), put into their runs."""
        policy = self._policy
        noise = noise_over(
            self._own.before(jobs, policy.max_baselines, epochs),
            self._own.before(jobs, policy.history),
            policy,
            prior_sd=self._prior,
        )
        current = self.y[jobs]
        again = self._own.after(jobs) if further is FurtherRuns.LATER_JOBS else self._of_the_job(jobs, noise.level)
        if moved is not None:
            current, again = current + moved, again + moved[..., None]
        first = judged_alone(shifts_over(current[..., None], noise, policy), policy)
        return _Piece(
            jobs=jobs,
            epochs=epochs,
            screen=first,
            whole=judged_again(first, current, again, noise, policy, second_job=further is FurtherRuns.LATER_JOBS),
        )

    def _of_the_job(self, jobs: Ints, level: Floats) -> Floats:
        """What the other arms of a job are off their own levels, put on this arm's level: (jobs, figures, 2)."""
        policy = self._policy
        moves = [
            self._other_metrics[jobs, number] - np.nanmedian(windows.before(jobs, policy.max_baselines), axis=-1)
            for number, windows in enumerate(self._others[:2])
        ]
        return np.stack(moves, axis=-1) + level[..., None]


class _Windows:
    """The values of one arm before and after each job, missing ones skipped: each figure's values are packed without them."""

    def __init__(self, y: Floats) -> None:
        jobs, figures = y.shape
        pad = jobs
        there = ~np.isnan(y)
        self._count: Ints = np.vstack([np.zeros((1, figures), np.int64), np.cumsum(there, axis=0)])
        self._packed = np.full((figures, 2 * pad + jobs), np.nan)
        self._jobs = np.full((figures, 2 * pad + jobs), -1)
        for j in range(figures):
            kept = np.flatnonzero(there[:, j])
            self._packed[j, pad : pad + len(kept)] = y[kept, j]
            self._jobs[j, pad : pad + len(kept)] = kept
        self._pad = pad

    def before(self, jobs: Ints, runs: int, epochs: Ints | None = None) -> Floats:
        """(jobs, figures, runs): the last ``runs`` values before each job, NaN before the first one of its epoch."""
        runs = min(runs, self._pad)
        places = self._pad + self._count[jobs][..., None] + np.arange(-runs, 0)
        row = np.arange(places.shape[1])[:, None]
        found: Floats = self._packed[row, places]
        return found if epochs is None else np.where(self._jobs[row, places] >= epochs[:, None, None], found, np.nan)

    def after(self, jobs: Ints) -> Floats:
        """(jobs, figures, 2): the next two values after each job."""
        places = self._pad + self._count[jobs + 1][..., None] + np.arange(2)
        found: Floats = self._packed[np.arange(places.shape[1])[:, None], places]
        return found


def _answers(series: RecordedSeries, arm: _Arm, pieces: Sequence[_Piece], further: FurtherRuns, seed: int) -> Replayed | None:
    """One answer a run; None where no run was compared."""
    if not pieces:
        return None
    jobs = np.concatenate([piece.jobs for piece in pieces])
    epochs = np.concatenate([piece.epochs for piece in pieces])

    def any_of(which: str, *fields: str) -> Bools:
        """For each job, whether any of its figures is so in one of these fields."""
        rows = [getattr(getattr(piece, which), field).any(axis=-1) for field in fields for piece in pieces]
        return np.asarray(np.concatenate(rows).reshape(len(fields), -1).any(axis=0))

    compared = any_of("screen", *Judged.__slots__)
    if not compared.any():
        return None
    failed = any_of("whole", "failed")
    chosen = _chosen(arm.y[jobs], seed)
    found = {}
    for worse in POWERS:
        fails = arm.judged(jobs, epochs, further, np.where(chosen, math.log1p(worse), 0.0)).whole.failed
        found[worse] = np.asarray(fails.any(axis=-1))[compared]
    raw = None
    if series.raw:
        raw = np.array(
            [naive_rules.mann_whitney_worse(series.raw[i - 1][None], series.raw[i][None])[0] < naive_rules.P for i in jobs]
        )
    return Replayed(
        failed=failed[compared],
        blocked=(any_of("whole", "suspicious") & ~failed)[compared],
        undecided=(any_of("whole", "suspicious", "merely_open") & ~failed)[compared],
        again=any_of("screen", "failed", "suspicious")[compared],
        found=found,
        over_previous=naive_rules.over_previous(arm.y[jobs - 1], arm.y[jobs])[compared],
        raw=None if raw is None else raw[compared],
    )


def _chosen(y: Floats, seed: int) -> Bools:
    """One figure of each job, drawn among those that it has."""
    drawn = np.where(np.isnan(y), -1.0, np.random.default_rng(seed).random(y.shape))
    found: Bools = drawn == drawn.max(axis=-1, keepdims=True)
    return found


def _joined(parts: Sequence[Replayed]) -> Replayed:
    raw = [part.raw for part in parts if part.raw is not None]

    def all_of(field: str) -> Bools:
        """One field of all parts, one after another."""
        return np.concatenate([getattr(part, field) for part in parts])

    return Replayed(
        failed=all_of("failed"),
        blocked=all_of("blocked"),
        undecided=all_of("undecided"),
        again=all_of("again"),
        found={worse: np.concatenate([part.found[worse] for part in parts]) for worse in POWERS},
        over_previous=all_of("over_previous"),
        raw=np.concatenate(raw) if raw else None,
    )


def _without_change(name: str, source: str, judged: Replayed) -> Iterator[Figure]:
    count = len(judged.failed)
    rules = {naive_rules.PREVIOUS: float(judged.over_previous.mean())}
    if judged.raw is not None:
        rules[naive_rules.RAW] = float(judged.raw.mean())

    def of(what: str, hits: Bools, aim: Aim, target: float | None = None, naive: dict[str, float] | None = None) -> Figure:
        """One figure of this series."""
        return figure_of(name, what, int(hits.sum()), count, aim, target, naive)

    blocked = BLOCKED if source in _BLOCKED_TARGETS else None
    yield of("false fails", judged.failed, Aim.AT_MOST, FALSE_FAILS.get(source, DEFAULT_FALSE_FAILS), rules)
    yield of("blocked (exit code 3)", judged.blocked, Aim.AT_MOST, blocked)
    yield of("inconclusive", judged.undecided, Aim.AT_MOST)
    yield of("measured again", judged.again, Aim.AT_MOST)
    for worse, found in judged.found.items():
        yield of(f"found {tight_percent(worse, signed=True)} of one figure", found, Aim.AT_LEAST)


def _few_baselines(source: str, series: Sequence[RecordedSeries]) -> Iterator[Figure]:
    """Runs with so few baselines, and nothing else from which the noise is known."""
    for kept in FEW:
        judged = [each for one in series for each in replayed(one, FurtherRuns.SAME_JOB, kept=kept)]
        if judged:
            whole, name = _joined(judged), f"{source}, {kept} baseline{'s' * (kept > 1)}"
            count = len(whole.failed)
            yield figure_of(name, "false fails", int(whole.failed.sum()), count, Aim.AT_MOST, FEW_FALSE_FAILS)
            yield figure_of(name, "blocked (exit code 3)", int(whole.blocked.sum()), count, Aim.AT_MOST)


# Labelled changes


def _labelled(series: Sequence[Labelled]) -> Iterator[Figure]:
    """Jumps of a commit against the one before, in the direction of their label; and what was flagged without a label."""
    found = [(commit.label, *flags) for each in series for commit, flags in flagged(each)]
    definite = [each for each in found if each[0].startswith("definite")]
    plain = [each for each in found if not each[0]]
    name = "labelled changes (influx_vm_duet)"
    if definite:
        screened = sum(label.endswith(direction) for label, direction, _ in definite if direction)
        sure = sum(label.endswith(direction) and certain for label, direction, certain in definite if direction)
        yield figure_of(name, "definite jumps seen, right direction", screened, len(definite), Aim.AT_LEAST, 1.0)
        yield figure_of(name, "of these beyond doubt", sure, len(definite), Aim.AT_LEAST)
    if plain:
        seen = sum(bool(direction) for _, direction, _ in plain)
        yield figure_of(name, "seen without a label", seen, len(plain), Aim.AT_MOST)
        yield figure_of(name, "of these beyond doubt", sum(certain for _, _, certain in plain), len(plain), Aim.AT_MOST)


def flagged(series: Labelled) -> Iterator[tuple[Commit, tuple[str, bool]]]:
    """Each commit with 'up', 'down' or '' at the level of the screen, and whether that is beyond doubt.

    The three kinds of query are a family, and both directions share its error rate. The runs of a commit were made on machines
    of their own, so they share no noise.
    """
    policy = Policy(margin=LABELLED_MARGIN, max_baselines=LABELLED_BASELINES, history=90)
    kinds = 3
    for i, commit in enumerate(series.commits):
        if i < SETTLED:
            continue
        own, before = ([Estimate.exact(r, n=MANY) for r in each.ratios] for each in (commit, series.commits[i - 1]))
        history = [Estimate.exact(r, n=MANY) for each in series.commits[:i] for r in each.ratios]
        shift = scaled_shift(own, before, METRICS[TAIL], policy, history=history, shared=0.0)
        if shift is None:
            continue
        p = min(shift.p, shift.p_better)
        large = abs(shift.worse) >= shift.least
        # Bonferroni over three kinds of query and two directions.
        seen = large and p <= policy.screen_alpha / (2 * kinds)
        certain = large and p <= policy.confirm_alpha / kinds
        yield commit, (("up" if shift.worse > 0.0 else "down") if seen else "", certain)
