"""``${...}`` placeholders: which names a text uses, and whether each of them will have a value when it is needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from velro_gate.model.scenario import Step
from velro_gate.scenario.syntax.faults import did_you_mean
from velro_gate.scenario.syntax.quantities import NAME_PATTERN, VARIABLE_PATTERN

PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
RESERVED = ("user", "env")
"""First words of built-in placeholders; no feeder and no capture may be called like them."""

Report = Callable[[str, str | None], None]
"""Takes what is wrong and a suggestion."""


@dataclass(slots=True, kw_only=True)
class Vocabulary:
    """The names that a text may use at one place of the journey."""

    feeders: Mapping[str, tuple[str, ...] | None]
    """Columns by feeder, None where the feeder could not be read."""
    captured: set[str] = field(default_factory=set)
    """Captures of earlier steps."""
    later: dict[str, str] = field(default_factory=dict)
    """Captures that only a later step makes, by name, with that step."""


def names_in(text: str) -> list[str]:
    """What stands between ``${`` and ``}``, in order."""
    return PLACEHOLDER.findall(text)


def check_template(text: str, known: Vocabulary, report: Report) -> None:
    """Reports every placeholder of the text that is malformed or would have no value."""
    if "${" in PLACEHOLDER.sub("", text):
        report("'${' is never closed", "write ${name}")
    for name in names_in(text):
        fault = _fault_of(name, known)
        if fault:
            report(*fault)


def _fault_of(name: str, known: Vocabulary) -> tuple[str, str | None] | None:
    first, dot, rest = name.partition(".")
    if first == "env" and dot:
        return _environment_fault(rest)
    if first == "user":
        return None if rest in ("id", "index") else (f"unknown placeholder ${{{name}}}", "known: ${user.id}, ${user.index}")
    if dot:
        return _feeder_fault(first, rest, known)
    if name in known.captured:
        return None
    if name in known.later:
        return f"${{{name}}} is used before step {known.later[name]!r} captures it", "move that step up"
    if name in known.feeders:
        columns = known.feeders[name] or ("column",)
        return f"${{{name}}} is a feeder: name a column of it", f"for example ${{{name}.{columns[0]}}}"
    hint = did_you_mean(name, [*known.captured, *known.later, "user.id", "user.index", *_columns(known)])
    return f"unknown placeholder ${{{name}}}", hint


def _environment_fault(rest: str) -> tuple[str, str | None] | None:
    if ":-" in rest:
        return (
            "a default for an environment variable is allowed under 'target' only",
            f"write ${{env.{rest.partition(':-')[0]}}}",
        )
    if not re.fullmatch(VARIABLE_PATTERN, rest):
        return f"{rest!r} is not the name of an environment variable", "letters, digits and '_'"
    return None


def _feeder_fault(feeder: str, column: str, known: Vocabulary) -> tuple[str, str | None] | None:
    if feeder not in known.feeders:
        return f"unknown placeholder ${{{feeder}.{column}}}: there is no feeder {feeder!r}", did_you_mean(feeder, known.feeders)
    columns = known.feeders[feeder]
    if columns is None or column in columns:
        return None
    return f"feeder {feeder!r} has no column {column!r}", did_you_mean(column, columns)


def _columns(known: Vocabulary) -> Iterator[str]:
    for feeder, columns in known.feeders.items():
        yield from (f"{feeder}.{column}" for column in columns or ())


def is_name(text: str) -> bool:
    """Whether the text can be the name of a step, a feeder, a column or a capture."""
    return re.fullmatch(NAME_PATTERN, text) is not None


def texts_of(step: Step) -> Iterator[tuple[str, str]]:
    """Every template of a step, with the place it stands at."""
    yield "path", step.path
    yield from ((f"header {name}", value) for name, value in step.headers)
    yield from ((f"query parameter {name}", value) for name, value in step.query)
    if step.body is not None:
        yield "body", step.body.template


def variables_of(step: Step) -> Iterator[tuple[str, str]]:
    """Every environment variable that a step needs, with the place it is needed at."""
    for place, text in texts_of(step):
        yield from ((name.removeprefix("env."), place) for name in names_in(text) if name.startswith("env."))
