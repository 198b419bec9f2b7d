"""What a null run says of the generator."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysis.phases import phase, run_of, samples
from velro_gate.analysis.summaries.null_run import generator_noise, lateness_quantiles
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.model.record import GeneratorNoise
from velro_gate.model.samples import Samples

EVERY_10_MS = np.arange(10.0, 70.0, 0.01)


def test_the_noise_is_the_response_times_of_the_good_answers() -> None:
    times = np.linspace(0.0, 0.001, len(EVERY_10_MS))
    measured = samples(EVERY_10_MS, times)
    run = run_of(measured)
    noise = generator_noise(summarise(phase(rate=100.0), ("login", "list"), run, measured, (), ()))
    assert noise is not None
    assert (noise.p50, noise.p95, noise.p99) == pytest.approx((0.0005, 0.00095, 0.00099), abs=1e-5)
    assert (noise.rate, noise.seconds, noise.requests) == (100.0, 60.0, len(measured))


def test_where_nothing_was_answered_the_noise_is_unknown_and_not_zero() -> None:
    run = run_of(Samples.empty())
    assert generator_noise(summarise(phase(), ("login", "list"), run, Samples.empty(), (), ())) is None
    assert lateness_quantiles(run, Samples.empty()) is None


def test_lateness_is_that_of_the_measured_stretch() -> None:
    late = np.linspace(0.0, 0.1, len(EVERY_10_MS))
    measured = samples(EVERY_10_MS, 0.2, sent=EVERY_10_MS + late)
    run = run_of(measured)
    assert lateness_quantiles(run, measured) == pytest.approx((0.05, 0.095, 0.099), abs=1e-4)


@pytest.mark.parametrize(
    "changed",
    [{"p50": 0.5}, {"p50": -0.1}, {"p99": float("inf")}, {"lateness_p99": -1.0}, {"rate": 0.0}, {"users": 0}, {"requests": 0}],
)
def test_noise_that_cannot_be_is_refused(changed: dict[str, float]) -> None:
    figures = {"p50": 0.1, "p95": 0.2, "p99": 0.3, "lateness_p99": 0.1, "rate": 1.0, "users": 1, "seconds": 1.0, "requests": 1}
    GeneratorNoise(**figures)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"quantiles must|a null run needs"):
        GeneratorNoise(**(figures | changed))  # type: ignore[arg-type]
