"""What a benchmark prints: tables, as plain text or as markdown, and figures next to their targets."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks import machine

NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells as texts, every row as long as the heading. notes: lines under the table."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.title!r}: a row is not as long as the heading")

    def plain(self) -> str:
        """The columns lined up: the first to the left, the others to the right where they fit."""
        widths = [max(map(len, cells)) for cells in zip(self.columns, *self.rows, strict=True)]

        def line(cells: Sequence[str]) -> str:
            return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

        ruler = "  ".join("-" * width for width in widths)
        return "\n".join(["", f"== {self.title}", line(self.columns), ruler, *map(line, self.rows), *self.notes])

    def markdown(self) -> str:
        """A heading, a pipe table, the notes."""

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

        ruler = "|" + "---|" * len(self.columns)
        notes = [""] if self.notes else []
        for note in self.notes:
            notes += [note, ""]
        return "\n".join(["", f"### {self.title}", "", line(self.columns), ruler, *map(line, self.rows), *notes])


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure with its target. reached: None where it was not measured."""

    name: str
    target: str
    measured: str
    reached: bool | None

    @property
    def word(self) -> str:
        """reached, NOT reached, or not measured."""
        return NOT_MEASURED if self.reached is None else "reached" if self.reached else "NOT reached"


def at_most(name: str, value: float | None, limit: float, show: str = "{:,.3g}") -> Figure:
    """A figure that must not lie above a limit."""
    return _against(name, value, limit, show, "<=", reached=None if value is None else value <= limit)


def at_least(name: str, value: float | None, limit: float, show: str = "{:,.3g}") -> Figure:
    """A figure that must not lie below a limit."""
    return _against(name, value, limit, show, ">=", reached=None if value is None else value >= limit)


def equal(name: str, value: float | None, wanted: float, show: str = "{:,.0f}") -> Figure:
    """A count that must be met exactly."""
    return _against(name, value, wanted, show, "=", reached=None if value is None else value == wanted)


def _against(name: str, value: float | None, limit: float, show: str, sign: str, *, reached: bool | None) -> Figure:
    measured = NOT_MEASURED if value is None else show.format(value)
    return Figure(name=name, target=f"{sign} {show.format(limit)}", measured=measured, reached=reached)


def figures_table(title: str, figures: Iterable[Figure], notes: Sequence[str] = ()) -> Table:
    """Each figure next to its target."""
    return Table(
        title=title,
        columns=("figure", "target", "measured", ""),
        rows=tuple((each.name, each.target, each.measured, each.word) for each in figures),
        notes=tuple(notes),
    )


def options(doc: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    found = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--markdown", action="store_true", help="print markdown instead of plain text")
    return found


class Page:
    """Prints the machine first, then each table as soon as it is there."""

    def __init__(self, *, markdown: bool) -> None:
        self._markdown = markdown
        lines = [machine.describe(), machine.noise()]
        print("\n\n".join(lines) if markdown else "\n".join(lines), flush=True)

    def show(self, table: Table) -> None:
        """Print one table."""
        print(table.markdown() if self._markdown else table.plain(), flush=True)

    def say(self, sentence: str) -> None:
        """Print a sentence between tables."""
        print(f"\n{sentence}" if self._markdown else sentence, flush=True)
