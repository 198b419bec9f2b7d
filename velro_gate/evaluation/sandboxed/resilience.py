"""Experiments on the sandbox in good and in wrong versions, with a real Redis and a real PostgreSQL behind fault proxies.

Each version runs the shipped scenario: the good one has to meet what is expected, and a wrong one has to miss what it is wrong
about, said in the right sentence. Then faults are injected into the good version that nothing can hide from its users.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from velro_gate.analysis.resilience.expectations import check_expectations
from velro_gate.errors import InterruptedRunError, UsageError
from velro_gate.evaluation.bounds import figure_of
from velro_gate.evaluation.results import Aim, Figure
from velro_gate.evaluation.sandboxed.injections import redis_server
from velro_gate.evaluation.sandboxed.seams import MeasureRun, StartSandbox
from velro_gate.evaluation.sandboxed.undoing import undo_figure
from velro_gate.gate.judge.verdict import reread
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.experiments import with_injector
from velro_gate.gate.measure.results import Results, make_results
from velro_gate.gate.measure.run import run
from velro_gate.gate.measure.setup import RunOptions, prepare
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.model.record import RunRecord
from velro_gate.model.resilience.experiment import (
    Blow,
    Expectation,
    Expected,
    Experiment,
    NetworkAction,
    ProcessAction,
)
from velro_gate.model.resilience.network import NetworkFault, Outage
from velro_gate.model.scenario import Phase
from velro_gate.model.verdict import ExpectationResult
from velro_gate.report.sentences.kinds.experiments import expectation_sentence
from velro_gate.sandbox.process import RunningSandbox, running_sandbox
from velro_gate.sandbox.settings import Settings
from velro_gate.store.records import RECORD

SCENARIO, PROFILE = "velro-resilience", "quick"
GOOD = "good"
_CREATE = "generation_create"
_FAULT_SECONDS = 26.0
_Kinds = Mapping[tuple[str, Expected], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of the sandbox."""

    name: str
    wrong: tuple[str, ...] = ()
    misses: _Kinds
    """What it has to miss, by experiment, and what the sentence has to say."""
    follows: frozenset[tuple[str, Expected]] = frozenset()
    """What else may be missed because of it: where every write is acknowledged, nobody sees a breaker open."""


_SILENT, _RESETS, _RENAMED = "database_silent", "redis_resets", "model_renamed"
VERSIONS = (
    Version(name=GOOD, misses={}),
    Version(
        name="breaker never opens",
        wrong=("breaker_never_opens",),
        misses={(_SILENT, Expected.BREAKER): "it did not open"},
        follows=frozenset({(_SILENT, Expected.RECOVERY)}),
    ),
    Version(
        name="retry storm",
        wrong=("retry_storm",),
        misses={(_RESETS, Expected.RETRIES): "requests at the dependency"},
        follows=frozenset(
            {
                (_SILENT, Expected.BREAKER),
                (_SILENT, Expected.RECOVERY),
                (_RESETS, Expected.ERRORS),
                (_RESETS, Expected.RECOVERY),
            }
        ),
    ),
    Version(
        name="cache not invalidated",
        wrong=("cache_not_invalidated",),
        misses={
            (_RENAMED, Expected.STALE): "stale reads after the invalidation",
            (_RENAMED, Expected.CONSISTENCY): "seen by 5 of 5 users",
        },
    ),
    Version(
        name="writes lost",
        wrong=("writes_lost",),
        misses={(_SILENT, Expected.LOST): "acknowledged writes that were lost"},
        follows=frozenset({(_SILENT, Expected.BREAKER)}),
    ),
)

FAULTS: _Kinds = {
    ("database_delayed", Expected.P95): "p95 during the experiment of generation_create",
    ("database_refused", Expected.ERRORS): "errors during the experiment of generation_create",
    ("service_frozen", Expected.P95): "p95 during the experiment",
    ("service_frozen", Expected.FAILOVER): "traffic did not move",
}
"""Faults that the good version cannot hide, with limits that it then has to miss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResilienceRuns:
    """Runs of each version of the sandbox, right or wrong on purpose."""

    folder: Path
    """Of the runs; complete ones are not made again."""
    count: int
    """How many runs of each version."""
    killed: int = 0
    """Runs to kill; 0: as many."""


def resilience_figures(
    asked: ResilienceRuns, world: Effects, *, measure: MeasureRun = run, start: StartSandbox = running_sandbox
) -> Iterator[Figure]:
    """Make the runs that are not there yet; then how often each version was judged right.

    Raises:
        UsageError: there is no PostgreSQL, or no redis-server. InterruptedRunError: a signal ended it; whole runs are kept.
    """
    right: dict[str, int] = {version.name: 0 for version in VERSIONS}
    found: dict[tuple[str, Expected], int] = dict.fromkeys(FAULTS, 0)
    make = partial(_measured, world=world, measure=measure, start=start)
    move = partial(_moved, world=world, measure=measure, start=start)
    moved = 0
    for number in range(1, asked.count + 1):
        for version in VERSIONS:
            results = _judged(asked.folder, f"{version.name.replace(' ', '-')}-{number:03}", version.wrong, None, make)
            right[version.name] += is_right(version, results)
            world.say(f"{version.name} {number}: {_missed(results)}")
        results = _judged(asked.folder, f"faults-{number:03}", (), _faults, make)
        moved += _all_met(_judged(asked.folder, f"replica-{number:03}", (), None, move))
        for (name, kind), text in FAULTS.items():
            found[name, kind] += any(_misses(each, name, kind, text) for each in results)
        world.say(f"faults {number}: {_missed(results)}")
    for version in VERSIONS:
        what = "the right sentence, and no other" if version.misses else "everything expected is met"
        yield figure_of(f"resilience, {version.name}", what, right[version.name], asked.count, Aim.AT_LEAST, 1.0)
    yield figure_of("resilience, one of two replicas lost", "traffic moves and returns", moved, asked.count, Aim.AT_LEAST, 1.0)
    for (name, kind), hits in found.items():
        yield figure_of(f"resilience, fault {name}", f"seen in {kind.value}", hits, asked.count, Aim.AT_LEAST, 1.0)
    # One small sandbox for all runs that are killed: only what stays behind is looked at, and not what was measured.
    with start(Settings(port=0, users=20, pool_size=2)) as sandbox:
        yield undo_figure(asked.folder / "killed", asked.killed or asked.count, world, sandbox)


def _all_met(results: tuple[ExpectationResult, ...]) -> bool:
    return bool(results) and all(each.met for each in results)


def is_right(version: Version, results: tuple[ExpectationResult, ...]) -> bool:
    """Whether what a version is wrong about is missed in the right sentence, and nothing that does not follow from it."""
    missed = {(each.experiment, each.expectation.kind) for each in results if not each.met}
    said = all(any(_misses(each, *key, text) for each in results) for key, text in version.misses.items())
    return bool(results) and said and missed <= {*version.misses, *version.follows}


def _misses(result: ExpectationResult, experiment: str, kind: Expected, text: str) -> bool:
    named = (result.experiment, result.expectation.kind) == (experiment, kind)
    return named and not result.met and result.estimate is not None and text in expectation_sentence(result)


def _missed(results: tuple[ExpectationResult, ...]) -> str:
    return "; ".join(expectation_sentence(each) for each in results if not each.met) or "everything met"


Changed = Callable[[Phase, RunningSandbox], Phase]


def _judged(
    root: Path, name: str, wrong: tuple[str, ...], phase: Changed | None, make: Callable[..., Path]
) -> tuple[ExpectationResult, ...]:
    """What was expected in a run, which is made unless it is there. phase: what it measures instead of the scenario's."""
    folder = next((one for one in sorted(root.glob(f"{name}*")) if (one / RECORD).exists()), None)
    record = reread(folder or make(root, name, wrong, phase))
    return check_expectations(record.plan.phases, record)


def _measured(
    root: Path,
    name: str,
    wrong: tuple[str, ...],
    phase: Changed | None,
    *,
    world: Effects,
    measure: MeasureRun,
    start: StartSandbox,
) -> Path:
    database = world.environ.get("DATABASE_URL", "")
    if not database:
        raise UsageError(
            "there is no PostgreSQL to put behind a fault proxy",
            where="DATABASE_URL",
            hint="Start one for this and name it, for example DATABASE_URL=postgresql://velro@127.0.0.1:5432/postgres.",
        )
    with contextlib.ExitStack() as stack:
        redis, _ = stack.enter_context(redis_server())
        environ = {
            **world.environ,
            "REDIS_URL": redis,
            "VELRO_REDIS_PROXY": f"127.0.0.1:{_free_port()}",
            "VELRO_DATABASE_PROXY": f"127.0.0.1:{_free_port()}",
        }
        asked = RunOptions(scenario=shipped_scenario(SCENARIO), profile=PROFILE)
        # The proxies listen before the sandbox connects through them; its address is known only then.
        early = stack.enter_context(with_injector(prepare(asked, environ, need_secrets=False)))
        sandbox = stack.enter_context(
            start(
                Settings(
                    port=0,
                    pool_size=20,
                    redis_url=_through(redis, environ["VELRO_REDIS_PROXY"]),
                    database_url=_through(database, environ["VELRO_DATABASE_PROXY"]),
                    # Entries expire all the time, so that Redis and the database are asked all the time.
                    memory_ttl=0.5,
                    database_deadline=0.5,
                    breaker_recovery=0.5,
                    wrong=wrong,
                )
            )
        )
        setup = prepare(replace(asked, url=sandbox.url), {**environ, "SUPABASE_SERVICE_KEY": sandbox.key})
        if phase is not None:
            setup = replace(setup, plan=replace(setup.plan, phases=(phase(setup.plan.phases[0], sandbox),)))
        results = make_results(root, name)
        record = measure(replace(setup, injector=early.injector), results, world)
    return _kept(record, results, root)


def _moved(
    root: Path,
    name: str,
    _wrong: tuple[str, ...],
    _phase: Changed | None,
    *,
    world: Effects,
    measure: MeasureRun,
    start: StartSandbox,
) -> Path:
    """A run in which one of two replicas is frozen."""
    secret = secrets.token_urlsafe(32)
    settings = Settings(port=0, users=200, pool_size=5, secret=secret)
    with start(settings) as first, start(settings) as second:
        urls = {"VELRO_API_URL": first.url, "VELRO_REPLICA_URL": second.url, "SUPABASE_SERVICE_KEY": first.key}
        proxies = {f"VELRO_{each}_PROXY": f"127.0.0.1:{_free_port()}" for each in ("REDIS", "DATABASE")}
        setup = prepare(
            RunOptions(scenario=shipped_scenario(SCENARIO), profile="failover"), {**world.environ, **proxies, **urls}
        )
        (phase,) = setup.plan.phases
        (lost,) = phase.experiments
        frozen = ProcessAction(blow=Blow.FREEZE, of=f"pid:{second.pid}")
        shorter = replace(lost, at=5.0, steady=4.0, action=frozen)
        phase = replace(phase, ramp=1.0, duration=32.0, experiments=(shorter,))
        results = make_results(root, name)
        record = measure(replace(setup, plan=replace(setup.plan, phases=(phase,))), results, world)
    return _kept(record, results, root)


def _kept(record: RunRecord, results: Results, root: Path) -> Path:
    if record.interrupted:
        (results.folder / RECORD).unlink(missing_ok=True)
        raise InterruptedRunError("the runs were interrupted", where=str(root), hint="Run the same command again.")
    return results.folder


def _faults(phase: Phase, sandbox: RunningSandbox) -> Phase:
    """The phase with faults that nothing can hide, one after another."""
    p95 = Expectation(kind=Expected.P95, limit=0.1, step=_CREATE)
    errors = Expectation(kind=Expected.ERRORS, limit=0.01, step=_CREATE)
    frozen = Expectation(kind=Expected.P95, limit=0.1)
    experiments = (
        Experiment(
            name="database_delayed",
            at=3.0,
            lasts=3.0,
            action=NetworkAction(proxy="database", fault=NetworkFault(delay=0.15)),
            expected=(p95,),
        ),
        Experiment(
            name="database_refused",
            at=10.0,
            lasts=3.0,
            action=NetworkAction(proxy="database", fault=NetworkFault(outage=Outage.REFUSE)),
            expected=(errors,),
        ),
        Experiment(
            name="service_frozen",
            at=19.0,
            lasts=5.0,
            action=ProcessAction(blow=Blow.FREEZE, of=f"pid:{sandbox.pid}"),
            expected=(frozen, Expectation(kind=Expected.FAILOVER, limit=2.0)),
        ),
    )
    return replace(phase, duration=_FAULT_SECONDS, experiments=experiments)


def _through(url: str, proxy: str) -> str:
    """A URL that leads to a proxy instead of where it led."""
    parts = urlsplit(url)
    account = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{account}@{proxy}" if account else proxy))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
