"""How a change depends on which of two builds was measured first."""

from __future__ import annotations

import math

from velro_gate import units
from velro_gate.model.metrics import METRICS, Scale


def order_words(metric: str, head_second: float, head_first: float) -> str:
    """head_second, head_first: the worsening where the head build came second, and first, on the comparison scale."""
    places = ((head_second, "where the head build comes second"), (head_first, "where it comes first"))
    if abs(head_first) > abs(head_second):
        places = ((head_first, "where the head build comes first"), (head_second, "where it comes second"))
    said = " but ".join(f"{_signed(metric, change)} {place}" for change, place in places)
    return f"the change depends on the order of the builds: {said}"


def worsening_size(metric: str, worse: float) -> str:
    """A worsening on the comparison scale; an error rate's in percentage points."""
    if METRICS[metric].scale is Scale.LINEAR:
        return units.trim_zeros(units.format_percentage_points(worse))
    return units.trim_zeros(units.format_magnitude(math.expm1(worse)))


def _signed(metric: str, worse: float) -> str:
    if METRICS[metric].scale is Scale.LINEAR:
        return f"{'-' if worse < 0.0 else '+'}{worsening_size(metric, worse)}"
    return units.trim_zeros(units.format_change(math.expm1(METRICS[metric].worse_sign * worse)))
