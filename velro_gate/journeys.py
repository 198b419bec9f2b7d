"""For those who write journeys: ``from velro_gate.journeys import User``."""

from __future__ import annotations

from velro_gate.engine.journeys.api import CheckFailed, User

__all__ = ["CheckFailed", "User"]
