"""What stands where a scenario says ``${...}``: a value, encoded for the place it stands in, as early as it is known.

Values of the environment are known when the step is compiled, those of feeders before the load begins, captured ones only when
the request is sent. A value that cannot stand in its place is refused: at once where it is known, else by not sending the
request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from urllib.parse import quote, quote_plus

from velro_gate.errors import MissingVariableError, UsageError
from velro_gate.model.scenario import Feeder


class ValueContext(Protocol):
    """What a slot may ask of a virtual user."""

    @property
    def index(self) -> int:
        """Its number among all users of the phase, from 0."""

    @property
    def identity(self) -> str:
        """Its stable id."""

    @property
    def captured(self) -> Mapping[str, str]:
        """Values captured from earlier responses, by name."""


Encode = Callable[[str], bytes | None]
"""Text -> the bytes that stand for it in one kind of place; None when it cannot stand there."""

Slot = Callable[[ValueContext], bytes | None]


def in_url(text: str) -> bytes:
    """Percent-encoded, slashes included."""
    return quote(text, safe="", errors="replace").encode("ascii")


def in_header(text: str) -> bytes | None:
    """As it is; a line break would begin another header, so it cannot stand here."""
    return None if any(letter in text for letter in "\r\n\0") else text.encode("utf-8", "replace")


def in_json(text: str) -> bytes:
    """Escaped as the inside of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "replace")


def in_form(text: str) -> bytes:
    """As a value of a form."""
    return quote_plus(text, errors="replace").encode("ascii")


def in_text(text: str) -> bytes:
    """As it is."""
    return text.encode("utf-8", "replace")


def body_encoding(content_type: str) -> Encode:
    """How values stand in a body of this type."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return in_json
    return in_form if kind == "application/x-www-form-urlencoded" else in_text


class ValueSources:
    """Where values come from. secrets: environment variables by name."""

    def __init__(self, feeders: Sequence[Feeder], secrets: Mapping[str, str]) -> None:
        self._feeders = {feeder.name: feeder for feeder in feeders}
        self._secrets = secrets

    def find(self, name: str, encode: Encode, where: str) -> Slot | bytes:
        """The slot for a placeholder's name, or its bytes where they are the same for every user.

        Raises:
            UsageError: nothing provides the name, or a known value cannot stand in its place. MissingVariableError.
        """
        first, dot, rest = name.partition(".")
        if name == "user.index":
            return lambda person: encode(str(person.index))
        if name == "user.id":
            return lambda person: encode(person.identity)
        if first == "env" and dot:
            return _known(encode, self.secret(rest, where), f"${{{name}}}", where)
        if not dot:
            return lambda person: None if (text := person.captured.get(name)) is None else encode(text)
        feeder = self._feeders.get(first)
        if feeder is None or rest not in feeder.columns:
            raise UsageError(f"nothing provides ${{{name}}}", where=where)
        return _fed(feeder, rest, encode, where)

    def secret(self, variable: str, where: str) -> str:
        """The value of an environment variable.

        Raises:
            MissingVariableError: it is not set.
        """
        try:
            return self._secrets[variable]
        except KeyError:
            raise MissingVariableError(f"the environment variable {variable} is not set", where=where) from None


def _fed(feeder: Feeder, column: str, encode: Encode, where: str) -> Slot:
    place = feeder.columns.index(column)
    # Encoded once a row and not once a request; equal cells share their bytes.
    kept: dict[str, bytes] = {}
    for row in feeder.rows:
        if row[place] not in kept:
            kept[row[place]] = _known(encode, row[place], f"${{{feeder.name}.{column}}}", where)
    cells = [kept[row[place]] for row in feeder.rows]
    count = len(cells)
    return lambda person: cells[person.index % count]


def _known(encode: Encode, text: str, name: str, where: str) -> bytes:
    encoded = encode(text)
    if encoded is None:
        # The value is not shown: it may be a secret.
        raise UsageError(f"the value of {name} holds a line break and cannot stand in a header", where=where)
    return encoded
