"""Whole duets on real processes: small services that are started, loaded and stopped for every block."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.gate.programs import service as program
from tests.gate.world import Spectator, tiny_setup
from velro_gate.analysis.duet.comparison import usable_pairs
from velro_gate.errors import BrokenError, UsageError
from velro_gate.gate.builds.run import BuildCommand, Builds
from velro_gate.gate.duet.pilot import DuetOptions
from velro_gate.gate.duet.run import duet
from velro_gate.gate.judge.verdict import judge_kept, reach_duet_verdict, reread, reread_run, write_reports
from velro_gate.gate.measure.results import Results, make_results
from velro_gate.model.duet import DuetRecord, Side
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Change, Level
from velro_gate.report.sentences.findings import words
from velro_gate.store.duets import read_duet

SHORT = DuetOptions(seed=11, pairs=8, block=1.0, warm_up=0.5, pilot=False)


def run(folder: Path, base: str, head: str, options: DuetOptions = SHORT) -> tuple[RunRecord, DuetRecord, Results, Spectator]:
    watching = Spectator(os.environ)
    setup = tiny_setup(folder, "http://127.0.0.1", users=60, rate="120/s", shards=1)
    builds = Builds(
        base=BuildCommand(line=base, directory=folder, start_seconds=20.0),
        head=BuildCommand(line=head, directory=folder, start_seconds=20.0),
    )
    results = make_results(folder / "out", "duet")
    record, kept = duet(setup, builds, options, results, watching.effects)
    return record, kept, results, watching


@pytest.fixture(scope="module")
def slower(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunRecord, DuetRecord, Results, Spectator]:
    """Eight pairs in which the head build takes twice as long, and those that a busy machine makes it measure again."""
    folder = tmp_path_factory.mktemp("slower")
    return run(folder, program(folder, 10.0), program(folder, 20.0))


Slower = tuple[RunRecord, DuetRecord, Results, Spectator]


def test_a_slower_head_build_fails(slower: Slower) -> None:
    record, kept, _, _ = slower
    verdict = reach_duet_verdict(record, kept)
    # A busy machine may spoil so many pairs that nothing can be said, which is broken; what is said is right.
    if verdict.level is not Level.BROKEN:
        assert {row.verdict for row in verdict.comparisons if row.metric == "p50" and row.primary} == {Change.REGRESSION}
    assert verdict.level in (Level.FAIL, Level.BROKEN)
    assert verdict.duet is not None
    assert verdict.duet.restarted


def test_its_requirements_are_held_against_all_blocks_of_the_head_build(slower: Slower) -> None:
    record, kept, _, _ = slower
    (phase,) = record.phases
    blocks = len(usable_pairs(kept.duet)) or len(kept.duet.pairs)
    assert phase.measured_seconds == pytest.approx(float(blocks), abs=0.1)
    found = {result.requirement.metric: result for result in reach_duet_verdict(record, kept).requirements}
    assert found["p95"].estimate is not None
    assert 0.018 < found["p95"].estimate.value < 0.2


def test_the_order_is_that_of_the_recorded_seed(slower: Slower) -> None:
    _, kept, _, _ = slower
    lot = random.Random("11/order")
    order = [Side.BASE if lot.random() < 0.5 else Side.HEAD for _ in range(8)]
    assert [pair.first for pair in usable_pairs(kept.duet)] == order[: len(usable_pairs(kept.duet))]


def test_both_blocks_of_a_pair_get_the_same_arrivals_and_each_pair_others(slower: Slower) -> None:
    _, kept, _, _ = slower
    due = [[block.phases[0].steps[0].counts.due for block in (pair.base, pair.head)] for pair in kept.duet.pairs]
    assert all(base == head for base, head in due)
    assert len({base for base, _ in due}) > 1


def test_each_build_is_started_once_a_block_and_its_output_kept(slower: Slower) -> None:
    _, kept, results, _ = slower
    for side in Side:
        assert (results.folder / f"{side.value}.log").read_text("utf-8").count("serving on ") == len(kept.duet.pairs)


def test_a_kept_duet_gets_the_same_verdict_again(slower: Slower) -> None:
    record, kept, results, _ = slower
    again = read_duet(results.folder)
    assert again == kept
    assert reread(results.folder) == record
    assert reach_duet_verdict(reread(results.folder), again) == reach_duet_verdict(record, kept)
    assert judge_kept(results.folder, results.folder / "no-baselines") == (record, reach_duet_verdict(record, kept))
    assert read_duet(results.folder / "record.json") == kept


def test_the_usual_reports_are_written(slower: Slower) -> None:
    record, kept, results, _ = slower
    write_reports(record, reach_duet_verdict(record, kept), results)
    assert "Head and base side by side" in (results.folder / "verdict.md").read_text("utf-8")


def test_each_pair_and_each_look_is_reported_as_it_happens(slower: Slower) -> None:
    _, kept, results, watching = slower
    used = usable_pairs(kept.duet)
    assert sum(line.startswith("pair ") for line in watching.said) == len(used)
    assert sum(line.startswith("a pair is left out") for line in watching.said) == len(kept.duet.pairs) - len(used)
    assert watching.said[-1].startswith("look after 8 pairs: ") or len(used) < 8
    assert "pair 1 of 8, base" in {progress.phase for progress in watching.seen}
    assert "record kept" in results.log.read_text("utf-8")


def test_a_duet_cannot_become_a_baseline(slower: Slower) -> None:
    _, _, results, _ = slower
    with pytest.raises(UsageError, match="a duet cannot become a baseline"):
        reread_run(results.folder)


def test_a_head_build_that_dies_under_the_load_fails_after_one_pair(tmp_path: Path) -> None:
    (tmp_path / "head").mkdir()
    # Long enough for it to be certain that the build is gone and not only busy.
    longer = replace(SHORT, block=8.0)
    record, kept, _, _ = run(tmp_path, program(tmp_path, 1.0), program(tmp_path / "head", 1.0, dies_after=250), longer)
    assert len(kept.duet.pairs) == 1
    assert kept.duet.pairs[0].head.gone is not None
    failing = [words(finding).sentence for finding in reach_duet_verdict(record, kept).findings if finding.level is Level.FAIL]
    assert any(sentence.startswith("the head build stopped responding in 1 of 1 blocks") for sentence in failing)


def test_a_base_build_that_does_not_start_leaves_no_record(tmp_path: Path) -> None:
    with pytest.raises(BrokenError, match="the base build's command ended with exit code 5"):
        run(tmp_path, "exit 5", "exit 5", DuetOptions(seed=1))
    assert not (tmp_path / "out" / "duet" / "record.json").exists()


def test_the_whole_pairs_before_an_error_are_kept(tmp_path: Path) -> None:
    once = f"test -e used && exit 1; touch used; {program(tmp_path, 1.0)}"
    with pytest.raises(BrokenError, match="the head build's command ended with exit code 1"):
        run(tmp_path, program(tmp_path, 1.0), once)
    kept = read_duet(tmp_path / "out" / "duet")
    assert kept is not None
    assert len(kept.duet.pairs) == 1
    assert "the duet ended early: the head build's command ended" in reread(tmp_path / "out" / "duet").notes[-1]


def test_a_base_build_that_answers_nothing_well_is_refused_by_the_pilot(tmp_path: Path) -> None:
    broken = program(tmp_path, 0.0).replace("service.py", "broken.py")
    text = (tmp_path / "service.py").read_text("utf-8").replace('"allowed": true', '"allowed": none')
    (tmp_path / "broken.py").write_text(text, encoding="utf-8")
    with pytest.raises(BrokenError, match="the base build did not respond successfully to any request in the pilot's short"):
        run(tmp_path, broken, broken, DuetOptions(seed=1, warm_up=0.5))
