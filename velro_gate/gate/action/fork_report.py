"""The reporter for forks and Dependabot: publishes, with a token that may write, what a job without one has measured.

Everything that job left is untrusted: its code was the fork's, and so was the workflow file that GitHub ran. So nothing is
taken that no maintainer has approved: an approval for the environment is asked of the API, and a pull request that changes what
measures (workflows, actions) is refused. The record is read from the archive in memory, by its schema and up to a size; the
verdict is reached and rendered again, with the scenario, policy and waivers of the base branch. Which pull request it belongs
to, and whose that is, comes from the API and never from the archive. A verdict that a gate of this repository has published for
the same commit is left alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from velro_gate.errors import BrokenError, PublishError, VelroError
from velro_gate.gate.action.inputs import Inputs
from velro_gate.gate.action.publish import Outlets, announce, announce_no_verdict, publish
from velro_gate.gate.action.stores import Store
from velro_gate.gate.judge.verdict import reach_verdict, with_caveat, write_reports
from velro_gate.gate.measure.results import Results, make_results, run_id
from velro_gate.gate.measure.setup import RunOptions, prepare
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.github.api import Api
from velro_gate.github.approvals import changed_files, is_approved
from velro_gate.github.artifacts import artifact_of_run, download_archive, files_in
from velro_gate.github.channels.status import CommitState, known_statuses
from velro_gate.github.event import DEPENDABOT, Event, TriggeringRun
from velro_gate.github.pulls import PullRequest, pull_request, pull_request_of
from velro_gate.model.facts.doubts import Worded
from velro_gate.model.record import Plan, Revision, RunRecord
from velro_gate.model.verdict import Finding, Level, Verdict
from velro_gate.report.formats.comment import marker_of
from velro_gate.store.baselines import load_baselines
from velro_gate.store.codec import CodecError, decode_record, encode_record

FOLDER = "fork-report"
RECORD = "record.json"
_MADE_UP = "Run it again; if that does not help, a maintainer has to run it from a branch of the repository."
_NOT_MEASURED = (
    "What a fork or Dependabot proposes is not measured by itself. "
    "A maintainer can approve this commit, or run it from a branch of the repository."
)
_NO_ENVIRONMENT = (
    "A maintainer can run it from a branch of the repository, or have reviewers approve each commit of forks and of Dependabot "
    "(VELRO_FORK_ENVIRONMENT, docs/github-setup.md)."
)
_NOT_STARTED = frozenset({"", "skipped", "neutral", "stale", "action_required"})
"""Conclusions of a run that never measured anything."""
WARNING = "the figures are those that the fork's own run has left; nobody else measured them"
ADVICE = (
    "Read what the pull request changes before you trust its figures; a maintainer can run it from a branch of the repository."
)


def leave_for_reporter(record: RunRecord, results: Results) -> Path:
    """Write what the reporter needs, and nothing else, into a folder to be uploaded; its path."""
    path = results.write(f"{FOLDER}/{RECORD}", encode_record(record))
    return path.parent.resolve()


def report_for_fork(
    event: Event, inputs: Inputs, outlets: Outlets, store: Store, baselines: Path, environ: Mapping[str, str]
) -> int:
    """Publish the verdict of a finished run; the exit code is that of publishing, since the verdict is another job's.

    Raises:
        PublishError: there is no token. VelroError: the reporter's own configuration is at fault, which the pull request also
            shows; what the archive holds never raises.
    """
    source, api = event.source, outlets.api
    assert source is not None
    if api is None:
        raise PublishError("the reporter has no token", hint="Pass 'token: ${{ github.token }}' to it.")
    found = pull_request_of(
        api, owner=source.head_owner, branch=source.head_branch, head_sha=source.head_sha, base=event.default_branch
    )
    if found is None:
        outlets.say(f"nothing to publish: no open pull request has the head {source.head_sha[:12]} (any more)")
        return 0
    if found.head_repository == event.repository and found.author != DEPENDABOT:
        outlets.say(
            f"nothing to publish: pull request {found.number} is neither a fork's nor Dependabot's; its own gate reports"
        )
        return 0
    if inputs.status and _reported_by_a_gate(api, source.head_sha, outlets.context):
        outlets.say(f"nothing to publish: {source.head_sha[:12]} has a status from a gate of this repository, which stands")
        return 0
    aimed = dataclasses.replace(
        outlets,
        status_sha=source.head_sha,
        context=outlets.context if inputs.status else "",
        comment_on=found.number if inputs.comment else None,
        comment_sha=source.head_sha,
        links={**outlets.links, "Measured by": f"{event.server_url}/{event.repository}/actions/runs/{source.run_id}"},
        about=(f"head {found.head_sha[:12]}", f"base {found.base_sha[:12]}"),
    )
    try:
        plan = trusted_plan(inputs, environ)
    except VelroError as error:
        announce(aimed, CommitState.ERROR, f"no verdict: {error.what}")
        raise
    marker = marker_of(plan, aimed.label)
    try:
        require_approval(api, source, inputs.fork_environment, found, environ)
        record = fork_record(api, source, inputs.artifact, plan, found)
    except (PublishError, BrokenError) as error:
        outlets.say("\n".join(error.lines()))
        return PublishError.exit_code if announce_no_verdict(aimed, marker, error) else 0
    try:
        skipped = store.bring(baselines)
    except VelroError as error:
        # No other job reports on this pull request, so our own faults are published there too.
        announce_no_verdict(aimed, marker, error)
        raise
    for sentence in skipped:
        outlets.say(f"warning: in the stored baselines {sentence}")
    try:
        return _publish(record, inputs, aimed, baselines)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # Its schema is right and its figures make no sense: somebody has made it up.
        senseless = BrokenError("the run's record cannot be judged", why=type(error).__name__, hint=_MADE_UP)
        return PublishError.exit_code if announce_no_verdict(aimed, marker, senseless) else 0


def _publish(record: RunRecord, inputs: Inputs, outlets: Outlets, baselines: Path) -> int:
    verdict = measured_by_others(reach_verdict(record, baselines, waivers=inputs.waivers))
    results = make_results(inputs.output, record.id)
    stored = load_baselines(baselines, plan=record.plan, environment=record.environment)
    write_reports(record, verdict, results, stored)
    code = verdict.exit_code(block_inconclusive=record.plan.policy.block_inconclusive)
    published = publish(record, verdict, results, outlets, exit_code=code, history=stored.accepted, outputs={})
    return published.exit_code(0)


def measured_by_others(verdict: Verdict) -> Verdict:
    """The verdict of such a run, which says whose word its figures are, and never that nobody has to look."""
    seen = with_caveat(verdict, "measured-by-others", WARNING, ADVICE)
    facts = Worded(code="measured-by-others", sentence=WARNING, advice=ADVICE)
    doubt = Finding(level=Level.WARN, subject="measured-by-others", facts=facts)
    return dataclasses.replace(seen, findings=(*seen.findings, doubt))


def require_approval(api: Api, source: TriggeringRun, environment: str, found: PullRequest, environ: Mapping[str, str]) -> None:
    """Refuse what a run has left unless a maintainer approved that run, and the pull request changes nothing that measures.

    Raises:
        BrokenError: it is refused. PublishError: GitHub cannot be asked.
    """
    if not environment:
        raise BrokenError("not measured: results from forks are not accepted here", hint=_NO_ENVIRONMENT)
    if not is_approved(api, run_id=source.run_id, environment=environment):
        hint = (
            _NOT_MEASURED if source.conclusion in _NOT_STARTED else f"{_NOT_MEASURED} The run ended as {source.conclusion!r}."
        )
        raise BrokenError(f"not measured: no reviewer of the environment {environment} has approved this run", hint=hint)
    paths = _what_measures(environ)
    touched = [name for name in changed_files(api, found.number) if name.startswith(paths)]
    if touched:
        raise BrokenError(
            f"not judged: the pull request changes what measures it ({', '.join(touched[:3])})",
            hint="A change of workflows or actions is judged once a maintainer runs it from a branch of the repository.",
        )
    if pull_request(api, found.number).head_sha != source.head_sha:
        raise BrokenError("not judged: the pull request has newer commits", hint="The newest commit has its own run.")


def _what_measures(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Paths of what decides how a pull request is measured; the action itself where it lies in the repository."""
    paths = [".github/workflows/", ".github/actions/"]
    workspace, action = environ.get("GITHUB_WORKSPACE", ""), environ.get("VELRO_ACTION", "")
    if workspace and action and Path(action).resolve().is_relative_to(Path(workspace).resolve()):
        inside = Path(action).resolve().relative_to(Path(workspace).resolve()).as_posix()
        place = "" if inside == "." else f"{inside}/"
        paths += [f"{place}{name}" for name in ("action.yml", "action.yaml", "scripts/", "requirements/", "velro_gate/")]
    return tuple(paths)


def _reported_by_a_gate(api: Api, sha: str, context: str) -> bool:
    """Whether a job of this repository has a word on the commit: the same commit may be another pull request's head, too."""
    return any(one.part is None or not one.part.reported for one in known_statuses(api, sha, context))


def trusted_plan(inputs: Inputs, environ: Mapping[str, str]) -> Plan:
    """The plan as the workspace's scenario has it; no code of a journey is run, since this process may hold a token.

    Raises:
        UsageError: the scenario cannot be used.
    """
    asked = RunOptions(
        scenario=inputs.scenario or shipped_scenario("velro-prd"),
        profile=inputs.profile,
        phases=inputs.phases,
        block_inconclusive=inputs.block_inconclusive,
    )
    # Nothing is sent, so any address will do where the file takes it from the environment.
    nowhere = {"VELRO_API_URL": "http://127.0.0.1"}
    return prepare(asked, {**nowhere, **environ}, need_secrets=False, run_code=False).plan


def fork_record(api: Api, source: TriggeringRun, artifact: str, plan: Plan, found: PullRequest) -> RunRecord:
    """The record in a run's archive, with everything that we know better put in its place.

    Raises:
        PublishError: there is no archive, or it is damaged. BrokenError: it holds no record that can be judged.
    """
    number = artifact_of_run(api, run_id=source.run_id, name=artifact)
    if number is None:
        raise BrokenError("not measured: the pull request's run left no result", hint=_why_nothing(source))
    content = files_in(download_archive(api, number), {RECORD}).get(RECORD)
    if content is None:
        raise BrokenError("the run's archive holds no record", hint="Look at its log: it failed before it had measured.")
    try:
        record = decode_record(content.decode("utf-8"))
    except (UnicodeDecodeError, CodecError, VelroError) as error:
        raise BrokenError("the run's record cannot be used", why=str(error)[:300]) from error
    return vouched(record, plan, found)


def _why_nothing(source: TriggeringRun) -> str:
    if source.conclusion in _NOT_STARTED:
        return _NOT_MEASURED
    return (
        f"The run ended as {source.conclusion!r} before it had measured, or was not approved: its log says which. "
        "The code of a fork gets no secrets, so a token that the service asks for has to come from a step of the job."
    )


def vouched(record: RunRecord, plan: Plan, found: PullRequest) -> RunRecord:
    """The record under the base branch's plan, the pull request's revision and a name of our own.

    Raises:
        BrokenError: it was made by another plan, so that this one's requirements and baselines say nothing about it.
    """
    same = (record.plan.scenario, record.plan.profile, record.plan.digest) == (plan.scenario, plan.profile, plan.digest)
    if not same:
        raise BrokenError(
            "the pull request measured another plan than the base branch's",
            hint="A change of the scenario in a fork is judged once a maintainer runs it from a branch of the repository.",
        )
    revision = Revision(sha=found.head_sha, branch="", label=f"pull request {found.number}")
    try:
        started = datetime.strptime(record.started_at, "%Y-%m-%dT%H:%M:%S%z")
    except ValueError as error:
        raise BrokenError("the run's record cannot be used", why="it does not say when it began") from error
    name = run_id(started, plan.scenario, plan.profile)
    return dataclasses.replace(record, id=name, plan=plan, revision=revision, new_levels=())
