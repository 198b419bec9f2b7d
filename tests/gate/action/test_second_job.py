"""What looks worse in the first job of a run is measured again by a second one, which takes nothing from anybody else."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gate.jobs import GATE, HEAD, MERGE, World, accepted, short, world
from velro_gate.analysis.stored.confirmation import Repeats
from velro_gate.gate.action.inputs import Inputs
from velro_gate.gate.action.second_job import ORIGIN, RECORD, elsewhere
from velro_gate.github.event import Mode
from velro_gate.model.further import Further
from velro_gate.model.record import Revision, RunRecord
from velro_gate.store.codec import decode_record, encode_record

CONFIRM = dataclasses.replace(GATE, mode=Mode.CONFIRM)
FIRST_JOB, SECOND_JOB = {"GITHUB_JOB": "gate"}, {"GITHUB_JOB": "confirm"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("velro_gate.gate.action.job.trusted_plan", lambda *_: short().plan)
    with world(tmp_path) as found:
        found.seed(*map(accepted, range(1, 7)))
        yield found


def again(load: float, runner: str | None = None) -> object:
    def run_again(needed: Repeats) -> Further:
        runs = [dataclasses.replace(short(load=load), id=f"20261122T12000{n}Z-again") for n in range(needed.runs)]
        if runner is not None:
            runs = [dataclasses.replace(run, environment=dataclasses.replace(run.environment, runner=runner)) for run in runs]
        return Further(runs=tuple(runs))

    return run_again


def measured(load: float) -> RunRecord:
    return dataclasses.replace(short(load=load), revision=Revision(sha=MERGE))


def first(here: World, load: float = 1.35) -> dict[str, bytes]:
    """The first job, and the files that it leaves for the second one."""
    here.environ = FIRST_JOB
    code = here.run(GATE, Inputs(second_job=True), made=measured(load), again=elsewhere)
    assert code == 0
    path = here.outputs["confirmation-path"]
    return {name: Path(path, name).read_bytes() for name in (RECORD, ORIGIN)} if path else {}


def upload(here: World, files: dict[str, bytes], *, run_id: int = 77) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    run_of = {"id": run_id, "repository_id": 1, "head_repository_id": 1, "head_branch": "feature", "head_sha": HEAD}
    content = base64.b64encode(archive.getvalue()).decode()
    here.api.state.artifacts.append(
        {"id": 9, "name": Inputs().first_artifact, "expired": False, "workflow_run": run_of, "content": content}
    )


def second(here: World, load: float, runner: str | None = None) -> int:
    here.environ = SECOND_JOB
    return here.run(CONFIRM, Inputs(), again=again(load, runner))  # type: ignore[arg-type]


def test_the_first_job_leaves_the_status_pending_and_its_record_and_the_second_one_decides(here: World) -> None:
    files = first(here)
    assert here.outputs["needs-confirmation"] == "true"
    assert here.lights[-1][:2] == (HEAD, "pending")
    assert "second job" in here.lights[-1][2]
    upload(here, files)
    assert second(here, 1.35) == 1
    assert here.lights[-1][1] == "failure"
    assert "confirmed: 3 of 3" in here.api.state.comments[0]["body"]
    assert len(here.api.state.comments) == 1


def test_a_suspicion_that_the_second_job_refutes_leaves_a_success_in_the_place_of_the_pending_status(here: World) -> None:
    upload(here, first(here))
    assert second(here, 1.0) == 0
    assert here.lights[-1][1] == "success"


def test_a_first_job_without_a_suspicion_needs_no_second_one(here: World) -> None:
    assert first(here, load=1.0) == {}
    assert here.outputs["needs-confirmation"] == "false"
    assert here.lights[-1][1] == "success"


def test_where_no_status_can_hold_the_merge_the_first_job_itself_blocks(here: World) -> None:
    code = here.run(GATE, Inputs(second_job=True, status=False), made=measured(1.35), again=elsewhere)
    assert code == 3
    assert here.outputs["needs-confirmation"] == "true"


def other(files: dict[str, bytes], **changed: object) -> dict[str, bytes]:
    return {**files, ORIGIN: json.dumps({**json.loads(files[ORIGIN]), **changed}).encode()}


def remade(files: dict[str, bytes], **changed: object) -> dict[str, bytes]:
    made: RunRecord = dataclasses.replace(decode_record(files[RECORD].decode()), **changed)  # type: ignore[arg-type]
    return {**files, RECORD: encode_record(made).encode()}


@pytest.mark.parametrize(
    ("change", "run_id", "says"),
    [
        (lambda files: files, 78, "no archive"),
        (lambda files: other(files, run_id=78), 77, "not belong to this run"),
        (lambda files: other(files, head_sha="d" * 40), 77, "not belong to this run"),
        (lambda files: other(files, measured_sha="d" * 40), 77, "not belong to this run"),
        (lambda files: {RECORD: files[RECORD]}, 77, "incomplete"),
        (lambda files: {**files, ORIGIN: b"[" * 100_000}, 77, "damaged"),
        (lambda files: {**files, RECORD: b"{}"}, 77, "cannot be used"),
        (lambda files: remade(files, plan=dataclasses.replace(short().plan, digest="e" * 64)), 77, "another plan"),
    ],
)
@pytest.mark.hostile("forged artifacts")
def test_what_is_not_of_this_very_run_commit_and_plan_is_refused_and_the_status_stays_pending(
    here: World, change: object, run_id: int, says: str
) -> None:
    files = first(here)
    upload(here, change(files), run_id=run_id)  # type: ignore[operator]
    assert second(here, 1.0) == 4
    assert says in "\n".join(here.said)
    assert here.lights[-1][1] == "pending"


@pytest.mark.hostile("forged artifacts")
def test_a_forks_run_has_no_second_job(here: World) -> None:
    here.environ = SECOND_JOB
    assert here.run(dataclasses.replace(CONFIRM, fork=True), Inputs(), again=again(1.0)) == 2  # type: ignore[arg-type]


def test_another_machine_without_baselines_of_its_own_cannot_speak_and_the_suspicion_stays(here: World) -> None:
    upload(here, first(here))
    assert second(here, 1.0, "elsewhere-9") == 3
    assert "no baselines of its own" in here.api.state.comments[0]["body"].replace("\N{NO-BREAK SPACE}", " ")


def test_another_machine_is_compared_with_its_own_baselines_however_fast_it_is(here: World) -> None:
    twice_as_slow = [
        dataclasses.replace(
            short(load=2.0 + 0.002 * number),
            id=f"{accepted(number).id}-b",
            started_at=accepted(number).started_at,
            environment=dataclasses.replace(short().environment, runner="elsewhere-9"),
        )
        for number in range(1, 7)
    ]
    here.seed(*twice_as_slow)
    upload(here, first(here))
    assert second(here, 2.0, "elsewhere-9") == 0
    assert here.lights[-1][1] == "success"
