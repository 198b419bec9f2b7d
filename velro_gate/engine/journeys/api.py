"""What a journey written in Python is given: a virtual user with an ordinary httpx client.

    async def browse(user: User) -> None:
        with user.step("list"):
            found = await user.client.get("/api/items")
        with user.step("open"):
            await user.client.get(f"/api/items/{found.json()[0]['id']}")

Rules
- Every request of the client is one sample, redirects and those of an auth flow included, counted under the step in whose
  ``with`` block it is made. A request outside of any is refused, unless the scenario has one step only.
- What goes wrong with a request is its outcome and is raised as httpx raises it. Where it leaves the journey, the journey ends.
- A failed ``assert``, ``user.fail``, or a response's ``json()`` that is not JSON, makes the last response of its block a failed
  check; it ends the journey in the same way.
- Any other error is a fault of the journey's code and ends the run.
"""

from __future__ import annotations

import difflib
import importlib
import random
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NoReturn

import httpx

from velro_gate.errors import JourneyError
from velro_gate.model.scenario import Feeder, Journey

if TYPE_CHECKING:
    # It is built on this module.
    from velro_gate.engine.journeys.users import JourneyUser


class CheckFailed(AssertionError):  # noqa: N818 - what it says is an outcome, not an error of the program
    """A response is not what the journey needs."""


class User:
    """A virtual user: own connections, own identity, own cookies; the same one in every journey of a phase.

    Attributes:
        client: an ``httpx.AsyncClient`` whose base URL is the target and whose requests are authorised as the scenario says.
        index: its number, from 0.
        identity: its stable id.
        steps: the names of the scenario's steps.
        random: draws that depend on seed, phase and index only.
        kept: room for what it has to remember from one journey to the next, a token for example.
    """

    def __init__(self, backend: JourneyUser, feeders: Mapping[str, Feeder], seed: str) -> None:
        self._backend = backend
        self._feeders = feeders
        self.index = backend.index
        self.identity = backend.identity
        self.steps = tuple(backend.steps)
        self.random = random.Random(f"{seed}/{self.index}")
        self.kept: dict[str, Any] = {}

    @property
    def client(self) -> httpx.AsyncClient:
        """Its client."""
        return self._backend.client

    def step(self, name: str) -> AbstractContextManager[None]:
        """Count the requests that are made in this block under a step of the scenario.

        Raises:
            JourneyError: there is no such step.
        """
        return self._backend.step(name)

    def row(self, feeder: str) -> dict[str, str]:
        """The user's row of a feeder, by column.

        Raises:
            JourneyError: there is no such feeder.
        """
        found = self._feeders.get(feeder)
        if found is None:
            raise JourneyError(f"there is no feeder {feeder!r}{meant(feeder, self._feeders)}")
        return dict(zip(found.columns, found.rows[self.index % len(found.rows)], strict=True))

    async def think(self, seconds: float) -> None:
        """Pause. Use this before the first request of a journey: other pauses there count as the generator's delay."""
        await self._backend.think(seconds)

    def fail(self, reason: str) -> NoReturn:
        """Say that the last response is not what it should be.

        Raises:
            CheckFailed: always.
        """
        raise CheckFailed(reason)


Function = Callable[[User], Awaitable[None]]


async def walk(user: User) -> None:
    """A journey of one plain request a step, whatever is answered."""
    for name in user.steps:
        with user.step(name):
            await user.client.get("/")


WALK = Journey(function=f"{__name__}:walk")


def find_function(journey: Journey) -> Function:
    """The function that a journey names; in every process alike.

    Raises:
        JourneyError: it cannot be imported.
    """
    sys.path.extend(place for place in journey.folders if place not in sys.path)
    try:
        found: Function = getattr(importlib.import_module(journey.module), journey.name)
    except (ImportError, AttributeError) as error:
        raise JourneyError(f"the journey {journey.function} cannot be imported: {error}") from error
    return found


def meant(word: str, known: Mapping[str, object]) -> str:
    """A tail for a message: what may have been meant."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else f"; known: {', '.join(known) or 'none'}"


def is_check(error: BaseException) -> bool:
    """Whether this says that a response is not as expected: a check, a body read as JSON that is not JSON, or a redirect
    to an invalid name.
    """
    if isinstance(error, AssertionError):
        return True
    frames = traceback.walk_tb(error.__traceback__) if isinstance(error, ValueError | RecursionError) else ()
    return any((frame.f_globals.get("__name__"), frame.f_code.co_name) in _READING for frame, _ in frames)


_READING = frozenset({("httpx._models", "json"), ("httpx._client", "_build_redirect_request")})
"""Where httpx makes something of a response, and raises what is not an error of its own."""


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The single errors of a group, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error
