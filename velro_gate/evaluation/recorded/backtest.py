"""The backtest: every run that a folder holds, judged again under another policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from velro_gate.errors import RecordError, UsageError
from velro_gate.evaluation.recorded.archive import ArchivedRun, read_archive
from velro_gate.evaluation.recorded.flips import Rejudged, RunKind
from velro_gate.evaluation.recorded.rejudge import rejudged
from velro_gate.scenario import load_scenario


def policy_of(scenario: Path, environ: Mapping[str, str]) -> dict[str, object]:
    """The policy of a scenario file, field by field.

    Raises:
        ScenarioError: the file has faults.
    """
    # Nothing is sent, so any address will do where the file takes it from the environment.
    policy = load_scenario(scenario, {"VELRO_API_URL": "http://127.0.0.1", **environ}).policy
    return {**asdict(policy), "primary": policy.primary}


def backtest(root: Path, changed: Mapping[str, object], say: Callable[[str], None] = lambda _: None) -> Iterator[Rejudged]:
    """The runs of a folder, oldest first. changed: fields of the policy and their other values. say: called with what is
    skipped.

    Raises:
        UsageError: nothing is changed, or no policy can have these values. RecordError: the folder holds no run.
    """
    if not changed:
        raise UsageError("nothing is changed", hint="Name another policy: --policy FILE, --margin 3%, --max-baselines 5, ...")
    found = read_archive(root)
    for sentence in found.skipped:
        say(sentence)
    if not found.runs:
        raise RecordError("the folder holds no run", where=str(root), hint="Name one with results folders or baselines in it.")
    accepted = [kept.record for kept in found.runs if kept.baseline]
    own = {kept.record.id for kept in found.runs if not kept.baseline}
    for kept in found.runs:
        # A run that became a baseline lies there twice; its own folder knows more.
        if kept.baseline and kept.record.id in own:
            continue
        try:
            yield rejudged(kept.record, kept.duet, accepted, changed, kind=_kind(kept), place=str(kept.path.relative_to(root)))
        except ValueError as error:
            raise UsageError("no policy can have these values", why=str(error)) from error


def _kind(kept: ArchivedRun) -> RunKind:
    if kept.duet is not None:
        return RunKind.DUET
    return RunKind.BASELINE if kept.baseline else RunKind.RUN
