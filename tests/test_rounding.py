"""Figures are rounded and formatted in one place, ``units``: the rest of the package asks it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "velro_gate"
UNITS = PACKAGE / "units.py"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != UNITS)

ROUNDS = re.compile(r"[,_]|[eEfFgG%]$")
"""A format that rounds a number or groups its digits; widths, hexadecimal digits and leading zeros do neither."""
ROUNDING = {("", "round"), ("math", "floor"), ("math", "ceil"), ("np", "round")}
DATE = re.compile(r"%[YmdHMSf]")


def in_text(tree: ast.Module) -> Iterator[str]:
    """Where a text formats or rounds numbers: formats of f-strings, ``format``, ``%``, and ``round`` inside a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FormattedValue):
            wanted = "" if node.format_spec is None else ast.unparse(node.format_spec)[2:-1]
            if ROUNDS.search(re.sub(r"\{.*?\}", "", wanted)) and not DATE.search(wanted):
                yield f"line {node.lineno}: {{...:{wanted}}}"
            yield from rounding(node.value)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and _is_text(node.left):
            yield f"line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Call) and _called(node)[1].startswith("format_"):
            yield from (found for argument in node.args for found in rounding(argument))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "format":
            yield f"line {node.lineno}: {ast.unparse(node)}"


def rounding(tree: ast.AST) -> Iterator[str]:
    """Calls that round."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in ROUNDING:
            yield f"line {node.lineno}: {ast.unparse(node)}"


def _called(call: ast.Call) -> tuple[str, str]:
    """(of which module, if any, name) of a function that is called."""
    match call.func:
        case ast.Name(id=name):
            return "", name
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            return module, name
        case ast.Attribute(attr=name):
            return "?", name
    return "?", ""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def found_by(rule: Callable[[ast.Module], Iterable[str]], *places: str) -> dict[str, list[str]]:
    """What breaks a rule, by module. One test for all of them: a test for each takes twenty times as long."""
    found = {each: list(rule(tree)) for each, tree in _trees(places or ("",))}
    return {each: lines for each, lines in found.items() if lines}


def _trees(places: tuple[str, ...]) -> Iterator[tuple[str, ast.Module]]:
    for path in MODULES:
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith(places):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def imports_of_units(tree: ast.Module) -> Iterator[str]:
    """Imports of the module that formats."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) and "units" in ast.unparse(node):
            yield ast.unparse(node)


@pytest.mark.slow
def test_all_modules_are_looked_at() -> None:
    assert len(list(_trees(("report/",)))) > 50
    assert len(list(_trees(("analysis/",)))) > 50


@pytest.mark.slow
def test_no_module_formats_a_number_itself() -> None:
    assert found_by(in_text) == {}


def test_no_module_of_report_rounds() -> None:
    assert found_by(rounding, "report/") == {}


def test_no_module_of_analysis_formats_a_figure() -> None:
    assert found_by(imports_of_units, "analysis/") == {}


@pytest.mark.parametrize("path", sorted((PACKAGE / "report").rglob("*.j2")), ids=lambda path: path.name)
def test_no_template_rounds(path: Path) -> None:
    assert re.findall(r"\|\s*(?:round|format|int|float)\b", path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        'f"{x:.1f} ms"',
        'f"{x:,}"',
        'f"{x:.{digits}g}"',
        'f"{x:+.0%}"',
        '"%.1f ms" % x',
        'format(x, ".1f")',
        'f"about {round(x)} s"',
        "units.format_duration(round(x))",
        "format_count(math.ceil(x))",
    ],
)
def test_each_way_to_format_a_number_is_found(line: str) -> None:
    assert list(in_text(ast.parse(line)))


@pytest.mark.parametrize("line", ['f"{x:03}"', 'f"{x:04x}"', 'f"{name:<12}"', 'f"{day:%Y-%m-%d}"', "round(x)", 'f"{x}"'])
def test_what_rounds_nothing_for_people_is_not_found(line: str) -> None:
    assert list(in_text(ast.parse(line))) == []
