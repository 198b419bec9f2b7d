"""Values as block characters, as a sparkline draws them."""

from __future__ import annotations

from collections.abc import Iterable

BLOCKS = "▁▂▃▄▅▆▇█"


def bars(values: Iterable[float], low: float, high: float) -> str:
    """A block for each value, the lowest at ``low`` and the highest at ``high``, which is greater."""
    return "".join(BLOCKS[min(int((value - low) / (high - low) * len(BLOCKS)), len(BLOCKS) - 1)] for value in values)
