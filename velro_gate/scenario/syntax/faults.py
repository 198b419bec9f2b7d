"""Collects every fault of a scenario file, in the words of the person who wrote it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from velro_gate.errors import Fault, ScenarioError


class Faults:
    """The faults of one file, each at its line; the same fault is kept once."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._found: dict[Fault, int] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, line: int, what: str, suggestion: str | None = None) -> None:
        """A fault of the scenario file itself; lines count from 1."""
        self._found.setdefault(Fault(f"{self.path}:{line}", what, suggestion), line)

    def at(self, line: int) -> Callable[[str, str | None], None]:
        """Takes what is wrong at this line, and a suggestion."""

        def report(what: str, suggestion: str | None) -> None:
            """Add a fault at this line."""
            self.add(line, what, suggestion)

        return report

    def add_elsewhere(self, where: str, what: str, suggestion: str | None = None, *, line: int) -> None:
        """A fault of a file that the scenario names on ``line``."""
        self._found.setdefault(Fault(where, what, suggestion), line)

    def all(self) -> Sequence[Fault]:
        """All of them, by line."""
        return sorted(self._found, key=self._found.__getitem__)

    def raise_all(self) -> None:
        """Raises ScenarioError with all faults, by line, when there is any."""
        if self._found:
            raise ScenarioError(self.path, list(self.all()))


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """What was likely meant: the closest known word, else all of them when they are few; None when neither helps."""
    candidates = sorted(set(known))
    # Words are compared without case, because a capital letter is the commonest slip.
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"did you mean {by_lower[close[0]]!r}?"
    if not candidates or len(candidates) > 13:
        return None
    return f"known: {', '.join(candidates)}"


_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}

_BOUNDS = {
    "greater_than_equal": "must be at least {}",
    "less_than_equal": "must be at most {}",
    "less_than": "must be less than {}",
}


def explain_fault(error: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, str | None]:
    """One pydantic error as (what, suggestion). keys: those that are known where the error is."""
    kind, place, given = str(error["type"]), error["loc"], error["input"]
    key = str(place[-1]) if place else "the file"
    context = error.get("ctx", {})
    if kind == "extra_forbidden" and len(key) == 3 and key.isdecimal():
        # {users: 2,000}: inside braces YAML takes the comma for the next key.
        return f"unknown key {key!r}", "inside braces quote a number that holds a comma, or write it without"
    if kind == "extra_forbidden":
        known = f"known: {', '.join(sorted(keys))}" if keys else None
        return f"unknown key {key!r}", did_you_mean(key, keys) or known
    if kind == "missing":
        return f"the key {key!r} is missing", None
    if kind in _EXPECTED and key == "equals":
        # The one place where several kinds will do; each would be a fault of its own.
        return f"{_shown(place)}: a text, a number or true or false is expected, not {kind_of(given)}", None
    if kind in _EXPECTED:
        return f"{_shown(place)}: {_EXPECTED[kind]} is expected, not {kind_of(given)}", None
    if kind == "value_error":
        return f"{_shown(place)}: {context['error']}", None
    if kind in ("too_short", "string_too_short") and context["min_length"] == 1:
        return f"{_shown(place)} must not be empty", None
    if kind in ("too_short", "too_long"):
        bound = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        return f"{_shown(place)} must have {bound} items", None
    if kind in _BOUNDS:
        return f"{_shown(place)}: {_BOUNDS[kind].format(*context.values())}, not {given!r}", None
    if kind == "literal_error":
        wanted = str(context["expected"])
        words = [word.strip("' ") for word in wanted.replace(" or ", ",").split(",")]
        return f"{_shown(place)}: {given!r} is not one of {wanted}", did_you_mean(str(given), words)
    if kind == "string_pattern_mismatch":
        return f"{_shown(place)}: {given!r} is not a name", "a letter first, then letters, digits, '_' or '-'"
    message = str(error["msg"])
    return f"{_shown(place)}: {message[0].lower()}{message[1:]}", None


def kind_of(value: object) -> str:
    """What a value is, in words that do not show it: it may be a secret."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return type(value).__name__


def _shown(place: Sequence[object]) -> str:
    """The last words of a place."""
    words = [str(part) for part in place if isinstance(part, str) and not part.startswith("function-")]
    return ".".join(words[-2:]) if words else "the file"
