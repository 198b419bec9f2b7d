"""Where the scenarios that come with velro-gate lie."""

from __future__ import annotations

from pathlib import Path

from velro_gate.errors import UsageError

_PLACES = (Path(__file__).resolve().parents[3] / "scenarios", Path(__file__).resolve().parents[2] / "shipped")


def shipped_scenario(name: str) -> Path:
    """The path of a shipped scenario, from a checkout or from an installed package.

    Raises:
        UsageError: there is none of that name.
    """
    for place in _PLACES:
        path = place / f"{name}.yaml"
        if path.is_file():
            return path
    raise UsageError(f"no scenario {name!r} comes with velro-gate", hint="Name a scenario file of your own.")
