"""Kept runs judged again under another policy: what would have come out otherwise.

A run is compared with what was known when it was made: the accepted comparable runs before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from velro_gate.analysis.verdict.judge import judge
from velro_gate.analysis.verdict.judge_duet import judge_duet_record
from velro_gate.evaluation.recorded.flips import Rejudged, RowFlip, RunKind
from velro_gate.model.duet import DuetRecord
from velro_gate.model.record import RunRecord, fingerprint
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change, Verdict


def rejudged(
    record: RunRecord,
    kept: DuetRecord | None,
    accepted: Sequence[RunRecord],
    changed: Mapping[str, object],
    *,
    kind: RunKind,
    place: str,
) -> Rejudged:
    """One run under its own policy and under that policy with some fields changed.

    Args:
        record: the run.
        kept: its pairs, where it is the head of a duet; then the baselines do not matter.
        accepted: all accepted runs; those that are comparable and older are used.
        changed: fields of ``Policy`` and their other values.
        kind, place: what the run was and where it is kept.

    Raises:
        ValueError: no policy can have these values.
    """
    own = kept.duet.policy if kept is not None else record.plan.policy
    other = replace(own, **changed)  # type: ignore[arg-type]
    known = [] if kept is not None else [run for run in accepted if _comparable(run, record)]
    before, after = (_verdict(record, kept, known, policy) for policy in (own, other))
    return Rejudged(
        id=record.id,
        started_at=record.started_at,
        place=place,
        kind=kind,
        baselines=len(known),
        before=before.level,
        after=after.level,
        rows=_flips(before, after),
    )


def _verdict(record: RunRecord, kept: DuetRecord | None, known: Sequence[RunRecord], policy: Policy) -> Verdict:
    return judge(record, known, policy=policy) if kept is None else judge_duet_record(record, kept, policy=policy)


def _comparable(run: RunRecord, record: RunRecord) -> bool:
    same = (run.plan.scenario, run.plan.digest, run.plan.profile, fingerprint(run.environment))
    return (
        run.id != record.id
        and run.complete
        and not run.quarantined
        and same == (record.plan.scenario, record.plan.digest, record.plan.profile, fingerprint(record.environment))
        and (run.started_at, run.id) < (record.started_at, record.id)
    )


def _flips(before: Verdict, after: Verdict) -> tuple[RowFlip, ...]:
    was, now = (_changes(verdict) for verdict in (before, after))
    return tuple(
        RowFlip(phase=phase, step=step, metric=metric, before=was.get(key), after=now.get(key))
        for key in dict.fromkeys((*was, *now))
        if was.get(key) is not now.get(key)
        for phase, step, metric in (key,)
    )


def _changes(verdict: Verdict) -> dict[tuple[str, str, str], Change]:
    return {(row.phase, row.step, row.metric): row.verdict for row in verdict.comparisons}
