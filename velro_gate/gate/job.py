"""One job on GitHub from its event to its exit code. Every effect arrives as an argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from velro_gate.errors import BaselineError, BrokenError, InterruptedRunError, PublishError, UsageError, VelroError
from velro_gate.gate.fork_report import leave_for_reporter, report_for_fork, trusted_plan
from velro_gate.gate.inputs import Inputs
from velro_gate.gate.judgement import reach_duet_verdict, without_duet, write_reports
from velro_gate.gate.no_duet import NoDuetError
from velro_gate.gate.publish import Outlets, announce, announce_no_verdict, publish, summary_of_failure
from velro_gate.gate.results import Results
from velro_gate.gate.stores import Acceptance, Store
from velro_gate.github.commands import Annotation, Weight, annotation_lines
from velro_gate.github.event import Event, Mode
from velro_gate.github.job_files import append_outputs, append_summary
from velro_gate.github.pulls import pull_request
from velro_gate.github.status import State
from velro_gate.model.duet import DuetRecord
from velro_gate.model.record import Plan, RunRecord
from velro_gate.model.selftest import Selftest
from velro_gate.model.verdict import Level, Verdict
from velro_gate.report.selftest import blindness, selftest_markdown, selftest_sentences
from velro_gate.store.baselines import load_baselines

HURRY = 2.0
"""Seconds that one call may take once the job is being cancelled: GitHub kills it ten seconds after the first signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a job may do. baselines: a folder for them outside the workspace. measure: runs the load, keeps the record, and
    judges it by these baselines; where it is told to, after running suspicious phases again.

    duet: measures the head build beside what it starts from, or raises NoDuetError. selftest: looks at the runner itself.
    """

    event: Event
    inputs: Inputs
    outlets: Outlets
    store: Store
    baselines: Path
    environ: Mapping[str, str]
    measure: Callable[[Path, bool], tuple[RunRecord, Verdict, Results]]
    duet: Callable[[], tuple[RunRecord, DuetRecord, Results]]
    selftest: Callable[[], Selftest]


def do(job: Job) -> int:
    """Do what the event asks for; the exit code.

    Raises:
        VelroError: there is no verdict; it is told in the status and the summary before it is raised.
    """
    say = job.outlets.say
    say(f"mode {job.event.mode.value}: {job.event.reason}")
    if job.event.mode is Mode.NONE:
        _set_outputs(job.outlets, {"verdict": "none", "exit-code": "0", "baseline-updated": "false"})
        return 0
    if job.event.mode is Mode.REPORT:
        return report_for_fork(job.event, job.inputs, job.outlets, job.store, job.baselines, job.environ)
    try:
        job = replace(job, outlets=_aimed(job))
    except VelroError as error:
        # Which commit is meant is what is not known, so none gets a status.
        _tell_no_verdict(replace(job, outlets=replace(job.outlets, api=None)), error)
        raise
    announce(job.outlets, State.PENDING, "measuring")
    try:
        return _measured(job)
    except BaseException as error:
        _tell_no_verdict(job, error)
        raise


def _measured(job: Job) -> int:
    event, inputs = job.event, job.inputs
    # First: the run after it then says what this runner can see.
    blind = event.mode is Mode.SELFTEST and inputs.selftest_minutes > 0 and _is_blind(job)
    record, verdict, results = _judged(job)
    if record.interrupted:
        raise InterruptedRunError("the run was interrupted", where=str(results.folder))
    code = verdict.exit_code(block_inconclusive=record.plan.policy.block_inconclusive)
    if event.mode is Mode.SELFTEST and verdict.level is not Level.BROKEN:
        # It looks at the runner. What the service is like is nobody's fault tonight.
        code = BrokenError.exit_code if blind else 0
    outputs = {"baseline-updated": "false", "baseline-ref": "", "fork-report-path": ""}
    if event.read_only:
        outputs["fork-report-path"] = str(leave_for_reporter(record, results))
    history = load_baselines(job.baselines, plan=record.plan, environment=record.environment).accepted
    before = [run for run in history if run.id != record.id]
    told = publish(record, verdict, results, job.outlets, exit_code=code, history=before, outputs=outputs)
    failed = _refreshed(job, record) if event.mode is Mode.REFRESH else 0
    return code or failed or told.exit_code(code)


def _is_blind(job: Job) -> bool:
    """Make the selftest and tell it; whether a gate on this runner would be blind."""
    outlets, made = job.outlets, job.selftest()
    for line in selftest_sentences(made):
        outlets.say(f"selftest: {line}")
    if made.quote.blind:
        (command,) = annotation_lines([Annotation(weight=Weight.ERROR, title="velro-gate selftest", message=blindness())])
        outlets.command(command)
    if outlets.summary is not None:
        try:
            append_summary(outlets.summary, selftest_markdown(made))
        except PublishError as full:
            outlets.say(str(full))
    return made.quote.blind


def _judged(job: Job) -> tuple[RunRecord, Verdict, Results]:
    """The change beside what it starts from where that was asked for and can be had, else the run against stored baselines."""
    say, waivers = job.outlets.say, job.inputs.waivers
    missed = None
    if job.inputs.duet and job.event.mode is Mode.GATE:
        try:
            record, kept, results = job.duet()
            verdict = reach_duet_verdict(record, kept, waivers=waivers)
            write_reports(record, verdict, results)
            return record, verdict, results
        except NoDuetError as error:
            missed = error
            say(f"no duet, so the stored baselines are compared with: {error.reason}\ndo:    {error.advice}")
    for sentence in job.store.bring(job.baselines):
        say(f"warning: in the stored baselines {sentence}")
    # A baseline is judged as it is stored, and a fork's run by the reporter, who has this one record of it.
    confirm = job.event.mode is not Mode.REFRESH and not job.event.read_only
    record, verdict, results = job.measure(job.baselines, confirm)
    if missed is not None:
        verdict = without_duet(verdict, missed.reason, missed.advice)
        write_reports(record, verdict, results)
    return record, verdict, results


def _refreshed(job: Job, record: RunRecord) -> int:
    """Store the run as a baseline; the exit code of what kept it from being stored, or 0."""
    inputs, say = job.inputs, job.outlets.say
    acceptance = Acceptance(keep=inputs.keep, accept_change=inputs.accept_change, waivers=inputs.waivers)
    try:
        kept = job.store.keep(record, acceptance)
    except VelroError as error:
        say("\n".join(error.lines()).replace("error: ", "no new baseline: ", 1))
        # A repeated attempt of a job may find its own run there: nobody has done anything wrong.
        return PublishError.exit_code if isinstance(error, BaselineError) else error.exit_code
    for note in kept.notes:
        say(f"baseline: {note}")
    say(f"baseline stored: {kept.where} ({kept.tries} {'try' if kept.tries == 1 else 'tries'})")
    _set_outputs(job.outlets, {"baseline-updated": "true", "baseline-ref": kept.where})
    return 0


def _aimed(job: Job) -> Outlets:
    """The outlets with what the event and the inputs leave of them."""
    event, inputs, outlets = job.event, job.inputs, job.outlets
    if event.read_only:
        return replace(outlets, api=None)
    if not inputs.status:
        outlets = replace(outlets, context="")
    if event.mode is Mode.GATE and event.pull_request is not None and inputs.comment:
        return replace(outlets, comment_on=event.pull_request)
    if event.mode is Mode.DISPATCH:
        return _aimed_by_hand(job, outlets)
    return outlets if event.mode in (Mode.GATE, Mode.REFRESH) else replace(outlets, status_sha="")


def _aimed_by_hand(job: Job, outlets: Outlets) -> Outlets:
    """A dispatch sets a status only on a pull request that was named, and only if its head is what was measured."""
    number = job.inputs.pull_request
    if number is None or outlets.api is None:
        return replace(outlets, status_sha="")
    head = pull_request(outlets.api, number).head_sha
    if head != job.event.measured_sha:
        raise UsageError(
            f"pull request {number} is at {head[:12]}, and this run is of {job.event.measured_sha[:12]}",
            why="a status on a commit that was not measured would be a lie",
            hint="Start the workflow on the pull request's branch.",
        )
    return replace(outlets, status_sha=head)


def _tell_no_verdict(job: Job, error: BaseException) -> None:
    """What people see of a job that ends without a verdict; nothing here may hide the error itself."""
    outlets = job.outlets
    cancelled = isinstance(error, (InterruptedRunError, KeyboardInterrupt))
    if cancelled and outlets.api is not None:
        outlets.api.hurry(HURRY)
    known = error if isinstance(error, VelroError) else None
    words = "cancelled" if cancelled else known.what if known else f"velro-gate itself failed: {type(error).__name__}"
    code = known.exit_code if known else InterruptedRunError.exit_code if cancelled else VelroError.exit_code
    _set_outputs(outlets, {"verdict": "broken", "exit-code": str(code), "headline": words, "baseline-updated": "false"})
    plan = _plan(job) if known and not cancelled else None
    if known and plan:
        # An older commit's comment must not look like this one's.
        announce_no_verdict(outlets, plan, known)
        return
    try:
        if outlets.summary is not None:
            append_summary(outlets.summary, summary_of_failure(known or InterruptedRunError(words)))
    except PublishError as full:
        outlets.say(str(full))
    announce(outlets, State.ERROR, f"no verdict: {words}")


def _plan(job: Job) -> Plan | None:
    """The plan that was to be carried out; None where the scenario itself is at fault."""
    try:
        return trusted_plan(job.inputs, job.environ)
    except VelroError:
        return None


def _set_outputs(outlets: Outlets, outputs: dict[str, str]) -> None:
    if outlets.outputs is None:
        return
    try:
        append_outputs(outlets.outputs, outputs)
    except PublishError as full:
        outlets.say(str(full))
