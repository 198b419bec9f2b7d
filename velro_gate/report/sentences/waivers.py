"""A waiver that is proposed for a regression, as a row of the waivers' file."""

from __future__ import annotations

import json
import re
from datetime import date

from velro_gate import units
from velro_gate.analysis.verdict.waivers import proposed
from velro_gate.model.metrics import METRICS, Scale
from velro_gate.model.verdict import Comparison

_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
"""What YAML does not read as text."""


def proposed_row(row: Comparison, today: date) -> str:
    """A row of the waivers' file for a regression, ready to paste but for issue and reason; empty where there is no figure.

    Issue and reason are quoted already: in YAML a bare ``#7`` is a comment.
    """
    found = proposed(row, today)
    if found is None:
        return ""
    ceiling = units.format_share_up(found.ceiling, decimals=2 if METRICS[found.metric].scale is Scale.LINEAR else 0)
    return (
        f"- {{phase: {_scalar(found.phase)}, step: {_scalar(found.step)}, metric: {found.metric}, ceiling: {ceiling}, "
        f'expires: {found.expires.isoformat()}, issue: "", reason: ""}}'
    )


def _scalar(name: str) -> str:
    """A name as YAML reads it as that text: quoted where it could be read as something else (``no``, ``1e3``, ``a: b``)."""
    plain = re.fullmatch(r"[A-Za-z][\w.-]*", name) and name.lower() not in _WORDS
    return name if plain else json.dumps(name, ensure_ascii=False)
