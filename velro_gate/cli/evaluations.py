"""What the ``evaluate`` commands do beside parsing."""

from __future__ import annotations

from velro_gate.cli.figures import print_figures
from velro_gate.cli.options import Format
from velro_gate.cli.world import real_effects
from velro_gate.gate.end_to_end import EndToEnd, end_to_end_figures


def evaluate_end_to_end(asked: EndToEnd, format: Format) -> int:
    """Measure, draw, print; 1 when a figure is missed."""
    with real_effects(None, verbose=False) as effects:
        figures = list(end_to_end_figures(asked, effects))
    return print_figures(figures, format) if figures else 0
