"""The duet: base build and head build side by side in pairs of blocks, from the pilot to the kept record.

From Python (the confirmation of a suspicion, the action): ``duet(setup, builds, options, results, effects, calibration)`` gives
the head build's record and the pairs; ``gate.judge.verdict.reach_duet_verdict`` judges them. A suspicion of a few phases is
measured by a ``setup`` of these phases only.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import trio

from velro_gate import units
from velro_gate.analysis.duet.block_figures import unusable
from velro_gate.analysis.duet.comparison import UNDECIDED, compare_pairs, hopeless, next_look, usable_pairs
from velro_gate.analysis.duet.pair_order import balance_of, drawn_order
from velro_gate.analysis.verdict.judge_duet import head_phases
from velro_gate.cluster.forecast import OF_DUET
from velro_gate.engine.responder.process import running_responder
from velro_gate.errors import VelroError
from velro_gate.gate.builds.output import BuildOutput
from velro_gate.gate.builds.run import Builds, RunningBuild
from velro_gate.gate.duet.blocks import BlockRunner, BlockShape, Place
from velro_gate.gate.duet.pilot import DuetOptions, PilotResult, run_pilot
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.experiments import through_proxies, with_injector
from velro_gate.gate.measure.null_run import Calibration, NullRunMissing
from velro_gate.gate.measure.results import Results, RunLog, log_end
from velro_gate.gate.measure.run import make_room, noise_or_reason, run_trio, stop_on_signal
from velro_gate.gate.measure.setup import Setup, is_loopback
from velro_gate.model.duet import Block, Duet, DuetRecord, Pair, Side
from velro_gate.model.masking import mask, secret_values
from velro_gate.model.metrics import TAIL
from velro_gate.model.record import GeneratorNoise, Plan, RunRecord
from velro_gate.report.sentences.kinds.trust import trust_words
from velro_gate.store.duets import write_duet

NOT_RESTARTED = (
    "not every build was restarted for each block: only those that a command starts are (--base-command, --head-command)"
)
STARTED_BY_COMMAND = "started by its command for each block"


@dataclass(slots=True)
class _DuetState:
    """How far a duet has come: what is kept, however it ends."""

    pairs: list[Pair] = field(default_factory=list)
    pilot: PilotResult | None = None
    noise: GeneratorNoise | None = None
    notes: list[str] = field(default_factory=list)
    shards: int = 1
    interrupted: bool = False


def duet(
    setup: Setup,
    builds: Builds,
    options: DuetOptions,
    results: Results,
    effects: Effects,
    calibration: Calibration | None = None,
) -> tuple[RunRecord, DuetRecord]:
    """Measure pairs of blocks until every primary figure is decided, or the last look, and keep them in the results folder.

    An interrupted duet is kept as well, marked as such; so are the whole pairs of one that ended by an error.

    Args:
        setup: the scenario and its phases; its address and phase lengths are replaced by those of the builds and blocks.
        builds: where the two are, or how to start them.
        options: the seed, and what the pilot is not to choose.
        results: the folder, with the log of the duet and of each build.
        effects: the outside world; its environment is that of the builds' commands, too.
        calibration: measures the generator's own noise; None: it is left out, which the record notes.

    Returns:
        The record of the head build (each phase over all of its blocks) and the pairs.

    Raises:
        UsageError: a build's directory does not exist. StorageError: the results cannot be kept. BrokenError: a build cannot be
            started, is not healthy, or the base build does not work. InfeasibleError: this machine cannot carry out the plan,
            or it would take longer than it may.
    """
    setup, started = replace(setup, cluster=effects.cluster), effects.utc_now()
    hidden = [*setup.secrets.values(), *secret_values(effects.environ)]
    outputs = {side: BuildOutput(results.folder / f"{side.value}.log", hidden) for side in Side}
    state = _DuetState()
    builds = builds.through(setup.scenario.proxies)
    effects = replace(effects, environ=through_proxies("", effects.environ, setup.scenario.proxies)[1])

    def keep() -> tuple[RunRecord, DuetRecord]:
        """Write what has been measured so far."""
        kept = _kept(setup, builds, options, state)
        record = _head_record(results.folder.name, started, setup, builds, kept, state, effects, hidden)
        write_duet(results.folder, record, kept)
        return record, kept

    with RunLog(results, hidden) as log, with_injector(setup):
        log.info("duet %s: %s, profile %s, seed %d", results.folder.name, setup.plan.scenario, setup.plan.profile, options.seed)
        try:
            builds.check()
            local = _as_measured(setup, builds)
            state.shards = make_room(_at_most(local, options.longest_block), effects, log, kept=OF_DUET)
            run_trio(partial(_measure_duet, local, builds, options, state, outputs, effects, log, calibration))
        except VelroError as error:
            log_end(log, results, error)
            if state.pairs:
                state.notes.append(f"the duet ended early: {error.what}")
                keep()
            raise
        except KeyboardInterrupt:
            # The second signal ends the duet at once, but what has been measured is kept.
            state.interrupted = True
            if state.pairs:
                keep()
            raise
        finally:
            for output in outputs.values():
                output.keep()
        kept = keep()
        log.info("record kept")
    return kept


def _head_record(
    name: str,
    started: datetime,
    setup: Setup,
    builds: Builds,
    kept: DuetRecord,
    state: _DuetState,
    effects: Effects,
    hidden: Sequence[str],
) -> RunRecord:
    """The run of the head build as the duet has measured it so far. hidden: secrets, which are masked."""
    return RunRecord(
        id=name,
        started_at=f"{started:%Y-%m-%dT%H:%M:%SZ}",
        tool=effects.environment().tool,
        plan=_plan(setup.plan, kept),
        environment=effects.environment(),
        revision=builds.head.revision,
        phases=head_phases(kept.duet),
        url=mask(builds.head.url, hidden) if isinstance(builds.head, RunningBuild) else STARTED_BY_COMMAND,
        interrupted=state.interrupted,
        notes=tuple(mask(note, hidden) for note in state.notes),
        shards=state.shards,
        generator_noise=state.noise,
        selftest=effects.selftest,
    )


def _as_measured(setup: Setup, builds: Builds) -> Setup:
    """The setup as this machine has to carry it: a build that we start shares its cores with the load."""
    url = builds.head.url if isinstance(builds.head, RunningBuild) else "http://127.0.0.1"
    # The path under which the routes are is the scenario's.
    target = setup.scenario.target
    if not isinstance(builds.head, RunningBuild) and is_loopback(target.url):
        url = target.url
    return replace(setup, scenario=replace(setup.scenario, target=replace(target, url=url, urls=(), unix_socket=None)))


def _at_most(setup: Setup, seconds: float) -> Setup:
    """The setup with phases no longer than a block, whose samples and planned requests are in memory at a time."""
    phases = tuple(replace(phase, duration=min(phase.duration, seconds)) for phase in setup.phases)
    return replace(setup, plan=replace(setup.plan, phases=phases))


async def _measure_duet(
    setup: Setup,
    builds: Builds,
    options: DuetOptions,
    state: _DuetState,
    outputs: dict[Side, BuildOutput],
    effects: Effects,
    log: logging.Logger,
    calibration: Calibration | None,
) -> None:
    began, stop = trio.current_time(), trio.Event()
    async with trio.open_nursery() as nursery, running_responder() as responder:
        if effects.signals:
            nursery.start_soon(stop_on_signal, effects.signals, stop, effects.say)
        runner = BlockRunner(
            setup,
            builds,
            shards=state.shards,
            outputs=outputs,
            control_url=responder.url,
            effects=effects,
            log=log,
            stop=stop,
        )
        state.notes = runner.notes
        noise = await noise_or_reason(setup, calibration, effects, stop)
        if isinstance(noise, NullRunMissing):
            runner.note(noise.reason)
        else:
            state.noise = noise
        if not builds.restarted:
            runner.note(NOT_RESTARTED)
        if not stop.is_set():
            state.pilot = await run_pilot(runner, options, trio.current_time() - began)
        if state.pilot is not None and not stop.is_set():
            await measure_pairs(runner, state.pilot, options, state.pairs, began + options.most_seconds)
        state.interrupted = stop.is_set()
        nursery.cancel_scope.cancel()


async def measure_pairs(
    runner: BlockRunner, plan: PilotResult, options: DuetOptions, pairs: list[Pair], deadline: float
) -> None:
    """Pair after pair, until a look ends it, time runs out, a build crashes, or it is stopped.

    A pair that cannot be used is measured again, in the same order of the builds, as long as the others would still count.
    pairs: grows by each; deadline: on trio's clock.
    """
    held = _duet(runner.setup, options, plan, ())
    order = drawn_order(held.balance, plan.looks[-1].pairs, options.seed)
    until = plan.looks[0].pairs
    while (used := len(usable_pairs(held))) < until:
        if trio.current_time() + 2.0 * plan.seconds > deadline and pairs:
            runner.note(
                f"time ran out after {used} usable pairs of {until}: the blocks took longer than the pilot's, or pairs "
                "were measured again (--max-minutes allows more)"
            )
            return
        if hopeless(held):
            runner.note(f"the duet ended early: {len(held.pairs) - used} of {len(held.pairs)} pairs could not be used")
            return
        began = trio.current_time()
        pair = await _pair(runner, plan.shape, order[used], len(held.pairs) + 1, until + len(held.pairs) - used)
        if pair is None:
            return
        pairs.append(pair)
        held = replace(held, pairs=tuple(pairs))
        used = len(usable_pairs(held))
        left = (until - used) * (trio.current_time() - began)
        runner.say(f"{_pair_words(pair, used, until)}; {units.format_whole_duration(left)} to the next look")
        if pair.base.gone or pair.head.gone:
            runner.note("the duet ended early: a build stopped responding under load, and more pairs would not change that")
            return
        until = _look(runner, held, until)


async def _pair(runner: BlockRunner, shape: BlockShape, first: Side, number: int, count: int) -> Pair | None:
    """A block of each build; None when it was stopped before both were whole."""
    blocks: dict[Side, Block] = {}
    for place, side in enumerate((first, first.other), start=2 * number - 1):
        title = f"pair {number} of {count}, {side.value}"
        # Both blocks of a pair get the same arrivals: what chance does to one it does to the other.
        measured = await runner.block(side, shape, Place(title=title, number=place, count=2 * count, draw=number))
        if measured is None or any(phase.interrupted for phase in measured.block.phases):
            return None
        blocks[side] = measured.block
    return Pair(base=blocks[Side.BASE], head=blocks[Side.HEAD], first=first)


def _look(runner: BlockRunner, held: Duet, until: int) -> int:
    """How many pairs there have to be; said when it is a look."""
    used = len(usable_pairs(held))
    if used < until:
        return until
    rows = compare_pairs(held)
    wanted = next_look(held, rows)
    primary = [row for row in rows if row.primary]
    open_rows = sum(row.verdict in UNDECIDED for row in primary)
    decided = f"look after {used} pairs: {len(primary) - open_rows} of {len(primary)} figures are decided"
    runner.say(f"{decided}; going on to {wanted} pairs" if wanted > used else f"{decided}; no more pairs are measured")
    return wanted


def _pair_words(pair: Pair, number: int, count: int) -> str:
    """What a pair showed, in one line: p95 of the first phase on either side, and what spoils the pair."""
    spoilt = unusable(pair)
    if spoilt is not None:
        said = trust_words(spoilt).sentence
        return f"a pair is left out and measured again: {said}; {number} of {count} are measured"
    base, head = (block.phases[0].measurement(TAIL) if block.phases else None for block in (pair.base, pair.head))
    if base is None or head is None or base.value <= 0.0:
        return f"pair {number} of {count} is measured"
    figures = f"{units.format_seconds(base.value)} -> {units.format_seconds(head.value)}"
    return f"pair {number} of {count}: p95 {units.format_change(head.value / base.value - 1.0)} ({figures})"


def _kept(setup: Setup, builds: Builds, options: DuetOptions, state: _DuetState) -> DuetRecord:
    plan = state.pilot
    return DuetRecord(
        duet=_duet(setup, options, plan, state.pairs),
        warm_up=0.0 if plan is None else plan.shape.warm_up,
        block_seconds=0.0 if plan is None else plan.shape.seconds,
        restarted=builds.restarted,
        base=builds.base.revision,
    )


def _duet(setup: Setup, options: DuetOptions, plan: PilotResult | None, pairs: Sequence[Pair]) -> Duet:
    looks = options.looks if plan is None else plan.looks
    return Duet(
        pairs=tuple(pairs),
        steps=setup.plan.steps,
        policy=setup.plan.policy,
        seed=options.seed,
        looks=looks,
        balance=balance_of(looks),
    )


def _plan(plan: Plan, kept: DuetRecord) -> Plan:
    """The plan as the blocks carried it out. Its digest is one of its own: a duet offers another load than a run does."""
    if not kept.block_seconds:
        return plan
    phases = BlockShape(warm_up=kept.warm_up, seconds=kept.block_seconds).phases(plan.phases)
    text = f"{plan.digest}/duet/{kept.warm_up!r}/{kept.block_seconds!r}"
    return replace(plan, phases=phases, digest=hashlib.sha256(text.encode()).hexdigest())
