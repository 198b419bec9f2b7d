"""Which tests are real: those whose module, or what it imports from the tests, starts servers, processes or sockets.

So nobody has to remember the mark, and ``make unit`` never waits for anything outside of its own process. Tests that put whole
jobs under load, or install packages, are in groups: those of a group run one after another, whatever the number of workers, so
that no more of them than there are groups take the processor from each other.
"""

from __future__ import annotations

import ast
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
        "velro_gate.sandbox.process",
    }
)
"""Modules by which a test starts, or speaks to, something real."""


GROUPS = {
    "act": "act",
    "test_install": "install",
    "test_setup_venv": "install",
    "gate/duet": "gate",
    "gate/judge": "gate",
    "gate/sandboxed": "gate",
    "evaluation/sandboxed": "gate",
    "cli": "cli",
    "engine/shards": "shards",
    "engine/test_stalls": "shards",
    "engine/test_memory": "shards",
}
"""Beginning of a path below ``tests`` -> the group of its tests."""


def group_of(path: Path) -> str | None:
    """The group of a file's tests; None for those that may run beside anything."""
    below = path.relative_to(ROOT / "tests").as_posix()
    return next((group for begin, group in GROUPS.items() if below.startswith(begin)), None)


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


@cache
def _names(path: Path) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


@cache
def _file(name: str) -> Path | None:
    if not name.startswith("tests."):
        return None
    path = ROOT / f"{name.replace('.', '/')}.py"
    return path if path.is_file() else None
