"""Checks the waiver file against its scenario before anything is sent."""

from __future__ import annotations

import difflib
from pathlib import Path

from velro_gate.errors import Fault, ScenarioError
from velro_gate.model.scenario import Scenario
from velro_gate.scenario.waivers import read_waivers


def check_waivers(path: Path, scenario: Scenario) -> None:
    """Refuse a file that cannot work now, and not after the load.

    One file serves all profiles, so a waiver may be about a phase that this run does not have. That no profile has it would
    never be found out.

    Raises:
        UsageError: the file cannot be read. ScenarioError: rows that are not waivers, or about no phase of the scenario.
    """
    known = list(dict.fromkeys(phase.name for phases in scenario.profiles.values() for phase in phases))
    faults = []
    for waiver in read_waivers(path):
        if waiver.phase not in known:
            near = difflib.get_close_matches(waiver.phase, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
            faults.append(Fault(waiver.where, f"the scenario {scenario.name} has no phase {waiver.phase!r}", hint))
    if faults:
        raise ScenarioError(str(path), faults)
