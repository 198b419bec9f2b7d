from __future__ import annotations

import subprocess
import sys

import pytest

from velro_gate.errors import UsageError
from velro_gate.sandbox.extra import PACKAGES, require_extra


def test_missing_packages_are_named_together_with_the_command_that_installs_them() -> None:
    with pytest.raises(UsageError) as refused:
        require_extra(is_installed=lambda package: package not in ("uvicorn", "jwt"))
    assert refused.value.why == "missing: jwt, uvicorn"
    assert "pip install './velro-gate[sandbox]'" in refused.value.hint


def test_nothing_is_said_when_everything_is_installed() -> None:
    require_extra()


def test_importing_the_package_its_settings_and_its_process_module_needs_none_of_the_extra() -> None:
    script = (
        "import sys, velro_gate.sandbox, velro_gate.sandbox.settings, velro_gate.sandbox.process, velro_gate.sandbox.server\n"
        f"print([package for package in {PACKAGES!r} if package in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
