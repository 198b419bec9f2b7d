"""The package is cheap to import and offers exactly what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from velro_gate import report


def test_importing_the_package_loads_no_renderer() -> None:
    code = "import sys, velro_gate.report; print(*sorted({'jinja2', 'rich', 'numpy', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", report.__all__)
def test_every_promised_name_is_there(name: str) -> None:
    assert getattr(report, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'powerpoint'"):
        _ = report.powerpoint


def test_no_module_hides_a_promised_name() -> None:
    """A submodule is set as an attribute of its package once imported, and would then stand in for a function of that name."""
    modules = {path.stem for path in Path(report.__file__).parent.glob("*.py")}
    assert not modules & set(report.__all__)


def test_rendering_loads_neither_pandas_nor_scipy() -> None:
    code = (
        "import sys; from tests.report.examples import passing; from velro_gate import report; r = report;"
        "a = passing(); r.markdown(*a); r.csv(*a); r.html(*a); r.verdict_json(*a); r.terminal(*a);"
        "print(*sorted({'pandas', 'scipy', 'pydantic', 'httpx'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == ""
