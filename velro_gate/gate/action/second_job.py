"""From the first job of a run to its second one: what looked worse is measured again on another machine.

The first job leaves its record as an archive, and its status stays pending: nothing is merged before the second job has
decided. The second job takes the archive of its own run and of no other, by the id that the runner itself was given, so that no
other run, a fork's least of all, can hand it anything. What it finds is data: schema-checked, capped in size, of the same
commit and plan.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from velro_gate.analysis.stored.confirmation import Repeats
from velro_gate.errors import BrokenError, PublishError, VelroError
from velro_gate.gate.measure.results import Results, make_results, run_id
from velro_gate.github.api import Api
from velro_gate.github.artifacts import artifact_of_run, download_archive, files_in
from velro_gate.github.event import Event
from velro_gate.model.further import Further
from velro_gate.model.record import Plan, RunRecord
from velro_gate.store.codec import CodecError, decode_record, encode_record

FOLDER = "second-job"
RECORD, ORIGIN = "record.json", "origin.json"
ELSEWHERE = "a second job measures it again"
PENDING = "looks worse; a second job measures again before this is decided"
_LEG = re.compile(r"[\w ./:-]{0,200}")
_AGAIN = "Start all jobs of the run again, not this one alone."


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """What the first job has left."""

    record: RunRecord
    leg: str
    """Which job it was, so that the status of this one takes the place of its status."""


def elsewhere(needed: Repeats) -> Further:
    """Runs nothing again here: a second job does."""
    return Further(missing=dict.fromkeys(needed.phases, ELSEWHERE))


def is_awaited(further: Further | None) -> bool:
    """Whether a second job has to measure again before there is a verdict."""
    return further is not None and ELSEWHERE in further.missing.values()


def leave_for_second_job(record: RunRecord, results: Results, event: Event, leg: str) -> Path:
    """Write what the second job needs, and nothing else, into a folder to be uploaded; its path."""
    origin = {"run_id": event.run_id, "head_sha": event.head_sha, "measured_sha": event.measured_sha, "leg": leg}
    results.write(f"{FOLDER}/{ORIGIN}", json.dumps(origin, indent=1, sort_keys=True) + "\n")
    return results.write(f"{FOLDER}/{RECORD}", encode_record(record)).parent.resolve()


def first_of_run(api: Api | None, event: Event, artifact: str, plan: Plan) -> First:
    """What the first job of this very run has left, under the plan of this checkout.

    Raises:
        PublishError: there is no token, or the archive cannot be read. BrokenError: there is no such archive, or it is not of
        this run, this commit or this plan.
    """
    if api is None:
        raise PublishError("the second job has no token to read the first one's archive with", hint="Pass 'token' to it.")
    number = artifact_of_run(api, run_id=event.run_id, name=artifact)
    if number is None:
        raise BrokenError(
            f"this run has no archive {artifact}",
            why="the first job left none, or did not upload it",
            hint="Let the first job upload its output confirmation-path under that name (docs/github.md, A second job).",
        )
    files = files_in(download_archive(api, number), {RECORD, ORIGIN})
    if set(files) != {RECORD, ORIGIN}:
        raise BrokenError("the first job's archive is incomplete", hint=_AGAIN)
    origin = _origin(files[ORIGIN])
    _require_same(origin, event)
    try:
        record = decode_record(files[RECORD].decode("utf-8"))
        started = datetime.strptime(record.started_at, "%Y-%m-%dT%H:%M:%S%z")
    except (UnicodeDecodeError, CodecError, ValueError, VelroError) as error:
        raise BrokenError("the first job's record cannot be used", why=str(error)[:300], hint=_AGAIN) from error
    if (record.plan.scenario, record.plan.profile, record.plan.digest) != (plan.scenario, plan.profile, plan.digest):
        raise BrokenError(
            "the first job measured another plan than this one is to",
            hint="Give both jobs the same scenario, profile and phases.",
        )
    if event.measured_sha and record.revision.sha not in ("", event.measured_sha):
        raise _another(f"it measured {record.revision.sha[:12]}")
    # Named again here: an id from an archive would become a folder's name and a key of the store.
    name = run_id(started, plan.scenario, plan.profile)
    leg = str(origin.get("leg", ""))
    kept = dataclasses.replace(record, id=name, plan=plan, new_levels=())
    return First(record=kept, leg=leg if _LEG.fullmatch(leg) else "")


def take_up(record: RunRecord, output: Path) -> Results:
    """The first run's record in a results folder of this job.

    Raises:
        OutputError, StorageError: it cannot be written.
    """
    results = make_results(output, record.id)
    results.write(RECORD, encode_record(record))
    return results


def _origin(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BrokenError("the first job's archive is damaged", why=type(error).__name__, hint=_AGAIN) from error
    if not isinstance(found, dict):
        raise BrokenError("the first job's archive is damaged", hint=_AGAIN)
    return found


def _require_same(origin: dict[str, Any], event: Event) -> None:
    if origin.get("run_id") != event.run_id:
        raise _another(f"it is of run {origin.get('run_id')!r}"[:80])
    for name, mine in (("head_sha", event.head_sha), ("measured_sha", event.measured_sha)):
        if origin.get(name) != mine:
            raise _another(f"its {name} is another one")


def _another(why: str) -> BrokenError:
    return BrokenError("the first job's record does not belong to this run and commit", why=why, hint=_AGAIN)
