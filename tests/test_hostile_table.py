"""``make hostile`` counts what it runs."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.kinds import ROOT


def test_the_checks_of_each_group_are_counted_with_those_that_ended_as_expected() -> None:
    file = "tests/report/text/test_escape.py"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "hostile", file]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    (row,) = re.findall(r"^\| markup and commands \| (\d+) \| (\d+) \|$", done.stdout, re.MULTILINE)
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert row == (passed, passed)
