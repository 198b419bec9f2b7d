"""Asking Redis or the database, behind a breaker and within a deadline."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from velro_gate.sandbox.problem import AwayError
from velro_gate.sandbox.stores.breaker import Breaker

T = TypeVar("T")


class Dependency:
    """One dependency.

    Args:
        faults: the exceptions by which its client says that it is away; anything else is a bug and is let through.
    """

    def __init__(self, name: str, breaker: Breaker, *, faults: tuple[type[Exception], ...], deadline: float) -> None:
        self.name = name
        self.breaker = breaker
        # Set by an experiment; asking then fails as if the network were gone.
        self.taken_away = False
        # How often a failed question is asked again, at once and whatever the breaker says. A backend has none; one that is
        # wrong on purpose has.
        self.retries = 0
        self._faults: tuple[type[Exception], ...] = (ConnectionError, TimeoutError, *faults)
        self._deadline = deadline

    async def ask(self, operation: Callable[[], Awaitable[T]], *, deadline: float | None = None) -> T:
        """The operation's result. deadline: seconds, for what is more than one question; None: the usual ones.

        Raises:
            AwayError: the breaker is open, the dependency failed, or the deadline passed.
        """
        for _ in range(self.retries):
            try:
                return await self._try(operation, deadline)
            except AwayError:
                continue
        if not self.retries and not self.breaker.admits():
            raise AwayError(self.name, "not asked while its breaker is open", math.ceil(self.breaker.retry_after) or 1)
        return await self._try(operation, deadline)

    async def _try(self, operation: Callable[[], Awaitable[T]], deadline: float | None) -> T:
        try:
            if self.taken_away:
                raise ConnectionError("taken away by an experiment")
            async with asyncio.timeout(self._deadline if deadline is None else deadline):
                result = await operation()
        except self._faults as fault:
            self.breaker.failed()
            reason = str(fault).partition("\n")[0] or type(fault).__name__
            raise AwayError(self.name, reason, math.ceil(self.breaker.retry_after) or 1) from fault
        except BaseException:
            # A cancelled request says nothing about the dependency; as a failure it would open the breaker whenever clients
            # leave early, and left alone the half-open breaker would wait for its trial for ever.
            self.breaker.abandoned()
            raise
        self.breaker.succeeded()
        return result
