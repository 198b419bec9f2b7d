"""The metrics that a scenario defines itself: what is made of readings, of responses, and of a group of steps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from tests.analysis.phases import phase, record, run_of, samples
from velro_gate.analysis.summaries.averages import averages
from velro_gate.analysis.summaries.own.figures import group_times, own_measurements
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.analysis.summaries.resources import ResourceSeries, resource_summaries, series_of
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.metric.definition import Direction, MetricKind
from velro_gate.model.metric.own import MetricOrigin, OwnMetric, OwnUnit, OwnValue, SeriesType
from velro_gate.model.metrics import METRICS
from velro_gate.model.readings import LARGEST
from velro_gate.model.record import Estimate
from velro_gate.model.run import Reading
from velro_gate.model.samples import Outcome, Samples
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.model.verdict import Level
from velro_gate.report.formats.comment import markdown
from velro_gate.report.formats.document import verdict_json
from velro_gate.report.formats.page import html
from velro_gate.report.formats.table import csv
from velro_gate.store.codec import decode_record, encode_record

RUN = run_of(Samples.empty())  # measured from 10 to 70 s


def own(
    name: str = "m", origin: MetricOrigin = MetricOrigin.PROMETHEUS, value: OwnValue = OwnValue.MEAN, **changed: object
) -> OwnMetric:
    given = {"name": name, "origin": origin, "value": value, "unit": OwnUnit.COUNT, "what": "family", **changed}
    return OwnMetric(**given)  # type: ignore[arg-type]


def series(**values: Mapping[float, float]) -> ResourceSeries:
    return series_of([Reading(at=at, source="own", name=n, value=v) for n, row in values.items() for at, v in row.items()])


def only(metric: OwnMetric, found: ResourceSeries, rows: Samples | None = None, steps: tuple[str, ...] = ()) -> Estimate | None:
    measured = own_measurements([metric], found, RUN, Samples.empty() if rows is None else rows, steps)
    return measured.get(metric.metric)


def value(metric: OwnMetric, found: ResourceSeries) -> float | None:
    estimate = only(metric, found)
    return None if estimate is None else estimate.value


GAUGE = series(m={5.0: 900.0, **{10.0 + second: float(second) for second in range(60)}, 71.0: 900.0})


@pytest.mark.parametrize(
    ("wanted", "figure"),
    [(OwnValue.MEAN, 29.5), (OwnValue.MIN, 0.0), (OwnValue.MAX, 59.0), (OwnValue.P50, 29.5), (OwnValue.P95, 56.05)],
)
def test_a_gauge_is_taken_over_the_measured_stretch_alone(wanted: OwnValue, figure: float) -> None:
    assert value(own(value=wanted), GAUGE) == pytest.approx(figure)


def test_a_factor_turns_values_into_base_units() -> None:
    assert value(own(value=OwnValue.MAX, unit=OwnUnit.TIME, factor=0.001), GAUGE) == pytest.approx(0.059)


def test_a_counter_is_its_rise_and_means_nothing_where_it_fell_or_was_read_too_rarely() -> None:
    steady = {10.0 + second: 100.0 + 2.0 * second for second in range(60)}
    rate, total = (own(value=each, series=SeriesType.COUNTER) for each in (OwnValue.RATE, OwnValue.SUM))
    assert value(rate, series(m=steady)) == pytest.approx(2.0)
    assert value(total, series(m=steady)) == pytest.approx(120.0)
    assert value(rate, series(m={**steady, 40.0: 1.0})) is None
    assert value(rate, series(m={20.0: 1.0, 30.0: 2.0})) is None
    assert value(rate, series()) is None


def test_a_quantile_of_a_histogram_is_that_of_prometheus() -> None:
    """10 of 100 up to .1, 60 up to .2, all up to .5: the 50th lies at .1 + .1 * 40 / 50."""
    rises = {"0.1": 10.0, "0.2": 60.0, "0.5": 100.0, "+Inf": 100.0}
    read = series(**{f"m_le_{bound}": {10.0: 5.0, 69.0: 5.0 + rise} for bound, rise in rises.items()})
    p50 = own(value=OwnValue.P50, series=SeriesType.HISTOGRAM, unit=OwnUnit.TIME)
    found = only(p50, read)
    assert found is not None
    assert (found.value, found.n) == (pytest.approx(0.18), 100)
    beyond = series(**{f"m_le_{bound}": {10.0: 0.0, 69.0: rise} for bound, rise in {"0.1": 1.0, "+Inf": 100.0}.items()})
    assert value(p50, beyond) == pytest.approx(0.1)
    assert value(p50, series(**{"m_le_0.1": {10.0: 0.0, 69.0: 1.0}})) is None
    assert [each.name for each in resource_summaries(read, RUN)] == []


@pytest.mark.hostile("own metrics")
@pytest.mark.parametrize("bound", ["abc", "nan", "-inf", "1e309", "1e308", "", "٣²"])
def test_the_name_of_a_bucket_that_holds_no_bound_is_none_of_the_histogram(bound: str) -> None:
    rises = {bound: 3.0, "0.5": 4.0, "+Inf": 4.0}
    read = series(**{f"m_le_{name}": {10.0: 0.0, 69.0: rise} for name, rise in rises.items()})
    assert value(own(value=OwnValue.P50, series=SeriesType.HISTOGRAM), read) is not None


@pytest.mark.hostile("own metrics")
@pytest.mark.parametrize("wanted", list(OwnValue))
def test_the_largest_values_that_are_kept_come_to_figures_that_a_record_can_hold(wanted: OwnValue) -> None:
    large, factor = LARGEST, 1e15
    gauge = {10.0 + second: (-large, large, 1.0 / large)[second % 3] for second in range(60)}
    rising = {10.0: 0.0, 69.0: large}
    kinds = {
        SeriesType.GAUGE: series(m=gauge),
        SeriesType.COUNTER: series(m=rising),
        SeriesType.HISTOGRAM: series(**{"m_le_1": rising, "m_le_+Inf": rising}),
    }
    for kind, found in kinds.items():
        only(own(value=wanted, series=kind, factor=factor), found)
    of_responses = {10.0 + 0.1 * n: large for n in range(500)}
    if wanted is not OwnValue.SHARE:
        only(own(origin=MetricOrigin.JSON, value=wanted, factor=factor), series(m=of_responses))


def test_values_of_responses_come_to_sums_rates_shares_and_quantiles() -> None:
    read = series(m={10.0 + 0.1 * n: float(n % 4 == 0) for n in range(600)})

    def of(wanted: OwnValue, unit: OwnUnit = OwnUnit.COUNT) -> Estimate:
        found = only(own(origin=MetricOrigin.HEADER, value=wanted, unit=unit, equals="x"), read)
        assert found is not None
        return found

    assert of(OwnValue.SUM).value == 150.0
    assert of(OwnValue.RATE).value == pytest.approx(2.5)
    assert of(OwnValue.MEAN).value == pytest.approx(0.25)
    share = of(OwnValue.SHARE, OwnUnit.SHARE)
    assert (share.value, share.n) == (0.25, 600)
    assert share.low < 0.25 < share.high


def checkout(*passes: tuple[int, list[tuple[int, float, int]]]) -> Samples:
    """Responses of users: to each a list of (step, seconds, outcome), a second apart."""
    rows = [(user, step, seconds, outcome) for user, steps in passes for step, seconds, outcome in steps]
    due = 10.0 + np.arange(len(rows))
    columns = {name: [row[i] for row in rows] for i, name in ((0, "user"), (1, "step"), (3, "outcome"))}
    return samples(due, [row[2] for row in rows], **columns)


def test_the_time_of_a_group_of_steps_is_that_of_whole_passes_that_succeeded() -> None:
    ok, bad = int(Outcome.OK), int(Outcome.STATUS)
    rows = checkout(
        (1, [(0, 0.1, ok), (1, 0.2, ok), (2, 0.3, ok)]),  # whole
        (2, [(0, 0.1, ok), (3, 9.0, ok), (1, 0.1, ok), (2, 0.1, ok)]),  # whole, with another step between
        (3, [(1, 0.1, ok), (2, 0.1, ok)]),  # began before
        (4, [(0, 0.1, ok), (0, 0.5, ok), (1, 0.5, ok), (2, 0.5, ok)]),  # begun again
        (5, [(0, 0.1, ok), (1, 0.1, bad), (2, 0.1, ok)]),  # failed
    )
    assert sorted(group_times(rows, [0, 1, 2])) == pytest.approx([0.3, 0.6, 1.5])
    assert len(group_times(Samples.empty(), [0, 1])) == 0


def test_the_mean_has_an_interval_and_the_slowest_response_is_one() -> None:
    random = np.random.default_rng(3)
    times = random.exponential(0.02, 3000)
    step = (np.arange(3000) % 2).astype(np.uint16)
    first, second, whole = averages(times, step, np.linspace(0.0, 59.9, 3000), steps=2, seconds=60.0)
    assert whole["mean"].value == pytest.approx(times.mean())
    assert whole["mean"].low < 0.02 < whole["mean"].high
    assert whole["max"].value == times.max() == max(first["max"].value, second["max"].value)
    assert averages(np.empty(0), np.empty(0, np.uint16), np.empty(0), steps=1, seconds=60.0) == [{}, {}]


def test_its_name_says_unit_and_direction_so_any_reader_of_a_record_knows_the_metric() -> None:
    metric = METRICS[own("queue_length", better=Direction.HIGHER).metric]
    assert (metric.name, metric.label) == ("own:queue_length:count:higher", "queue length")
    assert (metric.kind, metric.direction) == (MetricKind.COUNT, Direction.HIGHER)
    assert "own:queue:apples:lower" not in METRICS
    assert "own:queue:count" not in METRICS
    assert not any(name.startswith("own:") for name in METRICS)


def test_it_is_required_compared_kept_and_reported_like_any_other() -> None:
    checkout_time = own("checkout", MetricOrigin.STEPS, OwnValue.P95, unit=OwnUnit.TIME, steps=("login", "list"))
    wanted = Requirement(metric=checkout_time.metric, comparator=Comparator.BELOW, target=0.03)
    planned = phase(wanted)

    def measured(seconds: float) -> object:
        rows = samples(
            10.0 + 0.1 * np.arange(600), seconds / 2.0, step=np.arange(600) % 2, user=(np.arange(600) // 2).astype(np.uint32)
        )
        return summarise(planned, ("login", "list"), run_of(rows), rows, (), (), [checkout_time])

    run, before = (record(measured(seconds), planned=(planned,)) for seconds in (0.04, 0.02))
    verdict = judge(run, [before])
    (result,) = verdict.requirements
    assert (result.level, result.estimate and result.estimate.n) == (Level.FAIL, 300)
    (row,) = (row for row in verdict.comparisons if row.metric == checkout_time.metric)
    assert (row.primary, row.current, row.baseline) == (False, pytest.approx(0.04), pytest.approx(0.02))
    assert decode_record(encode_record(run)) == run
    assert decode_record(encode_record(run, compact=True)).phases[0].measurement(checkout_time.metric) is not None
    for text in (markdown(run, verdict), html(run, verdict)):
        assert "checkout" in text
    assert checkout_time.metric in csv(run, verdict)
    assert checkout_time.metric in verdict_json(run, verdict)


def test_workers_that_answer_in_turn_are_noticed_by_their_counters_and_a_restart_is_none() -> None:
    def doubts(values: list[float]) -> list[str]:
        read = [Reading(at=10.0 + 2.0 * n, source="service", name="cpu_seconds", value=v) for n, v in enumerate(values)]
        rows = samples(10.0 + 0.1 * np.arange(600))
        found = summarise(phase(), ("login", "list"), run_of(rows), rows, read, ())
        return [doubt.facts.code for doubt in judge(record(found, planned=(phase(),)), []).trust]

    assert "counters-fell" in doubts([10.0, 3.0, 11.0, 4.0, 12.0])
    assert "counters-fell" not in doubts([10.0, 11.0, 1.0, 2.0, 3.0])
