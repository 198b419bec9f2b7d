"""What a job may publish, and where: from its event, its inputs and what is checked out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from velro_gate.errors import BrokenError, UsageError
from velro_gate.gate.action.inputs import Inputs
from velro_gate.gate.action.publish import Outlets
from velro_gate.github.channels.status import Part
from velro_gate.github.event import Event, Mode
from velro_gate.github.pulls import pull_request

_SHIPPED = "velro-prd"
UNSEEN = "the measured commit is the one that GitHub names: the workspace is not a git checkout"
UNSEEN_ADVICE = "Check the code out with actions/checkout before the gate, so that the commit can be looked at."


def part_of(event: Event, inputs: Inputs, environ: Mapping[str, str]) -> Part:
    """Which part of a status this job's verdict is: two scenarios, profiles, runner labels, or jobs of one run are two."""
    names = (str(inputs.scenario or _SHIPPED), inputs.profile, "+".join(inputs.phases), inputs.runner)
    # Not the runner's name: a job that is repeated may land on another machine.
    leg = f"{environ.get('GITHUB_JOB', '')}/{environ.get('VELRO_JOB_INDEX', '')}"
    return Part(key=" ".join(filter(None, names)), run=event.run_id, leg=leg, reported=event.mode is Mode.REPORT)


def artifact_name(event: Event, part: Part) -> str:
    """A name for the reports of this job that no other job of the run has, and no other attempt of it."""
    words = re.sub(r"[^A-Za-z0-9._]+", "-", f"{part.leg} {part.key}").strip("-")
    return f"velro-reports-{words}-{event.run_attempt}"


def aimed(event: Event, inputs: Inputs, outlets: Outlets) -> Outlets:
    """The outlets with what the event and the inputs leave of them.

    Raises:
        UsageError: a dispatch names a pull request whose head is not what is checked out. PublishError: it cannot be read.
    """
    if event.read_only:
        return replace(outlets, api=None)
    if not inputs.status:
        outlets = replace(outlets, context="")
    if event.judges_change:
        return replace(outlets, comment_on=event.pull_request if inputs.comment else None)
    if event.mode is Mode.DISPATCH:
        return _aimed_by_hand(event, inputs, outlets)
    if event.mode is Mode.REFRESH and event.measures_head:
        return outlets
    if event.mode is Mode.REFRESH:
        outlets.say(
            f"no status: {event.head_sha[:12]} was pushed, and {event.measured_sha[:12]} is checked out; "
            "what is measured is stored under its own commit"
        )
    return replace(outlets, status_sha="")


def require_head(event: Event) -> None:
    """Refuse to judge a proposed change by another commit.

    Raises:
        BrokenError: neither the head nor its merge with the base is checked out.
    """
    if not event.judges_change or event.measures_head or event.unseen:
        return
    raise BrokenError(
        f"{event.measured_sha[:12]} is checked out, which is neither the head {event.head_sha[:12]} nor GitHub's merge of it",
        why="the verdict on another commit says nothing about this one",
        hint="Leave out 'ref' of actions/checkout, or give it github.event.pull_request.head.sha. If the merge is older than "
        "the head, this run was started before the last push: start it again.",
    )


def _aimed_by_hand(event: Event, inputs: Inputs, outlets: Outlets) -> Outlets:
    """A dispatch sets a status only on a pull request that was named, and only if its head is what is checked out."""
    number = inputs.pull_request
    if number is None or outlets.api is None:
        return replace(outlets, status_sha="")
    head = pull_request(outlets.api, number).head_sha
    if event.unseen:
        raise UsageError(
            f"nobody knows whether the head of pull request {number} is what this run measures",
            why=f"git names no commit in the workspace: {event.unseen}",
            hint=UNSEEN_ADVICE,
        )
    if head != event.measured_sha:
        raise UsageError(
            f"pull request {number} is at {head[:12]}, and this run is of {event.measured_sha[:12]}",
            why="a status on a commit that was not measured would be wrong",
            hint="Start the workflow on the pull request's branch.",
        )
    return replace(outlets, status_sha=head)
