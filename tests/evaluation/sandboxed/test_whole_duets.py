"""Whole duets of the sandbox as they are counted: measured in turn, kept, taken up again. Here they are made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.analysis.duets import noisy
from tests.gate.world import Spectator
from velro_gate.analysis.verdict.judge_duet import head_phases
from velro_gate.errors import InterruptedRunError
from velro_gate.evaluation.results import Figure
from velro_gate.evaluation.sandboxed.whole_duets import WholeDuets, whole_duet_figures
from velro_gate.gate.builds.run import BuildCommand, Builds
from velro_gate.gate.duet.blocks import BlockShape
from velro_gate.gate.duet.pilot import DuetOptions
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.null_run import Calibration
from velro_gate.gate.measure.results import Results
from velro_gate.gate.measure.setup import Setup
from velro_gate.gate.sandboxed.effects import sandbox_builds, sandbox_effects
from velro_gate.model.duet import DuetRecord
from velro_gate.model.record import RunRecord
from velro_gate.store.duets import write_duet

SLOWER = sandbox_builds(0.20).head


class Measuring:
    """Makes duets up. blind: the slowed head build takes no longer. interrupted_at: the number of one that is cut short."""

    def __init__(self, *, blind: bool = False, interrupted_at: int = 0) -> None:
        self.asked: list[tuple[str, DuetOptions]] = []
        self._blind = blind
        self._interrupted_at = interrupted_at

    def __call__(
        self,
        setup: Setup,
        builds: Builds,
        options: DuetOptions,
        results: Results,
        effects: Effects,
        calibration: Calibration,
        /,
    ) -> tuple[RunRecord, DuetRecord]:
        self.asked.append((results.folder.name, options))
        assert isinstance(builds.head, BuildCommand)
        slowed = builds.head == SLOWER and not self._blind
        held = noisy(factor=1.2 if slowed else 1.0, seed=len(self.asked))
        phases = head_phases(held)
        planned = tuple(replace(setup.plan.phases[0], name=each.name, requirements=()) for each in phases)
        record = RunRecord(
            id=results.folder.name,
            started_at="2026-01-01T00:00:00Z",
            tool="velro-gate test",
            plan=replace(setup.plan, phases=planned),
            environment=effects.environment(),
            revision=effects.revision(),
            phases=phases,
            interrupted=len(self.asked) == self._interrupted_at,
        )
        kept = DuetRecord(duet=held, warm_up=1.0, block_seconds=3.0, restarted=True)
        write_duet(results.folder, record, kept)
        return record, kept


def figures(folder: Path, measure: Measuring, count: int = 2) -> tuple[dict[tuple[str, str], Figure], list[str]]:
    watching = Spectator()
    asked = WholeDuets(folder=folder, count=count, seed=1, shape=BlockShape(warm_up=1.0, seconds=3.0))
    found = whole_duet_figures(asked, sandbox_effects(watching.effects), measure=measure)
    return {(figure.experiment, figure.what): figure for figure in found}, watching.said


def test_both_kinds_are_measured_in_turn_with_blocks_of_the_bank_and_a_seed_of_their_own(tmp_path: Path) -> None:
    measure = Measuring()
    figures(tmp_path, measure)
    assert [name for name, _ in measure.asked] == ["001-unchanged", "001-plus-20", "002-unchanged", "002-plus-20"]
    assert {(options.block, options.warm_up, options.pairs, options.pilot) for _, options in measure.asked} == {
        (3.0, 1.0, None, True)
    }
    assert len({options.seed for _, options in measure.asked}) == 4


def test_unchanged_ones_that_pass_and_slowed_ones_that_are_found_reach_the_figures(tmp_path: Path) -> None:
    found, said = figures(tmp_path, Measuring())
    assert found["whole duets, A/A", "false fails"].reached
    assert found["whole duets, service +20 % slower", "found"].hits == 2
    assert "duet 2 of 2, service +20 % slower: fail after 10 pairs" in said


def test_a_slowdown_that_is_not_found_misses_the_figure(tmp_path: Path) -> None:
    found, _ = figures(tmp_path, Measuring(blind=True))
    assert found["whole duets, service +20 % slower", "found"].reached is False


def test_what_was_measured_before_an_interruption_is_not_measured_again(tmp_path: Path) -> None:
    with pytest.raises(InterruptedRunError, match="interrupted"):
        figures(tmp_path, Measuring(interrupted_at=3))
    again = Measuring()
    found, _ = figures(tmp_path, again)
    assert [name for name, _ in again.asked] == ["002-unchanged-2", "002-plus-20"]
    assert found["whole duets, A/A", "false fails"].count == 2
    idle = Measuring()
    assert figures(tmp_path, idle)[0] == found
    assert idle.asked == []


def test_every_duet_has_a_folder_with_the_usual_reports(tmp_path: Path) -> None:
    figures(tmp_path, Measuring(), count=1)
    for folder in ("001-unchanged", "001-plus-20"):
        assert {"record.json", "duet.json", "verdict.json", "verdict.md", "report.html"} <= {
            path.name for path in (tmp_path / folder).iterdir()
        }
