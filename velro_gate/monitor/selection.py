"""What can be watched of a target."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib import import_module
from urllib.parse import urlsplit

import httpx

from velro_gate.model.metric.own import OwnMetric
from velro_gate.model.readings import WATCHED, PageFamily, SourceSpec, page_series
from velro_gate.model.scenario import Target
from velro_gate.monitor.sources.neighbours import Neighbours
from velro_gate.monitor.sources.own import is_its_own, own_sources, page_of
from velro_gate.monitor.sources.page_connection import PageRoute
from velro_gate.monitor.sources.prometheus import DEFAULT_FAMILIES, PROCESS_FAMILIES, Family, PrometheusText
from velro_gate.monitor.sources.runner import RunnerMonitor
from velro_gate.monitor.sources.service import ServiceProcesses
from velro_gate.monitor.sources.service import source_at as processes_at
from velro_gate.monitor.watching import ReadingSource


def sources_for(
    target: Target,
    *,
    service_is_local: bool,
    families: Sequence[Family] = DEFAULT_FAMILIES,
    route: PageRoute | httpx.AsyncBaseTransport | None = None,
    own: Sequence[OwnMetric] = (),
    ours: Collection[int] = (),
) -> tuple[ReadingSource, ...]:
    """The sources that a target names, and always the runner. Nothing is connected to yet.

    A local service is watched by its processes, which are found by their port unless ``process`` under ``watch`` says how
    else. Of a remote one, and of one behind a unix socket, only its metrics page shows CPU and memory, so there the usual
    process families are read as well.

    Args:
        route: the way to the service, for its metrics page; the usual one when None.
        own: the metrics that the scenario defines itself.
        ours: further processes that are neither service nor neighbours, as that of the load where this is another one.
    """
    watched = dict(target.watch)
    process = watched.pop("process", None)
    by_processes = process is not None or (service_is_local and target.unix_socket is None)
    parts = urlsplit(target.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    service = ServiceProcesses(port, ours=ours) if process is None else processes_at(process, verify=target.verify, ours=ours)
    sources: list[ReadingSource] = [RunnerMonitor(neighbours=Neighbours(lambda: (*ours, *service.pids)))]
    if by_processes:
        sources.append(service)
    wanted = _renamed(families, target.families)
    wanted = wanted if by_processes else (*wanted, *PROCESS_FAMILIES)
    if target.connections_metric is not None:
        wanted = (*wanted, Family(family=target.connections_metric, name="database_connections"))
    watched.pop("prometheus", None)
    page = page_of(target)
    if page is not None:
        # What the Velro backend shows of itself adds to what its processes show: the page of another service need not have it.
        optional = by_processes and target.connections_metric is None and not target.families
        way = route if is_its_own(page, target) else None
        sources.append(PrometheusText(page, families=wanted, route=way, optional=optional))
    sources += [_at(WATCHED[key], url, verify=target.verify) for key, url in watched.items()]
    sources += own_sources(own, target, route)
    return tuple(sources)


def _renamed(families: Sequence[Family], named: Sequence[PageFamily]) -> tuple[Family, ...]:
    """The usual families, without those of a series for which the scenario names one of its own, and these."""
    replaced = {page_series(each.series) for each in named}
    kept = (family for family in families if family.name not in replaced)
    return (*kept, *(Family(family=each.family, name=each.series, wanted=each.labels) for each in named))


def _at(spec: SourceSpec, url: str, *, verify: bool) -> ReadingSource:
    """The source at a URL. Its module is imported only here, so that what is not watched costs nothing."""
    made: ReadingSource = import_module(f"velro_gate.monitor.sources.{spec.module}").source_at(url, verify=verify)
    return made
