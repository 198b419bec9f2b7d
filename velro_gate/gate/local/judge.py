"""Judging a kept run again, by today's baselines, or by another policy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from velro_gate.errors import UsageError
from velro_gate.gate.judge.verdict import judge_kept, under_policy
from velro_gate.gate.measure.setup import RunOptions, prepare
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import BlockInconclusive
from velro_gate.model.verdict import Verdict
from velro_gate.store.records import read_record


def judge_again(
    record: Path,
    baselines: Path,
    scenario: Path | None,
    waivers: Path,
    environ: Mapping[str, str],
    blocking: BlockInconclusive | None = None,
) -> tuple[RunRecord, Verdict]:
    """Judge a kept record, by its own plan or by another scenario file's requirements and policy; a duet by its own pairs.

    blocking: instead of what that policy says of an inconclusive run.

    Returns:
        The record, under the policy by which it was judged, and the verdict.

    Raises:
        UsageError: the other scenario says nothing about a phase of the run.
    """
    if scenario is None:
        kept, verdict = judge_kept(record, baselines, waivers=waivers)
        return under_policy(kept, kept.plan.policy, blocking), verdict
    kept = read_record(record)
    profile = kept.plan.profile.partition(":")[0]
    # Nothing is sent, so any address will do where the file takes it from the environment.
    nowhere = {"VELRO_API_URL": "http://127.0.0.1"}
    other = prepare(RunOptions(scenario=scenario, profile=profile), {**nowhere, **environ}, need_secrets=False)
    known = {phase.name: phase for phase in other.phases}
    unknown = [phase.name for phase in kept.plan.phases if phase.name not in known]
    if unknown:
        # Without its requirements such a phase would be judged by nothing, and pass.
        raise UsageError(
            f"profile {profile} has no phase {', '.join(map(repr, unknown))}, which the run holds",
            where=str(scenario),
            hint=f"Name a scenario whose phases are those of the run; this one's are {', '.join(known)}.",
        )
    phases = [known[phase.name] for phase in kept.plan.phases]
    kept, verdict = judge_kept(record, baselines, policy=other.plan.policy, phases=phases, waivers=waivers)
    plan = dataclasses.replace(kept.plan, compliance=other.plan.compliance, unproven=other.plan.unproven)
    return under_policy(dataclasses.replace(kept, plan=plan), other.plan.policy, blocking), verdict
