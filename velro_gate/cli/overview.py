"""The overall help. It is printed without Typer and Rich, which take three times as long to import as all of this takes to run.

Typer knows the same commands and options; a test compares them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType

PURPOSE = "The performance gate for pull requests that teams keep switched on."
EPILOG = (
    "Exit codes: 0 pass or warn, 1 failed, 2 usage, 3 inconclusive, 4 broken, 5 publishing failed, 70 internal error, 130 "
    "interrupted."
)

OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "--version": "Print the version.",
        "--install-completion": "Install completion for the current shell.",
        "--show-completion": "Show completion for the current shell, to copy it.",
        "--help, -h": "Show this message and exit.",
    }
)
COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "init": "Write scenario and workflows into a repository.",
        "check": "Validate the scenario, print the plan; sends nothing.",
        "run": "Run the load and keep the record; judge nothing.",
        "gate": "Run the load, judge it, and say pass or fail.",
        "confirm": "Measure the suspicious phases of a kept run again.",
        "duet": "Measure two builds side by side, and compare them.",
        "capacity": "Search for the most load that meets requirements.",
        "judge": "Judge a kept run again, offline.",
        "report": "Print reports of a kept run, or write several.",
        "trend": "Show main's figures over its stored runs.",
        "baseline": "Accepted runs that later ones are compared with.",
        "action": "Do one job of GitHub Actions, depending on its event.",
        "publish": "Publish the verdict of a kept run on GitHub (again).",
        "demo": "Show the gate at work on the embedded service.",
        "doctor": "Find mistakes in workflows and on this machine.",
        "selftest": "Measure the smallest change this runner can detect.",
        "calibrate-generator": "Measure the generator alone at the plan's peak.",
        "evaluate": "Show how often the decision is wrong, and right.",
        "sandbox": "Serve the embedded stand-in for the Velro backend.",
        "schema": "Print the JSON Schema of scenarios or of reports.",
    }
)
"""Each command's summary, in the order of the help; one line each in a terminal of 80 columns."""

_NARROWEST, _WIDEST = 40, 100
_PLAIN = str.maketrans("╭╮╰╯─│", "++++-|")
_BOLD, _DIM, _NAME, _END = "\033[1m", "\033[2m", "\033[1;36m", "\033[0m"


def overview() -> str:
    """The overall help for standard output: as wide as its terminal, coloured on a terminal, 80 columns elsewhere."""
    text = overview_text(_columns(), colour=_coloured())
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text if encoding.lower().startswith("utf") else text.translate(_PLAIN)


def overview_text(columns: int, *, colour: bool = False) -> str:
    """The overall help in lines of this many columns."""
    usage = "Usage: velro-gate [OPTIONS] COMMAND [ARGS]..."
    blocks = (
        f"{_BOLD}{_indented(usage, columns)}{_END}" if colour else _indented(usage, columns),
        _indented(PURPOSE, columns),
        "\n".join((*_panel("Options", OPTIONS, columns, colour), *_panel("Commands", COMMANDS, columns, colour))),
        _indented(EPILOG, columns),
        _indented("velro-gate COMMAND --help shows all options of a command, with an example.", columns),
    )
    return "\n" + "\n\n".join(blocks) + "\n"


def _panel(title: str, rows: Mapping[str, str], columns: int, colour: bool) -> Iterable[str]:
    """A box with a title, of names and what each does."""
    dim, name, end = (_DIM, _NAME, _END) if colour else ("", "", "")
    left = max(map(len, (*OPTIONS, *COMMANDS))) + 2
    right = columns - left - 4
    yield f"{dim}╭─ {title} {'─' * (columns - len(title) - 5)}╮{end}"
    for key, summary in rows.items():
        for number, line in enumerate(_folded(summary, right)):
            yield f"{dim}│{end} {name}{(key if number == 0 else ''):<{left}}{end}{line:<{right}} {dim}│{end}"
    yield f"{dim}╰{'─' * (columns - 2)}╯{end}"


def _indented(text: str, columns: int) -> str:
    return "\n".join(f" {line}" for line in _folded(text, columns - 2))


def _folded(text: str, columns: int) -> Iterable[str]:
    """Lines of at most this many columns, unless one word is longer. textwrap would have to be imported."""
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > columns:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line


def _columns() -> int:
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        columns = int(wanted)
    else:
        try:
            columns = os.get_terminal_size(sys.stdout.fileno()).columns
        except (AttributeError, OSError, ValueError):
            # No terminal, or a closed output.
            columns = 80
    return min(max(columns, _NARROWEST), _WIDEST)


def _coloured() -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (sys.stdout is not None and sys.stdout.isatty())
