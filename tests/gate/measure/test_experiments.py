"""What is broken on purpose while a phase runs: begun and undone on time, kept with the run, and judged."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
import yaml

from tests.cli.command import command, environment
from tests.gate.world import Spectator
from tests.service import service
from velro_gate.engine.machine.limits import read_machine
from velro_gate.errors import BrokenError
from velro_gate.gate.builds.run import BuildCommand, Builds, RunningBuild, free_port
from velro_gate.gate.judge.verdict import reach_verdict, reread, write_reports
from velro_gate.gate.measure.dry_run import DryRun, dry_run
from velro_gate.gate.measure.experiments import Broken, Experimenter, through_proxies, with_injector
from velro_gate.gate.measure.results import make_results
from velro_gate.gate.measure.run import run
from velro_gate.gate.measure.setup import RunOptions, Setup, prepare
from velro_gate.model.resilience.experiment import (
    Action,
    Blow,
    CommandAction,
    Experiment,
    NetworkAction,
    ProcessAction,
    Proxy,
    RequestAction,
)
from velro_gate.model.resilience.network import NetworkFault, Outage
from velro_gate.model.resilience.probes import ControlRequest, ProbeKind
from velro_gate.model.scenario import OpenArrivals, Phase, Target
from velro_gate.model.verdict import Level
from velro_gate.report.sentences.kinds.experiments import expectation_sentence
from velro_gate.sandbox.process import running_sandbox
from velro_gate.sandbox.settings import Settings
from velro_gate.store.records import read_facts, read_record


def written(folder: Path, *experiments: dict[str, Any], duration: str = "3 s", **more: Any) -> Path:
    """A scenario of one step and one phase with these experiments."""
    path = folder / "broken.yaml"
    phase = {"name": "load", "users": 10, "ramp": "0.2 s", "duration": duration, "rate": "60/s", "experiments": [*experiments]}
    data = {
        "name": "broken",
        "target": {"url": "http://127.0.0.1:8400", "metrics": None},
        "steps": [{"name": "ask", "path": "/ask"}],
        "profiles": {"pr": [phase]},
        **more,
    }
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def through_a_proxy(folder: Path, url: str, *experiments: dict[str, Any], **more: Any) -> tuple[Path, str]:
    """The scenario with a proxy before the service itself, and the proxy's URL."""
    port = free_port()
    there = urlsplit(url)
    proxies = {"front": {"to": f"http://127.0.0.1:{there.port}", "listen": port}}
    return written(folder, *experiments, proxies=proxies, **more), f"http://127.0.0.1:{port}"


def setup_of(path: Path, url: str | None = None) -> Setup:
    return prepare(RunOptions(scenario=path, url=url), {})


def test_a_fault_is_begun_undone_kept_judged_and_reported(tmp_path: Path) -> None:
    wanted = {"errors": "< 100 %", "degraded": {"status": [599], "share": "50 %"}}
    fault = {"name": "cut", "at": "1 s", "for": "1 s", "network": {"proxy": "front", "outage": "reset"}, "expect": wanted}
    with service() as running:
        path, url = through_a_proxy(tmp_path, running.url, fault)
        results = make_results(tmp_path / "out", "run")
        record = run(setup_of(path, url), results, Spectator().effects)
    (phase,) = record.phases
    (done,) = phase.experiments
    assert done.fault == ""
    assert done.begun >= 1.0
    assert done.ended is not None
    assert done.ended - done.begun >= 0.9
    step = phase.step()
    assert step is not None
    assert step.counts.failed > 0
    facts = read_facts(results.folder)
    assert {each.proxy for each in facts.dependencies} == {"front"}
    assert max(each.requests or 0 for each in facts.dependencies) > 0
    assert read_record(results.folder) == record
    assert reread(results.folder).phases == record.phases
    verdict = reach_verdict(record, None)
    assert verdict.level is Level.FAIL
    assert [(each.expectation.kind.value, each.met) for each in verdict.expectations] == [("errors", True), ("degraded", False)]
    write_reports(record, verdict, results)
    assert 'class="band"' in (results.folder / "report.html").read_text("utf-8")
    assert "Experiments: 1 of 2 met" in (results.folder / "verdict.md").read_text("utf-8")


def test_users_of_a_replica_that_dies_are_served_by_the_other(tmp_path: Path) -> None:
    with service() as first, service(behaviour="dies", dies_after=20) as second:
        path = written(tmp_path, duration="2 s", target={"urls": [first.url, second.url], "metrics": None})
        record = run(setup_of(path), make_results(tmp_path / "out", "run"), Spectator().effects)
    step = record.phases[0].step()
    assert step is not None
    assert step.counts.ok > 0.5 * step.counts.due
    assert second.requests >= 20
    assert first.requests > second.requests


def test_stale_reads_and_lost_writes_of_a_wrong_service_fail_the_verdict(tmp_path: Path) -> None:
    headers = {"Authorization": "Bearer ${env.SERVICE_KEY}"}
    model = {"path": "/api/v1/models/model-4", "headers": headers}
    renamed = {
        "name": "renamed",
        "at": "0.3 s",
        "for": "1 s",
        "invalidate": {
            "write": {**model, "method": "PUT", "json": {"name": "${value}"}},
            "read": {**model, "version": "$.version", "every": "100 ms"},
        },
        "expect": {"stale": "< 1 %"},
    }
    away = {
        "name": "away",
        "at": "1.6 s",
        "for": "0.8 s",
        "request": {"path": "/control", "json": {"down": ["database"]}, "undo": {"path": "/control", "json": {"down": []}}},
        "verify": {
            "write": {"path": "/api/v1/generations", "headers": headers, "json": {"model": "model-1", "prompt": "${value}"}},
            "id": "$.id",
            "read": {
                "path": "/api/v1/authorization/check",
                "headers": headers,
                "query": {"resource": "generation", "id": "${id}"},
            },
            "every": "50 ms",
            "within": "100 ms",
        },
        "expect": {"lost": 0},
    }
    path = written(tmp_path, renamed, away, steps=[{"name": "ask", "path": "/health"}])
    wrong = ("cache_not_invalidated", "writes_lost")
    with running_sandbox(Settings(work=False, users=60, pool_size=2, wrong=wrong)) as sandbox:
        setup = prepare(RunOptions(scenario=path, url=sandbox.url), {"SERVICE_KEY": sandbox.key})
        record = run(setup, make_results(tmp_path / "out", "run"), Spectator().effects)
    verdict = reach_verdict(record, None)
    stale, lost = verdict.expectations
    assert (verdict.level, stale.met, lost.met) == (Level.FAIL, False, False)
    assert expectation_sentence(stale).startswith("renamed: stale reads after the invalidation 100 %, seen by ")
    assert lost.estimate is not None
    assert 0 < lost.estimate.value <= lost.estimate.n
    (found,) = read_facts(tmp_path / "out" / "run").experiments[0].probed
    assert found.kind is ProbeKind.READS


def test_a_fault_is_undone_although_the_run_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    broken = {"name": "marked", "at": "0.1 s", "for": "50 s", "command": {"run": f"touch {mark}", "undo": f"rm {mark}"}}
    with service() as running:
        path = written(tmp_path, broken, duration="60 s")
        asked = command("run", path, "--url", running.url, "--no-calibration", "--output", tmp_path / "out")
        with subprocess.Popen(
            asked, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            deadline = time.monotonic() + 120.0
            while not mark.exists():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
            while mark.exists():
                assert time.monotonic() < deadline
                time.sleep(0.01)


class FakeInjector:
    """Notes its orders; some of them fail."""

    pid = 0

    def __init__(self, *, begins: str | None = None, dies: bool = False) -> None:
        self.orders: list[tuple[str, str]] = []
        self.actions: list[Mapping[str, Any]] = []
        self._begins, self._dies = begins, dies

    def begin(self, key: str, action: Mapping[str, Any]) -> str | None:
        self.orders.append(("begin", key))
        self.actions.append(action)
        return self._begins

    def undo(self, key: str) -> None:
        self.orders.append(("undo", key))
        if self._dies:
            raise BrokenError("it has ended")

    def counts(self) -> dict[str, Any]:
        return {}


def carried_out(
    injector: FakeInjector, *actions: Action, lasts: float = 0.05, cut_after: float | None = None
) -> tuple[Broken, list[str]]:
    """What becomes of these actions, one after the other."""
    experiments = tuple(
        Experiment(name=f"e{number}", at=0.1 * number, lasts=lasts, action=action) for number, action in enumerate(actions)
    )
    arrivals = OpenArrivals(rate=1.0)
    phase = Phase(name="load", users=1, ramp=0.0, duration=600.0, arrivals=arrivals, experiments=experiments)
    notes: list[str] = []

    async def main() -> Broken:
        async with trio.open_nursery() as nursery:
            experimenter = Experimenter(
                injector=injector,  # type: ignore[arg-type]
                target=Target(url="http://127.0.0.1:1/base"),
                secrets={"KEY": "secret"},
                environ={},
                origin=trio.current_time(),
                log=logging.getLogger("test"),
                note=notes.append,
                nursery=nursery,
            )
            experimenter.began(phase, 0.0)
            with trio.move_on_after(60.0 if cut_after is None else cut_after):
                while len(injector.orders) < 2 * len(actions) and not notes:
                    await trio.sleep(0.005)
            broken = await experimenter.ended()
            nursery.cancel_scope.cancel()
            return broken

    return trio.run(main), notes


def test_experiments_are_begun_and_undone_one_after_the_other() -> None:
    injector = FakeInjector()
    broken, notes = carried_out(injector, CommandAction(run="a"), CommandAction(run="b"))
    keys = ["load/e0/1", "load/e1/1"]
    assert injector.orders == [(do, key) for key in keys for do in ("begin", "undo")]
    first, second = broken.carried
    assert first.ended is not None
    assert first.ended - first.begun >= 0.05
    assert first.ended <= second.begun
    assert notes == []


def test_what_is_still_broken_when_the_run_ends_is_undone() -> None:
    injector = FakeInjector()
    broken, _ = carried_out(injector, CommandAction(run="a"), lasts=500.0, cut_after=0.2)
    assert injector.orders == [("begin", "load/e0/1"), ("undo", "load/e0/1")]
    assert broken.carried[0].ended is not None


def test_what_could_not_be_begun_is_noted_and_not_undone() -> None:
    injector = FakeInjector(begins="no luck")
    broken, notes = carried_out(injector, CommandAction(run="a"))
    assert (broken.carried[0].ended, broken.carried[0].fault) == (None, "no luck")
    assert notes == ["the experiment e0 of phase load: no luck"]
    assert injector.orders == [("begin", "load/e0/1")]


def test_a_process_that_cannot_be_found_is_noted() -> None:
    broken, notes = carried_out(FakeInjector(), ProcessAction(blow=Blow.KILL, of="command:no such program anywhere"))
    assert "no such program anywhere" in broken.carried[0].fault
    assert notes


def test_a_frozen_process_goes_on_even_if_the_injector_has_died() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        os.kill(process.pid, signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        broken, _ = carried_out(FakeInjector(dies=True), ProcessAction(blow=Blow.FREEZE, of=f"pid:{process.pid}"))
        _, status = os.waitpid(process.pid, os.WCONTINUED)
        assert os.WIFCONTINUED(status)
        process.kill()
    assert broken.carried[0].fault == "it has ended"


def test_network_faults_and_control_requests_are_handed_on_with_secrets_put_in() -> None:
    injector = FakeInjector()
    carried_out(
        injector,
        NetworkAction(proxy="redis", fault=NetworkFault(outage=Outage.RESET)),
        RequestAction(begin=ControlRequest(method="POST", path="/c", body='{"k": "${env.KEY}"}')),
    )
    network, request = injector.actions
    assert (network["kind"], network["name"], network["fault"]["outage"]) == ("network", "redis", "reset")
    assert request["begin"]["url"] == "http://127.0.0.1:1/base/c"
    assert request["begin"]["body"] == '{"k": "secret"}'
    assert request["undo"] is None


def test_a_scenario_without_experiments_and_proxies_starts_nothing(tmp_path: Path) -> None:
    setup = setup_of(written(tmp_path))
    with with_injector(setup) as ready:
        assert ready.injector is None


def test_a_proxy_that_cannot_listen_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    with service() as running:
        taken = urlsplit(running.url).port
        path = written(tmp_path, proxies={"front": {"to": "127.0.0.1:1", "listen": taken}})
        with pytest.raises(BrokenError, match="cannot listen"):
            run(setup_of(path, running.url), make_results(tmp_path / "out", "run"), Spectator().effects)


PROXY = Proxy(name="redis", to_host="a", to_port=1, listen_host="127.0.0.1", listen_port=5)


def test_start_commands_and_their_variables_get_the_addresses_of_the_proxies() -> None:
    line, environ = through_proxies("A=${proxy.redis} ./run ${HOME} ${proxy.other}", {"B": "redis://${proxy.redis}/0"}, [PROXY])
    assert line == "A=127.0.0.1:5 ./run ${HOME} ${proxy.other}"
    assert environ == {"B": "redis://127.0.0.1:5/0"}


def test_builds_of_a_duet_are_started_with_the_addresses_of_the_proxies(tmp_path: Path) -> None:
    builds = Builds(base=BuildCommand(line="./run ${proxy.redis}", directory=tmp_path), head=RunningBuild(url="http://h"))
    through = builds.through((PROXY,))
    assert isinstance(through.base, BuildCommand)
    assert through.base.line == "./run 127.0.0.1:5"
    assert through.head == builds.head
    assert builds.through(()) is builds


def test_the_dry_run_prints_the_timetable(tmp_path: Path) -> None:
    delayed = {"proxy": "front", "delay": "50 ms"}
    slow = {"name": "slow", "at": "1 s", "for": "500 ms", "network": delayed, "expect": {"p95": "1 s"}}
    path, url = through_a_proxy(tmp_path, "http://127.0.0.1:9", slow)
    planned: DryRun = dry_run(setup_of(path, url), read_machine(), {})
    (line,) = [said for said in planned.sentences() if said.startswith("Experiment")]
    assert line.startswith("Experiment slow in load, from 1 s to 1.5 s of the measured stretch")
    assert "the proxy front delays responses by 50.0 ms" in line
    assert "p95 during the experiment ≤ 1 s" in line
