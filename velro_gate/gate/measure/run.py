"""Run the load and the monitor, and keep everything that a later judgement needs."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from time import perf_counter
from types import MappingProxyType
from typing import TypeVar

import trio

from velro_gate.analysis.bottlenecks.find import bottlenecks
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.analysis.summaries.reduced.phase import summarise_reduced
from velro_gate.analysis.summaries.reduced.tables import Reduced
from velro_gate.cluster.forecast import Unreduced
from velro_gate.engine.client.preflight import preflight
from velro_gate.engine.machine.feasibility import (
    Shortfall,
    descriptors_needed,
    raise_descriptor_limit,
    read_machine,
    require_feasible,
)
from velro_gate.engine.run import Load, nobody
from velro_gate.errors import VelroError
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.experiments import Broken, Experimenter, with_injector
from velro_gate.gate.measure.holding import HeldSignals
from velro_gate.gate.measure.newest import NewestReadings
from velro_gate.gate.measure.null_run import Calibration, NullRun, NullRunMissing, null_run
from velro_gate.gate.measure.results import Results, RunLog, log_end
from velro_gate.gate.measure.sending import make_room_on_cluster, phases_reduced, send_load, start_skew
from velro_gate.gate.measure.setup import Setup, page_route
from velro_gate.leftovers import orphans_ended
from velro_gate.model.masking import mask, secret_values
from velro_gate.model.metric.own import OWN, MetricOrigin
from velro_gate.model.record import GeneratorNoise, PhaseSummary, Plan, RunRecord
from velro_gate.model.run import FirstFailure, LoadResult, PhaseRun, Progress, Reading, RunFacts
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Phase, Target
from velro_gate.monitor.reader import READY_SECONDS, started_reader
from velro_gate.monitor.reader_process import ReadingOrder
from velro_gate.monitor.watching import MONITOR
from velro_gate.report.parts.measured import failed_kind
from velro_gate.store.records import SampleWriter, read_kept, write_record

T = TypeVar("T")
_Measured = tuple[LoadResult, tuple[Reading, ...], GeneratorNoise | None, Broken]

MONITOR_EVERY = 1.0
"""Seconds between two looks at the service and the runner."""

_NONE_REDUCED: Mapping[str, Reduced] = MappingProxyType({})

NOT_CALIBRATED = "no null run was made, so what the generator alone adds to response times is not known"
"""The note of a run that was asked to leave it out."""


def _no_experiments(_: float, __: trio.Nursery) -> None:
    """Where nothing is broken on purpose."""


def run(setup: Setup, results: Results, effects: Effects, calibration: Calibration | None = None) -> RunRecord:
    """Check that the plan is feasible and the service healthy, run the load, and keep the record in the results folder.

    An interrupted run, or one whose service stopped responding, is kept as well, marked as such. calibration: for the
    generator's own noise, measured before the load unless it is known already; None: it is left out, which the record notes.

    Raises:
        StorageError: the results cannot be kept. UnreachableError: no healthy service. InfeasibleError: this machine cannot
            carry out the plan.
    """
    setup, started = replace(setup, cluster=effects.cluster), effects.utc_now()
    # Whatever a service returned may repeat a secret that was sent to it.
    hidden = [*setup.secrets.values(), *secret_values(effects.environ)]
    url = mask(setup.scenario.target.url, hidden)
    with RunLog(results, hidden) as log, with_injector(setup) as ready:
        log.info("run %s: %s, profile %s, against %s", results.folder.name, setup.plan.scenario, setup.plan.profile, url)
        try:
            reduce = phases_reduced(setup)
            shards = make_room(setup, effects, log)
            notes: list[str] = []
            done: list[_Measured] = []
            # Signals are held until the record is written: a Ctrl-C that comes then ends the command, and loses nothing that
            # was measured.
            with HeldSignals(effects.signals) as held:
                with SampleWriter(results.samples) as writer:
                    try:
                        wanted = partial(_measure, ready, shards, writer, effects, log, notes, calibration, done.append)
                        run_trio(partial(wanted, reduce=reduce))
                    except KeyboardInterrupt:
                        if not done:
                            raise
                        held.begin(came=True)
                    else:
                        held.begin()
                result, readings, noise, broken = done[0]
                facts = RunFacts(
                    phases=masked(result.phases, hidden),
                    readings=readings,
                    layers=result.layers,
                    experiments=tuple(replace(each, fault=mask(each.fault, hidden)) for each in broken.carried),
                    dependencies=broken.counts,
                )
                record = RunRecord(
                    id=results.folder.name,
                    started_at=f"{started:%Y-%m-%dT%H:%M:%SZ}",
                    tool=effects.environment().tool,
                    plan=setup.plan,
                    environment=effects.environment(),
                    revision=effects.revision(),
                    phases=summaries(setup.plan, facts, *read_kept(results.samples)),
                    url=url,
                    interrupted=result.interrupted,
                    notes=tuple(mask(note, hidden) for note in notes),
                    shards=shards,
                    generator_noise=noise,
                    selftest=effects.selftest,
                )
                write_record(results.folder, record, facts)
        except VelroError as error:
            log_end(log, results, error)
            raise
        except Exception:
            log.exception("the run ended with an unexpected error")
            raise
        log.info("record kept")
    return record


def masked(phases: Sequence[PhaseRun], hidden: Sequence[str]) -> tuple[PhaseRun, ...]:
    """The same, what the service showed in its failed responses free of these values."""

    def clean(failed: FirstFailure) -> FirstFailure:
        """The failure with secrets masked, before it is kept anywhere."""
        request, reason = mask(failed.request, hidden), mask(failed.reason, hidden)
        return replace(failed, request=request, reason=reason, came=mask(failed.came, hidden), seen=mask(failed.seen, hidden))

    return tuple(replace(ran, failures=tuple(map(clean, ran.failures))) for ran in phases)


def measure_generator(setup: Setup, seconds: float, effects: Effects) -> NullRun:
    """Measure the generator alone at the plan's peak load; nothing is kept, and the service is not needed.

    Raises:
        BrokenError: it could not be measured.
    """
    setup = replace(setup, cluster=effects.cluster)
    made = run_trio(partial(null_run, setup, seconds=seconds, stop=trio.Event(), observe=effects.observe))
    assert made is not None  # nobody sets that event
    return made


def summaries(
    plan: Plan, facts: RunFacts, samples: Mapping[str, Samples], reduced: Mapping[str, Reduced] = _NONE_REDUCED
) -> tuple[PhaseSummary, ...]:
    """Every phase that was run, summarised from its samples, or from what they were reduced to, and from its readings."""
    planned = {phase.name: phase for phase in plan.phases}
    return tuple(
        _reduced_summary(planned[ran.name], plan, ran, reduced[ran.name], facts)
        if ran.name in reduced
        else _summary(planned[ran.name], plan, ran, samples.get(ran.name, Samples.empty()), facts)
        for ran in facts.phases
    )


def _reduced_summary(phase: Phase, plan: Plan, ran: PhaseRun, reduced: Reduced, facts: RunFacts) -> PhaseSummary:
    readings = [reading for reading in facts.readings if ran.started <= reading.at <= ran.ended]
    made = summarise_reduced(phase, plan.steps, ran, reduced, readings, facts.layers, plan.metrics)
    # Those that show in single requests are not looked for.
    return replace(made, bottlenecks=bottlenecks(phase, plan.steps, ran, made, Samples.empty(), readings))


def _summary(phase: Phase, plan: Plan, ran: PhaseRun, samples: Samples, facts: RunFacts) -> PhaseSummary:
    readings = [reading for reading in facts.readings if ran.started <= reading.at <= ran.ended]
    carried = [each for each in facts.experiments if each.phase == ran.name]
    counts = [each for each in facts.dependencies if ran.started <= each.at <= ran.ended]
    made = summarise(phase, plan.steps, ran, samples, readings, facts.layers, plan.metrics, carried, counts)
    return replace(made, bottlenecks=bottlenecks(phase, plan.steps, ran, made, samples, readings))


def make_room(setup: Setup, effects: Effects, log: logging.Logger, *, kept: Unreduced | None = None) -> int:
    """Raise what may be raised, refuse what cannot work, and say what may blur the figures. How many shards there will be.

    kept: why the workers of a cluster reduce the samples of no phase; None: they may.
    """

    def warn(caveat: Shortfall) -> None:
        """Say what the machine may be too small for, at once and in the log."""
        log.warning("%s: %s", caveat.phase, caveat.sentence)
        effects.say(f"caveat, phase {caveat.phase}: {caveat.sentence} {caveat.hint}")

    if setup.cluster is not None:
        return make_room_on_cluster(setup, setup.cluster, warn, log, kept=kept)
    shards = setup.shard_count(read_machine())
    # The shards inherit the limit.
    raise_descriptor_limit(descriptors_needed(setup.phases, shards=shards))
    for caveat in require_feasible(
        setup.phases, scenario=setup.scenario, service_is_local=setup.service_is_local, shards=shards
    ):
        warn(caveat)
    if shards > 1:
        log.info("sent by %d shards", shards)
    return shards


async def _measure(
    setup: Setup,
    shards: int,
    writer: SampleWriter,
    effects: Effects,
    log: logging.Logger,
    notes: list[str],
    calibration: Calibration | None,
    keep: Callable[[_Measured], None],
    reduce: frozenset[str],
) -> None:
    target = setup.scenario.target
    health = await preflight(target, wait_seconds=setup.start_seconds)
    log.info("service is healthy: %s", health)

    def note(sentence: str) -> None:
        """Log a sentence, and keep it for the record."""
        log.warning("%s", sentence)
        notes.append(sentence)

    broken = Broken()

    def experimenting(origin: float, nursery: trio.Nursery) -> Experimenter | None:
        """What carries out the experiments of this run; None where it has none."""
        return (
            None
            if setup.injector is None
            else Experimenter(
                injector=setup.injector,
                target=target,
                secrets=setup.secrets,
                environ=effects.environ,
                origin=origin,
                log=log,
                note=note,
                nursery=nursery,
                user=setup.user,
            )
        )

    def keep_broken(found: Broken) -> None:
        """Remember why an experiment broke the run, for when the load has ended."""
        nonlocal broken
        broken = found

    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        if effects.signals:
            nursery.start_soon(stop_on_signal, effects.signals, stop, effects.say)
        noise = await noise_or_reason(setup, calibration, effects, stop)
        if isinstance(noise, NullRunMissing):
            note(noise.reason)
        else:
            log.info("generator alone: %s", noise)
        result, readings = await watched_load(
            setup,
            shards,
            sink=writer.append,
            observe=effects.observe,
            log=log,
            note=note,
            stop=stop,
            experimenting=experimenting,
            broken=keep_broken,
            reduce=reduce,
            reduced=writer.add_reduced,
        )
        for sentence in never_shown(target, readings):
            note(sentence)
        keep((result, readings, None if isinstance(noise, NullRunMissing) else noise, broken))
        nursery.cancel_scope.cancel()


def never_shown(target: Target, readings: Sequence[Reading]) -> list[str]:
    """The families that the scenario names and a metrics page that could be read never showed, with their series."""
    page_read = any(each.source == MONITOR and each.name == "metrics_up" and each.value > 0.0 for each in readings)
    shown = {each.name for each in readings if each.source == "service"}
    missing = [(series, family) for series, family in target.named_families if series not in shown]
    return [f"{series} is not watched: the metrics page never showed {family}" for series, family in missing if page_read]


async def watched_load(
    setup: Setup,
    shards: int,
    *,
    sink: Callable[[str, Samples], None],
    observe: Callable[[Progress], None],
    log: logging.Logger,
    note: Callable[[str], None],
    stop: trio.Event,
    experimenting: Callable[[float, trio.Nursery], Experimenter | None] = _no_experiments,
    broken: Callable[[Broken], None] = nobody,
    reduce: frozenset[str] = frozenset(),
    reduced: Callable[[str, Reduced], None] = nobody,
) -> tuple[LoadResult, tuple[Reading, ...]]:
    """Send a plan's load, the service and the runner watched meanwhile. sink: gets the samples; note: what was not read.
    reduce, reduced: see ``send_load``.

    experimenting: makes what carries out experiments, from the run's start on trio's clock; broken: gets what was broken then.
    """
    target = setup.scenario.target
    readings: list[Reading] = []
    newest = NewestReadings()

    def keep(reading: Reading) -> None:
        """Keep a reading for the record, and as the newest for the live page."""
        readings.append(reading)
        newest.keep(reading)

    order = ReadingOrder(
        target=target,
        service_is_local=setup.service_is_local,
        every=MONITOR_EVERY,
        own=setup.scenario.metrics,
        route=page_route(target),
        run=os.getpid(),
        environ=dict(os.environ),
    )
    collects = any(metric.origin is MetricOrigin.COLLECTOR for metric in setup.scenario.metrics)
    # A collector's code may start processes.
    with orphans_ended() if collects else nullcontext():
        async with started_reader(order) as reader, trio.open_nursery() as nursery:
            with trio.move_on_after(READY_SECONDS):
                await reader.ready()
            origin, zero = trio.current_time(), perf_counter()
            experimenter = experimenting(origin, nursery)

            def finished(ran: PhaseRun) -> None:
                """Log what a phase was like, and have its experiments concluded."""
                _log_phase(log, ran)
                if experimenter is not None:
                    experimenter.finished(ran)

            nursery.start_soon(partial(reader.read, zero=zero, now=lambda: trio.current_time() - origin, emit=keep, note=note))
            result = await send_load(
                setup,
                shards,
                Load(scenario=setup.scenario, phases=setup.phases, secrets=setup.secrets),
                origin=origin,
                sink=sink,
                observe=_observer(lambda progress: observe(newest.shown(progress)), log),
                finished=finished,
                began=nobody if experimenter is None else experimenter.began,
                stop=stop,
                reduce=reduce,
                reduced=reduced,
            )
            if experimenter is not None:
                broken(await experimenter.ended())
            nursery.cancel_scope.cancel()
    readings += [
        Reading(at=at, source=OWN, name=found.name, value=value)
        for ran in result.phases
        for found in ran.values
        for at, value in zip(found.at, found.value, strict=True)
    ]
    return replace(result, phases=tuple(replace(ran, values=()) for ran in result.phases)), tuple(readings)


async def noise_or_reason(
    setup: Setup, calibration: Calibration | None, effects: Effects, stop: trio.Event
) -> GeneratorNoise | NullRunMissing:
    """The generator's own noise, or why it is not known."""
    if calibration is None:
        return NullRunMissing(reason=NOT_CALIBRATED)
    return await calibration.noise(setup, stop=stop, say=effects.say, observe=effects.observe)


async def stop_on_signal(signals: tuple[signal.Signals, ...], stop: trio.Event, say: Callable[[str], None]) -> None:
    """The first signal ends the load gracefully; the second one at once."""
    with trio.open_signal_receiver(*signals) as received:
        async for number in received:
            if stop.is_set():
                raise KeyboardInterrupt
            say(f"{signal.Signals(number).name}: ending the run; what was measured is kept (once more to stop at once)")
            stop.set()


def _observer(observe: Callable[[Progress], None], log: logging.Logger) -> Callable[[Progress], None]:
    def see(progress: Progress) -> None:
        """Log the state and show it."""
        log.debug("%s", progress)
        observe(progress)

    return see


def _log_phase(log: logging.Logger, ran: PhaseRun) -> None:
    log.info(
        "phase %s: %d requests sent in %.1f s by %d users%s",
        ran.name,
        ran.sent_total,
        ran.ended - ran.started,
        ran.users,
        _how_it_went(ran),
    )
    if ran.workers:
        log.info("phase %s: %s", ran.name, start_skew(ran.workers))
    for failed in ran.failures:
        log.warning(
            "phase %s: %s; the first: %s: %s", ran.name, failed_kind(failed), failed.request, failed.seen or "no response"
        )


def _how_it_went(ran: PhaseRun) -> str:
    redirects = f", {ran.redirects_followed} redirects followed" if ran.redirects_followed else ""
    tls = f"; TLS: {ran.tls_fault}" if ran.tls_fault is not None else ""
    return redirects + tls + _how_it_ended(ran)


def _how_it_ended(ran: PhaseRun) -> str:
    if ran.shards_lost:
        return f"; given up: {', '.join(ran.shards_lost)}"
    if ran.service_gone is not None or ran.hopeless is not None:
        return f"; given up: {ran.service_gone or ran.hopeless}"
    return "; interrupted" if ran.interrupted else ""


def run_trio(main: Callable[[], Awaitable[T]]) -> T:
    """Run to the end; of a group of errors, raise the one a user can understand."""
    try:
        return trio.run(main)
    except BaseExceptionGroup as group:
        raise _first_known(group) from group


def _first_known(group: BaseExceptionGroup[BaseException]) -> BaseException:
    ours = group.subgroup(VelroError) or group.subgroup(KeyboardInterrupt) or group
    found: BaseException = ours
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
