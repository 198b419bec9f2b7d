"""A client of the stand-in whose clock stands still but for its own sleeping, so that no test waits."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.github.stand_in import StandIn
from velro_gate.github.api import Api
from velro_gate.github.clock import Clock

TOKEN = "good-token"


@dataclass
class Standing:
    """A clock that is moved by sleeping. slept: each wait in order."""

    time: float = 1_800_000_000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.time, elapsed=lambda: self.time, sleep=self.sleep, chance=lambda: 0.5)


def client(
    api: StandIn, standing: Standing | None = None, *, token: str = TOKEN, patience: float = 300.0, timeout: float = 5.0
) -> Api:
    """A client of the stand-in."""
    clock = (standing or Standing()).clock
    return Api(base_url=api.url, repository=api.state.repository, token=token, clock=clock, patience=patience, timeout=timeout)
