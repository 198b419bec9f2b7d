"""What a pilot promises of a duet."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.analysis.duets import block, noisy
from tests.analysis.runs import STEPS, summary
from velro_gate.analysis.duet.comparison import compare_pairs
from velro_gate.analysis.duet.forecast import (
    LEAST_MEMORIES,
    UNSEEN_SD,
    BlockNoise,
    Pilot,
    forecast_duet,
    memory_of,
    pilot_of,
)
from velro_gate.analysis.rows.family import Row
from velro_gate.analysis.statistics.paired import Conclusion, chance_of, conclusions, detectable, paired, worsening_for
from velro_gate.model.duet import LOOKS
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import Window
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change

ROW = Row(phase="steady", step="all", metric=METRICS["p95"], primary=True)


def pilot(*, within: float, between: float = UNSEEN_SD, memory: float = 0.2, seconds: float = 15.0) -> Pilot:
    return Pilot(seconds=seconds, overhead=4.0, memory=memory, noise={ROW: BlockNoise(within=within, between=between)})


def windows(values: list[float]) -> tuple[Window, ...]:
    return tuple(
        Window(
            start=float(i),
            seconds=1.0,
            sent=10,
            ok=10,
            failed=0,
            connected=5,
            p50=v,
            p95=v,
            p99=v,
            hit_rate=None,
            lateness_p99=None,
        )
        for i, v in enumerate(values)
    )


def test_a_quiet_pilot_chooses_short_blocks() -> None:
    found = forecast_duet(pilot(within=0.009), LOOKS, Policy())
    assert found.block_seconds == 5.0
    assert found.deciding.worst < 0.10
    assert found.deciding.seconds == 2 * 10 * (5.0 + 4.0)


def test_a_noisy_pilot_asks_for_longer_ones() -> None:
    assert forecast_duet(pilot(within=0.05), LOOKS, Policy()).block_seconds > 15.0


def test_noise_between_restarts_is_not_measured_away_and_the_forecast_says_so() -> None:
    found = forecast_duet(pilot(within=0.01, between=0.2), LOOKS, Policy())
    assert found.block_seconds == 120.0
    assert found.deciding.worst > 0.5
    assert found.looks[2].worst < found.deciding.worst


def test_the_budget_limits_the_blocks() -> None:
    found = forecast_duet(pilot(within=0.05), LOOKS, Policy(), budget=600.0)
    assert found.fits
    assert found.looks[-1].seconds <= 600.0
    assert found.deciding.worst > 0.10


def test_a_budget_that_nothing_fits_is_said() -> None:
    assert not forecast_duet(pilot(within=0.01), LOOKS, Policy(), budget=60.0).fits


def test_no_block_is_shorter_than_five_memories_of_the_tail() -> None:
    assert forecast_duet(pilot(within=0.001, memory=7.0), LOOKS, Policy()).block_seconds == 45.0
    assert forecast_duet(pilot(within=0.001, memory=40.0), LOOKS, Policy()).block_seconds == LEAST_MEMORIES * 40.0


def test_the_pilots_noise_comes_from_the_intervals_of_its_figures() -> None:
    found = pilot_of([block()], STEPS, Policy(), overhead=3.0)
    noise = found.noise[ROW]
    # The builder's figures have an interval of 1 % to each side.
    assert noise.within == pytest.approx(math.log(1.01 / 0.99) / (2 * 1.96), rel=0.01)
    assert noise.between == UNSEEN_SD
    assert found.seconds == 60.0
    assert "error_rate" not in {row.metric.name for row in found.noise}


def test_several_pilot_blocks_show_what_restarts_do() -> None:
    blocks = [block(summary(times=times)) for times in (0.9, 1.0, 1.1)]
    noise = pilot_of(blocks, STEPS, Policy(), overhead=3.0).noise[ROW]
    assert noise.between == pytest.approx(float(np.std(np.log([0.9, 1.0, 1.1]), ddof=1)), rel=0.01)


def test_a_pilot_without_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        pilot_of([], STEPS, Policy(), overhead=1.0)
    with pytest.raises(ValueError, match="is impossible"):
        pilot(within=0.1, seconds=0.0)


def test_the_memory_of_a_tail_is_reported_in_seconds() -> None:
    random = np.random.default_rng(1)
    free = memory_of(windows(np.exp(random.normal(0.0, 0.1, 4000)).tolist()))
    assert free == pytest.approx(1.0, abs=0.2)
    slow = [0.0]
    for kick in random.normal(0.0, 0.1, 3999):
        slow.append(0.9 * slow[-1] + float(kick))
    # An AR(1) of .9 has (1 + .9) / (1 - .9) = 19.
    assert 15.0 < memory_of(windows(np.exp(slow).tolist())) < 25.0
    assert memory_of(()) == 0.0


def test_what_a_duet_says_it_could_have_seen_it_sees() -> None:
    """Changes of the size of the median MDE, 8 metrics: found in 90 to 100 % of 400 jobs of ten pairs."""
    random = np.random.default_rng(4)
    d = random.normal(0.0, 0.04, (400, 10, 8))
    least, bound = np.full(8, math.log(1.05)), np.full(8, math.log(1.1))
    sizes = [detectable(job, 1, 0.004, least)[0] for job in d[:50]]
    d[:, :, 0] += float(np.median(sizes))
    outcomes = conclusions(paired(d, 1), 0.004, least, bound)
    assert 0.90 <= float((outcomes[:, 0] == Conclusion.REGRESSION).mean()) <= 1.0


def test_the_forecast_is_about_what_the_duet_then_says() -> None:
    held = noisy(10, sd=0.03, seed=3)
    measured = next(each for each in compare_pairs(held) if (each.metric, each.step) == ("p95", "all"))
    assert measured.verdict is Change.UNCHANGED
    noise = {replace(ROW, step=str(i)): BlockNoise(within=0.03, between=0.0) for i in range(6)}
    forecast = forecast_duet(Pilot(seconds=5.0, overhead=1.0, memory=0.1, noise=noise), LOOKS, Policy(), budget=300.0)
    assert measured.mde == pytest.approx(forecast.deciding.worst, rel=0.4)


@pytest.mark.parametrize(("n", "critical", "worse"), [(10, 4.0, 0.06), (10, 4.5, 0.09), (16, 3.5, 0.04), (7, 5.0, 0.08)])
def test_the_chance_to_find_a_change_is_that_of_the_noncentral_t(n: int, critical: float, worse: float) -> None:
    """Recipe: scipy.stats.nct.sf(critical, n - 1, worse / (sd / sqrt(n))); the formula is its normal approximation."""
    exact = float(stats.nct.sf(critical, n - 1, worse / (0.03 / math.sqrt(n))))
    assert chance_of(worse, critical, 0.03, n, 0.0) == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize("n", [7, 10, 16])
def test_the_worsening_that_is_found_with_95_percent_is_that_of_the_noncentral_t(n: int) -> None:
    """Recipe: as above; of the worsening for T >= 4 the chance is 95 %."""
    worse = float(worsening_for(4.0, np.array([0.03]), n, np.array([0.0]))[0])
    assert float(stats.nct.sf(4.0, n - 1, worse / (0.03 / math.sqrt(n)))) == pytest.approx(0.95, abs=0.02)
