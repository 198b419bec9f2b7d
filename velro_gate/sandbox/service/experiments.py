"""What /control can change while the sandbox runs: slow, fail, take a dependency away, flush, stall, leak, be wrong.

Wrong versions, which look well until something is broken:
- breaker_never_opens: dependencies that are away are asked again and again, each time until the deadline.
- cache_not_invalidated: what is written, or declared invalid, stays in the caches as it was.
- retry_storm: a failed question to Redis or the database is asked twenty times, at once and whatever the breaker says.
- writes_lost: a new generation that the database does not take is acknowledged all the same, and lost.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from random import Random
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from velro_gate.errors import UsageError
from velro_gate.sandbox.problem import RefusalError
from velro_gate.sandbox.service.work import QUERY, SIGMA, Bimodal, DelayKind, Distribution, Lognormal, Slowdown, Work
from velro_gate.sandbox.settings import WRONG, known_step
from velro_gate.sandbox.stores.dependency import Dependency
from velro_gate.sandbox.stores.layers import Layers
from velro_gate.sandbox.tally import DATABASE, REDIS, Tally
from velro_gate.units import parse_seconds, parse_share

STALL_LEAD = 0.02
"""Seconds between the response to a stall order and the stall, so that the response is on its way."""
MAX_STALL = 600.0
"""Seconds."""
STORM_RETRIES = 20
"""Times that a failed question is asked again by a service that is wrong on purpose."""

_STRICT = ConfigDict(extra="forbid", frozen=True)


def _step(name: object) -> str:
    try:
        return known_step(str(name))
    except UsageError as fault:
        raise ValueError(fault.what) from fault


def _slowed(name: object) -> str:
    return QUERY if name == QUERY else _step(name)


def _wrong(name: object) -> str:
    if name in WRONG:
        return str(name)
    raise ValueError(f"there is no wrong version {name!r}, only {', '.join(WRONG)}")


StepName = Annotated[str, BeforeValidator(_step)]
Wrong = Annotated[str, BeforeValidator(_wrong)]
Slowed = Annotated[str, BeforeValidator(_slowed)]
"""A step, or the queries of the embedded database."""

OrderSeconds = Annotated[float, BeforeValidator(parse_seconds), Field(gt=0.0)]
Share = Annotated[float, BeforeValidator(parse_share)]


class SlowOrder(BaseModel):
    """How to slow one step: by a factor, or by a delay in place of its own time."""

    model_config = _STRICT
    factor: Annotated[float, Field(gt=0.0, le=1_000.0)] = 1.0
    delay: OrderSeconds | None = None
    """Of a bimodal delay: its fast mode."""
    distribution: DelayKind = "constant"
    sigma: Annotated[float, Field(gt=0.0, le=3.0)] = SIGMA
    slow_delay: OrderSeconds | None = None
    slow_share: Share = 0.1
    busy: OrderSeconds | None = None
    """Seconds of CPU, not of waiting."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.delay is None and self.distribution != "constant":
            raise ValueError(f"'{self.distribution}' needs a delay")
        return self

    def slowdown(self) -> Slowdown:
        """The order as the work understands it."""
        return Slowdown(factor=self.factor, instead=self._instead(), busy=self.busy or 0.0)

    def _instead(self) -> Distribution | None:
        if self.delay is None:
            return None
        match self.distribution:
            case "constant":
                return Lognormal(median=self.delay, sigma=0.0)
            case "lognormal":
                return Lognormal(median=self.delay, sigma=self.sigma)
            case "bimodal":
                return Bimodal(fast=self.delay, slow=self.slow_delay or 10.0 * self.delay, share=self.slow_share)


class LeakOrder(BaseModel):
    """What each request keeps for good: these bytes, and in this share of them a descriptor."""

    model_config = _STRICT
    bytes: Annotated[int, Field(ge=0, le=2**20)] = 0
    descriptors: Share = 0.0


class ControlOrder(BaseModel):
    """One POST to /control. Orders add up until ``reset``; ``down`` names all dependencies that are away from now on, and
    ``wrong`` all ways in which the backend is wrong.
    """

    model_config = _STRICT
    reset: bool = False
    slow: dict[Slowed, SlowOrder] = {}
    fail: dict[StepName, Share] = {}
    down: tuple[Literal["redis", "database"], ...] | None = None
    flush: tuple[Literal["memory", "redis"], ...] = ()
    leak: LeakOrder | None = None
    wrong: tuple[Wrong, ...] | None = None
    stall: Annotated[float, BeforeValidator(parse_seconds), Field(gt=0.0, le=MAX_STALL)] | None = None


class Experiments:
    """Carries out orders and knows which are in force. stall: blocks the whole process for some seconds."""

    def __init__(
        self,
        *,
        work: Work,
        layers: Layers,
        dependencies: Mapping[str, Dependency],
        tally: Tally,
        seed: int,
        wrong: tuple[str, ...] = (),
        stall: Callable[[float], None] = time.sleep,
    ) -> None:
        self._work = work
        self._layers = layers
        self._dependencies = dependencies
        self._tally = tally
        self._random = Random(f"{seed}/failures").random
        self._stall = stall
        self._failing: dict[str, float] = {}
        self._leak = LeakOrder()
        self._kept: list[bytes] = []
        self._opened: list[int] = []
        self._owed = 0.0
        self._wrong_from_start = wrong
        self._wrong: tuple[str, ...] = ()
        self._be_wrong(wrong)

    @property
    def loses_writes(self) -> bool:
        """Whether writes that the database does not take are acknowledged."""
        return "writes_lost" in self._wrong

    def leak(self) -> None:
        """Keep what each request has to keep at present."""
        if self._leak.bytes:
            # Written to, so that the pages are there.
            self._kept.append(b"x" * self._leak.bytes)
        self._owed += self._leak.descriptors
        if self._owed >= 1.0:
            self._owed -= 1.0
            self._opened.append(os.open(os.devnull, os.O_RDONLY))

    def fails(self, step: str) -> bool:
        """Whether the next request of this step has to fail."""
        return bool(self._failing) and self._random() < self._failing.get(step, 0.0)

    async def carry_out(self, payload: bytes) -> dict[str, object]:
        """Obey one order and return the state that it leads to.

        Raises:
            RefusalError: 422, with every fault of the order. AwayError: a layer to flush is away.
        """
        try:
            order = ControlOrder.model_validate_json(payload)
        except ValidationError as fault:
            raise RefusalError(422, "; ".join(_words(error) for error in fault.errors())) from fault
        # First, so that one order can put everything right and set something new.
        if order.reset:
            self._reset()
        for step, slow in order.slow.items():
            self._work.slow(step, slow.slowdown())
        self._failing.update(order.fail)
        if order.down is not None:
            self._take_away(order.down)
        if order.leak is not None:
            self._leak = order.leak
        if order.wrong is not None:
            self._be_wrong(order.wrong)
        for layer in order.flush:
            await self._layers.flush(layer)
        if order.stall is not None:
            asyncio.get_running_loop().call_later(STALL_LEAD, self._stall, order.stall)
        return self.state()

    def state(self) -> dict[str, object]:
        """What is in force."""
        return {
            "work": self._work.on,
            "slow": {step: asdict(slowdown) for step, slowdown in self._work.slowdowns.items()},
            "fail": {step: share for step, share in self._failing.items() if share > 0.0},
            "down": [name for name, dependency in self._dependencies.items() if dependency.taken_away],
            "leak": self._leak.model_dump(),
            "wrong": list(self._wrong),
            "breakers": {name: dependency.breaker.state.name.lower() for name, dependency in self._dependencies.items()},
            "counts": self._tally.counts(),
        }

    def _reset(self) -> None:
        self._work.reset()
        self._failing.clear()
        self._take_away(())
        self._be_wrong(self._wrong_from_start)
        self._leak, self._owed = LeakOrder(), 0.0
        self._kept.clear()
        while self._opened:
            os.close(self._opened.pop())

    def _be_wrong(self, names: tuple[str, ...]) -> None:
        self._wrong = names
        self._layers.invalidates = "cache_not_invalidated" not in names
        for dependency in self._dependencies.values():
            dependency.breaker.never_opens = "breaker_never_opens" in names
            dependency.retries = STORM_RETRIES if "retry_storm" in names else 0

    def _take_away(self, names: tuple[str, ...]) -> None:
        for name in (REDIS, DATABASE):
            self._dependencies[name].taken_away = name in names


def _words(error: Mapping[str, object]) -> str:
    place = error["loc"]
    path = ".".join(str(part) for part in place) if isinstance(place, tuple) else str(place)
    return f"{path}: {error['msg']}" if path else str(error["msg"])
