"""The sources of a scenario's own metrics: metrics pages, and collectors in a process of their own."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import httpx
import pytest
import trio

from velro_gate.model.metric.own import MetricOrigin, OwnMetric, OwnUnit, OwnValue, SeriesType
from velro_gate.model.scenario import Target
from velro_gate.monitor.sources.collecting import serve
from velro_gate.monitor.sources.collector import CollectorSource
from velro_gate.monitor.sources.own import own_sources
from velro_gate.monitor.watching import ReadingSource, SourceError

pytestmark = pytest.mark.real

PAGE = """
jobs_total{queue="mail",state="done"} 5
jobs_total{queue="mail",state="failed"} 2
jobs_total{queue="print"} 100
latency_bucket{le="0.1"} 3
latency_bucket{le="+Inf"} 4
"""


def own(name: str, what: str, series: SeriesType = SeriesType.GAUGE, **changed: object) -> OwnMetric:
    given = {"name": name, "origin": MetricOrigin.PROMETHEUS, "value": OwnValue.MEAN, "unit": OwnUnit.COUNT, "what": what}
    return OwnMetric(**given, series=series, **changed)  # type: ignore[arg-type]


def read(source: ReadingSource) -> Mapping[str, float]:
    async def main() -> Mapping[str, float]:
        try:
            with trio.fail_after(120.0):
                return await source.read()
        finally:
            await source.aclose()

    return trio.run(main)


def test_a_family_is_read_by_its_labels_and_a_histogram_by_its_buckets() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, text=PAGE)

    metrics = [
        own("mail_jobs", "jobs_total", SeriesType.COUNTER, labels=(("queue", "mail"),)),
        own("jobs", "jobs_total", SeriesType.COUNTER),
        own("latency", "latency", SeriesType.HISTOGRAM),
    ]
    target = Target(url="http://service.test/api", metrics_path="/metrics")
    (source,) = own_sources(metrics, target, httpx.MockTransport(answer))
    assert read(source) == {"mail_jobs": 7.0, "jobs": 107.0, "latency_le_0.1": 3.0, "latency_le_+Inf": 4.0}
    assert asked == ["http://service.test/api/metrics"]
    assert (source.name, source.key) == ("own", "own_metrics_1")


def test_each_page_is_a_source_of_its_own_and_without_a_page_there_is_none() -> None:
    elsewhere = own("a", "a", place="http://other.test/metrics")
    target = Target(url="http://service.test")
    assert [source.key for source in own_sources([elsewhere, own("b", "b")], target, None)] == ["own_metrics_1"]
    assert list(own_sources([], target, None)) == []


def collector(folder: Path, body: str) -> CollectorSource:
    """A collector of this body, kept in a module of its own name."""
    module = f"collector_{folder.name}".replace("-", "_")
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    (folder / f"{module}.py").write_text(f"class Collector:\n{lines}\n")
    return CollectorSource(f"{module}:Collector", [str(folder)], {"depth": "queue", "age": "age"})


def test_a_collector_is_asked_in_a_process_of_its_own_and_what_it_prints_is_no_answer(tmp_path: Path) -> None:
    source = collector(
        tmp_path, "asked = 0\ndef collect(self):\n    print('hello')\n    self.asked += 1\n    return {'queue': self.asked}"
    )

    async def main() -> list[Mapping[str, float]]:
        with trio.fail_after(120.0):
            found = [await source.read(), await source.read()]
        await source.aclose()
        return found

    assert trio.run(main) == [{"depth": 1.0}, {"depth": 2.0}]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def collect(self):\n    raise ValueError('no queue')", "ValueError: no queue"),
        ("def collect(self):\n    return 7", "collect\\(\\) returned int instead of a mapping"),
        ("def collect(self):\n    import os; os._exit(3)", "has ended"),
    ],
)
def test_a_collector_that_fails_is_a_source_error_that_says_why(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        read(collector(tmp_path, body))


def test_a_collector_that_is_not_there_is_a_source_error() -> None:
    with pytest.raises(SourceError, match="No module named 'no_such_module_anywhere'"):
        read(CollectorSource("no_such_module_anywhere:Collector", [], {"a": "a"}))


def test_a_number_that_is_none_is_left_out_and_an_error_does_not_end_the_collector(tmp_path: Path) -> None:
    (tmp_path / "flaky_collector.py").write_text(
        "class Collector:\n    asked = 0\n    def collect(self):\n        self.asked += 1\n"
        "        return {'a': float('nan'), 'b': 2} if self.asked > 1 else 1 / 0\n"
    )
    said = StringIO()
    serve("flaky_collector:Collector", (str(tmp_path),), StringIO("\n\n"), said)
    first, second = said.getvalue().splitlines()
    assert "ZeroDivisionError" in first
    assert second == '{"values": {"b": 2.0}}'
