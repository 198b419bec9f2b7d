"""The journey of a null run: one request through everything that stands between a journey's code and the wire."""

from __future__ import annotations

from velro_gate.engine.journeys import User


async def once(user: User) -> None:
    """Ask once."""
    await user.client.get("/")
