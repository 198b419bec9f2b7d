"""Small plans that the tests of forecast and feasibility ask about."""

from __future__ import annotations

from typing import Any

from velro_gate.model.scenario import Comparator, NoAuth, OpenArrivals, Phase, Requirement, Scenario, Step, Target


def scenario(url: str = "http://service.test", **to: Any) -> Scenario:
    steps = (
        Step(name="login", method="GET", path="/a", probability=1.0),
        Step(name="list", method="GET", path="/b", probability=0.5),
    )
    return Scenario(name="s", description="", digest="d", target=Target(url=url, **to), auth=NoAuth(), steps=steps)


def p95(limit: float, step: str = "all") -> Requirement:
    return Requirement(metric="p95", comparator=Comparator.BELOW, target=limit, step=step)


def phase(
    users: int = 1000, rate: float = 100.0, *, ramp: float = 30.0, limits: tuple[Requirement, ...] = (), name: str = "peak"
) -> Phase:
    return Phase(name=name, users=users, ramp=ramp, duration=60.0, arrivals=OpenArrivals(rate=rate), requirements=limits)
