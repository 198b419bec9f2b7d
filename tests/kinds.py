"""Which tests are real: those whose module, or what it imports from the tests, starts servers, processes or sockets.

So nobody has to remember the mark, and ``make unit`` never waits for anything outside of its own process. What imports do not
show is seen while the test runs: one that starts something without the mark fails, and says so.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

STARTS = frozenset(
    {
        "http.server",
        "socket",
        "subprocess",
        "velro_gate.engine.responder.process",
        "velro_gate.engine.shards.run",
        "velro_gate.engine.steps.document_reader",
        "velro_gate.sandbox.process",
    }
)
"""Modules by which a test starts, or speaks to, something real."""


LONGEST_FIRST = (
    "act",
    "test_install",
    "cli/action",
    "gate/judge/test_confirm",
    "gate/duet",
    "gate",
    "cli",
    "readers",
    "report",
)
"""Beginnings of paths below ``tests`` whose files take longest: begun first, so that none of them is waited for at the end."""


@cache
def rank_of(path: Path) -> int:
    """The place of a file's tests in the order of the run."""
    below = path.relative_to(ROOT / "tests").as_posix()
    return next((rank for rank, begin in enumerate(LONGEST_FIRST) if below.startswith(begin)), len(LONGEST_FIRST))


TURNS = ("tests/act/test_duet.py", "tests/act/", "tests/report/")
"""What one process runs, the first that fits a file: two jobs at a time under act, a duet and another, since more would disturb
each other; and reports share examples that take seconds.
"""


def turn_of(file: str) -> str:
    """What one process runs from end to end: the tests of a file, or all of a folder."""
    return next((folder for folder in TURNS if file.startswith(folder)), file)


STARTING = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "socket.bind", "socket.connect", "subprocess.Popen"}
)
"""What the interpreter announces before something real is started or spoken to."""

started: list[str] = []
"""What the test that runs now has started, in order."""


def watch_starts() -> None:
    """From now on ``started`` is kept."""

    def note(event: str, _: object) -> None:
        if event in STARTING:
            started.append(event)

    sys.addaudithook(note)


def unmarked(events: Iterable[str], marks: Iterable[str]) -> str | None:
    """What is wrong with a test of these marks that has started this; None: nothing, or ``make unit`` leaves it out anyway."""
    found = sorted(set(events))
    if not found or {"act", "real", "slow"} & set(marks):
        return None
    return f"it starts something real ({', '.join(found)}): mark its module with pytest.mark.real, or leave it out"


def left_out(path: Path, expression: str) -> bool:
    """Whether no test of a file is meant by an expression of marks such as "not real and not slow": it need not be imported."""
    return f"not {kind_of(path)}" in expression.split(" and ")


@cache
def kind_of(path: Path) -> str | None:
    """The mark of all tests of a file: ``act``, ``real``, or none."""
    if "act" in path.relative_to(ROOT / "tests").parts:
        return "act"
    return "real" if _imported(path) & STARTS else None


@cache
def _imported(path: Path) -> frozenset[str]:
    """All that a file of the tests imports, and what the files of the tests that it imports do."""
    found, waiting, seen = set(), [path], {path}
    while waiting:
        for name in _names(waiting.pop()):
            found.add(name)
            file = _file(name)
            if file is not None and file not in seen:
                seen.add(file)
                waiting.append(file)
    return frozenset(found)


_IMPORT = re.compile(
    r"^[ \t]*(?:import[ \t]+([\w., \t]+)|from[ \t]+([\w.]+)[ \t]+import[ \t]*(?:\(([^()]*)\)|([\w., \t]+)))", re.MULTILINE
)
"""Read as text: syntax trees of all files of the tests would take each process that runs them seconds."""


@cache
def _names(path: Path) -> frozenset[str]:
    names: set[str] = set()
    for found in _IMPORT.finditer(path.read_text(encoding="utf-8")):
        whole, module, *members = found.groups(default="")
        listed = re.sub(r"#.*", "", whole or "".join(members)).split(",")
        first = {words[0] for part in listed if (words := part.split())}
        names |= {f"{module}.{name}" for name in first} | {module} if module else first
    return frozenset(names)


@cache
def _file(name: str) -> Path | None:
    if not name.startswith("tests."):
        return None
    path = ROOT / f"{name.replace('.', '/')}.py"
    return path if path.is_file() else None
