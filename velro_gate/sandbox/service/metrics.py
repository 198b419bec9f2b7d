"""/metrics in Prometheus text: the counts are read at scrape time, so a request pays nothing for being measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from velro_gate.sandbox.stores.database import Database
from velro_gate.sandbox.stores.dependency import Dependency
from velro_gate.sandbox.tally import LAYERS, Tally

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class ServiceMetrics(Collector):
    """The figures of one sandbox."""

    def __init__(self, tally: Tally, database: Database, dependencies: Mapping[str, Dependency]) -> None:
        self._tally = tally
        self._database = database
        self._dependencies = dependencies
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        # Process CPU seconds, resident memory and open files, under the names that every Prometheus client uses.
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """The whole page."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The figures at this moment, for the registry."""
        requests = CounterMetricFamily("velro_requests", "Requests answered.", labels=("step", "status"))
        for (step, status), count in self._tally.answered.items():
            requests.add_metric((step, str(status)), count)
        yield requests
        yield _by_layer("velro_cache_hits", "Reads that a layer answered.", self._tally.hits)
        yield _by_layer("velro_cache_misses", "Reads that a layer could not answer.", self._tally.misses)
        yield GaugeMetricFamily("velro_db_pool_size", "Database connections open.", self._database.pool_size)
        yield GaugeMetricFamily("velro_db_pool_in_use", "Database connections held by a query.", self._database.pool_in_use)
        yield GaugeMetricFamily("velro_db_pool_waiting", "Queries waiting for a connection.", self._database.pool_waiting)
        breakers = GaugeMetricFamily("velro_breaker_state", "0 closed, 1 half open, 2 open.", labels=("dependency",))
        openings = CounterMetricFamily("velro_breaker_openings", "Times the breaker opened.", labels=("dependency",))
        for name, dependency in self._dependencies.items():
            breakers.add_metric((name,), dependency.breaker.state.value)
            openings.add_metric((name,), dependency.breaker.opened)
        yield breakers
        yield openings


def _by_layer(name: str, documentation: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=("layer",))
    for layer in LAYERS:
        family.add_metric((layer,), counts.get(layer, 0))
    return family
