"""Stored runs that exist and could not be compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from velro_gate.model.facts.findings import BaselineRequired
from velro_gate.model.facts.unused import UnusedRuns
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Finding, Level


def required_baseline(rules: Policy, baselines: Sequence[RunRecord], skipped: Sequence[UnusedRuns]) -> Iterator[Finding]:
    """The failure of a run that had to be compared and was not."""
    if rules.require_baseline and not baselines:
        yield Finding(level=Level.FAIL, subject="baselines", facts=BaselineRequired(skipped=tuple(skipped)))
