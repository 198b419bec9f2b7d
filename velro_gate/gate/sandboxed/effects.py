"""The embedded sandbox as the service of a duet: restarted for each block, as it is or slowed down by a known share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from velro_gate import units
from velro_gate.gate.builds.run import BuildCommand, Builds
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.setup import RunOptions, Setup, prepare
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.model.record import Revision
from velro_gate.sandbox.builds import PACKAGE_ROOT, build_environ, build_line

SCENARIO = "demo"
"""The shipped scenario of the load: 700 requests per second, so that 3 s have 100 beyond the p95 of all steps."""


def sandbox_effects(effects: Effects) -> Effects:
    """The same world, with the secret and the key of the sandbox in its environment.

    Raises:
        UsageError: the extra that the sandbox needs is not installed.
    """
    return replace(effects, environ=build_environ(effects.environ))


def sandbox_setup(effects: Effects, scenario: Path | None = None) -> Setup:
    """The shipped scenario, or another one for the sandbox, ready to be run in this world."""
    return prepare(RunOptions(scenario=scenario or shipped_scenario(SCENARIO)), effects.environ)


def sandbox_builds(slowdown: float, *, step: str | None = None, core: int | None = None) -> Builds:
    """The sandbox as it is for a base build, and slowed down for a head build. step, core: see ``build_line``."""
    return Builds(base=_command(0.0, step, core), head=_command(slowdown, step, core))


def _command(slowdown: float, step: str | None, core: int | None) -> BuildCommand:
    label = f"sandbox +{units.format_percent(slowdown)}" if slowdown else "sandbox"
    return BuildCommand(line=build_line(slowdown, step=step, core=core), directory=PACKAGE_ROOT, revision=Revision(label=label))
