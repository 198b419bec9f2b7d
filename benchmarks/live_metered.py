"""The real command with a live page that is there in half of the blocks of a run, and meters of what it takes.

Started by ``benchmarks.live`` as ``python -m benchmarks.live_metered FILE COMMAND...``: FILE gets one row for each second.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from velro_gate.cli import live, main, world
from velro_gate.model.run import Progress, Stage

BLOCK = 5.0
"""Seconds."""


def shown(at: float) -> bool:
    """Whether the page is there at this time of the system's monotonic clock: blocks are with, without, without, with."""
    return int(at // BLOCK) % 4 in (0, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """The clocks when the newest state of the run came. CPU in seconds since the start of the process."""

    at: float
    """By the monotonic clock."""
    began: float
    """When the phase did, by the same clock."""
    measured: bool
    process: float
    loop: float
    """Of the thread that sends the load."""
    page: float
    """Of everything that is done for the page: its rows, its threads."""
    requests: int
    """That the page has made."""


@dataclass(slots=True, kw_only=True)
class Meter:
    """Counts the CPU of the page's threads by their own clocks."""

    rows: float = 0.0
    ended: float = 0.0
    requests: int = 0
    running: set[int] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    seconds: list[Second] = field(default_factory=list)

    def threads(self) -> float:
        """CPU seconds of all threads that serve the page, those that have ended included."""
        # Under the lock none of them ends, and an ended thread has no clock.
        with self.lock:
            clocks = sum(time.clock_gettime(time.pthread_getcpuclockid(thread)) for thread in self.running)
            return self.ended + clocks

    def metered(self, work: Callable[..., None]) -> Callable[..., None]:
        """The whole work of a thread, metered while it lasts."""

        def wrapped(*given: object) -> None:
            own = threading.get_ident()
            with self.lock:
                self.running.add(own)
            try:
                work(*given)
            finally:
                with self.lock:
                    self.running.discard(own)
                    self.ended += time.thread_time()

        return wrapped

    def counted(self, work: Callable[..., None]) -> Callable[..., None]:
        """One request of the page."""

        def wrapped(*given: object) -> None:
            with self.lock:
                self.requests += 1
            work(*given)

        return wrapped

    def follow(self, add: Callable[[Progress], None], progress: Progress) -> None:
        """Take in the newest state if the page is there, then read all clocks."""
        at = time.monotonic()
        if shown(at):
            begun = time.thread_time()
            add(progress)
            self.rows += time.thread_time() - begun
        self.seconds.append(
            Second(
                at=at,
                began=at - progress.elapsed,
                measured=progress.stage is Stage.MEASURE,
                process=time.process_time(),
                loop=time.thread_time(),
                page=self.rows + self.threads(),
                requests=self.requests,
            )
        )


def command(file: Path) -> None:
    """Be the command that the arguments name, with meters."""
    meter, served = Meter(), live.live_page
    live._Server.process_request_thread = meter.metered(live._Server.process_request_thread)  # type: ignore[method-assign]
    live._Server.serve_forever = meter.metered(live._Server.serve_forever)  # type: ignore[method-assign]
    live._Handler.do_GET = meter.counted(live._Handler.do_GET)  # type: ignore[method-assign]

    @contextmanager
    def page(port: int, title: str, say: Callable[[str], None]) -> Iterator[Callable[[Progress], None]]:
        with served(port, title, say) as add:
            yield lambda progress: meter.follow(add, progress)

    vars(world)["live_page"] = page
    try:
        main()
    finally:
        file.write_text(json.dumps([asdict(one) for one in meter.seconds]), encoding="utf-8")


if __name__ == "__main__":
    command(Path(sys.argv.pop(1)))
