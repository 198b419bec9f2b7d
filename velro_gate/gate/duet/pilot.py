"""Before a duet: a block or two of the base build, from which come warm-up, block length, and what the duet will cost and see.

The first block shows how long a fresh build takes to settle. If that is no longer than the shortest warm-up, or the warm-up was
given, its figures are those of any later block, and no second one is measured.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from velro_gate import units
from velro_gate.analysis.duet.forecast import (
    BLOCK_SECONDS,
    LEAST_MEMORIES,
    DuetForecast,
    LookForecast,
    forecast_duet,
    pilot_of,
)
from velro_gate.analysis.duet.warm_up import settled_after
from velro_gate.analysis.rows.family import Row
from velro_gate.errors import BrokenError, InfeasibleError, UsageError
from velro_gate.gate.duet.blocks import BlockRunner, BlockShape, Measured, Place
from velro_gate.model.duet import LOOKS, Look, Side, deciding, first_alone, one_look
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.report.text.figures import COARSE

WARM_UP, BLOCK = 10.0, 60.0
"""Seconds; what a duet without a pilot takes where nothing else is asked for."""
MOST_SECONDS = 20 * 60.0
"""The time of a whole duet where nobody has named another."""
PILOT_SECONDS = 10.0
"""Measured in each of the pilot's blocks."""

LEAST_WARM_UP, MOST_WARM_UP = 3.0, 10.0
_PILOT_RAMP = 2.0
"""Seconds of the pilot's ramp, before anything is known about the service's warm-up."""
_OVERHEAD = 3.0  # assumed without a pilot: a start, a stop
_SHOWN = 4
"""Figures whose smallest detectable change is named."""
_DRAWS = 100_000  # apart from those of any pair


@dataclass(frozen=True, slots=True, kw_only=True)
class DuetOptions:
    """The options of a duet; None: the pilot chooses."""

    seed: int
    """Seed of the order and of sampled sign vectors."""
    pairs: int | None = None
    """Number of pairs, judged at a single look."""
    block: float | None = None
    warm_up: float | None = None
    """With ``block``: the seconds dropped and measured in each block."""
    pilot: bool = True
    """Whether to measure a pilot first."""
    most_seconds: float = MOST_SECONDS
    """Time limit of the whole duet in seconds."""

    def __post_init__(self) -> None:
        if self.pairs is not None and self.pairs < least_pairs(one_look(self.pairs).alpha):
            least = least_pairs(one_look(self.pairs).alpha)
            raise UsageError(
                f"{self.pairs} pairs of blocks are too few to show any change",
                why=f"even if all of them agree, that happens by chance in one of {2**self.pairs}",
                hint=f"Measure at least {least} pairs; ten are enough to decide.",
            )

    @property
    def looks(self) -> tuple[Look, ...]:
        """When the pairs are looked at, and at which levels."""
        return LOOKS if self.pairs is None else (one_look(self.pairs),)

    @property
    def longest_block(self) -> float:
        """Seconds that a block measures at most, whatever the pilot chooses."""
        if self.block is not None:
            return max(self.block, PILOT_SECONDS)
        return max(BLOCK_SECONDS) if self.pilot else BLOCK


def fresh_seed() -> int:
    """A seed that nobody could foresee; it is recorded."""
    return secrets.randbelow(2**32)


def least_pairs(alpha: float) -> int:
    """How many pairs it takes at least before all of them together can reach a level."""
    return math.ceil(-math.log2(alpha))


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotResult:
    """Shape, looks and forecast of a duet, as the pilot chose them."""

    shape: BlockShape
    looks: tuple[Look, ...]
    seconds: float
    """What a whole block takes, start and stop included."""
    forecast: DuetForecast | None = None


async def run_pilot(runner: BlockRunner, options: DuetOptions, spent: float) -> PilotResult | None:
    """Make the pilot and choose; say what the duet will cost and see. None when it was stopped meanwhile.

    spent: seconds of the duet that are over already.

    Raises:
        BrokenError: the base build answers nothing well, or cannot be started. InfeasibleError: it would take too long.
    """
    if not options.pilot:
        return _unrehearsed(runner, options, spent)
    ramp = options.warm_up if options.warm_up is not None else _PILOT_RAMP
    first = await _pilot_block(runner, BlockShape(warm_up=ramp, seconds=PILOT_SECONDS), 1)
    if first is None:
        return None
    warm_up = options.warm_up if options.warm_up is not None else _warm_up(first)
    last, took, overhead = first, first.took, first.took - PILOT_SECONDS + warm_up - ramp
    if warm_up > max(ramp, LEAST_WARM_UP):
        second = await _pilot_block(runner, BlockShape(warm_up=warm_up, seconds=PILOT_SECONDS), 2)
        if second is None:
            return None
        last, took, overhead = second, first.took + second.took, second.took - PILOT_SECONDS
    pilot = pilot_of([last.block], runner.setup.plan.steps, runner.setup.plan.policy, overhead=overhead)
    budget = options.most_seconds - spent - took
    choice: Sequence[float] = BLOCK_SECONDS
    if options.block is not None:
        choice, least = (options.block,), LEAST_MEMORIES * pilot.memory
        if options.block < least:
            runner.note(
                f"blocks of {units.format_duration(options.block)} were asked for; in less than "
                f"{units.format_duration(least)} (five autocorrelation times) p95 is that of one moment"
            )
        pilot = replace(pilot, memory=0.0)
    policy, looks = runner.setup.plan.policy, options.looks
    made = forecast_duet(pilot, looks, policy, budget=budget, choice=choice)
    if not made.fits:
        # The first look alone, with the whole error rate.
        looks = first_alone(looks)
        made = forecast_duet(pilot, looks, policy, budget=budget, choice=choice)
    if not made.fits:
        raise too_long(made.looks[-1].pairs, made.looks[-1].seconds + options.most_seconds - budget, options)
    shape = BlockShape(warm_up=warm_up, seconds=made.block_seconds)
    for sentence in _sentences(shape, made):
        runner.say(sentence)
    return PilotResult(shape=shape, looks=looks, seconds=made.block_seconds + overhead, forecast=made)


def _unrehearsed(runner: BlockRunner, options: DuetOptions, spent: float) -> PilotResult:
    shape = BlockShape(
        warm_up=WARM_UP if options.warm_up is None else options.warm_up,
        seconds=BLOCK if options.block is None else options.block,
    )
    seconds = shape.load_seconds(runner.setup.phases) + _OVERHEAD
    looks = options.looks
    if 2.0 * looks[-1].pairs * seconds + spent > options.most_seconds:
        looks = first_alone(looks)
    if 2.0 * looks[-1].pairs * seconds + spent > options.most_seconds:
        raise too_long(looks[-1].pairs, 2.0 * looks[-1].pairs * seconds + spent, options)
    pairs = deciding(looks)[0].pairs
    runner.say(
        f"{pairs} pairs of blocks, {_block_words(shape)}, "
        f"about {units.format_whole_duration(2.0 * pairs * seconds)}; what they will see is not known without a pilot"
    )
    return PilotResult(shape=shape, looks=looks, seconds=seconds)


async def _pilot_block(runner: BlockRunner, shape: BlockShape, number: int) -> Measured | None:
    measured = await runner.block(
        Side.BASE, shape, Place(title=f"pilot {number}", number=number, count=number, draw=_DRAWS + number)
    )
    if measured is None or any(phase.interrupted for phase in measured.block.phases):
        return None
    for phase in measured.block.phases:
        step = phase.step()
        if step is None or not step.counts.ok:
            unfit = BrokenError(
                f"the base build did not respond successfully to any request in the pilot's {phase.name}",
                why=phase.service_gone or "every request failed",
                hint="See its output in base.log: the head build cannot be compared with a base build that does not work.",
            )
            # With a broken base build the head build may still be judged by stored baselines.
            unfit.of_base = True
            raise unfit
    return measured


def _warm_up(first: Measured) -> float:
    """The ramp, and what came after it until the response times had settled, to the next half second."""
    settled = max(settled_after(phase.windows) for phase in first.block.phases)
    return min(max(math.ceil(2.0 * (_PILOT_RAMP + settled)) / 2.0, LEAST_WARM_UP), MOST_WARM_UP)


def too_long(pairs: int, seconds: float, options: DuetOptions, *, at_least: bool = False) -> InfeasibleError:
    """What is raised of a duet that would take longer than it may. at_least: the seconds are not known exactly."""
    takes = f"{'at least ' if at_least else ''}{units.format_whole_duration(seconds)}"
    return InfeasibleError(
        f"{pairs} pairs of blocks would take {takes}",
        why=f"the duet may take {units.format_duration(options.most_seconds)}",
        hint="Allow more minutes, ask for shorter blocks, or for one phase only (--max-minutes, --block, --phase; in a "
        "workflow max-minutes, block-seconds, phases).",
    )


def _sentences(shape: BlockShape, made: DuetForecast) -> Iterator[str]:
    yield f"forecast from the pilot: {_block_words(shape)}, the order in each pair drawn at random"
    for look in made.looks:
        if not look.mde:
            then = "the duet ends if everything is shown to be unchanged by then"
        else:
            then = f"the duet will see a worsening of {_seen(look)}"
        yield f"after {look.pairs} pairs, about {units.format_whole_duration(look.seconds)} from now, {then}"
    yield from _lacking_words(made)


def _lacking_words(made: DuetForecast) -> Iterator[str]:
    """Which primary figures the duet will not compare, and what it would take."""
    for row, seconds in made.lacking.items():
        takes = units.format_duration_up(seconds)
        yield f"{_name(row)} in {row.phase} will not be compared: too few responses (blocks of {takes} would do: --block)"


def _block_words(shape: BlockShape) -> str:
    return f"blocks of {units.format_duration(shape.seconds)} after {units.format_duration(shape.warm_up)} of warm-up"


def _seen(look: LookForecast) -> str:
    """The smallest changes that can be found: of all steps first, then those of the steps that see worst."""
    known = sorted(look.mde.items(), key=lambda item: (item[0].step != ALL_STEPS, -item[1]))
    # Above COARSE a size says no more than that hardly anything could be found.
    shown = [f"{_size(mde)} in {_name(row)}" for row, mde in known if mde <= COARSE]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return f"{', '.join(shown[:_SHOWN])}{more}" if shown else "nothing: too few pairs, or too much noise"


def _size(mde: float) -> str:
    return units.format_change(mde).removeprefix("+")


def _name(row: Row) -> str:
    return row.metric.label if row.step == ALL_STEPS else f"{row.metric.label} of {row.step}"
