"""A world for the use cases in tests: no terminal, a fixed environment, a tiny scenario against a real service."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.cli.command import tiny_scenario
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.setup import RunOptions, Setup, prepare
from velro_gate.model.record import Revision
from velro_gate.model.run import Environment, Progress

HERE = Environment(
    runner="test", cpu_model="test", cores=2, memory=8 * 2**30, kernel="test", python="test", tool="velro-gate test"
)


class Spectator:
    """Keeps what the use cases say and show."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.said: list[str] = []
        self.seen: list[Progress] = []
        self.effects = Effects(
            environ=dict(environ or {}),
            environment=lambda: HERE,
            revision=lambda: Revision(sha="a" * 40, branch="main"),
            say=self.said.append,
            observe=self.seen.append,
        )


def tiny_setup(folder: Path, url: str, shards: int | None = None, **options: str | int) -> Setup:
    """The tiny scenario, set up against a service."""
    return prepare(RunOptions(scenario=tiny_scenario(folder, **options), url=url, shards=shards), {})  # type: ignore[arg-type]
