"""The dry run: what a plan would need, and whether this machine can carry it out. Sends no load, and by default nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from velro_gate import units
from velro_gate.cluster.fit import share_of_phase
from velro_gate.cluster.forecast import ClusterForecast, cluster_forecast, cluster_sentences
from velro_gate.cluster.options import RAW
from velro_gate.engine.machine.feasibility import Forecast, MachineLimits, Shortfall, forecast, shortfalls
from velro_gate.errors import InfeasibleError, MissingVariableError, VelroError
from velro_gate.gate.measure.asking import Replies, ask_services, shown_page
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.masking import mask
from velro_gate.model.readings import WATCHED
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.report.parts.dry_run.comparable import PhaseResponses, comparable_sentences
from velro_gate.report.parts.dry_run.timetable import timetable
from velro_gate.scenario import secrets

_UNTRIED = " Whether the service answers was not tried: 'velro-gate run --dry-run' asks it."


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """A plan, what it is expected to take, and what is short."""

    setup: Setup
    shards: int
    """How many processes would send it."""
    forecast: Forecast
    shortfalls: tuple[Shortfall, ...]
    missing: MissingVariableError | None = None
    cluster: ClusterForecast | None = None
    """What it takes of the workers that would send it; None: this machine would."""
    replies: Replies | None = None
    """How the services responded; None: nothing was sent."""

    @property
    def refusal(self) -> VelroError | None:
        """The error that a run of this plan would end with; None when it would start."""
        if self.missing is not None:
            return self.missing
        fatal = next((shortfall for shortfall in self.shortfalls if shortfall.fatal), None)
        if fatal is None:
            return None if self.replies is None else self.replies.refusal
        return InfeasibleError(fatal.sentence, where=f"phase {fatal.phase}", hint=fatal.hint)

    @property
    def url(self) -> str:
        """Where a run would send its requests, without a password."""
        return mask(self.setup.scenario.target.url, ())

    def sentences(self) -> list[str]:
        """The forecast and its caveats in words."""
        expected = self.forecast
        plan = self.setup.plan
        sent = "nothing was sent" if self.replies is None else "no load was sent"
        said = [
            f"Scenario {plan.scenario}, profile {plan.profile}, against {self.url}{self._way()}: {sent}.",
            f"About {units.counted(units.format_whole(expected.requests), 'request')} in "
            f"{units.counted(units.format_whole(expected.journeys), 'journey')}, {units.format_duration(expected.seconds)}.",
        ]
        if self.cluster is not None:
            said += cluster_sentences(self.cluster)
        else:
            said.append(
                f"Needs at most {units.format_count(expected.descriptors)} open files, "
                f"{units.format_bytes(expected.memory)} of memory and {units.format_share(expected.cpu_share)} of a core."
            )
        if self.cluster is None and self.shards > 1:
            said.append(f"Sent by {self.shards} shards, each a process of its own.")
        journey = self.setup.scenario.journey
        if journey is not None:
            said.append(
                f"Rates are journeys per second: each is one pass of {journey.function}. "
                "The figures above assume one request per step; the code decides what a journey really sends."
            )
        checked = sum(len(phase.requirements) for phase in plan.phases)
        margin = units.trim_zeros(units.format_share(plan.policy.margin))
        said.append(f"{units.format_counted(checked, 'requirement')} will be checked; a change of {margin} counts.")
        said += timetable(plan.phases)
        said += self._compared()
        said.append(f"Watched: {self._watched()}.")
        said += [f"{'Short' if short.fatal else 'Caveat'}: {short.sentence} {short.hint}" for short in self.shortfalls]
        replies = self.replies
        said += [] if replies is None else replies.sentences
        if self.refusal is None and not self.shortfalls:
            who = "This machine" if self.cluster is None else "Workers like this machine"
            said.append(f"{who} can carry it out.{_UNTRIED if replies is None else ''}")
        if replies is not None and replies.silent:
            said.append(f"Caveat: these would not be watched: {', '.join(replies.silent)}.")
        if self.missing is not None:
            said.append(f"Missing: {self.missing.what}.")
        return said

    def _compared(self) -> list[str]:
        """Which response times will be compared with baselines."""
        scenario, rates = self.setup.scenario, {part.name: part.rate for part in self.forecast.phases}
        shares = {step.name: step.probability / scenario.requests_per_journey for step in scenario.steps}
        expected = []
        for phase in self.setup.phases:
            requests = rates[phase.name] * phase.duration
            answers = {ALL_STEPS: requests, **{step: share * requests for step, share in shares.items()}}
            expected.append(
                PhaseResponses(phase=phase.name, seconds=phase.duration, answers=answers, broken=bool(phase.experiments))
            )
        return list(comparable_sentences(expected, self.setup.plan.policy))

    def _way(self) -> str:
        """How connections get there, where that is not the usual way."""
        target = self.setup.scenario.target
        if target.unix_socket is not None:
            return f" over {target.unix_socket}"
        return f" from {', '.join(target.source_addresses)}" if target.source_addresses else ""

    def _watched(self) -> str:
        """What is read while the load runs, in addition to the load itself."""
        target = self.setup.scenario.target
        by_port = self.setup.service_is_local and target.unix_socket is None
        watched = (
            ("this machine", True),
            ("the service's processes", by_port or "process" in dict(target.watch)),
            (f"its metrics page {shown_page(target)}", shown_page(target) is not None),
            *((WATCHED[key].label, True) for key, _ in target.watch if key not in ("prometheus", "process")),
        )
        silent = () if self.replies is None else self.replies.silent
        return ", ".join(name for name, given in watched if given and not any(each.startswith(name) for each in silent))


def dry_run(
    setup: Setup,
    machine: MachineLimits,
    environ: Mapping[str, str],
    *,
    ask: bool = False,
    workers: int | None = None,
    raw: int = RAW,
) -> DryRun:
    """Check a plan without carrying it out; a missing secret is reported with the rest. ask: also try the services once, unless
    a run would not even begin. workers: of a cluster, whose machines are taken to be like this one; None: this machine sends.
    raw: bytes of a phase's samples beyond which they reduce them.
    """
    shards = setup.shard_count(machine) if workers is None else workers
    found = shortfalls(
        setup.phases if workers is None else [share_of_phase(phase, 1.0 / workers) for phase in setup.phases],
        scenario=setup.scenario,
        machine=machine,
        service_is_local=setup.service_is_local,
        shards=shards if workers is None else 1,
    )
    missing = None
    known: Mapping[str, str] = {}
    try:
        known = secrets(setup.scenario, environ)
    except MissingVariableError as error:
        # Reported with the rest of what is wrong, and not in its place.
        missing = error
    expected = forecast(setup.phases, scenario=setup.scenario, shards=shards)
    planned = DryRun(
        setup=setup,
        shards=shards,
        forecast=expected,
        shortfalls=found,
        missing=missing,
        cluster=None if workers is None else cluster_forecast(setup.phases, setup.scenario, workers, raw),
    )
    if not ask or planned.refusal is not None:
        return planned
    return replace(planned, replies=ask_services(replace(setup, secrets=known)))
