"""The bodies of responses, as bytes: they are made once per change and then live in the cache layers as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence

from velro_gate.sandbox.catalogue import Access, Generation, Model

MEDIA_SECONDS = 3600
"""Seconds for which a medium's link is said to be valid."""


def encode(value: object) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def access(found: Access) -> bytes:
    """What the cache layers hold about who may use a generation; ``authorization`` reads it."""
    return b"%d %d" % (found.owner, found.shared)


def authorization(user: int, generation: int, held: bytes) -> bytes:
    """Whether this user may use this generation, by what ``access`` has put down about it."""
    owner, shared = held.split()
    role = "owner" if int(owner) == user else "member" if shared == b"1" else None
    return encode({"allowed": role is not None, "resource": "generation", "id": f"gen-{generation}", "role": role})


def generation_list(newest: Sequence[Generation], total: int) -> bytes:
    """The newest generations of a user, newest first, and how many there are in all."""
    items = [
        {"id": f"gen-{one.number}", "model": f"model-{one.model}", "prompt": one.prompt, "status": one.status} for one in newest
    ]
    return encode({"items": items, "total": total})


def model(found: Model) -> bytes:
    """A model's card."""
    return encode({"id": f"model-{found.number}", "name": found.name, "version": found.version})


def media(number: int) -> bytes:
    """Where a generation's medium can be fetched, and for how many seconds."""
    return encode({"url": f"https://media.velro.invalid/{number}.webp", "expires_in": MEDIA_SECONDS})


def created(number: int) -> bytes:
    """A generation that was just accepted."""
    return encode({"id": f"gen-{number}", "status": "queued"})


def error(message: str) -> bytes:
    """Why a request was refused."""
    return encode({"error": message})
