"""What the backend asks of its database, whichever it is."""

from __future__ import annotations

from typing import Protocol

from velro_gate.sandbox.catalogue import Access, Generation, Model

LIST_LIMIT = 20
"""Generations on one page, and the only page that is cached."""


class Database(Protocol):
    """A pool of connections to the catalogue. Every method may raise one of ``faults`` when the database is away.

    The pool is filled by ``open``; a query holds one connection from its start to its end.
    """

    faults: tuple[type[Exception], ...]

    @property
    def pool_size(self) -> int:
        """Connections open."""

    @property
    def pool_in_use(self) -> int:
        """Connections that a query holds at the moment."""

    @property
    def pool_waiting(self) -> int:
        """Queries that wait for a connection."""

    async def open(self) -> None:
        """Connect, lay out the tables and fill them with the catalogue."""

    async def close(self) -> None:
        """Close every connection."""

    async def ping(self) -> None:
        """Return when the database answers a query."""

    async def access(self, generation: int) -> Access | None:
        """Who may use a generation; None when there is no such generation."""

    async def newest(self, owner: int, limit: int) -> tuple[list[Generation], int]:
        """The newest generations of a user, newest first, and how many the user has."""

    async def model(self, number: int) -> Model | None:
        """A model; None when there is no such one."""

    async def rename_model(self, number: int, name: str) -> Model | None:
        """Give a model another name, and a version that is one higher; None when there is no such model."""

    async def media_exists(self, number: int) -> bool:
        """Whether there is such a medium."""

    async def add(self, owner: int, model: int, prompt: str) -> int:
        """Queue a new generation; its number."""
