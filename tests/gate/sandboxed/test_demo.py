"""The demonstration: the whole way from an empty folder to two verdicts, on the real sandbox."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cluster.values import failing
from tests.gate.judge.test_calibrate import aged
from tests.gate.world import Spectator
from tests.report import examples
from velro_gate.errors import BrokenError
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.gate.sandboxed import demo as demonstration
from velro_gate.gate.sandboxed.demo import SLOWED_STEP, demo, names_the_slow_step
from velro_gate.model.facts.doubts import Worded
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Change, Comparison, Finding, Level, Verdict
from velro_gate.sandbox.settings import Settings
from velro_gate.store.baselines import add_baseline


def test_a_short_demonstration_leaves_two_verdicts_with_their_files_and_its_own_baselines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three seconds on a busy machine say nothing of 30 %.
    monkeypatch.setattr(demonstration, "SLOWDOWN", 4.0)
    # As many as the scenario has accounts: caches of a hundred times as many take most of a sandbox's start to fill.
    monkeypatch.setattr(demonstration, "Settings", partial(Settings, users=200))
    short = tmp_path / "short.yaml"
    text = shipped_scenario("demo").read_text(encoding="utf-8")
    # Nor is the machine's delay to matter beside the limits: a disturbed run becomes no baseline. A sixth of the load is enough
    # for 300 responses of the slow step.
    for words, instead in (
        ("duration: 18 s", "duration: 3 s"),
        ("ramp: 2 s", "ramp: 1 s"),
        ("users: 300", "users: 60"),
        ("rate: 700/s", "rate: 120/s"),
        ('throughput: ">= 650/s", users_held: ">= 300"', 'throughput: ">= 60/s"'),
        ("< 50 ms", "< 5 s"),
        ("< 75 ms", "< 5 s"),
        ("100 ms", "10 s"),
    ):
        assert words in text
        text = text.replace(words, instead)
    short.write_text(text, encoding="utf-8")
    watching = Spectator()
    unchanged, slower = demo(tmp_path / "out", watching.effects, runs=1, scenario=short)
    assert unchanged.verdict.baselines_used == slower.verdict.baselines_used == 1
    for build in (unchanged, slower):
        assert (build.folder / "verdict.md").read_text(encoding="utf-8").startswith("<!-- velro-gate:")
        assert build.record.phases[0].steps[0].counts.failed == 0
    before, after = (build.record.phases[0].measurement("p50", SLOWED_STEP) for build in (unchanged, slower))
    assert before is not None
    assert after is not None
    assert after.value > 2.0 * before.value, "the sandbox was told to take four times as long"


def test_with_a_cluster_the_demonstration_sends_its_load_by_the_workers_and_by_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demonstration, "Settings", partial(Settings, users=200))
    cluster = failing()
    with pytest.raises(BrokenError, match=r"worker [12] of 2 \(.* cannot take part in the load"):
        demo(tmp_path, dataclasses.replace(Spectator().effects, cluster=cluster), runs=1)
    # The generator alone was to be measured by both workers, too.
    assert len(cluster.client.asked) == 4


def row(step: str, change: Change) -> Comparison:
    level = Level.FAIL if change is Change.REGRESSION else Level.PASS
    return Comparison(phase="steady", step=step, metric="p95", verdict=change, primary=True, level=level)


def verdict(*rows: Comparison) -> Verdict:
    findings = tuple(Finding(level=one.level, subject=one.step, facts=Worded(code="x", sentence="x")) for one in rows)
    return Verdict(findings=findings, comparisons=rows)


def test_the_slow_build_is_found_when_its_step_and_no_other_regressed() -> None:
    right = row(SLOWED_STEP, Change.REGRESSION)
    assert names_the_slow_step(verdict(right))
    assert names_the_slow_step(verdict(right, row("all", Change.REGRESSION)))
    assert not names_the_slow_step(verdict(right, row("model_access", Change.REGRESSION)))
    assert not names_the_slow_step(verdict(row("all", Change.REGRESSION)))
    assert not names_the_slow_step(verdict(row(SLOWED_STEP, Change.UNCHANGED)))


def test_failing_for_another_reason_does_not_count_as_found() -> None:
    _, missed = examples.EXAMPLES["fail-missed"]()
    assert not names_the_slow_step(dataclasses.replace(missed, comparisons=()))


def scripted(monkeypatch: pytest.MonkeyPatch, *measured: RunRecord) -> list[RunRecord]:
    """Six equal runs for baselines, then these instead of measurements; what is left of them stays in the list."""
    left = list(measured)

    def seeded(_: object, *, baselines: Path, **__: object) -> None:
        for number in range(1, 7):
            add_baseline(baselines, aged(examples.record(), number))

    @contextmanager
    def no_service(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(plan=SimpleNamespace(scenario="shop"))

    def next_run(*_: object) -> RunRecord:
        return aged(left.pop(0), 9 - len(left))

    monkeypatch.setattr(demonstration, "calibrate", seeded)
    monkeypatch.setattr(demonstration, "sandbox_service", no_service)
    monkeypatch.setattr(demonstration, "run", next_run)
    return left


DISTURBED = {"model_access": 3.0, "generation_list": 3.0}


def test_one_disturbed_run_of_either_build_is_measured_again_and_the_demonstration_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = {SLOWED_STEP: 2.0}
    runs = (examples.record(slower=DISTURBED), examples.record(), examples.record(slower=slow | DISTURBED))
    left = scripted(monkeypatch, *runs, examples.record(slower=slow))
    watching = Spectator()
    unchanged, slower = demo(tmp_path, watching.effects)
    assert unchanged.as_expected
    assert slower.as_expected
    assert not left
    assert sum(line.startswith("measured again") for line in watching.said) == 2


def test_two_disturbed_runs_of_a_build_are_reported_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disturbed = examples.record(slower=DISTURBED)
    scripted(monkeypatch, disturbed, disturbed, examples.record(slower={SLOWED_STEP: 2.0}))
    unchanged, slower = demo(tmp_path, Spectator().effects)
    assert not unchanged.as_expected
    assert slower.as_expected
