"""FeederSpec -> Feeder: rows from a CSV or JSON file next to the scenario, or generated from the scenario's seed."""

from __future__ import annotations

import csv
import errno
import io
import json
import random
import re
import string
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from velro_gate.bounded import read_written
from velro_gate.model.scenario import Feeder
from velro_gate.scenario.syntax.faults import Faults, did_you_mean
from velro_gate.scenario.syntax.quantities import scalar_text
from velro_gate.scenario.syntax.shape import ColumnSpec, FeederSpec
from velro_gate.scenario.syntax.templates import RESERVED, is_name
from velro_gate.units import format_count

MOST_BYTES = 64_000_000
"""Of a feeder file, or of what a generated one would hold: every shard keeps all rows in memory."""
MOST_COLUMNS = 1_000
"""Of a feeder: a file with more has most likely another separator."""
MOST_FAULTS = 5
"""Number of bad rows of one file that are reported; the rest are counted."""

_ITEM = re.compile(r"[\s,]*")

_Table = tuple[tuple[str, ...], list[tuple[str, ...]]]


def feeder_from(spec: FeederSpec, *, name: str, folder: Path, seed: int, faults: Faults, line: int) -> Feeder | None:
    """The feeder with all its rows as texts; None, with at least one fault, when it cannot be.

    folder: what relative file names start from. line: where the feeder stands in the scenario.
    """
    if name in RESERVED:
        faults.add(line, f"no feeder may be called {name!r}", f"${{{name}...}} is built in")
        return None
    if not spec.file and (size := _size(spec)) > MOST_BYTES:
        faults.add(
            line,
            f"feeder {name!r} would hold some {format_count(size)} bytes, more than {format_count(MOST_BYTES)}",
            "fewer rows or shorter texts do",
        )
        return None
    table = _read(spec, folder, faults) if spec.file else _generate(name, spec, seed)
    if table is None:
        return None
    columns, rows = table
    if not rows:
        faults.add(spec.line("file"), f"feeder {name!r}: {spec.file} has no rows")
        return None
    return Feeder(name=name, columns=columns, rows=tuple(rows), unique=spec.unique)


def _size(spec: FeederSpec) -> int:
    """About how many bytes the generated texts have."""
    return spec.rows * sum(_width(column) for column in spec.columns.values())


def _width(column: ColumnSpec) -> int:
    widths = {
        "integer": max(map(_digits, column.integer)),
        "choice": max(map(len, column.choice), default=0),
        "text": column.text,
        "sequence": len(column.sequence) + 7,
    }
    return next((width for kind, width in widths.items() if kind in column.model_fields_set), 36)


def _digits(number: int) -> int:
    # Not by str(): Python refuses numbers of thousands of digits.
    return number.bit_length() // 3 + 2


def _generate(name: str, spec: FeederSpec, seed: int) -> _Table:
    columns = [_values(column, random.Random(f"{seed}/{name}/{title}"), spec.rows) for title, column in spec.columns.items()]
    return tuple(spec.columns), list(zip(*columns, strict=True))


def _values(spec: ColumnSpec, source: random.Random, rows: int) -> list[str]:
    """One column; every column has a source of its own, so that adding one leaves the others as they are."""
    made: Callable[[int], str]
    given = spec.model_fields_set
    if "uuid" in given:
        made = lambda _: str(uuid.UUID(int=source.getrandbits(128), version=4))  # noqa: E731
    elif "integer" in given:
        low, high = spec.integer
        made = lambda _: str(source.randint(low, high))  # noqa: E731
    elif "choice" in given:
        made = lambda _: source.choice(spec.choice)  # noqa: E731
    elif "text" in given:
        made = lambda _: "".join(source.choices(string.ascii_lowercase, k=spec.text))  # noqa: E731
    else:
        made = lambda row: f"{spec.sequence}{row + 1}"  # noqa: E731
    return [made(row) for row in range(rows)]


def _read(spec: FeederSpec, folder: Path, faults: Faults) -> _Table | None:
    path, line = folder / spec.file, spec.line("file")
    reader = {".csv": _csv_table, ".json": _json_table}.get(path.suffix.lower())
    if reader is None:
        faults.add(line, f"the feeder file {spec.file!r} is neither .csv nor .json")
        return None
    try:
        text = read_written(path, MOST_BYTES)
    except FileNotFoundError:
        faults.add(line, f"there is no feeder file {path}", _near(path))
    except UnicodeDecodeError:
        faults.add(line, f"the feeder file {path} is not UTF-8 text")
    except OSError as error:
        if error.errno == errno.EFBIG:
            faults.add(line, f"the feeder file {spec.file!r} is larger than {MOST_BYTES // 10**6} MB")
        else:
            faults.add(line, f"the feeder file {path} cannot be read: {error.strerror}")
    else:
        return reader(text, path, faults, line)
    return None


def _near(path: Path) -> str | None:
    siblings = (
        [found.name for found in path.parent.glob("*") if found.suffix in (".csv", ".json")] if path.parent.is_dir() else []
    )
    return did_you_mean(path.name, siblings) or "file names are relative to the scenario's folder"


class _RowFaults:
    """The bad rows of one file: the first few reported, the rest counted."""

    def __init__(self, path: Path, faults: Faults, line: int) -> None:
        self._path, self._faults, self._line = path, faults, line
        self.count = 0

    def add(self, row: int, what: str, suggestion: str | None = None) -> None:
        """Report a row, or only count it beyond the bound: a wrong separator makes every row a fault."""
        self.count += 1
        if self.count <= MOST_FAULTS:
            self._faults.add_elsewhere(f"{self._path}:{row}", what, suggestion, line=self._line)

    def report_rest(self) -> None:
        """Report how many faults were only counted."""
        if self.count > MOST_FAULTS:
            more = self.count - MOST_FAULTS
            self._faults.add_elsewhere(str(self._path), f"{more} more bad rows", line=self._line)


def _csv_table(text: str, path: Path, faults: Faults, line: int) -> _Table | None:
    found = _RowFaults(path, faults, line)
    # Not splitlines: it knows more ends of a line than CSV does, and a cell may hold them.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[str, ...]] = []
    columns: tuple[str, ...] = ()
    try:
        for cells in reader:
            if not cells:
                continue
            if not columns:
                # "id, name" is how people write a header; a template that asks for "name" must find it.
                columns = tuple(cell.strip() for cell in cells)
                _check_columns(columns, found, reader.line_num)
            elif len(cells) != len(columns):
                found.add(
                    reader.line_num,
                    f"{len(cells)} cells where the header has {len(columns)}",
                    "quote a cell that holds a comma",
                )
            else:
                rows.append(tuple(cells))
    except csv.Error as error:
        found.add(reader.line_num, f"not valid CSV: {error}")
    found.report_rest()
    return None if found.count else (columns, rows)


def _json_table(text: str, path: Path, faults: Faults, line: int) -> _Table | None:
    found = _RowFaults(path, faults, line)
    try:
        # Numbers go out as they are written, as in a CSV file.
        data = json.loads(text, parse_float=str, parse_int=str, parse_constant=_no_number)
    except RecursionError:
        found.add(1, "not valid JSON: nested too deeply")
        return None
    except ValueError as error:
        found.add(getattr(error, "lineno", 1), f"not valid JSON: {getattr(error, 'msg', error)}")
        return None
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        found.add(1, "a list of mappings is expected", 'for example [{"id": "1"}, {"id": "2"}]')
        return None
    columns = tuple(data[0]) if data else ()
    _check_columns(columns, found, 1)
    rows = [_json_row(row, columns, line, found) for row, line in zip(data, _lines_of_items(text), strict=True)]
    found.report_rest()
    return None if found.count else (columns, rows)


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def _lines_of_items(text: str) -> Iterator[int]:
    """The line of each item of a JSON list, which the text is known to be: JSON itself forgets them."""
    decoder = json.JSONDecoder(parse_float=str, parse_int=str)
    position, line, counted = text.index("[") + 1, 1, 0
    while match := _ITEM.match(text, position):
        line += text.count("\n", counted, match.end())
        counted = match.end()
        if text[counted] == "]":
            return
        yield line
        position = decoder.raw_decode(text, counted)[1]


def _json_row(row: dict[str, object], columns: tuple[str, ...], line: int, found: _RowFaults) -> tuple[str, ...]:
    if set(row) != set(columns):
        found.add(line, f"this row has the keys {sorted(row)}, the first one {sorted(columns)}")
        return ()
    cells = [scalar_text(row[column]) for column in columns]
    if not all(isinstance(cell, str) for cell in cells):
        found.add(line, "this row contains a list, a mapping or null; cells are strings, numbers or booleans")
    elif any("\ud800" <= letter <= "\udfff" for cell in cells for letter in str(cell)):
        found.add(line, "this row contains half a character, which cannot be sent")
    return tuple(str(cell) for cell in cells)


def _check_columns(columns: tuple[str, ...], found: _RowFaults, row: int) -> None:
    if len(columns) > MOST_COLUMNS:
        found.add(
            row, f"{format_count(len(columns))} columns, more than {format_count(MOST_COLUMNS)}", "name those that a step uses"
        )
        return
    for column in columns:
        if not is_name(column):
            found.add(row, f"{column!r} is not a column name", "a letter first, then letters, digits, '_' or '-'")
        elif columns.count(column) > 1:
            found.add(row, f"the column {column!r} is given twice")
