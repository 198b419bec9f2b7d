"""Figures of an evaluation, and the made-up jobs behind them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from velro_gate.analysis.statistics.paired import Conclusion
from velro_gate.evaluation import naive_rules
from velro_gate.evaluation.bounds import amount_of, figure_of, rate_interval
from velro_gate.evaluation.results import Aim, Amount, Figure
from velro_gate.evaluation.simulated import simulation
from velro_gate.evaluation.simulated.experiments import EXPERIMENTS
from velro_gate.evaluation.simulated.screen_and_duet import SCREEN_MINUTES, together_figures
from velro_gate.evaluation.simulated.simulation import Tails
from velro_gate.evaluation.simulated.synthetic import looked, share_of_changed, stored_figures

pytestmark = pytest.mark.slow


@given(st.integers(1, 500), st.data())
def test_intervals_are_those_of_clopper_and_pearson(count: int, data: st.DataObject) -> None:
    """Recipe: scipy.stats.binomtest(...).proportion_ci(method="exact"), two-sided 95 %."""
    hits = data.draw(st.integers(0, count))
    expected = stats.binomtest(hits, count).proportion_ci(0.95, method="exact")
    assert rate_interval(hits, count) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_figure_within_two_ends_is_reached_between_them_only() -> None:
    reached = [figure_of("x", "fails", hits, 100, Aim.WITHIN, 0.93, most=0.97).reached for hits in (92, 93, 97, 98)]
    assert reached == [False, True, True, False]
    with pytest.raises(ValueError, match="upper end"):
        figure_of("x", "fails", 95, 100, Aim.WITHIN, 0.93)


def test_an_amount_is_a_mean_with_its_interval() -> None:
    found = amount_of("x", "minutes", np.array([1.0, 2.0, 3.0]), "min", Aim.AT_MOST, 2.0)
    assert (found.value, found.reached) == (2.0, True)
    assert found.high - found.value == pytest.approx(1.96 / 3**0.5)


def test_a_figure_is_reached_on_the_right_side_of_its_target() -> None:
    assert figure_of("x", "false fails", 12, 2000, Aim.AT_MOST, 12 / 2000).reached is True
    assert figure_of("x", "false fails", 13, 2000, Aim.AT_MOST, 12 / 2000).reached is False
    assert figure_of("x", "found", 292, 300, Aim.AT_LEAST, 292 / 300).reached is True
    assert figure_of("x", "found", 291, 300, Aim.AT_LEAST, 292 / 300).reached is False
    assert figure_of("x", "found", 1, 300, Aim.AT_LEAST).reached is None


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a share"):
        Figure(experiment="x", what="y", hits=1, count=0, low=0.0, high=1.0, aim=Aim.AT_MOST)


def test_made_up_pairs_have_the_noise_they_are_asked_for() -> None:
    made = simulation.duets(np.random.default_rng(1), 400, 16, sd=0.04, memory=0.9, outlying=0.0)
    assert made.d.shape == (400, 16, simulation.METRICS)
    assert made.d.std() == pytest.approx(0.04, rel=0.04)
    between = np.corrcoef(made.d.reshape(-1, simulation.METRICS).T)[0, 1]
    assert between == pytest.approx(simulation.CORRELATION, abs=0.05)


def test_a_change_moves_the_second_metric_and_no_other() -> None:
    made = simulation.duets(np.random.default_rng(1), 400, 16, sd=0.04, memory=0.5, worse=0.1)
    assert made.d.mean(axis=(0, 1)) == pytest.approx([0.0, 0.1, *[0.0] * 6], abs=0.005)


def test_windows_follow_an_autoregression_of_the_wanted_memory() -> None:
    windows = simulation.duets(np.random.default_rng(2), 300, 1, sd=0.1, memory=0.9, outlying=0.0).first_windows[0]
    centred = windows - windows.mean(axis=-1, keepdims=True)
    correlation = (centred[..., 1:] * centred[..., :-1]).mean() / (centred**2).mean()
    assert correlation == pytest.approx(0.9 - 0.05, abs=0.05)


def test_the_variance_of_a_mean_by_summing_all_correlations() -> None:
    n, memory = 7, 0.6
    whole = sum(memory ** abs(i - j) for i in range(n) for j in range(n)) / n**2
    assert simulation.variance_of_mean(memory, n) == pytest.approx(whole)


def test_runs_of_one_job_can_share_their_noise() -> None:
    made = simulation.runs(np.random.default_rng(3), 4000, 5, sd=0.02, outlying=0.0, shared=0.8, last=3)
    assert made[:, -3:].std() == pytest.approx(0.02, rel=0.04)
    assert np.corrcoef(made[:, -1, 0], made[:, -2, 0])[0, 1] == pytest.approx(0.8, abs=0.04)
    assert np.corrcoef(made[:, -1, 0], made[:, -4, 0])[0, 1] == pytest.approx(0.0, abs=0.05)


def test_outliers_make_runs_slow_and_never_fast() -> None:
    added = simulation.outliers(np.random.default_rng(4), (5000,), 0.02, 0.1)
    assert (added >= 0.0).all()
    assert float((added > 0.0).mean()) == pytest.approx(0.1, abs=0.02)


def test_the_naive_test_is_mann_and_whitneys() -> None:
    random = np.random.default_rng(5)
    previous, current = random.normal(size=(3, 40)), random.normal(0.3, 1.0, (3, 50))
    expected = [
        stats.mannwhitneyu(c, p, alternative="greater", method="asymptotic").pvalue
        for p, c in zip(previous, current, strict=True)
    ]
    assert naive_rules.mann_whitney_worse(previous, current) == pytest.approx(expected)


def test_ten_percent_over_the_previous_run_is_more_than_ten_percent() -> None:
    previous = np.zeros((2, 2))
    assert naive_rules.over_previous(previous, np.log([[1.0, 1.09], [1.11, 0.5]])).tolist() == [False, True]


def test_made_up_duets_end_as_their_truth_says() -> None:
    random = np.random.default_rng(6)
    same = simulation.duets(random, 40, 16, sd=0.02, memory=0.5)
    slow = simulation.duets(random, 40, 16, sd=0.02, memory=0.5, worse=0.18)
    assert (looked(same.d, 1) == Conclusion.UNCHANGED).all()
    assert (looked(slow.d, 1)[:, 1] == Conclusion.REGRESSION).all()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_equal_seeds_give_equal_figures(name: str) -> None:
    one, other = (list(EXPERIMENTS[name](4, 7)) for _ in range(2))
    assert one == other
    assert [figure.experiment for figure in one]


def test_stored_jobs_without_a_baseline_never_fail() -> None:
    figures = {(figure.experiment, figure.what): figure for figure in stored_figures(20, 1)}
    assert figures["stored A/A, K 0, run sd 5%", "false fails"].hits == 0
    found = figures["stored +20% p95, K 10, H 30, run sd 3.0%", "found"]
    assert found.count == share_of_changed(20)
    assert found.hits >= 2


@pytest.mark.parametrize("tails", Tails)
def test_noise_has_its_standard_deviation_whatever_its_tails(tails: Tails) -> None:
    noise = simulation.common_noise(np.random.default_rng(8), (200_000,), 0.05, 2, tails)
    inner = np.quantile(np.abs(noise), 0.5)
    assert inner == pytest.approx({Tails.NORMAL: 0.6745, Tails.T3: 0.7649 / 3**0.5}[tails] * 0.05, rel=0.02)


def test_an_unchanged_build_on_a_quiet_runner_seldom_needs_a_duet_and_on_a_hosted_one_nearly_always() -> None:
    figures = {(each.experiment, each.what): each for each in together_figures(40, 1)}
    asked = "a duet was asked unchanged"
    quiet, hosted = (figures[f"screen and duet, {name}", asked] for name in ("quiet (2 / 1.5 %)", "hosted (6.6 / 3.4 %)"))
    assert isinstance(quiet, Figure)
    assert isinstance(hosted, Figure)
    assert quiet.rate < 0.4 < 0.8 < hosted.rate
    minutes = figures["screen and duet, hosted (6.6 / 3.4 %)", "load of an unchanged build"]
    assert isinstance(minutes, Amount)
    assert SCREEN_MINUTES < minutes.value < 8.0
