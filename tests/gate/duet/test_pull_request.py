"""The duet of a pull request: real repositories, builds, services and an API; short blocks."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.analysis.duets import noisy
from tests.analysis.runs import run, summary
from tests.gate.builds.changes import History, history
from tests.gate.jobs import GATE, World, world
from tests.gate.programs import service as program
from tests.gate.world import Spectator, tiny_setup
from tests.report.records import record
from velro_gate.errors import BrokenError
from velro_gate.gate.action.inputs import Inputs
from velro_gate.gate.builds.build import BuildRunner
from velro_gate.gate.builds.no_duet import NoDuetError
from velro_gate.gate.builds.run import BuildCommand, Builds
from velro_gate.gate.duet.pilot import DuetOptions
from velro_gate.gate.duet.pull_request import ProposedChange, base_of, measure_change
from velro_gate.gate.measure.results import Results, make_results
from velro_gate.gate.measure.setup import Setup
from velro_gate.github.event import Event, Mode
from velro_gate.model.duet import DuetRecord
from velro_gate.model.record import RunRecord
from velro_gate.store.duets import write_duet

SHORT = DuetOptions(seed=11, pairs=7, block=1.0, warm_up=0.5, pilot=False)
DUET = Inputs(duet=True, start_command="serve")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@dataclasses.dataclass
class Proposal:
    """A pull request whose builds take as long as their file ``delay`` says."""

    folder: Path
    known: History
    watching: Spectator = dataclasses.field(default_factory=lambda: Spectator(os.environ))

    @property
    def event(self) -> Event:
        return dataclasses.replace(GATE, head_sha=self.known.head, base_sha=self.known.tip, measured_sha=self.known.head)

    def measured(
        self, *, build: str = "cp delay built", start: str = "", event: Event | None = None
    ) -> tuple[RunRecord, DuetRecord, Results]:
        line = start or f"{program(self.folder, 0.0).removesuffix(' 0.0')} $(cat built)"
        workspace = self.folder / "workspace"
        if not workspace.exists():
            self.known.cloned(workspace, self.known.head)
        builder = BuildRunner(
            workspace=workspace, build=build, start=line, health_path=None, seconds=30.0, environ=dict(os.environ)
        )
        setup = tiny_setup(self.folder, "http://127.0.0.1", users=100, rate="150/s", shards=1)
        change = ProposedChange(event=event or self.event, scratch=self.folder / "scratch", git=self.known.private)
        (self.folder / "scratch").mkdir(exist_ok=True)
        results = make_results(self.folder / "results", "duet")
        return *measure_change(base_of(change, workspace), builder, setup, SHORT, results, self.watching.effects, None), results


@pytest.fixture
def proposal(tmp_path: Path) -> Proposal:
    (tmp_path / "mine").mkdir()
    return Proposal(tmp_path / "mine", history(tmp_path / "origin", {"delay": "10\n"}, {"delay": "20\n"}))


def asked(here: World, proposal: Proposal, duet: Callable[[], tuple[RunRecord, DuetRecord, Results]]) -> int:
    here.api.state.pulls[0]["head_sha"] = proposal.known.head
    return here.run(proposal.event, DUET, made=record(), duet=duet)


def test_a_slower_change_is_reported_on_its_pull_request_next_to_what_it_starts_from(
    here: World, proposal: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []

    def paired(
        setup: Setup, builds: Builds, options: DuetOptions, results: Results, *_: object
    ) -> tuple[RunRecord, DuetRecord]:
        """Pairs that nobody measured: test_run.py measures builds for real, tests/act/test_duet.py those of a pull request."""
        built.extend(
            (one.directory / "built").read_text("utf-8") for one in (builds.base, builds.head) if isinstance(one, BuildCommand)
        )
        kept = DuetRecord(
            duet=noisy(factor=2.0), warm_up=0.5, block_seconds=1.0, restarted=builds.restarted, base=builds.base.revision
        )
        measured = run(summary(), number=70)
        write_duet(results.folder, measured, kept)
        return measured, kept

    monkeypatch.setattr("velro_gate.gate.duet.pull_request.duet", paired)
    assert asked(here, proposal, proposal.measured) == 1
    assert built == ["10\n", "20\n"]
    (comment,) = here.api.state.comments
    assert "Head and base side by side" in comment["body"]
    assert f"base build **{proposal.known.start[:12]}**" in comment["body"]
    assert here.lights[-1][0] == proposal.known.head
    assert here.lights[-1][1] == "failure"
    folder = Path(here.outputs["result-path"])
    assert {"duet.json", "verdict.json", "report.html", "build-base.log", "build-head.log"} <= {
        path.name for path in folder.iterdir()
    }
    assert "Head and base side by side" in here.summary
    assert any(proposal.known.start[:12] in line for line in proposal.watching.said)


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        ({"build": 'test "$(cat delay)" = 20 || { echo no compiler; exit 9; }'}, "build-command ended with exit code 9"),
        ({"start": 'test "$(cat built)" = 20 || exit 6; exec sleep 60'}, "the base build's command ended with exit code 6"),
    ],
    ids=["build", "start"],
)
def test_a_base_that_does_not_work_gives_way_to_stored_baselines_and_the_comment_says_why(
    here: World, proposal: Proposal, commands: dict[str, str], reason: str
) -> None:
    # Seed 11 draws the base build for the first block.
    assert asked(here, proposal, lambda: proposal.measured(**commands)) == 0
    (comment,) = here.api.state.comments
    assert "No duet, so this run is compared with stored baselines: the base build" in comment["body"]
    assert reason in comment["body"]
    assert any(line.startswith("no duet") for line in here.said)
    assert here.outputs["verdict"] == "no-baseline"


def test_a_head_that_cannot_be_built_is_an_error_with_its_output(here: World, proposal: Proposal) -> None:
    broken = 'test "$(cat delay)" = 10 || { echo no such symbol; exit 9; }'
    assert asked(here, proposal, lambda: proposal.measured(build=broken)) == 4
    assert here.lights[-1] == (
        proposal.known.head,
        "error",
        "no verdict: the head build's build-command ended with exit code 9",
    )
    assert "no such symbol" in here.summary


def test_a_head_that_cannot_be_started_is_an_error_and_no_reason_for_baselines(proposal: Proposal) -> None:
    line = f"test $(cat built) = 10 || exit 8; {program(proposal.folder, 0.0)}"
    with pytest.raises(BrokenError, match="the head build's command ended with exit code 8"):
        proposal.measured(start=line)


def test_a_workspace_that_is_no_checkout_is_reported_in_gits_own_words(proposal: Proposal) -> None:
    (proposal.folder / "workspace").mkdir()
    with pytest.raises(NoDuetError) as caught:
        proposal.measured(build="true")
    assert "not a git repository" in caught.value.reason


def test_a_fork_is_held_against_baselines_because_its_reporter_does_so(proposal: Proposal) -> None:
    with pytest.raises(NoDuetError, match="the reporter"):
        proposal.measured(event=dataclasses.replace(proposal.event, fork=True))


def test_the_merge_queue_gets_its_duet_without_a_comment(here: World) -> None:
    def missed() -> tuple[RunRecord, DuetRecord, Results]:
        raise NoDuetError("asked and not to be had", "Do this.")

    event = dataclasses.replace(GATE, name="merge_group", pull_request=None)
    assert here.run(event, DUET, duet=missed) == 0
    assert "asked and not to be had" in here.summary
    assert here.api.state.comments == []


def test_a_push_to_main_stores_a_run_of_its_own_and_no_duet(here: World) -> None:
    event = dataclasses.replace(GATE, mode=Mode.REFRESH, name="push", pull_request=None)
    assert here.run(event, DUET) == 0
    assert here.outputs["baseline-updated"] == "true"
