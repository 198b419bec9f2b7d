"""Figures with no more digits than their noise allows."""

from __future__ import annotations

import math

from velro_gate import units


def rounded_change(change: float, low: float, high: float) -> str:
    """A relative change in steps of its own uncertainty: ``+30 %`` (26 to 34 %), ``+2.4 %`` (2.0 to 2.8 %).

    The step is the power of ten at or under half the width of the 95 % interval; at least a tenth of a percent, at most ten.
    """
    step = _step((high - low) / 2.0, 0.001, 0.1)
    percent = round(change / step) * step * 100.0
    decimals = 1 if step < 0.01 else 0
    return "no change" if percent == 0.0 else f"{percent:+.{decimals}f} %"


def rounded_seconds(seconds: float, uncertainty: float) -> str:
    """A time in steps of its uncertainty (both in seconds): ``4 ms``, ``1.2 s``; at most three digits."""
    size = max(abs(seconds), 1e-9)
    step = _step(uncertainty, size / 100.0, size)
    return units.trim_zeros(units.format_seconds(round(seconds / step) * step))


def _step(uncertainty: float, least: float, most: float) -> float:
    wanted = min(max(uncertainty, least), most)
    return float(10.0 ** math.floor(math.log10(wanted) + 1e-9))
