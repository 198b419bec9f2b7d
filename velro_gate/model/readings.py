"""The registry of sources of readings: what each source reads, in which unit, and how a scenario names it under ``watch``.

A new source is a row here and a module of ``velro_gate.monitor.sources`` that reads it (docs/architecture.md): the keys of
``watch``, the schemes of their URLs, the JSON Schema, the dry run and the table of resources are made from the rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from types import MappingProxyType

LARGEST = 1e100
"""What is beyond it was never measured. Sums, squares and quotients of what is not are finite."""


def plausible(value: float) -> float | None:
    """A value from outside as it may be computed with: None where it cannot be, 0 where it is too small to be distinguished."""
    size = abs(value)
    # NaN is neither.
    return value if 1.0 / LARGEST <= size <= LARGEST else 0.0 if size < 1.0 else None


class Unit(Enum):
    """Of a reading's value, in base units."""

    BYTES = "bytes"
    SECONDS = "seconds"
    SHARE = "share"
    COUNT = "count"


class SeriesKind(Enum):
    """What the values of a series mean."""

    GAUGE = "a value of the moment"
    COUNTER = "counts since its process began: only differences mean anything"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSpec:
    """One series of a source."""

    name: str
    """``{...}`` in it stands for a label's value, such as a cache layer."""
    unit: Unit
    kind: SeriesKind
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """One thing that is read while the load runs."""

    name: str
    """The source of its readings in a record."""
    label: str
    """What people call it."""
    module: str
    """The one of ``velro_gate.monitor.sources`` that reads it."""
    series: tuple[ReadingSpec, ...]
    key: str = ""
    """How a scenario names it under ``watch``, with a URL of one of ``schemes``; empty where it needs no URL."""
    alias: str = ""
    """The older key of ``target`` that names it; empty: there is none."""
    schemes: tuple[str, ...] = ()
    example: str = ""

    def __post_init__(self) -> None:
        if bool(self.key) is not bool(self.schemes) or bool(self.key) is not bool(self.example):
            raise ValueError(f"source {self.name}: a key, the schemes of its URL and an example belong together")
        if len({series.name for series in self.series}) != len(self.series):
            raise ValueError(f"source {self.name} declares a series twice")


def _gauge(name: str, meaning: str, unit: Unit = Unit.COUNT) -> ReadingSpec:
    return ReadingSpec(name=name, unit=unit, kind=SeriesKind.GAUGE, meaning=meaning)


def _counter(name: str, meaning: str, unit: Unit = Unit.COUNT) -> ReadingSpec:
    return ReadingSpec(name=name, unit=unit, kind=SeriesKind.COUNTER, meaning=meaning)


_CPU = _counter("cpu_seconds", "CPU of its processes, those that ended included", Unit.SECONDS)
_RSS = _gauge("rss", "resident bytes of its processes; pages they share count in each", Unit.BYTES)
_DESCRIPTORS = _gauge("descriptors", "open files of its processes, connections among them")

_ALL = (
    SourceSpec(
        name="runner",
        label="this machine",
        module="runner",
        series=(
            _gauge("cpu_share", "share of all cores' time that was busy since the previous reading", Unit.SHARE),
            _gauge("cpu_{core}_share", "the same of one core, numbered from 0", Unit.SHARE),
            _gauge("steal_share", "share of all cores' time that the hypervisor took since the previous reading", Unit.SHARE),
            _gauge(
                "process_{command}_cpu_share",
                "share of one core that other processes of this name used since the previous reading, where it is 5 % or more; "
                "without ours and the service's; of the kernel's own threads as of every ten seconds",
                Unit.SHARE,
            ),
            _counter("cpu_throttled_seconds", "time for which a control group's quota held this process back", Unit.SECONDS),
            _gauge("memory_used", "bytes of the machine", Unit.BYTES),
            _gauge("memory_available", "bytes of the machine", Unit.BYTES),
            _gauge("swap_used", "bytes of the machine", Unit.BYTES),
            _gauge("descriptors", "open files of the machine"),
            _gauge("descriptors_limit", "open files that the machine allows"),
            _gauge("load", "processes running or waiting, mean over the last minute"),
            _gauge("tcp_sockets", "sockets in use"),
            _gauge("tcp_established", "connections that are established"),
            _gauge("tcp_time_wait", "closed sockets that still keep their port"),
            _gauge("tcp_syn_sent", "connections that wait for the other side's first response; counted every twenty seconds"),
            _gauge("tcp_syn_received", "connections accepted half way; counted every twenty seconds"),
            _gauge("tcp_fin_wait", "connections closed here and not yet there; counted every twenty seconds"),
            _gauge("tcp_close_wait", "connections closed there and not yet here; counted every twenty seconds"),
            _counter("tcp_retransmitted_total", "segments sent again"),
            _counter("tcp_listen_dropped_total", "connections that a full accept queue turned away"),
            _counter("network_received_total", "bytes over all interfaces, loopback included", Unit.BYTES),
            _counter("network_sent_total", "bytes over all interfaces, loopback included", Unit.BYTES),
            _counter("disk_read_total", "bytes read from all disks", Unit.BYTES),
            _counter("disk_written_total", "bytes written to all disks", Unit.BYTES),
            _counter("disk_busy_seconds", "time in which a disk had requests, added up over the disks", Unit.SECONDS),
        ),
    ),
    SourceSpec(
        name="service",
        label="the service's processes",
        module="service",
        key="process",
        schemes=("port", "pid", "command"),
        example="pid:4711",
        series=(
            _CPU,
            _gauge("cpu_busiest", "share of one core that its busiest process used since the previous reading", Unit.SHARE),
            _RSS,
            _gauge("threads", "threads of its processes"),
            _gauge("processes", "its processes"),
            _DESCRIPTORS,
            _gauge("connections", "established connections to its port; counted every twenty seconds"),
        ),
    ),
    SourceSpec(
        name="service",
        label="metrics page",
        module="prometheus",
        key="prometheus",
        alias="metrics",
        schemes=("http", "https"),
        example="http://127.0.0.1:9100/metrics",
        series=(
            _CPU,
            _RSS,
            _DESCRIPTORS,
            _gauge("database_connections", "its database connections (the metric that connections_metric names)"),
            _gauge("database_pool_size", "connections that its database pool may open (velro_db_pool_size)"),
            _gauge("database_pool_in_use", "connections of the pool at work (velro_db_pool_in_use)"),
            _gauge(
                "database_pool_waiting",
                "requests that wait for a connection of the pool (velro_db_pool_waiting)",
            ),
            _counter(
                "breaker_{dependency}_openings_total",
                "times a circuit breaker opened (velro_breaker_openings_total)",
            ),
            _counter("cache_{layer}_hits_total", "hits of one cache layer (velro_cache_hits_total)"),
            _counter("cache_{layer}_misses_total", "misses of one cache layer (velro_cache_misses_total)"),
        ),
    ),
    SourceSpec(
        name="redis",
        label="Redis",
        module="redis_info",
        key="redis",
        alias="redis_url",
        schemes=("redis", "rediss", "unix"),
        example="redis://127.0.0.1:6379/0",
        series=(
            _counter("hits_total", "key look-ups that found one, since Redis started"),
            _counter("misses_total", "key look-ups that found none, since Redis started"),
            _gauge("hit_share", "share of key look-ups since the previous reading that found one", Unit.SHARE),
            _counter("commands_total", "commands since Redis started"),
            _counter("rejected_total", "connections turned away at the limit of clients"),
            _counter("evicted_total", "keys dropped for lack of memory"),
            _counter("expired_total", "keys dropped for their age"),
            _gauge("memory", "bytes used", Unit.BYTES),
            _gauge("memory_rss", "bytes resident", Unit.BYTES),
            _gauge("memory_limit", "bytes allowed; absent when unlimited", Unit.BYTES),
            _gauge("clients", "connections"),
            _gauge("clients_limit", "connections allowed"),
            _gauge("clients_blocked", "connections that wait for a key"),
            _counter("cpu_seconds", "CPU of the Redis process", Unit.SECONDS),
        ),
    ),
    SourceSpec(
        name="database",
        label="PostgreSQL",
        module="postgres",
        key="postgres",
        alias="database_url",
        schemes=("postgres", "postgresql"),
        example="postgresql://velro@127.0.0.1/velro",
        series=(
            _gauge("connections", "client connections to this database, ours left out"),
            _gauge("connections_active", "of them: running a statement"),
            _gauge("connections_idle", "of them: waiting for the client"),
            _gauge("connections_in_transaction", "of them: idle inside a transaction, so holding locks"),
            _gauge("connections_waiting", "of them: waiting for a lock"),
            _gauge("max_connections", "the server's limit"),
            _gauge("locks", "locks that sessions of this database hold on its objects"),
            _gauge("locks_waiting", "locks that sessions of this database wait for"),
            _gauge("longest_query", "for how long the oldest running statement has run", Unit.SECONDS),
            _gauge("longest_transaction", "for how long the oldest open transaction has been open", Unit.SECONDS),
            _gauge("longest_wait", "for how long the oldest statement that waits for a lock has run", Unit.SECONDS),
            _counter("transactions_total", "commits and rollbacks"),
            _counter("blocks_hit_total", "blocks found in the server's cache"),
            _counter("blocks_read_total", "blocks read from disk or from the operating system's cache"),
            _gauge("buffer_hit_share", "share of blocks since the previous reading that the server's cache held", Unit.SHARE),
            _counter("temporary_total", "bytes of temporary files that statements wrote", Unit.BYTES),
            _counter("deadlocks_total", "deadlocks found"),
            _counter(
                "statement_{text}_seconds",
                "time that one statement took in all (pg_stat_statements), of the five that took most, by its first words",
                Unit.SECONDS,
            ),
            _counter("statement_{text}_calls_total", "how often that statement ran"),
        ),
    ),
    SourceSpec(
        name="monitor",
        label="the monitor itself",
        module="watching",
        series=(
            _gauge("{source}_up", "1 when it was read, 0 when it could not be: runner, processes, metrics, redis, database"),
            _gauge("{source}_read_time", "how long it took to read the source", Unit.SECONDS),
        ),
    ),
)

SOURCES: tuple[SourceSpec, ...] = _ALL
"""Every source, in the order in which they are watched."""

WATCHED: Mapping[str, SourceSpec] = MappingProxyType({source.key: source for source in SOURCES if source.key})
"""The sources that a scenario names by a URL, by their keys under ``watch``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFamily:
    """A family of the service's metrics page that stands for one of its series. labels: that its lines must have."""

    series: str
    family: str
    labels: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if page_series(self.series) is None:
            raise ValueError(f"no metrics page shows a series {self.series!r}")


@cache
def declared(source: str, name: str) -> ReadingSpec | None:
    """The declaration of a series by its source and name, as a record holds them; None where no source declares it."""
    for spec in (series for each in SOURCES if each.name == source for series in each.series):
        pattern = r"[\w.-]+".join(re.escape(part) for part in re.split(r"\{\w+\}", spec.name))
        if re.fullmatch(pattern, name):
            return spec
    return None


CONNECTIONS = "database_connections"
"""The series that ``connections_metric`` of a target names, too."""

PAGE_SERIES = tuple(spec.name for spec in WATCHED["prometheus"].series if spec not in WATCHED["process"].series)
"""Series of the service that only its metrics page shows."""


def page_series(name: str) -> str | None:
    """Which of ``PAGE_SERIES`` this is, with a word in place of its label; None for any other series."""
    found = declared(WATCHED["prometheus"].name, name)
    return found.name if found is not None and found.name in PAGE_SERIES else None


def unit_of(source: str, name: str) -> Unit:
    """The unit of a reading; whatever no source declares is a count."""
    found = declared(source, name)
    return Unit.COUNT if found is None else found.unit


def is_counter(source: str, name: str) -> bool:
    """Whether only differences of the reading mean anything; whatever no source declares is a value of the moment."""
    found = declared(source, name)
    return found is not None and found.kind is SeriesKind.COUNTER
