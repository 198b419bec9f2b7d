"""What a docstring lists by name exists: an argument, a field, an attribute or a member."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documented() -> Iterator[tuple[str, Documented, str]]:
    """Every class and function of the package with its docstring, and where it is."""
    for path in sorted((ROOT / "velro_gate").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Documented) and (text := ast.get_docstring(node)):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node, text


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Names of a function's arguments."""
    given = node.args
    return {each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg) if each}


def names_of(node: Documented) -> set[str]:
    """What its docstring may speak of: arguments; of a class also fields, attributes, methods and members."""
    if not isinstance(node, ast.ClassDef):
        return parameters(node)
    names: set[str] = set()
    for part in node.body:
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            names |= {part.name, *(parameters(part) if part.name == "__init__" else ())}
    for part in ast.walk(node):
        if isinstance(part, ast.Name | ast.Attribute) and isinstance(part.ctx, ast.Store):
            name = part.id if isinstance(part, ast.Name) else part.attr
            # A member of an enum is documented in small letters.
            names |= {name, name.lower()}
    return names


def listed(node: Documented, text: str) -> Iterator[str]:
    """The names before colons: under "Args:", and of a class also in its sentences ("warm_up, seconds: of each block.")."""
    section = re.search(r"Args:\n((?:    .*\n?|\n)+)", text)
    for line in section[1].splitlines() if section else ():
        yield from re.findall(r"\w+", found[1]) if (found := re.match(r"    (\w+(?:, \w+)*): ", line)) else ()
    if isinstance(node, ast.ClassDef):
        flat = " ".join(re.split(r"Args:|Raises:", text)[0].split())
        for found in re.finditer(r"(?:^|[.:] )([a-z_]\w*(?:, [a-z_]\w*)*): ", flat):
            yield from found[1].split(", ")


@pytest.mark.slow
def test_a_docstring_lists_only_names_that_exist() -> None:
    names = [(f"{where}: {name}", name in names_of(node)) for where, node, text in documented() for name in listed(node, text)]
    assert len(names) > 100
    assert [drifted for drifted, exists in names if not exists] == []
