"""The example of a journey written in Python does what it promises, from the file to the record, against the sandbox."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.gate.world import Spectator
from tests.report.golden import shown
from velro_gate.engine.machine.limits import read_machine
from velro_gate.errors import JourneyError
from velro_gate.gate.measure.dry_run import dry_run
from velro_gate.gate.measure.null_run import null_run
from velro_gate.gate.measure.results import make_results
from velro_gate.gate.measure.run import run
from velro_gate.gate.measure.setup import RunOptions, Setup, prepare
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.report.parts.dry_run.plan import PlanRow, plan_view
from velro_gate.sandbox.process import running_sandbox
from velro_gate.sandbox.settings import Settings
from velro_gate.store.records import read_samples


def example(environ: dict[str, str]) -> Setup:
    return prepare(RunOptions(scenario=shipped_scenario("journey-example")), environ)


def shortened(setup: Setup) -> Setup:
    """The same plan over a shorter time."""
    phases = tuple(dataclasses.replace(phase, ramp=0.5, duration=2.5) for phase in setup.phases)
    return dataclasses.replace(setup, plan=dataclasses.replace(setup.plan, phases=phases))


def test_the_example_runs_and_the_sandbox_counts_what_the_record_says(tmp_path: Path) -> None:
    with running_sandbox(Settings(port=0, users=200)) as sandbox:
        setup = shortened(example({"VELRO_API_URL": sandbox.url, "SUPABASE_SERVICE_KEY": sandbox.key}))
        results = make_results(tmp_path, "run")
        record = run(setup, results, Spectator().effects)
        received = sandbox.counts()["received"]
    (phase,) = record.phases
    samples = read_samples(results.samples)["steady"]
    asked = {"generation_list": 0, "authorization_check": 1, "generation_create": 2}
    assert {name: received[name] for name in asked} == {name: int((samples.step == n).sum()) for name, n in asked.items()}
    assert [step.counts.failed for step in phase.steps] == [0, 0, 0, 0]
    assert all(step.counts.ok for step in phase.steps)
    assert phase.delivered_total == len(samples)
    assert phase.connections_opened >= phase.users


def test_the_plan_says_that_rates_are_journeys() -> None:
    setup = example({"SUPABASE_SERVICE_KEY": "k" * 8})
    said = dry_run(setup, read_machine(), {"SUPABASE_SERVICE_KEY": "k" * 8}).sentences()
    assert any("Rates are journeys per second: each is one pass of journey_example:browse." in each for each in said)
    (phase,) = setup.phases
    row = PlanRow.of(phase, 1260.0)
    assert row.offered == "20 journeys/s"
    assert "20 journeys/s" in shown(plan_view([row]))


def test_the_generator_alone_is_measured_with_a_journey_of_plain_requests() -> None:
    setup = example({"SUPABASE_SERVICE_KEY": "k" * 8})
    made = trio.run(partial(null_run, setup, seconds=1.0, stop=trio.Event()))
    assert made is not None
    assert made.answered == made.summary.delivered_total > 0
    # 20 journeys a second of three requests each.
    assert made.noise.rate > 20.0
    assert {step.step: step.counts.failed for step in made.summary.steps} == dict.fromkeys(("all", "list", "open", "create"), 0)


def test_a_fault_of_the_journeys_code_ends_the_run_with_its_line(tmp_path: Path) -> None:
    source = shipped_scenario("journey-example").read_text(encoding="utf-8")
    (tmp_path / "journey_at_fault.py").write_text("async def browse(user):\n    user.nothing\n", encoding="utf-8")
    file = tmp_path / "faulty.yaml"
    file.write_text(source.replace("journey_example:browse", "journey_at_fault:browse"), encoding="utf-8")
    with running_sandbox(Settings(port=0, users=200)) as sandbox:
        environ = {"VELRO_API_URL": sandbox.url, "SUPABASE_SERVICE_KEY": sandbox.key}
        with pytest.raises(JourneyError, match="AttributeError") as caught:
            run(shortened(prepare(RunOptions(scenario=file), environ)), make_results(tmp_path, "run"), Spectator().effects)
    assert caught.value.where == f"{tmp_path}/journey_at_fault.py:2"
    assert caught.value.exit_code == 2
