"""The package is cheap to import and offers exactly what it promises."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.examples import EXAMPLES
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


def test_rendering_loads_neither_pandas_nor_scipy(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.write_bytes(pickle.dumps(EXAMPLES["fail-both"]()))
    code = (
        "import pickle, sys; from velro_gate import report as r; a = pickle.load(open(sys.argv[1], 'rb'));"
        "r.markdown(*a); r.csv(*a); r.html(*a); r.verdict_json(*a); r.terminal(*a);"
        "print(*sorted({'pandas', 'scipy', 'pydantic', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, made], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
