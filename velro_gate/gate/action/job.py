"""One job on GitHub from its event to its exit code. Every effect arrives as an argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from velro_gate.errors import BaselineError, BrokenError, InterruptedRunError, PublishError, UsageError, VelroError
from velro_gate.gate.action.aim import UNSEEN, UNSEEN_ADVICE, aimed, artifact_name, require_head
from velro_gate.gate.action.alerting.issue import publish_alerts
from velro_gate.gate.action.alerting.webhook import Webhook
from velro_gate.gate.action.fork_report import leave_for_reporter, report_for_fork, trusted_plan
from velro_gate.gate.action.inputs import Inputs
from velro_gate.gate.action.pages import Pages
from velro_gate.gate.action.publish import HURRY, Outlets, announce, announce_no_verdict, publish, summary_of_failure
from velro_gate.gate.action.second_job import PENDING, first_of_run, is_awaited, leave_for_second_job
from velro_gate.gate.action.store_kind import StoreKind
from velro_gate.gate.action.stores import Acceptance, Store
from velro_gate.gate.action.token import require_token
from velro_gate.gate.builds.no_duet import NoDuetError
from velro_gate.gate.judge.push import PushTarget, figures_to_push, push_all
from velro_gate.gate.judge.verdict import reach_duet_verdict, with_caveat, without_duet, write_reports
from velro_gate.gate.measure.results import Results
from velro_gate.github.channels.commands import Annotation, Weight, annotation_lines
from velro_gate.github.channels.status import CommitState
from velro_gate.github.event import Event, Mode
from velro_gate.github.job_files import append_outputs, append_summary
from velro_gate.model.duet import DuetRecord
from velro_gate.model.record import RunRecord
from velro_gate.model.selftest import Selftest
from velro_gate.model.verdict import Level, Verdict
from velro_gate.report.formats.comment import marker_named, marker_of
from velro_gate.report.printed.selftest import blindness, selftest_markdown, selftest_sentences
from velro_gate.store.baselines import load_baselines
from velro_gate.store.further import read_missing


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionJob:
    """What a job can do; each is a function, so that a job knows no process and no network."""

    event: Event
    inputs: Inputs
    outlets: Outlets
    store: Store
    baselines: Path
    """A folder for them outside the workspace."""
    environ: Mapping[str, str]
    measure: Callable[[Path, bool], tuple[RunRecord, Verdict, Results]]
    """Runs the load, keeps the record, and judges it by these baselines; if requested, after re-measuring suspicious phases."""
    confirm: Callable[[Path, RunRecord], tuple[RunRecord, Verdict, Results]]
    """Runs what looked worse in an earlier job's run twice more, and judges it by these baselines."""
    duet: Callable[[], tuple[RunRecord, DuetRecord, Results]]
    """Measures the head build side by side with its base, or raises NoDuetError."""
    selftest: Callable[[], Selftest]
    """Tests the runner itself."""
    webhook: Webhook | None = None
    """Where alerts about main are sent."""
    pages: Pages | None = None
    """Where the trend of main is published."""
    pushed: tuple[PushTarget, ...] = ()
    """Where the figures of main are pushed."""


@dataclass(slots=True)
class _Progress:
    """How far a job has come."""

    published: bool = False
    """Whether the verdict is public: whatever goes wrong afterwards does not change it."""

    def stands(self) -> None:
        """From now on it is public."""
        self.published = True


def run_job(job: ActionJob) -> int:
    """Do what the event asks for; the exit code.

    Raises:
        VelroError: there is no verdict, which the status and the summary say before it is raised; or what came after the
            verdict was cancelled, and the verdict stands.
    """
    say = job.outlets.say
    say(f"mode {job.event.mode.value}: {job.event.reason}")
    if job.event.mode is Mode.NONE:
        _set_outputs(job.outlets, {"verdict": "none", "exit-code": "0", "baseline-updated": "false"})
        return 0
    if job.event.mode is Mode.REPORT:
        return report_for_fork(job.event, job.inputs, job.outlets, job.store, job.baselines, job.environ)
    _set_outputs(job.outlets, {"artifact-name": artifact_name(job.event, job.outlets.part)})
    progress, first = _Progress(), None
    try:
        try:
            require_token(job.event, job.inputs, job.outlets)
            job = replace(job, outlets=aimed(job.event, job.inputs, job.outlets))
            if job.event.mode is Mode.CONFIRM:
                job, first = _from_first_job(job)
        except VelroError:
            # Which commit is meant, or which job's status, is what is not known, so none is set. A pending one stays.
            job = replace(job, outlets=replace(job.outlets, api=None))
            raise
        announce(job.outlets, CommitState.PENDING, "measuring")
        return _measured(job, progress, first)
    except BaseException as error:
        if progress.published:
            _set_outputs(job.outlets, {"exit-code": str(_code_of(error))})
        else:
            _publish_no_verdict(job, error)
        raise


def _measured(job: ActionJob, progress: _Progress, first: RunRecord | None) -> int:
    event, inputs = job.event, job.inputs
    require_head(event)
    # First: the run after it then says what this runner can see.
    blind = event.mode is Mode.SELFTEST and inputs.selftest_minutes > 0 and _is_blind(job)
    record, verdict, results = _judged(job) if first is None else _compared(job, lambda: job.confirm(job.baselines, first))
    if record.interrupted:
        raise InterruptedRunError("the run was interrupted", where=str(results.folder))
    code = verdict.exit_code(block_inconclusive=record.plan.policy.block_inconclusive)
    if event.mode is Mode.SELFTEST and verdict.level is not Level.BROKEN:
        # It looks at the runner. What the service is like is nobody's fault tonight.
        code = BrokenError.exit_code if blind else 0
    outputs = {"baseline-updated": "false", "baseline-ref": "", "fork-report-path": "", **_left(job, record, results)}
    awaited = outputs["needs-confirmation"] == "true"
    if awaited and job.outlets.api is not None and job.outlets.context:
        # The pending status holds the merge until the second job has decided.
        code = 0
    if event.read_only:
        outputs["fork-report-path"] = str(leave_for_reporter(record, results))
    history = load_baselines(job.baselines, plan=record.plan, environment=record.environment).accepted
    before = [run for run in history if run.id != record.id]
    published = publish(
        record,
        verdict,
        results,
        job.outlets,
        exit_code=code,
        history=before,
        outputs=outputs,
        on_published=progress.stands,
        awaited=PENDING if awaited else "",
    )
    failed = _refreshed(job, record) if event.mode is Mode.REFRESH else 0
    if event.mode is Mode.REFRESH and job.pages is not None:
        job.pages.publish(job.store, job.baselines, job.outlets.say)
    if event.mode in (Mode.REFRESH, Mode.SELFTEST) and (inputs.alerts or job.webhook is not None):
        publish_alerts(
            record,
            verdict,
            before,
            job.outlets,
            issue=inputs.alerts,
            webhook=job.webhook,
            merges=float(inputs.alert_merges),
        )
    if event.mode in (Mode.REFRESH, Mode.SELFTEST):
        push_all(figures_to_push(record, verdict), job.pushed, job.outlets.say)
    final = code or failed or published.exit_code(code)
    if final != code:
        _set_outputs(job.outlets, {"exit-code": str(final)})
    return final


def _is_blind(job: ActionJob) -> bool:
    """Run the selftest and publish it; whether a gate on this runner would be blind."""
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


def _judged(job: ActionJob) -> tuple[RunRecord, Verdict, Results]:
    """The change side by side with its base if requested and possible, else the run compared with stored baselines."""
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
            say(f"no duet, using stored baselines: {error.reason}\ndo:    {error.advice}")
    # A baseline is judged as it is stored, and a fork's run by the reporter, who has this one record of it.
    confirm = job.event.mode is not Mode.REFRESH and not job.event.read_only
    return _compared(job, lambda: job.measure(job.baselines, confirm), missed)


def _compared(
    job: ActionJob, measure: Callable[[], tuple[RunRecord, Verdict, Results]], missed: NoDuetError | None = None
) -> tuple[RunRecord, Verdict, Results]:
    """A run against stored baselines. missed: why there is no duet though one was asked for."""
    for sentence in job.store.bring(job.baselines):
        job.outlets.say(f"warning: in the stored baselines {sentence}")
    record, verdict, results = measure()
    changed = verdict
    if missed is not None:
        changed = without_duet(changed, missed.reason, missed.advice)
    if job.event.unseen:
        changed = with_caveat(changed, "commit-not-seen", UNSEEN, UNSEEN_ADVICE)
    if changed is not verdict:
        stored = load_baselines(job.baselines, plan=record.plan, environment=record.environment)
        write_reports(record, changed, results, stored)
    return record, changed, results


def _from_first_job(job: ActionJob) -> tuple[ActionJob, RunRecord]:
    """What the first job of this run has left; and this job, whose status takes the place of that one's.

    Raises:
        UsageError: a fork's run has no second job. PublishError, BrokenError: the first job left nothing that can be used.
    """
    if job.event.read_only:
        raise UsageError(
            "the mode confirm is not possible here",
            why=job.event.reason,
            hint="The reporter judges the result of the first job.",
        )
    inputs = job.inputs
    plan = trusted_plan(inputs, job.environ)
    first = first_of_run(job.outlets.api, job.event, inputs.first_artifact, plan)
    job.outlets.say(f"measuring again what looked worse in {first.record.id}")
    part = replace(job.outlets.part, leg=first.leg or job.outlets.part.leg)
    return replace(job, outlets=replace(job.outlets, part=part)), first.record


def _left(job: ActionJob, record: RunRecord, results: Results) -> dict[str, str]:
    """What is left for a second job, where one has to decide."""
    if job.event.mode is not Mode.GATE or not is_awaited(read_missing(results.folder)):
        return {"needs-confirmation": "false", "confirmation-path": ""}
    path = leave_for_second_job(record, results, job.event, job.outlets.part.leg)
    return {"needs-confirmation": "true", "confirmation-path": str(path)}


def _refreshed(job: ActionJob, record: RunRecord) -> int:
    """Store the run as a baseline; the exit code of what kept it from being stored, or 0."""
    inputs, say = job.inputs, job.outlets.say
    if inputs.store is StoreKind.NONE:
        say("no baseline is stored: baseline-store is 'none'")
        return 0
    acceptance = Acceptance(keep=inputs.keep, accept_change=inputs.accept_change, waivers=inputs.waivers)
    try:
        kept = job.store.keep(record, acceptance)
    except VelroError as error:
        say("\n".join(error.lines("no new baseline")))
        # A repeated attempt of a job may find its own run there: nobody has done anything wrong.
        return PublishError.exit_code if isinstance(error, BaselineError) else error.exit_code
    for note in kept.notes:
        say(f"baseline: {note}")
    say(f"baseline stored: {kept.where} ({kept.tries} {'try' if kept.tries == 1 else 'tries'})")
    _set_outputs(job.outlets, {"baseline-updated": "true", "baseline-ref": kept.where})
    return 0


def _publish_no_verdict(job: ActionJob, error: BaseException) -> None:
    """What people see of a job that ends without a verdict; nothing here may hide the error itself."""
    outlets = job.outlets
    cancelled = isinstance(error, (InterruptedRunError, KeyboardInterrupt))
    if cancelled and outlets.api is not None:
        outlets.api.hurry(HURRY)
    known = error if isinstance(error, VelroError) else None
    words = "cancelled" if cancelled else known.what if known else f"velro-gate itself failed: {type(error).__name__}"
    code = str(_code_of(error))
    _set_outputs(outlets, {"verdict": "broken", "exit-code": code, "headline": words, "baseline-updated": "false"})
    if not cancelled:
        # An older commit's comment must not look like this one's.
        announce_no_verdict(outlets, _marker(job), known or VelroError(words))
        return
    try:
        if outlets.summary is not None:
            append_summary(outlets.summary, summary_of_failure(known or InterruptedRunError(words)))
    except PublishError as full:
        outlets.say(str(full))
    announce(outlets, CommitState.ERROR, f"no verdict: {words}")


def _code_of(error: BaseException) -> int:
    """The exit code that the command line makes of an error."""
    if isinstance(error, KeyboardInterrupt):
        return InterruptedRunError.exit_code
    return error.exit_code if isinstance(error, VelroError) else VelroError.exit_code


def _marker(job: ActionJob) -> str:
    """The comment's marker: of the plan that was to be carried out, or by the file's name where the scenario is at fault."""
    inputs = job.inputs
    try:
        return marker_of(trusted_plan(inputs, job.environ), job.outlets.label)
    except VelroError:
        return marker_named(inputs.scenario.stem if inputs.scenario else "", inputs.profile or "", job.outlets.label)


def _set_outputs(outlets: Outlets, outputs: dict[str, str]) -> None:
    if outlets.outputs is None:
        return
    try:
        append_outputs(outlets.outputs, outputs)
    except PublishError as full:
        outlets.say(str(full))
