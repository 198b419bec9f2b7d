"""A shard's samples on their way to the run: handed on as they are, or reduced to counts where that is asked for.

Reducing takes a third of a microsecond a sample, in a thread and a few seconds' worth at a time, so that the load does not wait
for it. The newest samples are kept back as they are: where the measured stretch ends is agreed at its end only, and a sample
that has been counted cannot be taken out again. They follow when the phase is over, and are reduced by the run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

import trio

from velro_gate.analysis.summaries.reduced.frame import Frame
from velro_gate.analysis.summaries.reduced.reduce import reduced
from velro_gate.engine.shards.messages import ReducedChunk, SampleChunk
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Phase

KEPT_BACK = 10.0
"""Seconds, by the due time, for which a sample is kept as it is: more than it takes to notice that a shard has ended early."""


class Reducing:
    """Between a shard's load and its link.

    Args:
        names: the phases whose samples are reduced.
        steps: of the scenario.
        layers: the names of the shard's cache layers so far.
        post: sends a message to the run.
    """

    def __init__(
        self, names: Collection[str], steps: int, layers: Callable[[], tuple[str, ...]], post: Callable[[object], None]
    ) -> None:
        self._names, self._steps, self._layers, self._post = names, steps, layers, post
        self._frame: Frame | None = None
        self._waiting: list[Samples] = []
        self._newest = self._cut = 0.0
        self._under_way: Samples | None = None
        self._batches, self._taken = trio.open_memory_channel[tuple[str, Frame, Samples]](1)

    @property
    def busy(self) -> bool:
        """Whether some are being reduced."""
        return self._under_way is not None

    def began(self, phase: Phase, at: float) -> None:
        """A phase begins, at this time of the run."""
        self._frame = None
        if phase.name in self._names:
            self._frame = Frame(measured_from=at + phase.ramp, planned=phase.duration, steps=self._steps)
            self._newest = self._cut = at

    def add(self, phase: str, samples: Samples) -> None:
        """Samples of the phase under way."""
        if self._frame is None:
            self._post(SampleChunk(phase=phase, samples=samples, layers=self._layers()))
            return
        self._waiting.append(samples)
        self._newest = max(self._newest, float(samples.due.max(initial=0.0)))
        if self._newest - self._cut >= 2.0 * KEPT_BACK and not self.busy:
            self._take(phase, self._frame)

    def _take(self, phase: str, frame: Frame) -> None:
        """Have all but the newest reduced."""
        every = Samples.concatenate(self._waiting)
        self._cut = self._newest - KEPT_BACK
        old = every.due < self._cut
        self._waiting = [every.where(~old)]
        self._under_way = every.where(old)
        self._batches.send_nowait((phase, frame, self._under_way))

    def finished(self, phase: str) -> None:
        """The phase is over: hand on what is left as it is, also what a thread has just in hand."""
        left = [*([] if self._under_way is None else [self._under_way]), *self._waiting]
        self._under_way, self._waiting, self._frame = None, [], None
        for samples in left:
            self._post(SampleChunk(phase=phase, samples=samples, layers=self._layers()))

    async def run(self) -> None:
        """Reduce what is taken, for as long as the shard lives."""
        async for phase, frame, samples in self._taken:
            found = await trio.to_thread.run_sync(partial(reduced, samples, frame))
            if self._under_way is samples:
                self._under_way = None
                self._post(ReducedChunk(phase=phase, samples=found, layers=self._layers()))
