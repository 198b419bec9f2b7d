"""The trials of a search for the capacity as a pandas frame: a row for each."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from velro_gate.analysis.summaries.frames import COUNT, FLAG, NUMBER, TEXT, Columns, frame_of
from velro_gate.model.capacity import CapacityResult

if TYPE_CHECKING:
    from pandas import DataFrame

TRIALS: Columns = MappingProxyType(
    {"phase": TEXT, "unit": TEXT, "trial": COUNT, "load": NUMBER, "throughput": NUMBER, "concurrency": NUMBER}
    | {"p95": NUMBER, "seconds": NUMBER, "score": NUMBER, "error": NUMBER, "met": FLAG, "drowned": FLAG}
    | {"metric": TEXT, "step": TEXT, "bottleneck": TEXT}
)
"""unit: of load, rate (requests per second) or users; trial: from 1, in the order in which they were made; throughput: in
requests per second; concurrency: requests in the service at a time; p95, seconds (for which was measured): in seconds; score:
ln(value / limit) of the requirement that decided, error: its standard error; met: whether the requirements were; metric, step:
of the requirement that decided; bottleneck: code of the likeliest cause, empty if none showed."""


def capacity_frame(found: CapacityResult) -> DataFrame:
    """The trials of a search in the order in which they were made: the columns ``TRIALS``."""
    rows = [
        (
            *(found.phase, found.unit.value, number, trial.load, trial.throughput, trial.concurrency),
            *(trial.p95, trial.seconds, trial.score, trial.error, not (trial.drowned or trial.score > 0.0), trial.drowned),
            *(("", "") if trial.figure is None else (trial.figure.metric, trial.figure.step)),
            "" if trial.bottleneck is None else trial.bottleneck.code,
        )
        for number, trial in enumerate(found.trials, 1)
    ]
    return frame_of(rows, TRIALS)
