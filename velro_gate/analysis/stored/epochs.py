"""Which baselines give a figure's level, and which only its noise.

A change that somebody accepted begins an epoch: the runs before it had another level. Their noise is still the noise.
"""

from __future__ import annotations

from collections.abc import Sequence

from velro_gate.model.record import NewLevel, RunRecord


def of_this_epoch(baselines: Sequence[RunRecord], phase: str, step: str, metric: str) -> Sequence[RunRecord]:
    """The baselines, newest last, from the last one on that begins an epoch of this figure."""
    level = NewLevel(phase=phase, step=step, metric=metric)
    begins = [i for i, run in enumerate(baselines) if level in run.new_levels]
    return baselines[begins[-1] :] if begins else baselines
