"""The single response times of a measured stretch, for the rules that look at them: ours does not."""

from __future__ import annotations

from collections.abc import Mapping

from velro_gate.model.run import RunFacts
from velro_gate.model.samples import Samples


def good_times(facts: RunFacts, samples: Mapping[str, Samples]) -> tuple[float, ...]:
    """Response times in seconds of the successful responses that fell due while the phases were measured, phase after phase."""
    found: list[float] = []
    for ran in facts.phases:
        rows = samples.get(ran.name, Samples.empty())
        measured = rows.ok & (rows.due >= ran.measured_from) & (rows.due < ran.measured_until)
        found += rows.response_time[measured].tolist()
    return tuple(found)
