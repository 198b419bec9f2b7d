"""Runs with known causes as they are counted: made in turn, kept, taken up again. Here no load is sent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.analysis.runs import run, summary
from tests.gate.world import Spectator
from velro_gate.errors import InterruptedRunError, UsageError
from velro_gate.evaluation.results import Figure
from velro_gate.evaluation.sandboxed.causes import CauseRuns, cause_figures
from velro_gate.evaluation.sandboxed.injections import INJECTIONS
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.results import Results
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.facts.bottlenecks import Bottleneck, BottleneckFacts, Saturation, ServiceStall
from velro_gate.model.record import RunRecord
from velro_gate.model.run import RunFacts
from velro_gate.sandbox.process import RunningSandbox
from velro_gate.sandbox.settings import Settings
from velro_gate.store.records import write_record

STALL = ServiceStall(seconds=3.0, waiting=900)
QUEUE = Saturation(offered=300.0, answered=200.0, before=5.0, after=90.0)


class NotStarted(RunningSandbox):
    """A sandbox that obeys and serves nothing."""

    def control(self, payload: Mapping[str, object]) -> dict[str, object]:
        return dict(payload)


@contextlib.contextmanager
def not_started(_: Settings) -> Iterator[RunningSandbox]:
    yield NotStarted(url="http://127.0.0.1:1", key="a" * 40, pid=1)


class Measuring:
    """Makes records up. found: what each reports in turn; interrupted: whether a signal came."""

    def __init__(self, *found: tuple[BottleneckFacts, ...], interrupted: bool = False) -> None:
        self.asked: list[str] = []
        self._found = found
        self._interrupted = interrupted

    def __call__(self, setup: Setup, results: Results, effects: Effects) -> RunRecord:
        found = self._found[len(self.asked) % len(self._found)]
        self.asked.append(results.folder.name)
        rows = tuple(Bottleneck(start=4.0, end=7.0, strength=0.9, series=(), facts=facts) for facts in found)
        record = replace(run(replace(summary(), bottlenecks=rows)), interrupted=self._interrupted)
        write_record(results.folder, record, RunFacts(phases=(), readings=(), layers=()))
        return record


def figures(folder: Path, measuring: Measuring, **asked: object) -> dict[str, Figure]:
    runs = CauseRuns(**({"folder": folder, "count": 2, "clean": 2, "only": ("stall", "clean")} | asked))  # type: ignore[arg-type]
    made = list(cause_figures(runs, Spectator().effects, measure=measuring, start=not_started))
    assert all(isinstance(one, Figure) for one in made)
    return {f"{one.experiment}: {one.what}": one for one in made if isinstance(one, Figure)}


def test_a_cause_counts_when_it_is_reported_first(tmp_path: Path) -> None:
    # In turn: the cause, a clean run, the cause, a clean run.
    made = figures(tmp_path, Measuring((STALL, QUEUE), (), (QUEUE, STALL), (QUEUE,)))
    assert made["bottleneck stall: service-stall first"].hits == 1
    assert made["bottleneck stall: reported at all"].hits == 2
    assert made["bottleneck clean: anything reported"].hits == 1
    assert made["bottleneck clean: anything reported"].reached is False


def test_runs_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    first = Measuring((STALL,), ())
    figures(tmp_path, first)
    assert len(first.asked) == 4
    second = Measuring((QUEUE,))
    made = figures(tmp_path, second, count=3)
    assert len(second.asked) == 1
    assert made["bottleneck stall: service-stall first"].hits == 2


def test_an_interrupted_run_is_made_again(tmp_path: Path) -> None:
    with pytest.raises(InterruptedRunError):
        figures(tmp_path, Measuring((STALL,), interrupted=True), clean=0, count=1)
    again = Measuring((STALL,))
    assert figures(tmp_path, again, clean=0, count=1)["bottleneck stall: service-stall first"].hits == 1
    assert len(again.asked) == 1


def test_an_unknown_cause_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no cause 'pol'"):
        figures(tmp_path, Measuring((STALL,)), only=("pol",))


def test_there_are_twelve_causes_each_with_a_bottleneck_of_its_own() -> None:
    assert len({one.name for one in INJECTIONS}) == len({one.code for one in INJECTIONS}) == 12
