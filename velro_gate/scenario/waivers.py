"""Reads velro-waivers.yaml: a list of rows, reviewed like code, each complete."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from velro_gate.bounded import read_written
from velro_gate.errors import Fault, UsageError
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.waiver import Waiver
from velro_gate.scenario.syntax.faults import Faults, explain_fault
from velro_gate.scenario.syntax.quantities import Text
from velro_gate.scenario.syntax.tree import LinedDict, LinedList, LinedValue, as_written, line_of, read_tree
from velro_gate.units import format_decimal, format_percent


def _ceiling(given: object) -> float:
    """A relative worsening, which may be more than 100 %; a bare number is a share, and then at most 1."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(%?)\s*", given) if isinstance(given, str) else None
    if match is None:
        raise ValueError("a ceiling such as '30 %' or 0.3 is expected")
    share = float(match[1]) / (100.0 if match[2] else 1.0)
    if not match[2] and share > 1.0:
        raise ValueError(
            f"{given} would be {format_percent(share)}: write '{given} %' or '{format_decimal(share * 100.0, 0)} %'"
        )
    return share


def _day(given: object) -> date:
    if not (isinstance(given, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", given)):
        raise ValueError("a day such as 2026-12-31 is expected")
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise ValueError(f"there is no day {given}") from error


class _Row(BaseModel):
    """One waiver as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    phase: str
    step: str = ALL_STEPS
    metric: str
    ceiling: Annotated[float, BeforeValidator(_ceiling)]
    expires: Annotated[date, BeforeValidator(_day)]
    issue: Text
    reason: Text


def read_waivers(path: Path) -> tuple[Waiver, ...]:
    """Every waiver of a file; none where there is no file.

    Raises:
        UsageError: it cannot be read. ScenarioError: it is not a list of rows, or rows are not waivers, all of them named.
    """
    try:
        text = read_written(path)
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("the waivers cannot be read", where=str(path), why=str(error)) from error
    faults = Faults(str(path))
    tree = read_tree(text, faults, may_be_empty=True)
    if tree is not None and not isinstance(tree, LinedList):
        faults.add(1, "the waivers are not a list of rows", "each row begins with '- {phase: ...'")
    rows = tree if isinstance(tree, LinedList) else ()
    found = [waiver for number, row in enumerate(rows, 1) if (waiver := _waiver(row, number, path, faults))]
    for fault in _repeated(found):
        faults.add_elsewhere(fault.where, fault.what, fault.suggestion, line=len(text))
    faults.raise_all()
    return tuple(found)


def _repeated(waivers: Sequence[Waiver]) -> Iterator[Fault]:
    """A fault for each row about a figure that an earlier row is about: which of two ceilings holds, nobody could say."""
    first: dict[tuple[str, str, str], str] = {}
    for waiver in waivers:
        place = first.setdefault((waiver.phase, waiver.step, waiver.metric), waiver.where)
        if place != waiver.where:
            yield Fault(waiver.where, f"{waiver.subject} is waived already in {place.rpartition(', ')[2]}", "keep one of them")


def _waiver(row: LinedValue, number: int, path: Path, faults: Faults) -> Waiver | None:
    where = f"{path}, row {number}"
    # An issue may be a bare number, and a ceiling 30 is known from 30.0 only in writing.
    as_written(row)
    line = line_of(row) if isinstance(row, LinedDict) else 1
    try:
        return Waiver(**_Row.model_validate(row).model_dump(), where=where)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            what, suggestion = explain_fault(each, list(_Row.model_fields))
            faults.add_elsewhere(where, what, suggestion, line=line)
    except ValueError as error:
        faults.add_elsewhere(where, str(error), line=line)
    return None
