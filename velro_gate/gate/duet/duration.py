"""The shortest time a duet can take, computed from the plan's lengths before anything is built or sent."""

from __future__ import annotations

from collections.abc import Callable

from velro_gate import units
from velro_gate.analysis.duet.forecast import BLOCK_SECONDS
from velro_gate.gate.duet.blocks import BlockShape
from velro_gate.gate.duet.pilot import BLOCK, LEAST_WARM_UP, PILOT_SECONDS, WARM_UP, DuetOptions, too_long
from velro_gate.model.duet import deciding, first_alone
from velro_gate.model.scenario import Phase


def say_forecast(phases: tuple[Phase, ...], options: DuetOptions, say: Callable[[str], None]) -> None:
    """Say how long the duet of these phases takes at least; the pilot says it exactly.

    Raises:
        InfeasibleError: that is more than it may take.
    """
    pairs, seconds = least_seconds(phases, options)
    takes, allowed = units.format_whole_duration(seconds), units.format_duration(options.most_seconds)
    if seconds > options.most_seconds:
        raise too_long(pairs, seconds, options, at_least=True)
    say(f"forecast: {pairs} pairs of blocks, at least {takes} of load; the duet may take {allowed}")


def least_seconds(phases: tuple[Phase, ...], options: DuetOptions) -> tuple[int, float]:
    """The pairs after which something can be called changed at the earliest, and the seconds of load until then.

    With a pilot its first block counts, and blocks and warm-up as short as it ever chooses; starting builds does not.
    """
    pairs = deciding(first_alone(options.looks))[0].pairs
    warm_up, seconds = (LEAST_WARM_UP, BLOCK_SECONDS[0]) if options.pilot else (WARM_UP, BLOCK)
    if options.warm_up is not None:
        warm_up = options.warm_up
    if options.block is not None:
        seconds = options.block
    shape = BlockShape(warm_up=warm_up, seconds=seconds)
    pilot = BlockShape(warm_up=0.0, seconds=PILOT_SECONDS).load_seconds(phases) if options.pilot else 0.0
    return pairs, pilot + 2.0 * pairs * shape.load_seconds(phases)
