"""The reporter for forks: decides and renders anew, and nothing that an archive holds can do more than be wrong."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gate.jobs import GATE, HEAD, World, accepted, world
from tests.github.stand_in import State
from tests.report.hostile import SENTENCE
from tests.report.records import record
from velro_gate.gate.action.fork_report import trusted_plan
from velro_gate.gate.action.inputs import Inputs
from velro_gate.github.event import Event, Mode, TriggeringRun
from velro_gate.model.metrics import LEAKS
from velro_gate.model.record import Estimate, PhaseSummary, RunRecord
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.store.codec import encode_record

pytestmark = pytest.mark.hostile("fork reporter")

RUN = 5
SOURCE = TriggeringRun(run_id=RUN, event="pull_request", head_owner="mallory", head_branch="feature", head_sha=HEAD)
REPORT = Event(
    mode=Mode.REPORT,
    reason="test",
    name="workflow_run",
    repository="acme/shop",
    default_branch="main",
    head_sha=HEAD,
    run_id=78,
    source=SOURCE,
)
ENVIRONMENT = "forks"
INPUTS = Inputs(profile="full", fork_environment=ENVIRONMENT)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    state = State()
    state.pull(7, HEAD, head_owner="mallory")
    state.approvals[str(RUN)] = [("approved", "Forks")]
    with world(tmp_path, state) as made:
        yield made


def honest(**changed: Any) -> RunRecord:
    """A run under the plan that the shipped scenario has here."""
    made = record(**changed)
    plan = trusted_plan(INPUTS, {})
    made = dataclasses.replace(made, phases=tuple(map(without_leaks, made.phases)))
    return dataclasses.replace(made, plan=dataclasses.replace(made.plan, digest=plan.digest))


def without_leaks(phase: PhaseSummary) -> PhaseSummary:
    """The phase with what the shipped plan requires of one that lasts: nothing grew."""
    steady = {metric: Estimate(value=0.0, low=-0.001, high=0.001, n=60) for metric in LEAKS}
    return dataclasses.replace(
        phase,
        steps=tuple(
            dataclasses.replace(each, measurements={**each.measurements, **steady}) if each.step == ALL_STEPS else each
            for each in phase.steps
        ),
    )


def archive(files: dict[str, bytes | str], compress: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compress) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return packed.getvalue()


def upload(here: World, content: bytes, *, name: str = "velro-fork-report", run: int = RUN, number: int = 3) -> None:
    run_of = {"id": run, "repository_id": 1, "head_repository_id": 2, "head_branch": "feature", "head_sha": HEAD}
    here.api.state.artifacts.append(
        {"id": number, "name": name, "expired": False, "workflow_run": run_of, "content": base64.b64encode(content).decode()}
    )


def report(here: World, content: bytes | None) -> int:
    if content is not None:
        upload(here, content)
    return here.run(REPORT, INPUTS)


def refused(here: World) -> str:
    """What the status says where there is no verdict; the comment says the same, and nothing that was in the archive."""
    (comment,) = here.api.state.comments
    assert "no verdict, please read" in comment["body"]
    assert comment["issue"] == 7
    ((sha, state, said),) = here.lights
    assert (sha, state) == (HEAD, "error")
    assert said.startswith("no verdict: ")
    return said


def test_a_forks_run_is_reported_on_its_pull_request(here: World) -> None:
    assert report(here, archive({"record.json": encode_record(honest())})) == 0
    assert here.lights[-1][:2] == (HEAD, "success")
    (comment,) = here.api.state.comments
    assert "nobody else measured them" in comment["body"].split("#### Trust")[1].split("#### What to do next")[0]
    assert "actions/runs/5" in comment["body"]


def test_a_forks_failure_is_a_failure_and_the_reporter_itself_succeeds(here: World) -> None:
    assert report(here, archive({"record.json": encode_record(honest(load=2.3))})) == 0
    assert here.lights[-1][:2] == (HEAD, "failure")


def test_the_forks_own_requirements_count_for_nothing(here: World) -> None:
    made = honest(load=2.3)
    lax = tuple(dataclasses.replace(phase, requirements=()) for phase in made.plan.phases)
    made = dataclasses.replace(made, plan=dataclasses.replace(made.plan, phases=lax))
    report(here, archive({"record.json": encode_record(made)}))
    assert here.lights[-1][1] == "failure"


def test_a_fork_that_changes_the_scenario_is_not_judged(here: World) -> None:
    report(here, archive({"record.json": encode_record(record())}))
    assert "another plan" in refused(here)


def test_a_pull_request_that_moved_on_gets_no_comment(here: World) -> None:
    here.api.state.pulls[0]["head_sha"] = "d" * 40
    assert report(here, archive({"record.json": encode_record(honest())})) == 0
    assert here.lights == []
    assert here.api.state.comments == []


def test_another_pull_request_cannot_be_named(here: World) -> None:
    here.api.state.pull(8, "e" * 40)
    claim = json.dumps({"number": 8, "pull_request": 8, "head_sha": "e" * 40})
    report(here, archive({"record.json": encode_record(honest()), "event.json": claim}))
    assert {one["issue"] for one in here.api.state.comments} == {7}


def test_a_run_that_left_nothing_is_reported_as_such(here: World) -> None:
    report(here, None)
    assert "left no result" in refused(here)
    assert "A maintainer can approve this commit" in here.api.state.comments[0]["body"]


# What a stranger's own workflow has made up.


def forged() -> bytes:
    return archive({"record.json": encode_record(honest())})


def downloads(here: World) -> list[str]:
    return [call["path"] for call in here.api.state.calls if "/artifacts" in call["path"]]


def test_without_an_environment_nothing_that_a_fork_measured_is_taken(here: World) -> None:
    upload(here, forged())
    assert here.run(REPORT, Inputs(profile="full")) == 0
    assert "results from forks are not accepted" in refused(here)
    assert downloads(here) == []


@pytest.mark.parametrize(
    "approvals",
    [[], [("rejected", "forks")], [("pending", "forks")], [("approved", "production")]],
    ids=["none", "rejected", "pending", "for another environment"],
)
def test_a_run_that_no_reviewer_has_approved_is_not_taken(here: World, approvals: list[tuple[str, str]]) -> None:
    here.api.state.approvals[str(RUN)] = approvals
    assert report(here, forged()) == 0
    assert "no reviewer of the environment forks has approved this run" in refused(here)
    assert downloads(here) == []


@pytest.mark.parametrize(
    "name", [".github/workflows/perf-gate.yml", ".github/workflows/new.yml", ".github/actions/x/action.yml"]
)
def test_a_pull_request_that_changes_what_measures_it_is_not_judged(here: World, name: str) -> None:
    here.api.state.pulls[0]["files"] = [*(f"src/{number}.py" for number in range(150)), name]
    report(here, forged())
    assert "changes what measures it" in refused(here)


def test_an_action_in_the_repository_is_part_of_what_measures(here: World) -> None:
    here.environ |= {"GITHUB_WORKSPACE": "/w", "VELRO_ACTION": "/w/./tools/gate"}
    here.api.state.pulls[0]["files"] = ["tools/gate/scripts/run.sh"]
    report(here, forged())
    assert "changes what measures it" in refused(here)


def test_figures_of_others_are_never_no_action_needed(here: World) -> None:
    plan = dataclasses.replace(record().plan, digest=trusted_plan(INPUTS, {}).digest)
    here.seed(*(dataclasses.replace(accepted(number, record()), plan=plan) for number in range(1, 7)))
    report(here, forged())
    body = here.api.state.comments[0]["body"]
    assert "please read" in body
    assert "no action needed" not in body
    assert "Nothing to do" not in body


def test_a_persons_branch_is_left_to_its_own_gate(here: World) -> None:
    here.api.state.pulls[0] |= {"head_owner": "acme", "head_branch": "dependabot-groups"}
    source = dataclasses.replace(SOURCE, head_owner="acme", head_branch="dependabot-groups")
    assert here.run(dataclasses.replace(REPORT, source=source), INPUTS) == 0
    assert (here.lights, here.api.state.comments) == ([], [])
    here.api.state.pulls[0]["author"] = "dependabot[bot]"
    here.run(dataclasses.replace(REPORT, source=source), INPUTS)
    assert here.lights[-1][1] == "error"


@pytest.mark.parametrize("code", [0, 1])
def test_a_forks_pull_request_of_a_commit_that_a_gate_has_judged_changes_nothing(here: World, code: int) -> None:
    here.api.state.pull(8, HEAD)
    gate = dataclasses.replace(GATE, pull_request=8)
    assert here.run(gate, made=record(load=2.3) if code else None) == code
    before = (here.lights, list(here.api.state.comments))
    assert report(here, forged()) == 0
    assert (here.lights, here.api.state.comments) == before


def test_a_report_of_a_fork_does_not_hold_up_the_gate_of_the_same_commit(here: World) -> None:
    here.run(REPORT, Inputs(profile="full"))
    here.api.state.pull(8, HEAD)
    assert here.run(dataclasses.replace(GATE, pull_request=8)) == 0
    assert here.lights[-1][1] == "success"


def test_of_two_pull_requests_of_one_branch_the_one_into_the_gated_branch_gets_the_comment(here: World) -> None:
    here.api.state.pulls[0]["base_branch"] = "develop"
    here.api.state.pull(9, HEAD, head_owner="mallory")
    report(here, forged())
    assert {one["issue"] for one in here.api.state.comments} == {9}


@pytest.mark.parametrize("conclusion", ["failure", "cancelled", "timed_out", "success"])
def test_a_run_that_was_approved_and_failed_is_not_advised_to_wait_for_an_approval(here: World, conclusion: str) -> None:
    here.run(dataclasses.replace(REPORT, source=dataclasses.replace(SOURCE, conclusion=conclusion)), INPUTS)
    assert "left no result" in refused(here)
    body = here.api.state.comments[0]["body"]
    assert f"ended as '{conclusion}'" in body
    assert "gets no secrets" in body
    assert "can approve" not in body


def test_a_verdict_takes_the_place_of_the_comment_that_there_was_none(here: World) -> None:
    report(here, None)
    report(here, archive({"record.json": encode_record(honest())}))
    (comment,) = here.api.state.comments
    assert "no verdict" not in comment["body"]


def test_an_archive_of_another_run_or_name_is_not_taken(here: World) -> None:
    content = archive({"record.json": encode_record(honest())})
    upload(here, content, run=6, number=4)
    upload(here, content, name="other", number=5)
    here.run(REPORT, INPUTS)
    assert "left no result" in refused(here)


HUGE = b"[" + b"0," * 3_000_000 + b"0]"
MALICIOUS: dict[str, bytes] = {
    "no archive": b"this is no archive",
    "nothing": b"",
    "a cut archive": archive({"record.json": "{}" * 1_000})[:60],
    "no record": archive({"other.json": "{}"}),
    "a bomb": archive({"record.json": HUGE}),
    "deep": archive({"record.json": "[" * 100_000}),
    "deep objects": archive({"record.json": '{"schema": 1, "plan": ' + '{"a":' * 50_000}),
    "a wrong schema": archive({"record.json": json.dumps({"schema": 1, "id": "x"})}),
    "another version": archive({"record.json": json.dumps({"schema": 99})}),
    "a list": archive({"record.json": "[]"}),
    "no text": archive({"record.json": b"\xff\xfe\x00"}),
    "not a number": archive({"record.json": '{"schema": 1, "x": NaN}'}),
    "a number without end": archive({"record.json": '{"schema": ' + "9" * 5_000 + "}"}),
    "a figure that is infinite": archive({"record.json": '{"schema": 1, "x": 1e999}'}),
    "half a character": archive({"record.json": '{"schema": 1, "id": "\\ud800"}'}),
    "many entries": archive({f"{number}.json": "" for number in range(1_500)}),
    "a path that leads out": archive({"../record.json": "{}", "/etc/record.json": "{}", "a/../../record.json": "{}"}),
}


@pytest.mark.parametrize("name", MALICIOUS)
def test_a_malicious_archive_comes_to_an_error_in_words_and_to_nothing_else(here: World, name: str) -> None:
    before = set(here.folder.parent.rglob("record.json"))
    assert report(here, MALICIOUS[name]) == 0
    refused(here)
    assert set(here.folder.parent.rglob("record.json")) == before


def test_an_archive_beyond_the_limit_is_not_read(here: World) -> None:
    report(here, archive({"record.json": bytes(21_000_000)}, zipfile.ZIP_STORED))
    assert "too large" in refused(here)


def test_a_name_that_stands_twice_is_refused(here: World) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr("record.json", encode_record(honest()))
        with pytest.warns(UserWarning, match="Duplicate"):
            opened.writestr("record.json", encode_record(honest(load=2.3)))
    report(here, packed.getvalue())
    refused(here)


def test_text_in_a_record_becomes_no_markup_no_mention_and_no_command(here: World) -> None:
    made = honest()
    evil = f"::error::pwned {SENTENCE}"
    made = dataclasses.replace(
        made,
        id=evil,
        tool=evil,
        url=evil,
        notes=(evil,) * 3,
        environment=dataclasses.replace(made.environment, runner=evil, cpu_model=evil),
        phases=tuple(dataclasses.replace(phase, service_gone=evil) for phase in made.phases),
    )
    report(here, archive({"record.json": encode_record(made)}))
    (comment,) = here.api.state.comments
    assert "<img" not in comment["body"]
    assert "@everyone" not in comment["body"]
    assert not [line for line in here.commands if not line.startswith(("::error title=", "::warning title="))]
    assert all("\n" not in line for line in here.commands)
    (folder,) = (here.folder / "results").iterdir()
    assert folder.name == "20261123T120000.000000Z-velro-prd-full"


@pytest.mark.parametrize("began", ["", "soon", "2026-11-23T12:00:00Z/../../x", "9999-99-99T99:99:99Z"])
def test_a_record_that_does_not_say_when_it_began_is_refused(here: World, began: str) -> None:
    report(here, archive({"record.json": encode_record(dataclasses.replace(honest(), started_at=began))}))
    refused(here)


def test_a_record_whose_figures_make_no_sense_is_never_green(here: World) -> None:
    made = honest()
    phases = tuple(
        dataclasses.replace(phase, measured_seconds=-1.0, steps=(), windows=(), users=-5, offered_rate=0.0)
        for phase in made.phases
    )
    assert report(here, archive({"record.json": encode_record(dataclasses.replace(made, phases=phases))})) == 0
    assert here.lights[-1][1] == "error"


def test_the_baselines_are_those_of_the_repository(here: World) -> None:
    plan = dataclasses.replace(record().plan, digest=trusted_plan(INPUTS, {}).digest)
    here.seed(*(dataclasses.replace(accepted(number, record()), plan=plan) for number in range(1, 7)))
    report(here, archive({"record.json": encode_record(honest(load=1.5))}))
    assert here.lights[-1][1] == "failure"
    assert "rose" in here.api.state.comments[0]["body"]


def test_baselines_that_cannot_be_fetched_are_reported_on_the_pull_request_and_fail_the_reporter(here: World) -> None:
    here.git_url = "http://127.0.0.1:9"
    assert report(here, archive({"record.json": encode_record(honest())})) == 4
    assert "the baselines cannot be fetched" in refused(here)


def test_a_scenario_of_our_own_that_cannot_be_used_leaves_an_error_status(here: World) -> None:
    assert here.run(REPORT, dataclasses.replace(INPUTS, profile="no-such-profile")) == 2
    assert here.lights[-1][:2] == (HEAD, "error")
