"""Publish a run's verdict: the files and the job's summary first, then the network.

Publishing failures never change the verdict. Each channel fails by itself, with a reason; the consequence is at most
exit code 5, and only where the verdict itself would have ended with 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from velro_gate import units
from velro_gate.analysis.compliance.assess import assess
from velro_gate.errors import PublishError, VelroError
from velro_gate.gate.measure.results import Results
from velro_gate.github.api import Api
from velro_gate.github.channels.commands import Annotation, Weight, annotation_lines
from velro_gate.github.channels.comment import CommentOutcome, about_head, upsert_comment
from velro_gate.github.channels.status import CommitState, CommitStatus, Part, set_status
from velro_gate.github.event import Event
from velro_gate.github.job_files import append_outputs, append_summary
from velro_gate.model.metrics import TAIL
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Level, Verdict
from velro_gate.report.formats.comment import markdown, marker_of
from velro_gate.report.formats.executive import executive_markdown
from velro_gate.report.parts.wording import headline
from velro_gate.report.sentences.findings import words
from velro_gate.report.text.escape import markdown_link, markdown_text

_NONE: Mapping[str, str] = MappingProxyType({})
HISTORY = 20
"""Baselines that the trend shows."""
HURRY = 2.0
"""Seconds that one call may take once the job is being cancelled: GitHub kills it ten seconds after the first signal."""
FIRST_STATUS = 60.0
"""Seconds of the API's patience that the pending status may use up: the verdict is what has to get through."""


def _nothing() -> None:
    """Nobody has to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlets:
    """Where to publish. None, False or empty: not available, or not wanted."""

    command: Callable[[str], None]
    """Prints a line that the runner obeys."""
    say: Callable[[str], None]
    summary: Path | None = None
    outputs: Path | None = None
    api: Api | None = None
    """Talks to GitHub; None where the token may not write."""
    status_sha: str = ""
    """The commit that gets the status."""
    context: str = ""
    status_jobs: int = 1
    comment_on: int | None = None
    """The pull request that gets the comment, if its head still is ``comment_sha``."""
    comment_sha: str = ""
    author: str = ""
    part: Part = field(default_factory=Part)
    """Which of the jobs that share the status this is."""
    label: str = ""
    """The runner label, where the workflow gives one, so that each has its own comment."""
    links: Mapping[str, str]
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What was published."""

    failures: tuple[PublishError, ...] = ()
    """What could not be published, in the order in which it happened."""

    def exit_code(self, verdict_code: int) -> int:
        """The verdict's own code; if that is 0, that of a failure to publish it."""
        return verdict_code or (PublishError.exit_code if self.failures else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictOrigin:
    """What a reader should know of where a verdict comes from."""

    links: Mapping[str, str]
    about: tuple[str, ...]


def verdict_origin(event: Event) -> VerdictOrigin:
    """The page of the run, and the commits: which was proposed, from which it starts, which was measured."""
    shas = [f"head {event.head_sha[:12]}"] if event.head_sha else []
    shas += [f"base {event.base_sha[:12]}"] if event.base_sha else []
    shas += [f"measured {event.measured_sha[:12]}"] if event.measured_sha not in ("", event.head_sha) else []
    links = {"Run": event.run_url} if event.run_url else {}
    return VerdictOrigin(links=links, about=tuple(shas))


def publish(
    record: RunRecord,
    verdict: Verdict,
    results: Results,
    outlets: Outlets,
    *,
    exit_code: int,
    history: Sequence[RunRecord] = (),
    outputs: Mapping[str, str],
    on_published: Callable[[], None] = _nothing,
    awaited: str = "",
) -> Published:
    """Publish a verdict everywhere; failures are collected and reported, never raised.

    history: the accepted runs before this one, oldest first. outputs: more outputs of the step. on_published: called once the
    files hold the verdict: from then on it stands. awaited: what a second job has to decide first; the status stays pending.

    Raises:
        OutputError, StorageError: verdict.md cannot be written.
    """
    marker = marker_of(record.plan, outlets.label)
    plain = markdown(record, verdict, links=outlets.links, history=history[-HISTORY:], about=outlets.about)
    text = f"{marker}\n{_without_marker(plain)}"
    results.write("verdict.md", text)
    outlets.say(f"verdict: {verdict.level.word}. {headline(record, verdict)}")
    attempts = _Attempts(outlets.say)
    if outlets.summary is not None:
        summary = outlets.summary
        page = executive_markdown(record, verdict)
        attempts.attempt(lambda: append_summary(summary, f"{_without_marker(text)}\n{page}"))
    facts = {**_outputs(record, verdict, results, exit_code), **outputs}
    if outlets.outputs is not None:
        # A reader of outputs must find the verdict there, whatever the network does.
        file = outlets.outputs
        attempts.attempt(lambda: append_outputs(file, facts))
    on_published()
    state, said = state_of(verdict, exit_code), headline(record, verdict)
    if awaited:
        state, said = CommitState.PENDING, awaited
    try:
        for line in annotation_lines(_annotations(record, verdict)):
            outlets.command(line)
        _set_status(outlets, attempts, state, said)
        url = _write_comment(outlets, attempts, marker, text)
    except KeyboardInterrupt:
        # The job is being cancelled, and its verdict stands: whoever reads the status has to find it.
        if outlets.api is not None:
            outlets.api.hurry(HURRY)
        _set_status(outlets, attempts, state, said)
        raise
    if outlets.outputs is not None:
        file = outlets.outputs
        attempts.attempt(lambda: append_outputs(file, {"comment-url": url}))
    return Published(failures=tuple(attempts.failures))


def announce(outlets: Outlets, state: CommitState, description: str) -> tuple[PublishError, ...]:
    """Set the status alone: pending at the start, error where there is no verdict."""
    attempts = _Attempts(outlets.say)
    with ExitStack() as limits:
        if state is CommitState.PENDING and outlets.api is not None:
            limits.enter_context(outlets.api.at_most(FIRST_STATUS))
        _set_status(outlets, attempts, state, description)
    return tuple(attempts.failures)


def announce_no_verdict(outlets: Outlets, marker: str, error: VelroError) -> tuple[PublishError, ...]:
    """Say in the status, the comment and the summary that nothing was judged, and why. marker: of the comment."""
    attempts = _Attempts(outlets.say)
    text = summary_of_failure(error, links=outlets.links, about=outlets.about)
    if outlets.summary is not None:
        summary = outlets.summary
        attempts.attempt(lambda: append_summary(summary, text))
    _set_status(outlets, attempts, CommitState.ERROR, f"no verdict: {error.what}")
    _write_comment(outlets, attempts, marker, f"{marker}\n{text}")
    return tuple(attempts.failures)


def state_of(verdict: Verdict, exit_code: int) -> CommitState:
    """The light for a verdict. What must not be merged is never green, and what is nobody's fault is not a failure."""
    if verdict.level is Level.BROKEN:
        return CommitState.ERROR
    return CommitState.FAILURE if exit_code else CommitState.SUCCESS


class _Attempts:
    """Tries one channel after another and keeps the failures."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.failures: list[PublishError] = []

    def attempt(self, act: Callable[[], None]) -> None:
        """Publish one thing; a failure is recorded and shown, and does not keep the rest from being published."""
        try:
            act()
        except PublishError as error:
            self.failures.append(error)
            for line in error.lines("not published"):
                self._say(line)


def _set_status(outlets: Outlets, attempts: _Attempts, state: CommitState, description: str) -> None:
    if outlets.api is None or not outlets.status_sha or not outlets.context:
        return
    api, sha = outlets.api, outlets.status_sha
    link = next(iter(outlets.links.values()), "")
    status = CommitStatus(
        state=state,
        description=description,
        context=outlets.context,
        target_url=link,
        part=outlets.part,
        jobs=outlets.status_jobs,
    )

    def act() -> None:
        """Set the status, and say so where it shows another job's result."""
        shown = set_status(api, sha, status)
        if shown is not state:
            why = "that is another job's result" if shown is not CommitState.PENDING else "other jobs have not finished"
            outlets.say(f"the status {outlets.context} shows {shown.value}: it is shared, and {why}")

    attempts.attempt(act)


def _write_comment(outlets: Outlets, attempts: _Attempts, marker: str, text: str) -> str:
    if outlets.api is None or outlets.comment_on is None:
        return ""
    api, number, urls = outlets.api, outlets.comment_on, []
    body = about_head(text, outlets.comment_sha)

    def act() -> None:
        """Create or update the comment, or report that the pull request has moved on and gets no comment."""
        result = upsert_comment(
            api, number=number, head_sha=outlets.comment_sha, marker=marker, body=body, author=outlets.author
        )
        urls.append(result.url)
        if result.warning:
            outlets.say(f"warning: {result.warning}")
        if result.outcome is CommentOutcome.HEAD_MOVED:
            outlets.say("no comment: the pull request has moved on, and its newest commit has a run of its own")

    attempts.attempt(act)
    return urls[0] if urls else ""


def _without_marker(text: str) -> str:
    """The summary is the comment without the line by which a comment is found again."""
    first, _, rest = text.partition("\n")
    return rest if first.startswith("<!--") else text


def _outputs(record: RunRecord, verdict: Verdict, results: Results, exit_code: int) -> dict[str, str]:
    folder = results.folder.resolve()
    slowest = [found.value for phase in record.phases if (found := phase.measurement(TAIL, ALL_STEPS))]
    return {
        "verdict": verdict.level.word,
        "exit-code": str(exit_code),
        "headline": headline(record, verdict),
        "result-path": str(folder),
        "report-path": str(folder / "report.html"),
        "verdict-path": str(folder / "verdict.json"),
        "summary-path": str(folder / "verdict.md"),
        "compliance-score": _compliance(record, verdict),
        "p95-ms": units.format_decimal(max(slowest) * 1e3, 3) if slowest else "",
    }


def _compliance(record: RunRecord, verdict: Verdict) -> str:
    """The compliance score in percent; empty where the run has none."""
    score = assess(record, verdict).score
    return "" if score is None else units.format_decimal(score * 100.0, 1)


def _annotations(record: RunRecord, verdict: Verdict) -> list[Annotation]:
    """The findings that made the verdict and the warnings, worst first, as far as GitHub shows them."""
    title = f"velro-gate {record.plan.scenario}/{record.plan.profile}"
    return [
        Annotation(
            weight=Weight.ERROR if found.level >= Level.FAIL else Weight.WARNING,
            title=f"{title}: {found.level.word}",
            message=f"{said.sentence}\n{said.advice}" if said.advice else said.sentence,
        )
        for found in sorted(verdict.findings, key=lambda found: -found.level)
        for said in (words(found),)
        if found.level not in (Level.PASS, Level.NO_BASELINE)
    ]


def summary_of_failure(error: VelroError, *, links: Mapping[str, str] = _NONE, about: Sequence[str] = ()) -> str:
    """What people read where there is no verdict: what, where, why, what to do."""
    lines = ["### 🚫 velro-gate: no verdict, please read", "", markdown_text(error.what), ""]
    lines += [f"- {markdown_text(line)}" for line in error.lines()[1:]]
    if links:
        lines += ["", " · ".join(markdown_link(label, url) for label, url in links.items())]
    if about:
        lines += ["", f"<sub>{' · '.join(map(markdown_text, about))}</sub>"]
    return "\n".join([*lines, ""])
