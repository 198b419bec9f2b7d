"""For those who decide with their own code: ``from velro_gate.decision import judge``. docs/python.md shows how.

``read_record``, ``read_facts``, ``read_duet``, ``read_capacity`` and ``load_baselines`` read files. All else is pure: the same
arguments give the same result.
"""

from __future__ import annotations

from velro_gate.analysis.capacity.trials import capacity_frame
from velro_gate.analysis.duet.comparison import compare_pairs
from velro_gate.analysis.rows.error_rates import dispersion, fisher, newcombe
from velro_gate.analysis.rows.family import false_discovery, holm
from velro_gate.analysis.rows.noise import noise_of
from velro_gate.analysis.rows.shifts import failing_worsening
from velro_gate.analysis.statistics.intervals import wilson
from velro_gate.analysis.statistics.paired import detectable, paired
from velro_gate.analysis.stored.comparison import compare
from velro_gate.analysis.summaries.frames import figures_frame, readings_frame, resources_frame
from velro_gate.analysis.summaries.growth import growth
from velro_gate.analysis.verdict.judge import judge
from velro_gate.analysis.verdict.judge_duet import judge_duet_record
from velro_gate.model.metrics import METRICS
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change, Level, Verdict
from velro_gate.store.baselines import load_baselines
from velro_gate.store.capacity import read_capacity
from velro_gate.store.duets import read_duet
from velro_gate.store.records import read_facts, read_record

__all__ = [
    "METRICS",
    "Change",
    "Level",
    "Policy",
    "Verdict",
    "capacity_frame",
    "compare",
    "compare_pairs",
    "detectable",
    "dispersion",
    "failing_worsening",
    "false_discovery",
    "figures_frame",
    "fisher",
    "growth",
    "holm",
    "judge",
    "judge_duet_record",
    "load_baselines",
    "newcombe",
    "noise_of",
    "paired",
    "read_capacity",
    "read_duet",
    "read_facts",
    "read_record",
    "readings_frame",
    "resources_frame",
    "wilson",
]
