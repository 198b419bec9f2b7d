"""What the backend knows about: people, generations, models and media, all numbered, none of them stored here.

The catalogue is a function of the number of users alone: person n owns the generations n and n + users, and each generation
has one medium of the same number. Models count from 1. What exists from the start is shared with everybody, what is created
later is its owner's alone. So the databases can be filled, the caches warmed and the tests written from one rule.
Identifiers are a word and a number, ``gen-42`` or ``resource-42``; leading zeros do not matter. A user may also be named by a
UUID, as an identity provider does: each UUID stands for one of the people in the catalogue, so that any generator's users are
people whom the caches know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

MODEL_COUNT = 24
"""Models in the catalogue."""
GENERATIONS_PER_USER = 2
"""Generations of each user that exist from the start."""

_USER = re.compile(r"[A-Za-z]*[-_]?0*(\d{1,9})")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_GENERATION = re.compile(r"(?:generation|resource|gen)?[-_]?0*(\d{1,15})")
_MEDIA = re.compile(r"media[-_]?0*(\d{1,15})|0*(\d{1,15})")
_MODEL = re.compile(r"model[-_]?0*(\d{1,3})|0*(\d{1,3})")
_NAMED_USERS = 1 << 60
"""A bit that no written number can have: users with other names are far above all others."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation of an image or a film."""

    number: int
    owner: int
    """``number`` and ``owner``: see the module."""
    model: int
    prompt: str
    status: str
    shared: bool


@dataclass(frozen=True, slots=True)
class Model:
    """A model's card."""

    number: int
    name: str
    version: int = 1
    """1 from the start, and one more with each new name."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a generation: its owner, and everybody when it is shared."""

    owner: int
    shared: bool


def user_number(user_id: str, users: int) -> int:
    """The number behind a user's id; names that are neither number nor UUID get a stable one far above all others."""
    match = _USER.fullmatch(user_id)
    if match:
        return int(match[1])
    if _UUID.fullmatch(user_id):
        return int(user_id.replace("-", ""), 16) % users
    return _NAMED_USERS | int.from_bytes(blake2b(user_id.encode(), digest_size=7).digest())


def generation_number(text: str) -> int | None:
    """The number in ``gen-42`` or ``42``; None for anything else."""
    return _number(_GENERATION, text)


def media_number(text: str) -> int | None:
    """The number in ``media-42`` or ``42``; None for anything else."""
    return _number(_MEDIA, text)


def model_number(text: str) -> int | None:
    """The number in ``model-4`` or ``4``; None for anything else."""
    return _number(_MODEL, text)


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.fullmatch(text)
    return int(match[match.lastindex or 0]) if match else None


MODELS = range(1, MODEL_COUNT + 1)


def model_name(number: int) -> str:
    """What people call a model."""
    return f"Velro {('Image', 'Video', 'Audio')[(number - 1) % 3]} {(number - 1) // 3 + 1}"


def seeded_generation(number: int, users: int) -> Generation:
    """Generation ``number`` of those that exist from the start."""
    return Generation(number, number % users, number % MODEL_COUNT + 1, f"a landscape, take {number}", "completed", True)


def seeded_generations(users: int) -> Iterator[Generation]:
    """Every generation that exists from the start, by number."""
    return (seeded_generation(number, users) for number in range(users * GENERATIONS_PER_USER))
