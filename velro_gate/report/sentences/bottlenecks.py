"""What held a phase back, in a sentence, and its remedy: those of the table of common issues of the PRD where it has one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from velro_gate import units
from velro_gate.analysis.verdict.failures import failing_of
from velro_gate.model.facts import bottlenecks as causes
from velro_gate.model.facts.bottlenecks import Bottleneck
from velro_gate.model.metrics import LONG_STRETCH
from velro_gate.report.sentences.kinds.failures import LOOK
from velro_gate.report.text.words import Words

_OUTCOMES = {
    "CHECK": "failed checks",
    "TIMEOUT": "timeouts",
    "REFUSED": "refused connections",
    "RESET": "reset connections",
    "TLS": "TLS faults",
    "CERTIFICATE": "rejected certificates",
    "DNS": "names not resolved",
    "PROTOCOL": "responses that are no HTTP",
    "CAPTURE": "responses without a value that a later step needs",
}
_LONG = 0.9 * LONG_STRETCH
"""Seconds from the first to the last reading of a stretch that is more than a warm-up."""
_DEPENDENCIES = {"redis": "Redis", "database": "PostgreSQL"}


def bottleneck_words(found: Bottleneck) -> Words:
    """The cause with its figures, and what to do about it."""
    return SENTENCES[type(found.facts)](found, found.facts)


def _when(found: Bottleneck) -> str:
    """``from 4.0 to 8.0 s``, of the measured stretch."""
    return f"from {units.format_decimal(found.start, 1)} to {units.format_decimal(found.end, 1)} s"


def _pool(found: Bottleneck, facts: causes.PoolExhausted) -> Words:
    waiting = "" if not facts.waiting else f", and {units.counted(units.format_whole(facts.waiting), 'request')} waited for one"
    size = units.format_whole(facts.size)
    return Words(
        sentence=f"the database pool was exhausted {_when(found)}: all {size} connections in use in "
        f"{units.format_share(facts.share)} of the readings{waiting}",
        advice="Increase the connection pool, or hold connections for less time: shorter transactions, faster queries; "
        "with PostgreSQL, psql -c 'SELECT state, count(*) FROM pg_stat_activity GROUP BY state' shows what they are held for.",
    )


def _service_cpu(found: Bottleneck, facts: causes.ServiceCpu) -> Words:
    return Words(
        sentence=f"the service is CPU-bound: its busiest process used {units.format_share(facts.share)} of a core "
        f"{_when(found)}",
        advice="Profile the service ('top -H' shows its busiest thread) and optimize what uses the CPU, or scale horizontally: "
        "more processes on more cores.",
    )


def _runner_cpu(found: Bottleneck, facts: causes.RunnerCpu) -> Words:
    if facts.steal > 0.0 and not facts.others:
        return Words(
            sentence=f"the runner has too little CPU: its host took {units.format_share(facts.steal)} of it {_when(found)}",
            advice="Use a dedicated runner: what other guests of the host take is missing from the service and the generator.",
        )
    others = ", ".join(f"{name.replace('_', ' ')} {units.format_share(share)} of a core" for name, share in facts.others)
    return Words(
        sentence=f"the runner has too little CPU: its cores were {units.format_share(facts.share)} busy {_when(found)}, with "
        f"{others}",
        advice="End the other processes on the runner, or use one with more cores, and run again.",
    )


def _memory(found: Bottleneck, facts: causes.MemoryGrowth) -> Words:
    # The first minutes of a process that has just started look like a leak.
    warm = "" if found.end - found.start >= _LONG else "Measure two minutes or more, so that it is no warm-up. "
    return Words(
        sentence=f"the service's memory grew by {units.format_growth(facts.rate)} {_when(found)} (at least "
        f"{units.format_growth(facts.low)}), {units.format_share(facts.share)} of its size a minute",
        advice=f"{warm}Look for a leak, that is, for what each request keeps and nothing releases: compare heap snapshots "
        "before and after a run.",
    )


def _misses(_: Bottleneck, facts: causes.CacheMisses) -> Words:
    slower = (
        "" if facts.slower is None else f", each {units.format_decimal(facts.slower, 1)} times as slow as a hit of its step"
    )
    return Words(
        sentence=f"cache misses make requests slow: {units.format_share(facts.share)} of the look-ups missed{slower}; "
        f"{units.format_share(facts.explained)} of the slowest 5 % are misses",
        advice="Warm the cache, increase its TTLs and its size, and check its keys: one that holds too much never hits; "
        "with Redis, 'redis-cli info stats' counts evictions and expired keys.",
    )


def _tail(_: Bottleneck, facts: causes.StepTail) -> Words:
    return Words(
        sentence=f"{facts.step} has a tail of its own: p95 {units.format_seconds(facts.p95)} with a median of "
        f"{units.format_seconds(facts.p50)}; {units.format_share(facts.share)} of the slowest 5 % of all requests are its own",
        advice=f"Find what some requests of {facts.step} do that others do not: a query without an index, a lock, a retry, "
        "a cache miss.",
    )


def _locks(found: Bottleneck, facts: causes.LockWaits) -> Words:
    longest = "" if facts.longest is None else f", for up to {units.format_seconds(facts.longest)}"
    sessions = units.counted(units.format_whole(facts.waiting), "database session")
    return Words(
        sentence=f"{sessions} waited for locks {_when(found)}{longest}",
        advice="Shorten the transactions that hold the locks, and let them lock rows in the same order; pg_locks shows which "
        "these are.",
    )


def _query(found: Bottleneck, facts: causes.SlowQuery) -> Words:
    which = f": '{facts.statement}' takes most of the time" if facts.statement else ""
    return Words(
        sentence=f"a database statement ran for up to {units.format_seconds(facts.longest)} {_when(found)}{which}",
        advice="Optimize the query or add an index; EXPLAIN (ANALYZE, BUFFERS) shows where its time goes.",
    )


def _errors(found: Bottleneck, facts: causes.ErrorBurst) -> Words:
    kind = _OUTCOMES.get(facts.kind, f"unexpected {facts.kind}" if facts.kind.startswith("2") else facts.kind)
    step = f", all of {facts.step}" if facts.step else ""
    rest = f"; {units.format_count(facts.elsewhere)} more at other times" if facts.elsewhere else ""
    return Words(
        sentence=f"{kind} {_when(found)}: {units.format_count(facts.count)} of {units.format_count(facts.of)} requests "
        f"in that time{step}{rest}",
        advice=LOOK[failing_of(facts.kind)],
    )


def _stall(found: Bottleneck, facts: causes.ServiceStall) -> Words:
    return Words(
        sentence=f"no answer {_when(found)}: the service stalled for {units.format_seconds(facts.seconds)} with "
        f"{units.format_count(facts.waiting)} requests waiting",
        advice="Look for what stopped the whole service at that time: a garbage collection, a blocking call in its event loop, "
        "a lock, a restart.",
    )


def _saturation(_: Bottleneck, facts: causes.Saturation) -> Words:
    before, after = units.format_whole(facts.before), units.format_whole(facts.after)
    rose = facts.after > facts.before and after != before
    return Words(
        sentence=f"the service does not keep up with {units.format_rate(facts.offered)}: it answers "
        f"{units.format_rate(facts.answered)}, and "
        + (f"the requests in flight rose from {before} to {after}" if rose else f"{after} requests were always in flight"),
        advice="Scale the service horizontally or optimize it; 'velro-gate capacity' finds the load that it can carry.",
    )


def _generator(_: Bottleneck, facts: causes.GeneratorLimit) -> Words:
    parts = [] if facts.late is None else [f"requests up to {units.format_seconds(facts.late)} late (p99)"]
    parts += [f"{units.format_count(facts.missed)} never sent"] if facts.missed else []
    parts += [f"{units.format_seconds(facts.stalled)} at a standstill"] if facts.stalled else []
    share = units.format_share(facts.cpu)
    if facts.busy:
        return Words(
            sentence=f"the generator is at its own limit: {', '.join((f'{share} of its core', *parts))}",
            advice="Give the generator a core of its own, use more shards (--shards) or a lower rate: part of these times "
            "is its own.",
        )
    return Words(
        sentence=f"the generator was held up, using only {share} of a core: {', '.join(parts)}",
        advice="Give the generator a core that nothing else uses, or a quieter machine: part of these times is its own.",
    )


def _neighbour(found: Bottleneck, facts: causes.NoisyNeighbour) -> Words:
    return Words(
        sentence=f"another process used the runner {_when(found)}: {facts.process} {units.format_share(facts.share)} of a core",
        advice=f"End {facts.process} on the runner while it measures, or use a machine of its own.",
    )


def _dependency(found: Bottleneck, facts: causes.DependencyDown) -> Words:
    name = _DEPENDENCIES.get(facts.source, facts.source)
    return Words(
        sentence=f"{name} did not answer the monitor {_when(found)}",
        advice=f"See what {name} did at that time; a service should answer without it, with a short timeout and a circuit "
        "breaker.",
    )


SENTENCES: Mapping[type, Callable[[Bottleneck, Any], Words]] = {
    causes.PoolExhausted: _pool,
    causes.ServiceCpu: _service_cpu,
    causes.RunnerCpu: _runner_cpu,
    causes.MemoryGrowth: _memory,
    causes.CacheMisses: _misses,
    causes.StepTail: _tail,
    causes.LockWaits: _locks,
    causes.SlowQuery: _query,
    causes.ErrorBurst: _errors,
    causes.ServiceStall: _stall,
    causes.Saturation: _saturation,
    causes.GeneratorLimit: _generator,
    causes.NoisyNeighbour: _neighbour,
    causes.DependencyDown: _dependency,
}
