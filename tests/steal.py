"""What the host of this machine takes from it in the middle of a test is no affair of the test's."""

from __future__ import annotations

from pathlib import Path

from velro_gate.engine.machine import health

_real = health._steal_and_total


def ignore_steal() -> None:
    """Read no stolen time from this machine's own ``/proc``: by rule it breaks a run, and with it the test of a verdict."""
    health._steal_and_total = _none_stolen


def _none_stolen(proc: Path) -> tuple[int, int] | None:
    found = _real(proc)
    return (0, found[1]) if found is not None and proc == Path("/proc") else found
