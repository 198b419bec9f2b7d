"""From a kept record to a verdict and its files. Never touches the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from velro_gate.analysis.stored.other_machine import as_on
from velro_gate.analysis.verdict.judge import judge
from velro_gate.analysis.verdict.judge_duet import judge_duet_record
from velro_gate.errors import RecordError, UsageError
from velro_gate.gate.judge.chart_data import chart_data
from velro_gate.gate.judge.logged import verdict_entries
from velro_gate.gate.measure.results import Results, append_log
from velro_gate.gate.measure.run import summaries
from velro_gate.model.duet import DuetRecord
from velro_gate.model.facts.doubts import Worded
from velro_gate.model.further import Further
from velro_gate.model.record import RunRecord, comparable
from velro_gate.model.run import RunFacts
from velro_gate.model.scenario import BlockInconclusive, Phase, Policy
from velro_gate.model.verdict import Finding, Trust, TrustFinding, Verdict
from velro_gate.report.formats.registry import FORMATS
from velro_gate.scenario.waivers import read_waivers
from velro_gate.store.baselines import Baselines, load_baselines
from velro_gate.store.duets import DUET, read_duet
from velro_gate.store.further import duet_folder, read_missing, repeat_folders
from velro_gate.store.records import RECORD, read_facts, read_kept, read_record
from velro_gate.store.samples import SUMMARY_ALONE

REPORTS = tuple(each.file for each in FORMATS.values())
"""The verdict that was given, in each format."""

FILES = ("record.json", "facts.npz", "samples.npz", *REPORTS, "log.txt")
"""What a gated run leaves in its folder."""

DUET_FILES = ("record.json", DUET, *REPORTS, "log.txt", "base.log", "head.log")
"""What a duet leaves in its folder; the builds' own output where we started them."""


def reread(folder: Path) -> RunRecord:
    """A kept record, summarised again from its samples where they are still there.

    Raises:
        RecordError: the folder holds no readable record.
    """
    record = read_record(folder)
    samples = folder / "samples.npz"
    facts = read_facts(folder) if folder.is_dir() and samples.exists() else None
    if facts is None:
        return record
    _require_planned(record, facts, folder)
    return dataclasses.replace(record, phases=summaries(record.plan, facts, *read_kept(samples)))


def _require_planned(record: RunRecord, facts: RunFacts, folder: Path) -> None:
    """Facts that were damaged, or are another run's, must not be summarised as this one's."""
    planned = {phase.name: phase for phase in record.plan.phases}
    for ran in facts.phases:
        phase = planned.get(ran.name)
        # A second more than planned: instants of a phase are taken by the loop, which may be late.
        if phase is not None and ran.measured_until - ran.measured_from <= phase.duration + 1.0:
            continue
        what = (
            "they hold a phase {!r} that the record does not plan"
            if phase is None
            else "their phase {!r} is longer than planned"
        )
        raise RecordError(
            "the facts of the run do not belong to its record", where=str(folder), why=what.format(ran.name), hint=SUMMARY_ALONE
        )


def kept_further(folder_or_record: Path) -> Further | None:
    """What was measured after a run and is kept with it, summarised again; None if there is nothing, or only a single file.

    Raises:
        RecordError: one of them cannot be read.
    """
    folder = folder_or_record.parent if folder_or_record.name == RECORD else folder_or_record
    missing = read_missing(folder)
    if missing is None:
        return None
    duet = duet_folder(folder)
    runs = tuple(map(reread, repeat_folders(folder)))
    return dataclasses.replace(missing, runs=runs, duet=None if duet is None else read_duet(duet))


def reach_verdict(
    record: RunRecord,
    baselines: Path | None,
    *,
    policy: Policy | None = None,
    phases: Sequence[Phase] | None = None,
    waivers: Path | None = None,
    further: Further | None = None,
) -> Verdict:
    """Judge a record against its requirements and the stored baselines; None: requirements only.

    waivers: the file of agreed regressions; it need not be there. further: what suspicions are confirmed by; None:
    the run is judged alone.

    Raises:
        UsageError: the waivers cannot be read or are invalid.
    """
    if baselines is None:
        return judge(record, (), policy=policy, phases=phases)
    agreed = None if waivers is None else read_waivers(waivers)
    stored = load_baselines(baselines, plan=record.plan, environment=record.environment)
    others = tuple(run for run in stored.accepted if run.id != record.id)
    if further is not None:
        further = _from_here(further, record, others, baselines)
    verdict = judge(
        record,
        others,
        skipped=stored.skipped,
        policy=policy,
        phases=phases,
        repeats=None if further is None else further.runs,
        missing=None if further is None else further.missing,
        second_job=further is not None and further.second_job,
        duet=None if further is None or further.duet is None else further.duet.duet,
        waivers=agreed,
        release=stored.release,
        other_profiles=stored.other_profiles,
    )
    if further is None or not further.no_duet:
        return verdict
    if further.broken:
        sentence = f"this build could not be measured side by side with its base build: {further.no_duet}"
        return _broken(verdict, "duet-failed", sentence, further.advice)
    return without_duet(verdict, further.no_duet, further.advice)


def _from_here(further: Further, record: RunRecord, here: Sequence[RunRecord], baselines: Path) -> Further:
    """Further runs as they would be on the machine of the first one, where they were made on another (``other_machine``).

    A machine without baselines of its own cannot speak: its runs are left out, with the reason.
    """
    runs: list[RunRecord] = []
    missing = dict(further.missing)
    for run in further.runs:
        if comparable(run.environment, record.environment):
            runs.append(run)
            continue
        there = load_baselines(baselines, plan=record.plan, environment=run.environment).accepted
        if there:
            runs.append(as_on(run, there, here))
        else:
            said = f"it was run again on another machine ({run.environment.runner}), which has no baselines of its own"
            missing.update(dict.fromkeys((phase.name for phase in run.phases), said))
    return dataclasses.replace(further, runs=tuple(runs), missing=missing)


def reach_duet_verdict(
    record: RunRecord,
    kept: DuetRecord,
    *,
    policy: Policy | None = None,
    phases: Sequence[Phase] | None = None,
    waivers: Path | None = None,
) -> Verdict:
    """Judge a duet: the head build by its requirements and by its pairs with the base build. For the arguments, see above.

    Raises:
        UsageError: the waivers cannot be read or are invalid.
    """
    agreed = None if waivers is None else read_waivers(waivers)
    return judge_duet_record(record, kept, policy=policy, phases=phases, waivers=agreed)


def without_duet(verdict: Verdict, reason: str, advice: str) -> Verdict:
    """The verdict of a stored comparison instead of a duet, which says so."""
    return with_caveat(verdict, "no-duet", f"no duet, so this run is compared with stored baselines: {reason}", advice)


def with_caveat(verdict: Verdict, code: str, sentence: str, advice: str) -> Verdict:
    """The verdict with one more thing to know of how it came about; its level stays its own."""
    facts = Worded(code=code, sentence=sentence, advice=advice)
    doubt = TrustFinding(trust=Trust.CAVEAT, phase="", figure=None, limit=None, facts=facts)
    return dataclasses.replace(verdict, trust=(doubt, *verdict.trust))


def _broken(verdict: Verdict, code: str, sentence: str, advice: str) -> Verdict:
    """The verdict with a reason why nothing can be said about this build."""
    facts = Worded(code=code, sentence=sentence, advice=advice)
    doubt = TrustFinding(trust=Trust.BROKEN, phase="", figure=None, limit=None, facts=facts)
    finding = Finding(level=doubt.level, subject="duet", facts=facts)
    return dataclasses.replace(verdict, trust=(doubt, *verdict.trust), findings=(finding, *verdict.findings))


def judge_kept(
    folder: Path,
    baselines: Path,
    *,
    policy: Policy | None = None,
    phases: Sequence[Phase] | None = None,
    waivers: Path | None = None,
) -> tuple[RunRecord, Verdict]:
    """What is kept in a run's folder, judged by all of it: a duet by its pairs, a run with those that confirmed it.

    For the arguments, see above.

    Raises:
        RecordError: the folder holds no readable record. UsageError: the waivers cannot be read or are invalid.
    """
    record, pairs = reread(folder), read_duet(folder)
    if pairs is not None:
        return record, reach_duet_verdict(record, pairs, policy=policy, phases=phases, waivers=waivers)
    further = kept_further(folder)
    return record, reach_verdict(record, baselines, policy=policy, phases=phases, waivers=waivers, further=further)


def under_policy(record: RunRecord, policy: Policy, blocking: BlockInconclusive | None) -> RunRecord:
    """The record as if its plan had this policy. blocking: instead of what that says of an inconclusive run."""
    if blocking is not None:
        policy = dataclasses.replace(policy, block_inconclusive=blocking)
    return dataclasses.replace(record, plan=dataclasses.replace(record.plan, policy=policy))


def reread_run(folder: Path) -> RunRecord:
    """A kept record that may become a baseline.

    Raises:
        RecordError: the folder holds no readable record. UsageError: it is that of a duet.
    """
    if read_duet(folder) is not None:
        raise UsageError(
            "a duet cannot become a baseline",
            where=str(folder),
            why="its blocks offer a different load than a run of the plan does",
            hint="Record a run of the accepted build: 'velro-gate baseline calibrate SCENARIO'.",
        )
    return reread(folder)


def write_reports(record: RunRecord, verdict: Verdict, results: Results, stored: Baselines | None = None) -> None:
    """Write the verdict's files next to the record, the verdict itself first, so that it is never lost; then add it to the log.

    stored: what it can be compared with, for the charts.

    Raises:
        OutputError, StorageError: a file cannot be written.
    """
    for each in FORMATS.values():
        data = chart_data(results.folder, record, stored) if each.charts else None
        results.write(each.file, each.render(record, verdict, data))
    append_log(results, verdict_entries(record, verdict))
