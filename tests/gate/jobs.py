"""A job on GitHub with everything real but the load: the stand-in of the API, a git server, files, and a run made by hand."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.github.clients import Standing, client
from tests.github.git_server import git_server, make_repository
from tests.github.stand_in import StandIn, State, stand_in
from tests.github.test_commands import read_outputs
from tests.report.records import PRD, record
from velro_gate.errors import VelroError
from velro_gate.gate.action.aim import part_of
from velro_gate.gate.action.inputs import Inputs
from velro_gate.gate.action.job import ActionJob, run_job
from velro_gate.gate.action.publish import Outlets, verdict_origin
from velro_gate.gate.action.second_job import take_up
from velro_gate.gate.action.stores import Store, store_for
from velro_gate.gate.judge.confirm import Confirming, RunAgain, gated
from velro_gate.gate.judge.push import PushTarget
from velro_gate.gate.measure.results import Results, make_results
from velro_gate.github.event import Event, Mode
from velro_gate.model.duet import DuetRecord
from velro_gate.model.record import RunRecord
from velro_gate.model.selftest import Selftest
from velro_gate.model.verdict import Verdict
from velro_gate.store.baselines import add_baseline
from velro_gate.store.branch import Branch, Pause, push
from velro_gate.store.git import Git

HEAD, BASE, MERGE = "a" * 40, "b" * 40, "c" * 40
GATE = Event(
    mode=Mode.GATE,
    reason="test",
    name="pull_request",
    repository="acme/shop",
    default_branch="main",
    head_sha=HEAD,
    base_sha=BASE,
    measured_sha=MERGE,
    parents=(BASE, HEAD),
    pull_request=7,
    run_id=77,
)
STEPS = ("authentication_check", "authorization_check")
NIGHTLY = dataclasses.replace(GATE, mode=Mode.SELFTEST, name="schedule", pull_request=None)
REFRESH = dataclasses.replace(GATE, mode=Mode.REFRESH, name="push", pull_request=None)


def short(**changed: Any) -> RunRecord:
    """A run of one phase and two steps: to judge and to tell the whole plan of six takes ten times as long."""
    return record(phases=(PRD,), steps=STEPS, **changed)


@dataclass
class World:
    """What a job meets and what it leaves. order: what happened to the outside, in order."""

    folder: Path
    api: StandIn
    git_url: str
    bare: Path
    said: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    sleeping: Callable[[float], None] | None = None
    """What a wait for the API does, instead of passing at once."""
    instead: Store | None = None
    """In place of the store that the inputs ask for."""
    pushed: tuple[PushTarget, ...] = ()
    """Where the figures of main are pushed."""

    @property
    def outputs(self) -> dict[str, str]:
        """The step's outputs as later steps see them."""
        return read_outputs((self.folder / "outputs").read_text(encoding="utf-8"))

    @property
    def summary(self) -> str:
        """The job's summary."""
        return (self.folder / "summary.md").read_text(encoding="utf-8")

    @property
    def lights(self) -> list[tuple[str, str, str]]:
        """(sha, state, description) of each status, in order."""
        return [(one["sha"], one["state"], one["description"]) for one in self.api.state.statuses]

    def run(
        self,
        event: Event = GATE,
        inputs: Inputs | None = None,
        *,
        made: RunRecord | None = None,
        fails: BaseException | None = None,
        before: Callable[[], None] = lambda: None,
        duet: Callable[[], tuple[RunRecord, DuetRecord, Results]] | None = None,
        again: RunAgain | None = None,
        selftest: Callable[[], Selftest] | None = None,
        timeout: float = 5.0,
    ) -> int:
        """Do the job; its exit code, also where it ends by an error."""
        chosen = dataclasses.replace(
            inputs or Inputs(), output=self.folder / "results", waivers=self.folder / "no-waivers.yaml"
        )
        (self.folder / "outputs").touch()
        (self.folder / "summary.md").touch()
        standing = Standing()
        if self.sleeping is not None:
            standing.sleep = lambda seconds: self.sleeping and self.sleeping(seconds)  # type: ignore[method-assign]
        with client(self.api, standing, timeout=timeout) as api:
            store = self.instead or self.store(chosen, api)
            origin = verdict_origin(event)
            outlets = Outlets(
                command=self.commands.append,
                say=self.said.append,
                summary=self.folder / "summary.md",
                outputs=self.folder / "outputs",
                api=api,
                status_sha=event.head_sha,
                comment_sha=event.head_sha,
                context=chosen.context,
                status_jobs=chosen.status_jobs,
                author=chosen.author,
                part=part_of(event, chosen, self.environ),
                label=chosen.runner or "",
                links=origin.links,
                about=origin.about,
            )

            def measure(baselines: Path, confirm: bool) -> tuple[RunRecord, Verdict, Results]:
                before()
                if fails is not None:
                    raise fails
                run = made or short()
                results = make_results(chosen.output, run.id)
                confirming = Confirming(again=again) if again is not None and confirm else None
                verdict, _ = gated(
                    run, results, baselines=baselines, waivers=chosen.waivers, confirming=confirming, say=self.said.append
                )
                return run, verdict, results

            def confirm(baselines: Path, first: RunRecord) -> tuple[RunRecord, Verdict, Results]:
                assert again is not None
                results = take_up(first, chosen.output)
                confirming = Confirming(again=again)
                verdict, _ = gated(
                    first, results, baselines=baselines, waivers=chosen.waivers, confirming=confirming, say=self.said.append
                )
                return first, verdict, results

            job = ActionJob(
                event=event,
                inputs=chosen,
                outlets=outlets,
                store=store,
                baselines=self.folder / "baselines",
                environ=self.environ,
                measure=measure,
                confirm=confirm,
                duet=duet or _no_duet,
                selftest=selftest or _no_selftest,
                pushed=self.pushed,
            )
            try:
                return run_job(job)
            except VelroError as error:
                self.said += error.lines()
                return error.exit_code

    def seed(self, *runs: RunRecord) -> None:
        """Store accepted runs at once, as one commit of somebody else's."""

        def add(folder: Path) -> str:
            for run in runs:
                add_baseline(folder, run)
            return "seeded"

        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        git = Git(folder=self.folder / "seed.git", url=f"{self.git_url}/acme/shop", token="good-token", environ=environ)
        push(git, Branch(name="velro-baselines"), add, Pause(sleep=lambda _seconds: None, chance=lambda: 0.5))

    def store(self, inputs: Inputs, api: object) -> Store:
        """The store that the inputs ask for."""
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        git = Git(folder=self.folder / "store.git", url=f"{self.git_url}/acme/shop", token="good-token", environ=environ)
        return store_for(
            inputs.store,
            git=git,
            api=api,  # type: ignore[arg-type]
            pause=Pause(sleep=lambda _seconds: None, chance=lambda: 0.5),
            branch=inputs.store_branch,
            path=inputs.store_path if inputs.store.value != "artifact" else str(self.folder / "kept"),
            default_branch="main",
            say=self.said.append,
        )


def _no_duet() -> tuple[RunRecord, DuetRecord, Results]:
    raise AssertionError("nobody asked for a duet")


def _no_selftest() -> Selftest:
    raise AssertionError("nobody asked for a selftest")


@contextmanager
def world(folder: Path, state: State | None = None) -> Iterator[World]:
    """A served repository with pull request 7."""
    known = state or State()
    if not known.pulls:
        known.pull()
    bare = make_repository(folder / "served")
    with stand_in(known) as api, git_server(folder / "served") as (url, _):
        yield World(folder=folder, api=api, git_url=url, bare=bare)


def accepted(number: int, like: RunRecord | None = None) -> RunRecord:
    """A run of main that may become a baseline."""
    run = like or short()
    return dataclasses.replace(
        run, id=f"20261120T1200{number:02d}Z-velro-prd-full", started_at=f"2026-11-20T12:00:{number:02d}Z"
    )
