"""A command parses, builds the world, calls one use case and prints: what it orchestrates lies in ``gate``."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

CLI = Path(__file__).resolve().parents[2] / "velro_gate" / "cli"

ARGUMENTS = {
    "fresh_seed": "a seed where none is given",
    "newest_run": "the folder of a run where none is named",
    "merge_request_of": "the merge request that the environment names",
    "number_of_shards": "a number from --shards",
    "push_targets": "servers from --push and --remote-write",
    "service_user": "a user from --service-user",
    "shipped_scenario": "the path of a file that came with the package",
    "under_policy": "a record under the policy of --block-inconclusive",
    "wanted_formats": "report formats from --formats",
}
"""Functions of ``gate`` that make values of arguments, before a use case or for printing its result."""

RESULTS = {
    "check_sentence": "a worker in one line",
    "stop_if_interrupted": "the exit code of an interrupted run",
    "figures_to_push": "what is pushed of a result",
    "kept_figures": "the same of a kept one",
    "push_all": "what becomes of a result, after it is printed",
}
"""Functions of ``gate`` that show or pass on the result of one."""


def use_cases(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """Each function at the top of a module, once for each way through it that a condition at its top ends by a return, with the
    functions of ``gate`` and ``adoption`` that it calls, itself or by other functions of the module.
    """
    named = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("velro_gate.gate", "velro_gate.adoption"))
        for alias in node.names
        if alias.name[0].islower() and alias.name not in ARGUMENTS | RESULTS
    }
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    called = {name: _called(node.body) for name, node in functions.items()}
    for name, node in functions.items():
        ways = [part for part in node.body if isinstance(part, ast.If) and isinstance(part.body[-1], ast.Return)]
        for way in [*(part.body for part in ways), [part for part in node.body if part not in ways]]:
            yield name, {named[each] for each in _reached(_called(way), called) if each in named}


def _called(body: Sequence[ast.stmt]) -> set[str]:
    calls = (part for statement in body for part in ast.walk(statement) if isinstance(part, ast.Call))
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)}


def _reached(begun: set[str], called: Mapping[str, set[str]]) -> set[str]:
    reached, waiting = set(begun), list(begun)
    while waiting:
        found = called.get(waiting.pop(), set()) - reached
        reached |= found
        waiting += found
    return reached


COMMANDS = sorted(path for path in (*CLI.glob("*.py"), *CLI.glob("commands/**/*.py")) if path.name != "__init__.py")


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_a_command_calls_one_use_case(path: Path) -> None:
    found = use_cases(ast.parse(path.read_text(encoding="utf-8")))
    assert [(name, called) for name, called in found if len(called) > 1] == []


def test_a_command_that_prepares_and_measures_by_itself_is_found() -> None:
    source = """
from velro_gate.gate.measure.setup import RunOptions, prepare
from velro_gate.gate.measure.run import measure_generator as measure

def calibrate(wanted: RunOptions, dry):
    if dry:
        return prepare(wanted)
    setup = prepare(wanted)
    return _measured(setup)

def _measured(setup):
    return measure(setup)
"""
    assert [called for name, called in use_cases(ast.parse(source)) if name == "calibrate"] == [
        {"prepare"},
        {"prepare", "measure_generator"},
    ]
