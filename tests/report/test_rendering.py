"""What reports are rendered with."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

from tests.report.examples import EXAMPLES


def test_rendering_loads_neither_pandas_nor_scipy(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.write_bytes(pickle.dumps(EXAMPLES["fail-both"]()))
    code = (
        "import pickle, sys; from velro_gate.report.formats.registry import FORMATS; a = pickle.load(open(sys.argv[1], 'rb'));"
        "[each.render(*a) for each in FORMATS.values()];"
        "print(*sorted({'pandas', 'scipy', 'pydantic', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, made], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
