"""The comparison with stored baselines over arrays: the same figures as one run at a time, and the rules of the procedure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from velro_gate.analysis.rows.family import holm_over
from velro_gate.analysis.rows.noise import noise_over
from velro_gate.analysis.rows.shifts import shifts_over
from velro_gate.analysis.stored.rules import judged_again, judged_alone
from velro_gate.model.scenario import Policy

POLICY = Policy()
VALUES = st.lists(st.floats(-1.0, 1.0).map(lambda x: round(x, 4)), max_size=34)
PRIOR = 0.06


def noise_by_hand(values: list[float], history: list[float]) -> tuple[float, float, int]:
    """(level, sd, df), written as the design writes them, one figure at a time."""
    recent, known = values[-10:], history[-30:]
    k, level, long = len(recent), float(np.median(recent)), len(known) > 15
    spread = float(np.std(recent, ddof=1)) if k > 1 else 0.0
    if k < 5 and not long:
        return level, max(math.sqrt((4 * PRIOR**2 + (k - 1) * spread**2) / (k + 3)), 0.005), k + 3
    jumps = math.sqrt(float(np.median(np.diff(known) ** 2)) / 0.9099)
    if long and k > 1:
        reach = 2.5 * max(jumps, 0.005)
        spread = float(np.std(np.clip(np.array(recent) - level, -reach, reach), ddof=1))
    return level, max(spread, jumps, 0.005), k - 1 + (len(known) - 1) // 3


def padded(rows: list[list[float]], *, at_end: bool = False) -> np.ndarray:
    width = max(map(len, rows), default=0)
    gaps = [[math.nan] * (width - len(row)) for row in rows]
    if not width:
        return np.empty((len(rows), 0))
    return np.array([[*row, *gap] if at_end else [*gap, *row] for row, gap in zip(rows, gaps, strict=True)])


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=4), st.booleans())
def test_many_figures_at_once_have_the_noise_of_each_alone(rows: list[tuple[list[float], list[float]]], at_end: bool) -> None:
    histories = [[*older, *values] for older, values in rows]
    found = noise_over(
        padded([values for _, values in rows], at_end=at_end), padded(histories, at_end=at_end), POLICY, prior_sd=PRIOR
    )
    for i, (_, values) in enumerate(rows):
        assert found.k[i] == min(len(values), 10)
        if not values:
            assert math.isnan(found.level[i])
            assert math.isnan(found.sd[i])
            continue
        assert (found.level[i], found.sd[i], found.df[i]) == pytest.approx(noise_by_hand(values, histories[i]), abs=1e-12)
        assert found.known[i] == (min(len(histories[i]), 30) > 15)


@given(VALUES.filter(bool), st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=3), st.sampled_from([1, -1]))
def test_the_move_and_its_test_are_those_of_the_formulas(values: list[float], runs: list[float], sign: int) -> None:
    level, sd, df = noise_by_hand(values, values)
    k, m = min(len(values), 10), len(runs)
    row = np.array([values])
    found = shifts_over(np.array([runs]), noise_over(row, row, POLICY, prior_sd=PRIOR), POLICY, sign=sign)
    worse = sign * (np.mean(runs) - level)
    error = sd * math.sqrt(0.8 + 0.2 / m + math.pi / (2 * k))
    assert (found.worse[0], found.error[0]) == pytest.approx((worse, error), abs=1e-12)
    assert found.p[0] == pytest.approx(stats.t.sf(worse / error, df), abs=1e-12)
    assert found.p_better[0] == pytest.approx(stats.t.cdf(worse / error, df), abs=1e-12)
    assert found.upper[0] == pytest.approx(worse + stats.t.ppf(0.95, df) * error, abs=1e-9)
    assert found.few[0] == (k < 5)


@given(st.lists(st.one_of(st.just(math.nan), st.floats(0.0, 1.0)), min_size=1, max_size=7))
def test_rows_that_were_not_compared_count_in_no_family(p: list[float]) -> None:
    adjusted = holm_over(np.array([p]))[0]
    there = np.array([each for each in p if not math.isnan(each)])
    assert np.isnan(adjusted).tolist() == [math.isnan(each) for each in p]
    assert adjusted[~np.isnan(adjusted)] == pytest.approx(holm_over(there))


# One row, ten baselines of 1 % noise: what the rules make of a first run and of two further ones.

STEADY = np.tile(np.random.default_rng(7).normal(0.0, 0.01, 30), (1, 1, 1))
CALM = noise_over(STEADY, STEADY, POLICY, prior_sd=PRIOR)


def outcome(first: float, *further: float) -> str:
    current = np.array([[first]])
    screen = judged_alone(shifts_over(current[..., None], CALM, POLICY), POLICY)
    found = judged_again(screen, current, np.array([[further]]), CALM, POLICY) if further else screen
    (name,) = [name for name in found.__slots__ if getattr(found, name)[0, 0]]
    return str(name)


@pytest.mark.parametrize(
    ("runs", "name"),
    [
        ((0.0,), "unchanged"),
        ((0.20,), "failed"),
        ((-0.20,), "improved"),
        ((0.10, 0.10, 0.10), "failed"),
        # The further runs show nothing: refuted, by themselves even unchanged.
        ((0.20, 0.0, 0.0), "unchanged"),
        ((0.20, 0.10, 0.02), "suspicious"),
        # Not measured again: nothing has refuted it.
        ((0.10, math.nan, math.nan), "suspicious"),
    ],
)
def test_three_runs_settle_a_suspicion(runs: tuple[float, ...], name: str) -> None:
    assert outcome(*runs) == name


def test_a_row_that_was_not_compared_is_nothing() -> None:
    none = np.full((1, 1, 3), math.nan)
    found = judged_alone(shifts_over(np.zeros((1, 1, 1)), noise_over(none, none, POLICY, prior_sd=PRIOR), POLICY), POLICY)
    assert not any(getattr(found, name).any() for name in found.__slots__)


def test_fewer_than_five_baselines_warn_and_never_fail() -> None:
    few = STEADY[..., -4:]
    noise = noise_over(few, few, POLICY, prior_sd=PRIOR)
    found = judged_alone(shifts_over(np.full((1, 1, 1), 1.0), noise, POLICY), POLICY)
    assert found.warned.all()
    assert not found.failed.any()


def test_the_familys_other_rows_make_one_rows_test_stricter() -> None:
    """p <= level / m: what fails alone is no more than suspicious among many."""
    rows, noisy = 40, 3.0 * STEADY
    moves = np.linspace(0.05, 0.2, 500)
    alone = shifts_over(moves[:, None, None], noise_over(noisy, noisy, POLICY, prior_sd=PRIOR), POLICY)
    least = moves[judged_alone(alone, POLICY).failed[:, 0]][0]
    values = np.repeat(noisy, rows, axis=1)
    current = np.where(np.arange(rows) == 0, least, 0.0)[None, :, None]
    among = shifts_over(current, noise_over(values, values, POLICY, prior_sd=PRIOR), POLICY)
    assert not judged_alone(among, POLICY).failed.any()
