"""Field types of a scenario file: human units in, base units out, and their description for editors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic import WithJsonSchema as Shown
from pydantic_core import CoreSchema, core_schema

from velro_gate import units
from velro_gate.scenario.syntax.faults import kind_of


@dataclass(frozen=True)
class Short:
    """Lets a value be written in a shorter form, which ``expand`` turns into the long one (and leaves the long one alone)."""

    expand: Callable[[Any], object]
    schema: tuple[tuple[str, object], ...]
    """The JSON Schema of the shorter form."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.expand, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [dict(self.schema), handler(schema)]}


def _quantity(parse: Callable[[Any], float | int], *, example: str, positive: bool = False) -> Callable[[object], float | int]:
    def read(given: object) -> float | int:
        """A value as YAML gives it; a boolean is an int in Python and no quantity here."""
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            raise ValueError(f"a quantity such as {example!r} is expected, not {kind_of(given)}")
        value = parse(given)
        if positive and value <= 0:
            raise ValueError(f"{given!r} must be more than 0, for example {example!r}")
        return value

    return read


def _span(given: Any) -> float:
    seconds = units.parse_seconds(given)
    if 0.0 < seconds < _SHORTEST:
        raise ValueError(f"{given!r} is shorter than a microsecond")
    return seconds


_SHORTEST = 1e-6
"""Seconds; a shorter span has most likely the wrong unit."""


def _without_per_second(given: Any) -> Any:
    return given.strip().removesuffix("/s") if isinstance(given, str) else given


def _limit(parse: Callable[[Any], float], signs: tuple[str, ...]) -> Callable[[Any], float]:
    """A limit that may be written with its sign, of which only one direction makes sense."""

    def read(given: Any) -> float:
        """A limit with or without its sign, which must point to the right side."""
        match = re.fullmatch(r"\s*(<=|>=|<|>)\s*(.*)", given) if isinstance(given, str) else None
        if match is None:
            return parse(given)
        if match[1] not in signs:
            raise ValueError(f"{given!r}: the limit is on the wrong side, write {signs[-1]!r}")
        return parse(match[2])

    return read


def count_from(given: str | int | float) -> int:
    """A whole number from ``10,000``, ``10_000`` or a bare number.

    Raises:
        ValueError: when it is not whole or is negative.
    """
    cleaned = str(given).strip()
    # Separators every three digits only: "1,5" is a decimal comma somewhere, and 15 would be a guess.
    if not re.fullmatch(r"\d{1,15}|\d{1,3}([,_]\d{3}){1,4}", cleaned):
        raise ValueError(f"{given!r} is not a whole number such as 500 or '10,000'")
    return int(cleaned.replace(",", "").replace("_", ""))


def factor_from(given: str | int | float) -> float:
    """A factor above 0 from ``0.02``, ``2 %`` or ``150 %``.

    Raises:
        ValueError: when it is not a number, or not above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\d*\.\d+)(?:e-?\d+)?\s*(%?)", str(given).strip())
    if match is None:
        raise ValueError(f"{given!r} is not a factor such as 0.02 or '2 %'")
    value = float(str(given).strip().rstrip("% ")) / (100.0 if match[2] else 1.0)
    if not 0.0 < value <= 1000.0:
        raise ValueError(f"{given!r} is not a factor above 0")
    return value


def scalar_text(given: object) -> object:
    """A number or flag as the text that goes over the wire; anything else as it is."""
    if isinstance(given, bool):
        return "true" if given else "false"
    return str(given) if isinstance(given, int | float) else given


def method_name(given: str) -> str:
    """An HTTP method that the engine can send, as it is written.

    Raises:
        ValueError: for any other word.
    """
    if given not in METHODS:
        meant = f"did you mean {given.upper()}?" if given.upper() in METHODS else f"known: {', '.join(METHODS)}"
        raise ValueError(f"unknown method {given!r}; {meant}")
    return given


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"


def _shown(description: str, *examples: object) -> Shown:
    return Shown({"type": ["string", "number"], "description": description, "examples": list(examples)})


Seconds = Annotated[
    float,
    BeforeValidator(_quantity(_span, example="10 s", positive=True)),
    _shown("A stretch of time with its unit (us, ms, s, min, h); a bare number is seconds.", "30 s", "7.5 min", "1 h 30 min"),
]
Ramp = Annotated[
    float,
    BeforeValidator(_quantity(_span, example="10 s")),
    _shown("A stretch of time with its unit; 0 for none.", "15 s", "1 min", 0),
]
Rate = Annotated[
    float,
    BeforeValidator(_quantity(units.parse_rate, example="100/s", positive=True)),
    _shown("A rate; a bare number is per second.", "110/s", "1,100/s", "60/min"),
]
Bytes = Annotated[
    int,
    BeforeValidator(_quantity(units.parse_bytes, example="512 KiB")),
    _shown("An amount of bytes with its unit.", "512 KiB", "200 MiB"),
]
Bandwidth = Annotated[
    int,
    BeforeValidator(_quantity(lambda given: units.parse_bytes(_without_per_second(given)), example="1 MiB/s", positive=True)),
    _shown("Bytes per second.", "1 MiB/s", "64 kB/s"),
]
Probability = Annotated[
    float,
    BeforeValidator(_quantity(units.parse_share, example="95 %", positive=True)),
    _shown("A share above 0 and up to 1, or percent.", 0.95, "95 %"),
]
Count = Annotated[
    int,
    BeforeValidator(_quantity(count_from, example="10,000", positive=True)),
    _shown("A whole number of at least 1; a comma between thousands is welcome.", 500, "10,000"),
]
Factor = Annotated[
    float,
    BeforeValidator(_quantity(factor_from, example="2 %")),
    _shown("A factor above 0, or percent.", 0.02, "2 %"),
]
Cores = Annotated[
    float,
    BeforeValidator(_quantity(factor_from, example="50 %")),
    _shown("Cores, or percent of one.", 0.5, "50 %", 2),
]
AtMostShare = Annotated[
    float,
    BeforeValidator(_quantity(_limit(units.parse_share, ("<", "<=")), example="< 5 %")),
    _shown("An upper limit.", "< 5 %", "5 %"),
]
AtMostSeconds = Annotated[
    float,
    BeforeValidator(_quantity(_limit(_span, ("<", "<=")), example="< 500 ms", positive=True)),
    _shown("An upper limit.", "< 500 ms", "10 s"),
]
AtMostTimes = Annotated[
    float,
    BeforeValidator(_quantity(_limit(factor_from, ("<", "<=")), example="<= 3")),
    _shown("An upper limit, as a multiple.", "<= 3", 2.5),
]
AtMostWrites = Annotated[
    int,
    BeforeValidator(_quantity(_limit(count_from, ("<=",)), example="0")),
    _shown("An upper limit, as a number.", 0, "<= 3"),
]
AtLeast = Annotated[
    float,
    BeforeValidator(_quantity(_limit(units.parse_share, (">", ">=")), example=">= 99 %", positive=True)),
    _shown("A lower limit.", ">= 99 %", "95 %"),
]
Text = Annotated[
    str,
    BeforeValidator(scalar_text),
    Shown({"type": ["string", "number", "boolean"]}),
]
Method = Annotated[str, AfterValidator(method_name), Shown({"type": "string", "enum": list(METHODS)})]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Variable = Annotated[str, StringConstraints(pattern=VARIABLE_PATTERN)]


_PROCESS = re.compile(r"port:(?P<port>[1-9][0-9]{0,4})|pid:[1-9][0-9]{0,9}|command:\S.*")


def names_process(text: str) -> bool:
    """Whether a text is ``port:8400``, ``pid:4711`` or ``command:gunicorn``, with numbers that there are."""
    found = _PROCESS.fullmatch(text)
    return found is not None and (found["port"] is None or int(found["port"]) < 65_536)
