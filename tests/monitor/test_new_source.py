"""What a new source of readings takes: one row of the registry, and the module that reads it.

In a process of its own, since others have read the registry by now.
"""

from __future__ import annotations

import subprocess
import sys

_ROW = """
from types import MappingProxyType
from velro_gate.model import readings as r

queue = r.SourceSpec(
    name="queue", label="the queue", module="queue_depth", key="queue", schemes=("amqp",), example="amqp://127.0.0.1",
    series=(r.ReadingSpec(name="sent", unit=r.Unit.BYTES, kind=r.SeriesKind.COUNTER, meaning="bytes sent"),),
)
r.SOURCES = (*r.SOURCES, queue)
r.WATCHED = MappingProxyType({**r.WATCHED, "queue": queue})
"""

_MODULE = """
import sys
from types import ModuleType

class Queue:
    name = key = "queue"
    def __init__(self, url):
        self.url = url
    async def read(self):
        return {"sent": 2048.0}
    async def aclose(self):
        pass

module = ModuleType("velro_gate.monitor.sources.queue_depth")
module.source_at = lambda url, *, verify: Queue(url)
sys.modules[module.__name__] = module
"""

_USED = """
import dataclasses
import json
import tempfile
from pathlib import Path

import trio

from tests.analysis.phases import run_of
from tests.analysis.runs import run, summary
from tests.scenario.files import faults, load, shop
from velro_gate.analysis.summaries.resources import resource_summaries, series_of
from velro_gate.model.run import Reading
from velro_gate.model.samples import Samples
from velro_gate.monitor import sources_for
from velro_gate.report.parts.measured import resource_rows
from velro_gate.scenario.syntax.schema import json_schema

with tempfile.TemporaryDirectory() as folder:
    named = {"url": "http://h", "watch": {"queue": "amqp://here"}}
    target = load({**shop(), "target": named}, Path(folder)).target
    wrong = faults({**shop(), "target": {"url": "http://h", "watch": {"queue": "http://here"}}}, Path(folder))
assert "does not start with amqp://" in wrong[0]
assert "URL of the queue" in json.dumps(json_schema())

*_, source = sources_for(target, service_is_local=False)
assert source.url == "amqp://here"
assert trio.run(source.read) == {"sent": 2048.0}

readings = [Reading(at=at, source="queue", name="sent", value=2048.0 * at) for at in (20.0, 30.0)]
found = resource_summaries(series_of(readings), run_of(Samples.empty()))
(row,) = resource_rows(run(dataclasses.replace(summary(), resources=found)))
assert (row.source, row.name, row.most) == ("queue", "sent, rise", "20.0 KiB (2.00 KiB/s)"), row
"""


def test_a_source_of_one_more_row_and_module_is_named_read_summarised_and_reported() -> None:
    script = _ROW + _MODULE + _USED
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=120)
    assert not done.stderr, done.stderr
    assert done.returncode == 0
