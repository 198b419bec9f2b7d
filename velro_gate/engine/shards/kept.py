"""Samples as the run takes them from its shards: under its own cache codes, and reduced where that is asked for."""

from __future__ import annotations

from collections.abc import Callable

import trio

from velro_gate.analysis.summaries.reduced.frame import Frame
from velro_gate.analysis.summaries.reduced.reduce import reduced
from velro_gate.analysis.summaries.reduced.tables import Reduced
from velro_gate.engine.shards.lost import Received
from velro_gate.engine.shards.merge import LayerNames
from velro_gate.engine.shards.messages import ReducedChunk, SampleChunk, ShardOrder
from velro_gate.errors import BrokenError
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Phase


class Kept:
    """Passes samples on as they come. sink, pass_on: get those of a phase that is not reduced, or is."""

    def __init__(
        self, order: ShardOrder, sink: Callable[[str, Samples], None], pass_on: Callable[[str, Reduced], None]
    ) -> None:
        self.layers = LayerNames()
        self._names, self._steps = order.reduced, len(order.load.scenario.steps)
        self._sink, self._pass_on = sink, pass_on
        self._newest: list[Samples] = []
        self._frame: Frame | None = None

    def phase_begins(self, phase: Phase, at: float) -> None:
        """A phase begins, at this time of the run."""
        self._frame = None
        if phase.name in self._names:
            self._frame = Frame(measured_from=at + phase.ramp, planned=phase.duration, steps=self._steps)

    def take(self, message: SampleChunk | ReducedChunk, received: Received) -> None:
        """These came from a shard, of which is remembered in ``received`` what came."""
        if isinstance(message, ReducedChunk):
            if message.samples.frame != self._frame:
                # Added to the others it would falsify them.
                raise BrokenError(
                    f"counts came that are not of phase {message.phase} as this machine has begun it",
                    why="a worker has another plan, or what it sent was changed on the way",
                    hint="Use the same velro-gate everywhere, and TLS between all machines.",
                )
            received.add_reduced(message.samples)
            self._pass_on(message.phase, message.samples.renumbered(self.layers.codes(message.layers)))
            return
        received.add(message.samples)
        samples = self.layers.renumbered(message.samples, message.layers)
        if message.phase in self._names:
            self._newest.append(samples)
        else:
            self._sink(message.phase, samples)

    async def phase_over(self, phase: Phase, until: float) -> None:
        """Reduce what the shards had kept back: now it is known until when was measured. Seconds since the start of the run."""
        if self._frame is None:
            return
        newest, self._newest = self._newest, []
        for samples in newest or [Samples.empty()]:
            # The shards must go on hearing of this process.
            self._pass_on(phase.name, await trio.to_thread.run_sync(reduced, samples, self._frame, until))
