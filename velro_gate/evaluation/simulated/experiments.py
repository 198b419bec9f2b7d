"""The experiments on simulated jobs, by the names under which they can be requested."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from velro_gate.evaluation.results import Evaluated
from velro_gate.evaluation.simulated.detectable_power import detectable_figures, error_figures
from velro_gate.evaluation.simulated.forecasts import forecast_figures
from velro_gate.evaluation.simulated.screen_and_duet import together_figures
from velro_gate.evaluation.simulated.synthetic import duet_figures, stored_figures
from velro_gate.evaluation.simulated.synthetic_duets import carry_over_figures, hostile_figures, mde_figures

SimulatedExperiment = Callable[[int, int], Iterator[Evaluated]]
"""(jobs, seed) -> its figures, one after another as they are ready; equal arguments give equal figures."""

EXPERIMENTS: dict[str, SimulatedExperiment] = {
    "together": together_figures,
    "duet": duet_figures,
    "stored": stored_figures,
    "hostile": hostile_figures,
    "carry-over": carry_over_figures,
    "duet-mde": mde_figures,
    "stored-mde": detectable_figures,
    "error-rates": error_figures,
    "forecast": forecast_figures,
}
