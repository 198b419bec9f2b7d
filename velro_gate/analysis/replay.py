"""The decision replayed on real series: how often it would have failed a build that had not changed, and what it finds.

Every run of a series is judged by the accepted ones before it, and what looks suspicious by the two runs after it, as if they
were further runs of the same build. A confirmed regression starts a new epoch, as it would if somebody had accepted it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from velro_gate.analysis import naive
from velro_gate.analysis.comparison import conclude
from velro_gate.analysis.confirmation import FURTHER_RUNS, confirms
from velro_gate.analysis.evaluating import figure_of
from velro_gate.analysis.family import Row, confirm_level
from velro_gate.analysis.series import Commit, Group, Labelled, Line, SeriesFound
from velro_gate.analysis.shifts import Shift, scaled_shift
from velro_gate.model.evaluation import Aim, Figure
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import Estimate
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change

POLICY = Policy()
MANY = 10_000
"""Observations taken to stand behind every figure of a series."""

LABELLED_MARGIN = 0.005
"""The labelled changes are as small as 1 %, so the margin must not hide them."""
LABELLED_BASELINES = 3
"""Runs of the commit before."""
SETTLED = 6
"""Commits whose noise must be known before one is judged."""

_SUSPECTED = (Change.REGRESSION, Change.SUSPICIOUS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One run of a series: what became of it, and what the naive rules say. raw: None without raw response times."""

    failed: bool
    suspicious: bool
    over_previous: bool
    raw: bool | None


def replay_figures(found: SeriesFound) -> Iterator[Figure]:
    """The figures of every data set that is there."""
    for name, groups, target in (
        ("dedicated hosts (spl_jdom)", found.dedicated, 0.0),
        ("hosted runners (hyper_bench, gha_bench)", found.hosted, 0.01),
        ("servers on hosted runners (fastify)", found.servers, 0.02),
    ):
        judged = [each for group in groups for each in replayed(group)]
        if judged:
            yield from _without_change(name, judged, target)
    if found.labelled:
        yield from _labelled(found.labelled)


def replayed(group: Group) -> Iterator[Judged]:
    """Every run of a group but the first, in turn."""
    epoch = 0
    for i in range(1, group.runs):
        before = [(line, _before(line, epoch, i), _before(line, 0, i)) for line in group.lines if line.values[i] is not None]
        shifts = {
            row(group, line): shift
            for line, known, past in before
            if known and (shift := _shift([line.values[i]], known, past, line)) is not None
        }
        if not shifts:
            continue
        rows = conclude(shifts, POLICY)
        suspicious = [each for each, found in rows.items() if found.verdict in _SUSPECTED]
        level = confirm_level(POLICY, len(shifts))
        failed = any(
            _is_confirmed(line, i, known, past, level) for line, known, past in before if row(group, line) in suspicious
        )
        yield Judged(
            failed=failed,
            suspicious=bool(suspicious),
            over_previous=any(_over_previous(line, i) for line in group.lines),
            raw=_raw(group, i),
        )
        epoch = i if failed else epoch


def row(group: Group, line: Line) -> Row:
    """The comparison that a line of a group is."""
    return Row(phase=group.name, step=line.name, metric=METRICS[line.metric], primary=True)


def _before(line: Line, epoch: int, i: int) -> list[float]:
    return [value for value in line.values[epoch:i] if value is not None]


def _shift(current: Sequence[float | None], known: list[float], past: list[float], line: Line) -> Shift | None:
    own, before, history = (
        [Estimate.exact(value, n=MANY) for value in part if value is not None] for part in (current, known, past)
    )
    return scaled_shift(own, before, METRICS[line.metric], POLICY, history=history)


def _is_confirmed(line: Line, i: int, known: list[float], past: list[float], level: float) -> bool:
    further = [value for value in line.values[i + 1 :] if value is not None][:FURTHER_RUNS]
    if len(further) < FURTHER_RUNS:
        return False
    runs = [line.values[i], *further]
    whole = _shift(runs, known, past, line)
    singles = [shift.worse for value in runs if (shift := _shift([value], known, past, line)) is not None]
    return whole is not None and confirms(whole.p, singles, whole.least, level)


def _over_previous(line: Line, i: int) -> bool:
    current, previous = line.values[i], line.values[i - 1]
    if current is None or previous is None or current <= 0.0 or previous <= 0.0:
        return False
    return METRICS[line.metric].worse_sign * math.log(current / previous) > math.log1p(naive.STEP)


def _raw(group: Group, i: int) -> bool | None:
    if not group.raw:
        return None
    return bool(naive.mann_whitney_worse(group.raw[i - 1][None, :], group.raw[i][None, :])[0] < naive.P)


def _without_change(name: str, judged: Sequence[Judged], target: float) -> Iterator[Figure]:
    count = len(judged)
    beside = {naive.PREVIOUS: sum(each.over_previous for each in judged) / count}
    raw = [each.raw for each in judged if each.raw is not None]
    if raw:
        beside[naive.RAW] = sum(raw) / len(raw)
    failed = sum(each.failed for each in judged)
    yield figure_of(name, "false fails", failed, count, Aim.AT_MOST, target, beside)
    yield figure_of(name, "runs made again", sum(each.suspicious for each in judged), count, Aim.AT_MOST)


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
        shift = scaled_shift(own, before, METRICS["p95"], policy, history=history, shared=0.0)
        if shift is None:
            continue
        p = min(shift.p, shift.p_better)
        large = abs(shift.worse) >= shift.least
        seen = large and p <= policy.screen_alpha / (2 * kinds)
        certain = large and p <= policy.confirm_alpha / kinds
        yield commit, (("up" if shift.worse > 0.0 else "down") if seen else "", certain)
