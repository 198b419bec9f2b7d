"""Whole jobs of the gate as they are counted: measured in turn, kept, taken up again. Here their figures are made up."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.analysis.duets import noisy
from tests.analysis.runs import baselines, run, summary
from tests.gate.world import Spectator
from velro_gate.errors import InterruptedRunError
from velro_gate.evaluation.results import Amount, Evaluated, Figure
from velro_gate.evaluation.sandboxed import busy_neighbour
from velro_gate.evaluation.sandboxed.whole_jobs import JobKind, Sandbox, WholeJobs, whole_job_figures
from velro_gate.gate.builds.run import BuildCommand
from velro_gate.gate.duet.blocks import BlockShape
from velro_gate.gate.judge.confirm import INTERRUPTED, Confirming, gated
from velro_gate.gate.measure.results import Results
from velro_gate.gate.sandboxed.effects import sandbox_builds, sandbox_effects
from velro_gate.model.duet import DuetRecord
from velro_gate.model.further import Further
from velro_gate.store.baselines import add_baseline
from velro_gate.store.codec import encode_record
from velro_gate.store.duets import write_duet
from velro_gate.store.further import REPEATS


class Measuring:
    """Makes jobs up, which all go to the duet. blind: it does not see the slower step. interrupted_at: a job's number."""

    def __init__(self, *, blind: bool = False, interrupted_at: int = 0) -> None:
        self.asked: list[tuple[str, bool, int]] = []
        self._blind, self._interrupted_at = blind, interrupted_at

    def __call__(self, sandbox: Sandbox, kind: JobKind, results: Results, seed: int) -> None:
        self.asked.append((results.folder.name, kind.disturbed, seed))
        if not sandbox.baselines.exists():
            for each in baselines(10, sd=0.15):
                add_baseline(sandbox.baselines, each)
        factor = 1.2 if kind.slower and not self._blind else 1.0
        record = replace(run(summary()), id=results.folder.name)
        results.write("record.json", encode_record(record))
        kept = DuetRecord(duet=noisy(factor=factor, seed=seed), warm_up=1.0, block_seconds=3.0, restarted=True)
        stopped = len(self.asked) == self._interrupted_at

        def next_to(names: tuple[str, ...]) -> Further:
            place = results.folder / REPEATS / "duet"
            place.mkdir(parents=True)
            write_duet(place, replace(record, id="duet"), kept)
            return Further(duet=kept, missing=dict.fromkeys(names, INTERRUPTED) if stopped else {})

        confirming = Confirming(again=lambda _: Further(), side_by_side=next_to)
        gated(record, results, baselines=sandbox.baselines, waivers=None, confirming=confirming, say=print)
        if stopped:
            raise InterruptedRunError("the jobs were interrupted")


def figures(folder: Path, measure: Measuring, count: int = 2) -> dict[tuple[str, str], Evaluated]:
    asked = WholeJobs(folder=folder, count=count, seed=1, screen=10.0, shape=BlockShape(warm_up=1.0, seconds=3.0))
    found = whole_job_figures(asked, sandbox_effects(Spectator().effects), measure=measure)
    return {(each.experiment.partition(",")[0] + each.experiment[-10:], each.what): each for each in found}


def hits(found: dict[tuple[str, str], Evaluated], what: str) -> list[tuple[int, int]]:
    return [(each.hits, each.count) for (_, name), each in found.items() if name == what and isinstance(each, Figure)]


def test_both_kinds_are_gated_in_turn_with_a_seed_of_their_own_and_counted(tmp_path: Path) -> None:
    measure = Measuring()
    found = figures(tmp_path, measure)
    assert [(name, disturbed) for name, disturbed, _ in measure.asked] == [
        ("001-unchanged", True),
        ("001-slower", False),
        ("002-unchanged", True),
        ("002-slower", False),
    ]
    assert len({seed for _, _, seed in measure.asked}) == 4
    assert (hits(found, "false fails"), hits(found, "found"), hits(found, "blocked")) == ([(0, 2)], [(2, 2)], [(0, 2), (0, 2)])
    loads = [each.value for each in found.values() if isinstance(each, Amount) and each.what == "load"]
    # A ramp of 5 s and 60 s, then ten pairs of blocks of 1 + 3 s.
    assert loads == [pytest.approx((65.0 + 80.0) / 60.0)] * 2


def test_a_slower_step_that_is_not_found_misses_the_figure(tmp_path: Path) -> None:
    found = figures(tmp_path, Measuring(blind=True))
    assert hits(found, "found") == [(0, 2)]


def test_what_was_measured_before_an_interruption_is_not_measured_again(tmp_path: Path) -> None:
    with pytest.raises(InterruptedRunError):
        figures(tmp_path, Measuring(interrupted_at=3))
    again = Measuring()
    found = figures(tmp_path, again)
    assert [name for name, _, _ in again.asked] == ["002-unchanged-2", "002-slower"]
    idle = Measuring()
    assert figures(tmp_path, idle) == found
    assert idle.asked == []


def test_only_the_named_step_is_slower_and_both_builds_run_on_the_services_core() -> None:
    builds = sandbox_builds(0.10, step="authorization_check", core=1)
    assert isinstance(builds.base, BuildCommand)
    assert isinstance(builds.head, BuildCommand)
    assert "--slow" not in builds.base.line
    assert builds.head.line.count("--slow") == 1
    assert "authorization_check=1.1" in builds.head.line
    assert "taskset --cpu-list 1" in builds.base.line


def test_a_busy_neighbour_ends_with_its_standard_input() -> None:
    command = [sys.executable, "-I", "-S", busy_neighbour.__file__, "0", "1"]
    ended = subprocess.run(command, input=b"", timeout=30, check=False)
    assert ended.returncode == 0
