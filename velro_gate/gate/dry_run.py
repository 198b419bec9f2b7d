"""The dry run: what a plan would take, and whether this machine can carry it out. Sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from velro_gate import units
from velro_gate.engine.feasibility import Forecast, MachineLimits, Shortfall, forecast, shortfalls
from velro_gate.errors import InfeasibleError, MissingVariableError
from velro_gate.gate.setup import Setup
from velro_gate.model.masking import mask
from velro_gate.scenario import secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """A plan, what it is expected to take, and what is short. shards: how many processes would send it."""

    setup: Setup
    shards: int
    forecast: Forecast
    shortfalls: tuple[Shortfall, ...]
    missing: MissingVariableError | None = None

    @property
    def refusal(self) -> InfeasibleError | MissingVariableError | None:
        """The error that a run of this plan would end with; None when it would start."""
        if self.missing is not None:
            return self.missing
        fatal = next((shortfall for shortfall in self.shortfalls if shortfall.fatal), None)
        if fatal is None:
            return None
        return InfeasibleError(fatal.sentence, where=f"phase {fatal.phase}", hint=fatal.hint)

    @property
    def url(self) -> str:
        """Where a run would send its requests, without a password."""
        return mask(self.setup.scenario.target.url, ())

    def sentences(self) -> list[str]:
        """The forecast and its caveats in words."""
        expected = self.forecast
        plan = self.setup.plan
        said = [
            f"Scenario {plan.scenario}, profile {plan.profile}, against {self.url}{self._way()}: nothing was sent.",
            f"About {units.format_count(round(expected.requests))} requests in {units.format_count(round(expected.journeys))} "
            f"journeys, {units.format_duration(expected.seconds)}.",
            f"Needs at most {units.format_count(expected.descriptors)} open files, "
            f"{units.format_bytes(expected.memory)} of memory and {units.format_share(expected.cpu_share)} of a core.",
        ]
        if self.shards > 1:
            said.append(f"Sent by {self.shards} shards, each a process of its own.")
        journey = self.setup.scenario.journey
        if journey is not None:
            said.append(
                f"Rates are journeys per second: each is one pass of {journey.function}. "
                "The figures above take it that a journey makes one request a step; what it makes is its code's choice."
            )
        checked = sum(len(phase.requirements) for phase in plan.phases)
        said.append(f"{checked} requirements will be checked; a change of {units.format_share(plan.policy.margin)} counts.")
        said.append(f"Watched: {self._watched()}.")
        said += [f"{'Short' if short.fatal else 'Caveat'}: {short.sentence} {short.hint}" for short in self.shortfalls]
        if not self.shortfalls:
            said.append("This machine can carry it out.")
        if self.missing is not None:
            said.append(f"Missing: {self.missing.what}.")
        return said

    def _way(self) -> str:
        """How connections get there, where that is not the usual way."""
        target = self.setup.scenario.target
        if target.unix_socket is not None:
            return f" over {target.unix_socket}"
        return f" from {', '.join(target.source_addresses)}" if target.source_addresses else ""

    def _watched(self) -> str:
        """What is read while the load runs, besides the load itself."""
        target = self.setup.scenario.target
        watched = (
            ("this machine", True),
            ("the service's processes", self.setup.service_is_local and target.unix_socket is None),
            (f"its metrics page {target.metrics_path}", target.metrics_path is not None),
            ("Redis", target.redis_url is not None),
            ("PostgreSQL", target.database_url is not None),
        )
        return ", ".join(name for name, given in watched if given)


def dry_run(setup: Setup, machine: MachineLimits, environ: Mapping[str, str]) -> DryRun:
    """Look at a plan without carrying it out; a missing secret is told beside the rest, since nothing is sent yet."""
    shards = setup.shard_count(machine)
    found = shortfalls(
        setup.phases, scenario=setup.scenario, machine=machine, service_is_local=setup.service_is_local, shards=shards
    )
    missing = None
    try:
        secrets(setup.scenario, environ)
    except MissingVariableError as error:
        missing = error
    expected = forecast(setup.phases, scenario=setup.scenario, shards=shards)
    return DryRun(setup=setup, shards=shards, forecast=expected, shortfalls=found, missing=missing)
