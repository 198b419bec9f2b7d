"""Suspicious phases are run again before a run fails."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.duets import noisy
from tests.analysis.runs import baselines, run, summary
from tests.gate.world import Spectator, tiny_setup
from tests.service import Service, service
from velro_gate.analysis.stored.confirmation import Repeats
from velro_gate.errors import BrokenError, InfeasibleError, RecordError, VelroError
from velro_gate.gate.builds.no_duet import NoDuetError, no_duet_without_a_base
from velro_gate.gate.builds.run import Build, BuildCommand, Builds, RunningBuild
from velro_gate.gate.duet.duration import say_forecast
from velro_gate.gate.duet.pilot import DuetOptions
from velro_gate.gate.duet.run import duet
from velro_gate.gate.judge.confirm import (
    Confirming,
    gated,
    phases_again,
    phases_side_by_side,
    was_interrupted,
)
from velro_gate.gate.judge.verdict import judge_kept, kept_further, reach_verdict, reread
from velro_gate.gate.measure.results import Results, make_results
from velro_gate.gate.measure.run import run as run_load
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.duet import Duet, DuetRecord
from velro_gate.model.further import Further
from velro_gate.model.record import PhaseSummary, RunRecord
from velro_gate.model.verdict import Change, Level, Verdict
from velro_gate.report.sentences.findings import words
from velro_gate.report.sentences.reasons import row_reason
from velro_gate.store.baselines import add_baseline
from velro_gate.store.duets import write_duet
from velro_gate.store.further import CONFIRMATION, REPEATS, repeat_folders

TWO = ("calm", "busy")


@pytest.fixture
def accepted(tmp_path: Path) -> Path:
    """A folder with ten baselines of two phases."""
    for number in range(10):
        add_baseline(tmp_path / "baselines", run(*(summary(name, times=1.0 + 0.002 * number) for name in TWO), number=number))
    return tmp_path / "baselines"


def slow(busy: float, *, number: int = 50) -> RunRecord:
    return run(summary("calm"), summary("busy", times=busy), number=number)


class Again:
    """Runs nothing: its further runs are as slow as the test says."""

    def __init__(self, *times: float, missing: str = "", look: Callable[[], object] = lambda: None) -> None:
        self.times, self.missing, self.look = times, missing, look
        self.asked: list[Repeats] = []

    def __call__(self, needed: Repeats) -> Further:
        self.asked.append(needed)
        self.look()
        runs = [
            run(*(summary(name, times=factor) for name in needed.phases), number=60 + i) for i, factor in enumerate(self.times)
        ]
        return Further(runs=tuple(runs), missing=dict.fromkeys(needed.phases, self.missing) if self.missing else {})


def judged(
    record: RunRecord, accepted: Path, again: Again | None, *, seconds: float | None = None, said: list[str] | None = None
) -> tuple[Verdict, Results]:
    results = make_results(accepted.parent / "out", record.id)
    heard = said if said is not None else []
    confirming = None if again is None else Confirming(again=again, seconds=seconds)
    verdict, _ = gated(record, results, baselines=accepted, waivers=None, confirming=confirming, say=heard.append)
    return verdict, results


def p95(verdict: Verdict) -> str:
    row = next(row for row in verdict.comparisons if (row.phase, row.metric, row.step) == ("busy", "p95", "all"))
    return f"{row.verdict.value}: {row_reason(row)}"


def document(results: Results) -> dict[str, object]:
    return json.loads((results.folder / "verdict.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_only_the_suspicious_phase_is_run_again_with_its_cost_forecast(accepted: Path) -> None:
    again, said = Again(1.3, 1.3), list[str]()
    verdict, results = judged(slow(1.3), accepted, again, said=said)
    (asked,) = again.asked
    assert (asked.phases, asked.runs) == (("busy",), 2)
    # Twice a ramp of 5 s, 60 s to measure, and 5 s around.
    assert asked.seconds == 140.0
    assert said == ["suspicious: phase busy"]
    assert verdict.level is Level.FAIL
    assert p95(verdict).startswith("regression: confirmed: 3 of 3")
    assert document(results)["verdict"] == "fail"


def test_the_files_say_how_often_it_was_confirmed(accepted: Path) -> None:
    _, results = judged(slow(1.3), accepted, Again(1.3, 1.3))
    row = next(row for row in document(results)["comparisons"] if (row["phase"], row["metric"]) == ("busy", "p95"))  # type: ignore[attr-defined]
    assert row["confirmation"] == {"runs": 3, "worse": 3, "confirmed": True, "side_by_side": False}
    assert "confirmed: 3 of 3 runs are worse" in str(document(results)["headline"])
    for name in ("verdict.md", "report.html"):
        assert "confirmed: 3 of 3" in (results.folder / name).read_text(encoding="utf-8").replace("\xa0", " ")


def test_one_odd_run_passes_when_two_further_ones_are_as_before(accepted: Path) -> None:
    verdict, _ = judged(slow(1.3), accepted, Again(1.0, 1.0))
    assert verdict.level <= Level.WARN
    assert p95(verdict).startswith("unchanged: not confirmed: 1 of 3")


def test_a_calm_run_is_not_run_again(accepted: Path) -> None:
    again = Again()
    verdict, results = judged(slow(1.0), accepted, again)
    assert again.asked == []
    assert verdict.level is Level.PASS
    assert not (results.folder / CONFIRMATION).exists()


def test_a_broken_run_is_not_run_again(accepted: Path) -> None:
    again = Again()
    cut = replace(slow(1.3), interrupted=True)
    assert judged(cut, accepted, again)[0].level is Level.BROKEN
    assert again.asked == []


def test_without_confirmation_a_run_is_judged_alone(accepted: Path) -> None:
    verdict, results = judged(slow(1.3), accepted, None)
    assert verdict.level is Level.FAIL
    assert "confirmed" not in p95(verdict)
    assert not (results.folder / CONFIRMATION).exists()


def test_no_time_for_it_leaves_the_run_inconclusive_and_says_so(accepted: Path) -> None:
    again, said = Again(), list[str]()
    verdict, results = judged(slow(1.3), accepted, again, seconds=100.0, said=said)
    assert again.asked == []
    assert verdict.level is Level.INCONCLUSIVE
    assert "no time to run it 2 times again (about 2 min 20 s; --max-minutes allows 1 min 40 s in all)" in p95(verdict)
    assert "no time" in said[0]
    assert "no time" in (results.folder / "verdict.md").read_text(encoding="utf-8").replace("\xa0", " ")


def test_where_there_is_time_for_one_phase_only_the_other_stays_open(accepted: Path) -> None:
    both = run(summary("calm", times=1.3), summary("busy", times=1.5), number=50)
    again = Again(1.5, 1.5)
    verdict, _ = judged(both, accepted, again, seconds=150.0)
    assert again.asked[0].phases == ("busy",)
    assert p95(verdict).startswith("regression: confirmed")
    gc_pause = [row for row in verdict.comparisons if row.phase == "calm" and row.verdict is Change.SUSPICIOUS and row.primary]
    assert gc_pause
    assert all("no time" in row_reason(row) for row in gc_pause)


def test_the_verdict_until_then_is_on_disk_before_anything_is_run_again(accepted: Path) -> None:
    seen: list[object] = []
    place = accepted.parent / "out" / "run-50" / "verdict.json"
    again = Again(1.3, 1.3, look=lambda: seen.append(json.loads(place.read_text(encoding="utf-8"))["verdict"]))
    judged(slow(1.3), accepted, again)
    assert seen == ["inconclusive"]


def test_what_stopped_the_further_runs_is_the_reason_in_the_verdict(accepted: Path) -> None:
    verdict, _ = judged(slow(1.3), accepted, Again(1.3, missing="it could not be run again: no healthy service"))
    assert verdict.level is Level.INCONCLUSIVE
    assert "no healthy service" in p95(verdict)
    assert any("no healthy service" in words(finding).sentence for finding in verdict.findings)


def test_a_waived_worsening_is_not_run_again(accepted: Path) -> None:
    waivers = accepted.parent / "velro-waivers.yaml"
    alone = reach_verdict(slow(1.3), accepted)
    rows = [row for row in alone.comparisons if row.primary and row.verdict in (Change.REGRESSION, Change.SUSPICIOUS)]
    waivers.write_text(
        "\n".join(
            f"- {{phase: {row.phase}, step: {row.step}, metric: {row.metric}, ceiling: 90 %, expires: 2025-02-01, "
            "issue: '#1', reason: wanted}"
            for row in rows
        ),
        encoding="utf-8",
    )
    again = Again()
    results = make_results(accepted.parent / "out", "waived")
    confirming = Confirming(again=again)
    verdict, _ = gated(slow(1.3), results, baselines=accepted, waivers=waivers, confirming=confirming, say=print)
    assert again.asked == []
    assert verdict.level is Level.WARN


# With a real service


LOAD: dict[str, Any] = {"users": 100, "rate": "150/s"}


def faster(record: RunRecord, number: int) -> RunRecord:
    """The same run of an earlier day, when every answer took a tenth of the time."""

    def quick(phase: PhaseSummary) -> PhaseSummary:
        steps = [
            replace(
                step,
                measurements={
                    name: replace(found, value=found.value / 10.0, low=found.low / 10.0, high=found.high / 10.0)
                    if name.startswith("p")
                    else found
                    for name, found in step.measurements.items()
                },
            )
            for step in phase.steps
        ]
        return replace(phase, steps=tuple(steps))

    started = f"2026-01-0{number}T00:00:00Z"
    return replace(record, id=f"{record.id}-{number}", started_at=started, phases=tuple(map(quick, record.phases)))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the service that all tests gate."""
    folder = tmp_path_factory.mktemp("measured")
    with service() as running:
        results = make_results(folder / "out", "gated")
        run_load(tiny_setup(folder, running.url, **LOAD), results, Spectator().effects)
    return results.folder


def gate_slow(
    folder: Path, measured: Path, running: Service, watching: Spectator, way: Callable[[Setup, Results], Confirming]
) -> tuple[Verdict, Further | None, Results, Path]:
    """Gate a service that was ten times as fast before. way: to measure a suspicion again."""
    setup = tiny_setup(folder, running.url, **LOAD)
    results = make_results(folder / "out", "gated")
    shutil.copytree(measured, results.folder, dirs_exist_ok=True)
    record = reread(results.folder)
    stored = folder / "baselines"
    for number in range(1, 7):
        add_baseline(stored, faster(record, number))
    confirming = way(setup, results)
    verdict, further = gated(record, results, baselines=stored, waivers=None, confirming=confirming, say=watching.effects.say)
    return verdict, further, results, stored


def gate_for_real(
    folder: Path, measured: Path, running: Service, watching: Spectator, change: Callable[[Setup], Setup] = lambda setup: setup
) -> tuple[Verdict, Further | None, Results, Path]:
    """Gate it with nothing but itself to confirm by. change: what has become of the service by then."""

    def way(setup: Setup, results: Results) -> Confirming:
        again = partial(phases_again, setup=change(setup), results=results, effects=watching.effects, calibration=None)
        return Confirming(again=again)

    return gate_slow(folder, measured, running, watching, way)


def suspected_rows(verdict: Verdict) -> Sequence[str]:
    suspected = (Change.REGRESSION, Change.SUSPICIOUS)
    found = [row_reason(row) for row in verdict.comparisons if row.primary and row.verdict in suspected]
    assert found
    return found


def test_a_slow_service_is_confirmed_and_the_kept_run_can_be_judged_again(tmp_path: Path, measured: Path) -> None:
    watching = Spectator()
    with service() as running:
        verdict, further, results, stored = gate_for_real(tmp_path, measured, running, watching)
    assert verdict.level is Level.FAIL
    assert any(reason.startswith("confirmed: 3 of 3") for reason in suspected_rows(verdict))
    assert [line for line in watching.said if "confirmation run" in line] == [
        "confirmation run 1 of 2",
        "confirmation run 2 of 2",
    ]
    kept = kept_further(results.folder)
    assert kept == further
    assert kept == kept_further(results.folder / "record.json")
    assert len(repeat_folders(results.folder)) == 2
    assert {again.plan.profile for again in kept.runs} == {"pr:short"} if kept else False
    assert reach_verdict(reread(results.folder), stored, further=kept) == verdict
    assert judge_kept(results.folder, stored) == (reread(results.folder), verdict)


def test_a_service_that_is_gone_by_then_leaves_the_run_inconclusive_with_the_reason(tmp_path: Path, measured: Path) -> None:
    def elsewhere(setup: Setup) -> Setup:
        target = replace(setup.scenario.target, url="http://127.0.0.1:9")
        return replace(setup, scenario=replace(setup.scenario, target=target))

    watching = Spectator()
    with service() as running:
        verdict, further, results, _ = gate_for_real(tmp_path, measured, running, watching, elsewhere)
    assert further is not None
    assert verdict.level is Level.INCONCLUSIVE
    assert all("it could not be run again" in reason for reason in suspected_rows(verdict))
    assert kept_further(results.folder) == further


def test_an_interruption_of_the_second_run_keeps_and_marks_everything(
    tmp_path: Path, measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Signals need the main thread of a process of its own (tests/cli); here the second run comes back as if stopped.
    made: list[RunRecord] = []

    def stopped(*arguments: object) -> RunRecord:
        record = run_load(*arguments)  # type: ignore[arg-type]
        made.append(record)
        return replace(record, interrupted=True)

    monkeypatch.setattr("velro_gate.gate.judge.confirm.run", stopped)
    with service() as running:
        verdict, further, results, _ = gate_for_real(tmp_path, measured, running, Spectator())
    assert len(made) == 1, "nothing is run after an interruption"
    assert was_interrupted(further)
    assert verdict.level is Level.INCONCLUSIVE
    assert all("interrupted" in reason for reason in suspected_rows(verdict))
    assert "interrupted" in (results.folder / CONFIRMATION).read_text(encoding="utf-8")


# Beside the base build


def gate_next_to(
    folder: Path, measured: Path, running: Service, base: Build, watching: Spectator, options: DuetOptions
) -> tuple[Verdict, Further | None, Results, Path]:
    """Gate it with this base build to measure it beside."""
    builds, effects = Builds(base=base, head=RunningBuild(url=running.url)), watching.effects

    def next_to(smaller: Setup, place: Results) -> tuple[RunRecord, DuetRecord]:
        with no_duet_without_a_base():
            say_forecast(smaller.phases, options, effects.say)
            return duet(smaller, builds, options, place, effects)

    def way(setup: Setup, results: Results) -> Confirming:
        alone = partial(phases_again, setup=setup, results=results, effects=effects, calibration=None)
        together = partial(phases_side_by_side, setup=setup, results=results, effects=effects, measure=next_to)
        return Confirming(again=alone, side_by_side=together)

    return gate_slow(folder, measured, running, watching, way)


def test_a_day_that_was_slow_for_the_base_build_too_is_no_regression(tmp_path: Path, measured: Path) -> None:
    watching = Spectator()
    options = DuetOptions(seed=11, pairs=7, block=1.0, warm_up=0.5, pilot=False)
    with service() as running, service() as base:
        verdict, further, results, stored = gate_next_to(
            tmp_path, measured, running, RunningBuild(url=base.url), watching, options
        )
    assert further is not None
    assert further.duet is not None
    # Seven, or fewer where this machine spoils too many of them.
    assert further.duet.duet.pairs
    assert any("side by side with the base build" in line for line in watching.said)
    # Beside an equal build nothing can be found; how much seven short pairs show is the machine's affair.
    assert not any(row.verdict is Change.REGRESSION for row in verdict.comparisons if row.primary)
    assert kept_further(results.folder) == further
    assert judge_kept(results.folder, stored) == (reread(results.folder), verdict)
    (place,) = (results.folder / REPEATS).iterdir()
    assert (place / "verdict.md").exists()


def test_without_a_base_build_it_is_run_again_alone_and_the_reason_is_reported(tmp_path: Path, measured: Path) -> None:
    watching = Spectator(os.environ)
    base = BuildCommand(line="echo no library; exit 3", directory=tmp_path)
    with service() as running:
        verdict, further, results, stored = gate_next_to(tmp_path, measured, running, base, watching, DuetOptions(seed=1))
    assert verdict.level is Level.FAIL
    assert further is not None
    assert (len(further.runs), further.duet) == (2, None)
    assert any("no duet, using stored baselines: the base build's command ended" in line for line in watching.said)
    assert [doubt.code for doubt in verdict.trust if doubt.code == "no-duet"]
    assert judge_kept(results.folder, stored) == (reread(results.folder), verdict)


def test_a_duet_that_would_take_too_long_is_refused_before_any_load_and_stored_baselines_stand_in(
    tmp_path: Path, measured: Path
) -> None:
    watching = Spectator()
    options = DuetOptions(seed=1, block=60.0, most_seconds=60.0)
    with service() as running, service() as base:
        verdict, further, results, stored = gate_next_to(
            tmp_path, measured, running, RunningBuild(url=base.url), watching, options
        )
        assert base.requests == 0
    assert verdict.level is Level.FAIL
    assert further is not None
    assert len(further.runs) == 2
    assert "10 pairs of blocks would take at least" in further.no_duet
    (doubt,) = [doubt for doubt in verdict.trust if doubt.code == "no-duet"]
    assert "stored baselines" in words(doubt).sentence
    assert judge_kept(results.folder, stored) == (reread(results.folder), verdict)


def test_the_least_time_of_a_duet_is_said_before_its_load(tmp_path: Path) -> None:
    setup, said = tiny_setup(tmp_path, "http://127.0.0.1:9"), list[str]()
    say_forecast(setup.phases, DuetOptions(seed=1, block=20.0, warm_up=4.0, pilot=False, most_seconds=900.0), said.append)
    assert said == ["forecast: 10 pairs of blocks, at least 8 min of load; the duet may take 15 min"]
    with pytest.raises(InfeasibleError, match="at least 8 min"):
        say_forecast(setup.phases, DuetOptions(seed=1, block=20.0, warm_up=4.0, pilot=False, most_seconds=479.0), said.append)


class Together:
    """A duet of the test's own pairs; asked: for which phases."""

    def __init__(self, found: Further | Exception) -> None:
        self.found, self.asked = found, list[tuple[str, ...]]()

    def __call__(self, names: tuple[str, ...]) -> Further:
        self.asked.append(names)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def steady_baselines(folder: Path, count: int, *, sd: float) -> Path:
    for each in baselines(count, sd=sd):
        add_baseline(folder / "stored", each)
    (folder / "stored").mkdir(exist_ok=True)
    return folder / "stored"


def paired_with(factor: float) -> Further:
    return Further(duet=DuetRecord(duet=noisy(factor=factor), warm_up=1.0, block_seconds=60.0, restarted=True))


@pytest.mark.parametrize("count", [10, 2, 0])
@pytest.mark.parametrize(("factor", "level"), [(1.0, Level.PASS), (1.2, Level.FAIL)])
def test_what_the_screen_leaves_open_or_has_no_baseline_for_is_decided_by_the_duet(
    tmp_path: Path, count: int, factor: float, level: Level
) -> None:
    stored = steady_baselines(tmp_path, count, sd=0.15)
    next_to = Together(paired_with(factor))
    results = make_results(tmp_path / "out", "open")
    confirming = Confirming(again=Again(), side_by_side=next_to)
    verdict, _ = gated(run(summary()), results, baselines=stored, waivers=None, confirming=confirming, say=print)
    assert next_to.asked == [("steady",)]
    assert verdict.level is level
    text = (results.folder / "verdict.md").read_text(encoding="utf-8")
    assert re.search(r"the duet of 10 pairs settled \d+ figures \(steady\)", text.replace("\xa0", " "))


def test_a_phase_that_the_screen_has_settled_does_not_go_to_the_duet(accepted: Path) -> None:
    next_to = Together(Further())
    results = make_results(accepted.parent / "out", "calm")
    confirming = Confirming(again=Again(), side_by_side=next_to)
    gated(slow(1.0), results, baselines=accepted, waivers=None, confirming=confirming, say=print)
    assert next_to.asked == []
    gated(slow(1.3), results, baselines=accepted, waivers=None, confirming=confirming, say=print)
    assert next_to.asked == [("busy",)]


def test_without_a_duet_only_what_looks_worse_is_run_again_and_the_reason_stands_in_the_verdict(tmp_path: Path) -> None:
    stored, again = steady_baselines(tmp_path, 10, sd=0.15), Again()
    results = make_results(tmp_path / "out", "open")
    confirming = Confirming(again=again, side_by_side=Together(NoDuetError("it does not fit", "Allow more.")))
    verdict, _ = gated(run(summary()), results, baselines=stored, waivers=None, confirming=confirming, say=print)
    assert again.asked == []
    assert verdict.is_open
    assert "it does not fit" in next(words(doubt).sentence for doubt in verdict.trust if doubt.code == "no-duet")
    assert reach_verdict(run(summary()), stored, further=kept_further(results.folder)) == verdict


class NextTo:
    """Measures nothing: its pairs are the test's own, or an error that is."""

    def __init__(self, held: Duet | None = None, *, error: VelroError | None = None, interrupted: bool = False) -> None:
        self._held, self._error, self._interrupted = held, error, interrupted

    def __call__(self, setup: Setup, results: Results) -> tuple[RunRecord, DuetRecord]:
        if self._error is not None or self._held is None:
            raise self._error or AssertionError
        record = run(summary("short"), number=70)
        kept = DuetRecord(duet=self._held, warm_up=1.0, block_seconds=60.0, restarted=True)
        record = replace(record, interrupted=self._interrupted)
        write_duet(results.folder, record, kept)
        return record, kept


def next_to(folder: Path, measure: NextTo) -> Further:
    setup = tiny_setup(folder, "http://127.0.0.1:9")
    return phases_side_by_side(
        ("short",),
        setup=setup,
        results=make_results(folder / "out", "gated"),
        effects=Spectator().effects,
        measure=measure,
    )


def test_a_head_build_that_fails_next_to_the_base_is_the_reason_in_the_verdict(tmp_path: Path) -> None:
    further = next_to(tmp_path, NextTo(error=BrokenError("the head build's command ended")))
    assert further.missing == {"short": "it could not be measured side by side: the head build's command ended"}
    assert further.broken


def test_a_build_that_cannot_be_measured_next_to_its_base_is_never_green(tmp_path: Path) -> None:
    stored = steady_baselines(tmp_path, 10, sd=0.15)
    results = make_results(tmp_path / "out", "open")
    failed = Further(no_duet="the head build's command ended", advice="Mend it.", broken=True)
    confirming = Confirming(again=Again(), side_by_side=Together(failed))
    verdict, _ = gated(run(summary()), results, baselines=stored, waivers=None, confirming=confirming, say=print)
    assert verdict.level is Level.BROKEN
    assert reach_verdict(run(summary()), stored, further=kept_further(results.folder)) == verdict


def test_an_interrupted_duet_is_kept_and_ends_the_gate(tmp_path: Path) -> None:
    further = next_to(tmp_path, NextTo(noisy(3), interrupted=True))
    assert was_interrupted(further)
    assert further.duet is not None


# The files


def test_a_run_without_a_confirmation_has_no_further_runs(tmp_path: Path) -> None:
    assert kept_further(tmp_path) is None
    assert kept_further(tmp_path / "no-folder") is None


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 2, "not_run_again": {}}', '{"schema": 1, "not_run_again": {"a": 1}}'])
def test_a_damaged_confirmation_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / CONFIRMATION).write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match="confirmation"):
        kept_further(tmp_path)


def test_a_further_run_that_kept_no_record_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / REPEATS / "killed").mkdir(parents=True)
    assert repeat_folders(tmp_path) == ()
