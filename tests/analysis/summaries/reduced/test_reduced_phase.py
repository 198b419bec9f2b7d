"""A phase summarised from reduced samples: the figures of the samples, quantiles to the stated share of themselves."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.phases import STEPS, phase, run_of, samples
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.analysis.summaries.reduced.bins import ERROR, LEAST
from velro_gate.analysis.summaries.reduced.frame import Frame
from velro_gate.analysis.summaries.reduced.phase import summarise_reduced
from velro_gate.analysis.summaries.reduced.reduce import reduced
from velro_gate.analysis.summaries.reduced.tables import Gathered, Reduced, reduced_together
from velro_gate.errors import BrokenError
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import PhaseSummary, Window
from velro_gate.model.run import PhaseRun, Stall
from velro_gate.model.samples import Outcome, Samples

FRAME = Frame(measured_from=10.0, planned=60.0, steps=len(STEPS))
LAYERS = ("l1", "redis")


def in_pieces(measured: Samples, pieces: int, until: float | None = None) -> Reduced:
    """The samples as that many workers would hand them on."""
    which = np.arange(len(measured)) % pieces
    return reduced_together([reduced(measured.where(which == piece), FRAME, until) for piece in range(pieces)])


def both(measured: Samples, run: PhaseRun, pieces: int = 3) -> tuple[PhaseSummary, PhaseSummary]:
    exact = summarise(phase(), STEPS, run, measured, (), LAYERS)
    return exact, summarise_reduced(phase(), STEPS, run, in_pieces(measured, pieces, run.measured_until), (), LAYERS)


def alike(found: float | None, exact: float | None) -> bool:
    if found is None or exact is None:
        return found is exact
    return abs(found - exact) <= ERROR * abs(exact) + LEAST


def busy(n: int = 6000, seed: int = 1) -> Samples:
    """100 requests/s from 5 s to 72 s over two steps and a login, of which some fail, by three layers of a cache."""
    random = np.random.default_rng(seed)
    outcome = random.choice([Outcome.OK, Outcome.STATUS, Outcome.TIMEOUT, Outcome.CANCELLED], n, p=[0.94, 0.03, 0.02, 0.01])
    return samples(
        np.sort(random.uniform(5.0, 72.0, n)),
        random.lognormal(-4.0, 0.7, n),
        step=np.where(np.arange(n) % 50 == 0, 2, np.arange(n) % 2),
        outcome=outcome,
        status=np.where(outcome == Outcome.OK, 200, np.where(outcome == Outcome.STATUS, 503, 0)),
        cache=random.integers(0, 4, n),
        received=random.integers(100, 10_000, n),
    )


rows = st.lists(
    st.tuples(
        st.floats(0.0, 80.0), st.floats(0.0, 500.0), st.integers(0, 2), st.sampled_from(list(Outcome)), st.integers(0, 3)
    ),
    max_size=60,
)


@pytest.mark.slow
@settings(max_examples=40)
@given(rows, st.integers(1, 4))
def test_any_samples_give_the_same_counts_and_quantiles_within_the_error(
    drawn: list[tuple[float, float, int, Outcome, int]], pieces: int
) -> None:
    columns = [np.array(column) for column in zip(*drawn, strict=True)] if drawn else [np.empty(0)] * 5
    due, response, step, outcome, cache = columns
    measured = samples(due, response, step=step, outcome=outcome, cache=cache)
    require_alike(*both(measured, run_of(measured), pieces))


def require_alike(exact: PhaseSummary, found: PhaseSummary) -> None:
    for mine, whole in zip(found.steps, exact.steps, strict=True):
        assert (mine.counts, mine.statuses, mine.outcomes, mine.cache, mine.received) == (
            whole.counts,
            whole.statuses,
            whole.outcomes,
            whole.cache,
            whole.received,
        )
        assert [(layer.name, layer.answered, layer.reached) for layer in mine.layers] == [
            (layer.name, layer.answered, layer.reached) for layer in whole.layers
        ]
        assert mine.measurements.keys() == whole.measurements.keys()
        for name, figure in whole.measurements.items():
            near = 2.0 * ERROR if name == "p95_from_misses" else ERROR * figure.value + LEAST
            assert abs(mine.measurements[name].value - figure.value) <= near, name
            assert mine.measurements[name].n == figure.n
            assert mine.measurements[name].low <= figure.value + LEAST
            assert figure.value <= mine.measurements[name].high + LEAST
    for window, other in zip(found.windows, exact.windows, strict=True):
        require_alike_window(window, other)


def require_alike_window(window: Window, other: Window) -> None:
    times = ("p50", "p95", "p99", "lateness_p99")
    empty = dict.fromkeys(times) | {"cache_p50": {}}
    assert replace(window, **empty) == replace(other, **empty)
    assert window.cache_p50.keys() == other.cache_p50.keys()
    assert all(alike(window.cache_p50[name], median) for name, median in other.cache_p50.items())
    for name in times:
        assert alike(getattr(window, name), getattr(other, name)), name


def test_a_busy_phase_has_all_its_figures_and_intervals_of_about_the_same_width() -> None:
    measured = busy()
    exact, found = both(measured, run_of(measured))
    require_alike(exact, found)
    for name, figure in exact.steps[0].measurements.items():
        width = figure.high - figure.low
        assert found.steps[0].measurements[name].high - found.steps[0].measurements[name].low == pytest.approx(
            width, rel=0.35, abs=2.5 * ERROR * max(figure.value, name == "p95_from_misses")
        ), name


def test_exact_figures_stay_exact() -> None:
    measured = busy()
    exact, found = both(measured, run_of(measured))
    for name in ("max", "error_rate", "achieved_share", "hit_rate", "throughput", "sustained_throughput", "peak_throughput"):
        assert found.steps[0].measurements[name] == exact.steps[0].measurements[name], name
    assert found.steps[0].measurements["mean"].value == pytest.approx(exact.steps[0].measurements["mean"].value, rel=1e-8)
    assert (found.reduced, exact.reduced) == (ERROR, None)


def test_a_phase_that_ended_early_counts_what_was_measured_until_then() -> None:
    measured = busy()
    run = run_of(measured, begin=10.0, seconds=33.4)
    exact, found = both(measured, run)
    assert [step.counts for step in found.steps] == [step.counts for step in exact.steps]
    assert alike(found.steps[0].measurements["p95"].value, exact.steps[0].measurements["p95"].value)


def test_a_phase_that_ended_in_its_ramp_has_no_figures_and_no_fault() -> None:
    measured = samples(np.linspace(1.0, 5.0, 50))
    run = run_of(measured, begin=5.5, seconds=0.0)
    found = summarise_reduced(phase(), STEPS, run, in_pieces(measured, 2, 5.5), (), LAYERS)
    assert found.steps[0].counts.sent == 0
    assert found.windows == ()


def test_samples_that_are_lost_on_the_way_break_the_run() -> None:
    measured = busy()
    with pytest.raises(BrokenError, match="do not balance"):
        summarise_reduced(phase(), STEPS, run_of(measured), in_pieces(measured.where(np.arange(6000) > 3000), 2), (), LAYERS)


def test_how_the_cache_warmed_up_is_shown_from_the_beginning_of_the_ramp() -> None:
    random = np.random.default_rng(3)
    due = np.sort(random.uniform(0.5, 69.5, 7000))
    measured = samples(due, cache=np.where(random.uniform(size=7000) < due / 70.0, 2, 1))
    _, found = both(measured, run_of(measured))
    at, rate = zip(*found.warm_up, strict=True)
    assert at[-1] == 70.0
    assert np.corrcoef(at, rate)[0, 1] > 0.95


def test_the_best_without_delays_is_never_better_than_the_samples_would_say_it_can_be() -> None:
    measured = busy()
    run = run_of(measured, stalls=(Stall(start=30.0, end=30.4), Stall(start=40.0, end=40.01)))
    exact, found = both(measured, run)
    assert found.steps[0].undelayed.keys() == exact.steps[0].undelayed.keys()
    for mine, whole in zip(found.steps, exact.steps, strict=True):
        for name, best in whole.undelayed.items():
            sign = METRICS[name].worse_sign
            assert sign * mine.undelayed[name] <= sign * best + 1e-9 + ERROR * abs(best), name
            assert sign * mine.undelayed[name] <= sign * mine.measurements[name].value + 1e-9, name


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_pieces_are_put_together_in_any_order_with_the_same_result(sizes: list[int]) -> None:
    measured = busy(sum(sizes) + 1)
    edges = np.cumsum([0, *sizes, 1])
    where = [np.isin(np.arange(len(measured)), np.arange(begin, end)) for begin, end in pairwise(edges)]
    pieces = [reduced(measured.where(mask), FRAME) for mask in where]
    one_by_one = Gathered()
    for piece in reversed(pieces):
        one_by_one.add(piece)
    whole = reduced(measured, FRAME)
    for found in (reduced_together(pieces), one_by_one.whole()):
        assert (found.keys.tolist(), found.counts.tolist()) == (whole.keys.tolist(), whole.counts.tolist())
        assert found.slowest.tolist() == whole.slowest.tolist()
        assert (found.rows, found.delivered) == (whole.rows, whole.delivered)


def test_other_cache_codes_change_nothing_but_the_codes() -> None:
    measured = busy()
    codes = np.arange(256, dtype=np.uint8)
    codes[[2, 3]] = [3, 2]
    swapped = replace(measured, cache=codes[measured.cache])
    found, expected = reduced(measured, FRAME).renumbered(codes), reduced(swapped, FRAME)
    assert (found.keys.tolist(), found.counts.tolist()) == (expected.keys.tolist(), expected.counts.tolist())


def test_reduced_samples_of_different_phases_are_not_put_together() -> None:
    with pytest.raises(ValueError, match="phase by phase"):
        reduced_together([reduced(busy(5), FRAME), reduced(busy(5), replace(FRAME, planned=30.0))])
    with pytest.raises(ValueError, match="phase by phase"):
        reduced_together([])


def test_the_error_is_what_the_ratio_of_the_bins_gives() -> None:
    from velro_gate.analysis.summaries.reduced.bins import RATIO

    assert (RATIO - 1.0) / (RATIO + 1.0) < ERROR < 1.01 * (RATIO - 1.0) / (RATIO + 1.0)
    assert math.isclose(ERROR, 0.005)
