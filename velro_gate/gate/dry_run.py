"""The dry run: what a plan would take, and whether this machine can carry it out. Sends nothing."""

from __future__ import annotations

from dataclasses import dataclass

from velro_gate import units
from velro_gate.engine.feasibility import Forecast, MachineLimits, Shortfall, forecast, shortfalls
from velro_gate.errors import InfeasibleError
from velro_gate.gate.setup import Setup
from velro_gate.model.masking import mask


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """A plan, what it is expected to take, and what is short."""

    setup: Setup
    forecast: Forecast
    shortfalls: tuple[Shortfall, ...]

    @property
    def refusal(self) -> InfeasibleError | None:
        """The error that a run of this plan would end with; None when it would start."""
        fatal = next((shortfall for shortfall in self.shortfalls if shortfall.fatal), None)
        if fatal is None:
            return None
        return InfeasibleError(fatal.sentence, where=f"phase {fatal.phase}", hint=fatal.hint)

    @property
    def url(self) -> str:
        """Where a run would send its requests, without a password."""
        return mask(self.setup.scenario.target.url, self.setup.secrets.values())

    def sentences(self) -> list[str]:
        """The forecast and its caveats in words."""
        expected = self.forecast
        plan = self.setup.plan
        said = [
            f"Scenario {plan.scenario}, profile {plan.profile}, against {self.url}: nothing was sent.",
            f"About {units.format_count(round(expected.requests))} requests in {units.format_count(round(expected.journeys))} "
            f"journeys, {units.format_duration(expected.seconds)}.",
            f"Needs at most {units.format_count(expected.descriptors)} open files, "
            f"{units.format_bytes(expected.memory)} of memory and {units.format_share(expected.cpu_share)} of a core.",
        ]
        checked = sum(len(phase.requirements) for phase in plan.phases)
        said.append(f"{checked} requirements will be checked; a change of {units.format_share(plan.policy.margin)} counts.")
        said += [f"{'Short' if short.fatal else 'Caveat'}: {short.sentence} {short.hint}" for short in self.shortfalls]
        if not self.shortfalls:
            said.append("This machine can carry it out.")
        return said


def dry_run(setup: Setup, machine: MachineLimits) -> DryRun:
    """Look at a plan without carrying it out."""
    found = shortfalls(setup.phases, scenario=setup.scenario, machine=machine, service_is_local=setup.service_is_local)
    return DryRun(setup=setup, forecast=forecast(setup.phases, scenario=setup.scenario), shortfalls=found)
