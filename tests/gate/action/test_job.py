"""One job from its event to its exit code: what is told where, in which order, and what a failure to tell may change."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.analysis.banks import bank
from tests.gate.jobs import BASE, GATE, HEAD, MERGE, NIGHTLY, REFRESH, World, accepted, short, world
from tests.github.git_server import git, protect_branches
from velro_gate.analysis.stored.confirmation import Repeats
from velro_gate.analysis.verdict.selftest import selftest_of
from velro_gate.errors import BrokenError, InfeasibleError, InterruptedRunError, PublishError, UsageError
from velro_gate.gate.action.inputs import Inputs
from velro_gate.gate.action.store_kind import StoreKind
from velro_gate.gate.action.stores import StoredRun
from velro_gate.gate.judge.push import Figures
from velro_gate.github.event import Event, Mode
from velro_gate.model.further import Further
from velro_gate.model.selftest import Selftest


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def failing() -> object:
    return short(load=2.3)


def test_a_pull_request_gets_a_pending_and_then_a_final_status_and_a_comment(here: World) -> None:
    assert here.run() == 0
    assert [(sha, state) for sha, state, _ in here.lights] == [(HEAD, "pending"), (HEAD, "success")]
    (comment,) = here.api.state.comments
    assert comment["body"].splitlines()[1].startswith("### ")
    assert here.outputs["comment-url"].endswith(f"#issuecomment-{comment['id']}")
    assert f"head {HEAD[:12]} · base {BASE[:12]} · measured {MERGE[:12]}" in comment["body"]


def test_a_failed_gate_is_a_failure_everywhere(here: World) -> None:
    assert here.run(made=short(load=2.3)) == 1
    assert here.lights[-1][:2] == (HEAD, "failure")
    assert "fail, please read" in here.api.state.comments[0]["body"]
    assert here.outputs["verdict"] == "fail"
    assert here.outputs["exit-code"] == "1"
    assert any(line.startswith("::error ") for line in here.commands)


def test_a_broken_run_is_an_error_and_no_failure(here: World) -> None:
    assert here.run(made=short(connections=None)) == 4
    assert here.lights[-1][:2] == (HEAD, "error")


def test_the_second_push_updates_the_same_comment(here: World) -> None:
    here.run()
    here.run(made=short(load=2.3))
    (comment,) = here.api.state.comments
    assert comment["edits"] == 1
    assert "fail, please read" in comment["body"]


def test_the_outputs_say_what_the_verdict_says(here: World) -> None:
    here.run()
    found = here.outputs
    verdict = json.loads(Path(found["verdict-path"]).read_text(encoding="utf-8"))
    assert found["verdict"] == verdict["verdict"] == "no-baseline"
    assert found["headline"] == verdict["headline"]
    assert found["compliance-score"] == "100.0"
    assert float(found["p95-ms"]) == pytest.approx(46.44, abs=0.1)
    assert Path(found["report-path"]).is_file()
    assert found["baseline-updated"] == "false"


def test_a_broken_run_has_no_compliance_score(here: World) -> None:
    assert here.run(made=short(connections=None)) == 4
    assert here.outputs["verdict"] == "broken"
    assert here.outputs["compliance-score"] == ""


def test_a_scaled_plan_has_no_compliance_score_since_it_does_not_prove_the_prd(here: World) -> None:
    here.run(made=short(profile="quick"))
    assert "does not prove the PRD" in here.summary
    assert here.outputs["compliance-score"] == ""


def test_a_run_that_misses_requirements_has_a_lower_compliance_score(here: World) -> None:
    assert here.run(made=short(load=2.3)) == 1
    verdict = json.loads(Path(here.outputs["verdict-path"]).read_text(encoding="utf-8"))
    score = verdict["compliance"]["score"]
    assert 0.0 < score < 1.0
    assert here.outputs["compliance-score"] == f"{100.0 * score:.1f}"


def test_the_summary_is_the_comment_without_its_marker_and_the_executive_summary(here: World) -> None:
    here.run()
    marker, *shown, about, _ = here.api.state.comments[0]["body"].split("\n")
    comment, heading, page = here.summary.partition("\n### Executive summary: ")
    assert comment.rstrip().split("\n") == "\n".join(shown).rstrip().split("\n")
    assert heading
    assert page.startswith("Ready with reservations\n")
    assert (marker[:5], about) == ("<!-- ", f"<!-- velro-gate-head:{HEAD} -->")


# Publishing fails: the verdict stays.


def test_files_and_summary_are_written_before_the_network_is_touched(here: World) -> None:
    seen: list[bool] = []

    def look(method: str, path: str) -> None:
        if method == "POST" and "statuses" in path:
            written = "### " in here.summary and "verdict" in here.outputs
            seen.append(written)

    here.api.before = look
    here.run()
    assert seen == [False, True]  # pending comes before the load, the final one after everything is on the disk


@pytest.mark.parametrize("fault", [401, 403, 404, 409, 422, 429, 500, 502, "reset", "half"])
def test_a_verdict_that_cannot_be_reported_keeps_its_files_and_ends_with_5(here: World, fault: int | str) -> None:
    here.api.fail(fault, times=10_000)
    assert here.run() == 5
    assert here.outputs["verdict"] == "no-baseline"
    assert here.summary.startswith("### ")
    assert [line for line in here.said if line.startswith("not published: ")]


@pytest.mark.hostile("statuses and comments")
def test_a_network_that_hangs_ends_with_5(here: World) -> None:
    here.api.fail("hang", times=10_000)
    assert here.run(timeout=0.1) == 5
    # What the job ends with, and the verdict as it is.
    assert (here.outputs["exit-code"], here.outputs["verdict"]) == ("5", "no-baseline")


def test_a_failed_verdict_that_cannot_be_reported_stays_a_failed_verdict(here: World) -> None:
    here.api.fail(403, times=10_000)
    assert here.run(made=short(load=2.3)) == 1


def test_a_missing_permission_for_comments_is_named_and_the_status_is_set_all_the_same(here: World) -> None:
    here.api.state.permissions["pull-requests"] = "read"
    assert here.run() == 5
    assert here.lights[-1][1] == "success"
    assert any("'pull-requests: write' under 'permissions:'" in line for line in here.said)


def test_what_is_not_wanted_is_not_reported(here: World) -> None:
    assert here.run(inputs=Inputs(comment=False, status=False)) == 0
    assert here.api.state.comments == []
    assert here.lights == []


def test_a_head_that_moved_on_gets_no_comment(here: World) -> None:
    def moves() -> None:
        here.api.state.pulls[0]["head_sha"] = "d" * 40

    assert here.run(before=moves) == 0
    assert here.api.state.comments == []
    assert here.outputs["comment-url"] == ""
    assert any("moved on" in line for line in here.said)


# No verdict.


def test_a_run_that_cannot_be_made_leaves_an_error_status_and_a_summary(here: World) -> None:
    assert here.run(fails=InfeasibleError("5,000 users need 5,010 descriptors", hint="Raise the limit.")) == 4
    assert here.lights[-1] == (HEAD, "error", "no verdict: 5,000 users need 5,010 descriptors")
    assert "no verdict, please read" in here.summary
    assert here.outputs["exit-code"] == "4"


def test_a_comment_of_an_older_commit_gives_way_to_the_reason_why_there_is_no_verdict(here: World) -> None:
    here.run(inputs=Inputs(profile="full"))
    here.run(inputs=Inputs(profile="full"), fails=InfeasibleError("5,000 users need 5,010 descriptors"))
    (comment,) = here.api.state.comments
    assert "no verdict, please read" in comment["body"]
    assert "5,010 descriptors" in comment["body"]


@pytest.mark.hostile("statuses and comments")
def test_a_cancelled_run_leaves_an_error_status_and_130(here: World) -> None:
    assert here.run(fails=InterruptedRunError("the run was interrupted")) == 130
    assert here.api.state.comments == []
    assert here.lights[-1] == (HEAD, "error", "no verdict: cancelled")


def test_a_partial_record_is_kept_and_not_judged(here: World) -> None:
    assert here.run(made=short(only=2)) == 130
    assert here.lights[-1][1] == "error"
    assert list((here.folder / "results").glob("*/verdict.json"))


def test_a_fault_of_our_own_leaves_an_error_status_too(here: World) -> None:
    with pytest.raises(ZeroDivisionError):
        here.run(fails=ZeroDivisionError("ours"))
    assert here.lights[-1] == (HEAD, "error", "no verdict: velro-gate itself failed: ZeroDivisionError")


@pytest.mark.hostile("statuses and comments")
def test_a_cancellation_during_the_first_status_ends_in_an_error_and_not_in_pending(here: World) -> None:
    def later(seconds: float) -> None:
        here.sleeping = None
        raise KeyboardInterrupt

    here.api.fail(502, method="POST", path="/statuses/", times=1)
    here.sleeping = later
    with pytest.raises(KeyboardInterrupt):
        here.run()
    assert here.lights == [(HEAD, "error", "no verdict: cancelled")]
    assert here.outputs["exit-code"] == "130"


# Once a verdict is told it stands.


class Cancelling:
    """A store whose baseline is being pushed when the job is cancelled."""

    def bring(self, folder: Path) -> tuple[str, ...]:
        return ()

    def keep(self, record: object, acceptance: object) -> StoredRun:
        raise KeyboardInterrupt


@pytest.mark.hostile("statuses and comments")
def test_a_cancellation_while_the_baseline_is_pushed_changes_nothing_about_the_verdict(here: World) -> None:
    here.instead = Cancelling()
    with pytest.raises(KeyboardInterrupt):
        here.run(REFRESH)
    assert here.lights[-1][:2] == (HEAD, "success")
    outputs = here.outputs
    assert (outputs["verdict"], outputs["exit-code"], outputs["baseline-updated"]) == ("no-baseline", "130", "false")
    assert "no verdict" not in here.summary


@pytest.mark.hostile("statuses and comments")
def test_a_cancellation_before_the_final_status_has_arrived_sets_it_all_the_same(here: World) -> None:
    waits: list[float] = []

    def later(seconds: float) -> None:
        waits.append(seconds)
        # The pending status waits for nothing; the final one is refused once, and its next try is cut short.
        if len(here.api.state.statuses) == 1 and len(waits) == 1:
            raise KeyboardInterrupt

    here.sleeping = later
    here.api.fail(502, method="GET", path="/commits/.*/statuses", times=1)
    with pytest.raises(KeyboardInterrupt):
        here.run()
    assert [state for _, state, _ in here.lights] == ["pending", "success"]
    assert here.outputs["exit-code"] == "130"


def test_a_baseline_that_cannot_be_pushed_shows_in_the_exit_code_and_leaves_the_verdict(here: World) -> None:
    protect_branches(here.bare, ["main"])
    assert here.run(REFRESH, Inputs(store=StoreKind.PUSH), made=accepted(1)) == 5
    assert (here.outputs["exit-code"], here.outputs["verdict"]) == ("5", "no-baseline")


class Takes:
    """A server that takes figures, or refuses them."""

    def __init__(self, refuses: bool = False) -> None:
        self.refuses, self.got = refuses, list[Figures]()

    def push(self, figures: Figures) -> str:
        self.got.append(figures)
        if self.refuses:
            raise PublishError("refused", where="push.example")
        return "push.example"


def test_the_figures_of_main_are_pushed_and_those_of_a_pull_request_are_not(here: World) -> None:
    server = Takes()
    here.pushed = (server,)
    assert here.run() == 0
    assert server.got == []
    assert here.run(REFRESH) == 0
    assert "velro_gate_verdict" in server.got[0].text
    assert "pushed to push.example" in here.said


def test_a_push_that_is_refused_is_said_and_changes_nothing(here: World) -> None:
    here.pushed = (Takes(refuses=True), server := Takes())
    assert here.run(REFRESH) == 0
    assert here.outputs["exit-code"] == "0"
    assert "not pushed: refused" in here.said
    assert len(server.got) == 1


# What is checked out is what is measured.


@pytest.mark.hostile("statuses and comments")
def test_another_commit_than_the_heads_is_not_measured_and_its_status_says_so(here: World) -> None:
    event = dataclasses.replace(GATE, measured_sha=BASE, parents=())
    assert here.run(event, fails=AssertionError("measured")) == 4
    assert here.lights[-1][:2] == (HEAD, "error")
    assert f"{BASE[:12]} is checked out" in here.api.state.comments[0]["body"]


@pytest.mark.hostile("statuses and comments")
def test_the_merge_of_an_older_head_is_not_measured(here: World) -> None:
    event = dataclasses.replace(GATE, parents=(BASE, "d" * 40))
    assert here.run(event, fails=AssertionError("measured")) == 4
    assert here.lights[-1][1] == "error"


@pytest.mark.hostile("statuses and comments")
def test_a_push_that_checked_out_another_commit_stores_it_and_sets_no_status(here: World) -> None:
    event = dataclasses.replace(REFRESH, measured_sha=BASE, parents=())
    assert here.run(event, made=accepted(1)) == 0
    assert here.lights == []
    assert here.outputs["baseline-updated"] == "true"


@pytest.mark.hostile("statuses and comments")
def test_without_a_checkout_the_verdict_says_whose_word_the_commit_is(here: World) -> None:
    event = dataclasses.replace(GATE, measured_sha=MERGE, unseen="not a git repository")
    assert here.run(event) == 0
    assert "the workspace is not a git checkout" in here.api.state.comments[0]["body"]
    by_hand = dataclasses.replace(event, mode=Mode.DISPATCH, name="workflow_dispatch", pull_request=None, measured_sha=HEAD)
    assert here.run(by_hand, Inputs(pull_request=7)) == 2


# Several jobs, one status.


@pytest.mark.hostile("statuses and comments")
def test_a_later_pass_never_covers_the_failure_of_another_scenario_profile_or_runner(here: World) -> None:
    one, other = Inputs(profile="full"), Inputs(profile="pr")
    assert here.run(inputs=one, made=short(load=2.3)) == 1
    assert here.run(inputs=other) == 0
    assert [state for _, state, _ in here.lights] == ["pending", "failure", "pending", "failure"]
    assert here.lights[-1][2].startswith("velro-prd full: ")
    # Its own rerun does, and then all is well.
    assert here.run(inputs=one) == 0
    assert here.lights[-1][1] == "success"


@pytest.mark.hostile("statuses and comments")
def test_a_status_that_waits_for_all_of_its_jobs_is_green_with_the_last_of_them(here: World) -> None:
    ones = [Inputs(profile=name, status_jobs=3) for name in ("full", "pr", "quick")]
    for inputs in ones[:2]:
        assert here.run(inputs=inputs) == 0
        assert here.lights[-1][1] == "pending"
    assert here.lights[-1][2] == "2 of 3 jobs that share this status have passed, and the others have not begun"
    # To pass once more makes no other job pass.
    assert here.run(inputs=ones[0]) == 0
    assert here.lights[-1][1] == "pending"
    assert here.run(inputs=ones[2]) == 0
    assert here.lights[-1][1] == "success"


@pytest.mark.hostile("statuses and comments")
def test_a_status_that_waits_for_all_of_its_jobs_is_red_with_the_first_that_fails(here: World) -> None:
    ones = [Inputs(profile=name, status_jobs=2) for name in ("full", "pr")]
    assert here.run(inputs=ones[0], made=short(load=2.3)) == 1
    assert here.run(inputs=ones[1]) == 0
    assert here.lights[-1][1] == "failure"


@pytest.mark.hostile("statuses and comments")
def test_two_jobs_of_one_run_with_the_same_plan_do_not_cover_one_another(here: World) -> None:
    here.environ["VELRO_JOB_INDEX"] = "0"
    here.run(made=short(load=2.3))
    here.environ["VELRO_JOB_INDEX"] = "1"
    here.run()
    assert here.lights[-1][1] == "failure"
    here.environ["VELRO_JOB_INDEX"] = "0"
    here.run(dataclasses.replace(GATE, run_id=78, run_attempt=1))
    here.environ["VELRO_JOB_INDEX"] = "1"
    here.run(dataclasses.replace(GATE, run_id=78, run_attempt=1))
    assert here.lights[-1][1] == "success"


def test_two_runner_labels_have_a_comment_each(here: World) -> None:
    for label in ("small", "large", "small"):
        here.run(inputs=Inputs(runner=label))
    assert len(here.api.state.comments) == 2


def test_every_job_and_attempt_has_a_name_for_its_artifact(here: World) -> None:
    names = set()
    for inputs, attempt in ((Inputs(), 1), (Inputs(profile="full"), 1), (Inputs(), 2), (Inputs(runner="a b"), 1)):
        here.run(dataclasses.replace(GATE, run_attempt=attempt), inputs)
        names.add(here.outputs["artifact-name"])
    assert len(names) == 4
    assert all(re.fullmatch(r"velro-reports-[A-Za-z0-9._-]+", name) for name in names)


# A comment never tells an older commit's verdict.

NEWER = "d" * 40


def pushed(here: World) -> Event:
    here.api.state.pulls[0]["head_sha"] = NEWER
    return dataclasses.replace(GATE, head_sha=NEWER, parents=(BASE, NEWER))


@pytest.mark.hostile("statuses and comments")
def test_a_scenario_that_cannot_be_read_takes_the_place_of_what_was_reported_before(here: World) -> None:
    here.run()
    faulty = here.folder / "shop.yaml"
    faulty.write_text("steps: 1\n", encoding="utf-8")
    assert here.run(pushed(here), Inputs(scenario=faulty), fails=UsageError("shop.yaml has 3 faults")) == 2
    (comment,) = here.api.state.comments
    assert "3 faults" in comment["body"]


@pytest.mark.hostile("statuses and comments")
def test_a_renamed_scenario_takes_its_comment_along(here: World) -> None:
    here.run()
    renamed = short()
    renamed = dataclasses.replace(renamed, plan=dataclasses.replace(renamed.plan, scenario="store"))
    here.run(pushed(here), made=renamed)
    (comment,) = here.api.state.comments
    assert comment["body"].startswith("<!-- velro-gate:store/")


@pytest.mark.hostile("statuses and comments")
def test_of_two_comments_the_one_that_nobody_renews_says_so(here: World) -> None:
    here.run(inputs=Inputs(runner="small"))
    here.run(inputs=Inputs(runner="large"))
    here.run(pushed(here), Inputs(runner="small"))
    small, large = (one["body"] for one in here.api.state.comments)
    assert "outdated" in large
    assert "outdated" not in small
    here.run(pushed(here), Inputs(runner="large"))
    assert not any("outdated" in one["body"] for one in here.api.state.comments)


# Other events.


def test_a_push_where_nothing_is_stored_is_green(here: World) -> None:
    assert here.run(REFRESH, Inputs(store=StoreKind.NONE)) == 0
    assert here.lights[-1][1] == "success"
    assert here.outputs["baseline-updated"] == "false"


def test_an_event_that_asks_for_nothing_measures_nothing(here: World) -> None:
    event = dataclasses.replace(GATE, mode=Mode.NONE, reason="the pull request is closed")
    assert here.run(event, fails=AssertionError("measured")) == 0
    assert here.outputs["verdict"] == "none"
    assert here.api.state.calls == []


@pytest.mark.hostile("statuses and comments")
def test_a_fork_is_measured_without_touching_the_api_and_leaves_its_record(here: World) -> None:
    event = dataclasses.replace(GATE, fork=True)
    assert here.run(event) == 0
    assert here.api.state.calls == []
    left = Path(here.outputs["fork-report-path"])
    assert [path.name for path in left.iterdir()] == ["record.json"]


def test_a_forks_run_is_judged_by_its_record_alone_as_the_reporter_will_judge_it(here: World) -> None:
    here.seed(*map(accepted, range(1, 7)))

    def again(_: Repeats) -> Further:
        raise AssertionError("the reporter would not know of it")

    assert here.run(dataclasses.replace(GATE, fork=True), made=short(load=1.35), again=again) == 1


def test_a_merge_queue_gets_a_status_and_no_comment(here: World) -> None:
    event = dataclasses.replace(GATE, name="merge_group", pull_request=None)
    assert here.run(event) == 0
    assert here.lights[-1][:2] == (HEAD, "success")
    assert here.api.state.comments == []
    assert git("branch", "--list", "velro-baselines", cwd=here.bare) == ""


@pytest.mark.hostile("statuses and comments")
def test_a_dispatch_sets_no_status_unless_a_pull_request_is_named(here: World) -> None:
    event = dataclasses.replace(GATE, mode=Mode.DISPATCH, name="workflow_dispatch", pull_request=None, measured_sha=HEAD)
    assert here.run(event) == 0
    assert here.lights == []
    assert here.run(event, Inputs(pull_request=7)) == 0
    assert here.lights[-1][:2] == (HEAD, "success")


@pytest.mark.hostile("statuses and comments")
def test_a_dispatch_refuses_to_paint_a_commit_that_it_does_not_measure(here: World) -> None:
    event = dataclasses.replace(GATE, mode=Mode.DISPATCH, name="workflow_dispatch", pull_request=None)
    assert here.run(event, Inputs(pull_request=7)) == 2
    assert here.lights == []
    assert "Start the workflow on the pull request's branch" in here.summary
    assert here.outputs["exit-code"] == "2"


def test_a_dispatch_for_a_pull_request_that_is_not_there_says_so_before_the_load(here: World) -> None:
    event = dataclasses.replace(GATE, mode=Mode.DISPATCH, name="workflow_dispatch", pull_request=None, measured_sha=HEAD)
    assert here.run(event, Inputs(pull_request=99), fails=AssertionError("measured")) == 5
    assert "GitHub does not find it" in here.summary


# Baselines.


def stored(here: World, branch: str = "velro-baselines") -> list[str]:
    names = git("ls-tree", "-r", "--name-only", branch, cwd=here.bare).splitlines()
    return [name for name in names if name.startswith("baselines/")]


def test_a_push_to_main_stores_its_run_and_a_later_pull_request_is_compared_with_it(here: World) -> None:
    assert here.run(REFRESH, made=accepted(1)) == 0
    assert here.outputs["baseline-updated"] == "true"
    assert here.outputs["baseline-ref"].startswith("velro-baselines@")
    assert len(stored(here)) == 1
    here.run(made=short())
    assert "1 baseline" in here.api.state.comments[0]["body"] or "One baseline" in here.api.state.comments[0]["body"]


def test_the_oldest_go_in_the_same_commit(here: World) -> None:
    here.seed(*map(accepted, range(1, 4)))
    here.run(REFRESH, Inputs(keep=3), made=accepted(4))
    assert len(stored(here)) == 3
    assert git("rev-list", "--count", "velro-baselines", cwd=here.bare) == "2"


@pytest.mark.parametrize(("then", "code", "words"), [(1.35, 1, "confirmed: 3 of 3"), (1.0, 0, "not confirmed: 1 of 3")])
def test_what_looks_worse_on_a_pull_request_is_run_again_before_it_fails(
    here: World, then: float, code: int, words: str
) -> None:
    here.seed(*map(accepted, range(1, 7)))

    def again(needed: Repeats) -> Further:
        runs = [dataclasses.replace(short(load=then), id=f"20261122T12000{n}Z-again") for n in range(needed.runs)]
        return Further(runs=tuple(runs))

    assert here.run(GATE, Inputs(), made=short(load=1.35), again=again) == code
    assert words in here.api.state.comments[0]["body"]


@pytest.mark.hostile("baselines")
def test_a_regression_on_main_is_stored_as_quarantined_and_does_not_become_a_baseline(here: World) -> None:
    here.seed(*map(accepted, range(1, 7)))
    worse = dataclasses.replace(short(load=1.35), id="20261122T120000Z-worse")
    assert here.run(REFRESH, made=worse) == 1
    assert here.outputs["baseline-updated"] == "false"
    kept = [json.loads(git("show", f"velro-baselines:{path}", cwd=here.bare)) for path in stored(here)]
    (reason,) = [one["quarantined"] for one in kept if one.get("quarantined")]
    assert "worse than the accepted level" in reason
    # The next pull request is held against the six.
    assert here.run(GATE, made=short(load=1.35)) == 1


def test_a_regression_that_is_accepted_becomes_the_new_level(here: World) -> None:
    here.seed(*map(accepted, range(1, 7)))
    worse = dataclasses.replace(short(load=1.35), id="20261122T120000Z-worse")
    here.run(REFRESH, Inputs(accept_change=True), made=worse)
    assert len(stored(here)) == 7


def test_a_protected_main_ends_with_5_and_says_what_to_choose(here: World) -> None:
    protect_branches(here.bare, ["main"])
    assert here.run(REFRESH, Inputs(store=StoreKind.PUSH), made=accepted(1)) == 5
    assert any("main is protected" in line for line in "\n".join(here.said).splitlines())
    assert here.lights[-1][1] == "success"


def test_a_repeated_job_finds_its_run_stored_already(here: World) -> None:
    here.run(REFRESH, made=accepted(1))
    assert here.run(REFRESH, made=accepted(1)) == 5
    assert any("is a baseline already" in line for line in "\n".join(here.said).splitlines())


def test_baselines_are_proposed_by_one_pull_request_until_it_is_merged(here: World) -> None:
    inputs = Inputs(store=StoreKind.PULL_REQUEST)
    here.run(REFRESH, inputs, made=accepted(1))
    here.run(REFRESH, inputs, made=accepted(2))
    proposals = [one for one in here.api.state.pulls if one["head_branch"] == "velro-gate/baselines"]
    assert len(proposals) == 1
    assert len(stored(here, "velro-gate/baselines")) == 2
    proposals[0]["state"] = "closed"
    here.run(REFRESH, inputs, made=accepted(3))
    assert len(stored(here, "velro-gate/baselines")) == 1


@pytest.mark.hostile("baselines")
def test_a_run_that_is_refused_is_not_proposed(here: World) -> None:
    here.seed(*map(accepted, range(1, 7)))
    worse = dataclasses.replace(short(load=1.35), id="20261122T120000Z-worse")
    broken = dataclasses.replace(worse, interrupted=False, phases=())
    assert here.run(REFRESH, Inputs(store=StoreKind.PULL_REQUEST), made=broken) == 4
    assert not [one for one in here.api.state.pulls if one["head_branch"] == "velro-gate/baselines"]
    assert "velro-gate/baselines" not in git("branch", "--list", "--all", cwd=here.bare)


def test_a_repository_that_forbids_proposals_is_shown_where_to_allow_them(here: World) -> None:
    here.api.fail(403, method="POST", path="/pulls$", times=5)
    assert here.run(REFRESH, Inputs(store=StoreKind.PULL_REQUEST), made=accepted(1)) == 5
    assert any("Allow GitHub Actions to create" in line for line in "\n".join(here.said).splitlines())


@pytest.mark.hostile("baselines")
def test_a_corrupt_file_among_the_baselines_is_a_warning_and_never_a_crash(here: World) -> None:
    here.run(REFRESH, made=accepted(1))
    folder = Path(stored(here)[0]).parent
    blob = here.folder / "garbage"
    blob.write_text('{"schema": 1, "phases": ', encoding="utf-8")
    number = git("hash-object", "-w", str(blob), cwd=here.bare)
    index = str(here.folder / "index")
    git("read-tree", "velro-baselines", cwd=here.bare, GIT_INDEX_FILE=index)
    git("update-index", "--add", "--cacheinfo", f"100644,{number},{folder}/bad.json", cwd=here.bare, GIT_INDEX_FILE=index)
    tree = git("write-tree", cwd=here.bare, GIT_INDEX_FILE=index)
    made = git("commit-tree", tree, "-p", "velro-baselines", "-m", "x", cwd=here.bare)
    git("update-ref", "refs/heads/velro-baselines", made, cwd=here.bare)
    assert here.run() == 0
    assert "bad.json is not used" in here.api.state.comments[0]["body"].replace("\\", "")


@pytest.mark.hostile("baselines")
def test_baselines_that_cannot_be_fetched_break_the_job_before_the_load(here: World) -> None:
    here.git_url = "http://127.0.0.1:9"
    assert here.run(fails=AssertionError("measured")) == 4
    assert here.lights[-1][1] == "error"


def test_archives_are_filled_by_one_run_and_found_by_the_next(here: World) -> None:
    inputs = Inputs(store=StoreKind.ARTIFACT)
    assert here.run(REFRESH, inputs, made=accepted(1)) == 0
    (kept,) = (here.folder / "kept").rglob("*.json")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.write(kept, kept.relative_to(here.folder / "kept"))
    run = {"id": 5, "repository_id": 1, "head_repository_id": 1, "head_branch": "main", "head_sha": HEAD}
    content = base64.b64encode(packed.getvalue()).decode()
    here.api.state.artifacts = [{"id": 3, "name": "velro-baselines", "expired": False, "workflow_run": run, "content": content}]
    here.run(inputs=inputs)
    assert "1 used" in here.api.state.comments[0]["body"]


def test_without_a_store_only_requirements_count(here: World) -> None:
    here.git_url = "http://127.0.0.1:9"
    assert here.run(inputs=Inputs(store=StoreKind.NONE)) == 0
    assert here.outputs["verdict"] == "no-baseline"


# The runner itself.


def looked_at(sd: float) -> Selftest:
    return selftest_of(bank(16, sd=sd), measured_at="2026-11-28T03:17:00Z", overhead=2.0)


def test_a_night_looks_at_the_runner_first_and_then_at_the_service_and_shows_both(here: World) -> None:
    order: list[str] = []

    def selftest() -> Selftest:
        order.append("runner")
        return looked_at(0.01)

    assert here.run(NIGHTLY, made=short(), selftest=selftest, before=lambda: order.append("service")) == 0
    assert order == ["runner", "service"]
    assert "selftest of the runner: ✅" in here.summary
    assert here.summary.index("selftest of the runner") < here.summary.index("no baseline")
    assert any(line.startswith("selftest: injected +20 %: found") for line in here.said)
    assert here.lights == []


def test_a_runner_that_is_blind_ends_its_night_with_4_and_an_error_that_says_so(here: World) -> None:
    assert here.run(NIGHTLY, made=short(), selftest=lambda: looked_at(0.4)) == 4
    assert here.outputs["exit-code"] == "4"
    assert "selftest of the runner: ❌ blind, please read" in here.summary
    (reported,) = [line for line in here.commands if "selftest" in line]
    assert reported.startswith("::error title=velro-gate selftest::this runner cannot see +20 %25")


def test_a_service_that_misses_its_limits_is_no_reason_for_a_night_to_fail(here: World) -> None:
    assert here.run(NIGHTLY, made=short(load=2.3), selftest=lambda: looked_at(0.01)) == 0
    assert (here.outputs["verdict"], here.outputs["exit-code"]) == ("fail", "0")


def test_a_night_without_minutes_for_the_runner_measures_the_service_alone(here: World) -> None:
    assert here.run(NIGHTLY, Inputs(selftest_minutes=0), made=short()) == 0
    assert "selftest" not in here.summary


def test_a_selftest_that_cannot_be_made_leaves_no_verdict_and_says_why(here: World) -> None:
    def selftest() -> Selftest:
        raise BrokenError("the sandbox cannot be started", hint="Look.")

    assert here.run(NIGHTLY, made=short(), selftest=selftest) == 4
    assert "the sandbox cannot be started" in here.summary
