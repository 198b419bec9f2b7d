"""Reads velro-waivers.yaml: a list of rows, reviewed like code, each complete."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from velro_gate.errors import Fault, ScenarioError, UsageError
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.waiver import Waiver


def _share(value: object) -> object:
    """A worsening may be more than 100 %, which no other share is."""
    match = re.fullmatch(r"\s*([0-9.]+)\s*%\s*", value) if isinstance(value, str) else None
    return float(match[1]) / 100.0 if match else value


class _Row(BaseModel):
    """One waiver as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    phase: str
    step: str = ALL_STEPS
    metric: str
    ceiling: Annotated[float, BeforeValidator(_share)]
    expires: date
    issue: str
    reason: str


def read_waivers(path: Path) -> tuple[Waiver, ...]:
    """Every waiver of a file; none where there is no file.

    Raises:
        UsageError: it cannot be read. ScenarioError: rows that are no waivers, all of them named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("the waivers cannot be read", where=str(path), why=str(error)) from error
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError("the waivers are not YAML", where=str(path), why=" ".join(str(error).split())) from error
    if tree is None:
        return ()
    if not isinstance(tree, list):
        raise UsageError("the waivers are not a list of rows", where=str(path), hint="Each row begins with '- {phase: ...'.")
    faults: list[Fault] = []
    found = [waiver for number, row in enumerate(tree, 1) if (waiver := _waiver(row, f"{path}, row {number}", faults))]
    faults += _repeated(found)
    if faults:
        raise ScenarioError(str(path), faults)
    return tuple(found)


def _repeated(waivers: Sequence[Waiver]) -> Iterator[Fault]:
    """A fault for each row about a figure that an earlier row is about: which of two ceilings holds, nobody could say."""
    first: dict[tuple[str, str, str], str] = {}
    for waiver in waivers:
        place = first.setdefault((waiver.phase, waiver.step, waiver.metric), waiver.where)
        if place != waiver.where:
            yield Fault(waiver.where, f"{waiver.subject} is waived already in {place.rpartition(', ')[2]}", "keep one of them")


def _waiver(row: Any, where: str, faults: list[Fault]) -> Waiver | None:
    try:
        read = _Row.model_validate(row)
        return Waiver(**read.model_dump(), where=where)
    except ValidationError as error:
        faults += [Fault(f"{where}, {'.'.join(map(str, each['loc'])) or 'row'}", each["msg"]) for each in error.errors()]
    except ValueError as error:
        faults.append(Fault(where, str(error)))
    return None
