"""What evaluations on the sandbox call, and what their tests put in its place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.results import Results
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.record import RunRecord
from velro_gate.sandbox.process import RunningSandbox
from velro_gate.sandbox.settings import Settings

MeasureRun = Callable[[Setup, Results, Effects], RunRecord]
"""Measures one run and keeps its record, as ``gate.measure.run.run`` does."""

StartSandbox = Callable[[Settings], AbstractContextManager[RunningSandbox]]
"""Starts a sandbox that runs until the end of the block, as ``sandbox.process.running_sandbox`` does."""
