"""``velro-gate capacity`` and the evaluation of bottlenecks, as far as they need no load."""

from __future__ import annotations

import json
from pathlib import Path

from tests.analysis.phases import health
from tests.analysis.runs import run, summary
from tests.cli.command import tiny_scenario, velro_gate
from velro_gate.model.record import RunRecord
from velro_gate.model.run import GeneratorHealth, PhaseRun, RunFacts, Tick
from velro_gate.store.records import write_record


def ran(name: str, in_flight: int, rate: float) -> PhaseRun:
    """A phase of 20 s with that many requests at a time."""
    ticks = tuple(
        Tick(at=float(at), connected=100, in_flight=in_flight, sent=round(rate * at), ok=round(rate * at), failed=0)
        for at in range(21)
    )
    state: GeneratorHealth = health()
    return PhaseRun(
        name=name,
        started=0.0,
        measured_from=0.0,
        measured_until=20.0,
        ended=20.0,
        users=100,
        due={},
        blocked={},
        missed={},
        sent_total=0,
        delivered_total=0,
        connections_opened=100,
        reconnects=0,
        retries=0,
        ticks=ticks,
        health=state,
    )


def kept(folder: Path, *phases: PhaseRun) -> Path:
    folder.mkdir()
    record: RunRecord = run(summary())
    write_record(folder, record, RunFacts(phases=phases, readings=(), layers=()))
    return folder


def test_the_law_is_fitted_to_the_phases_of_a_kept_run(tmp_path: Path) -> None:
    def law(n: int) -> float:
        return 100.0 * n / (1.0 + 0.02 * (n - 1) + 0.0005 * n * (n - 1))

    folder = kept(tmp_path / "run", *(ran(f"p{n}", n, law(n)) for n in (1, 4, 16, 32, 64, 90)))
    ended = velro_gate("capacity", "--from", str(folder), cwd=tmp_path)
    assert ended.code == 0
    assert "knee at 44" in ended.out
    ended = velro_gate("capacity", "--from", str(folder), "--format", "json", cwd=tmp_path)
    assert json.loads(ended.out)["points"] == 6


def test_a_run_with_too_few_phases_for_a_law_is_refused(tmp_path: Path) -> None:
    folder = kept(tmp_path / "run", ran("only", 4, 100.0))
    ended = velro_gate("capacity", "--from", str(folder), cwd=tmp_path)
    assert ended.code == 2
    assert "no scalability law can be fitted" in ended.err


def test_a_plan_that_load_cannot_miss_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    scenario = tiny_scenario(tmp_path, requirements="{}")
    text = scenario.read_text(encoding="utf-8")
    scenario.write_text(text.replace("  error_rate:", "  users_held: '>= 1' #"), encoding="utf-8")
    ended = velro_gate("capacity", str(scenario), "--url", "http://127.0.0.1:1", cwd=tmp_path)
    assert ended.code == 2
    assert "no requirement that more load could miss" in ended.err


def test_an_unknown_cause_is_refused(tmp_path: Path) -> None:
    ended = velro_gate("evaluate", "bottlenecks", "--folder", "causes", "--only", "pol", cwd=tmp_path)
    assert ended.code == 2
    assert "there is no cause 'pol'" in ended.err
