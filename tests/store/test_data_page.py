"""docs/data.md: what it shows is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.analysis.runs import run
from velro_gate.model.run import Reading, RunFacts
from velro_gate.store.facts import _KINDS
from velro_gate.store.records import write_record

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_example_in_pandas_reads_the_readings_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = tuple(
        Reading(at=at + late, source=source, name=name, value=at)
        for at in (1.0, 2.0)
        for source, name, late in (("service", "rss", 0.0), ("runner", "cpu_share", 0.2))
    )
    write_record(tmp_path, run(), RunFacts(phases=(), readings=readings, layers=()))
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)
    assert names["by_second"].to_dict("list") == {"runner.cpu_share": [1.0, 2.0], "service.rss": [1.0, 2.0]}


def test_the_page_names_every_array_of_the_file() -> None:
    table = PAGE.split("## Series")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(_KINDS)
