"""Runs of main by name."""

from __future__ import annotations

from velro_gate.model.record import RunRecord


def named(run: RunRecord) -> str:
    """A run of main by its day and revision."""
    revision = f" ({run.revision.sha[:7]})" if run.revision.sha else ""
    return f"the run of {run.started_at[:10]}{revision}"
