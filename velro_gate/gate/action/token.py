"""A job without a token: it says so, and sets the status to error where one was asked for: a check that never arrives helps
nobody."""

from __future__ import annotations

from velro_gate.errors import UsageError
from velro_gate.gate.action.inputs import Inputs
from velro_gate.gate.action.publish import Outlets
from velro_gate.github.event import Event, Mode


def require_token(event: Event, inputs: Inputs, outlets: Outlets) -> None:
    """Say what cannot be done without a token.

    Raises:
        UsageError: the job is asked to set a status.
    """
    if outlets.api is not None or event.read_only:
        return
    asked_by_hand = event.mode is Mode.DISPATCH and inputs.pull_request is not None
    if inputs.status and (event.mode in (Mode.GATE, Mode.REFRESH) or asked_by_hand):
        raise UsageError(
            "the input token is empty, so the status that was asked for cannot be set",
            where="VELRO_TOKEN",
            why="an expression that names a missing secret gives an empty string",
            hint="Pass 'token: ${{ github.token }}', or set 'status: false' if the status is not required.",
        )
    outlets.say("warning: the input token is empty: no status, no comment, and nothing of a private repository")
