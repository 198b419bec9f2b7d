"""Effects for benchmarks: the real machine, nothing said, nothing shown."""

from __future__ import annotations

from collections.abc import Mapping

from velro_gate.gate.measure.effects import Effects
from velro_gate.model.record import Revision
from velro_gate.monitor.environment import environment


def quiet_effects(environ: Mapping[str, str]) -> Effects:
    """The real environment without a terminal."""
    return Effects(environ=environ, environment=lambda: environment("benchmark"), revision=Revision)
