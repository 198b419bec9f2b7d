"""Reasons to doubt a measurement, worded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from velro_gate import units
from velro_gate.model.facts.doubts import (
    ArrivalsMissed,
    ClockDrifted,
    ControlMissing,
    ControlMoved,
    ControlUnsteady,
    CountersFell,
    DescriptorsLow,
    FewResponses,
    FigureName,
    GcPaused,
    GeneratorCpu,
    Interrupted,
    Lateness,
    LoopLagged,
    MemoryLow,
    MonitorGaps,
    NoSamples,
    NullRunNoise,
    OrderEffect,
    PairsLeftOut,
    PhaseMissing,
    PortsLow,
    ShardLost,
    Stalled,
    StartSkew,
    Steal,
    StoredInstead,
    Throttled,
    TooFewUsers,
    TrustFacts,
    WindowShort,
    Worded,
)
from velro_gate.model.metrics import METRICS
from velro_gate.report.sentences.order import order_words
from velro_gate.report.text.words import Words, listed, subject

_RUN_AGAIN = "Run again and let it finish; a partial record is never judged as a whole."
_OWN_CORE = "Give the generator a core that nothing else uses, or a quieter machine"
_NOISY_RUNNER = "Run on a quieter machine, or again: the runner itself differed between the blocks of the two builds."


def trust_words(facts: TrustFacts) -> Words:
    """A reason to doubt, and what to do about it."""
    return SENTENCES[type(facts)](facts)


def _of(names: tuple[FigureName, ...]) -> str:
    """What might not have failed without a delay; empty where that is not known by name."""
    if not names:
        return ""
    return f"; without that delay {listed([subject(one.metric, one.step) for one in names], 3)} might not have failed"


def _worded(facts: Worded) -> Words:
    return Words(sentence=facts.sentence, advice=facts.advice)


def _phase_missing(facts: PhaseMissing) -> Words:
    return Words(
        sentence=f"the phase {facts.phase} was not reached",
        advice="Find out what ended the run before it, fix that, and run again.",
    )


def _shard_lost(facts: ShardLost) -> Words:
    return Words(
        sentence=f"a process of the generator was lost in {facts.phase}: {', '.join(facts.how)}",
        advice="Look for the cause in the system log ('journalctl -k'; most often out of memory), fix it, and run again.",
    )


def _interrupted(facts: Interrupted) -> Words:
    where = f" in {facts.phase}" if facts.phase else ""
    after = "" if facts.seconds is None else f", {units.format_duration(facts.seconds)} into the measured stretch"
    return Words(sentence=f"the run was interrupted{where}{after}", advice=_RUN_AGAIN)


def _window_short(facts: WindowShort) -> Words:
    measured, planned = units.format_duration(facts.seconds), units.format_duration(facts.planned)
    return Words(
        sentence=f"only {measured} of the planned {planned} of {facts.phase} were measured",
        advice="Run again and let the phase finish; a longer ramp helps where users take long to connect.",
    )


def _no_samples(facts: NoSamples) -> Words:
    return Words(
        sentence=f"no request of {facts.phase} was sent in its measured stretch",
        advice="Check the phase's rate and users with 'velro-gate check', and that the service accepts connections.",
    )


def _arrivals_missed(facts: ArrivalsMissed) -> Words:
    than = "" if facts.offered is None else f" than {units.format_rate(facts.offered)}"
    missed, due = units.format_count(facts.missed), units.format_count(facts.due)
    return Words(
        sentence=f"the generator did not send {missed} of {due} requests of {facts.phase}: it could not keep up",
        advice=f"Give the generator a core of its own, or offer less{than} from this machine.",
    )


def _lateness(facts: Lateness) -> Words:
    share, limit = units.format_share(facts.late / facts.limit), units.format_seconds(facts.limit)
    most = f"; the loop of {facts.worker} lagged most" if facts.worker else ""
    return Words(
        sentence=f"1 % of the requests of {facts.phase} left {units.format_seconds(facts.late)} late or later, "
        f"{share} of the latency limit of {limit}{_of(facts.affected)}{most}",
        advice=f"{_OWN_CORE}: otherwise this delay is counted as service latency.",
    )


def _loop_lag(facts: LoopLagged) -> Words:
    busy, limit = units.format_seconds(facts.busy), f"the latency limit of {units.format_seconds(facts.limit)}"
    if facts.once:
        sentence = f"the generator's loop was once busy for {busy} in {_where(facts)}, longer than {limit}"
    else:
        share = units.format_share(facts.busy / facts.limit)
        sentence = f"the generator's loop was busy for {busy} at a stretch in {_where(facts)} (p99), {share} of {limit}"
    return Words(
        sentence=f"{sentence}{_of(facts.affected)}",
        advice="Responses are read late while the loop is busy: give the generator a core of its own, a lower rate or more "
        "shards.",
    )


def _gc_pause(facts: GcPaused) -> Words:
    longest = units.format_seconds(facts.longest)
    return Words(
        sentence=f"the generator paused for a full garbage collection in {facts.phase} "
        f"({units.format_count(facts.collections)} in all, the longest {longest}){_of(facts.affected)}",
        advice="It only collects during a measurement when its memory grows too far: use fewer users, or more shards.",
    )


def _stalled(facts: Stalled) -> Words:
    limit = "" if facts.limit is None else f", longer than the latency limit of {units.format_seconds(facts.limit)}"
    return Words(
        sentence=f"the generator stalled in {_where(facts)}, for up to {units.format_seconds(facts.longest)}"
        f"{limit}{_of(facts.affected)}",
        advice=f"{_OWN_CORE}, and run again.",
    )


def _null_run_noise(facts: NullRunNoise) -> Words:
    metric, share = facts.figure.metric, units.format_share(facts.own / facts.limit)
    return Words(
        sentence=f"the generator alone, at {units.format_rate(facts.rate)}, shows {METRICS[metric].label} "
        f"{units.format_seconds(facts.own)} on this runner: {share} of the limit of {units.format_seconds(facts.limit)} on "
        f"{subject(metric, facts.figure.step)} in {facts.phase}",
        advice="A limit so close to the generator's own noise cannot be checked from here: use a faster or quieter runner, "
        "more shards or a lower rate.",
    )


def _generator_cpu(facts: GeneratorCpu) -> Words:
    return Words(
        sentence=f"the generator used {units.format_share(facts.share)} of its core in {_where(facts)}",
        advice="A generator near its limit measures itself: offer less from this machine, or use a faster one.",
    )


def _steal(facts: Steal) -> Words:
    return Words(
        sentence=f"the host took {units.format_share(facts.share)} of {facts.worker or 'this machine'}'s CPU in {facts.phase}",
        advice="Other guests of the host slow this one down: use a dedicated runner, or run at a quieter hour.",
    )


def _throttled(facts: Throttled) -> Words:
    return Words(
        sentence=f"a CPU quota throttled the generator for {units.format_share(facts.share)} of the time in {_where(facts)}",
        advice="Raise or remove the quota of the runner's container or service (cpu.max, --cpus, CPUQuota=).",
    )


def _memory(facts: MemoryLow) -> Words:
    return Words(
        sentence=f"only {units.format_bytes(facts.free)} of memory were left for the generator in {_where(facts)}",
        advice="Free some memory ('ps aux --sort=-rss' lists what holds it), or raise the runner's limit: it may swap or end.",
    )


def _descriptors(facts: DescriptorsLow) -> Words:
    return Words(
        sentence=f"the generator {_left(facts.free)} file descriptors in {_where(facts)}",
        advice="Raise the limit of open files ('ulimit -Hn 65536' as root, or LimitNOFILE= of the runner's service), or use "
        "fewer users.",
    )


def _ports(facts: PortsLow) -> Words:
    return Words(
        sentence=f"the generator {_left(facts.free)} local ports in {_where(facts)}",
        advice="Widen net.ipv4.ip_local_port_range, use fewer users, or keep connections alive.",
    )


def _where(facts: GeneratorCpu | Steal | Throttled | MemoryLow | DescriptorsLow | PortsLow | LoopLagged | Stalled) -> str:
    return f"{facts.phase} on {facts.worker}" if facts.worker else facts.phase


def _left(free: int) -> str:
    return "ran out of" if free <= 0 else f"had only {units.format_count(free)} free"


def _too_few_users(facts: TooFewUsers) -> Words:
    never = f", and {_sent(facts.blocked)} never sent" if facts.blocked else ""
    return Words(
        sentence=f"{units.format_counted(facts.users, 'user')} {'is' if facts.users == 1 else 'are'} too few for "
        f"{units.format_rate(facts.offered)} in {facts.phase}"
        f": of the median response time of {units.format_seconds(facts.response)} the service took "
        f"{units.format_seconds(facts.service)}, the rest is waiting behind the same user's earlier request{never}",
        advice=f"Give the phase at least {units.counted(units.format_whole_up(2.0 * facts.needed), 'user')}, or a lower rate.",
    )


def _sent(count: int) -> str:
    return f"{units.format_counted(count, 'request')} {'was' if count == 1 else 'were'}"


def _few_answers(facts: FewResponses) -> Words:
    name = subject(facts.figure.metric, facts.figure.step)
    return Words(
        sentence=f"{name} in {facts.phase} rests on {units.format_counted(facts.answers, 'response')}, "
        f"{units.format_whole_down(facts.beyond)} of them beyond it",
        advice="Measure longer or offer more requests: the fewer responses lie beyond a quantile, the wider its interval.",
    )


def _monitor_gaps(facts: MonitorGaps) -> Words:
    few, most = (units.format_counted(count, "time") for count in (facts.readings, facts.most))
    return Words(
        sentence=f"the {facts.source} was read only {few} in {facts.phase}, other sources {most}",
        advice=f"See in the log why the {facts.source} could not be read; its figures cover only part of the phase.",
    )


def _counters_fell(facts: CountersFell) -> Words:
    return Words(
        sentence=f"counters of the {facts.source}, such as {facts.series}, fell {units.format_counted(facts.falls, 'time')} in "
        f"{facts.phase}: several workers answer behind one port, each with its own",
        advice="Give the metrics page all workers' figures, as prometheus_client does with PROMETHEUS_MULTIPROC_DIR.",
    )


def _start_skew(facts: StartSkew) -> Words:
    return Words(
        sentence=f"the workers began {facts.phase} up to {units.format_seconds(facts.skew)} apart, {facts.worker} last",
        advice="Use workers near to each other and to this machine, with cores that nothing else uses.",
    )


def _clock_drift(facts: ClockDrifted) -> Words:
    return Words(
        sentence=f"the clock of {facts.worker} had moved by {units.format_seconds(facts.drift)} by the end of {facts.phase}",
        advice="Synchronise the clocks of all machines (chrony or systemd-timesyncd), or use shorter runs.",
    )


def _pairs_left_out(facts: PairsLeftOut) -> Words:
    why = listed(list(dict.fromkeys(trust_words(reason).sentence for reason in facts.reasons)), 2, between="; ")
    said = f"{units.format_count(facts.left_out)} of {units.format_count(facts.pairs)} pairs of blocks could not be used"
    return Words(
        sentence=f"{said}{f' ({why})' if why else ''}" if facts.pairs else "no pair was measured",
        advice="Fix what disturbed the generator or the runner in these blocks, then run the duet again.",
    )


def _control_missing(facts: ControlMissing) -> Words:
    return Words(
        sentence=f"the control endpoint did not respond in {facts.missing} of {facts.pairs} pairs",
        advice="See in the log why the control endpoint could not be reached.",
    )


def _control_moved(facts: ControlMoved) -> Words:
    change = f"{units.format_magnitude(facts.change)} {'slower' if facts.change > 0.0 else 'faster'}"
    return Words(
        sentence=f"the control endpoint, which no build can change, was {change} in the head build's blocks; at most "
        f"{units.format_magnitude(facts.most)} is allowed: the runner changed, not the service",
        advice=_NOISY_RUNNER,
    )


def _control_unsteady(facts: ControlUnsteady) -> Words:
    return Words(
        sentence=f"the control endpoint varied by {units.format_magnitude(facts.spread)} from pair to pair",
        advice=_NOISY_RUNNER,
    )


def _order(facts: OrderEffect) -> Words:
    metric = facts.figure.metric
    return Words(
        sentence=f"{subject(metric, facts.figure.step)}: {order_words(metric, facts.head_second, facts.head_first)}",
        advice="What the first block of a pair leaves behind reaches the second: reset between blocks what both builds share "
        "(database, caches, files), or give each build its own, then run the duet again.",
    )


def _stored_instead(facts: StoredInstead) -> Words:
    because = trust_words(facts.because)
    return Words(
        sentence=f"the side-by-side measurement cannot be trusted, using stored baselines: {because.sentence}",
        advice=because.advice,
    )


SENTENCES: Mapping[type, Callable[[Any], Words]] = {
    Worded: _worded,
    PhaseMissing: _phase_missing,
    ShardLost: _shard_lost,
    Interrupted: _interrupted,
    WindowShort: _window_short,
    NoSamples: _no_samples,
    ArrivalsMissed: _arrivals_missed,
    Lateness: _lateness,
    LoopLagged: _loop_lag,
    GcPaused: _gc_pause,
    Stalled: _stalled,
    NullRunNoise: _null_run_noise,
    GeneratorCpu: _generator_cpu,
    Steal: _steal,
    Throttled: _throttled,
    MemoryLow: _memory,
    DescriptorsLow: _descriptors,
    PortsLow: _ports,
    TooFewUsers: _too_few_users,
    FewResponses: _few_answers,
    MonitorGaps: _monitor_gaps,
    CountersFell: _counters_fell,
    StartSkew: _start_skew,
    ClockDrifted: _clock_drift,
    PairsLeftOut: _pairs_left_out,
    ControlMissing: _control_missing,
    ControlMoved: _control_moved,
    ControlUnsteady: _control_unsteady,
    OrderEffect: _order,
    StoredInstead: _stored_instead,
}
