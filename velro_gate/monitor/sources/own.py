"""The sources of the metrics that a scenario defines itself: metrics pages, and collectors written in Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import httpx

from velro_gate.model.metric.own import BOUND, OWN, MetricOrigin, OwnMetric, SeriesType
from velro_gate.model.scenario import Target
from velro_gate.monitor.sources.collector import CollectorSource
from velro_gate.monitor.sources.page_connection import PageRoute
from velro_gate.monitor.sources.prometheus import Family, PrometheusText
from velro_gate.monitor.watching import ReadingSource


def own_sources(
    metrics: Sequence[OwnMetric], target: Target, route: PageRoute | httpx.AsyncBaseTransport | None
) -> Iterator[ReadingSource]:
    """One source for each metrics page and for each collector that these metrics are read from.

    route: the way to the service, for its own page.
    """
    pages: dict[str, list[OwnMetric]] = {}
    collectors: dict[str, list[OwnMetric]] = {}
    for metric in metrics:
        if metric.origin is MetricOrigin.PROMETHEUS:
            pages.setdefault(metric.place, []).append(metric)
        elif metric.origin is MetricOrigin.COLLECTOR:
            collectors.setdefault(metric.place, []).append(metric)
    for number, (place, wanted) in enumerate(pages.items(), 1):
        families = [_family(metric) for metric in wanted]
        url = place or page_of(target)
        if url is not None:
            yield PrometheusText(
                url,
                families=families,
                route=route if is_its_own(url, target) else None,
                name=OWN,
                key=f"own_metrics_{number}",
            )
    for number, wanted in enumerate(collectors.values(), 1):
        yield CollectorSource(
            wanted[0].place,
            wanted[0].folders,
            {metric.name: metric.what for metric in wanted},
            key=f"own_collector_{number}",
        )


def page_of(target: Target) -> str | None:
    """The URL of the service's metrics page; None where it has none."""
    named = dict(target.watch).get("prometheus")
    if named is not None or target.metrics_path is None:
        return named
    return f"{target.url.rstrip('/')}/{target.metrics_path.lstrip('/')}"


def is_its_own(url: str, target: Target) -> bool:
    """Whether a page is the service's own, on the way of the load."""
    return "prometheus" not in dict(target.watch) and url == page_of(target)


def _family(metric: OwnMetric) -> Family:
    if metric.series is SeriesType.HISTOGRAM:
        return Family(family=f"{metric.what}_bucket", name=f"{metric.name}{BOUND}{{le}}", wanted=metric.labels, bounds=True)
    return Family(family=metric.what, name=metric.name, wanted=metric.labels)
