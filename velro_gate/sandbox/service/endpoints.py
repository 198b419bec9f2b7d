"""The endpoints of the backend: who asks, what for, and what comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple
from weakref import WeakValueDictionary

from velro_gate.sandbox.catalogue import (
    GENERATIONS_PER_USER,
    MODELS,
    Access,
    Generation,
    Model,
    generation_number,
    media_number,
    model_name,
    model_number,
    seeded_generation,
    user_number,
)
from velro_gate.sandbox.problem import AwayError, RefusalError
from velro_gate.sandbox.service import answers
from velro_gate.sandbox.service.tokens import USER, VIEWER, issue_token
from velro_gate.sandbox.stores.database import LIST_LIMIT, Database
from velro_gate.sandbox.stores.dependency import Dependency
from velro_gate.sandbox.stores.layers import Found, Layers
from velro_gate.sandbox.tally import DATABASE

MAX_PROMPT = 4_000
"""Characters."""
MAX_NAME = 200
"""Characters."""
MAX_LIMIT = 100
"""Entries of one page."""
PROMISED = 10**12
"""Generations that are acknowledged and lost have numbers above this one."""
TAGS = ("access", "generations", "model", "media")
"""Kinds of cached entries: what stands before the colon of their keys."""
NEW_USERS = 50
"""One user in this many has not been seen before."""


class Caller(NamedTuple):
    """Who asks: the id as given, its number, and the role of the token."""

    user_id: str
    number: int
    role: str


class Endpoints:
    """Answers by the catalogue's database behind the cache layers. loses_writes: see ``Experiments``."""

    def __init__(
        self,
        *,
        layers: Layers,
        database: Database,
        dependency: Dependency,
        secret: str,
        users: int,
        loses_writes: Callable[[], bool] = lambda: False,
    ) -> None:
        self._layers = layers
        self._database = database
        self._dependency = dependency
        self._secret = secret
        self._users = users
        self._loses_writes = loses_writes
        self._promised = PROMISED
        self._renewing: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    def caller(self, user_id: str, role: str) -> Caller:
        """The caller behind a user's id."""
        return Caller(user_id, user_number(user_id, self._users), role)

    def me(self, caller: Caller) -> bytes:
        """Who the caller is."""
        return answers.encode({"user_id": caller.user_id, "role": caller.role})

    def login(self, body: bytes) -> bytes:
        """A token for a user: ``{"user": ..., "role": "user" | "viewer"}``."""
        given = _json_object(body)
        user, role = given.get("user"), given.get("role", USER)
        if not isinstance(user, str) or not 0 < len(user) <= 128:
            raise RefusalError(422, "'user' has to be a text of 1 to 128 characters")
        if role not in (USER, VIEWER):
            raise RefusalError(403, "this role is not given to those who log in")
        return answers.encode({"token": issue_token(self._secret, user, role)})

    async def authorization(self, caller: Caller, resource: str, identifier: str) -> Found:
        """Whether the caller may use a generation."""
        if resource != "generation":
            raise RefusalError(422, "'resource' has to be 'generation'")
        number = _known(generation_number(identifier), "generation")
        held, layer = await self._layers.read(access_key(number), partial(self._access, number))
        return Found(held and answers.authorization(caller.number, number, held), layer)

    async def generations(self, caller: Caller, limit: str) -> Found:
        """The caller's newest generations."""
        count = int(limit) if limit.isdecimal() and len(limit) < 4 else 0
        if not 1 <= count <= MAX_LIMIT:
            raise RefusalError(422, f"'limit' has to be 1 to {MAX_LIMIT}")
        query = partial(self._list, caller.number, count)
        if count != LIST_LIMIT:
            return Found(await self._dependency.ask(query), DATABASE)
        return await self._layers.read(list_key(caller.number), query)

    async def model(self, identifier: str) -> Found:
        """A model's card."""
        number = _known(model_number(identifier), "model")
        return await self._layers.read(model_key(number), partial(self._model, number))

    async def media(self, identifier: str) -> Found:
        """Where a medium can be fetched."""
        number = _known(media_number(identifier), "medium")
        return await self._layers.read(media_key(number), partial(self._media, number))

    async def create(self, caller: Caller, body: bytes) -> bytes:
        """Queue a generation and bring the cached list up to date."""
        _may_write(caller)
        given = _json_object(body)
        model, prompt = given.get("model"), given.get("prompt")
        if not isinstance(prompt, str) or not 0 < len(prompt) <= MAX_PROMPT:
            raise RefusalError(422, f"'prompt' has to be a text of 1 to {MAX_PROMPT} characters")
        number = model_number(model) if isinstance(model, str) else None
        if number is None or number not in MODELS:
            raise RefusalError(422, "'model' has to be the id of a model")
        try:
            created = await self._dependency.ask(partial(self._database.add, caller.number, number, prompt))
        except AwayError:
            if not self._loses_writes():
                raise
            self._promised += 1
            return answers.created(self._promised)
        await self._renew_list(caller.number)
        return answers.created(created)

    async def rename(self, caller: Caller, identifier: str, body: bytes) -> Found:
        """Give a model another name, and bring its cached card up to date."""
        _may_write(caller)
        name = _json_object(body).get("name")
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
            raise RefusalError(422, f"'name' has to be a text of 1 to {MAX_NAME} characters")
        number = _known(model_number(identifier), "model")
        lock = self._renewing.setdefault(-number, asyncio.Lock())
        async with lock:
            found = await self._dependency.ask(partial(self._database.rename_model, number, name))
            if found is None:
                return Found(None, DATABASE)
            card = answers.model(found)
            await self._layers.write(model_key(number), card)
        return Found(card, DATABASE)

    async def invalidate(self, caller: Caller, body: bytes) -> bytes:
        """Drop from the caches one key, everything of a kind, or everything: ``key``, ``tag`` or ``all``."""
        _may_write(caller)
        given = _json_object(body)
        key, tag = given.get("key"), given.get("tag")
        if isinstance(key, str) and ":" in key:
            await self._layers.drop(key)
            return answers.encode({"invalidated": key})
        if isinstance(tag, str) and tag in TAGS:
            prefix = f"{tag}:"
        elif given.get("all") is True:
            prefix = ""
        else:
            raise RefusalError(422, f"either a 'key' such as 'model:4', a 'tag' ({', '.join(TAGS)}) or 'all': true")
        await self._layers.invalidate(prefix)
        return answers.encode({"invalidated": prefix or "all"})

    async def _access(self, number: int) -> bytes | None:
        found = await self._database.access(number)
        return None if found is None else answers.access(found)

    async def _list(self, user: int, limit: int) -> bytes:
        return answers.generation_list(*await self._database.newest(user, limit))

    async def _model(self, number: int) -> bytes | None:
        found = await self._database.model(number)
        return None if found is None else answers.model(found)

    async def _media(self, number: int) -> bytes | None:
        return answers.media(number) if await self._database.media_exists(number) else None

    async def _renew_list(self, user: int) -> None:
        # One at a time per user: of two writers the later list must also be the one that stays in the cache.
        lock = self._renewing.setdefault(user, asyncio.Lock())
        async with lock:
            try:
                listed = await self._dependency.ask(partial(self._list, user, LIST_LIMIT))
            except AwayError:
                # The generation itself is kept: its caller must not get an error.
                self._layers.forget(list_key(user))
            else:
                await self._layers.write(list_key(user), listed)


def access_key(generation: int) -> str:
    """The cache key of who may use a generation; one entry serves all users."""
    return f"access:{generation}"


def list_key(user: int) -> str:
    """The cache key of a user's first page of generations."""
    return f"generations:{user}"


def model_key(number: int) -> str:
    """The cache key of a model's card."""
    return f"model:{number}"


def media_key(number: int) -> str:
    """The cache key of a medium's address."""
    return f"media:{number}"


def warm_entries(users: int) -> Iterator[tuple[str, bytes]]:
    """What Redis holds when the backend starts: all models, and of each user a generation, its medium and the list.

    Of one user in ``NEW_USERS`` it holds nothing yet, so that every layer has something to do.
    """
    for number in MODELS:
        yield model_key(number), answers.model(Model(number, model_name(number)))
    for user in (user for user in range(users) if user % NEW_USERS != NEW_USERS - 1):
        yield access_key(user), answers.access(Access(user, shared=True))
        yield media_key(user), answers.media(user)
        yield list_key(user), answers.generation_list(_first_page(user, users), GENERATIONS_PER_USER)


def _first_page(user: int, users: int) -> list[Generation]:
    numbers = range(user + users * (GENERATIONS_PER_USER - 1), -1, -users)
    return [seeded_generation(number, users) for number in numbers]


def _may_write(caller: Caller) -> None:
    if caller.role == VIEWER:
        raise RefusalError(403, "viewers cannot write")


def _known(number: int | None, kind: str) -> int:
    if number is None:
        raise RefusalError(404, f"there is no such {kind}")
    return number


def _json_object(body: bytes) -> dict[str, object]:
    try:
        given = json.loads(body)
    except ValueError as fault:
        raise RefusalError(422, "the body is not JSON") from fault
    if not isinstance(given, dict):
        raise RefusalError(422, "the body has to be a JSON object")
    return given
