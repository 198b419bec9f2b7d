"""From the shared options to what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from velro_gate.cli.options import AUTO
from velro_gate.engine.forecast import MOST_SHARDS
from velro_gate.errors import UsageError
from velro_gate.gate.setup import Asked
from velro_gate.gate.shipped import shipped_scenario


def asked(
    scenario: Path | None, profile: str | None, quick: bool, phases: Sequence[str] | None, url: str | None, shards: str
) -> Asked:
    """What to run; the shipped PRD scenario where none is named.

    Raises:
        UsageError: options contradict each other.
    """
    if quick and profile not in (None, "quick"):
        raise UsageError(f"--quick-test and --profile {profile} contradict each other", hint="Give one of them.")
    return Asked(
        scenario=scenario or shipped_scenario("velro-prd"),
        profile="quick" if quick else profile,
        phases=tuple(phases or ()),
        url=url,
        shards=_number_of_shards(shards),
    )


def _number_of_shards(text: str) -> int | None:
    if text == AUTO:
        return None
    if text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_SHARDS:
        return int(text)
    raise UsageError(f"--shards {text}: that is no number of shards", hint=f"Give a number from 1 to {MOST_SHARDS}, or {AUTO}.")
