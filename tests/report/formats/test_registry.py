"""What a new format of a report takes: its module and one row of the table."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.examples import EXAMPLES
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import Estimate
from velro_gate.report.formats.registry import FORMATS

_ROW = """
import sys
from types import MappingProxyType, ModuleType
from velro_gate.report.formats import registry as r

row = r.ReportFormat(name="line", file="verdict.line", module="line", renderer="line")
r.FORMATS = MappingProxyType({**r.FORMATS, "line": row})
module = ModuleType("velro_gate.report.formats.line")
module.line = lambda record, verdict: f"{record.id} {verdict.level.word}\\n"
sys.modules[module.__name__] = module
"""

_USED = """
from pathlib import Path

from tests.report.examples import EXAMPLES
from velro_gate.cli.commands.reading import print_given
from velro_gate.cli.printing import print_again
from velro_gate.gate.judge.verdict import DUET_FILES, FILES, write_reports


record, verdict = next(iter(EXAMPLES.values()))()
class Kept:
    folder = Path(sys.argv[1])
    log = folder / "log.txt"
    def write(self, name, text):
        (self.folder / name).write_text(text, encoding="utf-8")
write_reports(record, verdict, Kept())
folder = Kept.folder
assert (folder / "verdict.line").read_text() == f"{record.id} {verdict.level.word}\\n"
assert "verdict.line" in FILES
assert "verdict.line" in DUET_FILES
print_given(folder, "line")
print_again(record, verdict, "line", Kept.folder)
"""


def test_a_format_of_one_more_row_and_module_is_written_printed_and_given_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _ROW + _USED, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, again = done.stdout.splitlines()
    assert first == again


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_renders_every_metric_that_there_is_and_one_of_the_scenarios_own(name: str) -> None:
    record, verdict = next(iter(EXAMPLES.values()))()
    every = {metric: Estimate(value=0.5, low=0.4, high=0.6, n=60) for metric in (*METRICS, "own:queue_length:count:lower")}
    whole, *others = record.phases[0].steps
    first = dataclasses.replace(record.phases[0], steps=(dataclasses.replace(whole, measurements=every), *others))
    record = dataclasses.replace(record, phases=(first, *record.phases[1:]))
    assert FORMATS[name].render(record, verdict).endswith("\n")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_of_the_table_renders_a_run(name: str) -> None:
    record, verdict = next(iter(EXAMPLES.values()))()
    assert FORMATS[name].render(record, verdict).endswith("\n")
