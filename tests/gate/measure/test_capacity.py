"""A search for the capacity, with a simulated service in the place of the load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio

from tests.gate.world import Spectator, tiny_setup
from tests.report.records import progress
from velro_gate.analysis.verdict.judge import judge
from velro_gate.errors import UnreachableError, UsageError
from velro_gate.evaluation.simulated.queues import Queue, facts_of, response_times, samples_of, true_capacity
from velro_gate.gate.local.capacity import judge_capacity
from velro_gate.gate.measure.capacity.search import CapacityOptions, LoadPlan, Measuring, find_capacity, load_plan
from velro_gate.gate.measure.results import make_results
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.capacity import CapacityResult, Ending, LoadUnit
from velro_gate.model.record import RunRecord
from velro_gate.model.run import GeneratorHealth, LoadResult, Progress, Reading
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import ClosedArrivals, OpenArrivals, Phase, Requirement
from velro_gate.model.verdict import Change, Level, Verdict
from velro_gate.report.printed.capacity import capacity_rows, capacity_sentences, capacity_title
from velro_gate.store.baselines import add_baseline
from velro_gate.store.capacity import read_capacity

QUEUE = Queue(workers=4, service=0.02, limit=0.1, constant=True)


def searchable(folder: Path, *requirements: Requirement, rate: float | None = 150.0) -> Setup:
    """One step and one phase that a search can vary."""
    setup = tiny_setup(folder, "http://127.0.0.1:1")
    arrivals = ClosedArrivals(think_time=0.1) if rate is None else OpenArrivals(rate=rate)
    phase = Phase(name="steady", users=50, ramp=1.0, duration=10.0, arrivals=arrivals, requirements=requirements)
    step = setup.scenario.steps[0]
    return replace(
        setup,
        scenario=replace(setup.scenario, steps=(step,)),
        plan=replace(setup.plan, phases=(phase,), steps=(step.name,)),
    )


class Simulated:
    """A service that serves as its queue does, at once. drowns_at: the rate from which on it only gets slower."""

    def __init__(self, queue: Queue = QUEUE, *, drowns_at: float = 1e9, dies_after: int = 1_000) -> None:
        self.queue, self.drowns_at, self.dies_after = queue, drowns_at, dies_after
        self.rates: list[float] = []
        self.random = np.random.default_rng(5)

    async def load(
        self,
        setup: Setup,
        shards: int,
        *,
        sink: Callable[[str, Samples], None],
        observe: Callable[[Progress], None],
        stop: trio.Event,
        **_: Any,
    ) -> tuple[LoadResult, tuple[Reading, ...]]:
        (phase,) = setup.phases
        assert isinstance(phase.arrivals, OpenArrivals)
        rate = phase.arrivals.rate
        self.rates.append(rate)
        whole = 2.0 + phase.duration
        due = np.sort(self.random.uniform(0.0, whole, self.random.poisson(rate * whole)))
        service = np.full(len(due), self.queue.service)
        samples = samples_of(due, response_times(due, service, self.queue.workers))
        step = setup.plan.steps[0]
        ran = facts_of(samples, int((due >= 2.0).sum()), phase.duration)
        drowned = rate >= self.drowns_at
        for _ in range(3):
            observe(progress(p50=1.0 if drowned else 0.02))
        assert stop.is_set() == drowned, "a stretch is ended as soon as the service drowns, and not before"
        sink(phase.name, samples)
        ran = replace(ran, name=phase.name, due={step: ran.due["work"]}, interrupted=drowned, health=self.health)
        return LoadResult(phases=(ran,), layers=()), ()

    health = GeneratorHealth(
        cpu_share=0.2,
        steal_share=0.0,
        loop_lag_p99=0.0,
        loop_lag_max=0.0,
        gc_full_collections=0,
        gc_pause_max=0.0,
        rss_start=0,
        rss_peak=0,
        descriptors_free=1_000,
        ports_free=1_000,
    )

    async def ask_health(self, *_: object, **__: object) -> None:
        if len(self.rates) >= self.dies_after:
            raise UnreachableError("the service cannot be reached", why="connection refused")

    async def sleep(self, _: float) -> None:
        await trio.lowlevel.checkpoint()

    @property
    def measuring(self) -> Measuring:
        return Measuring(load=self.load, health=self.ask_health, sleep=self.sleep)


def found_by(folder: Path, service: Simulated, **options: Any) -> tuple[CapacityResult, Spectator]:
    world = Spectator()
    asked = CapacityOptions(**({"seconds": 600.0} | options))
    results = make_results(folder, "search")
    found = find_capacity(searchable(folder, QUEUE.requirement), asked, results, world.effects, service.measuring)
    assert read_capacity(results.folder) == found
    return found, world


def test_a_search_finds_the_capacity_and_keeps_it(tmp_path: Path) -> None:
    found, world = found_by(tmp_path, Simulated())
    assert found.ending is Ending.FOUND
    assert found.capacity is not None
    assert found.capacity.value == pytest.approx(true_capacity(QUEUE, seconds=300.0), rel=0.1)
    assert found.headroom is not None
    assert found.headroom > 0.0
    assert "/s" in capacity_title(found)
    assert len(capacity_rows(found)) == len(found.trials)
    assert any("headroom" in line for line in capacity_sentences(found))
    assert any("meets the requirements" in line for line in world.said)


def searched(folder: Path, number: int, queue: Queue) -> tuple[RunRecord, Verdict]:
    """One search of a service, kept as one more search of this scenario, and judged by those accepted before."""
    service = Simulated(queue)
    service.random = np.random.default_rng(number)
    results = make_results(folder / "results", f"search-{number}")
    options = CapacityOptions(seconds=600.0)
    find_capacity(searchable(folder, QUEUE.requirement), options, results, Spectator().effects, service.measuring)
    judged = judge_capacity(results, folder / "baselines", folder / "velro-waivers.yaml")
    assert judged is not None
    return judged


def another(record: RunRecord, number: int, by: float) -> RunRecord:
    """A search like this one, on another day, that found this many times its capacity."""
    (phase,) = record.phases
    (whole,) = phase.steps
    found = whole.measurements["capacity"]
    scaled = replace(found, value=by * found.value, low=by * found.low, high=by * found.high)
    whole = replace(whole, measurements={"capacity": scaled})
    return replace(
        record,
        id=f"search-on-{number}",
        started_at=f"2026-11-{10 + number}T12:00:00Z",
        phases=(replace(phase, steps=(whole,)),),
    )


def test_a_capacity_is_compared_with_that_of_accepted_builds_and_a_lower_one_fails(tmp_path: Path) -> None:
    record, verdict = searched(tmp_path, 0, QUEUE)
    assert (record.plan.scenario, verdict.level) == ("tiny-capacity", Level.NO_BASELINE)
    for number, by in enumerate((1.0, 0.98, 1.02, 0.99, 1.01)):
        add_baseline(tmp_path / "baselines", another(record, number, by))
    verdict = judge(another(record, 6, 0.985), tuple(another(record, *one) for one in enumerate((1.0, 0.98, 1.02, 0.99, 1.01))))
    assert verdict.level in (Level.PASS, Level.INCONCLUSIVE)
    _, verdict = searched(tmp_path, 7, replace(QUEUE, service=1.25 * QUEUE.service))
    (row,) = [one for one in verdict.comparisons if one.metric == "capacity"]
    assert (verdict.level, row.verdict) == (Level.FAIL, Change.REGRESSION)
    said = (tmp_path / "results" / "search-7" / "verdict.md").read_text(encoding="utf-8")
    assert "Capacity **fell" in said
    assert "response times are not" not in said, "a search compares none"


def test_a_capacity_below_the_plans_own_load_misses_its_requirement(tmp_path: Path) -> None:
    _, verdict = searched(tmp_path, 1, replace(QUEUE, service=2.0 * QUEUE.service))
    (result,) = verdict.requirements
    assert (result.requirement.metric, result.met, verdict.level) == ("capacity", False, Level.FAIL)


def test_a_stretch_in_which_the_service_drowns_is_ended_and_less_is_tried(tmp_path: Path) -> None:
    service = Simulated(drowns_at=120.0)
    found, _ = found_by(tmp_path, service, start=300.0)
    assert service.rates[0] == 300.0
    assert service.rates[1] < 150.0
    assert found.trials[0].drowned
    assert found.missed is not None
    assert found.missed <= 125.0
    assert found.capacity is not None
    assert found.capacity.value == pytest.approx(120.0, rel=0.06)


def test_a_service_that_stops_responding_ends_the_search_with_what_is_known(tmp_path: Path) -> None:
    found, _ = found_by(tmp_path, Simulated(dies_after=2))
    assert found.ending is Ending.STOPPED
    assert found.reason == "connection refused"
    assert len(found.trials) == 2
    assert any("ended early: connection refused" in line for line in capacity_sentences(found))


def test_a_generator_at_its_limit_ends_the_search_above_what_it_could_send(tmp_path: Path) -> None:
    service = Simulated()
    service.health = replace(service.health, cpu_share=0.99)
    found, world = found_by(tmp_path, service)
    assert found.ending is Ending.GENERATOR
    assert found.trials == ()
    assert sum("is tried again" in line for line in world.said) == 1, "one disturbed trial may be bad luck"


def test_the_users_of_a_closed_loop_are_varied_where_there_is_no_rate(tmp_path: Path) -> None:
    plan = load_plan(searchable(tmp_path, QUEUE.requirement, rate=None), None)
    assert plan.unit is LoadUnit.USERS
    assert plan.wanted == 50.0
    assert plan.at(80.0, 5.0).users == 80


def test_varying_the_users_of_open_arrivals_varies_their_rate_in_proportion(tmp_path: Path) -> None:
    plan = load_plan(searchable(tmp_path, QUEUE.requirement), LoadUnit.USERS)
    assert plan.at(100.0, 5.0).arrival_rate == pytest.approx(300.0)
    assert plan.rules(CapacityOptions(seconds=60.0)).whole


def test_a_higher_rate_has_users_enough_not_to_be_limited_by_their_waiting(tmp_path: Path) -> None:
    plan = load_plan(searchable(tmp_path, QUEUE.requirement), None)
    assert isinstance(plan, LoadPlan)
    assert plan.at(1_000.0, 5.0).users == 300
    assert plan.at(100.0, 5.0).users == 50


def test_a_plan_without_a_requirement_that_load_can_miss_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no requirement that more load could miss"):
        load_plan(searchable(tmp_path), None)


def test_a_closed_loop_has_no_rate_to_vary(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no rate to vary"):
        load_plan(searchable(tmp_path, QUEUE.requirement, rate=None), LoadUnit.RATE)
