"""One block of a duet: a build that is started, warmed up, measured under the plan's load, and stopped."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TypeVar

import trio

from velro_gate.analysis.summaries.control import control_summary
from velro_gate.analysis.verdict.judge_duet import block_doubts
from velro_gate.gate.builds.output import BuildOutput
from velro_gate.gate.builds.run import Builds, running
from velro_gate.gate.duet.control import Control
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.run import masked, summaries, watched_load
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.duet import Block, Side
from velro_gate.model.masking import secret_values
from velro_gate.model.run import Progress, RunFacts
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Phase, Target

T = TypeVar("T")

JOINS_A_SECOND = 3_000.0
"""Users that connect in a second at most; a warm-up of many users takes longer than was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockShape:
    """How long a block is."""

    warm_up: float
    """Seconds dropped in each phase, in which users connect and the rate rises."""
    seconds: float
    """Seconds measured, all phases together; each gets an equal part of them."""

    def phases(self, planned: tuple[Phase, ...]) -> tuple[Phase, ...]:
        """The plan's phases as a block carries them out."""
        each = self.seconds / len(planned)
        return tuple(
            # Nothing is broken on purpose while builds are compared.
            replace(phase, ramp=max(self.warm_up, phase.users / JOINS_A_SECOND), duration=each, experiments=())
            for phase in planned
        )

    def load_seconds(self, planned: tuple[Phase, ...]) -> float:
        """How long the load of a block lasts."""
        return sum(phase.ramp + phase.duration for phase in self.phases(planned))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A block's place in its duet: the title that people read, and its number of the total."""

    title: str
    number: int
    count: int
    draw: int
    """Selects the draw of the arrivals: equal in both blocks of a pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A block, the seconds that it took from the build's start to its end, and what it was summarised from."""

    block: Block
    took: float
    facts: RunFacts = field(default_factory=lambda: RunFacts(phases=(), readings=(), layers=()))
    samples: Mapping[str, Samples] = field(default_factory=dict)


class BlockRunner:
    """Where blocks are measured, one after the other. stop: when set, the block under way ends early, and is marked so."""

    def __init__(
        self,
        setup: Setup,
        builds: Builds,
        *,
        shards: int,
        outputs: Mapping[Side, BuildOutput],
        control_url: str,
        effects: Effects,
        log: logging.Logger,
        stop: trio.Event,
    ) -> None:
        self.setup = setup
        self.stop = stop
        self.notes: list[str] = []
        self._builds = builds
        self._shards = shards
        self._outputs = outputs
        self._control_url = control_url
        self._effects = effects
        self._log = log

    def say(self, sentence: str) -> None:
        """Report it to the progress view and to the log."""
        self._log.info("%s", sentence)
        self._effects.say(sentence)

    def note(self, sentence: str) -> None:
        """Keep a remark with the record, once."""
        self._log.warning("%s", sentence)
        if sentence not in self.notes:
            self.notes.append(sentence)

    async def block(self, side: Side, shape: BlockShape, place: Place) -> Measured | None:
        """Measure a block of one build; None when the duet was stopped before its load began.

        Raises:
            BrokenError: the build cannot be started, or is not healthy.
        """
        self._log.info("block %d of %d: %s", place.number, place.count, place.title)
        began = trio.current_time()
        phases = shape.phases(self.setup.phases)
        async with AsyncExitStack() as stack:
            target = await self._unless_stopped(lambda: stack.enter_async_context(self._running(side)))
            if target is None:
                return None
            # Both blocks of a pair get the same arrivals: what differs between them is then the builds and the noise, and not
            # the draw.
            scenario = replace(self.setup.scenario, target=target, seed=self.setup.scenario.seed + place.draw)
            setup = replace(self.setup, scenario=scenario, plan=replace(self.setup.plan, phases=phases))
            facts, parts, control = await self._load(setup, phases, place)
        samples = {name: Samples.concatenate(rows) for name, rows in parts.items()}
        measured = summaries(setup.plan, facts, samples)
        block = Block(
            phases=measured, control=control_summary(control.times, control.failed), doubts=block_doubts(phases, measured)
        )
        return Measured(block=block, took=trio.current_time() - began, facts=facts, samples=samples)

    def _running(self, side: Side) -> AbstractAsyncContextManager[Target]:
        return running(
            self._builds,
            side,
            self.setup.scenario.target,
            output=self._outputs[side],
            environ=self._effects.environ,
        )

    async def _unless_stopped(self, start: Callable[[], Awaitable[T]]) -> T | None:
        made: T | None = None
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                """End the block when the duet is asked to stop."""
                await self.stop.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            made = await start()
            nursery.cancel_scope.cancel()
        return made

    async def _load(
        self, setup: Setup, phases: tuple[Phase, ...], place: Place
    ) -> tuple[RunFacts, dict[str, list[Samples]], Control]:
        parts: dict[str, list[Samples]] = {}
        control = Control(self._control_url)

        async def ask() -> None:
            """Ask the control in the measured stretch: what the warm-up shows counts in nothing."""
            await trio.sleep(phases[0].ramp)
            await control.ask()

        def observe(progress: Progress) -> None:
            """Show the block as a phase of the duet."""
            title = place.title if len(phases) == 1 else f"{place.title}, {progress.phase}"
            self._effects.observe(replace(progress, phase=title, phase_number=place.number, phase_count=place.count))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            result, readings = await watched_load(
                setup,
                self._shards,
                sink=lambda name, samples: parts.setdefault(name, []).append(samples),
                observe=observe,
                log=self._log,
                note=self.note,
                stop=self.stop,
            )
            nursery.cancel_scope.cancel()
        seen = masked(result.phases, [*setup.secrets.values(), *secret_values(self._effects.environ)])
        return RunFacts(phases=seen, readings=readings, layers=result.layers), parts, control
